import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import ALL, LOG_ID, TIME_MS, open_log, read_all, read_payloads, segment_files
from wal import (
    PAYLOAD_BYTES_MAX,
    FileLog,
    Files,
    Frame,
    FutureSeq,
    LogBusy,
    LogClosed,
    LogFailed,
    LogLocked,
    PayloadTooLarge,
    Truncated,
)
from wal.format import FOOTER_BYTES, LOGICAL_BITS, decode_header

OPEN_IN_ANOTHER_PROCESS = """
import sys, pathlib, wal
try:
    wal.FileLog.open(pathlib.Path(sys.argv[1]), clock_ms=lambda: 0, new_log_id=lambda: bytes(16))
except wal.LogLocked as error:
    sys.exit(str(error))
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    with open_log(tmp_path / "log") as opened:
        yield opened


def test_second_writer_in_this_process_is_refused_at_once(log: FileLog) -> None:
    with pytest.raises(LogLocked, match="open in another writer"):
        open_log(log.folder)
    assert log.append(b"x", 1).wait(WAIT_S) == 0


def test_second_writer_in_another_process_is_refused_at_once(log: FileLog) -> None:
    command = [sys.executable, "-c", OPEN_IN_ANOTHER_PROCESS, str(log.folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip() == f"{log.folder} is open in another writer; stop that one first"


def test_closed_log_opens_again_in_this_process(log: FileLog) -> None:
    log.append(b"x", 1).wait(WAIT_S)
    log.close()
    with open_log(log.folder, segment_bytes=1) as again:
        assert again.append(b"y", 1).wait(WAIT_S) == 1
        assert len(segment_files(log.folder)) == 2, "the new options are in force"


def test_log_id_is_asked_for_once_and_kept(tmp_path: Path) -> None:
    ids = iter([LOG_ID])
    for _ in range(3):
        with FileLog.open(tmp_path, clock_ms=lambda: TIME_MS, new_log_id=lambda: next(ids)) as log:
            assert log.log_id == LOG_ID


def test_seqs_have_no_gap_over_segments_and_openings(tmp_path: Path) -> None:
    expected: list[Frame] = []
    for opening in range(4):
        with open_log(tmp_path, segment_bytes=200) as log:
            assert log.durable_end == len(expected)
            for index in range(10):
                ticket = log.append_many([(opening, b"a%d" % index), (opening, b"b")])
                assert ticket.wait(WAIT_S) == len(expected) + 2 * index
            expected[len(expected) :] = read_all(log)[len(expected) :]
    with open_log(tmp_path) as log:
        assert read_all(log) == expected
    assert [frame.seq for frame in expected] == list(range(80))
    assert len(segment_files(tmp_path)) > 8


def test_segments_bear_the_seq_they_start_at_and_stay_under_their_bound(tmp_path: Path) -> None:
    with open_log(tmp_path, segment_bytes=300) as log:
        for _ in range(30):
            log.append(b"twenty bytes of text", 1).wait(WAIT_S)
        first_seqs = [decode_header(path.read_bytes()).first_seq for path in segment_files(tmp_path)]
    assert first_seqs == list(range(0, 30, 4))
    assert all(path.stat().st_size <= 300 + FOOTER_BYTES for path in segment_files(tmp_path))


def test_times_grow_even_when_the_clock_steps_back(tmp_path: Path) -> None:
    hour_ms = 3_600_000
    for hour in [5, 5, 3, 6, 0, 0, 7, 1]:
        with open_log(tmp_path, segment_bytes=200, clock_ms=partial(int, hour * hour_ms)) as log:
            log.append_many([(1, b"x")] * 3).wait(WAIT_S)
    with open_log(tmp_path) as log:
        times = [frame.time for frame in read_all(log)]
        assert log.last_time == times[-1]
    assert all(before < after for before, after in pairwise(times))
    assert max(times) >> LOGICAL_BITS == 7 * hour_ms, "the clock is followed whenever it is ahead"


def test_times_grow_over_an_empty_last_segment(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files, segment_bytes=1) as log:
        log.append(b"x", 1).wait(WAIT_S)
        files.fail("write", at=3)  # after the footer of the old segment and the header of the new one
        with pytest.raises(LogFailed):
            log.append(b"y", 1).wait(WAIT_S)
    assert len(segment_files(tmp_path)) == 2
    with open_log(tmp_path, clock_ms=lambda: 0) as log:
        log.append(b"z", 1).wait(WAIT_S)
        first, second = read_all(log)
    assert second.time == first.time + 1


def test_epoch_grows_each_opening_and_is_in_the_segments_made(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        with open_log(tmp_path, segment_bytes=1) as log:
            assert log.epoch == epoch
            log.append(b"x", 1).wait(WAIT_S)
    assert [decode_header(path.read_bytes()).epoch for path in segment_files(tmp_path)] == [1, 2, 3]


def test_epoch_is_above_those_of_the_segments_when_the_lock_file_was_lost(tmp_path: Path) -> None:
    for _ in range(5):
        with open_log(tmp_path, segment_bytes=1) as log:
            log.append(b"x", 1).wait(WAIT_S)
    (tmp_path / "LOCK").unlink()
    with open_log(tmp_path) as log:
        assert log.epoch > decode_header(segment_files(tmp_path)[-1].read_bytes()).epoch


def test_kinds_and_payloads_come_back_as_given(log: FileLog) -> None:
    items = [(0, b""), (2**16 - 1, bytes(range(256)) * 300), (7, "naïve ✓".encode())]
    log.append_many(items).wait(WAIT_S)
    log.append_batch(items).wait(WAIT_S)
    assert [(frame.kind, frame.payload) for frame in read_all(log)] == items * 2


@pytest.mark.parametrize("count_max", [1, 2, 7, ALL])
@pytest.mark.parametrize("bytes_max", [1, 30, 100, ALL])
def test_pages_of_any_size_add_up_to_the_whole(tmp_path: Path, count_max: int, bytes_max: int) -> None:
    with open_log(tmp_path, segment_bytes=500) as log:
        log.append_many([(1, bytes(index % 40)) for index in range(50)]).wait(WAIT_S)
        for index in range(50):
            log.append(bytes(index % 40), 1).wait(WAIT_S)
        whole = read_all(log)
        paged: list[Frame] = []
        while page := log.read_from(len(paged), count_max=count_max, bytes_max=bytes_max):
            assert len(page) <= count_max
            assert sum(len(frame.payload) for frame in page[:-1]) < bytes_max
            paged += page
        assert len(whole) == 100
        assert paged == whole


def test_sixteen_writers_find_each_payload_at_the_seq_they_were_told(tmp_path: Path) -> None:
    with open_log(tmp_path, files=Files(), segment_bytes=4000) as log:

        def write(writer: int) -> dict[int, bytes]:
            payloads = [b"%d of %d" % (index, writer) for index in range(40)]
            return {log.append(payload, writer).wait(WAIT_S): payload for payload in payloads}

        with ThreadPoolExecutor(16) as threads:
            told = [item for written in threads.map(write, range(16)) for item in written.items()]
        frames = read_all(log)
    assert {frame.seq: frame.payload for frame in frames} == dict(told)
    assert len(frames) == len(told) == 16 * 40


def test_reader_that_follows_writers_misses_nothing(tmp_path: Path) -> None:
    with open_log(tmp_path, segment_bytes=1000) as log:

        def follow() -> list[Frame]:
            seen: list[Frame] = []
            while len(seen) < 400 and log.wait_past(len(seen), WAIT_S):
                seen += log.read_from(len(seen), count_max=7, bytes_max=ALL)
            return seen

        with ThreadPoolExecutor(8) as threads:
            readers = [threads.submit(follow) for _ in range(4)]
            list(threads.map(lambda _: [log.append(b"x", 1).wait(WAIT_S) for _ in range(100)], range(4)))
            assert all(reader.result() == read_all(log) for reader in readers)


def test_wait_past_wakes_when_the_log_grows(log: FileLog) -> None:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(log.wait_past, 0, WAIT_S)
        log.append(b"x", 1)
        assert waiting.result() is True


def test_wait_past_is_false_when_time_runs_out(log: FileLog) -> None:
    log.append(b"x", 1).wait(WAIT_S)
    assert log.wait_past(0, 0) is True
    assert log.wait_past(1, 0) is False


def test_wait_past_is_false_when_the_log_closes(log: FileLog) -> None:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(log.wait_past, 0, WAIT_S)
        log.close()
        assert waiting.result() is False


def test_payload_over_the_bound_is_refused_whole(log: FileLog) -> None:
    with pytest.raises(PayloadTooLarge, match=f"{PAYLOAD_BYTES_MAX + 1} bytes"):
        log.append_many([(1, b"small"), (1, bytes(PAYLOAD_BYTES_MAX + 1))])
    assert log.append(bytes(PAYLOAD_BYTES_MAX), 1).wait(WAIT_S) == 0
    assert [len(payload) for payload in read_payloads(log)] == [PAYLOAD_BYTES_MAX]


def test_refused_batch_leaves_none_of_its_frames_behind(log: FileLog) -> None:
    with pytest.raises((ValueError, struct.error)):
        log.append_batch([(1, b"half"), (2**16, b"a kind that no frame can hold")])
    assert log.append(b"whole", 1).wait(WAIT_S) == 0
    assert read_payloads(log) == [b"whole"]


def test_appends_past_the_pending_bound_are_refused_until_the_disk_is_back(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files, pending_bytes_max=1000) as log:
        files.hold("sync")
        log.append(b"in the fsync", 1)
        files.wait_held()
        log.append(bytes(900), 1)
        with pytest.raises(LogBusy, match="wait for the disk"):
            log.append(bytes(900), 1)
        small = log.append(b"small", 1)
        files.release("sync")
        small.wait(WAIT_S)
        assert log.append(bytes(5000), 1).wait(WAIT_S) == 3, "alone, even a large one goes through"
        assert len(read_all(log)) == 4


def test_read_beyond_the_end_names_both_seqs(log: FileLog) -> None:
    log.append(b"x", 1).wait(WAIT_S)
    assert log.read_from(1, count_max=1, bytes_max=1) == []
    with pytest.raises(FutureSeq, match=r"seq 2 .* 1"):
        log.read_from(2, count_max=1, bytes_max=1)


def test_read_before_the_first_seq_names_the_floor(log: FileLog) -> None:
    with pytest.raises(Truncated, match="first one kept is 0"):
        log.read_from(-1, count_max=1, bytes_max=1)


def test_closed_log_refuses_work(log: FileLog) -> None:
    log.append(b"x", 1).wait(WAIT_S)
    log.close()
    log.close()
    with pytest.raises(LogClosed):
        log.append(b"y", 1)
    with pytest.raises(LogClosed):
        log.append_many([])
    with pytest.raises(LogClosed):
        log.barrier()
    with pytest.raises(LogClosed):
        log.read_from(0, count_max=1, bytes_max=1)
    assert log.wait_past(1, None) is False


def test_read_that_the_close_overtakes_ends_well_or_says_closed(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = open_log(tmp_path, files=files)
    log.append(b"x", 1).wait(WAIT_S)
    with ThreadPoolExecutor(2) as threads:
        files.hold("read")
        reading = threads.submit(read_payloads, log)
        files.wait_held()
        closing = threads.submit(log.close)
        assert not log.wait_past(1, WAIT_S), "the close has begun"
        wait([closing], timeout=0.2)  # it may wait for the reader, or not
        files.release("read")
        closing.result(WAIT_S)
        with suppress(LogClosed):
            assert reading.result(WAIT_S) == [b"x"]


def test_short_writes_of_the_system_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, offset: whole_write(handle, data[:7], offset))
    with open_log(tmp_path) as log:
        log.append(b"longer than seven bytes", 1).wait(WAIT_S)
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"longer than seven bytes"]
