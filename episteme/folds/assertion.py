"""Assertions: content, indexes, and signatures that join later.  Also the first place of every other event."""

from collections.abc import Sequence

from episteme.folds.event import LoggedEvent
from model import Assertion, EventRecord, kind_of
from stores import (
    AssertionRow,
    AssertionWriter,
    EventRow,
    EventWriter,
    IndexWriter,
    Posting,
    RowSignature,
    Staging,
)


class AssertionFold:
    """Families H, HASH_SUBJECT, S, SP, SUBJECTS and EVENT."""

    name = "assertion"
    version = 1

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Keep a new event, or join the new signatures of a known one."""
        if isinstance(event.record.event, Assertion):
            _apply_assertion(event, event.record.event, state)
        else:
            _apply_other(event, state)

    def finish(self, events: Sequence[LoggedEvent], state: Staging) -> None:
        """Nothing follows from a batch as a whole."""


def _apply_assertion(event: LoggedEvent, assertion: Assertion, state: Staging) -> None:
    digest = event.record.digest
    store = AssertionWriter(state)
    known = store.find(digest)
    if known is None:
        signatures = _new_signatures(event.record, (), event.seq)
        store.put(digest, AssertionRow(assertion, signatures, event.seq, event.time))
        IndexWriter(state).add(assertion.subject, assertion.predicate, Posting(event.seq, digest))
        return
    joined = _new_signatures(event.record, known.signatures, event.seq)
    if joined:
        store.put(digest, AssertionRow(known.event, known.signatures + joined, known.seq, known.time))


def _apply_other(event: LoggedEvent, state: Staging) -> None:
    digest = event.record.digest
    store = EventWriter(state)
    known = store.get(digest)
    before = known.agents if known else ()
    joined = tuple(s.agent for s in event.record.signatures if s.agent not in before)
    if joined:
        seq = known.seq if known else event.seq
        store.put(digest, EventRow(seq, kind_of(event.record.event), before + joined))


def _new_signatures(record: EventRecord, known: Sequence[RowSignature], seq: int) -> tuple[RowSignature, ...]:
    agents = {signature.agent for signature in known}
    return tuple(RowSignature(s.agent, s.signature, seq) for s in record.signatures if s.agent not in agents)
