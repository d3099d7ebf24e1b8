"""What the domain models can refuse.  Nothing is written when a command is refused."""

from cortex.errors import CortexError


class InvalidCommand(CortexError):
    """A command whose fields break their rules."""

    code = "invalid-command"


class KeyConflict(CortexError):
    """An idempotency key that stands for another command."""

    code = "key-conflict"


class CommandsBusy(CortexError):
    """The fold is too far behind to check the command against."""

    code = "commands-busy"


class NotApplied(CortexError):
    """A command that is in the log, but not in the state within the time allowed."""

    code = "not-applied"


class InvalidQuery(CortexError):
    """A query, a limit or a cursor that cannot be."""

    code = "invalid-query"


class QueryTooWide(CortexError):
    """A query that would look at more rows than the setting allows."""

    code = "query-too-wide"


class UnsupportedEvent(CortexError):
    """A frame that is no event of this model, or of a version that this program does not know."""

    code = "unsupported-event"


class TaskNotFound(CortexError):
    """No task of that id."""

    code = "task-not-found"


class TaskConflict(CortexError):
    """A command that a task's status does not allow."""

    code = "task-conflict"

    def __init__(self, detail: str, *, task: str = "", from_status: str = "", to_status: str = "") -> None:
        super().__init__(detail)
        self.task = task
        self.from_status = from_status
        self.to_status = to_status


class MemoryNotFound(CortexError):
    """No memory of that id."""

    code = "memory-not-found"


class MemoryConflict(CortexError):
    """A command that a memory's state does not allow."""

    code = "memory-conflict"
