"""What an answer says, as bytes and as a digest of 32 bytes: the same for every way that leads to the same answer.

Source: docs/audit.md, "Digest".
"""

from functools import cache
from typing import Final

import msgspec
from blake3 import blake3

# What differs between two askings of one question at one position: which asking it is, how the position was asked
# for, and whether it was to be explained.
UNSAID: Final = ("audit_id", "as_of", "explain")

_encode = msgspec.json.Encoder(order="sorted").encode
_replace = msgspec.structs.replace


def what_is_said(answer: msgspec.Struct) -> bytes:
    """An answer's canonical JSON, keys sorted, its fields of UNSAID null.

    Fields that say nothing are left out as the answer's shape has it, so one that is added later leaves the
    bytes of older answers as they were.
    """
    unsaid = _unsaid_fields(type(answer))
    for name in unsaid:
        if getattr(answer, name) is not None:
            return _encode(_replace(answer, **unsaid))
    return _encode(answer)


def answer_digest(answer: msgspec.Struct) -> bytes:
    """BLAKE3 of what an answer says."""
    return blake3(what_is_said(answer)).digest()


@cache
def _unsaid_fields(answer_type: type[msgspec.Struct]) -> dict[str, None]:
    return {name: None for name in UNSAID if name in answer_type.__struct_fields__}
