"""Nodes in process on a disk of the test's choosing, with a clock that stands still."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from episteme.config import NodeConfig
from episteme.gate import IntakeOptions
from episteme.node import LOG_FOLDER, Node
from episteme.state import open_state
from tests.support.events import KEY_A, NOW_MS
from tests.support.logs import open_log
from wal import Files


@contextmanager
def node_on(
    folder: Path,
    *,
    files: Files | None = None,
    pending_bytes_max: int = 2**26,
    intake: IntakeOptions = IntakeOptions(),  # noqa: B008  (immutable)
) -> Iterator[Node]:
    """A node whose log is on files: a disk without waits unless a test gives another."""
    config = NodeConfig(intake=intake)
    with (
        open_log(folder / LOG_FOLDER, files=files, clock_ms=lambda: NOW_MS, pending_bytes_max=pending_bytes_max) as log,
        Node(log, open_state(folder, log, config), config, KEY_A, lambda: NOW_MS) as node,
    ):
        yield node
