"""What a log promises to whoever reads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL
from tests.wal.conformance_tools import Clock, MakeLog, fill, read_all, seqs_of
from wal.errors import FutureSeq, LogClosed, Truncated, WrongLog
from wal.format import Frame
from wal.options import LogOptions
from wal.protocol import Cursor, LogReader, Position

SMALL = LogOptions(segment_bytes=500)

PLACED: dict[str, Callable[[LogReader, Position], object]] = {
    "read_from": lambda log, position: log.read_from(position, count_max=1, bytes_max=1),
    "read_back": lambda log, position: log.read_back(position, count_max=1, bytes_max=1),
}
READS: dict[str, Callable[[LogReader, int], object]] = {**PLACED, "get": lambda log, seq: log.get(seq)}

each_placed = pytest.mark.parametrize("read", PLACED.values(), ids=PLACED)
each_read = pytest.mark.parametrize("read", READS.values(), ids=READS)


def subscribe(log: LogReader, position: Position) -> object:
    return log.subscribe(position).read(0)


def make_mixed(make_log: MakeLog) -> LogReader:
    """A log of 100 frames of 0 to 39 bytes, some alone, some in groups, in many segments."""
    log = make_log(SMALL)
    log.append_many([(1, bytes(index % 40)) for index in range(30)])
    for index in range(30, 60):
        log.append(bytes(index % 40), 1)
    for index in range(60, 100, 4):
        log.append_batch([(1, bytes(number % 40)) for number in range(index, index + 4)]).wait(WAIT_S)
    return log


class ReadPromises:
    """Pages in both directions, single frames, times, cursors and every refusal."""

    @pytest.mark.parametrize("count_max", [1, 2, 7, ALL])
    @pytest.mark.parametrize("bytes_max", [1, 30, 100, ALL])
    def test_pages_of_any_size_add_up_to_the_whole(self, make_log: MakeLog, count_max: int, bytes_max: int) -> None:
        log = make_mixed(make_log)
        paged: list[Frame] = []
        while page := log.read_from(len(paged), count_max=count_max, bytes_max=bytes_max):
            assert len(page) <= count_max
            assert sum(len(frame.payload) for frame in page[:-1]) < bytes_max
            paged += page
        assert paged == read_all(log)
        assert seqs_of(paged) == list(range(100))
        assert [len(frame.payload) for frame in paged] == [seq % 40 for seq in range(100)]

    @pytest.mark.parametrize("count_max", [1, 2, 7, ALL])
    @pytest.mark.parametrize("bytes_max", [1, 30, 100, ALL])
    def test_pages_backwards_add_up_to_the_whole(self, make_log: MakeLog, count_max: int, bytes_max: int) -> None:
        log = make_mixed(make_log)
        paged: list[Frame] = []
        while page := log.read_back(100 - len(paged), count_max=count_max, bytes_max=bytes_max):
            assert len(page) <= count_max
            assert sum(len(frame.payload) for frame in page[:-1]) < bytes_max
            paged += page
        assert paged == read_all(log)[::-1]

    @pytest.mark.parametrize(("bytes_max", "count"), [(1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3), (1000, 5)])
    def test_frame_that_reaches_the_bytes_is_the_last(self, make_log: MakeLog, bytes_max: int, count: int) -> None:
        log = make_log()
        log.append_many([(1, b"ten bytes.")] * 5).wait(WAIT_S)
        assert seqs_of(log.read_from(0, count_max=ALL, bytes_max=bytes_max)) == [0, 1, 2, 3, 4][:count]
        assert seqs_of(log.read_back(5, count_max=ALL, bytes_max=bytes_max)) == [4, 3, 2, 1, 0][:count]

    def test_empty_payloads_count_nothing_towards_the_bytes(self, make_log: MakeLog) -> None:
        log = make_log()
        log.append_many([(1, b"")] * 5).wait(WAIT_S)
        assert len(log.read_from(0, count_max=ALL, bytes_max=1)) == 5
        assert len(log.read_back(5, count_max=ALL, bytes_max=1)) == 5

    def test_reads_start_where_they_are_told(self, make_log: MakeLog) -> None:
        log = make_mixed(make_log)
        whole = read_all(log)
        for seq in range(101):
            assert log.read_from(seq, count_max=3, bytes_max=ALL) == whole[seq : seq + 3]
            assert log.read_back(seq, count_max=3, bytes_max=ALL) == whole[max(0, seq - 3) : seq][::-1]

    def test_long_segment_is_read_alike_in_both_directions(self, make_log: MakeLog) -> None:
        log = make_log()
        log.append_many([(1, b"%d" % seq) for seq in range(3000)]).wait(WAIT_S)
        whole = read_all(log)
        assert [frame.payload for frame in whole] == [b"%d" % seq for seq in range(3000)]
        for seq in range(0, 3001, 125):
            assert log.read_from(seq, count_max=400, bytes_max=ALL) == whole[seq : seq + 400]
            assert log.read_back(seq, count_max=400, bytes_max=ALL) == whole[max(0, seq - 400) : seq][::-1]

    def test_nothing_is_after_the_end_nor_before_the_start(self, make_log: MakeLog) -> None:
        log = make_log()
        for count in (0, 3):
            fill(log, count)
            assert log.read_from(count, count_max=ALL, bytes_max=ALL) == []
            assert log.read_back(0, count_max=ALL, bytes_max=ALL) == []

    def test_each_frame_can_be_got(self, make_log: MakeLog) -> None:
        log = make_mixed(make_log)
        whole = read_all(log)
        assert [log.get(seq) for seq in range(100)] == whole
        assert [log.get(seq) for seq in range(99, -1, -1)] == whole[::-1]

    @each_placed
    def test_read_beyond_the_end_names_both_numbers(
        self, make_log: MakeLog, read: Callable[[LogReader, Position], object]
    ) -> None:
        log = make_log()
        for end in (0, 3):
            fill(log, end)
            for seq in (end + 1, 2**62):
                for position in (seq, log.cursor(seq)):
                    with pytest.raises(FutureSeq) as refused:
                        read(log, position)
                    assert (refused.value.seq, refused.value.end) == (seq, end)

    def test_get_of_the_end_itself_is_beyond_it(self, make_log: MakeLog) -> None:
        log = make_log()
        for end in (0, 3):
            fill(log, end)
            for seq in (end, end + 1, 2**62):
                with pytest.raises(FutureSeq) as refused:
                    log.get(seq)
                assert (refused.value.seq, refused.value.end) == (seq, end)

    @each_read
    def test_read_before_the_first_frame_names_the_floor(
        self, make_log: MakeLog, read: Callable[[LogReader, int], object]
    ) -> None:
        log = make_log()
        fill(log, 3)
        with pytest.raises(Truncated) as refused:
            read(log, -1)
        assert (refused.value.seq, refused.value.floor) == (-1, 0)

    def test_cursor_is_the_position_of_its_seq(self, make_log: MakeLog) -> None:
        log = make_log()
        frames = fill(log, 5)
        for seq in range(6):
            cursor = log.cursor(seq)
            assert cursor == Cursor(log.log_id, seq)
            assert log.read_from(cursor, count_max=ALL, bytes_max=ALL) == frames[seq:]
            assert log.read_back(cursor, count_max=ALL, bytes_max=ALL) == frames[:seq][::-1]
            assert list(log.subscribe(cursor, timeout_s=0)) == frames[seq:]

    def test_cursor_of_another_log_is_refused_wherever_a_position_is_taken(self, make_log: MakeLog) -> None:
        log = make_log()
        fill(log, 5)
        other = bytes(byte ^ 0xFF for byte in log.log_id)
        for seq in (-1, 0, 5, 2**62):
            cursor = Cursor(other, seq)
            for take in (*PLACED.values(), subscribe):
                with pytest.raises(WrongLog) as refused:
                    take(log, cursor)
                assert (refused.value.expected, refused.value.found) == (log.log_id, other)

    @each_read
    def test_closed_log_cannot_be_read(self, make_log: MakeLog, read: Callable[[LogReader, int], object]) -> None:
        log = make_log()
        fill(log, 3)
        log.close()
        with pytest.raises(LogClosed):
            read(log, 1)
        with pytest.raises(LogClosed):
            log.seek_time(0)

    def test_seek_time_finds_the_first_frame_that_is_not_earlier(self, make_log: MakeLog) -> None:
        clock = Clock(100)
        log = make_log(SMALL, clock)
        for now_ms in [100, 100, 103, 103, 101, 99, 104, 110, 110, 50, 110, 120]:
            clock.now_ms = now_ms
            log.append_many([(1, bytes(20))] * 3).wait(WAIT_S)
        frames = read_all(log)
        for time_ms in range(90, 130):
            found = [frame.seq for frame in frames if frame.time_ms >= time_ms]
            assert log.seek_time(time_ms) == (found[0] if found else 36), time_ms

    def test_seek_time_before_all_is_the_first_and_after_all_the_end(self, make_log: MakeLog) -> None:
        clock = Clock(1000)
        log = make_log(clock_ms=clock)
        assert [log.seek_time(time_ms) for time_ms in (0, 1000, 2000)] == [0, 0, 0]
        fill(log, 3)
        clock.now_ms = 5000
        assert [log.seek_time(time_ms) for time_ms in (-1, 0, 1000, 1001, 2**47)] == [0, 0, 0, 3, 3]
        fill(log, 1)
        assert [log.seek_time(time_ms) for time_ms in (1000, 1001, 5000, 5001)] == [0, 3, 3, 4]

    def test_reads_beside_writers_show_a_prefix_that_grows(self, make_log: MakeLog) -> None:
        log = make_log(SMALL)

        def read_until_all_is_there() -> list[Frame]:
            frames: list[Frame] = []
            while len(frames) < 200:
                assert log.wait_past(len(frames), WAIT_S)
                end = log.durable_end
                now = read_all(log)
                assert len(now) >= end
                assert now[: len(frames)] == frames
                assert [frame.seq for frame in log.read_back(end, count_max=2, bytes_max=ALL)][:1] == [end - 1]
                frames = now
            return frames

        with ThreadPoolExecutor(8) as threads:
            readers = [threads.submit(read_until_all_is_there) for _ in range(4)]
            list(threads.map(lambda _: [log.append(b"x", 1).wait(WAIT_S) for _ in range(50)], range(4)))
            assert all(reader.result(WAIT_S) == read_all(log) for reader in readers)
