"""What a log promises to whoever appends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from queue import SimpleQueue

import pytest

from tests.support.faulty_files import WAIT_S
from tests.wal.conformance_tools import (
    APPENDS,
    SEGMENT_EACH,
    Append,
    Clock,
    MakeLog,
    fill,
    flags_of,
    grows,
    read_all,
    seqs_of,
)
from wal.commit import Ticket
from wal.errors import LogBusy, LogClosed, LogError, PayloadTooLarge, SeqConflict
from wal.format import FLAG_MORE, KIND_MAX, PAYLOAD_BYTES_MAX, encode_frame
from wal.options import Durability, Interval, LogOptions, Retention, WhenFull
from wal.protocol import Log

DURABILITIES: list[Durability] = ["durable", "os", Interval(1)]
NO_DURABILITIES = ["fsync", "", 5, Interval(0), Interval(-1)]
BAD_OPTIONS = {
    "segment_bytes": LogOptions(segment_bytes=0),
    "pending_bytes_max": LogOptions(pending_bytes_max=0),
    "reserve_bytes": LogOptions(reserve_bytes=-1),
    "durability": LogOptions(durability="fsync"),  # type: ignore[arg-type]
    "interval ms": LogOptions(durability=Interval(0)),
    "when_full": LogOptions(when_full="drop"),  # type: ignore[arg-type]
    "retention.count_min": LogOptions(retention=Retention(count_min=-1)),
    "retention.bytes_min": LogOptions(retention=Retention(bytes_min=-1)),
    "retention.age_ms": LogOptions(retention=Retention(age_ms=-1)),
}
USES: dict[str, Callable[[Log], Ticket]] = {
    "append": lambda log: log.append(b"x", 1),
    "append_many": lambda log: log.append_many([(1, b"x")]),
    "append_batch": lambda log: log.append_batch([(1, b"x")]),
    "append_if_next_seq": lambda log: log.append_if_next_seq(log.next_seq, [(1, b"x")]),
    "append nothing": lambda log: log.append_many([]),
    "barrier": lambda log: log.barrier(),
}

ENCODED = ("seq", "time", "kind", "flags", "chain", "payload")  # in the order of encode_frame

each_append = pytest.mark.parametrize("append", APPENDS.values(), ids=APPENDS)
each_durability = pytest.mark.parametrize("durability", DURABILITIES, ids=str)


class AppendPromises:
    """Order, tickets, batches, conditions, refusals, times."""

    def test_new_log_is_empty(self, make_log: MakeLog) -> None:
        log = make_log()
        assert (log.first_seq, log.durable_end, log.next_seq) == (0, 0, 0)
        assert (log.ended, log.failure) == (False, None)
        assert len(log.log_id) == 16
        assert read_all(log) == []

    def test_seqs_are_told_before_anything_is_waited_for(self, make_log: MakeLog) -> None:
        log = make_log()
        tickets = [log.append(b"a", 1), log.append_many([(1, b"b")] * 3), log.append_batch([(1, b"c")] * 2)]
        assert [(ticket.first_seq, ticket.last_seq) for ticket in tickets] == [(0, 0), (1, 3), (4, 5)]
        assert log.next_seq == 6
        assert [ticket.wait(WAIT_S) for ticket in tickets] == [0, 1, 4]

    def test_frames_are_visible_once_their_ticket_is_done(self, make_log: MakeLog) -> None:
        log = make_log()
        for _ in range(20):
            ticket = log.append_many([(1, b"x"), (2, b"y")])
            ticket.wait(WAIT_S)
            assert ticket.done
            assert log.durable_end == ticket.last_seq + 1 == log.next_seq

    def test_frames_become_visible_though_nobody_waits_for_a_ticket(self, make_log: MakeLog) -> None:
        log = make_log()
        log.append(b"x", 1)
        assert log.wait_past(0, WAIT_S)
        assert [frame.payload for frame in read_all(log)] == [b"x"]

    def test_ticket_calls_back_without_an_error_whether_done_or_not(self, make_log: MakeLog) -> None:
        log = make_log()
        told: SimpleQueue[LogError | None] = SimpleQueue()
        ticket = log.append(b"x", 1)
        ticket.on_done(told.put)
        assert told.get(timeout=WAIT_S) is None
        ticket.on_done(told.put)
        assert told.get(timeout=WAIT_S) is None

    def test_frames_come_in_the_order_of_their_seqs(self, make_log: MakeLog) -> None:
        log = make_log(LogOptions(segment_bytes=300))
        for index in range(20):
            log.append(b"%d" % index, 1)
            log.append_many([(2, b"%d" % index), (3, b"%d" % index)])
            log.append_batch([(4, b"%d" % index), (5, b"%d" % index)])
        log.barrier().wait(WAIT_S)
        frames = read_all(log)
        assert seqs_of(frames) == list(range(100))
        assert [(frame.kind, frame.payload) for frame in frames] == [
            (kind, b"%d" % index) for index in range(20) for kind in (1, 2, 3, 4, 5)
        ]

    @each_append
    def test_kinds_and_payloads_come_back_as_given(self, make_log: MakeLog, append: Append) -> None:
        log = make_log()
        items = [(0, b""), (KIND_MAX, bytes(range(256)) * 300), (7, "naïve ✓".encode())]
        append(log, items).wait(WAIT_S)
        assert [(frame.kind, frame.payload) for frame in read_all(log)] == items

    @pytest.mark.parametrize("name", ["append_batch", "append_if_next_seq"])
    def test_frames_of_a_batch_say_that_more_follow_but_for_the_last(self, make_log: MakeLog, name: str) -> None:
        log = make_log()
        for count in (1, 2, 4):
            APPENDS[name](log, [(1, b"x")] * count).wait(WAIT_S)
        assert flags_of(read_all(log)) == [0, FLAG_MORE, 0, FLAG_MORE, FLAG_MORE, FLAG_MORE, 0]

    def test_frames_that_are_no_batch_stand_alone(self, make_log: MakeLog) -> None:
        log = make_log()
        log.append_many([(1, b"x")] * 4)
        log.append(b"y", 1).wait(WAIT_S)
        assert flags_of(read_all(log)) == [0] * 5

    def test_each_frame_names_the_crc_of_the_one_before(self, make_log: MakeLog) -> None:
        log = make_log(LogOptions(segment_bytes=200))
        fill(log, 10)
        log.append_batch([(1, b"x")] * 5).wait(WAIT_S)
        frames = read_all(log)
        assert frames[0].chain == 0
        for before, after in pairwise(frames):
            assert after.chain == encode_frame(*(getattr(before, field) for field in ENCODED))[1]

    @each_append
    def test_append_of_nothing_is_a_barrier(self, make_log: MakeLog, append: Append) -> None:
        log = make_log()
        for count in (0, 3):
            fill(log, count)
            ticket = append(log, [])
            assert (ticket.first_seq, ticket.last_seq) == (count, count - 1)
            assert ticket.wait(WAIT_S) == count
            assert log.next_seq == log.durable_end == count

    def test_barrier_resolves_after_all_that_was_appended(self, make_log: MakeLog) -> None:
        log = make_log()
        for round_ in range(1, 11):
            tickets = [log.append(b"x", 1) for _ in range(10)]
            barrier = log.barrier()
            assert (barrier.first_seq, barrier.last_seq) == (10 * round_, 10 * round_ - 1), "its seqs are none"
            barrier.wait(WAIT_S)
            assert all(ticket.done for ticket in tickets)
            assert log.durable_end == 10 * round_

    def test_writers_find_each_payload_at_the_seq_they_were_told(self, make_log: MakeLog) -> None:
        log = make_log(LogOptions(segment_bytes=4000))

        def write(writer: int) -> dict[int, bytes]:
            payloads = [b"%d of %d" % (index, writer) for index in range(40)]
            return {log.append(payload, writer).wait(WAIT_S): payload for payload in payloads}

        with ThreadPoolExecutor(8) as threads:
            told = [item for written in threads.map(write, range(8)) for item in written.items()]
        frames = read_all(log)
        assert {frame.seq: frame.payload for frame in frames} == dict(told)
        assert seqs_of(frames) == list(range(8 * 40))
        assert grows(frames)

    def test_conditional_append_at_the_next_seq_is_taken(self, make_log: MakeLog) -> None:
        log = make_log()
        fill(log, 3)
        assert log.append_if_next_seq(3, [(1, b"x"), (2, b"y")]).wait(WAIT_S) == 3
        assert [frame.payload for frame in read_all(log)][3:] == [b"x", b"y"]

    @pytest.mark.parametrize("seq", [0, 2, 4, 2**40])
    def test_conditional_append_elsewhere_names_both_seqs_and_appends_nothing(
        self, make_log: MakeLog, seq: int
    ) -> None:
        log = make_log()
        before = fill(log, 3)
        with pytest.raises(SeqConflict) as refused:
            log.append_if_next_seq(seq, [(1, b"x")])
        assert (refused.value.expected, refused.value.next_seq) == (seq, 3)
        log.barrier().wait(WAIT_S)
        assert (log.next_seq, read_all(log)) == (3, before)

    def test_conditional_append_counts_what_is_not_durable_yet(self, make_log: MakeLog) -> None:
        log = make_log()
        log.append_many([(1, b"x")] * 3)
        with pytest.raises(SeqConflict):
            log.append_if_next_seq(0, [(1, b"y")])
        assert log.append_if_next_seq(3, [(1, b"y")]).wait(WAIT_S) == 3

    def test_one_of_many_conditional_appends_to_a_seq_wins(self, make_log: MakeLog) -> None:
        log = make_log()

        def try_each(writer: int) -> int:
            won = 0
            for seq in range(50):
                with suppress(SeqConflict):
                    won += log.append_if_next_seq(seq, [(writer, b"%d" % seq)]).wait(WAIT_S) == seq
            return won

        with ThreadPoolExecutor(8) as threads:
            won = sum(threads.map(try_each, range(8)))
        assert won == log.durable_end
        assert [frame.payload for frame in read_all(log)] == [b"%d" % seq for seq in range(won)]

    @each_append
    @pytest.mark.parametrize("kind", [-1, KIND_MAX + 1])
    def test_kind_out_of_range_is_refused_and_nothing_appended(
        self, make_log: MakeLog, append: Append, kind: int
    ) -> None:
        log = make_log()
        before = fill(log, 1)
        with pytest.raises(ValueError, match=str(kind)):
            append(log, [(1, b"x"), (kind, b"y")])
        assert (log.next_seq, read_all(log)) == (1, before)
        assert append(log, [(KIND_MAX, b"x")]).wait(WAIT_S) == 1

    @each_append
    def test_payload_over_the_bound_is_refused_and_nothing_appended(self, make_log: MakeLog, append: Append) -> None:
        log = make_log()
        before = fill(log, 1)
        with pytest.raises(PayloadTooLarge):
            append(log, [(1, b"x"), (1, bytes(PAYLOAD_BYTES_MAX + 1))])
        assert (log.next_seq, read_all(log)) == (1, before)

    def test_payload_of_the_bound_is_taken(self, make_log: MakeLog) -> None:
        log = make_log(LogOptions(segment_bytes=1000, pending_bytes_max=1000))
        payload = bytes(PAYLOAD_BYTES_MAX)
        assert log.append(payload, 1).wait(WAIT_S) == 0
        assert log.get(0).payload == payload

    @each_durability
    def test_durability_of_one_append_is_taken(self, make_log: MakeLog, durability: Durability) -> None:
        log = make_log()
        seq = log.append(b"a", 1, durability=durability).wait(WAIT_S)
        seq += log.append_many([(1, b"b")], durability=durability).wait(WAIT_S)
        seq += log.append_batch([(1, b"c")], durability=durability).wait(WAIT_S)
        seq += log.append_if_next_seq(3, [(1, b"d")], durability=durability).wait(WAIT_S)
        assert seq == 0 + 1 + 2 + 3
        log.barrier(durability=durability).wait(WAIT_S)
        log.barrier(durability="durable").wait(WAIT_S)
        assert seqs_of(read_all(log)) == [0, 1, 2, 3]

    @pytest.mark.parametrize("durability", NO_DURABILITIES, ids=str)
    def test_unknown_durability_is_refused_and_nothing_appended(self, make_log: MakeLog, durability: object) -> None:
        log = make_log()
        refused: Durability = durability  # type: ignore[assignment]
        with pytest.raises(ValueError, match=r"durability|interval"):
            log.append(b"x", 1, durability=refused)
        with pytest.raises(ValueError, match=r"durability|interval"):
            log.append_many([(1, b"x")], durability=refused)
        with pytest.raises(ValueError, match=r"durability|interval"):
            log.append_batch([(1, b"x")], durability=refused)
        with pytest.raises(ValueError, match=r"durability|interval"):
            log.append_if_next_seq(0, [(1, b"x")], durability=refused)
        with pytest.raises(ValueError, match=r"durability|interval"):
            log.barrier(durability=refused)
        assert log.append(b"x", 1).wait(WAIT_S) == 0

    @each_durability
    @pytest.mark.parametrize("when_full", ["raise", "block"])
    def test_every_durability_and_way_of_waiting_may_be_chosen(
        self, make_log: MakeLog, durability: Durability, when_full: WhenFull
    ) -> None:
        log = make_log(LogOptions(durability=durability, when_full=when_full))
        assert [log.append(b"x", 1).wait(WAIT_S) for _ in range(5)] == [0, 1, 2, 3, 4]
        log.barrier().wait(WAIT_S)
        assert log.wait_past(4, WAIT_S)
        log.append(b"y", 1)
        log.barrier(durability="durable").wait(WAIT_S)
        assert seqs_of(read_all(log)) == [0, 1, 2, 3, 4, 5]

    @pytest.mark.parametrize("name", BAD_OPTIONS)
    def test_options_out_of_their_bounds_are_refused_by_name(self, make_log: MakeLog, name: str) -> None:
        with pytest.raises(ValueError, match=name):
            make_log(BAD_OPTIONS[name])

    def test_blocking_log_takes_more_than_may_wait(self, make_log: MakeLog) -> None:
        log = make_log(LogOptions(pending_bytes_max=1, when_full="block"))
        tickets = [log.append(b"x" * 100, 1) for _ in range(50)]
        assert [ticket.wait(WAIT_S) for ticket in tickets] == list(range(50))
        assert seqs_of(read_all(log)) == list(range(50))

    def test_append_that_is_refused_as_too_many_leaves_no_gap(self, make_log: MakeLog) -> None:
        log = make_log(LogOptions(pending_bytes_max=1))
        payloads: dict[int, bytes] = {}
        for index in range(200):
            with suppress(LogBusy):
                payloads[log.append(b"%d" % index, 1).first_seq] = b"%d" % index
        log.barrier().wait(WAIT_S)
        assert {frame.seq: frame.payload for frame in read_all(log)} == payloads
        assert log.next_seq == len(payloads)

    def test_times_grow_and_follow_the_clock_whenever_it_is_ahead(self, make_log: MakeLog) -> None:
        clock = Clock(0)
        log = make_log(LogOptions(segment_bytes=200), clock)
        ahead_ms = 0
        for now_ms in [0, 0, 5, 5, 3, 6, 0, 0, 1000, 999, 1000, 1001]:
            clock.now_ms = now_ms
            ahead_ms = max(ahead_ms, now_ms)
            for ticket in (log.append(b"x", 1), log.append_many([(1, b"y"), (1, b"z")])):
                assert log.get(ticket.wait(WAIT_S)).time_ms == ahead_ms
        assert grows(read_all(log))

    def test_times_grow_when_more_frames_fall_into_a_millisecond_than_its_counter_holds(
        self, make_log: MakeLog
    ) -> None:
        log = make_log(clock_ms=Clock(1000))
        log.append_many([(1, b"")] * (2**16 + 10)).wait(WAIT_S)
        frames = read_all(log)
        assert grows(frames)
        assert (frames[0].time_ms, frames[-1].time_ms) == (1000, 1001)

    def test_large_group_has_a_segment_of_its_own(self, make_log: MakeLog) -> None:
        log = make_log(SEGMENT_EACH)
        log.append_batch([(1, b"x" * 1000)] * 100).wait(WAIT_S)
        fill(log, 3)
        assert seqs_of(read_all(log)) == list(range(103))

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_closed_log_takes_nothing(self, make_log: MakeLog, use: Callable[[Log], Ticket]) -> None:
        log = make_log()
        fill(log, 2)
        log.close()
        with pytest.raises(LogClosed):
            use(log)
        assert (log.next_seq, log.durable_end, log.first_seq) == (2, 2, 0), "what it was can still be asked"

    def test_close_commits_what_is_pending(self, make_log: MakeLog) -> None:
        log = make_log()
        tickets = [log.append(b"x" * 1000, 1) for _ in range(100)]
        log.close()
        assert all(ticket.done for ticket in tickets)
        assert [ticket.wait(0) for ticket in tickets] == list(range(100))
        assert log.durable_end == 100

    def test_second_close_does_nothing(self, make_log: MakeLog) -> None:
        log = make_log()
        log.close()
        log.close()
        assert log.ended
