import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cortex import CortexError, FoldClosed, FoldStopped, Watermark
from tests.support.faulty_files import WAIT_S


class Told:
    """Callbacks that write down who was told what, in which order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, CortexError | None]] = []

    def __call__(self, name: str) -> "Teller":
        return Teller(name, self.calls)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class Teller:
    def __init__(self, name: str, calls: list[tuple[str, CortexError | None]]) -> None:
        self._name = name
        self._calls = calls

    def __call__(self, error: CortexError | None) -> None:
        self._calls.append((self._name, error))


def test_callback_on_an_applied_event_runs_at_once() -> None:
    watermark, told = Watermark(5), Told()
    watermark.on_applied(4, told("before"))
    assert told.calls == [("before", None)]
    watermark.on_applied(5, told("next"))
    assert told.names == ["before"]


def test_callback_runs_when_its_event_is_applied_and_once() -> None:
    watermark, told = Watermark(0), Told()
    watermark.on_applied(3, told("three"))
    watermark.advance(3)  # 0 to 2 are applied
    assert told.calls == []
    watermark.advance(4)
    assert told.calls == [("three", None)]
    watermark.advance(9)
    watermark.end(FoldClosed("over"))
    assert told.calls == [("three", None)]


def test_callbacks_run_in_the_order_of_their_events_then_of_their_coming() -> None:
    watermark, told = Watermark(0), Told()
    for name, seq in (("c", 7), ("a", 2), ("d", 7), ("b", 5), ("e", 7), ("late", 8)):
        watermark.on_applied(seq, told(name))
    watermark.advance(8)
    assert told.names == ["a", "b", "c", "d", "e"]


def test_end_tells_all_who_wait_and_all_who_come_later() -> None:
    watermark, told = Watermark(2), Told()
    error = FoldStopped("poison")
    for seq in (2, 3, 400):
        watermark.on_applied(seq, told(f"waits for {seq}"))
    watermark.end(error)
    watermark.on_applied(9, told("late"))
    assert {found for _, found in told.calls} == {error}
    assert len(told.calls) == 4
    watermark.on_applied(1, told("applied before the end"))
    assert told.calls[-1] == ("applied before the end", None)
    assert (watermark.seq, watermark.error) == (2, error)


def test_wait_returns_when_the_event_is_applied_by_another_thread() -> None:
    watermark = Watermark(0)
    with ThreadPoolExecutor(4) as threads:
        waits = [threads.submit(watermark.wait, seq, WAIT_S) for seq in (0, 9, 9, 4)]
        for seq in range(1, 11):
            watermark.advance(seq)
        assert [wait.result(WAIT_S) for wait in waits] == [True] * 4


def test_wait_gives_up_when_its_time_is_over() -> None:
    watermark = Watermark(3)
    assert watermark.wait(2, 0.0)
    assert not watermark.wait(3, 0.0)
    assert not watermark.wait(2**60, 0.001)
    watermark.advance(4)
    assert watermark.wait(3, 0.0)


def test_wait_raises_the_error_that_ends_the_watermark() -> None:
    watermark = Watermark(0)
    waiting = threading.Barrier(4)
    stopped = FoldStopped("poison")

    def wait(seq: int) -> bool:
        waiting.wait(WAIT_S)
        return watermark.wait(seq, WAIT_S)

    with ThreadPoolExecutor(3) as threads:
        waits = [threads.submit(wait, seq) for seq in range(3)]
        waiting.wait(WAIT_S)
        watermark.end(stopped)
        for one in waits:
            with pytest.raises(FoldStopped, match="poison"):
                one.result(WAIT_S)
    with pytest.raises(FoldStopped):
        watermark.wait(5, 0.0)


def test_raising_callback_stops_neither_the_others_nor_the_fold() -> None:
    def raise_error(_: CortexError | None) -> None:
        raise RuntimeError("a bug in the layer above")

    watermark, told = Watermark(0), Told()
    for seq in (0, 1):
        watermark.on_applied(seq, raise_error)
        watermark.on_applied(seq, told(f"{seq}"))
    watermark.on_applied(5, raise_error)
    watermark.on_applied(5, told("5"))
    watermark.advance(2)
    assert told.names == ["0", "1"]
    watermark.end(FoldClosed("over"))
    assert told.names == ["0", "1", "5"]


def test_waits_that_gave_up_leave_nothing_behind() -> None:
    """A reader may ask for a far seq as often as it likes."""
    watermark = Watermark(0)

    def events() -> int:
        gc.collect()
        return sum(type(thing) is threading.Event for thing in gc.get_objects())

    before = events()
    for _ in range(100):
        assert not watermark.wait(2**60, 0.0)
    assert events() < before + 50


def test_callback_may_ask_for_another_event() -> None:
    watermark, told = Watermark(0), Told()

    def ask_again(_: CortexError | None) -> None:
        watermark.on_applied(3, told("again"))

    watermark.on_applied(0, ask_again)
    watermark.advance(1)
    assert told.names == []
    watermark.advance(4)
    assert told.names == ["again"]


def test_going_back_is_a_broken_promise() -> None:
    watermark = Watermark(3)
    watermark.advance(3)
    with pytest.raises(AssertionError):
        watermark.advance(2)


def test_end_tells_those_who_asked_for_it_once_and_those_who_ask_later_at_once() -> None:
    watermark, told, error = Watermark(0), Told(), FoldStopped("poison")
    watermark.on_end(told("before"))
    watermark.advance(5)
    assert told.calls == []
    watermark.end(error)
    watermark.end(error)
    assert told.calls == [("before", error)]
    watermark.on_end(told("after"))
    assert told.calls == [("before", error), ("after", error)]


def test_watermark_knows_whether_an_event_is_awaited() -> None:
    watermark = Watermark(0)
    assert not watermark.is_awaited(10)
    cancel = watermark.on_applied(3, lambda _: None)
    watermark.on_applied(7, lambda _: None)
    assert [watermark.is_awaited(end) for end in (3, 4, 8)] == [False, True, True]
    cancel()
    assert [watermark.is_awaited(end) for end in (4, 7, 8)] == [False, False, True]
    watermark.advance(8)
    assert not watermark.is_awaited(10**9)


def test_whoever_waits_is_announced_to_the_last_who_asked_and_after_it_can_be_seen() -> None:
    watermark, seen = Watermark(2), list[tuple[str, bool]]()
    watermark.when_awaited(lambda: seen.append(("first", watermark.is_awaited(9))))
    watermark.when_awaited(lambda: seen.append(("last", watermark.is_awaited(9))))
    assert watermark.wait(1, 0.0)
    assert seen == []
    assert not watermark.wait(5, 0.0)
    assert seen == [("last", True)]


def test_interrupted_wait_leaves_nothing_behind() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    watermark = Watermark(0)
    done = threading.Event()
    before, threading.Event.wait = threading.Event.wait, lambda *_: interrupt()  # type: ignore[method-assign,assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            watermark.wait(5, 1.0)
    finally:
        threading.Event.wait = before  # type: ignore[method-assign]
    assert not done.is_set()
    assert watermark.waiting_count == 0


def test_error_that_many_waits_raise_does_not_gather_their_places() -> None:
    watermark, error = Watermark(0), FoldStopped("poison", seq=3, fold="one")
    watermark.end(error)
    for _ in range(3):
        with pytest.raises(FoldStopped) as caught:
            watermark.wait(5, 1.0)
        assert (caught.value.seq, caught.value.fold) == (3, "one")
    assert error.__traceback__ is None
