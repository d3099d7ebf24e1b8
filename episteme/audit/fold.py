"""Audits into the state: AUD by id, AUDA by who asked, AUDP by what about; and out of it again.

Source: docs/audit.md, "The log of audits".
"""

from collections.abc import Sequence
from typing import Final

from cortex import Fold
from episteme.audit.event import Answered, AuditEvent
from stores import AuditWriter, Staging

DROP_COUNT_MAX: Final = 1000  # audits that one event takes out: bounds what a batch holds and how long it takes


class AuditFold:
    """Keeps each audit as the log has it, with its lines in the lists."""

    name = "audit"
    version = 1

    def apply(self, event: AuditEvent, state: Staging) -> None:
        """An audit comes, or some of the oldest go."""
        if isinstance(event, Answered):
            AuditWriter(state).put_raw(event.query_id, event.head, event.row)
            return
        audits = AuditWriter(state)
        oldest = audits.everybodys().oldest(after=event.after_id, count_max=DROP_COUNT_MAX)
        for query_id, found in zip(oldest, audits.heads(oldest), strict=True):
            if found is not None and found[0] < event.before_seq:
                audits.remove(query_id, found[1])


AUDIT_FOLDS: Final[Sequence[Fold[AuditEvent]]] = (AuditFold(),)
