"""A flag for every setting, made of the table of settings."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Final

import typer

from episteme.settings import SETTINGS, Setting, shown_value

# What people set; the others stand under headings of their own.
FREQUENT: Final = (
    "host",
    "port",
    "public",
    "tokens_required",
    "allowed_hosts",
    "cors_origins",
    "quotas",
    "audit.enabled",
    "operators",
    "log_format",
    "log_level",
    "access_log",
)
_PANELS: Final = {"server": "Bounds of the HTTP edge", "node": "The database"}
_FLAGS: Final = "flags"  # the parameter of a command that takes them
_METAVARS: Final = {"bytes": "SIZE", "s": "TIME", "ms": "TIME", None: "N"}


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes `flags`, by name of the setting, those that were given; it gets an option for each."""
    options = {_parameter_name(one): one for one in _ordered()}

    @wraps(function)
    def with_flags(**given: Any) -> None:
        values = {setting.name: given.pop(name) for name, setting in options.items()}
        function(**given, flags={name: value for name, value in values.items() if value not in (None, [])})

    own = signature(function)
    kept = [one.replace(kind=Parameter.KEYWORD_ONLY) for name, one in own.parameters.items() if name != _FLAGS]
    made = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(one))
        for name, one in options.items()
    ]
    with_flags.__signature__ = own.replace(parameters=[*kept, *made])  # type: ignore[attr-defined]
    return with_flags


def _ordered() -> list[Setting]:
    return [SETTINGS[name] for name in FREQUENT] + [one for one in SETTINGS.values() if one.name not in FREQUENT]


def _parameter_name(setting: Setting) -> str:
    return "set_" + setting.name.replace(".", "_")


def _annotation(setting: Setting) -> Any:
    panel = None if setting.name in FREQUENT else _PANELS[setting.part]
    help_ = f"{setting.description[0].upper()}{setting.description[1:]}. [default: {_default(setting)}]"
    if setting.kind == "truth":
        off = "--no-" + setting.flag.removeprefix("--")
        flag = typer.Option(f"{setting.flag}/{off}", help=help_, show_default=False, rich_help_panel=panel)
        return Annotated[bool | None, flag]
    option = typer.Option(
        setting.flag, help=help_, show_default=False, metavar=_metavar(setting), rich_help_panel=panel
    )
    return Annotated[list[str] | None if setting.is_list else str | None, option]


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return "TEXT" if setting.kind == "text" else _METAVARS[setting.unit]


def _default(setting: Setting) -> str:
    return setting.default_text or shown_value(setting, setting.default) or "none"
