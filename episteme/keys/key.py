"""Keys that can be kept: made, read, written, and found where a program's surroundings put them."""

import os
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from episteme.errors import KeyProblem
from episteme.keys.forms import (
    is_hex_seed,
    key_file_text,
    openssh_public_line,
    openssh_text,
    pkcs8_text,
    seed_of,
)
from episteme.keys.places import (
    DEFAULT_NAME,
    key_folder,
    key_names,
    key_path,
    name_of,
    read_credential,
    read_key_file,
    write_private,
)
from model import SEED_BYTES, SigningKey, did_of

SEED_VARIABLE: Final = "EPISTEME_KEY"
FILE_VARIABLE: Final = "EPISTEME_KEY_FILE"
CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"  # systemd's LoadCredential=
CREDENTIAL: Final = "episteme-key"


class Key(SigningKey):
    """A signing key that can be kept in a file."""

    __slots__ = ()

    @property
    def did(self) -> str:
        """The public key as a did:key, for people and for other programs."""
        return did_of(self.agent)

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
        return cls._of_file(path, read_key_file(path, f"there is no key {name!r} at {path}"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file in any of the forms that from_text takes, wherever it is.  Raises: as load."""
        if path.suffix == ".pub":
            raise KeyProblem(f"{path} is a public key", hint=f"Name the private one: {path.with_suffix('')}.")
        return cls._of_file(path, read_key_file(path, f"there is no key file {path}"))

    @classmethod
    def load_or_create(cls, name: str = DEFAULT_NAME, folder: Path | None = None) -> tuple[Self, bool]:
        """The key of this name, and whether it was made just now.  Raises: KeyProblem."""
        if key_path(name, folder).exists():
            return cls.load(name, folder), False
        key = cls.generate()
        key.save(name, folder)
        return key, True

    @classmethod
    def from_env(cls) -> Self | None:
        """The key that the environment gives, if it gives one; the first of these that is set.

        EPISTEME_KEY: a seed in hex.  EPISTEME_KEY_FILE: the path of a file as read takes it.
        CREDENTIALS_DIRECTORY: a folder with a file episteme-key, as systemd gives one to a service.
        Raises: KeyProblem if what is named cannot be used.
        """
        seed, file = os.environ.get(SEED_VARIABLE), os.environ.get(FILE_VARIABLE)
        if seed:
            try:
                return cls.from_hex(seed)
            except KeyProblem as error:
                raise KeyProblem(f"{SEED_VARIABLE} is not the 64 hex digits of a seed") from error
        if file:
            return cls.read(Path(file))
        credentials = os.environ.get(CREDENTIALS_VARIABLE)
        path = Path(credentials or "", CREDENTIAL)
        if credentials and path.exists():
            return cls._of_file(path, read_credential(path))
        return None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The key in a text: our key file, an OpenSSH or PKCS#8 private key without passphrase, or hex digits.

        Raises: KeyProblem, without anything of what was read.
        """
        return cls(seed_of(text))

    @classmethod
    def from_openssh(cls, text: str) -> Self:
        """The key in an OpenSSH private key file (openssh-key-v1) of Ed25519, without passphrase.

        Raises: KeyProblem.
        """
        if "BEGIN OPENSSH PRIVATE KEY" not in text:
            raise KeyProblem("this is not an OpenSSH private key; it begins with BEGIN OPENSSH PRIVATE KEY")
        return cls.from_text(text)

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """The key of a seed, as 64 hex digits.  Raises: KeyProblem."""
        if not is_hex_seed(text.strip()):
            raise KeyProblem(f"a seed is {2 * SEED_BYTES} hex digits")
        return cls(bytes.fromhex(text))

    def to_openssh(self, comment: str = "") -> str:
        """An OpenSSH private key file, unencrypted: keep it as you would the key.

        comment: one line, at most 200 characters.  Raises: KeyProblem for another.
        """
        return openssh_text(self, comment)

    def to_openssh_public(self, comment: str = "") -> str:
        """The public key as a line of authorized_keys.  comment: as of to_openssh."""
        return openssh_public_line(self.agent, comment)

    def to_pkcs8(self) -> str:
        """A PKCS#8 private key in PEM, unencrypted."""
        return pkcs8_text(self)

    def to_hex(self) -> str:
        """The seed as 64 hex digits: the secret itself."""
        return self.seed.hex()

    def save(self, name: str = DEFAULT_NAME, folder: Path | None = None) -> Path:
        """Write the key file, durably; an existing one is never replaced.  Raises: KeyProblem."""
        path = key_path(name, folder)
        write_private(path, key_file_text(self))
        return path

    @classmethod
    def _of_file(cls, path: Path, text: str) -> Self:
        try:
            return cls.from_text(text)
        except KeyProblem as error:
            raise KeyProblem(f"{path}: {error.detail}", hint=error.hint) from error


class KeyEntry(Struct, frozen=True):
    """A key file: its name, and whose key it is, in hex and as a did:key; or why it cannot be used."""

    name: str
    path: str
    agent: str | None = None
    did: str | None = None
    problem: str | None = None


def list_keys(folder: Path | None = None) -> list[KeyEntry]:
    """All keys of a folder by the path of their files, those that cannot be used too."""
    return [_entry(path, folder or key_folder()) for path in key_names(folder)]


def _entry(path: Path, folder: Path) -> KeyEntry:
    name = name_of(path, folder)
    try:
        key = Key.read(path)
    except KeyProblem as error:
        return KeyEntry(name, str(path), problem=error.detail)
    return KeyEntry(name, str(path), key.agent_hex, key.did)
