"""CortEX: from a log to state, exactly once.  Knows nothing of what events mean."""

from cortex.applying import apply_batch
from cortex.binding import bind
from cortex.errors import (
    BadSnapshot,
    BeyondState,
    CortexError,
    EventsGone,
    FoldClosed,
    FoldStopped,
    FoldVersionChanged,
    Rebuilding,
    StateLocked,
    TooManyWatchers,
    WrongLog,
)
from cortex.fold import BatchFold, Fold, KindFold
from cortex.follower import Follower, FollowerBehind, again
from cortex.live import OnProgress, Rebuilt
from cortex.memories import Memories, Memory, MemoryQuery
from cortex.models.commands import CommandOptions, Receipt
from cortex.models.desk import DeskOptions, View, open_lmdb
from cortex.models.paging import Page
from cortex.models.refusals import (
    CommandsBusy,
    InvalidCommand,
    InvalidQuery,
    KeyConflict,
    MemoryConflict,
    MemoryNotFound,
    NotApplied,
    QueryTooWide,
    TaskConflict,
    TaskNotFound,
    UnsupportedEvent,
)
from cortex.options import RunnerOptions
from cortex.progress import Progress
from cortex.retries import Retried
from cortex.runner import Commit, Runner
from cortex.snapshots import Manifest, SavedSnapshot, read_snapshot, restore_snapshot
from cortex.state import State, StateOptions
from cortex.tasks import Task, TaskQuery, Tasks
from cortex.watch import Change, Watch, Watchers
from cortex.watermark import Watermark
from stores import DeadLetter

__all__ = [
    "BadSnapshot",
    "BatchFold",
    "BeyondState",
    "Change",
    "CommandOptions",
    "CommandsBusy",
    "Commit",
    "CortexError",
    "DeadLetter",
    "DeskOptions",
    "EventsGone",
    "Fold",
    "FoldClosed",
    "FoldStopped",
    "FoldVersionChanged",
    "Follower",
    "FollowerBehind",
    "InvalidCommand",
    "InvalidQuery",
    "KeyConflict",
    "KindFold",
    "Manifest",
    "Memories",
    "Memory",
    "MemoryConflict",
    "MemoryNotFound",
    "MemoryQuery",
    "NotApplied",
    "OnProgress",
    "Page",
    "Progress",
    "QueryTooWide",
    "Rebuilding",
    "Rebuilt",
    "Receipt",
    "Retried",
    "Runner",
    "RunnerOptions",
    "SavedSnapshot",
    "State",
    "StateLocked",
    "StateOptions",
    "Task",
    "TaskConflict",
    "TaskNotFound",
    "TaskQuery",
    "Tasks",
    "TooManyWatchers",
    "UnsupportedEvent",
    "View",
    "Watch",
    "Watchers",
    "Watermark",
    "WrongLog",
    "again",
    "apply_batch",
    "bind",
    "open_lmdb",
    "read_snapshot",
    "restore_snapshot",
]
