"""Watching a state: what a read gives now, and then each time that it gives something else.

A commit names the keys that it touched; those who depend on one of them are
marked and woken, and nothing else happens in the thread that commits.  Whoever
watches reads for itself, from the newest state, when it asks: one that is slow
misses what was in between, and holds up nobody.

Invariant: a watch is registered before it reads, and its mark is taken away
before the state is taken: a commit that the read does not show leaves a mark.

Source: docs/state.md, "The runner".
"""

import operator
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from cortex.errors import CortexError, FoldClosed, TooManyWatchers
from cortex.runner import Commit
from stores import Snapshot

Result = TypeVar("Result")

WATCHERS_MAX: Final = 10_000  # each holds its last result

_LOOK_S: Final = 0.25  # how often the main thread looks up: a signal may have come to another thread
_REST_S: Final = 3600.0  # and the others, whom no signal reaches
_NEVER: Final = object()  # the result before the first
_SEARCH_COST: Final = 4  # of finding a prefix among sorted keys, in cuts of a key


class Change(NamedTuple, Generic[Result]):
    """A result, and the state that gave it."""

    position: int  # how many events that state has folded
    value: Result


class Watch(Generic[Result]):
    """One read that is repeated whenever it may give something else.  For one thread, but for close.

    As an iterator it gives the current result first, then each that differs from the one before; it waits for
    the next at most timeout_s, and ends when that time passes without one, or when the fold or the watch is closed.
    Ctrl-C interrupts it.  It keeps its place among the watchers until it is closed.
    """

    def __init__(
        self,
        watchers: "Watchers",
        read: Callable[[Snapshot], Result],
        same: Callable[[Result, Result], bool],
        timeout_s: float | None,
    ) -> None:
        """Use watch of Watchers."""
        self._watchers = watchers
        self._read = read
        self._same = same
        self._timeout_s = timeout_s
        self._last: Any = _NEVER
        self._closed = False
        self._marked = True  # the read may give something new
        self._woken = threading.Event()

    def read(self, timeout_s: float | None) -> Change[Result] | None:
        """The current result if it is not the last one given, else the next; None if none came within timeout_s.

        Raises: FoldStopped once all was given that the fold did before; FoldClosed if the fold or the watch is
        closed; StoreError; what read and same raise, and then the next call reads again.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._woken.clear()  # before the looks at what it is set for
            self._check_open()
            error = self._watchers.error  # before the look at the mark: the last mark comes before the end
            if self._marked:
                change = self._read_again()
                if change is not None:
                    return change
            elif error is not None:
                raise error.again()
            elif not self._wait(deadline_s):
                return None

    def mark(self) -> None:
        """For Watchers: what the read depends on was touched."""
        if not self._marked:
            self._marked = True
            self._woken.set()

    def wake(self) -> None:
        """For Watchers: something else than a touched key is worth a look."""
        self._woken.set()

    def close(self) -> None:
        """Watch no more; may be called from any thread.  A second call does nothing."""
        self._closed = True
        self._watchers.forget(self)
        self._woken.set()

    def __iter__(self) -> Iterator[Change[Result]]:
        try:
            while (change := self.read(self._timeout_s)) is not None:
                yield change
        except FoldClosed:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_again(self) -> Change[Result] | None:
        """Read from the newest state; None if that is the last result again."""
        self._marked = False  # before the state is taken
        try:
            with self._watchers.open_snapshot() as snapshot:
                value = self._read(snapshot)
                position = snapshot.position
            if self._last is not _NEVER and self._same(self._last, value):
                return None
        except BaseException:
            self._marked = True
            self._check_open()  # a store that was closed under it is no fault
            raise
        self._last = value
        return Change(position, value)

    def _check_open(self) -> None:
        if self._closed:
            raise FoldClosed("the watch was closed")
        if isinstance(self._watchers.error, FoldClosed):
            raise self._watchers.error.again()

    def _wait(self, deadline_s: float | None) -> bool:
        """Wait to be woken; False if the time ran out."""
        look_s = _LOOK_S if threading.current_thread() is threading.main_thread() else _REST_S
        while not self._woken.is_set():
            left_s = look_s if deadline_s is None else min(look_s, deadline_s - time.monotonic())
            if left_s <= 0:
                return False
            self._woken.wait(left_s)
        return True


class Watchers:
    """Who watches one state, by what they depend on.  Thread-safe."""

    def __init__(self, open_snapshot: Callable[[], Snapshot], *, count_max: int = WATCHERS_MAX) -> None:
        """open_snapshot: the newest state, whichever store keeps it."""
        self.open_snapshot = open_snapshot
        self.error: CortexError | None = None  # why no commit will follow, if none will
        self._count_max = count_max
        self._lock = threading.Lock()
        self._keys_of: dict[Watch[Any], tuple[frozenset[bytes], frozenset[bytes]]] = {}
        self._by_key: dict[bytes, set[Watch[Any]]] = {}
        self._by_prefix: dict[int, dict[bytes, set[Watch[Any]]]] = {}  # by the prefix's length first

    @property
    def count(self) -> int:
        """How many watch."""
        return len(self._keys_of)

    def watch(
        self,
        read: Callable[[Snapshot], Result],
        *,
        keys: Collection[bytes] = (),
        prefixes: Collection[bytes] = (),
        same: Callable[[Result, Result], bool] = operator.eq,
        timeout_s: float | None = None,
    ) -> Watch[Result]:
        """Watch what read gives; it is called in the thread that asks, and must depend on nothing but these keys.

        keys, prefixes: of rows and of posting lists.  same: whether two results are one, so that the second
        is not given.  timeout_s: of the iterator.
        Raises: TooManyWatchers.
        """
        one = Watch(self, read, same, timeout_s)
        with self._lock:
            if len(self._keys_of) >= self._count_max:
                raise TooManyWatchers(f"{self._count_max} watch already; close a watch, or raise watchers_max")
            self._register(one, frozenset(keys), frozenset(prefixes))
        return one

    def notify(self, commit: Commit) -> None:
        """Mark and wake those who depend on what a commit touched; meant for a runner's on_commit."""
        if not self._keys_of:
            return
        with self._lock:
            for keys in (commit.row_keys, commit.posting_keys):
                if keys:
                    self._mark(keys)

    def notify_all(self) -> None:
        """Mark and wake all: the state was replaced."""
        with self._lock:
            for one in self._keys_of:
                one.mark()

    def end(self, error: CortexError | None) -> None:
        """No commit follows: all who watch, or will, are told when they have read what there is.  None: some will."""
        self.error = error
        with self._lock:
            for one in self._keys_of:
                one.wake()

    def forget(self, one: Watch[Any]) -> None:
        """Take a watch out, if it is there."""
        with self._lock:
            keys, prefixes = self._keys_of.pop(one, (frozenset(), frozenset()))
            for key in keys:
                _discard(self._by_key, key, one)
            for prefix in prefixes:
                bucket = self._by_prefix[len(prefix)]
                _discard(bucket, prefix, one)
                if not bucket:
                    del self._by_prefix[len(prefix)]

    def _register(self, one: Watch[Any], keys: frozenset[bytes], prefixes: frozenset[bytes]) -> None:
        self._keys_of[one] = keys, prefixes
        for key in keys:
            self._by_key.setdefault(key, set()).add(one)
        for prefix in prefixes:
            self._by_prefix.setdefault(len(prefix), {}).setdefault(prefix, set()).add(one)

    def _mark(self, keys: Collection[bytes]) -> None:
        """Sets are met in C, by the smaller of the two; prefixes by whichever of two ways costs less."""
        for key in self._by_key.keys() & keys:
            _mark_each(self._by_key[key])
        if len(keys) * len(self._by_prefix) <= _SEARCH_COST * sum(map(len, self._by_prefix.values())):
            for length, bucket in self._by_prefix.items():
                for prefix in bucket.keys() & {key[:length] for key in keys}:
                    _mark_each(bucket[prefix])
        else:  # many keys, few prefixes
            _mark_under(self._by_prefix.values(), sorted(keys))


def _mark_under(buckets: Iterable[Mapping[bytes, set[Watch[Any]]]], keys: Sequence[bytes]) -> None:
    """keys: sorted."""
    for bucket in buckets:
        for prefix, watches in bucket.items():
            place = bisect_left(keys, prefix)
            if place < len(keys) and keys[place].startswith(prefix):
                _mark_each(watches)


def _mark_each(watches: set[Watch[Any]]) -> None:
    for one in watches:
        one.mark()


def _discard(index: dict[bytes, set[Watch[Any]]], key: bytes, one: Watch[Any]) -> None:
    watches = index[key]
    watches.discard(one)
    if not watches:
        del index[key]
