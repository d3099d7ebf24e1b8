"""A folder of named logs: one handle for each, deletes that are whole, and nothing touched that is not its own."""

import errno
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles, UnsyncedFiles
from tests.support.logs import LOG_ID, TIME_MS, read_payloads, segment_files
from wal import FileLog, ReadOnlyLog
from wal.errors import LogClosed, LogFailed, LogLocked, OptionsConflict, UnknownLog
from wal.files import Files
from wal.names import folder_of
from wal.options import Interval, LogOptions, Retention
from wal.redex import Redex

LONG = "a" * 200  # the longest name in one component
A, B = LONG + "a", LONG + "b"  # share a parent folder
NEIGHBOURS = ["tasks", "tasks/a", "Tasks", "tasks.log", "LOCK", "..", LONG, A, B, "/" * 255]
OPTIONS = LogOptions(segment_bytes=1)  # a segment for each commit
SEGMENT = "00000000000000000000.redex"
FOREIGN = [
    f"Tasks.log/{SEGMENT}",  # no name is spelled like that
    f"tasks/{SEGMENT}",
    f"tasks.log.deleted-x/{SEGMENT}",
    f"a+/short.log/{SEGMENT}",
    f"empty.log/notes-{SEGMENT}",
    f"{'+/' * 5}a.log/{SEGMENT}",
    "made.log/LOCK",  # a crash came before the first segment
    SEGMENT,
    "LOCK",
    "file.log",
]

ASK_IN_ANOTHER_PROCESS = """
import pathlib, sys
from wal.errors import LogLocked
from wal.redex import Redex
with Redex.open(pathlib.Path(sys.argv[1]), clock_ms=lambda: 0, new_log_id=lambda: bytes(16)) as redex:
    for ask in (redex.log, redex.delete):
        try:
            ask("held")
        except LogLocked as error:
            print(error)
    print(redex.log("free").durable_end, redex.names())
"""


def open_redex(folder: Path, *, options: LogOptions = OPTIONS, files: Files | None = None) -> Redex:
    ids = (number.to_bytes(16) for number in count())
    new_log_id = ids.__next__
    files = files or UnsyncedFiles()
    return Redex.open(folder, clock_ms=lambda: TIME_MS, new_log_id=new_log_id, options=options, files=files)


def fill(redex: Redex, *names: str) -> None:
    for name in names:
        for payload in filled(name)[name]:
            redex.log(name).append(payload, 1).wait(WAIT_S)


def filled(*names: str) -> dict[str, list[bytes]]:
    return {name: [name.encode(), b"second"] for name in names}


def contents(redex: Redex) -> dict[str, list[bytes]]:
    return {name: read_payloads(redex.log(name)) for name in redex.names()}


def paths_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def _quick_collections() -> Iterator[None]:
    """Collections look at what is made in the test alone, not at all that the suite holds."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def redex(tmp_path: Path) -> Iterator[Redex]:
    with open_redex(tmp_path / "redex") as opened:
        yield opened


def test_same_name_gives_the_same_handle_and_no_other_name_does(redex: Redex) -> None:
    logs = [redex.log(name) for name in NEIGHBOURS]
    assert [redex.log(name, OPTIONS) for name in NEIGHBOURS] == logs
    assert len({id(log) for log in logs}) == len({log.log_id for log in logs}) == len(NEIGHBOURS)
    assert redex.names() == sorted(NEIGHBOURS)


def test_threads_that_ask_at_once_get_one_handle_and_close_waits_for_them(tmp_path: Path) -> None:
    files = FaultyFiles()
    redex = open_redex(tmp_path, files=files)
    with ThreadPoolExecutor(9) as threads:
        files.hold("create")
        asking = [threads.submit(redex.log, "tasks") for _ in range(8)]
        files.wait_held()
        files.release("create")
        logs = {each.result(WAIT_S) for each in asking}
        files.hold("create")
        opening = threads.submit(redex.log, "late")
        files.wait_held()
        closing = threads.submit(redex.close)
        files.release("create")
        closing.result(WAIT_S)
        assert opening.result(WAIT_S).ended
    assert len(logs) == 1
    assert logs.pop().ended


@pytest.mark.usefixtures("_quick_collections")
def test_closed_handles_are_not_kept(redex: Redex) -> None:
    kept, handles = redex.log("kept"), []
    for number in range(200):
        with redex.log(f"n{number}") as log:
            handles.append(weakref.ref(log))
    del log
    for number in range(200, 300):
        gc.collect()
        redex.log(f"n{number}").close()
    assert sum(handle() is not None for handle in handles) == 0
    assert len(redex._slots) < 20
    assert redex.log("kept") is kept
    assert not kept.ended


def test_handle_that_is_still_being_closed_is_waited_for_by_those_of_its_name_alone(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_redex(tmp_path, files=files) as redex, ThreadPoolExecutor(2) as threads:
        fill(redex, "tasks")
        closing_log = redex.log("tasks")
        files.hold("replace")  # the index, which the close writes
        closing = threads.submit(closing_log.close)
        files.wait_held()
        assert closing_log.ended
        for number in range(20):
            redex.log(f"n{number}")
        asking = threads.submit(redex.log, "tasks")
        files.release("replace")
        closing.result(WAIT_S)
        assert read_payloads(asking.result(WAIT_S)) == filled("tasks")["tasks"]


@pytest.mark.usefixtures("_quick_collections")
def test_failed_handle_that_nobody_holds_is_kept_until_it_can_be_closed(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_redex(tmp_path, files=files) as redex:
        fill(redex, "tasks")
        files.fail("write")
        with pytest.raises(LogFailed):
            redex.log("tasks").append(b"fails", 1).wait(WAIT_S)
        for number in range(20):
            gc.collect()
            redex.log(f"n{number}")
        fill(redex, "tasks")


@pytest.mark.parametrize("times", [1, 10, 10**9])
def test_opening_under_which_deletes_take_the_folder_is_tried_again_but_not_forever(tmp_path: Path, times: int) -> None:
    class OvertakenFiles(UnsyncedFiles):
        taken = 0

        def lock(self, path: Path) -> int | None:
            if self.taken < times:
                self.taken += 1
                path.parent.rmdir()
            return super().lock(path)

    with open_redex(tmp_path, files=OvertakenFiles()) as redex:
        if times < 100:
            assert redex.log(LONG).durable_end == 0
        else:
            with pytest.raises(LogLocked, match="is being deleted, again and again; try again later"):
                redex.log(LONG)


def test_closed_handle_is_replaced_with_new_options_in_force(redex: Redex) -> None:
    with redex.log("tasks", LogOptions()) as log:
        log.append_many([(1, b"one"), (1, b"two")]).wait(WAIT_S)
    again = redex.log("tasks", OPTIONS)
    assert again.append(b"three", 1).wait(WAIT_S) == 2
    assert read_payloads(again) == [b"one", b"two", b"three"]
    assert len(segment_files(again.folder)) == 2, "the new options are in force"


def test_failed_handle_is_replaced_by_one_that_works(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_redex(tmp_path, files=files) as redex:
        fill(redex, "tasks")
        log = redex.log("tasks")
        files.fail("write")
        with pytest.raises(LogFailed, match="reopen the log"):
            log.append(b"fails", 1).wait(WAIT_S)
        again = redex.log("tasks", LogOptions())
        assert again.log_id == log.log_id
        assert again.append(b"third", 1).wait(WAIT_S) == 2
        with pytest.raises(LogClosed):
            read_payloads(log)
        files.fail("create", error=errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            redex.log("new")
        assert redex.names() == ["tasks"]
        fill(redex, "new")


def test_conflict_names_each_option_that_differs_with_both_values(redex: Redex) -> None:
    log = redex.log("tasks", LogOptions(segment_bytes=1000, retention=Retention(age_ms=5)))
    with pytest.raises(OptionsConflict) as caught:
        redex.log("tasks", LogOptions(segment_bytes=2000, durability=Interval(50), retention=Retention(count_min=7)))
    assert "log 'tasks' is open with other options" in str(caught.value)
    assert "segment_bytes is 1000, asked 2000, durability is 'durable', asked Interval(ms=50)" in str(caught.value)
    assert "retention.count_min is None, asked 7, retention.age_ms is 5, asked None" in str(caught.value)
    assert not any(same in str(caught.value) for same in ("pending_bytes_max", "when_full", "bytes_min"))
    with pytest.raises(OptionsConflict, match="segment_bytes is 1000, asked 1, retention"):
        redex.log("tasks")  # no options are those of the redex, not those of the handle
    assert log.append(b"the handle is unharmed", 1).wait(WAIT_S) == 0


def test_bad_folder_or_options_are_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    for path in (tmp_path / "file", tmp_path / "file" / "redex"):
        with pytest.raises(OSError, match="file"):
            open_redex(path)
    with pytest.raises(ValueError, match="segment_bytes is 0"):
        open_redex(tmp_path / "redex", options=LogOptions(segment_bytes=0))
    assert paths_below(tmp_path) == {"file"}


def test_foreign_files_and_folders_are_not_listed_and_not_touched(tmp_path: Path) -> None:
    for path in (tmp_path / name for name in FOREIGN):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"foreign")
    (tmp_path / "loop+").symlink_to(tmp_path)
    before = paths_below(tmp_path)
    with open_redex(tmp_path) as redex:
        assert redex.names() == []
        for name in ("empty", "made", "file", "tasks"):
            with pytest.raises(UnknownLog, match=f"no log '{name}' is in"):
                redex.delete(name)
        fill(redex, "tasks")
        (tmp_path / "tasks.log" / "mine").mkdir()  # a log has no folders
        redex.delete("tasks")
        assert redex.names() == []
    assert paths_below(tmp_path) == before | {"tasks.log.deleted-0", "tasks.log.deleted-0/mine"}


@pytest.mark.parametrize("name", NEIGHBOURS, ids=ascii)
def test_delete_takes_one_log_whole_and_leaves_all_others_whole(redex: Redex, name: str) -> None:
    others = sorted(set(NEIGHBOURS) - {name})
    fill(redex, *others)
    before = paths_below(redex.folder)
    fill(redex, name)
    log = redex.log(name)
    redex.delete(name)
    assert log.ended
    assert contents(redex) == filled(*others)
    assert paths_below(redex.folder) == before, "nothing is left of it, not even an empty folder"
    again = redex.log(name)
    assert again.log_id != log.log_id
    assert again.append(b"anew", 1).wait(WAIT_S) == 0
    assert read_payloads(again) == [b"anew"]


def test_lock_of_a_log_that_was_replaced_meanwhile_does_not_count(tmp_path: Path) -> None:
    class OvertakenFiles(UnsyncedFiles):
        def lock(self, path: Path) -> int | None:  # between open and flock, others delete the log and make a new one
            handle = super().lock(path)
            path.rename(path.with_name("moved"))
            path.touch()
            return handle

    with open_redex(tmp_path) as redex:
        fill(redex, "tasks")
    with open_redex(tmp_path, files=OvertakenFiles()) as overtaken, pytest.raises(LogLocked):
        overtaken.delete("tasks")
    with open_redex(tmp_path) as redex:
        assert contents(redex) == filled("tasks")


class Crash(BaseException):
    """The process is gone: nothing that it would still do is done."""


class StoppingFiles(UnsyncedFiles):
    """From the stop on all that asks or changes the disk crashes, or else one call fails."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []
        self.stop_at: int | None = None
        self.stopped = False
        self.crash = True

    def __getattribute__(self, operation: str) -> Any:
        whole = super().__getattribute__(operation)
        if operation not in {"rename", "sync_folder", "remove", "remove_folder", "lock", "names", "still_at"}:
            return whole

        def stopped(*arguments: Any) -> Any:
            if self.stop_at is not None and len(self.done) >= self.stop_at:
                self.stopped = True
                if self.crash:
                    raise Crash
                self.stop_at = None
                raise OSError(errno.EIO, operation)
            self.done.append((operation, *arguments[:1]))
            return whole(*arguments)

        return stopped


def stop_each(folder: Path, work: Callable[[Redex], None], *, crash: bool) -> Iterator[Redex]:
    """Do the work on logs A and B, stopped before its first operation, its second, and so on."""
    for stop_at in count():
        files = StoppingFiles()
        with open_redex(folder / str(stop_at), files=files) as redex:
            fill(redex, A, B)
            files.stop_at, files.crash = len(files.done) + stop_at, crash
            with suppress(Crash, OSError):  # a log that is closed may also take an error as no more than a pity
                work(redex)
            files.stop_at = None
            if not files.stopped:
                assert stop_at > 8, "a delete has more operations than that"
                return
            yield redex


def test_crash_in_a_delete_leaves_the_log_whole_or_gone(tmp_path: Path) -> None:
    outcomes = []
    for crashed in stop_each(tmp_path, lambda redex: redex.delete(A), crash=True):
        crashed.close()  # the system gives back what the process held
        with open_redex(crashed.folder) as redex:
            outcomes.append(contents(redex))
        assert not any("deleted" in path for path in paths_below(crashed.folder))
    gone = outcomes.index(filled(B))
    assert outcomes == [filled(A, B)] * gone + [filled(B)] * (len(outcomes) - gone)
    assert 0 < gone < len(outcomes)


def test_error_in_a_delete_is_raised_and_the_redex_goes_on(tmp_path: Path) -> None:
    for redex in stop_each(tmp_path, lambda redex: redex.delete(A), crash=False):
        assert contents(redex) in (filled(A, B), filled(B))
        fill(redex, A)
        redex.delete(A)
        assert contents(redex) == filled(B)
        open_redex(redex.folder).close()
        assert len(list(redex.folder.rglob("*.log*"))) == 1, "what the error left is cleared away"


def test_finishing_of_a_delete_that_crashes_is_finished_by_the_next(tmp_path: Path) -> None:
    for stop_at in range(9):
        folder = tmp_path / folder_of(A)
        with open_redex(tmp_path) as redex:
            fill(redex, A)
        folder.rename(folder.with_name(folder.name + ".deleted-3"))
        files = StoppingFiles()
        files.stop_at = stop_at
        with pytest.raises(Crash):
            open_redex(tmp_path, files=files)
        with open_redex(tmp_path) as redex:
            assert redex.names() == []
        assert paths_below(tmp_path) <= {folder.parent.name}, "a parent may stay, with nothing in it"


def test_no_file_is_removed_before_the_renaming_of_its_folder_is_durable(tmp_path: Path) -> None:
    files = StoppingFiles()
    with open_redex(tmp_path, files=files) as redex:
        fill(redex, "tasks", "left")
        redex.delete("tasks")
        redex.log("left").close()
        (tmp_path / "left.log").rename(tmp_path / "left.log.deleted-0")
        renamed = files.done.index(("rename", tmp_path / "tasks.log"))
        assert files.done[renamed + 1] == ("sync_folder", tmp_path)
    opened = len(files.done)
    open_redex(tmp_path, files=files).close()
    first_removed = [operation for operation, _ in files.done[opened:]].index("remove")
    assert ("sync_folder", tmp_path) in files.done[opened : opened + first_removed]


def test_second_process_is_refused_at_once_and_only_what_is_held(redex: Redex) -> None:
    log = redex.log("held")
    before = paths_below(redex.folder)
    command = [sys.executable, "-c", ASK_IN_ANOTHER_PROCESS, str(redex.folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True)
    refused, refused_delete, told = ended.stdout.splitlines()
    assert refused.startswith(f"{log.folder} is open in another writer")
    assert refused_delete.startswith(f"{log.folder} is open in another writer")
    assert told == "0 ['free', 'held']"
    assert log.append(b"x", 1).wait(WAIT_S) == 0
    assert redex.log("free").durable_end == 0, "given back when that process ended"
    assert {path for path in paths_below(redex.folder) if "free" not in path} >= before


def test_close_closes_every_handle_and_refuses_what_comes_after(tmp_path: Path) -> None:
    redex = open_redex(tmp_path)
    logs = [redex.log(name) for name in ("a", "b")]
    ticket = logs[0].append(b"pending", 1)
    redex.close()
    redex.close()
    assert all(log.ended for log in logs)
    assert ticket.wait(WAIT_S) == 0
    for ask in (lambda: redex.log("a"), lambda: redex.delete("a"), redex.names):
        with pytest.raises(LogClosed, match="is closed; open it again"):
            ask()
    with open_redex(tmp_path) as again:
        assert contents(again) == {"a": [b"pending"], "b": []}


def test_folder_may_be_named_by_text(tmp_path: Path) -> None:
    clock: dict[str, Any] = {"clock_ms": lambda: TIME_MS, "new_log_id": lambda: LOG_ID}
    with Redex.open(str(tmp_path / "logs"), files=UnsyncedFiles(), **clock) as redex:
        folder = redex.log("a").folder
        redex.log("a").append(b"x", 1).wait(WAIT_S)
    with ReadOnlyLog.open(str(folder)) as view, FileLog.open(str(folder), **clock) as log:
        assert view.get(0) == log.get(0)
