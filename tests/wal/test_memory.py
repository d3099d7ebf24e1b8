"""What the log in memory promises beyond the protocol: the exact numbers that other engines are compared with."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL, LOG_ID, TIME_MS
from tests.wal.conformance_tools import Clock, fill, read_all, seqs_of
from wal.errors import LogClosed
from wal.format import FLAG_MORE, LOGICAL_BITS, Frame, encode_frame
from wal.memory import MemoryLog
from wal.options import LogOptions, Retention


def open_memory(options: LogOptions = LogOptions(), clock: Clock | None = None) -> MemoryLog:  # noqa: B008
    return MemoryLog(clock_ms=clock or Clock(), log_id=LOG_ID, options=options)


def test_log_says_what_it_is() -> None:
    with open_memory() as log:
        assert (log.log_id, log.epoch, log.owner, log.last_time) == (LOG_ID, 1, None, -1)
        fill(log, 3)
        assert log.last_time == read_all(log)[-1].time


def test_log_id_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="15 bytes"):
        MemoryLog(clock_ms=Clock(), log_id=bytes(15))


def test_frames_are_those_of_the_format() -> None:
    with open_memory() as log:
        log.append_batch([(7, b"a"), (8, b"b")])
        time = TIME_MS << LOGICAL_BITS
        _, crc = encode_frame(0, time, 7, FLAG_MORE, 0, b"a")
        assert read_all(log) == [Frame(0, time, 7, FLAG_MORE, b"a"), Frame(1, time + 1, 8, 0, b"b", crc)]


def test_time_is_the_larger_of_the_next_and_the_clock() -> None:
    clock = Clock(0)
    with open_memory(clock=clock) as log:
        for clock.now_ms in (0, 0, 2, 1, 2, 3):
            log.append(b"", 1)
        counters = [(frame.time_ms, frame.time & 0xFFFF) for frame in read_all(log)]
    assert counters == [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2), (3, 0)]


def test_every_ticket_is_done() -> None:
    with open_memory() as log:
        tickets = [log.append(b"", 1), log.append_many([(1, b"")] * 2), log.append_batch([]), log.barrier()]
        assert all(ticket.done for ticket in tickets)
        assert [ticket.wait(0) for ticket in tickets] == [0, 1, 3, 3]


def test_leaving_the_context_closes_the_log() -> None:
    with open_memory() as log:
        log.append(b"", 1)
    with pytest.raises(LogClosed):
        log.append(b"", 1)


def test_callback_may_look_at_the_log_from_another_thread() -> None:
    ends: list[int] = []
    with open_memory() as log, ThreadPoolExecutor(1) as thread:
        log.watch(lambda: ends.append(thread.submit(lambda: log.first_seq + log.durable_end).result(WAIT_S)))
        fill(log, 3)
        log.append_many([])
        log.close()
    assert ends == [1, 2, 3, 3]


@pytest.mark.parametrize(("segment_bytes", "per_segment"), [(1, 1), (64 + 3 * 42, 3), (64 + 4 * 42 - 1, 3)])
def test_segment_takes_what_fits_under_its_bound(segment_bytes: int, per_segment: int) -> None:
    with open_memory(LogOptions(segment_bytes=segment_bytes, retention=Retention(count_min=0))) as log:
        for count in range(1, 30):
            log.append(b"ten bytes.", 1)
            assert log.first_seq == (count - 1) // per_segment * per_segment


@pytest.mark.parametrize(
    ("retention", "floor"),
    [
        (Retention(count_min=6), 21),  # behind it are 6 that are sealed, and the newest
        (Retention(count_min=7), 18),
        (Retention(bytes_min=2 * 190 + 64), 21),  # a sealed segment has 190 bytes, the newest 64 when it starts
        (Retention(bytes_min=2 * 190 + 65), 18),
        (Retention(age_ms=20), 21),  # the segment of 21 is 20 ms old when the newest starts
        (Retention(age_ms=19), 24),
        (Retention(count_min=7, bytes_min=2 * 190 + 64), 21),  # what one bound lets go is gone
        (Retention(count_min=2**40, bytes_min=2**40, age_ms=2**40), 0),
        (Retention(), 0),
    ],
    ids=str,
)
def test_floor_is_what_retention_says(retention: Retention, floor: int) -> None:
    clock = Clock()
    with open_memory(LogOptions(segment_bytes=190, retention=retention), clock) as log:
        for _ in range(10):
            clock.now_ms += 10
            log.append_batch([(1, b"ten bytes.")] * 3)
        assert log.first_seq == floor
        assert seqs_of(log.read_from(floor, count_max=ALL, bytes_max=ALL)) == list(range(floor, 30))
