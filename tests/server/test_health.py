"""/readyz, and what it may not keep quiet about."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cortex import FoldStopped
from episteme.config import NodeConfig
from episteme.node import Node
from tests.support.asgi import Edged, edged
from tests.support.clocks import Clock
from tests.support.envelopes import claim
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.nodes import node_on


@contextmanager
def fold_held(node: Node) -> Iterator[None]:
    """Nothing is folded meanwhile; nobody is told why."""
    runner = node.state._live.runner
    assert runner is not None
    with runner._turn:
        yield


def ready(served: Edged) -> tuple[int, str, list[str]]:
    reply = served("GET", "/readyz")
    found = reply.json()
    assert served("GET", "/livez").status == 200
    told = served("GET", "/v1/status").json()
    assert told["ready"] is (found["status"] == "ready") or found["reasons"] == [
        "draining: the server is about to stop"
    ]
    gauge = [
        line for line in served("GET", "/metrics").body.decode().splitlines() if line.startswith("episteme_ready ")
    ]
    assert gauge == [f"episteme_ready {1.0 if told['ready'] else 0.0}"]
    return reply.status, found["status"], found["reasons"]


READY = (200, "ready", [])


def test_new_database_is_ready(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        assert ready(served) == READY


def test_pitfall_38_fold_that_is_an_hour_behind_shows(tmp_path: Path) -> None:
    clock = Clock()
    with node_on(tmp_path, clock_ms=clock) as node, edged(node) as served:
        assert served("POST", "/v1/assertions?wait=5s", claim("folded")).status == 201
        with fold_held(node):
            assert served("POST", "/v1/assertions", claim("not folded")).status == 202
            clock.now_ms += 30_000
            assert ready(served) == READY  # as far as a busy fold may be
            clock.now_ms += 3_600_000 - 30_000
            assert ready(served) == (503, "not-ready", ["the fold is 3600 s behind the log; 30 s are allowed"])
            lag = [one for one in served("GET", "/metrics").body.decode().splitlines() if "fold_lag_seconds 3" in one]
            assert lag == ["episteme_fold_lag_seconds 3600.0"]
            clock.now_ms -= 7_200_000  # a clock that was stepped back makes nothing worse
            assert ready(served) == READY
        assert node.state.watermark.wait(1, WAIT_S)
        clock.now_ms += 7_200_000
        assert ready(served) == READY


def test_pitfall_38_fold_that_is_many_events_behind_shows(tmp_path: Path) -> None:
    config = NodeConfig(ready_lag_count_max=2)
    with node_on(tmp_path, config=config) as node, edged(node) as served:
        with fold_held(node):
            for number in range(3):
                assert ready(served) == READY
                served("POST", "/v1/assertions", claim(f"not folded {number}"))
            assert ready(served) == (503, "not-ready", ["the fold is 3 events behind the log; 2 are allowed"])
        assert node.state.watermark.wait(2, WAIT_S)
        assert ready(served) == READY


@pytest.mark.parametrize("operation", ["sync", "write"])
def test_pitfall_38_log_that_takes_no_more_shows(tmp_path: Path, operation: str) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node, edged(node) as served:
        files.fail(operation)
        assert served("POST", "/v1/assertions", claim("lost")).status == 503
        status, _, (reason,) = ready(served)
        assert status == 503
        assert "the log could not be written" in reason
        assert str(tmp_path) not in reason
        assert "episteme_log_failed 1.0" in served("GET", "/metrics").body.decode()


def test_pitfall_38_fold_that_has_stopped_shows(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        node.state.watermark.end(FoldStopped("the fold stopped at seq 7: a secret path /srv/data"))
        status, _, reasons = ready(served)
        assert (status, reasons) == (503, ["the fold has stopped: reads are as of where it stopped"])


def test_catching_up_shows_with_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        served("POST", "/v1/assertions?wait=5s", claim("folded"))
        monkeypatch.setattr(node, "_catch_up_seq", 40)
        assert ready(served) == (503, "not-ready", ["catching up: 1 of 40 events are folded"])


def test_draining_shows_to_whoever_still_has_a_connection(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        served.application.drain()
        assert ready(served) == (503, "not-ready", ["draining: the server is about to stop"])


def test_several_reasons_are_told_together(tmp_path: Path) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node, edged(node) as served:
        files.fail("sync")
        served("POST", "/v1/assertions", claim("lost"))
        node.state.watermark.end(FoldStopped("a fold failed"))
        assert len(ready(served)[2]) == 2
