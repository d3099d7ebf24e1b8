"""A store to be watched, and what is read of it."""

import threading
from collections.abc import Callable

from cortex import Commit, Watchers
from stores import Batch, MemoryEngine, Reader, Snapshot
from tests.support.stores import entry

Read = Callable[[Reader], bytes | None]


class Rows:
    """A store that is written without a fold, and those who watch it."""

    def __init__(self, count_max: int = 100) -> None:
        self.store = MemoryEngine()
        self.watchers = Watchers(self.open_snapshot, count_max=count_max)
        self.reads: list[int] = []  # the threads that took a snapshot

    def open_snapshot(self) -> Snapshot:
        self.reads.append(threading.get_ident())
        return self.store.snapshot()

    def put(self, *rows: tuple[bytes, bytes], lists: tuple[bytes, ...] = ()) -> None:
        """One commit."""
        batch = Batch()
        for key, value in rows:
            batch.put(key, value)
        for key in lists:
            batch.add_posting(key, entry(len(self.reads)))
        self.store.commit(batch)
        self.watchers.notify(Commit(0, batch.rows.keys(), batch.postings.keys()))


def get(key: bytes) -> Read:
    return lambda reader: reader.get(key)
