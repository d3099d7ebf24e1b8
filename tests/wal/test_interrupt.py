"""Ctrl-C in a thread that commits: nothing failed, so the log goes on, and every frame is there once.

A thread that waits for a ticket may do the commit itself, and only the main thread is ever interrupted.
"""

import errno
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from tests.support.logs import open_log, read_payloads, segment_files
from wal import FileLog, LogError, LogFailed, LogOptions, Retention, Ticket, check_log
from wal.segment import digest_of, open_segment

HUNG_S: Final = 1.0
TRIES_MAX: Final = 2000  # until this thread, and not the log's own, does a commit
SEGMENT_EACH: Final = LogOptions(segment_bytes=1, reserve_bytes=0)
ONE_SEGMENT: Final = LogOptions(reserve_bytes=300)
FEW_KEPT: Final = LogOptions(segment_bytes=1, reserve_bytes=0, retention=Retention(count_min=3))


class InterruptedFiles(UnsyncedFiles):
    """Ctrl-C once in the main thread, before or after a call does its work."""

    def __init__(self) -> None:
        self.operation: str | None = None
        self.after = False
        self.skipped = 0
        self.context: OSError | None = None

    def interrupt(self, operation: str, *, after: bool = False, at: int = 1, context: OSError | None = None) -> None:
        self.operation, self.after, self.skipped, self.context = operation, after, at - 1, context

    def write(self, handle: int, data: bytes, offset: int) -> None:
        with self._interrupted("write", lambda: super(InterruptedFiles, self).write(handle, data[:9], offset)):
            super().write(handle, data, offset)

    def reserve(self, handle: int, offset: int, size: int) -> None:
        with self._interrupted("reserve"):
            super().reserve(handle, offset, size)

    def sync(self, handle: int) -> None:
        with self._interrupted("sync"):
            super().sync(handle)

    def publish(self, handle: int, data: bytes) -> None:
        with self._interrupted("publish"):
            super().publish(handle, data)

    def truncate(self, handle: int, size: int) -> None:
        with self._interrupted("truncate"):
            super().truncate(handle, size)

    def create(self, path: Path) -> int:
        with self._interrupted("create"):
            return super().create(path)

    def rename(self, source: Path, target: Path) -> None:
        with self._interrupted("rename"):
            super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        with self._interrupted("sync_folder"):
            super().sync_folder(path)

    def replace(self, path: Path, data: bytes) -> None:
        with self._interrupted("replace"):
            super().replace(path, data)

    def remove_if_there(self, path: Path) -> None:
        with self._interrupted("remove"):
            super().remove_if_there(path)

    def close(self, handle: int) -> None:
        with self._interrupted("close"):
            super().close(handle)

    @contextmanager
    def _interrupted(self, operation: str, first: Callable[[], None] = lambda: None) -> Iterator[None]:
        mine = self.operation == operation and threading.current_thread() is threading.main_thread()
        if mine and self.skipped:
            self.skipped -= 1
            mine = False
        if mine:
            self.operation = None
        if mine and not self.after:
            first()
            self._raise()
        yield
        if mine:
            self._raise()

    def _raise(self) -> None:
        if self.context is None:
            raise KeyboardInterrupt
        try:
            raise self.context
        except OSError:
            raise KeyboardInterrupt  # noqa: B904  (as when a signal comes while an error is on its way)


def append_until_interrupted(log: FileLog, tickets: list[Ticket]) -> None:
    """Append and wait, until a wait in this thread was interrupted."""
    for _ in range(TRIES_MAX):
        tickets.append(log.append(b"%d" % log.next_seq, 1))
        tickets.append(log.append_batch([(1, b"%d" % (log.next_seq + number)) for number in range(3)]))
        try:
            tickets[-1].wait()
        except KeyboardInterrupt:
            return
    pytest.fail("this thread never did a commit that could be interrupted")


def check_all_is_there_once(folder: Path, count: int, first: int = 0) -> None:
    """Every frame once, no damage; footers, digests and chain as they should be."""
    assert check_log(folder, lambda *_: None).findings == ()
    for path in segment_files(folder)[:-1]:
        segment = open_segment(UnsyncedFiles(), path)
        assert segment.footer is not None
        with segment.opened() as handle:
            assert digest_of(UnsyncedFiles(), handle, segment.footer.end).digest() == segment.footer.digest
    with open_log(folder) as log:
        assert log.torn_tail is None
        assert read_payloads(log) == [b"%d" % seq for seq in range(max(first, log.first_seq), count)]
        assert log.next_seq == count


CASES = [
    *(
        (operation, after, 1, ONE_SEGMENT)
        for operation in ("write", "reserve", "sync", "publish")
        for after in (False, True)
    ),
    *(
        (operation, after, at, SEGMENT_EACH)
        for operation, at_max in (("write", 3), ("sync", 4), ("create", 1), ("rename", 1), ("sync_folder", 1))
        for at in range(1, at_max + 1)
        for after in (False, True)
    ),
    *((operation, after, 1, SEGMENT_EACH) for operation in ("replace", "publish") for after in (False, True)),
    ("close", False, 1, SEGMENT_EACH),
    *((operation, after, 1, FEW_KEPT) for operation in ("remove", "create", "write") for after in (False, True)),
]


@pytest.mark.parametrize(("operation", "after", "at", "options"), CASES)
def test_interrupted_commit_is_done_again_and_the_log_goes_on(
    tmp_path: Path, operation: str, after: bool, at: int, options: LogOptions
) -> None:
    files = InterruptedFiles()
    tickets: list[Ticket] = []
    with open_log(tmp_path, files=files, options=options) as log:
        log.append(b"0", 1).wait(WAIT_S)
        files.interrupt(operation, after=after, at=at)
        append_until_interrupted(log, tickets)
        for ticket in tickets:
            assert ticket.wait(WAIT_S) == ticket.first_seq
        assert log.failure is None
        count = log.next_seq
        for seq in range(count, count + 5):
            assert log.append(b"%d" % seq, 1).wait(WAIT_S) == seq
        assert log.durable_end == count + 5
        assert read_payloads(log) == [b"%d" % seq for seq in range(log.first_seq, count + 5)]
    check_all_is_there_once(tmp_path, count + 5)


def test_interrupt_as_a_segment_was_given_back_harms_no_other_file(tmp_path: Path) -> None:
    """The handle is free then: to give it back again would close whatever took its number."""
    files = InterruptedFiles()
    tickets: list[Ticket] = []
    with open_log(tmp_path, files=files, options=SEGMENT_EACH) as log:
        log.append(b"0", 1).wait(WAIT_S)
        files.interrupt("close", after=True)
        append_until_interrupted(log, tickets)
        for ticket in tickets:
            assert ticket.wait(WAIT_S) == ticket.first_seq
        count = log.next_seq
    check_all_is_there_once(tmp_path, count)


@pytest.mark.parametrize("operation", ["write", "sync", "create"])
def test_interrupt_that_overtook_an_error_of_the_disk_fails_the_log(tmp_path: Path, operation: str) -> None:
    files = InterruptedFiles()
    tickets: list[Ticket] = []
    with open_log(tmp_path, files=files, options=SEGMENT_EACH) as log:
        log.append(b"0", 1).wait(WAIT_S)
        files.interrupt(operation, context=OSError(errno.EIO, "Input/output error"))
        append_until_interrupted(log, tickets)
        failed = [ticket for ticket in tickets if _error_of(ticket) is not None]
        assert failed
        assert failed == tickets[-len(failed) :], "all before it stand"
        assert isinstance(log.failure, LogFailed)
        with pytest.raises(LogFailed, match="Input/output error"):
            log.append(b"late", 1)
        count = log.durable_end
        assert count == failed[0].first_seq
    check_all_is_there_once(tmp_path, count)


def test_interrupted_commit_in_a_log_opened_with_os(tmp_path: Path) -> None:
    options = LogOptions(durability="os", reserve_bytes=0)
    for operation, after in [("write", False), ("write", True), ("publish", False), ("publish", True)]:
        files, tickets = InterruptedFiles(), list[Ticket]()
        folder = tmp_path / f"{operation} {after}"
        with open_log(folder, files=files, options=options) as log:
            log.append(b"0", 1).wait(WAIT_S)
            files.interrupt(operation, after=after)
            append_until_interrupted(log, tickets)
            for ticket in tickets:
                assert ticket.wait(WAIT_S) == ticket.first_seq
            count = log.next_seq
        check_all_is_there_once(folder, count)


def _error_of(ticket: Ticket) -> LogError | None:
    try:
        ticket.wait(WAIT_S)
    except LogError as error:
        return error
    return None


# At every line of a commit, not only where it calls the disk


class InterruptedAt:
    """Ctrl-C at the line-th line of the log's own code that this thread runs."""

    def __init__(self, line: int) -> None:
        self.left = line
        self.place = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> "InterruptedAt | None":
        if "/wal/" not in frame.f_code.co_filename or "/tests/" in frame.f_code.co_filename:
            return None
        if event == "line" and self.left > 0 and not _is_seam(frame):
            self.left -= 1
            if self.left == 0:
                self.place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self


def _is_seam(frame: FrameType) -> bool:
    """Whether the line enters or leaves a block, or gives a lock back: no signal is looked at just before those."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return line.startswith("with ") or line.endswith(".release()")


@pytest.mark.parametrize("options", [ONE_SEGMENT, SEGMENT_EACH])
def test_interrupt_at_any_line_of_a_wait_leaves_a_log_that_goes_on(tmp_path: Path, options: LogOptions) -> None:
    line, ended = 0, 0
    bad: list[str] = []
    while ended < 3:  # waits that ended before the line was reached
        line += 1
        folder = tmp_path / str(line)
        tracing = InterruptedAt(line)
        log = open_log(folder, options=options)
        log.append(b"0", 1).wait(WAIT_S)
        tickets = [log.append_batch([(1, b"1"), (1, b"2")]), log.append(b"3", 1)]
        before = sys.gettrace()
        sys.settrace(tracing)
        try:
            tickets[0].wait()
            ended += 1
        except KeyboardInterrupt:
            ended = 0
        finally:
            sys.settrace(before)
        try:
            for ticket in tickets:
                ticket.wait(HUNG_S)
            log.append(b"4", 1).wait(HUNG_S)
            log.close()
            check_all_is_there_once(folder, 5)
        except Exception as error:
            bad.append(f"{tracing.place}: {type(error).__name__} {error}")
    assert bad == []
