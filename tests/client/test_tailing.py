"""The tail over connections that break: every line once and in order, driven by hand against a log in memory."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.client.retrying import Lost, Patience, Pause
from episteme.client.tailing import Ask, Give, LogPage, More, Open, Wanted, follow, read_through, tail_steps
from episteme.client.wire import Response
from episteme.errors import (
    EpistemeError,
    EventsGone,
    InvalidParameter,
    NotReady,
    TokenRequired,
    Unreachable,
    VerificationFailed,
)
from episteme.loglines import LogLine, encode_line
from episteme.server.problems import problem_of

PATIENCE = Patience(total_s=60, pause_s=0.1, pause_s_max=5)
LOST = Lost("the connection broke", OSError("broke"))
HEAD = Response(200, {"content-type": "text/event-stream"}, b"")


def line(seq: int) -> LogLine:
    return LogLine(seq=seq, time_ms=seq, frame_kind=9, payload=b"")


def event(seq: int) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (seq, encode_line(line(seq)))


def caught_up(seq: int, database: str = "db") -> bytes:
    return b'id: %d\nevent: caught-up\ndata: {"seq": %d, "database": "%b"}\n\n' % (seq, seq, database.encode())


def heartbeat(seq: int) -> bytes:
    return b": still here\nid: %d\n\n" % seq


def problem(error: EpistemeError) -> bytes:
    return b"event: problem\ndata: %b\n\n" % msgspec.json.encode(problem_of(error))


class Script:
    """What each connection is to bring: a refusal, or pieces of a stream, then its end or a break."""

    def __init__(self, connections: Iterator[Any], wanted: Wanted = Wanted(), **more: Any) -> None:  # noqa: B008
        self.now_s = 0.0
        self.asked: list[int] = []
        self.pauses: list[float] = []
        self._connections = connections
        self._pieces: Iterator[Any] = iter(())
        self.steps = follow(wanted, PATIENCE, lambda: self.now_s, lambda: 1.0, **more)

    def lines(self) -> Iterator[int]:
        told: Any = None
        while True:
            step = self.steps.send(told)
            told = None
            if isinstance(step, Give):
                yield from (one.seq for one in step.lines)
            elif isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now_s += step.seconds
            elif isinstance(step, More):
                told = next(self._pieces, b"")
            elif isinstance(step, Open):
                self.asked.append(int(step.request.params["after"]))
                told = next(self._connections, None)
                if told is None:
                    return
                if not isinstance(told, Response | Lost):
                    self._pieces, told = iter(told), HEAD


def refusal(error: EpistemeError, status: int, **headers: str) -> Response:
    return Response(
        status, {n.replace("_", "-"): t for n, t in headers.items()}, msgspec.json.encode(problem_of(error))
    )


def test_tail_goes_on_after_the_last_line_that_it_gave() -> None:
    script = Script(iter([[event(0) + event(1)], LOST, [event(2), LOST], [caught_up(2), event(3)]]))
    assert list(script.lines()) == [0, 1, 2, 3]
    assert script.asked == [-1, 1, 1, 2, 3]


def test_repeat_is_dropped_and_gap_is_an_error() -> None:
    script = Script(iter([[event(0), event(0), event(1), event(0), event(2)]]))
    assert list(script.lines()) == [0, 1, 2]
    script = Script(iter([[event(0), event(2)]]))
    with pytest.raises(VerificationFailed, match="after position 0 the server gave 2"):
        list(script.lines())
    for skipped in (heartbeat(5), caught_up(5)):
        with pytest.raises(VerificationFailed):
            list(Script(iter([[event(0), skipped]])).lines())


def test_filter_passes_over_positions_and_the_tail_goes_on_after_them() -> None:
    script = Script(iter([[event(3), heartbeat(90), event(95), LOST], [caught_up(200)], LOST]), Wanted(kind="vote"))
    assert list(script.lines()) == [3, 95]
    assert script.asked == [-1, 95, 200, 200]


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_every_line_comes_once_and_in_order_wherever_connections_break(seed: int, count: int) -> None:
    chance = random.Random(seed)

    def connections() -> Iterator[Any]:
        while script.asked[-1] < count - 1:
            after = script.asked[-1]
            data = b"retry: 1\n\n" + b"".join(event(seq) for seq in range(after + 1 - (after >= 0), count))
            data += caught_up(count - 1) + heartbeat(count - 1)
            kept = data[: chance.randrange(len(data))]
            size = chance.randrange(1, 200)
            yield [*(kept[at : at + size] for at in range(0, len(kept), size)), LOST]
            script.now_s += 1

    script = Script(connections())
    assert list(script.lines()) == list(range(count))


@pytest.mark.parametrize(
    "refused",
    [refusal(EventsGone("the log begins at 7"), 410), refusal(TokenRequired("no"), 401), Response(404, {}, b"")],
)
def test_refusal_that_no_new_connection_can_mend_is_told(refused: Response) -> None:
    script = Script(iter([[event(0)], refused]))
    with pytest.raises(EpistemeError):
        list(script.lines())
    assert len(script.asked) == 2


def test_events_that_are_gone_are_told_with_the_floor() -> None:
    with pytest.raises(EventsGone, match="begins at 7"):
        list(Script(iter([refusal(EventsGone("the log begins at 7"), 410)])).lines())


def test_problem_in_the_stream_is_told_or_waited_out() -> None:
    script = Script(iter([[event(0), problem(NotReady("closing"))], [event(1)]]))
    assert list(script.lines()) == [0, 1]
    with pytest.raises(EventsGone):
        list(Script(iter([[event(0), problem(EventsGone("evicted"))]])).lines())


def test_server_that_is_never_there_is_given_up_after_the_time_for_a_call() -> None:
    script = Script(iter([LOST] * 1000))
    with pytest.raises(Unreachable, match="the connection broke") as caught:
        list(script.lines())
    assert caught.value.__cause__ is LOST.cause
    assert 50 < script.now_s <= 60
    assert script.pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


def test_one_sign_of_life_begins_the_time_anew_and_the_server_sets_the_pace() -> None:
    script = Script(iter([*[LOST] * 14, [b": hello\n\n"], *[LOST] * 14, [b"retry: 2000\n\n"], LOST, LOST]))
    assert list(script.lines()) == []
    assert script.now_s > 100
    assert script.pauses[14] == 0.1
    assert script.pauses[-3:] == [2.0, 4.0, 5.0]


def test_stream_that_ends_at_once_is_not_asked_for_without_end() -> None:
    with pytest.raises(Unreachable, match="ended the stream"):
        list(Script(iter([[]] * 1000)).lines())


def test_overloaded_server_says_when_to_come_back() -> None:
    busy = refusal(NotReady("starting"), 503, retry_after="4")
    script = Script(iter([busy, [event(0)]]))
    assert list(script.lines()) == [0]
    assert script.pauses[0] == 5.0  # 4 s, and a quarter for chance


def test_log_of_another_database_is_refused() -> None:
    script = Script(iter([[event(0), caught_up(0, "one")], [caught_up(0, "other")]]))
    with pytest.raises(VerificationFailed, match=r"'other'.*'one'"):
        list(script.lines())


@pytest.mark.parametrize(
    "piece", [b"data: {\n\n", b"data: {}\n\n", b"id: x\n\n", b"event: caught-up\ndata: {}\n\n", b"event: problem\n\n"]
)
def test_stream_of_something_else_is_an_episteme_error(piece: bytes) -> None:
    with pytest.raises(EpistemeError):
        list(Script(iter([[piece]])).lines())


def test_silence_is_bounded_by_the_stall() -> None:
    script = Script(iter([]), stall_s=45)
    step = script.steps.send(None)
    assert isinstance(step, Open)
    assert step.silence_s == 45


# Without following


def read_pages(pages: list[LogPage], wanted: Wanted = Wanted()) -> tuple[list[int], list[int]]:  # noqa: B008
    """The positions given, and those asked after."""
    steps, told, given, asked = read_through(wanted), None, list[int](), list[int]()
    answers = iter(pages)
    try:
        while True:
            step = steps.send(told)
            told = None
            if isinstance(step, Give):
                given += [one.seq for one in step.lines]
            elif isinstance(step, Ask):
                asked.append(int(step.call.request.params["after"]))
                told = next(answers)
    except StopIteration:
        return given, asked


def page(*seqs: int, position: int, end: int) -> LogPage:
    return LogPage([line(seq) for seq in seqs], position, end)


def test_log_is_read_to_the_end_that_it_had_at_first() -> None:
    pages = [page(0, 1, position=1, end=3), page(2, 3, 4, position=4, end=4)]
    assert read_pages(pages) == ([0, 1, 2, 3], [-1, 1])
    assert read_pages([page(position=-1, end=-1)]) == ([], [-1])
    assert read_pages([page(position=3, end=3)], Wanted(after=3)) == ([], [3])


def test_filtered_log_is_read_over_empty_pages() -> None:
    pages = [page(position=9_999, end=20_000), page(15_000, position=20_000, end=20_001)]
    assert read_pages(pages, Wanted(kind="vote")) == ([15_000], [-1, 9_999])


def test_page_that_leaves_out_a_line_or_leads_nowhere_is_an_error() -> None:
    for wrong in (page(0, 2, position=2, end=2), page(0, position=5, end=5)):
        with pytest.raises(VerificationFailed):
            read_pages([wrong])
    with pytest.raises(EpistemeError, match="gives nothing after -1"):
        read_pages([page(position=-1, end=5)], Wanted(kind="vote"))


def test_what_cannot_be_asked_is_refused_before_anything_is_sent() -> None:
    nothing = {"subject": None, "predicate": None, "kind": None, "agent": None}
    for after, named in ((-2, {}), (0, {"kind": "claim"}), (0, {"agent": "x"}), (0, {"subject": ""})):
        with pytest.raises(InvalidParameter):
            tail_steps(after, {**nothing, **named}, PATIENCE, lambda: 0.0, lambda: 0.0, stall_s=None)
