"""Assertions: content, indexes, and signatures that join later.  Also the first place of every other event."""

from collections.abc import Sequence

from episteme.folds.event import ASSERTION, RULES, LoggedEvent
from keycodec import assertion_row_keys
from stores import AssertionHead, AssertionWriter, EventRow, EventWriter, IndexWriter, RowSignature, Staging


class AssertionFold:
    """Families H, HASH_SUBJECT, S, SP, SUBJECTS and EVENT."""

    name = "assertion"
    version = 3

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Keep a new event, or join the new signatures of a known one."""
        if event.kind == ASSERTION:
            _apply_assertion(event, state)
        elif event.kind != RULES:
            _apply_other(event, state)


def _apply_assertion(event: LoggedEvent, state: Staging) -> None:
    store = AssertionWriter(state)
    keys = assertion_row_keys(event.subject, event.predicate, event.digest)
    known = store.head(keys)
    if known is None:
        seq = event.seq
        signatures = tuple([RowSignature.of(signature, seq) for signature in event.signatures])
        store.put_raw(keys, AssertionHead(event.raw, signatures, seq, event.time))
        IndexWriter(state).add_keys(keys, seq, event.digest)
        return
    joined = _new_signatures(event, known.signatures)
    if joined:
        store.put_raw(keys, AssertionHead(known.event, known.signatures + joined, known.seq, known.time))


def _apply_other(event: LoggedEvent, state: Staging) -> None:
    store = EventWriter(state)
    known = store.get(event.digest)
    before = known.agents if known else ()
    joined = tuple(s.agent for s in event.signatures if s.agent not in before)
    if joined:
        seq, since = (known.seq, known.since) if known else (event.seq, None)
        store.put(event.digest, EventRow(seq, event.kind, before + joined, since))


def _new_signatures(event: LoggedEvent, known: Sequence[RowSignature]) -> tuple[RowSignature, ...]:
    agents = {signature.agent for signature in known}
    return tuple([RowSignature.of(s, event.seq) for s in event.signatures if s.agent not in agents])
