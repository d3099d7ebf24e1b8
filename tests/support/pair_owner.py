"""A pair of engines that hold the same rows, written by this process.  Run as `python -m tests.support.pair_owner`."""

import random
import threading
from pathlib import Path
from typing import Final

from keycodec import assertion_key, meta_key, pair_postings_key, view_key
from stores import Batch, FollowingPair, HybridStore, StoreOptions
from tests.support.owners import serve

ROWS: Final = 60
SMALL: Final = StoreOptions(memory_bytes=1024 * 1024, map_bytes=1024 * 1024)  # flushes and grows often
_VALUE_BYTES: Final = 700  # of a row: a write buffer is full after some hundreds of commits


def read_row(number: int) -> bytes:
    """The key of a row of LMDB's."""
    return view_key("mirrored", f"p{number}")


def write_row(number: int) -> bytes:
    """The key of a row of RocksDB's that always holds the same."""
    return assertion_key("mirrored", f"{number:064x}")


class Pair:
    """A pair of engines, both of which hold the same rows."""

    def open(self, folder: str) -> int:
        """Begin with another, in a new folder, with one commit in it."""
        self._folder = Path(folder)
        self._store = HybridStore.open(self._folder, SMALL)
        self._random = random.Random(1)
        self._position = 0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        return self.commit(1)

    def close(self) -> int:
        """Close it."""
        self._store.close()
        return self._position

    def commit(self, count: int, filling_bytes: int = 0) -> int:
        """That many commits, each of which changes a row or two in both; the answer is the position then.

        filling_bytes: of a new row of LMDB's in each, that is in nobody's way, to make its map too small.
        """
        for _ in range(count):
            self._position += 1
            batch = Batch()
            value = b"%d " % self._position
            for number in self._random.sample(range(ROWS), self._random.choice([1, 2])):
                batch.put(read_row(number), value)
                batch.put(write_row(number), value + self._random.randbytes(_VALUE_BYTES))
            batch.add_posting(pair_postings_key("mirrored", "p"), self._position.to_bytes(40))
            batch.put(meta_key("cursor"), self._position.to_bytes(8, "little"))
            if filling_bytes:
                batch.put(view_key("filling", f"p{self._position}"), bytes(filling_bytes))
            self._store.commit(batch)
        return self._position

    def flush(self) -> int:
        """RocksDB's buffers become tables, and its logs go."""
        target = self._folder.with_name(f"copy-{self._position}")
        self._store.checkpoint(target)
        return self._position

    def begin(self) -> int:
        """Commit without a pause, in a thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._go_on)
        self._thread.start()
        return self._position

    def end(self) -> int:
        """Have that thread end."""
        self._stopping.set()
        assert self._thread is not None
        self._thread.join()
        return self._position

    def reopen(self) -> int:
        """Close the store and open it again."""
        self._store.close()
        self._store = HybridStore.open(self._folder, SMALL)
        return self._position

    def size(self) -> int:
        """Of LMDB's file, in bytes."""
        return (self._folder / "read" / "data.mdb").stat().st_size

    def _go_on(self) -> None:
        while not self._stopping.is_set():
            self.commit(1)

    def follow(self, folder: str) -> int:
        """Hold a moment of another's store."""
        self._held = FollowingPair(Path(folder), Path(folder).with_name("follower"), SMALL).snapshot()
        return self._held.position


if __name__ == "__main__":
    serve(Pair())
