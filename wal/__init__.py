"""RedEX: durable, named, append-only logs.  Knows nothing of what they hold.  Source: docs/format-log.md."""

from wal.check import Checked, Finding, check_log
from wal.commit import Ticket
from wal.errors import (
    Corrupt,
    DiskFull,
    FutureSeq,
    LogBusy,
    LogClosed,
    LogError,
    LogFailed,
    LogLocked,
    PayloadTooLarge,
    Truncated,
    UnsupportedFormat,
)
from wal.files import Files
from wal.format import PAYLOAD_BYTES_MAX, Frame, wall_ms
from wal.log import FileLog, LogOptions
from wal.protocol import Log
from wal.recovery import TornTail

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "Checked",
    "Corrupt",
    "DiskFull",
    "FileLog",
    "Files",
    "Finding",
    "Frame",
    "FutureSeq",
    "Log",
    "LogBusy",
    "LogClosed",
    "LogError",
    "LogFailed",
    "LogLocked",
    "LogOptions",
    "PayloadTooLarge",
    "Ticket",
    "TornTail",
    "Truncated",
    "UnsupportedFormat",
    "check_log",
    "wall_ms",
]
