"""What has been said already: the window of events that are in the log and not yet in the state."""

from collections import deque

from msgspec import Struct

from model import Assertion, SignedEvent
from stores import AssertionStore, EventStore, MetaStore, Reader


class Known(Struct, frozen=True, gc=False):
    """An event's first position and its signers so far."""

    seq: int
    agents: frozenset[bytes]


def joined(before: Known | None, seq: int, signed: SignedEvent) -> Known:
    """What is known of an event after it was appended at seq."""
    agents = frozenset(signature.agent for signature in signed.signatures)
    return Known(seq, agents) if before is None else Known(before.seq, before.agents | agents)


class RecentEvents:
    """Events appended but not folded, by hash.  For one thread at a time; as large as the fold's lag."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._last_seq: dict[bytes, int] = {}
        # In the order of appending: the seq, the hash, and what was known of it here before, with its last seq.
        self._order: deque[tuple[int, bytes, tuple[Known, int] | None]] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def forget_before(self, cursor: int) -> None:
        """Drop what a state with this cursor knows."""
        while self._order and self._order[0][0] < cursor:
            seq, digest, _ = self._order.popleft()
            if self._last_seq[digest] == seq:
                del self._known[digest], self._last_seq[digest]

    def forget_from(self, seq: int) -> None:
        """Drop what the log has refused: nothing from seq on is there."""
        while self._order and self._order[-1][0] >= seq:
            _, digest, before = self._order.pop()
            if before is not None and self._order and before[1] >= self._order[0][0]:
                self._known[digest], self._last_seq[digest] = before
            else:
                del self._known[digest], self._last_seq[digest]

    def add(self, seq: int, signed: SignedEvent, before: Known | None) -> None:
        """Remember an appended event; before is what was known of its hash."""
        digest = signed.digest
        here = self._known.get(digest)
        self._order.append((seq, digest, None if here is None else (here, self._last_seq[digest])))
        self._known[digest] = joined(before, seq, signed)
        self._last_seq[digest] = seq

    def find(self, digest: bytes) -> Known | None:
        """What is known of a hash within the window."""
        return self._known.get(digest)


def find_known(reader: Reader, recent: RecentEvents, signed: SignedEvent) -> Known | None:
    """What the log knows of an event; forget_before(the reader's cursor) must have been called."""
    known = recent.find(signed.digest)
    if known is not None:
        return known
    if isinstance(signed.event, Assertion):
        row = AssertionStore(reader).find(signed.digest)
        return None if row is None else Known(row.seq, frozenset(s.agent for s in row.signatures))
    event_row = EventStore(reader).get(signed.digest)
    return None if event_row is None else Known(event_row.seq, frozenset(event_row.agents))


def cursor_of(reader: Reader) -> int:
    """How far the reader's state is."""
    return MetaStore(reader).cursor()
