"""What a doctor may look at: a data folder, its log, and its state if nobody else has that."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from cortex import State
from episteme.config import NodeConfig
from episteme.folds import LoggedEvent
from episteme.node import Node
from wal import Log, LogReader


class Folded(NamedTuple):
    """A state and the log that it is the fold of, both open here."""

    state: State[LoggedEvent]
    log: Log


class Patient(NamedTuple):
    """folded: None where another process has the state.  reasons: why a running node is not ready."""

    folder: Path
    log: LogReader
    log_bytes: int
    folded: Folded | None
    config: NodeConfig
    clock_ms: Callable[[], int]
    reasons: tuple[str, ...] = ()

    @classmethod
    def of_node(cls, node: Node) -> Self:
        """A database that this process serves."""
        return cls(
            node.log.folder.parent,
            node.log,
            node.log.size_bytes,
            Folded(node.state, node.log),
            node.config,
            node.clock_ms,
            tuple(node.reasons_not_ready()),
        )
