"""What a log can refuse or report.  Each class has a stable code."""

from pathlib import Path
from typing import Any


class LogError(Exception):
    """The parent of all that this package raises."""

    code = "log-error"
    resumable = False  # whether a log that refuses work for it can go on without being reopened

    def again(self) -> "LogError":
        """A copy to raise: one that is raised many times would gather the places of all."""
        copy = _restored(type(self), self.args, self.__dict__)
        copy.__cause__ = self.__cause__
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it passes from a worker process as it is."""
        return _restored, (type(self), self.args, dict(self.__dict__))


def _restored(cls: type["LogError"], args: tuple[Any, ...], attributes: dict[str, Any]) -> "LogError":
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(attributes)
    return error


class LogLocked(LogError):
    """Another writer holds the log's folder."""

    code = "log-locked"


class LogClosed(LogError):
    """The log was closed before or during the call."""

    code = "log-closed"


class LogFailed(LogError):
    """A write or an fsync failed; the log refuses work until it is reopened, or resumed if it is resumable."""

    code = "log-failed"


class DiskFull(LogFailed):
    """A write found no room; nothing of it is in the log."""

    code = "disk-full"
    resumable = True


class OutOfHandles(LogFailed):
    """A write found no file handle, which a new segment needs; nothing of it is in the log."""

    code = "out-of-handles"
    resumable = True


class Forked(LogFailed):
    """The log was opened before a fork, and this is the child: only the process that opened it may write."""

    code = "forked"


class Fenced(LogFailed):
    """The log's lock file was removed: another writer may have the folder, so this one stops."""

    code = "fenced"


class LogFull(LogError):
    """No seq is left."""

    code = "log-full"


class LogBusy(LogError):
    """Too many bytes wait for the disk; try again."""

    code = "overloaded"


class PayloadTooLarge(LogError):
    """A payload over the format's bound."""

    code = "too-large"


class SeqConflict(LogError):
    """The log does not end where the append expects; names both seqs."""

    code = "seq-conflict"

    def __init__(self, expected: int, next_seq: int) -> None:
        super().__init__(f"the append expects to be seq {expected}, the next is {next_seq}; read on, then try again")
        self.expected = expected
        self.next_seq = next_seq


class NotOwner(LogError):
    """An append to a replica; says who owns the log."""

    code = "not-owner"

    def __init__(self, owner: str) -> None:
        super().__init__(f"this is a replica; append to the log's owner, {owner}")
        self.owner = owner


class Diverged(LogError):
    """A source whose frames are not those that the replica has; names the first seq that differs."""

    code = "diverged"

    def __init__(self, seq: int, detail: str) -> None:
        super().__init__(f"seq {seq} differs: {detail}; keep one of the two and start the other anew")
        self.seq = seq


class FutureSeq(LogError):
    """A read from beyond the end; names both numbers."""

    code = "future-seq"

    def __init__(self, seq: int, end: int) -> None:
        super().__init__(f"seq {seq} is beyond the end of the log, {end}")
        self.seq = seq
        self.end = end


class Truncated(LogError):
    """A read from before the first record kept; names the floor."""

    code = "truncated"

    def __init__(self, seq: int, floor: int) -> None:
        super().__init__(f"seq {seq} is gone; the first one kept is {floor}")
        self.seq = seq
        self.floor = floor


class WrongLog(LogError):
    """A cursor of another log."""

    code = "wrong-log"

    def __init__(self, expected: bytes, found: bytes) -> None:
        super().__init__(f"this is log {expected.hex()}, not {found.hex()}, which was given")
        self.expected = expected
        self.found = found


class UnsupportedFormat(LogError):
    """A file of another format, or of a version that this program cannot read."""

    code = "unsupported-format"


class BadLogName(LogError):
    """A name that no log can have."""

    code = "bad-log-name"


class UnknownLog(LogError):
    """No log of that name is in the folder."""

    code = "unknown-log"


class OptionsConflict(LogError):
    """The log is open with other options; says which."""

    code = "options-conflict"


class Corrupt(LogError):
    """Bytes that are not what was written.  Nothing is cut off; `episteme log verify` lists the damage."""

    code = "log-corrupt"

    def __init__(self, path: Path, offset: int, expected: str, found: str) -> None:
        super().__init__(f"{path} at byte {offset}: expected {expected}, found {found}")
        self.path = path
        self.offset = offset
        self.expected = expected
        self.found = found
