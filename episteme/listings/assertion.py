"""Assertions by what they have in common, each as it was signed.

The narrowest list that the state keeps is read in its order, and the other
filters are held against what it names; without any such list it is the log
itself.  One page looks at a bounded number of them, so it may be short, or
empty, and still have a next one.
"""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from msgspec import Struct

from episteme.api import StoredAssertion
from episteme.listings.context import Context
from episteme.listings.paging import Paging, number_place
from episteme.reading import make_stored
from episteme.shapes import Page
from model import FRAME_KIND_EVENT, decode_raw_record
from stores import AssertionRow, AssertionStore, IndexStore, LineageStore, Posting

_CHUNK: Final = 256
_CHUNKS_MAX: Final = 40  # some 10,000 events looked at for one page: at 20 us each, a fifth of a second
_CHUNK_BYTES_MAX: Final = 4 * 1024 * 1024
_LAST_DIGEST: Final = b"\xff" * 32
_ASSERTION: Final = "assertion"


class _Chunk(NamedTuple):
    """A piece of a list; end: the place to go on after, None if the list ends here."""

    postings: list[Posting]
    end: int | None


class _Found(NamedTuple):
    place: int
    digest: bytes
    row: AssertionRow


class _Filters(Struct, frozen=True):
    subject: str | None
    predicate: str | None
    agent: bytes | None
    source_class: Collection[str]
    lifecycle: Collection[str]
    epoch: str | None
    since_seq: int

    def admit(self, row: AssertionRow) -> bool:
        event = row.event
        return (
            row.seq >= self.since_seq
            and self.subject in (None, event.subject)
            and self.predicate in (None, event.predicate)
            and self.epoch in (None, event.epoch)
            and (not self.source_class or event.source_class in self.source_class)
            and (not self.lifecycle or event.lifecycle in self.lifecycle)
            and (self.agent is None or any(one.agent == self.agent for one in row.signatures))
        )


def assertions(
    context: Context,
    paging: Paging,
    *,
    subject: str | None = None,
    predicate: str | None = None,
    agent: bytes | None = None,
    source_class: Collection[str] = (),
    lifecycle: Collection[str] = (),
    epoch: str | None = None,
    since_seq: int = 0,
) -> Page[StoredAssertion]:
    """In log order; of an agent and no subject, in the order of its signatures.

    since_seq: only those that were first written at this position or later.
    """
    filters = _Filters(subject, predicate, agent, source_class, lifecycle, epoch, since_seq)
    after = paging.after(number_place)
    if since_seq and (after is None or after < since_seq):
        after = since_seq - 1
    found, end = _search(context, filters, after, paging.limit + 1)
    shown, more = paging.cut(found, lambda one: one.place)
    if more is None and end is not None:
        more = paging.next(end)
    return Page([make_stored(one.digest, one.row) for one in shown], more, context.seq)


def _search(context: Context, filters: _Filters, after: int | None, count_max: int) -> tuple[list[_Found], int | None]:
    """At most count_max matches, and the place to go on after if the bound came before them and the list's end."""
    read = _narrowest(context, filters)
    found: list[_Found] = []
    for _ in range(_CHUNKS_MAX):
        postings, after = read(after)
        rows = AssertionStore(context.reader).find_many([posting.digest for posting in postings])
        for posting, row in zip(postings, rows, strict=True):
            if row is not None and filters.admit(row):
                found.append(_Found(posting.seq, posting.digest, row))
                if len(found) == count_max:
                    return found, None
        if after is None:
            return found, None
    return found, after


def _narrowest(context: Context, filters: _Filters) -> Callable[[int | None], _Chunk]:
    """The shortest list that has all that the filters admit."""
    index, lineage = IndexStore(context.reader), LineageStore(context.reader)
    subject, predicate, agent, epoch = filters.subject, filters.predicate, filters.agent, filters.epoch
    if subject is not None and predicate is not None:
        return lambda after: _chunk(index.of_pair(subject, predicate, after=_posting(after), count_max=_CHUNK))
    if subject is not None:
        return lambda after: _chunk(index.of_subject(subject, after=_posting(after), count_max=_CHUNK))
    if epoch is not None:
        return lambda after: _chunk(lineage.of_epoch(epoch, after=after, count_max=_CHUNK))
    if agent is not None:
        return lambda after: _chunk(lineage.of_agent(agent.hex(), after=after, count_max=_CHUNK))
    return lambda after: _of_log(context, after)


def _chunk(postings: list[Posting]) -> _Chunk:
    return _Chunk(postings, postings[-1].seq if len(postings) == _CHUNK else None)


def _posting(after: int | None) -> Posting | None:
    """The last posting that a position can have."""
    return None if after is None else Posting(after, _LAST_DIGEST)


def _of_log(context: Context, after: int | None) -> _Chunk:
    """The assertions among the next events of the log, each where it stood first."""
    start, end = 0 if after is None else after + 1, context.seq + 1
    if start >= end:
        return _Chunk([], None)
    frames = context.log.read_from(start, count_max=min(_CHUNK, end - start), bytes_max=_CHUNK_BYTES_MAX)
    postings = []
    for frame in frames:
        if frame.kind == FRAME_KIND_EVENT and not frame.lost:
            record, head = decode_raw_record(frame.payload)
            if head.kind == _ASSERTION:
                postings.append(Posting(frame.seq, record.digest))
    first = _first_places(context, postings)
    return _Chunk(first, frames[-1].seq if frames[-1].seq + 1 < end else None)


def _first_places(context: Context, postings: list[Posting]) -> list[Posting]:
    """Without those that only brought another signature."""
    rows = AssertionStore(context.reader).find_many([posting.digest for posting in postings])
    return [one for one, row in zip(postings, rows, strict=True) if row is not None and row.seq == one.seq]
