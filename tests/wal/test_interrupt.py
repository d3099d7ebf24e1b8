"""Ctrl-C in the main thread, wherever it comes: the log goes on, and every frame is there once or not at all.

The main thread never commits, so no interrupt can come between a write and its fsync; what else it does
changes the log by one assignment.
"""

import linecache
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from tests.support.log_writers import REPOSITORY
from tests.support.logs import ALL, open_log, read_payloads
from wal import FileLog, LogOptions, Ticket, check_log

HUNG_S: Final = 1.0
SEGMENT_EACH: Final = LogOptions(segment_bytes=1, reserve_bytes=0)
ONE_SEGMENT: Final = LogOptions(reserve_bytes=300)
OS: Final = LogOptions(durability="os", reserve_bytes=0)
SIGNALS: Final = 300


class WhoWrites(UnsyncedFiles):
    def __init__(self) -> None:
        self.threads: set[int] = set()

    def write(self, handle: int, data: bytes, offset: int) -> None:
        self.threads.add(threading.get_ident())
        super().write(handle, data, offset)


def test_main_thread_never_commits_and_another_that_waits_may(tmp_path: Path) -> None:
    files = WhoWrites()
    with open_log(tmp_path, files=files) as log:
        files.threads.clear()
        for _ in range(50):
            log.append(b"x", 1).wait()
        assert threading.get_ident() not in files.threads

        def helped() -> None:
            while threading.get_ident() not in files.threads:
                log.append(b"x", 1).wait()

        helper = threading.Thread(target=helped)
        helper.start()
        helper.join(WAIT_S)
        assert not helper.is_alive()


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


ACTIONS: dict[str, Callable[[FileLog], object]] = {
    "append": lambda log: log.append(b"maybe", 1),
    "append_batch": lambda log: log.append_batch([(1, b"maybe")] * 3),
    "append_if_next_seq": lambda log: log.append_if_next_seq(log.next_seq, [(1, b"maybe")]),
    "append, asked": lambda log: log.append(b"maybe", 1, durability="os"),
    "wait": lambda log: log.append(b"maybe", 1).wait(),
    "wait with a timeout": lambda log: log.append(b"maybe", 1).wait(WAIT_S),
    "barrier": lambda log: log.barrier(durability="durable").wait(),
    "read_from": lambda log: log.read_from(0, count_max=ALL, bytes_max=ALL),
    "read_back": lambda log: log.read_back(log.durable_end, count_max=2, bytes_max=ALL),
    "seek_time": lambda log: log.seek_time(0),
    "wait_past": lambda log: log.wait_past(10**6, 0),
    "subscription": lambda log: list(log.subscribe(0, timeout_s=0)),
}


@pytest.mark.parametrize("options", [ONE_SEGMENT, SEGMENT_EACH, OS], ids=["one segment", "a segment each", "os"])
@pytest.mark.parametrize("name", ACTIONS)
def test_interrupt_at_any_line_leaves_a_log_that_goes_on(tmp_path: Path, name: str, options: LogOptions) -> None:
    line, ended = 0, 0
    bad: list[str] = []
    while ended < 3:  # calls that ended before the line was reached
        line += 1
        tracing = InterruptedAt(line)
        log = open_log(tmp_path / str(line), options=options)
        tickets = [log.append(b"%d" % seq, 1) for seq in range(3)]
        before = sys.gettrace()
        sys.settrace(tracing)
        try:
            ACTIONS[name](log)
            ended += 1
        except KeyboardInterrupt:
            ended = 0
        finally:
            sys.settrace(before)
        try:
            check_goes_on(log, tickets)
        except Exception as error:
            bad.append(f"{tracing.place}: {type(error).__name__} {error}")
    assert bad == []


def check_goes_on(log: FileLog, tickets: list[Ticket]) -> None:
    """All that was told is there, what was interrupted wholly or not at all, and the log takes more."""
    tickets.append(log.append(b"last", 1))
    for ticket in tickets:
        ticket.wait(HUNG_S)
    assert log.wait_past(tickets[-1].last_seq, HUNG_S)
    payloads = read_payloads(log)
    log.close()
    maybe = [payload for payload in payloads if payload == b"maybe"]
    assert payloads == [b"0", b"1", b"2", *maybe, b"last"]
    assert len(maybe) in (0, 1, 3)
    assert check_log(log.folder, lambda _path, _offset, _frame: None).findings == ()


WORK = """
import signal, sys, random
from pathlib import Path
from tests.support.logs import open_log
from wal import LogOptions

count, durability, told = int(sys.argv[2]), sys.argv[3], 0
log = open_log(Path(sys.argv[1]), options=LogOptions(durability=durability))
generator = random.Random(count)
signal.signal(signal.SIGALRM, signal.default_int_handler)
acknowledged = {}
while told < count:
    try:
        signal.setitimer(signal.ITIMER_REAL, generator.random() * 0.002)
        while True:
            seq = log.append(b"%d" % log.next_seq, 1).wait()
            acknowledged[seq] = True
            log.wait_past(log.next_seq + 5, 0.0001)
    except KeyboardInterrupt:
        told += 1
signal.setitimer(signal.ITIMER_REAL, 0)
log.append(b"%d" % log.next_seq, 1).wait(20)
log.close()
with open_log(Path(sys.argv[1])) as again:
    frames = []
    while page := again.read_from(len(frames), count_max=1000, bytes_max=2**20):
        frames += page
assert [frame.seq for frame in frames] == list(range(len(frames)))
assert all(seq < len(frames) for seq in acknowledged), "an acknowledged frame is lost"
print("whole")
"""


@pytest.mark.parametrize("durability", ["durable", "os"])
def test_hundreds_of_real_signals_wedge_nothing_and_lose_nothing(tmp_path: Path, durability: str) -> None:
    command = [sys.executable, "-c", WORK, str(tmp_path / "log"), str(SIGNALS), durability]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("whole", "")
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
