"""Supersessions: an assertion is hidden by an operator's word, or by that of one who has signed it.

From the position on at which the target and both signatures are there, in
whatever order they came.  The common case, an operator or a signer of a target
that is there, is settled when the supersession comes; for any other it is noted
by whose signature it may count, and each assertion that comes or is signed is
asked for such a note, if there is any at all.

One that is taken late counts from its own position, or from that of what it had
to wait for, unless an earlier one does.

Source: docs/governance.md, "What counts".
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from episteme.folds.authority import operator_among, speaking
from episteme.folds.event import ASSERTION, LoggedEvent
from keycodec import any_waiting_supersession_key
from model import Supersession
from stores import (
    ANY_OPERATOR,
    AssertionHead,
    AssertionStore,
    EventStore,
    LineageWriter,
    Posting,
    RulingsWriter,
    Staging,
    SupersessionRow,
    SupersessionWriter,
    Waiting,
)

SUPERSESSION: Final = "supersession"
_ANY_WAITS: Final = any_waiting_supersession_key()


class SupersessionFold:
    """Families SUP, SUPS, SUPW, SUPWS and SUPR."""

    name = "supersession"
    version = 1
    kinds = frozenset((ASSERTION, SUPERSESSION))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Keep what is said, and hide what is thereby hidden."""
        if event.kind == ASSERTION:
            if state.get_often(_ANY_WAITS) is not None:
                _arrive(event, state)
        elif event.kind == SUPERSESSION:
            _say(event, state)


def _say(event: LoggedEvent, state: Staging) -> None:
    """A supersession, or another signature of one."""
    row = _said(event, state)
    store = SupersessionWriter(state)
    store.put_said(row)
    target_hex = row.event.assertion
    counting = store.get(target_hex)
    if counting is not None and counting.since <= event.seq:
        return
    speakers = speaking([signature.agent for signature in event.signatures], event.seq, state)
    is_governed = operator_among(row.signers, event.seq, state) is not None
    (head,) = AssertionStore(state).heads(row.event.subject, [bytes.fromhex(target_hex)])
    since = None if head is None else _since(event, head, speakers, state, is_governed=is_governed)
    if since is not None:
        _count(row, since, event.seq, state)
        return
    waiting = Waiting(event.seq, row.seq)
    for agent in [ANY_OPERATOR, *speakers] if is_governed else speakers:
        (known,) = store.waiting(row.event.subject, target_hex, [agent])
        if known is None or waiting < known:
            store.put_waiting(row.event.subject, target_hex, agent, waiting)


def _said(event: LoggedEvent, state: Staging) -> SupersessionRow:
    """The supersession with all its signers so far, as it stands before this frame."""
    supersession = event.event
    assert isinstance(supersession, Supersession), event.kind
    place = EventStore(state).get(event.digest)
    assert place is not None, f"{event.digest.hex()} has no row"
    known = SupersessionWriter(state).one_said(supersession.assertion, place.seq)
    if known is not None:
        return msgspec.structs.replace(known, signers=place.agents)
    return SupersessionRow(supersession, event.digest, place.agents, place.seq, event.time, -1)


def _since(
    event: LoggedEvent, target: AssertionHead, speakers: Sequence[bytes], state: Staging, *, is_governed: bool
) -> int | None:
    """From where on a supersession counts by the signatures that this frame brings; None: by none of them."""
    positions = [target.seq] if is_governed else []
    positions += [
        signature.seq
        for signature in target.signatures
        if signature.agent in speakers and speaking([signature.agent], signature.seq, state)
    ]
    return max(event.seq, min(positions)) if positions else None


def _arrive(event: LoggedEvent, state: Staging) -> None:
    """An assertion that comes, or is signed by more: what has waited for that counts from here on."""
    best = min(_awaited(event, state), default=None)
    if best is None:
        return
    since, waiting = best
    row = SupersessionWriter(state).one_said(event.digest.hex(), waiting.seq)
    assert row is not None, f"nothing was said of {event.digest.hex()} at {waiting.seq}"
    _count(row, since, event.seq, state)


def _awaited(event: LoggedEvent, state: Staging) -> Iterator[tuple[int, Waiting]]:
    agents = [ANY_OPERATOR, *(signature.agent for signature in event.signatures)]
    found = SupersessionWriter(state).waiting(event.subject, event.digest.hex(), agents)
    for agent, waiting in zip(agents, found, strict=True):
        if waiting is not None and (agent == ANY_OPERATOR or speaking([agent], event.seq, state)):
            yield max(waiting.signed, event.seq), waiting


def _count(row: SupersessionRow, since: int, seq: int, state: Staging) -> None:
    """Let a supersession hide its target from a position on, unless another does from an earlier one."""
    store, lineage = SupersessionWriter(state), LineageWriter(state)
    target_hex, target = row.event.assertion, bytes.fromhex(row.event.assertion)
    known = store.get(target_hex)
    if known is not None:
        if known.since <= since:
            return
        store.put_said(msgspec.structs.replace(known, since=-1))
        if known.event.replacement is not UNSET:
            lineage.remove_replaced(known.event.replacement, Posting(known.since, target))
    counting = msgspec.structs.replace(row, since=since)
    store.put_said(counting)
    store.put(counting)
    if row.event.replacement is not UNSET:
        lineage.add_replaced(row.event.replacement, Posting(since, target))
    RulingsWriter(state).note("supersession", seq)
