"""Lineage: lists of assertions by parent, source, epoch and signer.

Nearly every assertion is put on some list, so a batch's entries are gathered
and written together, a row for each list and block of positions.
"""

from collections.abc import Sequence

from episteme.folds.event import ASSERTION, LoggedEvent
from stores import AssertionStore, IndexWriter, LineageWriter, Staging, pack_posting

_Lists = dict[str, list[bytes]]


class LineageFold:
    """Families CHILD, SRCA, EA and AA.  Runs after the fold of assertions."""

    name = "lineage"
    version = 1
    kinds: frozenset[str] = frozenset()  # all of it is done once a batch

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Nothing yet: entries of a batch are written together."""

    def finish(self, events: Sequence[LoggedEvent], state: Staging) -> None:
        """List the assertions that are new, and those that are known under who has joined."""
        children: _Lists = {}
        of_source: _Lists = {}
        of_epoch: _Lists = {}
        of_agent: dict[bytes, list[bytes]] = {}
        index = IndexWriter(state)
        for event in events:
            if event.kind != ASSERTION:
                continue
            entry = pack_posting(event.seq, event.digest)
            if not index.adds(event.subject, entry):
                for agent in _joined(event, state):
                    _list_under(of_agent, agent, entry)
                continue
            for signature in event.signatures:
                _list_under(of_agent, signature.agent, entry)
            if event.parent_hash:
                children.setdefault(event.parent_hash, []).append(entry)
            if event.source_hash:
                of_source.setdefault(event.source_hash, []).append(entry)
            if event.epoch:
                of_epoch.setdefault(event.epoch, []).append(entry)
        _write(LineageWriter(state), children, of_source, of_epoch, of_agent)


def _list_under(lists: dict[bytes, list[bytes]], agent: bytes, entry: bytes) -> None:
    entries = lists.get(agent)
    if entries is None:
        lists[agent] = [entry]
    elif entries[-1] != entry:
        entries.append(entry)


def _joined(event: LoggedEvent, state: Staging) -> list[bytes]:
    """Who has signed a known assertion by this event."""
    (head,) = AssertionStore(state).heads(event.subject, [event.digest])
    assert head is not None, f"{event.digest.hex()} is not there"
    return [signature.agent for signature in head.signatures if signature.seq == event.seq]


def _write(
    store: LineageWriter, children: _Lists, of_source: _Lists, of_epoch: _Lists, of_agent: dict[bytes, list[bytes]]
) -> None:
    for parent, entries in children.items():
        store.add_children(parent, entries)
    for source, entries in of_source.items():
        store.add_to_source(source, entries)
    for epoch, entries in of_epoch.items():
        store.add_to_epoch(epoch, entries)
    for agent, entries in of_agent.items():
        store.add_to_agent(agent, entries)
