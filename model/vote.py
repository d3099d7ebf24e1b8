"""A vote: one agent's weight for or against one assertion."""

from msgspec import UNSET, UnsetType

from model.assertion import EventBase
from model.text import (
    NOTE_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    HexAgent,
    HexHash,
    SignedUnitDecimal,
    Timestamp,
    check_label,
    check_text,
)


class Vote(EventBase, frozen=True, kw_only=True, tag="vote"):
    """-1 to 1; 0 takes the agent's vote back.  subject is that of the assertion."""

    agent: HexAgent
    timestamp: Timestamp
    assertion: HexHash
    subject: str
    weight: SignedUnitDecimal
    reason: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_label("subject", self.subject, SUBJECT_BYTES_MAX)
        if self.reason is not UNSET:
            check_text("reason", self.reason, NOTE_BYTES_MAX)
