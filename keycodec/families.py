"""The table of key families: what each tag means, where it lives, what it holds.

Routing in the hybrid store, the parser and docs/format-keys.md are all checked
against this one table.
"""

from enum import Enum
from typing import Final, NamedTuple


class Scope(Enum):
    """Whether a key belongs to one subject or to the whole database."""

    SUBJECT = "subject"
    GLOBAL = "global"


class Engine(Enum):
    """Which engine keeps a family."""

    WRITE = "write"  # RocksDB: many small writes, mostly read by exact key
    READ = "read"  # LMDB: read far more often than written
    BOTH = "both"  # each engine its own copy


class Kind(Enum):
    """How a family's values are encoded."""

    RECORD = "record"  # version byte, then msgpack
    POSTINGS = "postings"  # fixed-size entries in order, none twice
    RAW = "raw"  # bytes with a layout of their own
    MARKER = "marker"  # empty: the key is the fact


class Family(NamedTuple):
    """One row of the table; components lists the suffix's parts in order."""

    tag: str
    scope: Scope
    components: tuple[str, ...]
    kind: Kind
    engine: Engine
    meaning: str


FAMILIES: Final[tuple[Family, ...]] = (
    Family("H", Scope.SUBJECT, ("hash",), Kind.RECORD, Engine.WRITE, "assertion, signatures, log position"),
    Family("S", Scope.SUBJECT, (), Kind.POSTINGS, Engine.READ, "the subject's assertions in log order"),
    Family("SP", Scope.SUBJECT, ("predicate",), Kind.POSTINGS, Engine.READ, "the pair's assertions"),
    Family("MV", Scope.SUBJECT, ("predicate",), Kind.RECORD, Engine.READ, "the pair's precomputed winner"),
    Family("V", Scope.SUBJECT, ("hash", "hash"), Kind.RECORD, Engine.WRITE, "vote on an assertion"),
    Family("VL", Scope.SUBJECT, ("hash", "agent"), Kind.RECORD, Engine.WRITE, "an agent's live vote"),
    Family("VC", Scope.SUBJECT, ("hash",), Kind.RAW, Engine.WRITE, "u64 LE: live votes of non-zero weight"),
    Family("VW", Scope.SUBJECT, ("hash",), Kind.RAW, Engine.WRITE, "f32 LE: their weight, a view of VT"),
    Family("VT", Scope.SUBJECT, ("hash",), Kind.RECORD, Engine.WRITE, "exact vote sums in millionths"),
    Family("EVENT", Scope.GLOBAL, ("hash",), Kind.RECORD, Engine.WRITE, "first position of a non-assertion"),
    Family("HASH_SUBJECT", Scope.GLOBAL, ("hash",), Kind.RAW, Engine.WRITE, "the assertion's subject"),
    Family("SUBJECTS", Scope.GLOBAL, ("subject",), Kind.MARKER, Engine.READ, "known subjects"),
    Family("META", Scope.GLOBAL, ("name",), Kind.RAW, Engine.BOTH, "cursor, versions, format, log id"),
)

FAMILY_BY_TAG: Final = {family.tag: family for family in FAMILIES}
