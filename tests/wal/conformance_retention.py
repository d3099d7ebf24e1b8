"""What a log promises to keep, and how it says what is gone.

When a segment starts an engine may look at what to drop before or after the
first frames are in it, so the tests allow it a segment or two more than the bound.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL
from tests.wal.conformance_tools import (
    SEGMENT_EACH,
    Clock,
    MakeLog,
    fill,
    grows,
    kept_count,
    read_all,
    seqs_of,
)
from wal.errors import Truncated
from wal.format import encode_frame
from wal.options import LogOptions, Retention
from wal.protocol import LogReader

SLACK = 2  # segments

READS: dict[str, Callable[[LogReader, int], object]] = {
    "read_from": lambda log, seq: log.read_from(seq, count_max=1, bytes_max=1),
    "read_from cursor": lambda log, seq: log.read_from(log.cursor(seq), count_max=1, bytes_max=1),
    "read_back": lambda log, seq: log.read_back(seq, count_max=1, bytes_max=1),
    "get": lambda log, seq: log.get(seq),
    "subscribe": lambda log, seq: log.subscribe(seq).read(0),
    "subscribe, iterate": lambda log, seq: list(log.subscribe(seq, timeout_s=0)),
}


def keeping(*, segment_bytes: int = 1, **bounds: int) -> LogOptions:
    return SEGMENT_EACH._replace(segment_bytes=segment_bytes, retention=Retention(**bounds))


class RetentionPromises:
    """Whole oldest segments go; what is gone is told; what comes goes on."""

    def test_all_is_kept_unless_told_otherwise(self, make_log: MakeLog) -> None:
        clock = Clock()
        log = make_log(SEGMENT_EACH, clock)
        for _ in range(10):
            fill(log, 10)
            clock.now_ms += 10**9
        assert seqs_of(read_all(log)) == list(range(100))

    @pytest.mark.parametrize("count_min", [1, 5, 20])
    def test_count_is_kept_and_not_much_more(self, make_log: MakeLog, count_min: int) -> None:
        log = make_log(keeping(count_min=count_min))
        for count in range(1, 60):
            fill(log, 1)
            assert min(count, count_min) <= kept_count(log) <= count_min + SLACK
            assert seqs_of(read_all(log)) == list(range(log.first_seq, count))

    @pytest.mark.parametrize("bytes_min", [1, 5_000, 20_000])
    def test_bytes_are_kept_and_not_many_more(self, make_log: MakeLog, bytes_min: int) -> None:
        log = make_log(keeping(bytes_min=bytes_min))
        for count in range(1, 60):
            log.append(bytes(1000), 1).wait(WAIT_S)
            least = bytes_min // (1000 + 200)  # a segment of one frame, with all that an engine may put around it
            assert min(count, least) <= kept_count(log) <= bytes_min // 1000 + 1 + SLACK

    def test_what_is_younger_than_the_age_is_kept_and_the_older_goes(self, make_log: MakeLog) -> None:
        clock = Clock()
        log = make_log(keeping(age_ms=1000), clock)
        fill(log, 10)
        clock.now_ms += 1000
        fill(log, 10)
        assert log.first_seq == 0, "as old as the bound is not older"
        clock.now_ms += 1
        fill(log, SLACK)
        assert log.first_seq == 10
        clock.now_ms += 10**9
        fill(log, SLACK)
        assert log.first_seq >= 20

    def test_frames_stay_when_the_clock_steps_back(self, make_log: MakeLog) -> None:
        clock = Clock()
        log = make_log(keeping(age_ms=1000), clock)
        fill(log, 5)
        clock.now_ms -= 10**9
        fill(log, 5)
        assert kept_count(log) == 10

    @pytest.mark.parametrize("bounds", [{"count_min": 4}, {"bytes_min": 400}, {"age_ms": 9}], ids=str)
    def test_whole_segments_go_and_no_part_of_one(self, make_log: MakeLog, bounds: dict[str, int]) -> None:
        clock = Clock()
        log = make_log(keeping(**bounds), clock)
        for group in range(30):
            log.append_batch([(1, b"%d" % group)] * 3).wait(WAIT_S)
            clock.now_ms += 3
            assert log.first_seq % 3 == 0
            assert log.durable_end % 3 == 0
        assert log.first_seq > 0

    def test_segment_with_one_frame_that_is_held_stays_whole(self, make_log: MakeLog) -> None:
        log = make_log(keeping(count_min=1))
        log.append_many([(1, b"x")] * 100).wait(WAIT_S)
        assert kept_count(log) == 100, "the newest segment never goes"
        fill(log, SLACK)
        assert log.first_seq >= 100

    def test_nothing_goes_before_a_segment_is_full(self, make_log: MakeLog) -> None:
        log = make_log(keeping(segment_bytes=2**20, count_min=0, bytes_min=0, age_ms=0), clock := Clock())
        fill(log, 50)
        clock.now_ms += 10**9
        fill(log, 50)
        assert log.first_seq == 0

    def test_log_that_keeps_nothing_for_long_still_counts(self, make_log: MakeLog) -> None:
        clock = Clock()
        log = make_log(keeping(count_min=0, bytes_min=0, age_ms=0), clock)
        for seq in range(20):
            assert log.next_seq == seq
            assert log.append(b"x", 1).wait(WAIT_S) == seq
            assert log.durable_end == log.next_seq == seq + 1
            assert seq + 1 - SLACK <= log.first_seq <= seq + 1
            clock.now_ms += 1
        assert log.append_if_next_seq(20, [(1, b"y")]).wait(WAIT_S) == 20

    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_what_is_gone_is_told_with_the_floor(
        self, make_log: MakeLog, read: Callable[[LogReader, int], object]
    ) -> None:
        log = make_log(keeping(count_min=5))
        fill(log, 30)
        floor = log.first_seq
        assert floor >= 25 - SLACK
        for seq in (0, 1, floor - 1):
            with pytest.raises(Truncated) as refused:
                read(log, seq)
            assert (refused.value.seq, refused.value.floor) == (seq, floor)
        read(log, floor)

    def test_pages_backwards_end_at_the_floor(self, make_log: MakeLog) -> None:
        log = make_log(keeping(count_min=5))
        fill(log, 30)
        floor = log.first_seq
        assert log.read_back(floor, count_max=ALL, bytes_max=ALL) == []
        assert seqs_of(log.read_back(30, count_max=ALL, bytes_max=ALL)) == list(range(29, floor - 1, -1))

    def test_seqs_times_and_chain_go_on(self, make_log: MakeLog) -> None:
        clock = Clock()
        log = make_log(keeping(count_min=2), clock)
        seen = fill(log, 3)
        for _ in range(20):
            clock.now_ms -= 1000
            seen += fill(log, 3)
        assert log.first_seq > 50
        assert seqs_of(seen) == list(range(63))
        assert grows(seen)
        for before, after in pairwise(seen):
            _, crc = encode_frame(before.seq, before.time, before.kind, before.flags, before.chain, before.payload)
            assert after.chain == crc

    def test_frames_that_were_read_outlive_their_segment(self, make_log: MakeLog) -> None:
        log = make_log(keeping(count_min=1))
        seen = fill(log, 1)
        fill(log, 20)
        assert [(frame.seq, frame.payload) for frame in seen] == [(0, b"payload 0")]

    def test_seek_time_looks_at_what_is_kept(self, make_log: MakeLog) -> None:
        clock = Clock(1000)
        log = make_log(keeping(count_min=5), clock)
        for _ in range(30):
            fill(log, 1)
            clock.now_ms += 10
        frames = read_all(log)
        assert log.seek_time(0) == log.seek_time(1000) == log.first_seq
        assert [log.seek_time(frame.time_ms) for frame in frames] == seqs_of(frames)
        assert log.seek_time(clock.now_ms) == 30

    def test_subscriber_who_is_overtaken_is_told_the_floor(self, make_log: MakeLog) -> None:
        log = make_log(keeping(count_min=5))
        fill(log, 3)
        subscription = log.subscribe(0)
        assert seqs_of(subscription.read(0, count_max=2)) == [0, 1]
        fill(log, 30)
        with pytest.raises(Truncated) as overtaken:
            subscription.read(0)
        assert (overtaken.value.seq, overtaken.value.floor) == (2, log.first_seq)
        assert seqs_of(log.subscribe(overtaken.value.floor, timeout_s=0).read(0))[-1] == 32

    def test_readers_beside_retention_see_frames_in_a_row_or_are_told_the_floor(self, make_log: MakeLog) -> None:
        log = make_log(keeping(segment_bytes=300, count_min=10))

        def follow() -> int:
            seq = 0
            while seq < 400:
                assert log.wait_past(seq, WAIT_S)
                try:
                    page = log.read_from(seq, count_max=7, bytes_max=ALL)
                except Truncated as gone:
                    assert gone.seq == seq < gone.floor  # noqa: PT017  (it may be, it need not)
                    seq = gone.floor
                    continue
                assert [(frame.seq, frame.payload) for frame in page] == [
                    (number, b"payload %d" % number) for number in range(seq, seq + len(page))
                ]
                assert page
                seq += len(page)
            return seq

        def look_back() -> bool:
            while (end := log.durable_end) < 400:
                try:
                    page = log.read_back(end, count_max=ALL, bytes_max=ALL)
                except Truncated:
                    continue  # the writer was faster
                assert seqs_of(page) == list(range(end - 1, end - 1 - len(page), -1))
            return True

        with ThreadPoolExecutor(6) as threads:
            followers = [threads.submit(follow) for _ in range(4)]
            looking = threads.submit(look_back)
            for seq in range(400):
                log.append(b"payload %d" % seq, 1).wait(WAIT_S)
            assert [follower.result(WAIT_S) for follower in followers] == [400] * 4
            assert looking.result(WAIT_S)
