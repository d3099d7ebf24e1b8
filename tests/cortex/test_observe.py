"""Whoever observes a state is told how many events each commit has folded."""

from pathlib import Path

from tests.support.choking import memory_log, say
from tests.support.states import caught_up, open_counting


def test_every_event_is_told_once_also_across_a_rebuild(tmp_path: Path) -> None:
    told: list[int] = []
    log = memory_log(["before"] * 5)
    with open_counting(tmp_path / "state", log) as state:
        caught_up(state, 5)
        settle(state)
        state.observe(told.append)
        say(log, *["word"] * 30)
        assert state.watermark.wait(34, 10.0)
        settle(state)
        assert sum(told) == 30
        assert all(count > 0 for count in told)
        state.rebuild()
        say(log, *["after"] * 3)
        assert state.watermark.wait(37, 10.0)
        settle(state)
        assert sum(told) == 33
        state.observe(None)
        say(log, "unseen")
        assert state.watermark.wait(38, 10.0)
        settle(state)
        assert sum(told) == 33


def test_observer_that_fails_does_not_stop_the_fold(tmp_path: Path) -> None:
    def fails(count: int) -> None:
        raise RuntimeError(f"{count} is too many")

    log = memory_log()
    with open_counting(tmp_path / "state", log) as state:
        state.observe(fails)
        caught_up(state, 0)
        say(log, "one", "two")
        assert state.watermark.wait(1, 10.0)
        say(log, "three")
        assert state.watermark.wait(2, 10.0)
        assert state.failure is None


def settle(state: object) -> None:
    """Return once the commit in hand, which is readable before anybody is told of it, was told."""
    with state._live.runner._turn:  # type: ignore[attr-defined]
        pass
