"""From commands to events: each is checked against the state as all commands before it leave it, then appended.

Owns: what is written and not yet folded (the pending overlay), so that nobody
need wait between commands.  Refuses: to write what the state does not allow, or
what cannot be checked because the fold has stopped or is too far behind.

Invariant: an event is appended only at the position for which it was checked.
Should somebody else append to the log, the append fails, and the command is
checked anew once the fold has what came in between.
"""

import re
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Generic, NamedTuple, Self

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from cortex.errors import WrongLog
from cortex.models.checks import KEY_BYTES_MAX, check_line
from cortex.models.domain import Event, KnownKey, Logged, Model, Row, Rows, known_key, remembers
from cortex.models.refusals import CommandsBusy, InvalidCommand, KeyConflict, NotApplied
from cortex.state import State
from stores import Reader, Snapshot
from wal import Log, SeqConflict

NEW_ID: Final = "new"  # stands for the id that a new record is given
_TRIES: Final = 16  # of an append, while others append to the same log
_LOOK_S: Final = 0.5  # how often a waiter looks whether the log has failed
_MARK_BYTES: Final = 16
_SEQ_DIGITS: Final = 12
_SUFFIX_BYTES: Final = 6
_MADE_UP: Final = re.compile("[0-9a-f]{12}-[0-9a-f]{12}")


class Receipt(NamedTuple):
    """What a command was answered."""

    id: str  # of the record that it made or changed
    seq: int  # of its event
    log_id: bytes | None = None  # of the log that the event is in; None: of whichever is asked


class CommandOptions(NamedTuple):
    """Bounds of commands."""

    pending_count_max: int = 10_000  # events that are written and not folded; past it a command waits for the fold
    wait_s: float = 30.0  # how long a command waits for that, and wait() for an event to be applied


class _Pending(NamedTuple):
    seq: int
    ids: tuple[str, ...]
    key: str | None


class _Overlay(Generic[Row]):
    """What events do that are appended and may not be folded yet."""

    def __init__(self) -> None:
        self._queue: deque[_Pending] = deque()
        self._rows: dict[str, tuple[int, Row | None]] = {}  # with the seq of the event that left it so
        self._keys: dict[str, KnownKey] = {}

    def __len__(self) -> int:
        return len(self._queue)

    def find(self, id_: str, below: Callable[[str], Row | None]) -> Row | None:
        """A record as it will be."""
        pending = self._rows.get(id_)
        return below(id_) if pending is None else pending[1]

    def key(self, key: str, seq: int, reader: Reader) -> KnownKey | None:
        """What a key will stand for at a position."""
        pending = self._keys.get(key)
        return known_key(key, seq, reader) if pending is None or not remembers(pending, seq) else pending

    def add(self, seq: int, rows: dict[str, Row | None], key: str | None, known: KnownKey | None) -> None:
        """Lay the next event on top."""
        self._queue.append(_Pending(seq, tuple(rows), key))
        for id_, row in rows.items():
            self._rows[id_] = seq, row
        if key is not None and known is not None:
            self._keys[key] = known

    def drop_before(self, seq: int) -> None:
        """Forget what the fold has by now.  Interrupted, it does the rest the next time."""
        queue = self._queue
        while queue and queue[0].seq < seq:
            done = queue[0]
            for id_ in done.ids:
                row = self._rows.get(id_)
                if row is not None and row[0] == done.seq:
                    del self._rows[id_]
            if done.key is not None:
                known = self._keys.get(done.key)
                if known is not None and known.seq == done.seq:
                    del self._keys[done.key]
            queue.popleft()


class Commands(Generic[Event, Row]):
    """The way into a model's log.  Thread-safe."""

    def __init__(
        self, model: Model[Event, Row], log: Log, state: State[Logged[Event]], options: CommandOptions
    ) -> None:
        """Of the log that the state is a fold of."""
        self._model = model
        self._log = log
        self._state = state
        self._options = options
        self._encode = msgspec.json.Encoder().encode
        self._lock = threading.Lock()
        self._overlay: _Overlay[Row] = _Overlay()
        # The overlay holds all events from the first number to the second, and none else.
        self._covered_from = self._covered_to = log.next_seq

    def submit(self, event: Event, *, fresh: bool = False, key: str | None = None, wait: bool = False) -> Receipt:
        """Check a command and append its event, or find what its key was answered before.

        fresh: make up an id in place of NEW_ID.  wait: until it is applied.
        Raises: InvalidCommand; the model's refusals; KeyConflict; CommandsBusy; NotApplied; CortexError if the
        fold has stopped; LogError.
        """
        self._model.check(event)
        if key is not None:
            check_line("an idempotency key", key, KEY_BYTES_MAX)
            mark = blake3(self._encode((event, fresh))).hexdigest(length=_MARK_BYTES)
            event = replace(event, key=key, mark=mark)
        receipt = self._submit_in_time(event, fresh)
        if wait:
            self.wait(receipt)
        return receipt

    def wait(self, receipt: Receipt, timeout_s: float | None = None) -> None:
        """Wait until a command is applied, which is never before it is as durable as the log promises.

        Raises: WrongLog for another log's receipt; NotApplied if the time ran out; CortexError if the fold has
        stopped; LogError if the log has failed.
        """
        if receipt.log_id not in (None, self._log.log_id):
            raise WrongLog("the receipt is of another log, whose progress says nothing of this one's")
        left_s = self._options.wait_s if timeout_s is None else timeout_s
        until_s = monotonic() + left_s
        while not self._state.watermark.wait(receipt.seq, min(_LOOK_S, max(0.0, left_s))):
            if self._log.failure is not None and receipt.seq >= self._log.durable_end:
                raise self._log.failure.again()
            left_s = until_s - monotonic()
            if left_s <= 0:
                raise NotApplied(
                    f"seq {receipt.seq} is not applied yet, the fold is at {self._state.watermark.seq}; the command is "
                    "in the log and will be: wait for its receipt again"
                )

    def _submit_in_time(self, event: Event, fresh: bool) -> Receipt:
        """Submit it, waiting for the fold where that must come first; others submit meanwhile."""
        until_s = monotonic() + self._options.wait_s
        while True:
            with self._lock:
                done = self._submit(event, fresh)
            if isinstance(done, Receipt):
                return done
            left_s = until_s - monotonic()
            if left_s <= 0 or not self._state.watermark.wait(done - 1, left_s):
                raise CommandsBusy(
                    f"the fold is at seq {self._state.watermark.seq} and the log at {self._log.next_seq}: nothing more "
                    f"is taken until it has reached {done}; try again later"
                )

    def _submit(self, event: Event, fresh: bool) -> Receipt | int:
        """The receipt, or the seq that the fold must reach first."""
        for _ in range(_TRIES):
            seq = self._log.next_seq
            needed = self._catch_up(seq)
            if self._state.watermark.seq < needed:
                return needed
            if fresh:
                event = replace(event, id=self._new_id(seq))
            with _Moment(self._state) as moment:
                known = self._known(event, seq, moment)
                if known is not None:
                    return known
                rows = self._rows_after(event, seq, fresh, moment)
            try:
                self._log.append_if_next_seq(seq, ((self._model.kind, self._encode(event)),))
            except SeqConflict:
                continue
            mark = None if event.mark is None else KnownKey(event.mark, event.id, seq)
            self._overlay.add(seq, rows, event.key, mark)
            self._covered_to = seq + 1  # last: after an interrupt before it, the overlay is made anew
            return Receipt(event.id, seq, self._log.log_id)
        raise CommandsBusy("others append to this log all the time; a model's log should be its own")

    def _catch_up(self, seq: int) -> int:
        """Where the fold must be for state and overlay to hold all events before seq, and the overlay to have room."""
        if seq != self._covered_to:  # somebody else appended, or an append was interrupted before it was noted
            self._overlay = _Overlay()
            self._covered_from = self._covered_to = seq
        error = self._state.failure or self._log.failure
        if error is not None:
            raise error.again()
        if self._state.outdated:
            raise CommandsBusy("the state is being made anew by this version of the program; try again when it is done")
        self._overlay.drop_before(self._state.watermark.seq)
        needed = self._covered_from
        if len(self._overlay) >= self._options.pending_count_max:
            needed = max(needed, seq - self._options.pending_count_max // 2)
        return needed

    def _known(self, event: Event, seq: int, moment: "_Moment") -> Receipt | None:
        """The receipt that a command's key was given before.  Raises: KeyConflict."""
        if event.key is None:
            return None
        known = self._overlay.key(event.key, seq, moment.reader)
        if known is not None and known.mark != event.mark:
            raise KeyConflict(
                f"key {event.key!r} stands for another command, which is seq {known.seq}; give each command its own"
            )
        return None if known is None else Receipt(known.id, known.seq, self._log.log_id)

    def _rows_after(self, event: Event, seq: int, fresh: bool, moment: "_Moment") -> dict[str, Row | None]:
        """The records that an event changes, as it leaves them, but for their times.  Raises: the model's refusals."""

        def below(id_: str) -> Row | None:
            return Rows(self._model, moment.reader).find(id_)

        def find(id_: str) -> Row | None:
            return None if fresh and id_ == event.id else self._overlay.find(id_, below)

        rows: dict[str, Row | None] = {}
        for before, after in self._model.change(event, 0, find):
            one = before if after is None else after
            assert one is not None, event
            if before is None and not fresh:
                self._check_not_reserved(one.id, seq)
            rows[one.id] = after
        return rows

    def _new_id(self, seq: int) -> str:
        """An id for the event of that seq, which no other event of this log has.  In the order of seqs.

        An event that a crash took before it was durable leaves its seq to another one, of a later opening.
        """
        place = self._log.log_id + self._log.epoch.to_bytes(8, "big") + seq.to_bytes(8, "big")
        suffix = blake3(place).hexdigest(length=_SUFFIX_BYTES)
        return f"{seq:0{_SEQ_DIGITS}x}-{suffix}"

    def _check_not_reserved(self, id_: str, seq: int) -> None:
        """That no later event will be given this id: so a new id need not be looked up.  Raises: InvalidCommand."""
        if _MADE_UP.fullmatch(id_):
            later = int(id_[:_SEQ_DIGITS], 16)
            if later > seq and id_ == self._new_id(later):
                raise InvalidCommand(f"id {id_!r} will be made up for a record to come; give another one, or none")


class _Moment:
    """A moment of the state, taken when it is first asked for: most commands that create need none."""

    __slots__ = ("_snapshot", "_state")

    def __init__(self, state: State[Any]) -> None:
        self._state = state
        self._snapshot: Snapshot | None = None

    @property
    def reader(self) -> Reader:
        """The state as it is now, or was when first asked."""
        if self._snapshot is None:
            self._snapshot = self._state.snapshot()
        return self._snapshot

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
