"""Where key files are, and how they are read and written: 0600 in 0700 folders, never replaced.

A file that others can read is refused, as ssh does.
"""

import errno
import os
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from blake3 import blake3

from episteme.errors import KeyProblem
from episteme.keys.forms import FORMS_HINT
from episteme.private import FILE_HINT, read_private

SUFFIX: Final = ".key"
DEFAULT_NAME: Final = "default"
_FILE_NAME_BYTES_MAX: Final = 200  # under every file system's 255, with room for a suffix
_FILE_BYTES_MAX: Final = 64 * 1024  # no key file has more than a few hundred


def key_folder() -> Path:
    """Where keys are kept: $XDG_CONFIG_HOME/episteme/keys, or ~/.config/episteme/keys."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "episteme" / "keys"


def key_path(name: str, folder: Path | None = None) -> Path:
    """The file of a key; a slash in the name makes a sub-folder, everything else odd is percent-encoded.

    No two names share a file, and no name leads out of the folder.  Raises: KeyProblem for an empty name.
    """
    if not name or any(not part for part in name.split("/")):
        raise KeyProblem(f"{name!r} is not a key name")
    parts = [_file_name(part) for part in name.split("/")]
    return (folder or key_folder()).joinpath(*parts[:-1], parts[-1] + SUFFIX)


def key_names(folder: Path | None = None) -> list[Path]:
    """All key files, sorted."""
    return sorted((folder or key_folder()).rglob(f"*{SUFFIX}"))


def name_of(path: Path, folder: Path | None = None) -> str:
    """The name whose file this is; of a long name, which was cut, the file's own."""
    return unquote(str(path.relative_to(folder or key_folder())).removesuffix(SUFFIX))


def quoted_part(text: str) -> str:
    """Any text as one part of a key name: its slashes no longer make folders."""
    return text.replace("%", "%25").replace("/", "%2F") or "%"


def read_key_file(path: Path, missing: str) -> str:
    """The text of a file that nobody else can read.  Raises: KeyProblem, with this detail if it is missing."""
    data = read_private(path, bytes_max=_FILE_BYTES_MAX)
    if data is None:
        raise KeyProblem(missing)
    return _text(path, data)


def read_credential(path: Path) -> str:
    """The text of a file whose folder a service manager keeps from others; its mode says nothing there.

    Raises: KeyProblem.
    """
    try:
        with path.open("rb") as file:
            return _text(path, file.read(_FILE_BYTES_MAX))
    except OSError as error:
        raise KeyProblem(f"{path} cannot be read: {error.strerror}", hint=FILE_HINT) from error


def write_private(path: Path, text: str) -> None:
    """Write a new file for its owner alone, durably.  Raises: KeyProblem if there is one already."""
    try:
        _make_private(path.parent)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno == errno.EEXIST and path.is_file():
            raise KeyProblem(f"{path} exists already; keys are never replaced", hint="Name another.") from error
        raise KeyProblem(f"{path} cannot be written: {error.strerror}", hint=FILE_HINT) from error


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        detail = f"{path} is not a key file: it is not text"
        raise KeyProblem(detail, hint=FORMS_HINT) from None  # the error holds what was read


def _make_private(folder: Path) -> None:
    """Make a folder and what is missing above it, all for the owner alone."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _file_name(part: str) -> str:
    try:
        encoded = quote(part, safe=" !#$&'()+,;=@[]~")
    except UnicodeEncodeError as error:
        raise KeyProblem(f"{part!r} is not a key name: it is not text") from error
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > _FILE_NAME_BYTES_MAX:
        digest = blake3(part.encode("utf-8")).hexdigest(length=16)
        return f"{encoded[:100]}%{digest}"
    return encoded
