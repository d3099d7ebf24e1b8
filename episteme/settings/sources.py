"""Where settings come from: flags, then the environment, then a file, then the defaults; the first that says it wins.

Nothing is read but what is handed in and the file.  Whatever is wrong says which
setting, where it was said and what it takes; a name that does not exist is an
error in the file, and a warning in the environment, which other programs share.
"""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from episteme.audit.options import check_options as check_audit
from episteme.config import DEFAULT_DATA, NodeConfig, ServerConfig
from episteme.errors import InvalidSetting
from episteme.settings.table import FIXED, PREFIX, SERVED_NODE, SETTINGS, Setting, Value
from episteme.settings.values import value_of
from wal.options import check_options as check_log

FILE_NAME: Final = "episteme.toml"  # of a data folder
FILE_BYTES_MAX: Final = 1024 * 1024  # a file of settings is a page; this one is something else

# Variables that are no settings of a server: where to find one, and with what to sign.
OTHER_VARIABLES: Final = {
    "EPISTEME_URL": "the server that commands talk to",
    "EPISTEME_TOKEN": "the API token that commands send",
    "EPISTEME_DATA": "the data folder",
    "EPISTEME_CONFIG": "the file of settings",
    "EPISTEME_DEBUG": "tracebacks of errors",
    "EPISTEME_KEY": "the seed to sign with, as hex",
    "EPISTEME_KEY_FILE": "the key file to sign with",
}

_DATA: Final = "data"  # a key of a file that lies elsewhere


class Origin(StrEnum):
    """Who said it, the weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


class Sourced(NamedTuple):
    """A value and where it was said: the file's path, the variable's name, the flag."""

    value: Value
    origin: Origin
    where: str


class Settings(Struct, frozen=True):
    """All settings; warnings: variables that name none."""

    data: Path
    file: Path | None
    values: dict[str, Sourced]
    warnings: tuple[str, ...]

    def node(self, base: NodeConfig = SERVED_NODE) -> NodeConfig:
        """What was said of the database, on top of base.  Raises: InvalidSetting."""
        config: NodeConfig = self._on_top_of(base, "node")
        with_checks = (("log.", lambda: check_log(config.log)), ("", lambda: check_audit(config.audit)))
        for path, check in with_checks:
            try:
                check()
            except ValueError as error:
                raise InvalidSetting(f"{path}{error}") from error
        return config

    def server(self) -> ServerConfig:
        """What was said of the edge, on top of the defaults.  Raises: InvalidSetting."""
        config: ServerConfig = self._on_top_of(ServerConfig(), "server")
        return config

    def _on_top_of(self, base: Any, part: str) -> Any:
        for name, (value, origin, where) in self.values.items():
            if origin is not Origin.DEFAULT and SETTINGS[name].part == part:
                try:
                    base = _replaced(base, name.split("."), value)
                except ValueError as error:
                    raise InvalidSetting(f"{where}: {error}") from error
        return base


def read_settings(
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    data: Path | None = None,
    file: Path | None = None,
) -> Settings:
    """Gather what was said.

    flags: by name of the setting, those that were given.  data, file: what --data and --config say, if anything;
    without a file EPISTEME_CONFIG names it, else it is episteme.toml of the data folder, if that is there.
    Raises: InvalidSetting.
    """
    named = file or _path(environ, "EPISTEME_CONFIG")
    folder = data or _path(environ, "EPISTEME_DATA")
    written = {} if named is None else _read(named)
    if named is None and (there := (folder or DEFAULT_DATA) / FILE_NAME).is_file():
        named, written = there, _read(there)
        if _DATA in written:
            raise InvalidSetting(f"{there}: data is for a file that lies elsewhere; this one lies in the data folder")
    written_folder = _folder_in(named, written)
    folder = folder or written_folder
    values = {name: Sourced(one.default, Origin.DEFAULT, "default") for name, one in SETTINGS.items()}
    values |= {name: Sourced(value, Origin.FILE, str(named)) for name, value in _from_file(named, written)}
    values |= {name: Sourced(value, Origin.ENVIRONMENT, where) for name, value, where in _from_environ(environ)}
    for name, given in (flags or {}).items():
        flag = SETTINGS[name].flag
        values[name] = Sourced(_value(SETTINGS[name], given, flag), Origin.FLAG, flag)
    return Settings(folder, named, values, tuple(_unknown_variables(environ)))


def settings_of(values: Mapping[str, Value]) -> Settings:
    """Those of a process that another one tells all of them, by name."""
    return Settings(DEFAULT_DATA, None, {name: Sourced(one, Origin.FLAG, name) for name, one in values.items()}, ())


def _path(environ: Mapping[str, str], variable: str) -> Path | None:
    return Path(environ[variable]) if environ.get(variable) else None


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise InvalidSetting(f"{file} has more than {FILE_BYTES_MAX:,} bytes: it is no file of settings")
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise InvalidSetting(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of TOML or of UTF-8; of lists in lists in lists
        raise InvalidSetting(f"{file} is not TOML: {error}") from error


def _folder_in(file: Path | None, written: dict[str, Any]) -> Path:
    """The data folder that a file names, from where the file lies; else the default."""
    named = written.pop(_DATA, None)
    if named is None or file is None:
        return DEFAULT_DATA
    if not isinstance(named, str) or not named:
        raise InvalidSetting(f"{file}: data is {named!r}; it takes the path of a folder")
    return file.parent / named


def _from_file(file: Path | None, written: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Value]]:
    for key, given in written.items():
        name = path + key
        if name in SETTINGS:
            yield name, _value(SETTINGS[name], given, str(file))
        elif isinstance(given, dict) and any(known.startswith(f"{name}.") for known in SETTINGS):
            yield from _from_file(file, given, f"{name}.")
        elif name in FIXED:
            raise InvalidSetting(f"{file}: {name} cannot be set: the database's log keeps everything, durably")
        else:
            raise InvalidSetting(f"{file}: {name} is no setting{_nearest(name, SETTINGS)}")


def _from_environ(environ: Mapping[str, str]) -> Iterator[tuple[str, Value, str]]:
    for setting in SETTINGS.values():
        if setting.variable in environ:
            yield setting.name, _value(setting, environ[setting.variable], setting.variable), setting.variable


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = {one.variable for one in SETTINGS.values()} | OTHER_VARIABLES.keys()
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known:
            yield f"{variable} is no setting{_nearest(variable, known)}"


def _nearest(name: str, known: Any) -> str:
    found = get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _value(setting: Setting, given: object, where: str) -> Value:
    try:
        return value_of(setting, given)
    except ValueError as error:
        place = where if where == setting.flag else f"{where}: {setting.name}"
        raise InvalidSetting(f"{place} {error}") from error


def _replaced(holder: Any, path: list[str], value: Value) -> Any:
    name, *below = path
    inner = _replaced(getattr(holder, name), below, value) if below else value
    return (
        msgspec.structs.replace(holder, **{name: inner})
        if isinstance(holder, Struct)
        else holder._replace(**{name: inner})
    )
