"""Where an assertion comes from and what it led to: by parent, and by what was superseded by what.

Walked breadth first, each assertion once in each direction, so that what is
near comes first and a loop of replacements ends.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import UNSET

from episteme.errors import NotFound
from episteme.listings.context import Context
from episteme.listings.paging import PAGE_DEFAULT
from episteme.shapes import Lineage, Relative
from stores import AssertionRow, AssertionStore, LineageStore, Reader, SupersessionStore

DEPTH_DEFAULT: Final = 10
DEPTH_MAX: Final = 100  # steps away from the assertion that is asked about
LINKS_MAX: Final = 1000  # of one assertion, looked at in one direction

_Relation = Literal["parent", "replaced", "child", "replacement"]


class _Link(NamedTuple):
    relation: _Relation
    digest: bytes


class _Step(NamedTuple):
    link: _Link
    via: bytes
    depth: int


class _Walked(NamedTuple):
    steps: list[_Step]
    truncated: bool


def lineage_of(
    context: Context,
    *,
    hash: bytes,  # noqa: A002
    depth: int = DEPTH_DEFAULT,
    limit: int = PAGE_DEFAULT,
) -> Lineage:
    """An assertion's ancestors and descendants, nearest first: at most limit of each, at most depth steps away.

    Raises: NotFound.
    """
    if AssertionStore(context.reader).subject_of(hash) is None:
        raise NotFound(f"no assertion {hash.hex()} up to seq {context.seq}")
    ancestors = _walk([hash], lambda one: _sources_of(context.reader, one), depth, limit)
    descendants = _walk([hash], lambda one: _led_to(context.reader, one), depth, limit)
    return Lineage(
        hash=hash.hex(),
        ancestors=_relatives(context.reader, ancestors.steps),
        descendants=_relatives(context.reader, descendants.steps),
        truncated=ancestors.truncated or descendants.truncated,
        seq=context.seq,
    )


def descendants_of(reader: Reader, digests: Sequence[bytes], *, count_max: int) -> tuple[list[Relative], bool]:
    """What followed from any of several assertions by parent_hash, themselves aside; and whether a bound cut it."""
    walked = _walk(digests, lambda one: _children_of(reader, one), DEPTH_MAX, count_max)
    return _relatives(reader, walked.steps), walked.truncated


def _walk(
    starts: Sequence[bytes], links_of: Callable[[bytes], tuple[list[_Link], bool]], depth_max: int, count_max: int
) -> _Walked:
    """Follow links from the starts, breadth first."""
    seen = set(starts)
    steps: list[_Step] = []
    waiting = deque((start, 0) for start in starts)
    truncated = False
    while waiting:
        via, depth = waiting.popleft()
        links, is_cut = links_of(via)
        truncated = truncated or is_cut
        for link in links:
            if link.digest in seen:
                continue
            if depth == depth_max or len(steps) == count_max:
                return _Walked(steps, True)
            seen.add(link.digest)
            steps.append(_Step(link, via, depth + 1))
            waiting.append((link.digest, depth + 1))
    return _Walked(steps, truncated)


def _sources_of(reader: Reader, digest: bytes) -> tuple[list[_Link], bool]:
    """The parent, and what this one replaced."""
    row = AssertionStore(reader).find(digest)
    links: list[_Link] = []
    if row is not None and row.event.parent_hash is not UNSET:
        links.append(_Link("parent", bytes.fromhex(row.event.parent_hash)))
    replaced = LineageStore(reader).replaced_by(digest.hex(), count_max=LINKS_MAX + 1)
    links += [_Link("replaced", posting.digest) for posting in replaced[:LINKS_MAX]]
    return links, len(replaced) > LINKS_MAX


def _led_to(reader: Reader, digest: bytes) -> tuple[list[_Link], bool]:
    """The replacement, and the children."""
    row = SupersessionStore(reader).get(digest.hex())
    links: list[_Link] = []
    if row is not None and row.hides_at(None) and row.event.replacement is not UNSET:
        links.append(_Link("replacement", bytes.fromhex(row.event.replacement)))
    children, is_cut = _children_of(reader, digest)
    return links + children, is_cut


def _children_of(reader: Reader, digest: bytes) -> tuple[list[_Link], bool]:
    postings = LineageStore(reader).children(digest.hex(), count_max=LINKS_MAX + 1)
    return [_Link("child", posting.digest) for posting in postings[:LINKS_MAX]], len(postings) > LINKS_MAX


def _relatives(reader: Reader, steps: Iterable[_Step]) -> list[Relative]:
    ordered = list(steps)
    rows = AssertionStore(reader).find_many([step.link.digest for step in ordered])
    return [_relative(step, row) for step, row in zip(ordered, rows, strict=True)]


def _relative(step: _Step, row: AssertionRow | None) -> Relative:
    event = None if row is None else row.event
    return Relative(
        hash=step.link.digest.hex(),
        relation=step.link.relation,
        via=step.via.hex(),
        depth=step.depth,
        seq=None if row is None else row.seq,
        subject=None if event is None else event.subject,
        predicate=None if event is None else event.predicate,
        value=None if event is None else event.object,
        lifecycle=None if event is None else event.lifecycle,
    )
