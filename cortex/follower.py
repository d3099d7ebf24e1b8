"""The live store of a state's folder, read by another process than the one that folds into it.

Follows the generations: a rebuild replaces `CURRENT`, and what reads from then
on reads the new one.  It is looked at now and then, and whenever the store is
behind a position that its reader knows to be folded.

Invariant: a read sees one commit of the folder's owner, and no commit before
one that an earlier read of this follower saw, in one generation.

Source: docs/state.md, "Read by another process".
"""

import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final, Self, TypeVar

from cortex.errors import CortexError
from cortex.folders import remove_tree
from cortex.generations import CURRENT, SCRATCH, live_generation
from stores import FollowingPair, FollowingSnapshot, Moved, StoreClosed, StoreError, StoreOptions

Result = TypeVar("Result")

LOOK_S: Final = 0.25  # between looks at CURRENT, of less than 2 us: so long a read may be of a store that was replaced
# The writer's part between its two engines' commits is a sync, about a millisecond; this waits for 25 of those.
TRIES_MAX: Final = 10
_PAUSE_S: Final = 0.0001  # after the second try; it doubles with each
_OPEN_TRIES: Final = 5  # of a generation that is replaced while it is opened

_Stamp = tuple[int, int]


class FollowerBehind(CortexError):
    """The follower cannot show a commit of both engines that is new enough, in good time; the owner can."""

    code = "follower-behind"


class Follower:
    """Reads of a state that another process owns.  Thread-safe."""

    def __init__(self, folder: Path, scratch: Path, options: StoreOptions) -> None:
        """Use Follower.open."""
        self._folder = folder
        self._current = folder / CURRENT
        self._scratch = scratch
        self._scratch_numbers = count()
        self._options = options
        self._swapping = threading.Lock()
        self._closed = False
        self._look_at_s = 0.0  # by the monotonic clock
        self._stamp, self._generation, self._pair = self._open_live()

    @classmethod
    def open(cls, folder: Path, name: str, options: StoreOptions = StoreOptions()) -> Self:  # noqa: B008  (immutable)
        """Open the live store of a state's folder, which its owner has open.

        name: of this follower among those of the folder; what one of that name, that was killed, has left goes.
        Raises: FollowerBehind if there is none; StoreError; OSError.
        """
        scratch = folder / f"{SCRATCH}follower-{name}"
        remove_tree(scratch)
        return cls(folder, scratch, options)

    def snapshot(self, *, at_least: int = 0, patient: bool = True) -> FollowingSnapshot:
        """The newest moment.  As Snapshot, but that any read of it may raise Moved, where both engines are needed.

        at_least: how many events are known to be folded.  patient: as FollowingPair.snapshot.
        Raises: Moved; StoreError.
        """
        if time.monotonic() >= self._look_at_s:
            self.look()
        snapshot = self._snapshot(patient=patient)
        if snapshot.position >= at_least:
            return snapshot
        snapshot.close()
        self.look()
        snapshot = self._snapshot(patient=patient)
        if snapshot.position < at_least:
            snapshot.close()
            raise Moved(f"the store is at {snapshot.position}, {at_least} events are folded")
        return snapshot

    def read(self, function: Callable[[FollowingSnapshot], Result], *, at_least: int = 0) -> Result:
        """What a function reads of one moment; it may be called several times.  Raises: FollowerBehind; StoreError."""

        def once() -> Result:
            with self.snapshot(at_least=at_least) as snapshot:
                return function(snapshot)

        return again(once)

    def look(self) -> None:
        """See whether another generation is live, and go over to it; readers of the one before end in peace.

        Raises: FollowerBehind; StoreError; OSError.
        """
        with self._swapping:
            self._look_at_s = time.monotonic() + LOOK_S
            if self._closed or _stamp_of(self._current) == self._stamp:
                return
            if live_generation(self._folder) == self._generation:
                self._stamp = _stamp_of(self._current)
                return
            old = self._pair
            self._stamp, self._generation, self._pair = self._open_live()
        old.retire()

    def tend(self) -> None:
        """Called now and then, when nothing else is to be done: as FollowingPair.tend.  Raises: StoreError."""
        self.look()
        self._pair.tend()

    def close(self) -> None:
        """Give no more snapshots; what is held ends in peace.  A second call does nothing."""
        with self._swapping:
            self._closed = True
            self._pair.retire()
        remove_tree(self._scratch)

    def _snapshot(self, *, patient: bool) -> FollowingSnapshot:
        while True:
            pair = self._pair
            try:
                return pair.snapshot(patient=patient)
            except StoreClosed:
                if self._pair is pair:
                    raise

    def _open_live(self) -> tuple[_Stamp, Path, FollowingPair]:
        failure: Exception | None = None
        for _ in range(_OPEN_TRIES):
            try:
                stamp, live = _stamp_of(self._current), live_generation(self._folder)
                if live is not None:
                    scratch = self._scratch / str(next(self._scratch_numbers))
                    return stamp, live, FollowingPair(live, scratch, self._options)
            except (StoreError, OSError) as error:  # it may have been replaced and removed meanwhile
                failure = error
        raise FollowerBehind(f"{self._folder} has no live store that can be read") from failure


def again(function: Callable[[], Result]) -> Result:
    """Call a function that reads a follower's snapshots until both engines show one commit.  Raises: FollowerBehind."""
    pause_s = 0.0
    for _ in range(TRIES_MAX):
        try:
            return function()
        except Moved as moved:
            reason = str(moved)
        time.sleep(pause_s)
        pause_s = 2 * pause_s or _PAUSE_S
    raise FollowerBehind(f"the state could not be read at one commit in {TRIES_MAX} tries: {reason}")


def _stamp_of(current: Path) -> _Stamp:
    """What tells one CURRENT from the next: it is replaced, never written again."""
    found = current.stat()
    return found.st_ino, found.st_mtime_ns
