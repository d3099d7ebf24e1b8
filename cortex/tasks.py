"""Tasks: long-running work with a lifecycle, as a fold of a log of their own.

    create               -> created
    start     created    -> running
    progress  running    -> running
    complete  running    -> completed
    fail      running    -> failed
    cancel    created, running -> cancelled
    retry     failed, cancelled -> created

Progress is a whole number per mille: exact, and the same on every machine.
Times are the log's.  Any task can be renamed and deleted.

Source: docs/cortex.md, "Tasks".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, assert_never, get_args

from msgspec import Struct
from msgspec.structs import replace

from cortex.models.checks import check_id, check_line, check_range, check_tags, check_text, sorted_tags
from cortex.models.commands import NEW_ID, Receipt
from cortex.models.desk import Desk
from cortex.models.domain import Change, DomainEvent, Model, Plan, check_event, text_rank, time_rank
from cortex.models.queries import Question, checked_question, has_tags, labels_of
from cortex.models.refusals import TaskConflict, TaskNotFound
from wal import wall_ms

Status = Literal["created", "running", "completed", "failed", "cancelled"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
PERMILLE_MAX: Final = 1000


class TaskCreated(DomainEvent, frozen=True, tag="task-created"):
    """A task is there, to be started."""

    title: str
    tags: tuple[str, ...] = ()


class TaskStarted(DomainEvent, frozen=True, tag="task-started"):
    """An attempt begins."""


class TaskProgressed(DomainEvent, frozen=True, tag="task-progressed"):
    """How far the attempt is."""

    permille: int


class TaskCompleted(DomainEvent, frozen=True, tag="task-completed"):
    """The attempt did it."""

    result: str | None = None


class TaskFailed(DomainEvent, frozen=True, tag="task-failed"):
    """The attempt did not."""

    error: str


class TaskCancelled(DomainEvent, frozen=True, tag="task-cancelled"):
    """Nobody wants it any more."""

    reason: str | None = None


class TaskRetried(DomainEvent, frozen=True, tag="task-retried"):
    """It is to be started once more."""


class TaskRenamed(DomainEvent, frozen=True, tag="task-renamed"):
    """It has another title."""

    title: str


class TaskDeleted(DomainEvent, frozen=True, tag="task-deleted"):
    """It is gone from the state."""


TaskEvent = (
    TaskCreated
    | TaskStarted
    | TaskProgressed
    | TaskCompleted
    | TaskFailed
    | TaskCancelled
    | TaskRetried
    | TaskRenamed
    | TaskDeleted
)

# From which statuses an event is allowed, and to which it leads; None: the same.
TRANSITIONS: Final[Mapping[type[TaskEvent], tuple[frozenset[Status], Status | None]]] = {
    TaskStarted: (frozenset(("created",)), "running"),
    TaskProgressed: (frozenset(("running",)), "running"),
    TaskCompleted: (frozenset(("running",)), "completed"),
    TaskFailed: (frozenset(("running",)), "failed"),
    TaskCancelled: (frozenset(("created", "running")), "cancelled"),
    TaskRetried: (frozenset(("failed", "cancelled")), "created"),
    TaskRenamed: (frozenset(STATUSES), None),
    TaskDeleted: (frozenset(STATUSES), None),
}


class Task(Struct, frozen=True, array_like=True, gc=False):
    """A task as it is now.  Times are the log's hybrid ones, which no two events share; *_ms since 1970."""

    id: str
    title: str
    status: Status
    created_time: int
    updated_time: int
    tags: tuple[str, ...] = ()  # in order
    attempts: int = 0  # how often it was started
    progress_permille: int = 0  # of the last attempt
    started_time: int | None = None  # of the last attempt
    finished_time: int | None = None  # completed, failed or cancelled
    result: str | None = None
    error: str | None = None  # why it failed, or was cancelled

    @property
    def created_ms(self) -> int:
        """When it was created."""
        return wall_ms(self.created_time)

    @property
    def updated_ms(self) -> int:
        """When anything of it last changed."""
        return wall_ms(self.updated_time)

    @property
    def started_ms(self) -> int | None:
        """When its last attempt began."""
        return None if self.started_time is None else wall_ms(self.started_time)

    @property
    def finished_ms(self) -> int | None:
        """When it was completed, failed or cancelled."""
        return None if self.finished_time is None else wall_ms(self.finished_time)


class TaskQuery(Question, frozen=True, kw_only=True):
    """Which tasks, in which order; what is not given does not matter."""

    status: Status | Sequence[Status] = ()
    text: str | None = None  # in the title, whatever its case
    order: Literal["created", "updated", "title"] = "created"
    descending: bool = False


class TaskModel(Model[TaskEvent, Task]):
    """What a task is.  Pure."""

    name = "tasks"
    version = 1
    kind = 1
    event_type = TaskEvent
    row_type = Task
    groups: ClassVar[Mapping[str, bytes]] = {
        "created": b"c",
        "running": b"r",
        "completed": b"d",
        "failed": b"f",
        "cancelled": b"x",
    }
    descends: ClassVar[Mapping[bytes, bool]] = {b"c": False, b"u": True, b"t": False}
    orders: ClassVar[Mapping[str, bytes]] = {"created": b"c", "updated": b"u", "title": b"t"}

    def check(self, event: TaskEvent) -> None:
        """Raises: InvalidCommand."""
        check_event(event)
        check_id("a task's id", event.id)
        match event:
            case TaskCreated():
                check_line("a title", event.title)
                check_tags(event.tags)
            case TaskRenamed():
                check_line("a title", event.title)
            case TaskProgressed():
                check_range("progress_permille", event.permille, 0, PERMILLE_MAX)
            case TaskFailed():
                check_text("an error", event.error)
            case TaskCompleted(result=text) | TaskCancelled(reason=text):
                if text is not None:
                    check_text("a result or a reason", text)

    def change(self, event: TaskEvent, time: int, find: Callable[[str], Task | None]) -> Sequence[Change[Task]]:
        """The one table of what may happen to a task.  Raises: TaskNotFound; TaskConflict."""
        task = find(event.id)
        if isinstance(event, TaskCreated):
            if task is not None:
                raise _conflict(task, "created", "the id is taken; give another one, or none")
            return ((None, Task(event.id, event.title, "created", time, time, event.tags)),)
        if task is None:
            raise self.missing(event.id)
        allowed, target = TRANSITIONS[type(event)]
        if task.status not in allowed:
            raise _conflict(task, target or task.status, f"it must be {' or '.join(sorted(allowed))}")
        return ((task, _after(task, event, time)),)

    def group(self, row: Task) -> bytes:
        """Its status."""
        return self.groups[row.status]

    def ranks(self, row: Task) -> Sequence[tuple[bytes, bytes]]:
        """By creation, by change, by title."""
        id_ = row.id
        return (
            (b"c", time_rank(row.created_time, id_, descending=False)),
            (b"u", time_rank(row.updated_time, id_, descending=True)),
            (b"t", text_rank(row.title, id_, descending=False)),
        )

    def rank(self, row: Task, order: bytes, *, descending: bool) -> bytes:
        """Where it stands in an order."""
        if order == b"t":
            return text_rank(row.title, row.id, descending=descending)
        return time_rank(row.created_time if order == b"c" else row.updated_time, row.id, descending=descending)

    def labels(self, row: Task) -> Sequence[bytes]:
        """Its tags."""
        return [tag.encode() for tag in row.tags] if row.tags else ()

    def plan(self, query: TaskQuery) -> Plan[Task]:
        """How to find what a query asks for.  Raises: InvalidQuery."""
        query = checked_question(query, TaskQuery)
        wanted = STATUSES if not query.status else [query.status] if isinstance(query.status, str) else query.status
        text = None if query.text is None else query.text.casefold()
        return Plan(
            self.orders[query.order],
            query.descending,
            [self.groups[status] for status in dict.fromkeys(wanted)],
            labels_of(query),
            query.created_from_ms,
            query.created_before_ms,
            lambda task: has_tags(query, task.tags) and (text is None or text in task.title.casefold()),
        )

    def missing(self, id_: str) -> TaskNotFound:
        """What to raise for an id that there is not."""
        return TaskNotFound(f"there is no task {id_!r:.80}: it was never created, was deleted, or is not applied yet")


class Tasks(Desk[TaskEvent, Task, TaskQuery]):
    """Tasks at work.  Thread-safe.

    Each command raises InvalidCommand, TaskNotFound or TaskConflict, and then nothing is written.  It sees all
    commands before it, applied or not.  key: an idempotency key; the same key with the same command gives the
    same receipt and writes nothing, with another command raises KeyConflict.  wait: return once it is applied.
    """

    model: ClassVar[Model[Any, Any]] = TaskModel()

    def create(
        self,
        title: str,
        *,
        tags: Sequence[str] = (),
        id: str | None = None,  # noqa: A002  (what it is called in a task)
        key: str | None = None,
        wait: bool = False,
    ) -> Receipt:
        """Create a task, not started.  id: None for one that no other has."""
        event = TaskCreated(v=1, id=NEW_ID if id is None else id, title=title, tags=sorted_tags(tags) if tags else ())
        return self._commands.submit(event, fresh=id is None, key=key, wait=wait)

    def start(self, id_: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Begin an attempt at a created task."""
        return self._commands.submit(TaskStarted(v=1, id=id_), key=key, wait=wait)

    def progress(self, id_: str, permille: int, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Say how far a running task is, 0 to 1000."""
        return self._commands.submit(TaskProgressed(v=1, id=id_, permille=permille), key=key, wait=wait)

    def complete(self, id_: str, result: str | None = None, *, key: str | None = None, wait: bool = False) -> Receipt:
        """End a running task well; its progress is 1000 then."""
        return self._commands.submit(TaskCompleted(v=1, id=id_, result=result), key=key, wait=wait)

    def fail(self, id_: str, error: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """End a running task badly."""
        return self._commands.submit(TaskFailed(v=1, id=id_, error=error), key=key, wait=wait)

    def cancel(self, id_: str, reason: str | None = None, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Give up a created or running task."""
        return self._commands.submit(TaskCancelled(v=1, id=id_, reason=reason), key=key, wait=wait)

    def retry(self, id_: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Make a failed or cancelled task a created one; its attempts still count."""
        return self._commands.submit(TaskRetried(v=1, id=id_), key=key, wait=wait)

    def rename(self, id_: str, title: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Give a task another title."""
        return self._commands.submit(TaskRenamed(v=1, id=id_, title=title), key=key, wait=wait)

    def delete(self, id_: str, *, key: str | None = None, wait: bool = False) -> Receipt:
        """Remove a task from the state, whatever its status; its id may be used again."""
        return self._commands.submit(TaskDeleted(v=1, id=id_), key=key, wait=wait)


def _after(task: Task, event: TaskEvent, time: int) -> Task | None:
    """A task after an event that is allowed."""
    match event:
        case TaskStarted():
            return replace(task, status="running", attempts=task.attempts + 1, started_time=time, updated_time=time)
        case TaskProgressed(permille=permille):
            return replace(task, progress_permille=permille, updated_time=time)
        case TaskCompleted(result=result):
            ended = replace(task, status="completed", finished_time=time, updated_time=time)
            return replace(ended, progress_permille=PERMILLE_MAX, result=result)
        case TaskFailed(error=error):
            return replace(task, status="failed", finished_time=time, updated_time=time, error=error)
        case TaskCancelled(reason=reason):
            return replace(task, status="cancelled", finished_time=time, updated_time=time, error=reason)
        case TaskRetried():
            again = replace(task, status="created", progress_permille=0, updated_time=time)
            return replace(again, started_time=None, finished_time=None, result=None, error=None)
        case TaskRenamed(title=title):
            return replace(task, title=title, updated_time=time)
        case TaskDeleted():
            return None
        case TaskCreated():
            raise AssertionError(event)
        case _:
            assert_never(event)


def _conflict(task: Task, to_status: str, advice: str) -> TaskConflict:
    return TaskConflict(
        f"task {task.id!r} is {task.status} and cannot become {to_status}: {advice}",
        task=task.id,
        from_status=task.status,
        to_status=to_status,
    )
