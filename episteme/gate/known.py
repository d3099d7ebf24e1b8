"""What has been said already: the window of events that are in the log and not yet in the state."""

from collections import deque
from collections.abc import Iterator, Sequence

from msgspec import Struct

from model import Assertion, SignedEvent
from stores import AssertionStore, EventStore, Reader


class Known(Struct, frozen=True, gc=False):
    """An event's first position and its signers so far."""

    seq: int
    agents: frozenset[bytes]


def joined(before: Known | None, seq: int, signed: SignedEvent) -> Known:
    """What is known of an event after it was appended at seq."""
    agents = frozenset([signature.agent for signature in signed.signatures])
    return Known(seq, agents) if before is None else Known(before.seq, before.agents | agents)


class RecentEvents:
    """Events appended but not folded, by hash.  For one thread at a time; as large as the fold's lag."""

    def __init__(self) -> None:
        self._here: dict[bytes, tuple[Known, int]] = {}  # what is known of a hash, and its last seq
        # In the order of appending: the seq, the hash, and what was here of the hash before.
        self._order: deque[tuple[int, bytes, tuple[Known, int] | None]] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def forget_before(self, cursor: int) -> None:
        """Drop what a state with this cursor knows."""
        order, here = self._order, self._here
        while order and order[0][0] < cursor:
            seq, digest, _ = order.popleft()
            if here[digest][1] == seq:
                del here[digest]

    def forget_from(self, seq: int) -> None:
        """Drop what the log has refused: nothing from seq on is there."""
        while self._order and self._order[-1][0] >= seq:
            _, digest, before = self._order.pop()
            if before is not None and self._order and before[1] >= self._order[0][0]:
                self._here[digest] = before
            else:
                del self._here[digest]

    def add(self, seq: int, signed: SignedEvent, before: Known | None) -> Known:
        """Remember an appended event; before is what was known of its hash, and what is known now is given back."""
        digest = signed.digest
        self._order.append((seq, digest, self._here.get(digest)))
        known = joined(before, seq, signed)
        self._here[digest] = known, seq
        return known

    def find(self, digest: bytes) -> Known | None:
        """What is known of a hash within the window."""
        here = self._here.get(digest)
        return None if here is None else here[0]


def find_known(reader: Reader, recent: RecentEvents, batch: Sequence[SignedEvent]) -> dict[bytes, Known]:
    """What the log knows of events, by hash; forget_before(the reader's cursor) must have been called."""
    found: dict[bytes, Known] = {}
    claims: list[bytes] = []
    for signed in batch:
        digest = signed.digest
        known = recent.find(digest)
        if known is not None:
            found[digest] = known
        elif isinstance(signed.event, Assertion):
            claims.append(digest)
        elif (row := EventStore(reader).get(digest)) is not None:
            found[digest] = Known(row.seq, frozenset(row.agents))
    found.update(_folded_claims(reader, claims))
    return found


def _folded_claims(reader: Reader, digests: Sequence[bytes]) -> Iterator[tuple[bytes, Known]]:
    """Most are in no state: one look for each tells."""
    store = AssertionStore(reader)
    for digest, subject in zip(digests, store.subjects_of(digests), strict=True):
        row = None if subject is None else store.get(subject, digest)
        if row is not None:
            yield digest, Known(row.seq, frozenset(one.agent for one in row.signatures))
