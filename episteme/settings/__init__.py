"""Settings: one table made of the structs in episteme/config.py, and where the value of each comes from."""

from episteme.settings.example import example_file
from episteme.settings.sources import FILE_NAME, OTHER_VARIABLES, Origin, Settings, Sourced, read_settings, settings_of
from episteme.settings.table import SETTINGS, Setting, Value
from episteme.settings.values import shown_value, takes

__all__ = [
    "FILE_NAME",
    "OTHER_VARIABLES",
    "SETTINGS",
    "Origin",
    "Setting",
    "Settings",
    "Sourced",
    "Value",
    "example_file",
    "read_settings",
    "settings_of",
    "shown_value",
    "takes",
]
