"""A store whose snapshots are counted, so that it can be retired when the last reader has let go."""

import threading
from collections.abc import Callable
from typing import Self

from stores import KV, Snapshot, StoreClosed


class CountedSnapshot:
    """A snapshot that says when it is closed.  All reads are the store's own."""

    def __init__(self, snapshot: Snapshot, released: Callable[[], None]) -> None:
        self._snapshot = snapshot
        self._released: Callable[[], None] | None = released
        self.position = snapshot.position
        self.get = snapshot.get
        self.get_many = snapshot.get_many
        self.scan = snapshot.scan
        self.postings = snapshot.postings
        self.posting_count = snapshot.posting_count
        self.posting_keys = snapshot.posting_keys

    def close(self) -> None:
        """Let the moment go.  A second call does nothing."""
        released, self._released = self._released, None
        if released is not None:
            try:
                self._snapshot.close()
            finally:
                released()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Holding:
    """A store and how many read it.  Thread-safe."""

    def __init__(self, store: KV) -> None:
        self.store = store
        self._readers = 0
        self._hurried = False
        self._closing = False
        self._changed = threading.Condition()

    def snapshot(self) -> CountedSnapshot:
        """The store's newest moment.  Raises: StoreClosed; StoreFailed."""
        with self._changed:
            self._readers += 1
        try:
            return CountedSnapshot(self.store.snapshot(), self._release)
        except BaseException:
            self._release()
            raise

    def close(self, wait_s: float = 0.0) -> None:
        """Close the store once nobody reads it, but after wait_s in any case: late readers are refused then."""
        with self._changed:
            self._changed.wait_for(lambda: self._hurried or self._readers == 0, wait_s)
            self._closing = True
        self.store.close()

    def size_bytes(self) -> int:
        """As KV.size_bytes, of a store that stays open meanwhile.  Raises: StoreClosed."""
        with self._changed:
            if self._closing:
                raise StoreClosed("the store is closed")
            self._readers += 1
        try:
            return self.store.size_bytes()
        finally:
            self._release()

    def hurry(self) -> None:
        """A close waits for no reader any more."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    def _release(self) -> None:
        with self._changed:
            self._readers -= 1
            if not self._readers:
                self._changed.notify_all()
