"""RedEX: durable, named, append-only logs.  Knows nothing of what they hold.  Source: docs/format-log.md."""

from wal.check import Checked, Finding, check_log
from wal.commit import Ticket
from wal.dump import dump_log
from wal.errors import (
    BadLogName,
    Corrupt,
    DiskFull,
    Diverged,
    Fenced,
    Forked,
    FutureSeq,
    LogBusy,
    LogClosed,
    LogError,
    LogFailed,
    LogFull,
    LogLocked,
    NotOwner,
    OptionsConflict,
    OutOfHandles,
    PayloadTooLarge,
    SeqConflict,
    Truncated,
    UnknownLog,
    UnsupportedFormat,
    WrongLog,
)
from wal.files import Files
from wal.following import Follower, follow, open_replica
from wal.format import PAYLOAD_BYTES_MAX, Frame, wall_ms
from wal.log import FileLog
from wal.memory import MemoryLog
from wal.options import Durability, Interval, LogOptions, Retention
from wal.protocol import Cursor, Log, LogReader
from wal.rebuild import Quarantined
from wal.recovery import TornTail
from wal.redex import Redex
from wal.repair import Repaired, repair_log
from wal.tail import Subscription
from wal.viewing import ReadOnlyLog

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "BadLogName",
    "Checked",
    "Corrupt",
    "Cursor",
    "DiskFull",
    "Diverged",
    "Durability",
    "Fenced",
    "FileLog",
    "Files",
    "Finding",
    "Follower",
    "Forked",
    "Frame",
    "FutureSeq",
    "Interval",
    "Log",
    "LogBusy",
    "LogClosed",
    "LogError",
    "LogFailed",
    "LogFull",
    "LogLocked",
    "LogOptions",
    "LogReader",
    "MemoryLog",
    "NotOwner",
    "OptionsConflict",
    "OutOfHandles",
    "PayloadTooLarge",
    "Quarantined",
    "ReadOnlyLog",
    "Redex",
    "Repaired",
    "Retention",
    "SeqConflict",
    "Subscription",
    "Ticket",
    "TornTail",
    "Truncated",
    "UnknownLog",
    "UnsupportedFormat",
    "WrongLog",
    "check_log",
    "dump_log",
    "follow",
    "open_replica",
    "repair_log",
    "wall_ms",
]
