"""Events on their way to the owner: how many go together, and what its word on them means."""

from collections.abc import Iterator, Sequence
from typing import Final

from episteme.errors import NotReady
from episteme.gate import Outcome
from episteme.receipts import Receipt
from episteme.server.workers.messages import Refusal
from model import SignedEvent

PART_BYTES: Final = 256 * 1024  # events of several connections take turns on the channel
PART_COUNT: Final = 512


def outcome_of(signed: SignedEvent, told: int | Refusal) -> Outcome:
    """What became of an event, of what the owner has told."""
    if isinstance(told, Refusal):
        return told.error()
    return Receipt(signed.hash_hex, told) if told >= 0 else Receipt(signed.hash_hex, -1 - told, "duplicate")


def parts(sizes: Sequence[int], count_max: int) -> Iterator[tuple[int, int]]:
    """Beginnings and ends of runs that hold at most so many and so many bytes, but at least one each."""
    start = held = 0
    for end, size in enumerate(sizes):
        if end > start and (held + size > PART_BYTES or end - start == count_max):
            yield start, end
            start, held = end, 0
        held += size
    if start < len(sizes):
        yield start, len(sizes)


def stops() -> NotReady:
    """Nobody knows what became of it, or nobody will begin it."""
    return NotReady("the server stops", retry_after_s=1)
