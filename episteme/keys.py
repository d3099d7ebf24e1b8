"""Key files: Ed25519 seeds on disk, 0600 in a 0700 folder, never shown.

A key file is three lines of text: ``episteme-key-1``, ``agent {hex}``, ``seed
{hex}``.  One that others can read is refused, as ssh does.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from blake3 import blake3

from episteme.errors import KeyProblem
from model import SEED_BYTES, SigningKey

HEADER: Final = "episteme-key-1"
SUFFIX: Final = ".key"
DEFAULT_NAME: Final = "default"
_FILE_NAME_BYTES_MAX: Final = 200  # under every file system's 255, with room for a suffix


class Key(SigningKey):
    """A signing key that can be kept in a file."""

    __slots__ = ()

    @classmethod
    def generate(cls) -> Self:
        """A new random key, in memory only."""
        return cls(os.urandom(SEED_BYTES))

    @classmethod
    def load(cls, name: str = DEFAULT_NAME, folder: Path | None = None) -> Self:
        """Read a key file.

        Raises: KeyProblem if it is missing, readable by others, or not a key file.
        """
        path = key_path(name, folder)
        return cls._read(path, f"there is no key {name!r} at {path}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file, wherever it is.  Raises: as load."""
        return cls._read(path, f"there is no key file {path}")

    @classmethod
    def load_or_create(cls, name: str = DEFAULT_NAME, folder: Path | None = None) -> tuple[Self, bool]:
        """The key of this name, and whether it was made just now.  Raises: KeyProblem."""
        if key_path(name, folder).exists():
            return cls.load(name, folder), False
        key = cls.generate()
        key.save(name, folder)
        return key, True

    def save(self, name: str = DEFAULT_NAME, folder: Path | None = None) -> Path:
        """Write the key file, durably; an existing one is never replaced.  Raises: KeyProblem."""
        path = key_path(name, folder)
        text = f"{HEADER}\nagent {self.agent_hex}\nseed {self.seed.hex()}\n"
        try:
            _make_private(path.parent)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno == errno.EEXIST and path.is_file():
                raise KeyProblem(f"{path} exists already; keys are never replaced") from error
            raise KeyProblem(f"{path} cannot be written: {error.strerror}") from error
        return path

    @classmethod
    def _read(cls, path: Path, missing: str) -> Self:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise KeyProblem(f"{path} has mode {mode:04o}: others can read it; expected 0600")
            lines = path.read_text("ascii").splitlines()
        except FileNotFoundError as error:
            raise KeyProblem(missing) from error
        except (OSError, UnicodeDecodeError) as error:
            raise KeyProblem(f"{path} cannot be read: {error}") from error
        return cls._parse(path, lines)

    @classmethod
    def _parse(cls, path: Path, lines: list[str]) -> Self:
        try:
            header, agent, seed = lines
            if header != HEADER or not agent.startswith("agent ") or not seed.startswith("seed "):
                raise ValueError("its lines are not those of a key")
            key = cls(bytes.fromhex(seed.removeprefix("seed ")))
        except ValueError as error:
            raise KeyProblem(f"{path} is not a key file of the form {HEADER}") from error
        if key.agent_hex != agent.removeprefix("agent "):
            raise KeyProblem(f"{path} is damaged: the seed's agent is not the one that it names")
        return key


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


def quoted_part(text: str) -> str:
    """Any text as one part of a key name: its slashes no longer make folders."""
    return text.replace("%", "%25").replace("/", "%2F") or "%"


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
