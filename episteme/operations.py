"""Work on a running database that takes a while: one at a time, in a thread, with its progress to look at.

Owns: the list of what was started, the newest OPERATIONS_KEPT of them.  Refuses: a
second one while one runs, for each reads or writes the whole state.

Source: docs/operations.md, "Work on a running database".
"""

import logging
import threading
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from cortex import OnProgress, SavedSnapshot
from episteme.doctor import Check, Patient, examine
from episteme.errors import OperationRunning, public_detail, translate
from episteme.node import Node
from stores import MetaStore, state_digest

OPERATIONS_KEPT: Final = 50  # finished ones that can still be asked about
_LOGGER = logging.getLogger(__name__)

Kind = Literal["rebuild", "snapshot", "digest", "doctor"]


class StateReport(Struct, frozen=True):
    """What a state comes to: how many positions it has folded, and the digest of that."""

    position: int
    digest: str


class RebuiltReport(Struct, frozen=True):
    """What a rebuild made; the digests, if they were asked for, are of the old and the new state at that position."""

    position: int
    digest_before: str | None
    digest_after: str | None


class SnapshotReport(Struct, frozen=True):
    """A snapshot of the state; name: of its folder in state/snapshots.  digest: None if it was not asked for."""

    name: str
    position: int
    size_bytes: int
    digest: str | None


class SnapshotList(Struct, frozen=True):
    """The snapshots there are, oldest position first."""

    items: list[SnapshotReport]


class OperationError(Struct, frozen=True):
    """Why an operation came to nothing."""

    code: str
    detail: str


class Operation(Struct, frozen=True, kw_only=True):
    """One piece of work.

    done, total: positions; total is 0 until it is known.  One of rebuild, snapshot, state and checks is there once
    it is done, as its kind says; error once it has failed.
    """

    id: str
    kind: Kind
    status: Literal["running", "done", "failed"]
    started_ms: int
    ended_ms: int | None = None
    done: int = 0
    total: int = 0
    rebuild: RebuiltReport | None = None
    snapshot: SnapshotReport | None = None
    state: StateReport | None = None
    checks: list[Check] | None = None
    error: OperationError | None = None


class OperationList(Struct, frozen=True):
    """What was started since the server was, newest first."""

    items: list[Operation]


Result = RebuiltReport | SnapshotReport | StateReport | list[Check]
_FIELDS: Final[dict[Kind, str]] = {"rebuild": "rebuild", "snapshot": "snapshot", "digest": "state", "doctor": "checks"}


class Operations:
    """The operations of one node.  Thread-safe."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._kept: dict[str, Operation] = {}  # oldest first
        self._count = 0
        self._thread: threading.Thread | None = None

    def rebuild(self, *, digest: bool) -> Operation:
        """Make the state anew beside the live one, then swap.  Raises: OperationRunning."""

        def work(moved: OnProgress) -> Result:
            return RebuiltReport(*self._node.state.rebuild(moved, digest=digest))

        return self._start("rebuild", work)

    def snapshot(self, *, digest: bool) -> Operation:
        """Copy the state.  Raises: OperationRunning."""
        return self._start("snapshot", lambda _: snapshot_report(self._node.state.save_snapshot(digest=digest)))

    def digest(self) -> Operation:
        """Read the whole state for its digest.  Raises: OperationRunning."""

        def work(_: OnProgress) -> Result:
            with self._node.state.snapshot() as reader:
                return StateReport(MetaStore(reader).cursor(), state_digest(reader))

        return self._start("digest", work)

    def doctor(self, *, deep: bool, more: Callable[[], Check]) -> Operation:
        """Look the whole database over; more: of the server before it.  Raises: OperationRunning."""

        def work(moved: OnProgress) -> Result:
            return [*examine(Patient.of_node(self._node), moved, deep=deep), more()]

        return self._start("doctor", work)

    def get(self, name: str) -> Operation | None:
        """One by its id; None if it never was, or is forgotten."""
        with self._lock:
            return self._kept.get(name)

    def all(self) -> list[Operation]:
        """Those that are kept, newest first."""
        with self._lock:
            return list(reversed(self._kept.values()))

    def close(self, timeout_s: float) -> None:
        """Wait for what runs; what reads the state ends when that is closed."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _start(self, kind: Kind, work: Callable[[OnProgress], Result]) -> Operation:
        with self._lock:
            running = next((one for one in self._kept.values() if one.status == "running"), None)
            if running is not None:
                raise OperationRunning(f"operation {running.id}, a {running.kind}, is under way")
            self._count += 1
            operation = Operation(id=str(self._count), kind=kind, status="running", started_ms=self._node.clock_ms())
            self._kept[operation.id] = operation
            while len(self._kept) > OPERATIONS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._thread = threading.Thread(
                target=self._run, args=(operation.id, kind, work), name=f"operation-{kind}", daemon=True
            )
            self._thread.start()
        return operation

    def _run(self, name: str, kind: Kind, work: Callable[[OnProgress], Result]) -> None:
        try:
            result = work(lambda done, total: self._change(name, done=done, total=total))
        except Exception as error:
            told = translate(error)
            _LOGGER.warning("operation %s, a %s, failed: %s", name, kind, told.code, exc_info=error)
            self._end(name, status="failed", error=OperationError(told.code, public_detail(told)))
        else:
            self._end(name, status="done", **{_FIELDS[kind]: result})

    def _end(self, name: str, **fields: object) -> None:
        self._change(name, ended_ms=self._node.clock_ms(), **fields)

    def _change(self, name: str, **fields: object) -> None:
        with self._lock:
            self._kept[name] = msgspec.structs.replace(self._kept[name], **fields)


def snapshot_report(saved: SavedSnapshot) -> SnapshotReport:
    """What is told of a snapshot."""
    manifest = saved.manifest
    return SnapshotReport(saved.path.name, manifest.position, manifest.size_bytes, manifest.digest)
