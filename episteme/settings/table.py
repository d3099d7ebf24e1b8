"""The table of settings, made of the structs that hold them: names, types, units, ranges, defaults and help.

There is no second list anywhere: flags, variables of the environment, keys of the file and the pages of help are
made of this one.  What a setting is for stands beside its type, `Annotated[int, "what it is for"]`; its unit is the
end of its name, as everywhere.
"""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct

from episteme.audit import AuditOptions
from episteme.config import NodeConfig, ServerConfig

Kind = Literal["text", "whole", "number", "truth", "choice"]
Unit = Literal["bytes", "s", "ms"]
Value = str | int | float | bool | tuple[str, ...] | None

PREFIX: Final = "EPISTEME_"

# What `serve` begins with: a server records its answers.
SERVED_NODE: Final = NodeConfig(audit=AuditOptions(enabled=True))

# The database's log takes no other than what it is made with, so nobody is offered them.
FIXED: Final = frozenset({"log.durability", "log.retention"})

# Flags that read better than what their names would give.
_FLAGS: Final = {
    "audit.enabled": "--audit",
    "operators": "--operator",
    "allowed_hosts": "--allowed-host",
    "cors_origins": "--cors-origin",
}

_KINDS: Final[dict[type, Kind]] = {str: "text", int: "whole", float: "number", bool: "truth"}
_LARGEST: Final[dict[Unit | None, int]] = {
    "bytes": 2**50,  # a pebibyte
    "s": 366 * 86_400,  # a year: longer waits are a slip of the pen
    "ms": 366 * 86_400_000,
    None: 2**53,  # beyond it JSON loses digits
}


# Defaults that are another on another machine.
_DEFAULT_TEXTS: Final = {"intake.threads": "one a core, up to 4"}


class Setting(Struct, frozen=True, kw_only=True):
    """One setting."""

    name: str  # dotted, as in the file
    part: Literal["node", "server"]
    kind: Kind
    unit: Unit | None  # of a number
    is_list: bool
    may_be_none: bool
    choices: tuple[str, ...]
    low: float
    high: float
    has_high: bool  # of its own, and not that of all numbers of its unit
    default: Value
    description: str

    @property
    def variable(self) -> str:
        """The variable of the environment."""
        return PREFIX + self.name.upper().replace(".", "_")

    @property
    def flag(self) -> str:
        """The flag of `serve`; for a truth there is --no-... besides."""
        return _FLAGS.get(self.name) or "--" + self.name.replace(".", "-").replace("_", "-")

    @property
    def default_text(self) -> str | None:
        """What to say of the default, where it depends on the machine."""
        return _DEFAULT_TEXTS.get(self.name)


def _settings() -> Iterator[Setting]:
    yield from _of("server", ServerConfig(), "")
    yield from _of("node", SERVED_NODE, "")


def _of(part: Literal["node", "server"], holder: Any, path: str) -> Iterator[Setting]:
    """The settings in a struct or named tuple, in the order in which they stand there."""
    for field, hint in get_type_hints(type(holder), include_extras=True).items():
        name, default = path + field, getattr(holder, field)
        if name in FIXED:
            continue
        if hasattr(default, "_fields"):
            yield from _of(part, default, f"{name}.")
        else:
            yield _setting(part, name, hint, default)


def _setting(part: Literal["node", "server"], name: str, hint: Any, default: Value) -> Setting:
    metadata: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    base = hint.__origin__ if metadata else hint
    may_be_none = get_origin(base) in (Union, UnionType) and NoneType in get_args(base)
    if may_be_none:
        (base,) = (one for one in get_args(base) if one is not NoneType)
    is_list = get_origin(base) is tuple
    choices = get_args(base) if get_origin(base) is Literal else ()
    kind = "choice" if choices else _KINDS[get_args(base)[0] if is_list else base]
    ranges = [one for one in metadata if isinstance(one, Meta)]
    unit = _unit_of(name) if kind in ("whole", "number") else None
    return Setting(
        name=name,
        part=part,
        kind=kind,
        unit=unit,
        is_list=is_list,
        may_be_none=may_be_none,
        choices=choices,
        low=next((one.ge for one in ranges if one.ge is not None), 0),
        high=next((one.le for one in ranges if one.le is not None), _LARGEST[unit]),
        has_high=any(one.le is not None for one in ranges),
        default=default,
        description=next((one for one in metadata if isinstance(one, str)), ""),
    )


def _unit_of(name: str) -> Unit | None:
    words = name.rpartition(".")[2].split("_")
    if "bytes" in words:
        return "bytes"
    if "ms" in words:
        return "ms"
    return "s" if "s" in words else None


SETTINGS: Final = {setting.name: setting for setting in _settings()}
