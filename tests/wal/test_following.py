"""A replica: the owner's frames byte for byte, from wherever they come, and a refusal where they differ."""

import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.crash_model import crash_images, put_image
from tests.support.faulty_files import WAIT_S, FaultyFiles, UnsyncedFiles
from tests.support.log_writers import Child
from tests.support.logs import ALL, LOG_ID, TIME_MS, open_log, read_all, segment_files
from wal import (
    Diverged,
    FileLog,
    Files,
    Follower,
    Frame,
    LogClosed,
    LogError,
    LogFailed,
    LogOptions,
    LogReader,
    MemoryLog,
    NotOwner,
    ReadOnlyLog,
    Retention,
    Truncated,
    WrongLog,
    check_log,
    follow,
    following,
    open_replica,
)
from wal.format import FLAG_LOST, FLAG_MORE, HEADER_BYTES, encode_frame
from wal.segment import open_segment

OWNER = "https://owner.example"
SMALL = LogOptions(segment_bytes=300, reserve_bytes=0)
OTHER_SEGMENTS = LogOptions(segment_bytes=700, reserve_bytes=200)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[FileLog]:
    with open_log(tmp_path / "source", options=SMALL) as log:
        yield log


def replica_of(
    source: LogReader,
    folder: Path,
    *,
    owner: str = OWNER,
    options: LogOptions = OTHER_SEGMENTS,
    files: Files | None = None,
) -> FileLog:
    return open_replica(
        source, folder, owner=owner, clock_ms=lambda: 0, options=options, files=files or UnsyncedFiles()
    )


def fill(log: FileLog | MemoryLog, generator: random.Random, count: int) -> None:
    """Single frames, groups and batches of any size."""
    for _ in range(count):
        items = [
            (generator.randrange(9), generator.randbytes(generator.randrange(60)))
            for _ in range(generator.randint(1, 6))
        ]
        generator.choice([log.append_many, log.append_batch])(items).wait(WAIT_S)


def copy_all(source: LogReader, folder: Path, **more: object) -> None:
    with replica_of(source, folder, **more) as target:  # type: ignore[arg-type]
        follow(source, target).catch_up()


def frame_bytes(folder: Path) -> bytes:
    """The bytes of all frames, without what is each segment's own: header, footer, reserved space."""
    parts = []
    for path in segment_files(folder):
        segment = open_segment(Files(), path)
        content = path.read_bytes()
        parts.append(content[HEADER_BYTES : segment.footer.end if segment.footer else len(content)])
    return b"".join(parts).rstrip(b"\0")


def check_equal(source: Path, replica: Path) -> None:
    assert frame_bytes(replica) == frame_bytes(source)
    for folder in (source, replica):
        assert check_log(folder, lambda *_: None).findings == ()


# Copies


def test_replica_has_the_same_frames_byte_for_byte(tmp_path: Path, source: FileLog) -> None:
    fill(source, random.Random(1), 60)
    with replica_of(source, tmp_path / "replica") as target:
        follower = follow(source, target)
        assert follower.lag == source.durable_end
        assert follower.catch_up() == source.durable_end
        assert follower.lag == 0
        assert read_all(target) == read_all(source), "times, kinds, flags and chain too"
        assert (target.log_id, target.owner, target.durable_end) == (source.log_id, OWNER, source.durable_end)
        assert follower.step(0) == 0
        assert follower.catch_up() == 0
    source.close()
    check_equal(source.folder, tmp_path / "replica")
    assert len(segment_files(tmp_path / "replica")) != len(segment_files(source.folder))


@pytest.mark.parametrize("seed", range(12))
def test_pages_of_any_size_add_up_to_the_whole_and_cut_no_batch(
    tmp_path: Path, source: FileLog, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    generator = random.Random(seed)
    count = 0
    for opening in range(4):
        fill(source, generator, 10)
        monkeypatch.setattr(following, "PAGE_COUNT_MAX", generator.choice([1, 2, 3, 7, 50]))
        monkeypatch.setattr(following, "PAGE_BYTES_MAX", generator.choice([1, 40, 200, 10_000]))
        options = LogOptions(segment_bytes=generator.choice([1, 200, 5000]), reserve_bytes=generator.choice([0, 300]))
        with replica_of(source, tmp_path / "replica", options=options) as target:
            assert target.durable_end == count
            follower = follow(source, target)
            for _ in range(ALL if opening == 3 else 5):
                copied = follower.step(0)
                count += copied
                if not copied:
                    break
                assert not target.get(target.durable_end - 1).flags & FLAG_MORE
    assert count == source.durable_end
    source.close()
    check_equal(source.folder, tmp_path / "replica")


def test_batch_larger_than_a_page_is_copied_in_one_step(
    tmp_path: Path, source: FileLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE_COUNT_MAX", 4)
    source.append_many([(1, b"x")] * 3).wait(WAIT_S)
    source.append_batch([(1, b"%d" % number) for number in range(30)]).wait(WAIT_S)
    with replica_of(source, tmp_path / "replica") as target:
        follower = follow(source, target)
        assert [follower.step(0), follower.step(0), follower.step(0)] == [3, 30, 0]


def test_step_waits_for_what_comes(tmp_path: Path, source: FileLog) -> None:
    with replica_of(source, tmp_path / "replica") as target, ThreadPoolExecutor(1) as thread:
        follower = follow(source, target)
        assert (follower.step(0), follower.lag) == (0, 0), "an empty source"
        waiting = thread.submit(follower.step, WAIT_S)
        source.append(b"x", 1).wait(WAIT_S)
        assert waiting.result(WAIT_S) == 1
        assert target.durable_end == 1, "it is durable when the step is over"


def test_lost_frames_are_copied_too(tmp_path: Path) -> None:
    lost, crc = encode_frame(0, TIME_MS << 16, 0, FLAG_LOST, 0, b"a bad sector")
    after, _ = encode_frame(1, (TIME_MS << 16) + 1, 3, 0, crc, b"kept")
    (tmp_path / "source").mkdir()
    with open_log(tmp_path / "empty"):
        header = segment_files(tmp_path / "empty")[0].read_bytes()
    (tmp_path / "source" / segment_files(tmp_path / "empty")[0].name).write_bytes(header + lost + after)
    with open_log(tmp_path / "source") as source, replica_of(source, tmp_path / "replica") as target:
        follow(source, target).catch_up()
        assert [frame.lost for frame in read_all(target)] == [True, False]
        assert read_all(target) == read_all(source)


def test_memory_log_can_be_followed(tmp_path: Path) -> None:
    source = MemoryLog(clock_ms=lambda: TIME_MS, log_id=LOG_ID)
    fill(source, random.Random(3), 30)
    with replica_of(source, tmp_path / "replica") as target:
        follow(source, target).catch_up()
        assert read_all(target) == source.read_from(0, count_max=ALL, bytes_max=ALL)
    assert check_log(tmp_path / "replica", lambda *_: None).findings == ()


def test_replica_of_a_replica_is_the_same(tmp_path: Path, source: FileLog) -> None:
    fill(source, random.Random(4), 30)
    with replica_of(source, tmp_path / "1") as first, replica_of(first, tmp_path / "2", owner="first") as second:
        chain = [follow(source, first), follow(first, second)]
        for _ in range(3):
            fill(source, random.Random(5), 5)
            for follower in chain:
                follower.catch_up()
        assert read_all(second) == read_all(first) == read_all(source)
    check_equal(tmp_path / "1", tmp_path / "2")


def test_log_of_another_process_is_followed_while_it_grows(tmp_path: Path) -> None:
    child = Child("tests.support.log_writers.serve", tmp_path / "source", 300, 0, "durable")
    assert child.line() == "ready"
    child.ask("append 3")
    with (
        ReadOnlyLog.open(tmp_path / "source", poll_s=0.001) as source,
        replica_of(source, tmp_path / "replica") as target,
    ):
        follower = follow(source, target)
        assert follower.catch_up() == 3
        end = child.ask("batch 20")
        while target.durable_end < end:
            assert follower.step(WAIT_S) > 0
        assert child.ask("reopen") == 2
        child.ask("append 2")
        assert follower.catch_up() == 2
        child.ask("begin")
        assert follower.step(0) == 0, "never ahead of what is visible at the source"
        child.ask("end")
        assert follower.catch_up() == 1
    child.ask("close")
    assert child.end() == 0
    check_equal(tmp_path / "source", tmp_path / "replica")


# Floors


def test_replica_begins_at_the_floor_of_its_source(tmp_path: Path) -> None:
    with open_log(tmp_path / "source", options=SMALL._replace(retention=Retention(count_min=10))) as source:
        fill(source, random.Random(6), 30)
        assert source.first_seq > 0
        with replica_of(source, tmp_path / "replica") as target:
            assert target.first_seq == target.durable_end == source.first_seq
            follow(source, target).catch_up()
            assert read_all(target) == read_all(source)
            with pytest.raises(Truncated):
                target.get(source.first_seq - 1)
    with open_log(tmp_path / "source") as source, replica_of(source, tmp_path / "replica") as target:
        assert follow(source, target).catch_up() == 0
    check_equal(tmp_path / "source", tmp_path / "replica")


def test_replica_that_lags_behind_the_floor_is_told(tmp_path: Path) -> None:
    with open_log(tmp_path / "source", options=SMALL._replace(retention=Retention(count_min=5))) as source:
        source.append(b"x", 1).wait(WAIT_S)
        with replica_of(source, tmp_path / "replica") as target:
            follower = follow(source, target)
            follower.catch_up()
            fill(source, random.Random(7), 30)
            with pytest.raises(Truncated) as caught:
                follower.step(0)
            assert (caught.value.seq, caught.value.floor) == (1, source.first_seq)
            assert target.failure is None
            with pytest.raises(Truncated):
                follow(source, target).catch_up()


def test_replica_has_its_own_retention(tmp_path: Path, source: FileLog) -> None:
    options = LogOptions(segment_bytes=200, reserve_bytes=0, retention=Retention(count_min=4))
    fill(source, random.Random(8), 40)
    with replica_of(source, tmp_path / "replica", options=options) as target:
        follower = follow(source, target)
        while follower.lag:
            follower.step(0)
            fill(source, random.Random(9), 1) if source.next_seq < 200 else None
        assert target.first_seq > 0 == source.first_seq
        assert read_all(target) == read_all(source)[target.first_seq :]


# Who may append


def test_replica_refuses_every_append_and_names_the_owner(tmp_path: Path, source: FileLog) -> None:
    source.append(b"x", 1).wait(WAIT_S)
    folder = tmp_path / "replica"
    copy_all(source, folder)
    openings: list[Callable[[], FileLog]] = [lambda: replica_of(source, folder), lambda: open_log(folder)]
    for opened in openings:
        with opened() as target:
            appends: list[Callable[[], object]] = [
                lambda log=target: log.append(b"y", 1),  # type: ignore[misc]
                lambda log=target: log.append_many([(1, b"y")]),  # type: ignore[misc]
                lambda log=target: log.append_many([]),  # type: ignore[misc]
                lambda log=target: log.append_batch([(1, b"y")]),  # type: ignore[misc]
                lambda log=target: log.append_if_next_seq(1, [(1, b"y")]),  # type: ignore[misc]
            ]
            for append in appends:
                with pytest.raises(NotOwner, match=OWNER) as caught:
                    append()
                assert caught.value.owner == OWNER
            assert (target.next_seq, target.owner) == (1, OWNER)
            target.barrier().wait(WAIT_S)
    with ReadOnlyLog.open(folder) as view:
        assert view.owner == OWNER


def test_replica_of_another_owner_and_log_of_its_own_are_refused(tmp_path: Path, source: FileLog) -> None:
    copy_all(source, tmp_path / "replica")
    with pytest.raises(NotOwner, match=OWNER):
        replica_of(source, tmp_path / "replica", owner="somebody else")
    open_log(tmp_path / "own").close()
    with pytest.raises(NotOwner, match="this folder"):
        replica_of(source, tmp_path / "own")
    with open_log(tmp_path / "own") as own:
        assert own.append(b"still its own", 1).wait(WAIT_S) == 0
        with pytest.raises(ValueError, match="is no replica"):
            follow(source, own)
        with pytest.raises(ValueError, match="is no replica"):
            own.copy_frames([])


@pytest.mark.parametrize("owner", ["", " ", "x" * 4097])
def test_owner_without_a_name_is_refused(tmp_path: Path, source: FileLog, owner: str) -> None:
    with pytest.raises(ValueError, match="owner"):
        replica_of(source, tmp_path / "replica", owner=owner)
    copy_all(source, tmp_path / "replica")


def test_replica_of_another_log_is_refused(tmp_path: Path, source: FileLog) -> None:
    copy_all(source, tmp_path / "replica")
    other = MemoryLog(clock_ms=lambda: TIME_MS, log_id=bytes(16))
    with pytest.raises(WrongLog):
        replica_of(other, tmp_path / "replica")
    with replica_of(source, tmp_path / "replica") as target, pytest.raises(WrongLog):
        follow(other, target)


# Differences


@pytest.mark.parametrize("prefix", [0, 1, 5, 64])
@pytest.mark.parametrize("lengths", [(1, 1), (9, 9), (1, 20), (20, 1)])
def test_first_frame_that_differs_is_named(tmp_path: Path, prefix: int, lengths: tuple[int, int]) -> None:
    with open_log(tmp_path / "source", options=SMALL) as source:
        for seq in range(prefix):
            source.append(b"%d" % seq, 1).wait(WAIT_S)
    shutil.copytree(tmp_path / "source", tmp_path / "other")
    with open_log(tmp_path / "other", options=SMALL) as other:
        for _ in range(lengths[1]):
            other.append(b"other", 1).wait(WAIT_S)
        copy_all(other, tmp_path / "replica")
    with open_log(tmp_path / "source", options=SMALL) as source:
        for _ in range(lengths[0]):
            source.append(b"source", 1).wait(WAIT_S)
        with replica_of(source, tmp_path / "replica") as target:
            with pytest.raises(Diverged, match=f"seq {prefix} differs") as caught:
                follow(source, target)
            assert caught.value.seq == prefix
            assert target.durable_end == prefix + lengths[1], "nothing was changed"


def test_difference_that_comes_while_it_is_followed_is_named(tmp_path: Path) -> None:
    """The owner was put back to a backup and went another way; the replica had more."""
    with open_log(tmp_path / "source", options=SMALL) as source:
        source.append_many([(1, b"a"), (1, b"b")]).wait(WAIT_S)
    shutil.copytree(tmp_path / "source", tmp_path / "backup")
    with open_log(tmp_path / "source", options=SMALL) as source:
        source.append(b"only in the replica", 1).wait(WAIT_S)
        copy_all(source, tmp_path / "replica")
    with open_log(tmp_path / "backup", options=SMALL) as source, replica_of(source, tmp_path / "replica") as target:
        follower = follow(source, target)
        assert (follower.step(0), follower.lag) == (0, 0), "what both have is the same"
        source.append_many([(1, b"another way")] * 2).wait(WAIT_S)
        with pytest.raises(Diverged) as caught:
            follower.step(WAIT_S)
        assert caught.value.seq == 2


# Ends


def test_closed_source_is_told_once_all_was_copied(tmp_path: Path, source: FileLog) -> None:
    fill(source, random.Random(10), 5)
    with replica_of(source, tmp_path / "replica") as target:
        follower = follow(source, target)
        follower.catch_up()
        source.close()
        for timeout_s in (0, None):
            with pytest.raises(LogClosed, match="the source was closed"):
                follower.step(timeout_s)


def test_failed_source_is_copied_to_its_end_and_then_its_failure_is_told(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path / "source", files=files) as source:
        source.append_many([(1, b"x")] * 3).wait(WAIT_S)
        files.fail("sync")
        with pytest.raises(LogFailed):
            source.append(b"never durable", 1).wait(WAIT_S)
        with replica_of(source, tmp_path / "replica") as target:
            follower = follow(source, target)
            assert follower.step(WAIT_S) == 3
            with pytest.raises(LogFailed, match="Input/output error"):
                follower.step(WAIT_S)


def test_failed_replica_is_told_and_goes_on_after_it_was_reopened(tmp_path: Path, source: FileLog) -> None:
    fill(source, random.Random(11), 5)
    files = FaultyFiles()
    with replica_of(source, tmp_path / "replica", files=files) as target:
        files.fail("write")
        with pytest.raises(LogFailed):
            follow(source, target).step(WAIT_S)
    copy_all(source, tmp_path / "replica")
    source.close()
    check_equal(source.folder, tmp_path / "replica")


def test_source_with_nothing_left_to_begin_with_is_refused(tmp_path: Path) -> None:
    files = FaultyFiles()
    options = LogOptions(segment_bytes=1, reserve_bytes=0, retention=Retention(count_min=0))
    with open_log(tmp_path / "source", files=files, options=options) as source:
        source.append(b"x", 1).wait(WAIT_S)
        files.fail("write", at=3)  # the footer, the header of the new segment, then its frame
        with pytest.raises(LogFailed):
            source.append(b"y", 1).wait(WAIT_S)
    shutil.rmtree(tmp_path / "replica", ignore_errors=True)
    segment_files(tmp_path / "source")[0].unlink()
    with open_log(tmp_path / "source") as source:
        assert source.first_seq == source.durable_end == 1
        with pytest.raises(LogError, match="no frame to begin with"):
            replica_of(source, tmp_path / "replica")
        source.append(b"z", 1).wait(WAIT_S)
        copy_all(source, tmp_path / "replica")
        with replica_of(source, tmp_path / "replica") as target:
            assert read_all(target) == read_all(source)


def test_folder_where_only_the_owner_was_put_down_becomes_no_log_of_its_own(tmp_path: Path, source: FileLog) -> None:
    """A crash while a replica was made: whoever opens the folder next must not give it an id that nobody has."""
    source.append(b"x", 1).wait(WAIT_S)
    (tmp_path / "replica").mkdir()
    (tmp_path / "replica" / "OWNER").write_text(OWNER)
    with suppress(LogError):
        FileLog.open(tmp_path / "replica", clock_ms=lambda: 0, new_log_id=lambda: bytes(16)).close()
    copy_all(source, tmp_path / "replica")


def test_any_crash_of_the_replica_leaves_one_that_goes_on(tmp_path: Path, source: FileLog) -> None:
    fill(source, random.Random(12), 6)
    files = FaultyFiles()
    with replica_of(source, tmp_path / "replica", options=SMALL, files=files) as target:
        follower: Follower = follow(source, target)
        follower.catch_up()
        fill(source, random.Random(13), 4)
        follower.catch_up()
    frames: list[Frame] = read_all(source)
    states = 0
    for _, image in crash_images(files, lambda data: {len(data) // 3, len(data) // 2}):
        put_image(tmp_path / "after", image)
        with replica_of(source, tmp_path / "after", options=SMALL) as target:
            found = read_all(target)
            assert found == frames[: len(found)]
            assert not found or not found[-1].flags & FLAG_MORE, "a batch is there whole or not at all"
            follow(source, target).catch_up()
            assert read_all(target) == frames
        states += 1
    assert states > 30
