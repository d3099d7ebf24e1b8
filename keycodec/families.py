"""The table of key families: what each tag means, where it lives, what it holds.

Routing in the hybrid store, the parser and docs/format-keys.md are all checked
against this one table.
"""

from enum import Enum
from typing import Final, NamedTuple

from keycodec.grammar import COMPONENTS, SUBJECT_BYTES_MAX


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
    """One row of the table; components names the suffix's parts in order, as grammar.COMPONENTS knows them."""

    tag: str
    scope: Scope
    components: tuple[str, ...]
    kind: Kind
    engine: Engine
    meaning: str

    @property
    def key_bytes_max(self) -> int:
        """The length of the family's longest key."""
        parts = [COMPONENTS[name].bytes_max for name in self.components]
        subject_bytes = SUBJECT_BYTES_MAX if self.scope is Scope.SUBJECT else 0
        return subject_bytes + len(f"\x00{self.tag}:") + sum(parts) + max(len(parts) - 1, 0)

    @property
    def pattern(self) -> str:
        """The key as docs/format-keys.md writes it, a NUL as backslash, x and two zeros."""
        closed = [f"{{{name}}}" + (":" if COMPONENTS[name].is_fixed else "\\x00") for name in self.components[:-1]]
        last = [f"{{{name}}}" for name in self.components[-1:]]
        subject = "{subject}" if self.scope is Scope.SUBJECT else ""
        return f"{subject}\\x00{self.tag}:" + "".join(closed + last)


FAMILIES: Final[tuple[Family, ...]] = (
    Family("H", Scope.SUBJECT, ("hash",), Kind.RECORD, Engine.WRITE, "assertion, signatures, log position"),
    Family("S", Scope.SUBJECT, (), Kind.POSTINGS, Engine.READ, "the subject's assertions in log order"),
    Family("SP", Scope.SUBJECT, ("predicate",), Kind.POSTINGS, Engine.READ, "the pair's assertions"),
    Family("MV", Scope.SUBJECT, ("predicate",), Kind.RECORD, Engine.READ, "the pair's precomputed winner"),
    Family("V", Scope.SUBJECT, ("hash", "vh"), Kind.RECORD, Engine.WRITE, "vote on an assertion"),
    Family("VL", Scope.SUBJECT, ("hash", "agent"), Kind.RECORD, Engine.WRITE, "an agent's live vote"),
    Family("VC", Scope.SUBJECT, ("hash",), Kind.RAW, Engine.WRITE, "u64 LE: live votes of non-zero weight"),
    Family("VW", Scope.SUBJECT, ("hash",), Kind.RAW, Engine.WRITE, "f32 LE: their weight, a view of VT"),
    Family("VT", Scope.SUBJECT, ("hash",), Kind.RECORD, Engine.WRITE, "exact vote sums in millionths"),
    Family("VE", Scope.SUBJECT, (), Kind.MARKER, Engine.WRITE, "votes came before what they are on"),
    Family("PT", Scope.SUBJECT, ("predicate",), Kind.RECORD, Engine.WRITE, "the pair's tallies behind MV"),
    Family("PG", Scope.SUBJECT, ("pair", "value"), Kind.RECORD, Engine.WRITE, "tallies of a value"),
    Family("PO", Scope.SUBJECT, ("pair", "rank", "tie"), Kind.RAW, Engine.WRITE, "values in the order of the answer"),
    Family("PS", Scope.SUBJECT, ("pair", "value", "tie", "agent"), Kind.MARKER, Engine.WRITE, "who stands for a value"),
    Family("PU", Scope.SUBJECT, ("pair", "value", "seq"), Kind.RAW, Engine.WRITE, "a value's claims beyond the first"),
    Family("PB", Scope.SUBJECT, ("pair", "value", "tie"), Kind.MARKER, Engine.WRITE, "the same, the best first"),
    Family("PA", Scope.SUBJECT, ("pair", "agent"), Kind.RECORD, Engine.WRITE, "an agent's latest claims"),
    Family("PE", Scope.SUBJECT, ("pair", "agent", "recency"), Kind.RAW, Engine.WRITE, "an agent's earlier claims"),
    Family("PF", Scope.SUBJECT, ("pair", "agent", "value"), Kind.RAW, Engine.WRITE, "the best of them for a value"),
    Family("PX", Scope.SUBJECT, ("pair", "agent", "value", "tie"), Kind.MARKER, Engine.WRITE, "the others, in order"),
    Family("PR", Scope.SUBJECT, ("pair", "hash"), Kind.RECORD, Engine.WRITE, "a chain of lifecycle moves by its root"),
    Family("PL", Scope.SUBJECT, ("pair", "hash"), Kind.RAW, Engine.WRITE, "the root of a claim's chain"),
    Family(
        "PW", Scope.SUBJECT, ("pair", "parent", "hash"), Kind.RAW, Engine.WRITE, "a claim that waits for its parent"
    ),
    Family("GS", Scope.SUBJECT, ("predicate",), Kind.RECORD, Engine.READ, "the pair's gold standard"),
    Family(
        "J", Scope.SUBJECT, ("hash", "gold", "agent"), Kind.RECORD, Engine.WRITE, "a signer judged by a gold standard"
    ),
    Family(
        "AUDP", Scope.SUBJECT, ("predicate", "time", "query_id"), Kind.MARKER, Engine.WRITE, "queries about the pair"
    ),
    Family("ESCP", Scope.SUBJECT, ("predicate",), Kind.RECORD, Engine.READ, "the pair's unresolved escalations"),
    Family("SUPW", Scope.SUBJECT, ("hash", "agent"), Kind.RAW, Engine.READ, "who may supersede an assertion"),
    Family("ESCN", Scope.SUBJECT, ("predicate",), Kind.RECORD, Engine.WRITE, "what rules count of the pair"),
    Family("ESCR", Scope.SUBJECT, ("pair", "seq"), Kind.RAW, Engine.WRITE, "hash of a regulatory claim of the pair"),
    Family("EVENT", Scope.GLOBAL, ("hash",), Kind.RECORD, Engine.WRITE, "first position of a non-assertion"),
    Family("HASH_SUBJECT", Scope.GLOBAL, ("hash",), Kind.RAW, Engine.WRITE, "the assertion's subject"),
    Family("VOTED", Scope.GLOBAL, ("hash", "vh"), Kind.RAW, Engine.WRITE, "the subject that a doubtful vote names"),
    Family("EARLY", Scope.GLOBAL, (), Kind.MARKER, Engine.WRITE, "some subject has a VE row"),
    Family("SUBJECTS", Scope.GLOBAL, ("subject",), Kind.MARKER, Engine.READ, "known subjects"),
    Family("CHILD", Scope.GLOBAL, ("parent", "seq"), Kind.RAW, Engine.WRITE, "assertions by their parent"),
    Family("SRCA", Scope.GLOBAL, ("source_hash", "seq"), Kind.RAW, Engine.WRITE, "assertions by their source"),
    Family("EA", Scope.GLOBAL, ("epoch", "seq"), Kind.RAW, Engine.WRITE, "assertions by their epoch"),
    Family("AA", Scope.GLOBAL, ("agent", "seq"), Kind.RAW, Engine.WRITE, "assertions by a signer"),
    Family("SUPR", Scope.GLOBAL, ("hash", "seq"), Kind.RAW, Engine.WRITE, "assertions by their replacement"),
    Family("TRUST", Scope.GLOBAL, ("agent",), Kind.RECORD, Engine.READ, "trust rank"),
    Family("TRUSTH", Scope.GLOBAL, ("agent", "seq"), Kind.RECORD, Engine.WRITE, "a change of a trust rank"),
    Family("QUOTA", Scope.GLOBAL, ("agent", "window"), Kind.RECORD, Engine.WRITE, "tokens used in that hour"),
    Family("QLIMIT", Scope.GLOBAL, ("agent",), Kind.RECORD, Engine.READ, "tokens allowed an hour"),
    Family("E", Scope.GLOBAL, ("epoch",), Kind.RECORD, Engine.WRITE, "epoch"),
    Family("SUPERSEDED", Scope.GLOBAL, ("epoch",), Kind.RECORD, Engine.WRITE, "the epoch is superseded, and by what"),
    Family("SUP", Scope.GLOBAL, ("hash",), Kind.RECORD, Engine.WRITE, "supersession of an assertion"),
    Family("SUPS", Scope.GLOBAL, ("hash", "seq"), Kind.RECORD, Engine.WRITE, "every supersession of an assertion"),
    Family("SUPWS", Scope.GLOBAL, (), Kind.MARKER, Engine.READ, "some supersession does not count yet"),
    Family("AUD", Scope.GLOBAL, ("query_id",), Kind.RECORD, Engine.WRITE, "query audit"),
    Family("AUDA", Scope.GLOBAL, ("agent", "time", "query_id"), Kind.MARKER, Engine.WRITE, "an agent's queries"),
    Family("ESC", Scope.GLOBAL, ("time", "id"), Kind.RECORD, Engine.READ, "escalation"),
    Family("ESCI", Scope.GLOBAL, ("id",), Kind.RAW, Engine.READ, "u64 LE: the time in an escalation's key"),
    Family("TP", Scope.GLOBAL, ("pack",), Kind.RECORD, Engine.READ, "trust pack"),
    Family("TPH", Scope.GLOBAL, ("pack", "inverse"), Kind.RECORD, Engine.WRITE, "a trust pack's earlier versions"),
    Family("ESCS", Scope.GLOBAL, (), Kind.MARKER, Engine.WRITE, "some pair has an ESCN row"),
    Family("GS_LIST", Scope.GLOBAL, ("subject", "predicate"), Kind.MARKER, Engine.READ, "pairs with a gold standard"),
    Family("GOLD", Scope.GLOBAL, (), Kind.MARKER, Engine.READ, "some pair has had a gold standard"),
    Family("SRC", Scope.GLOBAL, ("source_hash",), Kind.RECORD, Engine.READ, "source and its statuses"),
    Family("SRCT", Scope.GLOBAL, (), Kind.RAW, Engine.READ, "u64 LE: sources suspect or retracted now"),
    Family("ALIAS", Scope.GLOBAL, ("subject",), Kind.RECORD, Engine.READ, "the subject that this one is the same as"),
    Family("ALIASH", Scope.GLOBAL, ("subject", "inverse"), Kind.RECORD, Engine.WRITE, "a subject's earlier aliases"),
    Family("ALIASR", Scope.GLOBAL, ("subject", "alias"), Kind.RAW, Engine.READ, "who was made the same as this one"),
    Family("PRED", Scope.GLOBAL, ("predicate",), Kind.RECORD, Engine.READ, "how a predicate's values are compared"),
    Family("PREDH", Scope.GLOBAL, ("predicate", "inverse"), Kind.RECORD, Engine.WRITE, "a predicate's earlier rules"),
    Family("REVOKED", Scope.GLOBAL, ("agent",), Kind.RECORD, Engine.READ, "from where on a key no longer speaks"),
    Family("RULES", Scope.GLOBAL, (), Kind.RECORD, Engine.READ, "the rules of the database in force"),
    Family("RULED", Scope.GLOBAL, (), Kind.RECORD, Engine.READ, "the last changes of what answers rest on"),
    Family("DEAD", Scope.GLOBAL, ("seq",), Kind.RECORD, Engine.WRITE, "an event that a fold could not take"),
    Family("META", Scope.GLOBAL, ("name",), Kind.RAW, Engine.BOTH, "cursor, versions, format, log id"),
)

FAMILY_BY_TAG: Final = {family.tag: family for family in FAMILIES}
