"""A fork while a log is open: the log stays the parent's, whatever the child does."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.log_writers import REPOSITORY
from wal import Corrupt, Diverged, FutureSeq, LogError, NotOwner, SeqConflict, Truncated, WrongLog

SCRIPT = """
import os, sys
from pathlib import Path
from tests.support.logs import open_log, read_payloads
from wal import Forked, LogError

folder, act = Path(sys.argv[1]), sys.argv[2]
go, went = os.pipe()
with open_log(folder) as log:
    ticket = log.append(b"0", 1)
    ticket.wait()
    child = os.fork()
    if child == 0:
        os.read(go, 1)
        if act == "append":
            try:
                log.append(b"child", 1)
            except Forked:
                os._exit(0)
            os._exit(1)
        if act == "wait":
            try:
                log.barrier().wait(5)
            except LogError:
                os._exit(0)
            os._exit(1)
        if act == "close":
            log.close()
        sys.exit(0)  # the with block ends in the child too
    for seq in range(1, 6):
        log.append(b"%d" % seq, 1).wait()
    os.write(went, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log.append(b"6", 1).wait()
with open_log(folder) as again:
    assert read_payloads(again) == [b"%d" % seq for seq in range(7)], read_payloads(again)
    assert again.torn_tail is None
print("whole")
"""


@pytest.mark.parametrize("act", ["append", "wait", "close", "leave"])
def test_child_of_a_fork_changes_nothing(tmp_path: Path, act: str) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "log"), act]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("whole", "")


def test_child_that_lives_on_holds_no_lock(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from tests.support.logs import open_log

go, went = os.pipe()
lives, alive = os.pipe()
log = open_log(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    os.close(went)
    os.write(alive, b"x")  # until here it may not have run at all, and has what it was given
    os.read(go, 1)
    os._exit(0)
os.read(lives, 1)
log.close()
open_log(Path(sys.argv[1])).close()
os.close(went)
os.waitpid(child, 0)
print("opened again")
"""
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("opened again", "")


@pytest.mark.parametrize(
    "error",
    [
        Corrupt(Path("f"), 7, "this", "that"),
        SeqConflict(1, 2),
        FutureSeq(1, 2),
        Truncated(1, 2),
        WrongLog(b"a", b"b"),
        Diverged(1, "why"),
        NotOwner("me"),
        LogError("plain"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_pass_from_a_worker_as_they_are(error: LogError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
