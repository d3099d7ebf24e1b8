"""Who reads which moment of the pair, and how long a moment may be held.

Readers that come while a view is the newest share it.  A view that is held
keeps LMDB from using pages again and from growing its map, so there are bounds:
on how far LMDB's file may grow while a view is held, on how many there are, and
on how long a growth of the map waits.  Beyond them the oldest are ended, and
their holders' next read raises StoreClosed with the reason; the writer never
fails because of readers.
"""

import logging
import threading
from typing import Final

from stores.engines.lmdb import LmdbSnapshot
from stores.engines.rocks import RocksSnapshot
from stores.errors import StoreClosed, StoreError

VIEWS_MAX: Final = 256  # well below LMDB's table of readers

_LOGGER = logging.getLogger(__name__)


class View:
    """One moment of both engines."""

    def __init__(self, write: RocksSnapshot, read: LmdbSnapshot, file_bytes: int) -> None:
        """file_bytes: the size of LMDB's file at that moment."""
        self.write = write
        self.read = read
        self.file_bytes = file_bytes
        self.position = write.position
        self.readers = 0
        self.is_warned = False

    def close(self, why: str) -> None:
        """End it: reads that are under way end first.  A second call does nothing."""
        self.read.close(why)
        self.write.close(why)


class Views:
    """The newest view, and the older ones that are still held."""

    def __init__(self, held_growth_bytes_max: int) -> None:
        """held_growth_bytes_max: how much LMDB's file may grow while one view is held."""
        self._held_growth_bytes_max = held_growth_bytes_max
        self._changed = threading.Condition()
        self._newest: View | None = None
        self._open: list[View] = []  # oldest first
        self._end: StoreError | None = None

    def publish(self, view: View) -> None:
        """Show a new moment to who comes from now on."""
        with self._changed:
            old, self._newest = self._newest, view
            self._open.append(view)
            self._changed.notify_all()
        self._close_if_idle(old)

    def keep(self, view: View) -> None:
        """Count a view that is nobody's but the caller's, until it is released."""
        with self._changed:
            view.readers += 1
            self._open.append(view)

    def hold(self) -> View:
        """The newest view, to be released; waits while there is none.  Raises: what end or close was told."""
        with self._changed:
            if self._newest is None:
                self._changed.wait_for(lambda: self._newest is not None or self._end is not None)
            if self._newest is None:
                assert self._end is not None
                raise type(self._end)(*self._end.args)  # a new one: each carries its own way here
            self._newest.readers += 1
            return self._newest

    def release(self, view: View) -> None:
        """Give a view back."""
        with self._changed:
            view.readers -= 1
            if view.readers or view is self._newest:
                return
        self._close_if_idle(view)

    def withdraw(self, wait_s: float) -> None:
        """Leave no view open, and none to come by until the next is published.

        Holders have wait_s to finish; then their views are ended.
        """
        with self._changed:
            old, self._newest = self._newest, None
        self._close_if_idle(old)
        with self._changed:
            self._changed.wait_for(lambda: not self._open, wait_s)
            held = list(self._open)
        for view in held:
            self._expire(view, f"LMDB's map had to grow, and the snapshot was held for {wait_s} s more")

    def withdraw_if_idle(self) -> bool:
        """Leave no view open if nobody holds one; whether that is so."""
        with self._changed:
            old = self._newest
            if old is None or old.readers or len(self._open) > 1:
                return False
            self._newest = None
        self._close_if_idle(old)
        return True

    def bound(self, file_bytes: int) -> None:
        """End views that are held beyond the bounds; called after each commit, with the size of LMDB's file."""
        if len(self._open) == 1:
            return
        with self._changed:
            held = [view for view in self._open if view is not self._newest]
        for view in held[: max(0, len(held) - VIEWS_MAX)]:
            self._expire(view, f"more than {VIEWS_MAX} moments were held")
        for view in held:
            grown = file_bytes - view.file_bytes
            if grown > self._held_growth_bytes_max:
                self._expire(view, f"LMDB's file grew by {grown} bytes while the snapshot was held")
            elif grown > self._held_growth_bytes_max // 2 and not view.is_warned:
                view.is_warned = True
                _LOGGER.warning(
                    "LMDB's file grew by %s bytes while a snapshot of position %s is held; at %s it is ended",
                    *(grown, view.position, self._held_growth_bytes_max),
                )

    def end(self, error: StoreError) -> None:
        """No newer view will come: hold gives the last one, or raises error if there is none."""
        with self._changed:
            self._end = error
            self._changed.notify_all()

    def go_on(self) -> None:
        """There are newer views again, after an end."""
        with self._changed:
            self._end = None

    def close(self, error: StoreClosed) -> None:
        """End all views; hold raises error from now on."""
        with self._changed:
            self._newest, self._end = None, error
            held = list(self._open)
            self._changed.notify_all()
        for view in held:
            self._drop(view, str(error))

    def _close_if_idle(self, view: View | None) -> None:
        with self._changed:
            if view is None or view is self._newest or view.readers or view not in self._open:
                return
        self._drop(view, "the snapshot is closed")

    def _expire(self, view: View, reason: str) -> None:
        _LOGGER.warning("a snapshot of position %s is ended: %s", view.position, reason)
        self._drop(view, f"the snapshot was ended: {reason}; take a new one")

    def _drop(self, view: View, why: str) -> None:
        view.close(why)
        with self._changed:
            if view in self._open:
                self._open.remove(view)
            self._changed.notify_all()
