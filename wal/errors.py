"""What a log can refuse or report.  Each class has a stable code."""

from pathlib import Path


class LogError(Exception):
    """The parent of all that this package raises."""

    code = "log-error"


class LogLocked(LogError):
    """Another writer holds the log's folder."""

    code = "log-locked"


class LogClosed(LogError):
    """The log was closed before or during the call."""

    code = "log-closed"


class LogFailed(LogError):
    """A write or an fsync failed; the log refuses work until it is reopened."""

    code = "log-failed"


class DiskFull(LogFailed):
    """The write failed for want of space."""

    code = "disk-full"


class LogBusy(LogError):
    """Too many bytes wait for the disk; try again."""

    code = "overloaded"


class PayloadTooLarge(LogError):
    """A payload over the format's bound."""

    code = "too-large"


class FutureSeq(LogError):
    """A read from beyond the end; names both numbers."""

    code = "future-seq"


class Truncated(LogError):
    """A read from before the first record kept; names the floor."""

    code = "truncated"


class UnsupportedFormat(LogError):
    """A file of another format, or of a version that this program cannot read."""

    code = "unsupported-format"


class Corrupt(LogError):
    """Bytes that are not what was written.  Nothing is cut off; `episteme log verify` lists the damage."""

    code = "log-corrupt"

    def __init__(self, path: Path, offset: int, expected: str, found: str) -> None:
        super().__init__(f"{path} at byte {offset}: expected {expected}, found {found}")
        self.path = path
        self.offset = offset
        self.expected = expected
        self.found = found
