"""When a call is sent again: driven by hand, with a clock that moves only when it is told to."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.client.retrying import Lost, Patience, Pause, Send, exchange
from episteme.client.wire import Call, Incomplete, Request, Response, reads
from episteme.errors import EpistemeError, LogFailed, NotApplied, Overloaded, QuotaExceeded, Unreachable
from episteme.receipts import Receipt

GOOD = Response(202, {}, b'{"hash": "00", "seq": 1}')
LOST = Lost("nobody there", OSError("no"))
UNSENT = LOST._replace(sent=False)
PATIENCE = Patience(total_s=60, connect_s=5, silence_s=30, attempts_max=5, pause_s=0.1, pause_s_max=5)


def refused(code: str, status: int, **headers: str) -> Response:
    body = msgspec.json.encode({"code": code, "detail": "told"})
    return Response(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


OVERLOADED = refused("overloaded", 503, retry_after="1")


def call_of(**more: Any) -> Call[Receipt]:
    return Call(request=Request("POST", "/v1/assertions"), read=reads(Receipt), **more)


class Run:
    """One exchange: what is to come of each sending, how long that takes, and what was done meanwhile."""

    def __init__(
        self,
        answers: Iterable[Response | Lost],
        *,
        patience: Patience = PATIENCE,
        took_s: float = 0.0,
        chance: float = 1.0,
        **call: Any,
    ) -> None:
        self.now_s = 0.0
        self.sent: list[Send] = []
        self.pauses: list[float] = []
        self.steps = exchange(call_of(**call), patience, lambda: self.now_s, lambda: chance)
        self._answers = iter(answers)
        self._took_s = took_s

    def result(self) -> Receipt:
        told: Response | Lost | None = None
        try:
            while True:
                step = self.steps.send(told)
                told = None
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.now_s += step.seconds
                else:
                    self.sent.append(step)
                    self.now_s += self._took_s
                    told = next(self._answers)
        except StopIteration as done:
            receipt: Receipt = done.value
            return receipt


def test_good_answer_is_read_and_nothing_is_sent_again() -> None:
    run = Run([GOOD])
    assert run.result() == Receipt("00", 1)
    assert (len(run.sent), run.pauses) == (1, [])


@pytest.mark.parametrize(
    "hiccup",
    [
        LOST,
        UNSENT,
        refused("request-timeout", 408),
        refused("overloaded", 503),
        refused("not-ready", 503),
        Response(429, {}, b"slow down"),
        Response(502, {}, b"<html>"),
        Response(503, {}, b""),
        Response(504, {}, b""),
    ],
)
def test_hiccup_is_passed_over(hiccup: Response | Lost) -> None:
    run = Run([hiccup, hiccup, GOOD])
    assert run.result() == Receipt("00", 1)
    assert run.pauses == [0.1, 0.2]


@pytest.mark.parametrize(
    "refusal",
    [
        refused("malformed", 400),
        refused("invalid-token", 401),
        refused("not-found", 404),
        refused("too-large", 413),
        refused("invalid-field", 422),
        refused("not-applied", 503, retry_after="1"),
        refused("log-failed", 503),
        refused("fold-stopped", 503),
        refused("internal", 500),
        refused("disk-full", 507),
        Response(500, {}, b""),
        Response(307, {"location": "http://elsewhere"}, b""),
    ],
)
def test_refusal_that_another_try_cannot_mend_is_told_at_once(refusal: Response) -> None:
    run = Run([refusal])
    with pytest.raises(EpistemeError):
        run.result()
    assert len(run.sent) == 1


def test_pauses_grow_to_their_bound_and_chance_spreads_them() -> None:
    patient = msgspec.structs.replace(PATIENCE, attempts_max=9)
    for chance in (0.0, 0.5, 1.0):
        run = Run([LOST] * 9, patience=patient, chance=chance)
        with pytest.raises(Unreachable):
            run.result()
        assert run.pauses == [chance * s for s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5)]


def test_who_is_never_there_is_given_up_after_so_many_attempts_with_the_cause() -> None:
    run = Run([UNSENT] * 5)
    with pytest.raises(Unreachable, match="nobody there") as caught:
        run.result()
    assert caught.value.__cause__ is UNSENT.cause
    assert len(run.sent) == 5


def test_retry_after_is_kept_and_the_call_comes_again_for_as_long_as_it_has_time() -> None:
    run = Run([OVERLOADED] * 40 + [GOOD], chance=0.0)
    assert run.result() == Receipt("00", 1)
    assert run.pauses == [1.0] * 40  # more often than attempts_max: the server says when
    late = Run([refused("overloaded", 503, retry_after="10")] * 2 + [GOOD], chance=1.0)
    late.result()
    assert late.pauses == [12.5, 12.5]  # never before it, and not all at once


def test_retry_after_beyond_the_deadline_is_told_at_once() -> None:
    run = Run([refused("quota-exceeded", 429, retry_after="1200", ratelimit_limit="5", ratelimit_remaining="2")])
    with pytest.raises(QuotaExceeded) as caught:
        run.result()
    assert (caught.value.retry_after_s, caught.value.limit, caught.value.remaining) == (1200, 5, 2)
    assert run.pauses == []
    soon = Run([refused("quota-exceeded", 429, retry_after="20"), GOOD])
    assert soon.result().seq == 1


def test_answer_that_ended_early_is_asked_for_again() -> None:
    def read(_: Response) -> Receipt:
        raise Incomplete("cut")

    call = Call(request=Request("POST", "/v1/ingest"), read=read)
    steps = exchange(call, PATIENCE, lambda: 0.0, lambda: 0.0)
    steps.send(None)
    assert isinstance(steps.send(GOOD), Pause)


def test_what_may_not_be_done_twice_is_sent_again_only_if_nobody_looked_at_it() -> None:
    for hiccup in (UNSENT, OVERLOADED, refused("not-ready", 503)):
        assert Run([hiccup, GOOD], repeatable=False).result().seq == 1
    for doubt in (LOST, refused("request-timeout", 408), Response(502, {}, b""), Response(503, {}, b"")):
        run = Run([doubt], repeatable=False)
        with pytest.raises(EpistemeError):
            run.result()
        assert len(run.sent) == 1


def test_each_attempt_has_what_is_left_of_the_time() -> None:
    run = Run([LOST] * 4, took_s=20)
    with pytest.raises(Unreachable):
        run.result()
    assert [round(step.within_s) for step in run.sent] == [60, 40, 20]
    assert [round(step.silence_s) for step in run.sent] == [30, 30, 20]
    waiting = Run([GOOD], wait_s=25.0)
    waiting.result()
    assert waiting.sent[0].silence_s == 55  # the server was asked to hold the answer back


def test_last_refusal_is_the_one_that_is_told() -> None:
    with pytest.raises(Overloaded):
        Run([LOST, refused("overloaded", 503, retry_after="100")]).result()
    with pytest.raises(LogFailed):
        Run([LOST, refused("log-failed", 503)]).result()
    with pytest.raises(NotApplied):
        Run([OVERLOADED, refused("not-applied", 503)]).result()


outcomes = st.sampled_from([LOST, UNSENT, OVERLOADED, refused("not-ready", 503), Response(502, {}, b"")])


@given(st.lists(outcomes, max_size=30), st.floats(0, 30), st.floats(0, 1), st.floats(1, 120))
def test_no_call_goes_on_beyond_its_deadline_or_pauses_for_nothing(
    hiccups: list[Response | Lost], took_s: float, chance: float, total_s: float
) -> None:
    patience = msgspec.structs.replace(PATIENCE, total_s=total_s)
    run = Run([*hiccups, *[GOOD] * 200], patience=patience, took_s=took_s, chance=chance)
    try:
        run.result()
    except EpistemeError:
        assert run.now_s <= total_s + took_s  # the attempt that was under way, which the client cuts off
    assert len(run.pauses) == len(run.sent) - 1
    for step in run.sent:
        assert 0 < step.within_s <= total_s
