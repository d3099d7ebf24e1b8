"""Memories: what a daemon knows across restarts, as a fold of a log of their own.

A memory is superseded by another, never rewritten: the old one stays readable
and names the new one.  What is forgotten is gone from the state; the log, which
is the truth, keeps the event that brought it.

Source: docs/cortex.md, "Memories".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from cortex.models.checks import check_id, check_line, check_tags, check_text, sorted_tags
from cortex.models.commands import NEW_ID, Receipt
from cortex.models.desk import Desk
from cortex.models.domain import Change, DomainEvent, Model, Plan, check_event, time_rank
from cortex.models.queries import Question, checked_question, has_tags, labels_of
from cortex.models.refusals import MemoryConflict, MemoryNotFound
from wal import wall_ms

SOURCE_BYTES_MAX: Final = 200
_TAG: Final = b"t"  # labels begin with what they are
_SOURCE: Final = b"s"


class MemoryStored(DomainEvent, frozen=True, tag="memory-stored"):
    """Something is known."""

    content: str
    tags: tuple[str, ...] = ()
    source: str | None = None
    pinned: bool = False


class MemoryRetagged(DomainEvent, frozen=True, tag="memory-retagged"):
    """It has other tags."""

    tags: tuple[str, ...]


class MemoryPinned(DomainEvent, frozen=True, tag="memory-pinned"):
    """It matters more than others."""


class MemoryUnpinned(DomainEvent, frozen=True, tag="memory-unpinned"):
    """It does not any more."""


class MemorySuperseded(DomainEvent, frozen=True, tag="memory-superseded"):
    """A new memory, id, takes the place of an old one, and its pin; tags or a source of None are the old one's."""

    old: str
    content: str
    tags: tuple[str, ...] | None = None
    source: str | None = None


class MemoryForgotten(DomainEvent, frozen=True, tag="memory-forgotten"):
    """It is gone from the state."""


MemoryEvent = MemoryStored | MemoryRetagged | MemoryPinned | MemoryUnpinned | MemorySuperseded | MemoryForgotten


class Memory(Struct, frozen=True, array_like=True, gc=False):
    """A memory as it is now.  Times are the log's hybrid ones; *_ms since 1970."""

    id: str
    content: str
    created_time: int
    updated_time: int
    tags: tuple[str, ...] = ()  # in order
    source: str | None = None  # where it is from
    pinned: bool = False
    supersedes: str | None = None  # the id of the one whose place it took
    superseded_by: str | None = None  # the id of the one that took its place

    @property
    def created_ms(self) -> int:
        """When it was stored."""
        return wall_ms(self.created_time)

    @property
    def updated_ms(self) -> int:
        """When anything of it last changed."""
        return wall_ms(self.updated_time)


class MemoryQuery(Question, frozen=True, kw_only=True):
    """Which memories, in which order; what is not given does not matter."""

    text: str | None = None  # in the content, whatever its case
    source: str | None = None
    pinned: bool | None = None
    superseded: bool = False  # whether those that were superseded are asked for too
    order: Literal["created", "updated"] = "created"
    descending: bool = True


class MemoryModel(Model[MemoryEvent, Memory]):
    """What a memory is.  Pure."""

    name = "memories"
    version = 1
    kind = 1
    event_type = MemoryEvent
    row_type = Memory
    groups: ClassVar[Mapping[str, bytes]] = {"live": b"l", "pinned": b"p", "superseded": b"s"}
    descends: ClassVar[Mapping[bytes, bool]] = {b"c": True, b"u": True}
    orders: ClassVar[Mapping[str, bytes]] = {"created": b"c", "updated": b"u"}

    def check(self, event: MemoryEvent) -> None:
        """Raises: InvalidCommand."""
        check_event(event)
        check_id("a memory's id", event.id)
        if isinstance(event, MemoryStored | MemorySuperseded):
            check_text("a content", event.content, bytes_min=1)
            if event.source is not None:
                check_line("a source", event.source, SOURCE_BYTES_MAX)
        if isinstance(event, MemoryStored | MemorySuperseded | MemoryRetagged) and event.tags is not None:
            check_tags(event.tags)
        if isinstance(event, MemorySuperseded):
            check_id("the old memory's id", event.old)

    def change(self, event: MemoryEvent, time: int, find: Callable[[str], Memory | None]) -> Sequence[Change[Memory]]:
        """The one table of what may happen to a memory.  Raises: MemoryNotFound; MemoryConflict."""
        found = find(event.id)
        if isinstance(event, MemoryStored | MemorySuperseded) and found is not None:
            raise MemoryConflict(f"there is a memory {event.id!r} already; give another id, or none")
        if isinstance(event, MemoryStored):
            new = Memory(event.id, event.content, time, time, event.tags, event.source, event.pinned)
            return ((None, new),)
        if isinstance(event, MemorySuperseded):
            return _supersede(event, time, self._changeable(event.old, find(event.old)))
        if isinstance(event, MemoryForgotten):
            if found is None:
                raise self.missing(event.id)
            return ((found, None),)
        memory = self._changeable(event.id, found)
        return ((memory, _after(memory, event, time)),)

    def group(self, row: Memory) -> bytes:
        """Whether it is live, and if so pinned."""
        return b"s" if row.superseded_by is not None else b"p" if row.pinned else b"l"

    def ranks(self, row: Memory) -> Sequence[tuple[bytes, bytes]]:
        """By creation, by change; the newest first."""
        return (
            (b"c", time_rank(row.created_time, row.id, descending=True)),
            (b"u", time_rank(row.updated_time, row.id, descending=True)),
        )

    def rank(self, row: Memory, order: bytes, *, descending: bool) -> bytes:
        """Where it stands in an order."""
        return time_rank(row.created_time if order == b"c" else row.updated_time, row.id, descending=descending)

    def labels(self, row: Memory) -> Sequence[bytes]:
        """Its tags and its source."""
        labels = [_TAG + tag.encode() for tag in row.tags]
        return labels if row.source is None else [*labels, _SOURCE + row.source.encode()]

    def plan(self, query: MemoryQuery) -> Plan[Memory]:
        """How to find what a query asks for.  Raises: InvalidQuery."""
        query = checked_question(query, MemoryQuery, source=SOURCE_BYTES_MAX)
        text, source = None if query.text is None else query.text.casefold(), query.source
        return Plan(
            self.orders[query.order],
            query.descending,
            _groups_of(query),
            labels_of(query, _TAG) or ([] if source is None else [_SOURCE + source.encode()]),
            query.created_from_ms,
            query.created_before_ms,
            lambda memory: (
                has_tags(query, memory.tags)
                and (source is None or source == memory.source)
                and (text is None or text in memory.content.casefold())
            ),
        )

    def missing(self, id_: str) -> MemoryNotFound:
        """What to raise for an id that there is not."""
        return MemoryNotFound(
            f"there is no memory {id_!r:.80}: it was never stored, was forgotten, or is not applied yet"
        )

    def _changeable(self, id_: str, memory: Memory | None) -> Memory:
        if memory is None:
            raise self.missing(id_)
        if memory.superseded_by is not None:
            raise MemoryConflict(f"memory {id_!r} was superseded by {memory.superseded_by!r}; change that one")
        return memory


class Memories(Desk[MemoryEvent, Memory, MemoryQuery]):
    """Memories at work.  Thread-safe.

    Each command raises InvalidCommand, MemoryNotFound or MemoryConflict, and then nothing is written.  It sees all
    commands before it, applied or not.  key: an idempotency key; the same key with the same command gives the
    same receipt and writes nothing, with another command raises KeyConflict.  wait: return once it is applied.
    """

    model: ClassVar[Model[Any, Any]] = MemoryModel()

    def store(
        self,
        content: str,
        *,
        tags: Sequence[str] = (),
        source: str | None = None,
        pinned: bool = False,
        id: str | None = None,  # noqa: A002  (what it is called in a memory)
        key: str | None = None,
        wait: bool = False,
    ) -> Receipt:
        """Keep something.  id: None for one that no other has."""
        event = MemoryStored(
            v=1,
            id=NEW_ID if id is None else id,
            content=content,
            tags=sorted_tags(tags),
            source=source,
            pinned=bool(pinned),
        )
        return self._commands.submit(event, fresh=id is None, key=key, wait=wait)

    def supersede(
        self,
        old: str,
        content: str,
        *,
        tags: Sequence[str] | None = None,
        source: str | None = None,
        id: str | None = None,  # noqa: A002  (as in store)
        key: str | None = None,
        wait: bool = False,
    ) -> Receipt:
        """Put a new memory in the place of an old one, with its pin; the receipt names the new one.

        tags, source: None for those of the old one.
        """
        event = MemorySuperseded(
            v=1,
            id=NEW_ID if id is None else id,
            old=old,
            content=content,
            tags=None if tags is None else sorted_tags(tags),
            source=source,
        )
        return self._commands.submit(event, fresh=id is None, key=key, wait=wait)

    def retag(self, id_: str, tags: Sequence[str], *, key: str | None = None, wait: bool = False) -> Receipt:
        """Give a memory these tags in place of those that it has."""
        event = MemoryRetagged(v=1, id=id_, tags=sorted_tags(tags))
        return self._commands.submit(event, key=key, wait=wait)

    def pin(self, id_: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Pin a memory; one that is pinned stays so."""
        return self._commands.submit(MemoryPinned(v=1, id=id_), key=key, wait=wait)

    def unpin(self, id_: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Take the pin away, if there is one."""
        return self._commands.submit(MemoryUnpinned(v=1, id=id_), key=key, wait=wait)

    def forget(self, id_: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Remove a memory from the state, superseded or not; the log keeps the event that brought it."""
        return self._commands.submit(MemoryForgotten(v=1, id=id_), key=key, wait=wait)


def _after(memory: Memory, event: MemoryRetagged | MemoryPinned | MemoryUnpinned, time: int) -> Memory:
    match event:
        case MemoryRetagged(tags=tags):
            return replace(memory, tags=tags, updated_time=time)
        case MemoryPinned():
            return replace(memory, pinned=True, updated_time=time)
        case MemoryUnpinned():
            return replace(memory, pinned=False, updated_time=time)
        case _:
            assert_never(event)


def _supersede(event: MemorySuperseded, time: int, old: Memory) -> Sequence[Change[Memory]]:
    new = Memory(
        event.id,
        event.content,
        time,
        time,
        old.tags if event.tags is None else event.tags,
        old.source if event.source is None else event.source,
        old.pinned,
        supersedes=old.id,
    )
    return ((old, replace(old, pinned=False, superseded_by=new.id, updated_time=time)), (None, new))


def _groups_of(query: MemoryQuery) -> list[bytes]:
    """In which groups matches can be; a superseded memory is never pinned."""
    live = {True: [b"p"], False: [b"l"], None: [b"l", b"p"]}[query.pinned]
    return [*live, b"s"] if query.superseded and query.pinned is not True else live
