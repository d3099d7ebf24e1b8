"""did:key: another spelling of an agent, as other systems name an Ed25519 key.

``did:key:z`` and then, in base58 (Bitcoin's alphabet), the bytes ED 01 and the
32 of the public key.  Events and answers keep the hex form; this one is for
people and for other programs, and every key has exactly one spelling of each.

Source: The did:key Method v0.9 (W3C CCG), sections 2 and 3.1.1; docs/format-events.md.
"""

import re
from typing import Final

from model.errors import FieldRule

DID_PREFIX: Final = "did:key:"

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519_CODE: Final = b"\xed\x01"  # 0xed as a varint: the multicodec of an Ed25519 public key
_KEY_BYTES: Final = 32
_HEX: Final = re.compile(r"[0-9a-f]{64}")
# 34 bytes of which the first two are ED 01 are 47 digits of base58, and the first four of them are these.
_DID: Final = re.compile(rf"did:key:z(6Mk[{_ALPHABET}]{{44}})")


def did_of(agent: bytes) -> str:
    """The did:key of a public key of 32 bytes."""
    assert len(agent) == _KEY_BYTES, f"a public key has {_KEY_BYTES} bytes, found {len(agent)}"
    return f"{DID_PREFIX}z{_to_base58(_ED25519_CODE + agent)}"


def agent_of(text: str) -> bytes:
    """The public key, 32 bytes, that 64 lower-case hex digits or a did:key name.

    Raises: FieldRule for anything else: other cases, white space and other kinds of key too.
    """
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    match = _DID.fullmatch(text)
    data = b"" if match is None else _from_base58(match[1])
    if len(data) != len(_ED25519_CODE) + _KEY_BYTES or not data.startswith(_ED25519_CODE):
        raise FieldRule("agent", "is neither 64 lower-case hex digits nor the did:key of an Ed25519 key")
    return data.removeprefix(_ED25519_CODE)


def _to_base58(data: bytes) -> str:
    """Base58 of bytes that do not begin with a zero."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _from_base58(text: str) -> bytes:
    """The bytes of digits, of which the first is not 1."""
    number = 0
    for digit in text:
        number = number * len(_ALPHABET) + _ALPHABET.index(digit)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
