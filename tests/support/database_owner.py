"""A whole database of this process, whose clock stands still.  Run as `python -m tests.support.database_owner`."""

import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from episteme.audit.digest import what_is_said
from episteme.audit.options import AuditOptions
from episteme.config import NodeConfig
from episteme.node import Node
from episteme.reading import Question
from stores import StoreOptions
from tests.support.events import NOW_MS
from tests.support.histories import KEYS, history
from tests.support.owners import serve

CONFIG: Final = NodeConfig(
    audit=AuditOptions(enabled=False), store=StoreOptions(memory_bytes=1024 * 1024, map_bytes=2**24)
)


class Database:
    """A node whose clock stands still."""

    def open(self, folder: str) -> int:
        """Begin with another, in a new folder."""
        self._node = Node.open(Path(folder), key=KEYS[0], config=CONFIG, clock_ms=lambda: NOW_MS)
        self._thread: threading.Thread | None = None
        return 0

    def close(self) -> int:
        """Close it."""
        self._node.close()
        return 0

    def write(self, seed: int, count: int) -> int:
        """A random history, readable on return; the answer is how many events are readable."""
        self._node.submit_many(history(seed, count), "test")
        self._node.wait_applied(self._node.end_seq, 10.0)
        return self._node.applied_seq + 1

    def begin(self, seed: int, count: int) -> int:
        """Write a random history, an event at a time, in a thread."""
        self._thread = threading.Thread(
            target=lambda: [self._node.submit(one, wait_s=10.0) for one in history(seed, count)]
        )
        self._thread.start()
        return 0

    def end(self) -> int:
        """Wait for that thread."""
        assert self._thread is not None
        self._thread.join()
        return self._node.applied_seq + 1

    def ask(self, **question: Any) -> str:
        """What is said to a question."""
        return what_is_said(self._node.ask(question_of(question))).decode()

    def ask_soon(self, **question: Any) -> str | None:
        """The same, if the pair's view says it."""
        answer = self._node.ask_soon(question_of(question))
        return None if answer is None else what_is_said(answer).decode()

    def ask_then(self, position: int, **question: Any) -> str:
        """What was said to it at a position."""
        return what_is_said(self._node.ask_then(question_of(question), position, NOW_MS)).decode()

    def rebuild(self) -> int:
        """Fold the log into another store and swap."""
        return self._node.state.rebuild().position


def question_of(fields: dict[str, Any]) -> Question:
    """A question out of JSON."""
    return msgspec.convert(fields, Question)


if __name__ == "__main__":
    serve(Database())
