"""A claim: one agent, or several, say that a subject's predicate has this object."""

import re
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from model.errors import FieldRule
from model.text import (
    LABEL_BYTES_MAX,
    NOTE_BYTES_MAX,
    PREDICATE_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    HexHash,
    Moment,
    Timestamp,
    UnitDecimal,
    check_label,
    check_text,
)
from model.values import AnyValue

EVENT_VERSION: Final = 2

SourceClass = Literal["regulatory", "clinical", "observational", "expert", "community", "anecdotal"]
Lifecycle = Literal["proposed", "under_review", "approved", "deprecated", "rejected"]

SOURCE_CLASSES: Final[tuple[SourceClass, ...]] = (
    "regulatory",
    "clinical",
    "observational",
    "expert",
    "community",
    "anecdotal",
)
LIFECYCLES: Final[tuple[Lifecycle, ...]] = ("proposed", "under_review", "approved", "deprecated", "rejected")
TIER_BY_SOURCE_CLASS: Final = {name: tier for tier, name in enumerate(SOURCE_CLASSES)}

METADATA_KEYS_MAX: Final = 32
METADATA_BYTES_MAX: Final = 4 * 1024
_METADATA_KEY = re.compile(r"[a-z0-9_.-]{1,64}")


class EventBase(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """What all kinds share: the format version, 2."""

    v: Literal[2]


class Assertion(EventBase, frozen=True, kw_only=True, tag="assertion"):
    """One signed claim.  Rules of every field: docs/format-events.md."""

    subject: str
    predicate: str
    object: AnyValue
    confidence: UnitDecimal
    source_class: SourceClass
    lifecycle: Lifecycle
    timestamp: Timestamp
    source_hash: HexHash | UnsetType = UNSET
    parent_hash: HexHash | UnsetType = UNSET
    valid_from: Moment | UnsetType = UNSET
    valid_to: Moment | UnsetType = UNSET
    epoch: HexHash | UnsetType = UNSET
    narrative: str | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    audience: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_label("subject", self.subject, SUBJECT_BYTES_MAX)
        check_label("predicate", self.predicate, PREDICATE_BYTES_MAX)
        if self.narrative is not UNSET:
            check_text("narrative", self.narrative, NOTE_BYTES_MAX)
        if self.metadata is not UNSET:
            _check_metadata(self.metadata)
        if self.audience is not UNSET:
            check_label("audience", self.audience, LABEL_BYTES_MAX)
        if self.valid_to is not UNSET:
            _check_span(self.valid_from, self.valid_to, self.timestamp)


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > METADATA_KEYS_MAX:
        raise FieldRule("metadata", f"has {len(metadata)} keys; at most {METADATA_KEYS_MAX} are allowed")
    size_bytes = 0
    for key, value in metadata.items():
        if not isinstance(key, str) or not _METADATA_KEY.fullmatch(key):
            raise FieldRule("metadata", f"has the key {key!r:.80}; keys are 1 to 64 of a-z 0-9 _ . -")
        check_text("metadata", value, METADATA_BYTES_MAX)
        size_bytes += len(key) + len(value.encode("utf-8"))
    if size_bytes > METADATA_BYTES_MAX:
        raise FieldRule("metadata", f"has {size_bytes} bytes in all; at most {METADATA_BYTES_MAX} are allowed")


def _check_span(valid_from: int | UnsetType, valid_to: int, timestamp: int) -> None:
    start = timestamp if valid_from is UNSET else valid_from
    if valid_to <= start:
        raise FieldRule("valid_to", f"is {valid_to}, which is not after the span's start {start}")
