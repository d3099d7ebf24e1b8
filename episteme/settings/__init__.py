"""Settings: one table made of the structs in episteme/config.py, and where the value of each comes from."""

from episteme.settings.example import example_file
from episteme.settings.sources import FILE_NAME, OTHER_VARIABLES, Origin, Settings, Sourced, read_settings
from episteme.settings.table import SETTINGS, Setting
from episteme.settings.values import shown_value, takes

__all__ = [
    "FILE_NAME",
    "OTHER_VARIABLES",
    "SETTINGS",
    "Origin",
    "Setting",
    "Settings",
    "Sourced",
    "example_file",
    "read_settings",
    "shown_value",
    "takes",
]
