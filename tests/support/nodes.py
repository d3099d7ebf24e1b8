"""Nodes in process on a disk of the test's choosing, with a clock that stands still."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from episteme.audit.auditor import Auditor
from episteme.config import NodeConfig
from episteme.gate import IntakeOptions
from episteme.node import LOG_FOLDER, Node
from episteme.reading import Question, as_parameters
from episteme.space import Space
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
    config: NodeConfig = NodeConfig(),  # noqa: B008  (immutable)
    clock_ms: Callable[[], int] = lambda: NOW_MS,
    space: Space | None = None,
) -> Iterator[Node]:
    """A node whose log is on files: a disk without waits unless a test gives another."""
    config = msgspec.structs.replace(config, intake=intake)
    auditor = Auditor[Question](folder, config.audit, as_parameters, clock_ms=clock_ms, random_bytes=os.urandom)
    with (
        open_log(folder / LOG_FOLDER, files=files, clock_ms=clock_ms, pending_bytes_max=pending_bytes_max) as log,
        Node(log, open_state(folder, log, config), config, KEY_A, clock_ms, auditor, space) as node,
    ):
        yield node
