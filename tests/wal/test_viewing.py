"""A log seen from outside its writer: what the writer's fsync covered, at once, and nothing else."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from select import select
from typing import Protocol

import google_crc32c
import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles, UnsyncedFiles
from tests.support.logs import ALL, LOG_ID, TIME_MS, flip_bit, open_log, read_all, segment_files, write_log
from wal import (
    Corrupt,
    FileLog,
    Files,
    Frame,
    FutureSeq,
    LogClosed,
    LogFailed,
    LogLocked,
    LogOptions,
    ReadOnlyLog,
    Retention,
    Truncated,
    UnknownLog,
    UnsupportedFormat,
    WrongLog,
)
from wal.format import HEADER_BYTES
from wal.mark import MARK_BYTES
from wal.mark import NAME as MARK

REPOSITORY = Path(__file__).parents[2]
GOLDEN_V1 = REPOSITORY / "tests/golden/log-v1.hex"
FIRST = f"{0:020d}.redex"
INTERRUPT_S = 1.0  # how soon Ctrl-C must end a wait
POLL_S = 0.001


# A writer that takes orders, in this process or in another


class Writer:
    """Orders in, answers out: `append 3`, `batch 3`, `begin`, `end`, `reopen`, `close`."""

    def __init__(
        self, folder: Path, segment_bytes: int = 2**20, kept_min: int = 0, durability: str = "durable"
    ) -> None:
        self.folder = folder
        self.files = FaultyFiles()
        self.options = LogOptions(
            segment_bytes=segment_bytes,
            reserve_bytes=100,
            retention=Retention(count_min=kept_min or None),
            durability="os" if durability == "os" else "durable",
        )
        self.log = self._open()

    def ask(self, order: str) -> int:
        name, *arguments = order.split()
        return int(getattr(self, name)(*map(int, arguments)))

    def append(self, count: int) -> int:
        """Each waited for; the answer is the next seq."""
        for _ in range(count):
            self.log.append(b"%d" % self.log.next_seq, 1).wait(WAIT_S)
        return self.log.next_seq

    def batch(self, count: int) -> int:
        start = self.log.next_seq
        self.log.append_batch([(1, b"%d" % seq) for seq in range(start, start + count)]).wait(WAIT_S)
        return self.log.next_seq

    def begin(self) -> int:
        """Append one frame whose fsync does not return; the answer is where the frame was written."""
        offset = self.log.size_bytes
        self.files.hold("sync")
        self.log.append(b"%d" % self.log.next_seq, 1)
        self.files.wait_held()
        return offset

    def end(self) -> int:
        self.files.release("sync")
        self.log.barrier().wait(WAIT_S)
        return self.log.next_seq

    def reopen(self) -> int:
        self.log.close()
        self.log = self._open()
        return self.log.epoch

    def close(self) -> int:
        self.log.close()
        return 0

    def _open(self) -> FileLog:
        return open_log(self.folder, files=self.files, options=self.options)


class Asked(Protocol):
    def ask(self, order: str) -> int: ...


class MakeWriter(Protocol):
    def __call__(self, segment_bytes: int = ..., kept_min: int = ..., durability: str = ...) -> Asked: ...


class Child:
    """A function of this module, run in another process, that answers line by line."""

    def __init__(self, function: str, *arguments: object) -> None:
        code = f"from {__name__} import {function}; {function}(*{[str(argument) for argument in arguments]!r})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, order: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()
        return int(self.line())

    def line(self, timeout_s: float = WAIT_S) -> str:
        assert self.process.stdout is not None
        assert select([self.process.stdout], [], [], timeout_s)[0], f"no word within {timeout_s} s"
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        self.process.communicate(timeout=WAIT_S)
        return self.process.returncode


def serve(folder: str, segment_bytes: str, kept_min: str, durability: str) -> None:
    """A writer that takes its orders from the standard input."""
    writer = Writer(Path(folder), int(segment_bytes), int(kept_min), durability)
    print("ready", flush=True)
    for order in sys.stdin:
        print(writer.ask(order), flush=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(params=["this process", "another process"])
def make_writer(request: pytest.FixtureRequest, folder: Path) -> Iterator[MakeWriter]:
    here: list[Writer] = []
    children: list[Child] = []

    def make(segment_bytes: int = 2**20, kept_min: int = 0, durability: str = "durable") -> Asked:
        if request.param == "this process":
            here.append(Writer(folder, segment_bytes, kept_min, durability))
            return here[-1]
        children.append(Child("serve", folder, segment_bytes, kept_min, durability))
        assert children[-1].line() == "ready"
        return children[-1]

    yield make
    for writer in here:
        writer.close()
    for child in children:
        child.end()


def look(folder: Path, files: Files | None = None) -> ReadOnlyLog:
    return ReadOnlyLog.open(folder, files=files, poll_s=POLL_S)


def whole(view: ReadOnlyLog) -> list[Frame]:
    frames: list[Frame] = []
    while page := view.read_from(view.first_seq + len(frames), count_max=7, bytes_max=ALL):
        frames += page
    return frames


def payloads(frames: list[Frame]) -> list[bytes]:
    return [frame.payload for frame in frames]


def numbers(start: int, end: int) -> list[bytes]:
    return [b"%d" % seq for seq in range(start, end)]


def contents_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}


# What shows


def test_frame_that_is_written_and_not_synced_does_not_show(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer()
    writer.ask("append 2")
    with look(folder) as view:
        offset = writer.ask("begin")
        content = segment_files(folder)[0].read_bytes()
        assert content[offset + 32 :].startswith(b"2"), "the frame is in the file"
        assert view.durable_end == 2
        assert not view.wait_past(2, 10 * POLL_S)
        assert view.read_from(2, count_max=ALL, bytes_max=ALL) == []
        assert payloads(whole(view)) == numbers(0, 2)
        with pytest.raises(FutureSeq):
            view.get(2)
        with look(folder) as second:
            assert second.durable_end == 2, "opening shows no more than following"
        writer.ask("end")
        assert view.wait_past(2, WAIT_S)
        assert payloads(whole(view)) == numbers(0, 3)


def test_reader_sees_at_once_what_the_writer_was_told(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer(segment_bytes=300)
    with look(folder) as view:
        for _ in range(30):
            end = writer.ask("append 1")
            assert view.durable_end == end
            assert view.get(end - 1).payload == b"%d" % (end - 1)


def test_reader_follows_over_rolls_and_sees_what_the_owner_sees(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer(segment_bytes=200)
    with look(folder) as view:
        assert (view.first_seq, view.durable_end, view.log_id) == (0, 0, LOG_ID)
        for _ in range(4):
            writer.ask("append 5")
            writer.ask("batch 4")
        assert view.durable_end == 36
        frames = whole(view)
        back = view.read_back(36, count_max=ALL, bytes_max=ALL)
        found = [view.seek_time(frame.time_ms) for frame in frames]
        assert (view.last_time, view.failure, view.ended) == (frames[-1].time, None, False)
        assert view.size_bytes <= sum(path.stat().st_size for path in segment_files(folder))
    writer.ask("close")
    with open_log(folder) as log:
        assert frames == read_all(log)
        assert found == [log.seek_time(frame.time_ms) for frame in frames]
    assert back == frames[::-1]
    assert len(segment_files(folder)) > 8


def test_reader_goes_on_with_a_writer_that_closed_and_came_back(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer(segment_bytes=200)
    with look(folder) as view:
        for opening in range(2, 6):
            end = writer.ask("append 3")
            assert view.wait_past(end - 1, WAIT_S)
            assert writer.ask("reopen") == opening
            assert view.durable_end == end
            assert not view.ended
        writer.ask("append 1")
        assert payloads(whole(view)) == numbers(0, 13)


def test_log_opened_with_os_shows_what_is_written(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer(durability="os")
    with look(folder) as view:
        writer.ask("append 3")
        assert payloads(whole(view)) == numbers(0, 3)


def test_batch_shows_whole_or_not_at_all(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer(segment_bytes=400)
    with look(folder) as view, ThreadPoolExecutor(1) as thread:
        writing = thread.submit(lambda: [writer.ask("batch 7") for _ in range(20)])
        ends = {view.durable_end}
        while view.wait_past(max(ends), WAIT_S):
            ends.add(view.durable_end)
            if max(ends) == 140:
                break
        writing.result(WAIT_S)
    assert all(end % 7 == 0 for end in ends)


def test_cursor_of_another_log_is_refused(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    with look(folder) as view:
        assert view.read_from(view.cursor(2), count_max=9, bytes_max=9) == [view.get(2)]
        with pytest.raises(WrongLog):
            view.read_from(view.cursor(2)._replace(log_id=bytes(16)), count_max=1, bytes_max=1)
        with pytest.raises(FutureSeq):
            view.subscribe(4)


# Retention


def test_position_that_retention_overtook_is_truncated_and_names_the_floor(
    folder: Path, make_writer: MakeWriter
) -> None:
    writer = make_writer(segment_bytes=200, kept_min=5)
    writer.ask("append 4")
    with look(folder) as view:
        first = view.get(0)
        assert first.payload == b"0"
        subscription = view.subscribe(0, timeout_s=WAIT_S)
        writer.ask("append 20")
        floor = int(segment_files(folder)[0].stem)
        assert floor > 4
        assert view.first_seq == floor
        for refused in (lambda: view.get(0), lambda: view.read_back(floor - 1, count_max=1, bytes_max=1)):
            with pytest.raises(Truncated) as caught:
                refused()
            assert caught.value.floor == floor
        with pytest.raises(Truncated):
            next(iter(subscription))
        assert view.read_back(floor, count_max=1, bytes_max=1) == []
        assert payloads(whole(view)) == numbers(floor, 24)
        assert view.seek_time(0) == floor


def test_segment_that_was_listed_and_then_removed_is_truncated(folder: Path) -> None:
    """The removal comes after the mark: a reader may list a segment just before it goes."""
    writer = Writer(folder, segment_bytes=1, kept_min=2)
    writer.append(3)
    writer.files.hold("remove")
    assert writer.log.append(b"3", 1).wait(WAIT_S) == 3
    writer.files.wait_held()
    with look(folder) as view:
        assert (view.first_seq, view.durable_end) == (0, 4)
        writer.files.release("remove")
        writer.log.barrier().wait(WAIT_S)
        writer.close()
        assert segment_files(folder)[0].stem == f"{1:020d}"
        with pytest.raises(Truncated) as caught:
            view.get(0)
        assert caught.value.floor == 1
        assert view.first_seq == 1
        assert payloads(whole(view)) == numbers(1, 4)
        assert view.seek_time(0) == 1


class RemovedAsItIsOpened(UnsyncedFiles):
    """Retention is quicker than a reader that has just chosen its segment."""

    def __init__(self) -> None:
        self.first: Path | None = None

    def open_read(self, path: Path) -> int:
        if path == self.first:
            self.first = None
            path.unlink()
        return super().open_read(path)


def test_search_by_time_that_retention_overtakes_gives_the_floor(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    files = RemovedAsItIsOpened()
    with look(folder, files) as view:
        files.first = folder / FIRST
        assert view.seek_time(0) == int(segment_files(folder)[0].stem)


def test_read_that_retention_overtakes_is_truncated(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    files = RemovedAsItIsOpened()
    with look(folder, files) as view:
        files.first = folder / FIRST
        with pytest.raises(Truncated) as caught:
            view.read_from(0, count_max=ALL, bytes_max=ALL)
        assert caught.value.floor == int(segment_files(folder)[0].stem)


def test_old_mark_below_the_floor_says_nothing(folder: Path) -> None:
    """A power cut may bring back an older mark: it is not synced."""
    writer = Writer(folder, segment_bytes=200, kept_min=5)
    writer.append(1)
    old = (folder / MARK).read_bytes()
    writer.append(20)
    writer.close()
    (folder / MARK).write_bytes(old)
    with look(folder) as view:
        floor = int(segment_files(folder)[0].stem)
        assert (view.first_seq, view.durable_end) == (floor, 21)
        assert payloads(whole(view)) == numbers(floor, 21)
        again = Writer(folder)
        again.append(3)
        assert payloads(whole(view)) == numbers(floor, 24)
        again.close()


# Waiting


def test_wait_past_wakes_when_the_writer_commits(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer()
    with look(folder) as view, ThreadPoolExecutor(1) as thread:
        assert view.wait_past(0, 0) is False
        waiting = thread.submit(view.wait_past, 0, WAIT_S)
        writer.ask("append 1")
        assert waiting.result(WAIT_S) is True
        assert view.wait_past(0, 0) is True


def test_subscription_catches_up_and_goes_on_live(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer(segment_bytes=300)
    writer.ask("append 10")
    with look(folder) as view, ThreadPoolExecutor(1) as thread:
        subscription = view.subscribe(4, timeout_s=WAIT_S)
        writing = thread.submit(lambda: [writer.ask("append 5") for _ in range(6)])
        frames = [frame for _, frame in zip(range(36), subscription, strict=False)]
        writing.result(WAIT_S)
        assert payloads(frames) == numbers(4, 40)
        assert subscription.seq == 40
        assert subscription.read(0) == []


def test_watcher_is_called_when_the_log_grew_and_when_the_reader_closes(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer()
    called = threading.Event()
    view = look(folder)
    stop = view.watch(called.set)
    writer.ask("append 1")
    assert called.wait(WAIT_S)
    assert view.durable_end == 1
    called.clear()
    view.close()
    assert called.wait(WAIT_S)
    stop()


def test_one_reader_serves_three_thousand_subscriptions(folder: Path, make_writer: MakeWriter) -> None:
    writer = make_writer()
    writer.ask("append 3")
    threads_before = threading.active_count()
    with look(folder) as view:
        worth_looking = threading.Event()
        view.watch(worth_looking.set)
        following = [view.subscribe(seq % 4) for seq in range(3000)]
        seen: list[list[Frame]] = [[] for _ in following]
        writer.ask("append 2")
        while any(subscription.seq < 5 for subscription in following):
            for subscription, frames in zip(following, seen, strict=True):
                frames += subscription.read(0)
            assert worth_looking.wait(WAIT_S)
        assert threading.active_count() == threads_before + 1
        frames = whole(view)
    assert seen == [frames[seq % 4 :] for seq in range(3000)]


def test_visible_end_never_goes_back_while_threads_look(folder: Path) -> None:
    writer = Writer(folder, segment_bytes=400)
    done = threading.Event()

    def watch_ends(view: ReadOnlyLog) -> list[int]:
        ends = [view.durable_end]
        while not done.is_set():
            frames = view.read_from(ends[-1], count_max=ALL, bytes_max=ALL)
            ends += [ends[-1] + len(frames), view.durable_end]
        return ends

    with look(folder) as view, ThreadPoolExecutor(4) as threads:
        watching = [threads.submit(watch_ends, view) for _ in range(4)]
        writer.append(150)
        done.set()
        for ends in watching:
            assert all(before <= after for before, after in pairwise(ends.result(WAIT_S)))
    writer.close()


def test_slow_look_does_not_hide_what_a_quicker_one_showed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(folder, segment_bytes=200)
    looked, go_on = threading.Event(), threading.Event()
    show = ReadOnlyLog._show

    def slow_show(view: ReadOnlyLog, *arguments: object) -> None:
        if threading.current_thread().name.startswith("slow"):
            looked.set()
            assert go_on.wait(WAIT_S)
        show(view, *arguments)  # type: ignore[arg-type]

    with look(folder) as view, ThreadPoolExecutor(1, thread_name_prefix="slow") as thread:
        monkeypatch.setattr(ReadOnlyLog, "_show", slow_show)
        writer.append(1)
        slow = thread.submit(lambda: view.durable_end)
        assert looked.wait(WAIT_S)
        writer.append(9)
        assert view.durable_end == 10
        go_on.set()
        slow.result(WAIT_S)
        assert view._visible.end.seq == 10
    writer.close()


def test_roll_between_the_listing_and_the_mark_is_seen_whole(folder: Path) -> None:
    """The mark may name a segment that was made just after the folder was listed."""
    writer = Writer(folder, segment_bytes=1)
    writer.append(2)

    class RollsMeanwhile(UnsyncedFiles):
        def names(self, path: Path) -> list[str]:
            found = super().names(path)
            if writer.log.next_seq < 5:
                writer.append(1)
            return found

    with look(folder, RollsMeanwhile()) as view:
        assert view.durable_end == 5
        assert payloads(whole(view)) == numbers(0, 5)
        writer.append(1)
        assert payloads(whole(view)) == numbers(0, 6)
    writer.close()


# The folder is left alone


def test_reader_and_writer_open_beside_each_other(folder: Path) -> None:
    with open_log(folder) as log:
        log.append(b"0", 1).wait(WAIT_S)
        with look(folder) as view, pytest.raises(LogLocked):
            open_log(folder)
        assert log.append(b"1", 1).wait(WAIT_S) == 1
    with look(folder) as view, look(folder) as second:
        with open_log(folder) as log:
            log.append(b"2", 1).wait(WAIT_S)
            assert view.durable_end == second.durable_end == 3
        assert payloads(whole(view)) == payloads(whole(second)) == numbers(0, 3)


@pytest.mark.parametrize("without", ["nothing", "mark", "indexes", "lock"])
def test_reading_changes_no_byte_in_the_folder(folder: Path, without: str) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    removed = {"nothing": "nothing", "mark": MARK, "indexes": "*.index", "lock": "LOCK"}[without]
    for path in list(folder.glob(removed)):
        path.unlink()
    before = contents_of(folder)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 12)
        assert len(view.read_back(12, count_max=ALL, bytes_max=ALL)) == 12
        assert view.seek_time(0) == 0
        assert not view.wait_past(12, 0)
        view.watch(lambda: None)
    assert contents_of(folder) == before


class UnwritableFiles(Files):
    """A disk that is mounted for reading only."""

    def refuse(self, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    make_folder = create = open_write = open_or_create = lock = write = reserve = refuse  # type: ignore[assignment]
    publish = replace = truncate = rename = remove = remove_if_there = refuse  # type: ignore[assignment]


@pytest.mark.parametrize("with_mark", [True, False])
def test_folder_that_may_only_be_read_is_read(folder: Path, with_mark: bool) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    if not with_mark:
        (folder / MARK).unlink()
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    try:
        with look(folder, UnwritableFiles()) as view:
            assert payloads(whole(view)) == numbers(0, 12)
            assert view.seek_time(TIME_MS + 1) == 12
            assert not view.wait_past(12, 2 * POLL_S)
    finally:
        folder.chmod(0o700)


# Logs without a mark, and marks that are not whole


def test_log_of_version_1_is_read_to_its_last_whole_frame(folder: Path) -> None:
    folder.mkdir()
    content = bytes.fromhex(GOLDEN_V1.read_text())
    (folder / FIRST).write_bytes(content)
    with look(folder) as view:
        assert payloads(whole(view)) == [b"The sky is blue.", b"The sky is grey.", b""]
        assert view.owner is None
    (folder / FIRST).write_bytes(content[:-1])
    with look(folder) as view:
        assert payloads(whole(view)) == [b"The sky is blue."], "the batch of two is not whole"
    assert contents_of(folder).keys() == {FIRST}


def test_log_without_a_mark_shows_whole_batches_only(folder: Path) -> None:
    """What a crash left of a batch is what the next writer will cut."""
    with open_log(folder) as log:
        log.append(b"0", 1).wait(WAIT_S)
        end = log.size_bytes
        log.append_batch([(1, b"1"), (1, b"2"), (1, b"3")]).wait(WAIT_S)
    (folder / MARK).unlink()
    (path,) = segment_files(folder)
    content = path.read_bytes()
    for size in range(end, len(content)):
        path.write_bytes(content[:size])
        with look(folder) as view:
            assert view.durable_end == 1
            assert payloads(whole(view)) == [b"0"]
    path.write_bytes(content)
    with look(folder) as view:
        assert view.durable_end == 4


def test_log_without_a_mark_is_synced_before_it_shows(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    (folder / MARK).unlink()
    files = FaultyFiles()
    files.fail("sync")
    with pytest.raises(OSError, match="Input/output"):
        look(folder, files)
    with look(folder, files) as view:
        assert view.durable_end == 3
    assert files.calls["sync"] == 2


def test_reader_of_a_log_without_a_mark_goes_on_once_there_is_one(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    (folder / MARK).unlink()
    with look(folder) as view:
        assert view.durable_end == 3
        with open_log(folder) as log:
            log.append(b"3", 1).wait(WAIT_S)
            assert view.wait_past(3, WAIT_S)
            assert payloads(whole(view)) == numbers(0, 4)


@pytest.mark.parametrize("bit", range(0, 8 * MARK_BYTES, 37))
def test_garbled_mark_is_as_none(folder: Path, bit: int) -> None:
    write_log(folder, numbers(0, 3))
    flip_bit(folder / MARK, bit)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)


@pytest.mark.parametrize("size", [0, 1, MARK_BYTES - 1])
def test_torn_mark_is_as_none(folder: Path, size: int) -> None:
    write_log(folder, numbers(0, 3))
    os.truncate(folder / MARK, size)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)


def test_mark_that_is_garbled_while_it_is_followed_changes_nothing_until_it_is_whole_again(folder: Path) -> None:
    with open_log(folder) as log:
        log.append(b"0", 1).wait(WAIT_S)
        with look(folder) as view:
            log.append(b"1", 1).wait(WAIT_S)
            good = (folder / MARK).read_bytes()
            for bad in (good[:-1], good[:40] + b"\xff" + good[41:], b"", None):
                if bad is None:
                    (folder / MARK).unlink()
                else:
                    (folder / MARK).write_bytes(bad)
                assert view.durable_end == (1 if bad == good[:-1] else view._visible.end.seq)
                assert not view.wait_past(1, 3 * POLL_S)
                assert payloads(whole(view)) == [b"0"]
            (folder / MARK).write_bytes(good)
            assert view.wait_past(1, WAIT_S)
            assert payloads(whole(view)) == numbers(0, 2)


def test_mark_of_another_log_says_nothing(folder: Path, tmp_path: Path) -> None:
    write_log(folder, numbers(0, 3))
    with FileLog.open(tmp_path / "other", clock_ms=lambda: 0, new_log_id=lambda: bytes(16)) as other:
        other.append(b"x", 1).wait(WAIT_S)
    shutil.copy(tmp_path / "other" / MARK, folder / MARK)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)


def test_mark_of_a_segment_that_is_gone_is_damage(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    segment_files(folder)[-1].unlink()
    with pytest.raises(Corrupt) as caught:
        look(folder)
    assert caught.value.path == folder / MARK


def test_log_that_went_back_fails_and_must_be_opened_again(folder: Path, tmp_path: Path) -> None:
    write_log(folder, numbers(0, 3))
    shutil.copytree(folder, tmp_path / "backup")
    with open_log(folder) as log:
        log.append(b"3", 1).wait(WAIT_S)
    called = threading.Event()
    with look(folder) as view:
        assert view.durable_end == 4
        for path in (tmp_path / "backup").iterdir():
            shutil.copy(path, folder / path.name)
        view.watch(called.set)
        assert view.wait_past(4, WAIT_S) is False, "it ended"
        assert called.wait(WAIT_S)
        assert view.ended
        assert isinstance(view.failure, LogFailed)
        with pytest.raises(LogFailed, match="went back from seq 4 to 3; open it again"):
            view.get(0)
        with pytest.raises(LogFailed):
            view.subscribe(4).read(0)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)


# What cannot be opened


@pytest.mark.parametrize("make", ["nothing", "folder", "file", "lock"])
def test_folder_without_a_log_is_unknown(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "nowhere"
    if make == "file":
        folder.write_bytes(b"")
    elif make != "nothing":
        folder.mkdir()
    if make == "lock":
        (folder / "LOCK").write_bytes(b"")
    with pytest.raises(UnknownLog, match="nowhere holds no log"):
        look(folder)
    assert folder.exists() is (make != "nothing"), "reading makes nothing"


def test_log_that_was_removed_ends_its_readers(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    with look(folder) as view, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(view.wait_past, 12, WAIT_S)
        view.watch(lambda: None)
        shutil.rmtree(folder)
        assert waiting.result(WAIT_S) is False
        assert isinstance(view.failure, UnknownLog)
        with pytest.raises(UnknownLog):
            view.get(0)


def test_frames_of_another_log_in_the_same_place_are_never_given_out(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    with look(folder) as view:
        shutil.rmtree(folder)
        with FileLog.open(folder, clock_ms=lambda: 0, new_log_id=lambda: bytes(16)) as other:
            other.append_many([(1, b"other")] * 5).wait(WAIT_S)
            with pytest.raises(UnknownLog, match="holds another log now"):
                view.get(0)


def test_newer_version_is_unsupported_and_damage_is_named(folder: Path) -> None:
    (path, *_) = write_log(folder, numbers(0, 12), segment_bytes=200)
    content = path.read_bytes()
    path.write_bytes(b"redexLOG" + content[8:])
    with pytest.raises(Corrupt) as caught:
        look(folder)
    assert (caught.value.path, caught.value.offset) == (path, 0)
    body = content[:8] + b"\x03" + content[9:60]
    path.write_bytes(body + google_crc32c.value(body).to_bytes(4, "little") + content[64:])
    with pytest.raises(UnsupportedFormat, match="a newer program wrote it"):
        look(folder)


def test_damaged_frame_fails_the_reads_that_meet_it_and_no_others(folder: Path) -> None:
    paths = write_log(folder, numbers(0, 12), segment_bytes=200)
    flip_bit(paths[1], 8 * (HEADER_BYTES + 33) + 5)
    damaged = int(paths[1].stem) + 1
    with look(folder) as view:
        for seq in range(12):
            if damaged <= seq < int(paths[2].stem):
                with pytest.raises(Corrupt) as caught:
                    view.get(seq)
                assert caught.value.path == paths[1]
            else:
                assert view.get(seq).payload == b"%d" % seq


# The end


def test_close_ends_a_wait_and_refuses_reads(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    threads_before = threading.active_count()
    view = look(folder)
    subscription = view.subscribe(3)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(view.wait_past, 3, None)
        reading = threads.submit(subscription.read, None)
        view.close()
        assert waiting.result(WAIT_S) is False
        with pytest.raises(LogClosed):
            reading.result(WAIT_S)
    view.close()
    assert view.ended
    assert view.durable_end == 3
    with pytest.raises(LogClosed, match="this reader is closed"):
        view.read_from(0, count_max=1, bytes_max=1)
    with pytest.raises(LogClosed):
        view.seek_time(0)
    assert view.wait_past(3, None) is False
    assert threading.active_count() == threads_before


def wait_in_the_main_thread(folder: str, what: str) -> None:
    """For another process: wait for what never comes, and tell when Ctrl-C ended that."""
    path = Path(folder)
    view = look(path)
    waits: dict[str, Callable[[], object]] = {
        "wait_past": lambda: _waiting(lambda: view.wait_past(view.durable_end, None)),
        "subscription": lambda: _waiting(lambda: list(view.subscribe(0))),
        "log": lambda: _hold_the_disk_and_wait(path),
        "log without help": lambda: _hold_the_disk_and_wait(path, helped=False),
        "wait_past of the log": lambda: _wait_past_of_the_log(path),
    }
    try:
        waits[what]()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    view.close()
    print(len(whole(again := look(path))), flush=True)
    again.close()


def _waiting(wait: Callable[[], object]) -> None:
    """Wait, and let another thread tell that."""
    main = threading.get_ident()

    def tell() -> None:
        while sys._current_frames()[main].f_code.co_name not in ("wait", "acquire"):
            threading.Event().wait(POLL_S)
        print("waiting", flush=True)

    threading.Thread(target=tell).start()
    wait()


def _wait_past_of_the_log(folder: Path) -> None:
    with open_log(folder) as log:
        _waiting(lambda: log.wait_past(log.next_seq, None))


def _hold_the_disk_and_wait(folder: Path, helped: bool = True) -> None:
    """A wait for a ticket that the disk does not let go, interrupted; then the log must go on."""
    files = FaultyFiles()
    with open_log(folder, files=files) as log:
        files.hold("sync")
        ticket = log.append(b"3", 1)
        if not helped:
            files.wait_held()
        try:
            _waiting(ticket.wait)
        except KeyboardInterrupt:
            files.release("sync")
            ticket.wait(WAIT_S)
            log.append(b"4", 1).wait(WAIT_S)
            raise


@pytest.mark.parametrize("what", ["wait_past", "subscription", "log", "log without help", "wait_past of the log"])
def test_ctrl_c_ends_a_wait_in_the_main_thread(folder: Path, what: str) -> None:
    write_log(folder, numbers(0, 3))
    child = Child("wait_in_the_main_thread", folder, what)
    try:
        assert child.line() == "waiting"
        child.process.send_signal(signal.SIGINT)
        assert child.line(INTERRUPT_S) == "interrupted"
        assert child.line() == ("5" if what in ("log", "log without help") else "3")
        assert child.end() == 0
    finally:
        child.process.kill()
        child.process.communicate()
