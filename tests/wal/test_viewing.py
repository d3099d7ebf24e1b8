"""A log seen from outside its writer: what the writer's fsync covered, at once, and nothing else."""

import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles, UnsyncedFiles
from tests.support.log_writers import (
    POLL_S,
    Child,
    MakeWriter,
    MissingNames,
    Writer,
    look,
    numbers,
    payloads,
    whole,
)
from tests.support.logs import ALL, LOG_ID, open_log, read_all, segment_files, write_log
from wal import (
    Frame,
    FutureSeq,
    LogClosed,
    LogFailed,
    ReadOnlyLog,
    WrongLog,
    viewing,
)

INTERRUPT_S = 1.0  # how soon Ctrl-C must end a wait


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


def test_watcher_that_looks_is_not_called_within_its_call(folder: Path) -> None:
    writer = Writer(folder)
    depth, done = 0, threading.Event()
    depths: list[int] = []

    def append_and_look() -> None:
        nonlocal depth
        depth += 1
        depths.append(depth)
        if len(depths) < 20:
            writer.append(1)
            assert view.durable_end == writer.log.next_seq
        else:
            done.set()
        depth -= 1

    with look(folder) as view:
        stop = view.watch(append_and_look)
        writer.append(1)
        assert done.wait(WAIT_S), "growth that a watcher saw itself is told too"
        stop()
    assert set(depths) == {1}
    writer.close()


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
    tell = ReadOnlyLog._tell

    def slow_tell(view: ReadOnlyLog) -> None:
        if threading.current_thread().name == "wal-view":
            looked.set()
            assert go_on.wait(WAIT_S)
        tell(view)

    with look(folder) as view:
        monkeypatch.setattr(ReadOnlyLog, "_tell", slow_tell)
        view.watch(lambda: None)
        writer.append(1)
        assert looked.wait(WAIT_S)
        writer.append(9)
        assert view.durable_end == 10
        go_on.set()
        view.close()
        assert view._visible.end.seq == 10
    writer.close()


def test_writer_that_rolls_at_every_listing_is_followed(folder: Path) -> None:
    writer = Writer(folder, segment_bytes=1)
    writer.append(2)

    class RollsAlways(UnsyncedFiles):
        def names(self, path: Path) -> list[str]:
            found = super().names(path)
            writer.append(1)
            return found

    with look(folder, RollsAlways()) as view:
        ends = [view.durable_end for _ in range(5)]
        assert ends == sorted(set(ends))
        assert view.wait_past(ends[-1] + 5, WAIT_S)
        assert payloads(view.read_from(0, count_max=ends[-1], bytes_max=ALL)) == numbers(0, ends[-1])
    writer.close()


@pytest.mark.parametrize("missing", [1, 2])
def test_listing_that_misses_a_segment_is_made_again(folder: Path, missing: int) -> None:
    writer = Writer(folder, segment_bytes=1)
    writer.append(3)
    with look(folder, MissingNames(f"{missing:020d}.redex", 1)) as view:
        assert payloads(whole(view)) == numbers(0, 3)
    files = MissingNames(f"{missing + 2:020d}.redex", 0)
    with look(folder, files) as view:
        writer.append(3)
        files.left = 1
        assert view.wait_past(5, WAIT_S)
        assert payloads(whole(view)) == numbers(0, 6)
    writer.close()


def test_look_that_the_writer_overtakes_is_made_again_at_the_next_poll(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(folder, segment_bytes=1)
    writer.append(2)
    monkeypatch.setattr(viewing, "_TRIES", 1)

    class Overtaken(MissingNames):
        def names(self, path: Path) -> list[str]:
            found = super().names(path)
            if self.left == 4:
                raise FileNotFoundError(path)
            return found

    files = Overtaken(f"{5:020d}.redex", 0)
    with look(folder, files) as view, ThreadPoolExecutor(1) as thread:
        writer.append(4)
        files.left = 8
        waiting = thread.submit(view.wait_past, 5, WAIT_S)
        assert waiting.result(WAIT_S) is True
        assert (view.failure, view.ended) == (None, False)
        assert payloads(whole(view)) == numbers(0, 6)
    files.left = 9
    with pytest.raises(LogFailed, match="change faster than they can be listed"):
        look(folder, files)
    writer.close()


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
    child = Child(f"{__name__}.wait_in_the_main_thread", folder, what)
    try:
        assert child.line() == "waiting"
        child.process.send_signal(signal.SIGINT)
        assert child.line(INTERRUPT_S) == "interrupted"
        assert child.line() == ("5" if what in ("log", "log without help") else "3")
        assert child.end() == 0
    finally:
        child.process.kill()
        child.process.communicate()
