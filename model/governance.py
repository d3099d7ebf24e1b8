"""The other kinds of events: what rules, groups and judges claims.

Who may sign which kind, and from when it counts, is the folds' business; this
module says what may be said.
"""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from model.assertion import EventBase
from model.errors import FieldRule
from model.text import (
    NOTE_BYTES_MAX,
    PREDICATE_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    URL_BYTES_MAX,
    Count,
    HexAgent,
    HexHash,
    Moment,
    Timestamp,
    Tolerance,
    UnitDecimal,
    check_label,
    check_text,
)
from model.values import AnyValue

SOURCE_CONTENT_BYTES_MAX: Final = 1024 * 1024
PACK_MEMBERS_MAX: Final = 10_000  # a pack is read whole by a query that names it
BUNDLE_EVENTS_MAX: Final = 10_000
SEPARATOR_BYTES_MAX: Final = 16
LENS_NAME_BYTES_MAX: Final = 64


class GovernanceBase(EventBase, frozen=True, kw_only=True):
    """What all of them share: the signer and when it says it signed."""

    agent: HexAgent
    timestamp: Timestamp


class Epoch(GovernanceBase, frozen=True, kw_only=True, tag="epoch"):
    """A paradigm that claims belong to; it may supersede one other."""

    name: str
    start: Moment
    end: Moment | UnsetType = UNSET
    supersedes: HexHash | UnsetType = UNSET
    supersession: Literal["temporal", "invalidation", "additive"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_label("name", self.name)
        if self.end is not UNSET and self.end <= self.start:
            raise FieldRule("end", f"is {self.end}, which is not after the start {self.start}")
        if (self.supersedes is UNSET) is not (self.supersession is UNSET):
            raise FieldRule("supersession", "and supersedes go together: give both or neither")


class Supersession(GovernanceBase, frozen=True, kw_only=True, tag="supersession"):
    """An assertion is hidden in favour of its replacement, or of nothing."""

    assertion: HexHash
    subject: str
    mode: Literal["invalidate", "replace"]
    reason: str
    replacement: HexHash | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_label("subject", self.subject, SUBJECT_BYTES_MAX)
        check_text("reason", self.reason, NOTE_BYTES_MAX)
        if (self.mode == "replace") is (self.replacement is UNSET):
            raise FieldRule("replacement", "is given with mode 'replace', and only with it")


class Source(GovernanceBase, frozen=True, kw_only=True, tag="source"):
    """A piece of evidence is registered, or its status changes."""

    source_hash: HexHash
    label: str
    status: Literal["active", "suspect", "retracted"]
    url: str | UnsetType = UNSET
    content: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_label("label", self.label)
        if self.url is not UNSET:
            check_label("url", self.url, URL_BYTES_MAX)
        if self.content is not UNSET:
            check_text("content", self.content, SOURCE_CONTENT_BYTES_MAX)


class GoldStandard(GovernanceBase, frozen=True, kw_only=True, tag="gold_standard"):
    """The known answer for a pair, against which signers are judged."""

    subject: str
    predicate: str
    object: AnyValue
    tolerance: Tolerance | UnsetType = UNSET
    removed: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.removed is False:
            raise FieldRule("removed", "is true or left out")
        check_label("subject", self.subject, SUBJECT_BYTES_MAX)
        check_label("predicate", self.predicate, PREDICATE_BYTES_MAX)


class PackMember(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent that a trust pack vouches for."""

    agent: HexAgent
    weight: UnitDecimal | UnsetType = UNSET


class TrustPack(GovernanceBase, frozen=True, kw_only=True, tag="trust_pack"):
    """A curator's list of agents; a higher version replaces a lower one."""

    name: str
    version: Count
    members: Annotated[list[PackMember], Meta(max_length=PACK_MEMBERS_MAX)]
    note: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_label("name", self.name)
        if self.note is not UNSET:
            check_text("note", self.note, NOTE_BYTES_MAX)
        _check_unique("members", [member.agent for member in self.members])


class QuotaLimit(GovernanceBase, frozen=True, kw_only=True, tag="quota_limit"):
    """How many tokens an hour one agent may spend."""

    for_agent: HexAgent
    tokens: Count


class PredicateRule(GovernanceBase, frozen=True, kw_only=True, tag="predicate"):
    """How a predicate's values are compared."""

    predicate: str
    cardinality: Literal["one", "many"]
    tolerance: Tolerance | UnsetType = UNSET
    separator: str | UnsetType = UNSET
    default_lens: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_label("predicate", self.predicate, PREDICATE_BYTES_MAX)
        if self.separator is not UNSET:
            check_text("separator", self.separator, SEPARATOR_BYTES_MAX)
            if not self.separator:
                raise FieldRule("separator", "is empty")
        if self.default_lens is not UNSET:
            check_label("default_lens", self.default_lens, LENS_NAME_BYTES_MAX)


class Alias(GovernanceBase, frozen=True, kw_only=True, tag="alias"):
    """Two subjects are the same thing."""

    subject: str
    same_as: str

    def __post_init__(self) -> None:
        check_label("subject", self.subject, SUBJECT_BYTES_MAX)
        check_label("same_as", self.same_as, SUBJECT_BYTES_MAX)


class KeyRevocation(GovernanceBase, frozen=True, kw_only=True, tag="key_revocation"):
    """An agent's key no longer speaks, from this event's place in the log on."""

    revoked: HexAgent
    reason: str

    def __post_init__(self) -> None:
        check_text("reason", self.reason, NOTE_BYTES_MAX)


class EscalationAck(GovernanceBase, frozen=True, kw_only=True, tag="escalation_ack"):
    """An operator has looked at an escalation."""

    escalation: str
    verdict: str

    def __post_init__(self) -> None:
        check_label("escalation", self.escalation)
        check_text("verdict", self.verdict, NOTE_BYTES_MAX)


class Bundle(GovernanceBase, frozen=True, kw_only=True, tag="bundle"):
    """Many events signed at once: the ordered list of their hashes."""

    events: Annotated[list[HexHash], Meta(min_length=1, max_length=BUNDLE_EVENTS_MAX)]

    def __post_init__(self) -> None:
        _check_unique("events", self.events)


def _check_unique(field: str, ids: list[str]) -> None:
    if len(set(ids)) != len(ids):
        raise FieldRule(field, "names the same one twice")
