"""The payload of a rules frame: what the folds of this database go by that no event says.

A database writes one into its own log when it is opened with other rules than
the last; from there on they hold.  So a fold still depends on nothing but its
log, and a replay judges every event by the rules of its time.

Layout: one version byte, then a msgpack map of the fields that differ from
their defaults.  Source: docs/format-events.md, "Rules of the database".
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from model.errors import UnsupportedRecord

FRAME_KIND_RULES: Final = 2
OPERATORS_MAX: Final = 100  # read whole at every event that only an operator may sign
_VERSION_BYTE: Final = b"\x01"

_Key = Annotated[bytes, Meta(min_length=32, max_length=32)]


class DatabaseRules(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Who governs, and when a rule raises an escalation.

    operators: public keys, sorted.  anecdotal_cluster_count: so many anecdotal claims on a pair without a better
    one raise an escalation.  regulatory_conflict_micros: so does this conflict among regulatory claims, in millionths.
    """

    operators: Annotated[tuple[_Key, ...], Meta(max_length=OPERATORS_MAX)] = ()
    anecdotal_cluster_count: Annotated[int, Meta(ge=1)] = 500
    regulatory_conflict_micros: Annotated[int, Meta(ge=0, le=1_000_000)] = 800_000


_decode = msgspec.msgpack.Decoder(DatabaseRules).decode
_DEFAULTS: Final = msgspec.structs.asdict(DatabaseRules())  # in the order of the record


def encode_rules(rules: DatabaseRules) -> bytes:
    """The payload of a frame of kind FRAME_KIND_RULES: the same for equal rules, however they were made.

    msgspec leaves out a default that is the very same object, which a number of this size need not be.
    """
    differing = {name: getattr(rules, name) for name, default in _DEFAULTS.items() if getattr(rules, name) != default}
    return _VERSION_BYTE + msgspec.msgpack.encode(differing)


def decode_rules(payload: bytes) -> DatabaseRules:
    """Read a payload back.

    Raises: UnsupportedRecord for another version, a wrong shape or trailing bytes.
    """
    if payload[:1] != _VERSION_BYTE:
        raise UnsupportedRecord(f"rules record of version {payload[:1].hex() or 'none'}; this program reads 1")
    try:
        return _decode(payload[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnsupportedRecord(f"rules record is damaged: {error}") from error
