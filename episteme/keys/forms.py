"""The texts that hold an Ed25519 key: our key file, OpenSSH's, PKCS#8, hex.  Pure.

What is read is read strictly: a public key that is not that of the seed, or a
byte too many, is a damaged file.  No error shows what it read.

Source: openssh-portable, PROTOCOL.key; RFC 8410 (PKCS#8); RFC 8709 (ssh-ed25519).
"""

import base64
import binascii
import re
from typing import Final

from blake3 import blake3

from episteme.errors import KeyProblem
from model import SEED_BYTES, SigningKey

HEADER: Final = "episteme-key-1"
FORMS_HINT: Final = "Give a private Ed25519 key without a passphrase: OpenSSH, PKCS#8, hex, or a key file of ours."

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n(.*)\n-----END \1-----", re.DOTALL)
_OPENSSH: Final = "OPENSSH PRIVATE KEY"
_PKCS8: Final = "PRIVATE KEY"
_ENCRYPTED_PKCS8: Final = "ENCRYPTED PRIVATE KEY"
_MAGIC: Final = b"openssh-key-v1\0"
_KIND: Final = b"ssh-ed25519"
_BLOCK_BYTES: Final = 8  # of the cipher "none", to which the private part is filled up
_LINE_CHARS: Final = 70  # as ssh-keygen writes them
# SEQUENCE of version 0, algorithm 1.3.101.112 and an OCTET STRING in an OCTET STRING: the seed follows.
_PKCS8_HEAD: Final = bytes.fromhex("302e020100300506032b657004220420")
_UNLOCK: Final = "make a copy without a passphrase first: "
_UNLOCK_OPENSSH: Final = f"{_UNLOCK}cp KEY COPY && ssh-keygen -p -N '' -f COPY"
_UNLOCK_PKCS8: Final = f"{_UNLOCK}openssl pkey -in KEY -out COPY"


def key_file_text(key: SigningKey) -> str:
    """Our key file: what it is, the agent, the seed."""
    return f"{HEADER}\nagent {key.agent_hex}\nseed {key.seed.hex()}\n"


def is_hex_seed(text: str) -> bool:
    """Whether the text is a seed in hex, and nothing else."""
    return bool(_HEX.fullmatch(text))


def seed_of(text: str) -> bytes:
    """The seed, 32 bytes, that a text in any of the forms holds.

    Raises: KeyProblem, without anything of what was read.
    """
    text = text.replace("\r\n", "\n").strip()
    if text.startswith(HEADER):
        return _seed_of_key_file(text)
    if is_hex_seed(text):
        return bytes.fromhex(text)
    match = _PEM.fullmatch(text)
    if match is None:
        raise _unusable("it is neither a key file, an OpenSSH or PKCS#8 private key, nor 64 hex digits")
    kind, data = match[1], _from_base64(match[2])
    if kind == _OPENSSH:
        return _seed_of_openssh(data)
    if kind == _PKCS8:
        return _seed_of_pkcs8(data)
    if kind == _ENCRYPTED_PKCS8:
        raise _unusable(f"it is encrypted; {_UNLOCK_PKCS8}")
    raise _unusable(f"it is a {kind[:40]}, and an agent's key is of Ed25519")


def openssh_text(key: SigningKey, comment: str = "") -> str:
    """An OpenSSH private key file, unencrypted, as ssh-keygen writes it; a key always gives the same text."""
    public, note = _public_blob(key.agent), _comment(comment)
    check = blake3(b"episteme openssh check\n" + key.agent).digest(length=4)  # says only that both copies are whole
    private = check + check + public + _string(key.seed + key.agent) + _string(note)
    private += bytes(range(1, 1 + -len(private) % _BLOCK_BYTES))
    blob = _MAGIC + _string(b"none") + _string(b"none") + _string(b"") + (1).to_bytes(4, "big")
    return _pem(_OPENSSH, blob + _string(public) + _string(private), _LINE_CHARS)


def openssh_public_line(agent: bytes, comment: str = "") -> str:
    """The public key as a line of authorized_keys or allowed_signers has it, without the line break."""
    line = f"{_KIND.decode()} {base64.b64encode(_public_blob(agent)).decode()}"
    note = _comment(comment).decode("utf-8")
    return f"{line} {note}" if note else line


def pkcs8_text(key: SigningKey) -> str:
    """A PKCS#8 private key in PEM, unencrypted, as openssl writes it."""
    return _pem(_PKCS8, _PKCS8_HEAD + key.seed, 64)


def _seed_of_key_file(text: str) -> bytes:
    match = re.fullmatch(rf"{HEADER}\nagent ([0-9a-f]{{64}})\nseed ([0-9a-f]{{64}})", text)
    if match is None:
        raise _unusable(f"it is not a key file of the form {HEADER}")
    return _checked(bytes.fromhex(match[2]), bytes.fromhex(match[1]))


def _seed_of_pkcs8(data: bytes) -> bytes:
    if not data.startswith(_PKCS8_HEAD) or len(data) != len(_PKCS8_HEAD) + SEED_BYTES:
        raise _unusable("it is not the PKCS#8 form of an Ed25519 key")
    return data.removeprefix(_PKCS8_HEAD)


def _seed_of_openssh(data: bytes) -> bytes:
    fields = _Fields(data)
    fields.expect(_MAGIC)
    cipher, kdf, options = fields.string(), fields.string(), fields.string()
    if cipher != b"none":
        raise _unusable(f"it is encrypted; {_UNLOCK_OPENSSH}")
    if (kdf, options, fields.take(4)) != (b"none", b"", b"\0\0\0\1"):
        raise _unusable("it does not hold exactly one key")
    public, private = _Fields(fields.string()), _Fields(fields.string())
    fields.expect_end()
    agent = _agent_of(public)
    public.expect_end()
    if private.take(4) != private.take(4) or _agent_of(private) != agent:
        raise _unusable("it is damaged: its parts do not fit each other")
    secret = private.string()
    private.string()  # the comment
    private.expect(bytes(range(1, 1 + private.left)))
    if private.left or len(secret) != SEED_BYTES + len(agent) or secret[SEED_BYTES:] != agent:
        raise _unusable("it is damaged: its parts do not fit each other")
    return _checked(secret[:SEED_BYTES], agent)


def _agent_of(fields: "_Fields") -> bytes:
    kind = fields.string()
    if kind != _KIND:
        raise _unusable(
            f"it is a key of {kind[:40].decode('ascii', 'replace')!r}, and an agent's is of {_KIND.decode()!r}"
        )
    return fields.string()


class _Fields:
    """The fields of a blob, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that are still there."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next bytes.  Raises: KeyProblem if there are fewer."""
        if count > self.left:
            raise _unusable("it is damaged: it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def string(self) -> bytes:
        """A length in four bytes, and so many more."""
        return self.take(int.from_bytes(self.take(4), "big"))

    def expect(self, data: bytes) -> None:
        """Raises: KeyProblem unless these follow."""
        if self.take(len(data)) != data:
            raise _unusable("it is damaged: it does not say what it should")

    def expect_end(self) -> None:
        """Raises: KeyProblem if anything follows."""
        if self.left:
            raise _unusable("it is damaged: something follows its end")


def _checked(seed: bytes, agent: bytes) -> bytes:
    if SigningKey(seed).agent != agent:
        raise _unusable("it is damaged: the seed's agent is not the one that it names")
    return seed


def _public_blob(agent: bytes) -> bytes:
    return _string(_KIND) + _string(agent)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _comment(text: str) -> bytes:
    if not text.isprintable() or len(text) > 200:
        raise KeyProblem("the comment of a key is one line of at most 200 characters")
    return text.encode("utf-8")


def _pem(kind: str, data: bytes, line_chars: int) -> str:
    text = base64.b64encode(data).decode()
    lines = [text[at : at + line_chars] for at in range(0, len(text), line_chars)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise _unusable("it is not Base64") from None


def _unusable(why: str) -> KeyProblem:
    return KeyProblem(f"this is no key that can be used: {why}", hint=FORMS_HINT)
