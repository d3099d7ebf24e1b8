"""What the domain models share: events, and a fold of rows, their indexes, counts and remembered keys.

A model is pure: it says what an event changes and by which keys a row is
found.  This module keeps that in the state.  Who checks a command and who
folds its event call the same `change`, so an event that was accepted can be
applied.

Rows, by the first two bytes of their keys:

    r/ id                               the record
    o/ order, group, rank               the id; ranks end in it, so no two are equal
    l/ label NUL group, rank            the id; in the order of creation
    n/ group                            how many records are in the group
    k/ key                              what an idempotency key stands for
    p/ position modulo KEYS_KEPT        the key that was remembered there

Source: docs/cortex.md.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Struct

from cortex.errors import CortexError
from cortex.models.checks import KEY_BYTES_MAX, check_line, check_text
from cortex.models.refusals import InvalidCommand, UnsupportedEvent
from stores import Reader, Staging
from stores.records import RecordCodec
from wal import Frame

ROW: Final = b"r/"
ORDER: Final = b"o/"
LABEL: Final = b"l/"
COUNT: Final = b"n/"
KEY: Final = b"k/"
SLOT: Final = b"p/"

KEYS_KEPT: Final = 100_000  # positions for which a key is remembered; another number is another fold version

_U64: Final = struct.Struct("<Q")
_U64_MAX: Final = 2**64 - 1
_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))


class DomainEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One event of a model's log, as JSON."""

    v: Literal[1]
    id: str
    key: str | None = None  # the idempotency key that the command came with
    mark: str | None = None  # 32 hex digits of the command that the key stands for


class Record(Protocol):
    """What a model keeps of one thing."""

    @property
    def id(self) -> str:
        """Unique among the model's records."""

    @property
    def created_time(self) -> int:
        """The log's hybrid time of the event that made it."""


Event = TypeVar("Event", bound=DomainEvent)
Row = TypeVar("Row", bound=Record)
Change = tuple[Row | None, Row | None]  # before and after; None: not there


class Logged(NamedTuple, Generic[Event]):
    """An event with its place in the log."""

    seq: int
    time: int  # the log's hybrid time, which no other event has
    event: Event


class Plan(NamedTuple, Generic[Row]):
    """How a query finds its records: index entries to look at, and what those records must be like."""

    order: bytes  # one letter
    descending: bool
    groups: Sequence[bytes]
    labels: Sequence[bytes]  # under one of which every match is; none: all records
    created_from_ms: int | None
    created_before_ms: int | None
    matches: Callable[[Row], bool]


class Model(ABC, Generic[Event, Row]):
    """What tasks and memories each are.  Pure."""

    name: ClassVar[str]
    version: ClassVar[int]
    kind: ClassVar[int]  # of frames
    groups: ClassVar[Mapping[str, bytes]]  # their names, and their letters in keys
    created_order: ClassVar[bytes] = b"c"
    descends: ClassVar[Mapping[bytes, bool]]  # each order's letter, and whether its index runs from high to low
    event_type: Any  # the union of its events
    row_type: Any

    def __init__(self) -> None:
        codec: RecordCodec[Any] = RecordCodec(self.row_type, version=1)
        self.encode_row: Callable[[Row], bytes] = codec.encode
        self.decode_row: Callable[[bytes], Row] = codec.decode
        self._decoder = msgspec.json.Decoder(self.event_type)

    def decode(self, frame: Frame) -> Logged[Event]:
        """Read an event.  Raises: UnsupportedEvent."""
        try:
            if frame.kind != self.kind:
                raise UnsupportedEvent(
                    f"seq {frame.seq} is of kind {frame.kind}, events of {self.name} are {self.kind}"
                )
            event: Event = self._decoder.decode(frame.payload)
            self.check(event)
        except (msgspec.DecodeError, UnicodeDecodeError, InvalidCommand) as error:
            raise UnsupportedEvent(
                f"seq {frame.seq} is no event of {self.name} that this program knows: {error}. "
                "Use the program that wrote it, or a newer one"
            ) from error
        return Logged(frame.seq, frame.time, event)

    @abstractmethod
    def check(self, event: Event) -> None:
        """Raises: InvalidCommand if a field breaks its bound."""

    @abstractmethod
    def change(self, event: Event, time: int, find: Callable[[str], Row | None]) -> Sequence[Change[Row]]:
        """What an event does to the records that find gives.  Raises: the model's own refusals."""

    @abstractmethod
    def group(self, row: Row) -> bytes:
        """One letter: groups are counted, and each has its own part of every index."""

    @abstractmethod
    def ranks(self, row: Row) -> Sequence[tuple[bytes, bytes]]:
        """The letter of each order, and the record's rank in its index; the first is that of creation."""

    @abstractmethod
    def labels(self, row: Row) -> Sequence[bytes]:
        """What the record can be found by; no NUL."""

    @abstractmethod
    def plan(self, query: Any) -> Plan[Row]:
        """How to find what a query asks for.  Raises: InvalidQuery."""

    @abstractmethod
    def missing(self, id_: str) -> CortexError:
        """What to raise for an id that there is not."""

    @abstractmethod
    def rank(self, row: Row, order: bytes, *, descending: bool) -> bytes:
        """Where a record stands in an order; no two are equal."""

    def index_keys(self, row: Row) -> list[bytes]:
        """The keys of all index entries of a record."""
        group, ranks = self.group(row), self.ranks(row)
        keys = [ORDER + order + group + rank for order, rank in ranks]
        labels = self.labels(row)
        if labels:
            created = ranks[0][1]
            keys += [label_prefix(label, group) + created for label in labels]
        return keys


class DomainFold(Generic[Event, Row]):
    """The fold of a model's log."""

    def __init__(self, model: Model[Event, Row]) -> None:
        self.name = model.name
        self.version = model.version
        self._model = model

    def apply(self, event: Logged[Event], state: Staging) -> None:
        """Put what one event changes into the state.  Raises: the model's refusals, for what was never checked."""
        seq, time, what = event
        for before, after in self._model.change(what, time, Rows(self._model, state).find):
            self._replace(before, after, state)
        if what.key is not None and what.mark is not None:
            remember(KnownKey(what.mark, what.id, seq), what.key, state)

    def _replace(self, before: Row | None, after: Row | None, state: Staging) -> None:
        model = self._model
        stale = [] if before is None else model.index_keys(before)
        if after is not None:
            fresh = model.index_keys(after)
            id_ = after.id.encode()
            state.put(ROW + id_, model.encode_row(after))
            for key in fresh:
                if key not in stale:
                    state.put(key, id_)
            stale = [key for key in stale if key not in fresh]
        elif before is not None:
            state.delete(ROW + before.id.encode())
        for key in stale:
            state.delete(key)
        old_group = None if before is None else model.group(before)
        new_group = None if after is None else model.group(after)
        if old_group != new_group:
            for group, more in ((old_group, -1), (new_group, 1)):
                if group is not None:
                    count = _number(state.get(COUNT + group))
                    state.put(COUNT + group, _U64.pack(count + more))


class Rows(Generic[Event, Row]):
    """The records of a state."""

    def __init__(self, model: Model[Event, Row], reader: Reader) -> None:
        self._model = model
        self._reader = reader

    def find(self, id_: str) -> Row | None:
        """A record, or None."""
        data = self._reader.get(ROW + id_.encode())
        return None if data is None else self._model.decode_row(data)

    def count(self, group: bytes) -> int:
        """How many records are in a group."""
        return _number(self._reader.get(COUNT + group))


class KnownKey(NamedTuple):
    """The command that an idempotency key stands for, and what it was answered."""

    mark: str
    id: str
    seq: int


def known_key(key: str, seq: int, reader: Reader) -> KnownKey | None:
    """What a key stands for at a position; None if it was never used, or is forgotten by then."""
    data = reader.get(KEY + key.encode())
    known = None if data is None else _decode_known(data)
    return known if known is not None and remembers(known, seq) else None


def remembers(known: KnownKey, seq: int) -> bool:
    """Whether a key is still remembered at a position: a matter of positions alone, so the same everywhere."""
    return seq - known.seq <= KEYS_KEPT


def remember(known: KnownKey, key: str, state: Staging) -> None:
    """Keep what a key stands for, in place of the key that was kept KEYS_KEPT positions ago, if there was one."""
    slot = SLOT + (known.seq % KEYS_KEPT).to_bytes(4, "big")
    forgotten = state.get(slot)
    if forgotten is not None:
        old_key = KEY + forgotten[8:]
        data = state.get(old_key)
        # A key that was used again since then has a younger slot, and stays.
        if data is not None and _decode_known(data).seq == _number(forgotten[:8]):
            state.delete(old_key)
    state.put(slot, _U64.pack(known.seq) + key.encode())
    state.put(KEY + key.encode(), msgspec.msgpack.encode(known))


def check_event(event: DomainEvent) -> None:
    """The bounds of what every event has.  Raises: InvalidCommand."""
    if event.key is not None:
        check_line("an idempotency key", event.key, KEY_BYTES_MAX)
        if event.mark is None:
            raise InvalidCommand("an idempotency key lacks the mark of its command")
    if event.mark is not None:
        check_text("mark", event.mark, 32, 32)


def time_rank(time: int, id_: str, *, descending: bool) -> bytes:
    """A rank by time, then id."""
    return (_U64_MAX - time if descending else time).to_bytes(8, "big") + id_.encode()


def text_rank(text: str, id_: str, *, descending: bool) -> bytes:
    """A rank by text without the case of ASCII letters, then id.  The text has no control characters.

    Of other letters the case stays: which have one differs between versions of Python, and ranks are kept.
    """
    folded = text.encode().lower()
    return (folded.translate(_COMPLEMENT) + b"\xff" if descending else folded + b"\x00") + id_.encode()


def label_prefix(label: bytes, group: bytes) -> bytes:
    """What the index entries of one group under one label begin with."""
    return LABEL + label + b"\x00" + group


def _number(data: bytes | None) -> int:
    return 0 if data is None else int(_U64.unpack(data)[0])


_decode_known: Final = msgspec.msgpack.Decoder(KnownKey).decode
