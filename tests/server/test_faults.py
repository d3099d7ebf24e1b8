"""A disk that fails under a node: nothing is acknowledged, nothing shows that is not durable, and health says so."""

import errno
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cortex import FoldStopped
from episteme import Receipt
from episteme.config import ServerConfig
from episteme.errors import EpistemeError, LogFailed, NotFound, Overloaded
from episteme.gate import IntakeOptions
from episteme.node import Node
from model import decode_envelope
from tests.server.test_refusals import check_problem
from tests.support.asgi import call_node
from tests.support.envelopes import claim
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.nodes import node_on

FAULTS = [
    ("sync", errno.EIO, LogFailed, 503, "log-failed"),
    ("write", errno.EIO, LogFailed, 503, "log-failed"),
    ("write", errno.EROFS, LogFailed, 503, "log-failed"),
    ("sync", errno.ENOSPC, LogFailed, 503, "log-failed"),
]
BODY = claim("on a failing disk")
EVENT = decode_envelope(BODY)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the server logs of a failure is not the test's output."""
    caplog.set_level(logging.CRITICAL, "episteme.server")


def check_unwritten(node: Node) -> None:
    """See that the event is nowhere."""
    with pytest.raises(NotFound):
        node.get(EVENT.hash_hex)
    answer = node.query("on a failing disk", "causes_muscle_loss")
    assert (answer.winner, answer.seq) == (None, -1)
    assert node.end_seq == node.applied_seq == -1


@pytest.mark.parametrize(("operation", "error", "exception", "status", "code"), FAULTS)
def test_failed_disk_refuses_the_write_in_process_and_shows_nothing_of_it(
    tmp_path: Path, operation: str, error: int, exception: type[EpistemeError], status: int, code: str
) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node:
        files.fail(operation, error=error)
        with pytest.raises(exception) as caught:
            node.submit(EVENT)
        assert caught.value.code == code
        assert caught.value.hint
        check_unwritten(node)
        with pytest.raises(exception):
            node.submit(EVENT)
        with pytest.raises(exception):
            list(node.ingest([BODY]))
        report = node.status()
        assert not report.ready
        assert report.log.failure
        assert any("log" in reason for reason in report.reasons)
    with node_on(tmp_path, files=files) as reopened:
        assert reopened.submit(EVENT, wait_s=WAIT_S).status == "applied"
        assert reopened.end_seq == 0


@pytest.mark.parametrize(("operation", "error", "exception", "status", "code"), FAULTS)
def test_failed_disk_is_a_problem_document_and_shows_in_health(
    tmp_path: Path, operation: str, error: int, exception: type[EpistemeError], status: int, code: str
) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node:
        files.fail(operation, error=error)
        for path in ("/v1/assertions", "/v1/assertions?wait=1s", "/v1/ingest"):
            reply = call_node(node, "POST", path, BODY)
            check_problem(reply, status, code, None)
        check_unwritten(node)
        ready = call_node(node, "GET", "/readyz")
        assert (ready.status, ready.json()["status"]) == (503, "not-ready")
        assert ready.json()["reasons"]
        assert call_node(node, "GET", "/livez").status == 200
        assert call_node(node, "GET", "/v1/status").json()["log"]["failure"]
        assert call_node(node, "GET", "/v1/query?subject=s&predicate=p").status == 200


def test_problem_of_a_failed_disk_shows_no_path_of_the_server(tmp_path: Path) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node:
        files.fail("sync")
        reply = call_node(node, "POST", "/v1/assertions", BODY)
        assert str(tmp_path) not in reply.body.decode()
        assert str(tmp_path) not in call_node(node, "GET", "/readyz").body.decode()


def test_nothing_is_told_or_shown_before_it_is_durable(tmp_path: Path) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node, ThreadPoolExecutor(2) as threads:
        files.hold("sync")
        first = threads.submit(node.submit, EVENT)
        files.wait_held()
        duplicate = threads.submit(node.submit, EVENT)
        check_unwritten(node)
        assert not first.done()
        assert not duplicate.done()
        files.release("sync")
        assert first.result(WAIT_S).status == "accepted"
        assert duplicate.result(WAIT_S) == Receipt(EVENT.hash_hex, 0, "duplicate")


def test_duplicate_of_a_write_whose_fsync_fails_is_refused_with_it(tmp_path: Path) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node, ThreadPoolExecutor(2) as threads:
        files.fail("sync")
        files.hold("sync")
        first = threads.submit(node.submit, EVENT)
        files.wait_held()
        second = threads.submit(node.submit, EVENT)
        files.release("sync")
        for refused in (first, second):
            with pytest.raises(LogFailed):
                refused.result(WAIT_S)
        check_unwritten(node)


def test_log_with_too_much_waiting_for_the_disk_is_overloaded_and_the_rest_can_be_sent_again(tmp_path: Path) -> None:
    files = FaultyFiles()
    chunks = 2 * IntakeOptions().chunk_count  # one goes in whatever its size: there is room for it
    batch = [decode_envelope(claim("waits for the disk", timestamp=number)) for number in range(chunks)]
    with node_on(tmp_path, files=files, pending_bytes_max=600) as node, ThreadPoolExecutor(1) as thread:
        files.hold("sync")
        held = thread.submit(node.submit, EVENT)
        files.wait_held()
        with pytest.raises(Overloaded) as caught:
            node.submit_many(batch, "test")
        assert caught.value.retry_after_s
        files.release("sync")
        assert held.result(WAIT_S).seq == 0
        for event in batch:
            node.submit(event)
        assert node.end_seq == len(batch)


@pytest.mark.parametrize("path", ["/v1/assertions", "/v1/ingest"])
def test_body_that_does_not_come_is_given_up_and_leaves_its_place(tmp_path: Path, path: str) -> None:
    config = ServerConfig(body_s_max=0.01, ingest_bodies_max=1)
    with Node.open(tmp_path) as node:
        for _ in range(2):
            reply = call_node(node, "POST", path, BODY[:10], config=config, stalls=True)
            check_problem(reply, 408, "request-timeout", None)
        assert node.end_seq == -1
        assert call_node(node, "POST", path, BODY, config=config).status in (200, 202)


def test_write_that_is_durable_is_acknowledged_though_the_fold_has_stopped(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node:
        runner = node.state._live.runner
        assert runner is not None
        runner.stop()
        node.state.watermark.end(FoldStopped("a fold failed"))
        reply = call_node(node, "POST", "/v1/assertions?wait=5s", BODY)
        assert (reply.status, node.end_seq) == (202, 0)
        other = decode_envelope(claim("durable all the same"))
        assert node.submit(other, wait_s=5) == Receipt(other.hash_hex, 1, "accepted")
