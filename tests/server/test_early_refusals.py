"""A write that nobody could take is refused before a byte of its body is read."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from episteme import Node
from episteme.config import NodeConfig, ServerConfig
from episteme.gate import IntakeOptions
from episteme.server.app import Application
from tests.support.envelopes import claim
from tests.support.events import make_assertion, signed
from tests.support.faulty_files import FaultyFiles
from tests.support.nodes import node_on

PATHS = ["/v1/assertions", "/v1/events", "/v1/ingest"]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the server logs of a failure is not the test's output."""
    caplog.set_level(logging.CRITICAL, "episteme.server")


def post_unread(node: Node, path: str, *, length: int = 100, config: ServerConfig = ServerConfig()) -> dict[str, Any]:  # noqa: B008
    """The problem that a request is told of whose body must not be asked for."""
    application = Application(node, config)
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-length", str(length).encode())],
    }
    try:
        asyncio.run(application(scope, receive, send))
    finally:
        application.close()
    problem: dict[str, Any] = msgspec.json.decode(b"".join(one.get("body", b"") for one in sent))
    assert sent[0]["status"] == problem["status"]
    return problem


@pytest.mark.parametrize("path", PATHS)
def test_fold_too_far_behind(tmp_path: Path, path: str) -> None:
    with Node.open(tmp_path, config=NodeConfig(intake=IntakeOptions(lag_count_max=-1))) as node:
        problem = post_unread(node, path)
    assert (problem["status"], problem["code"]) == (503, "overloaded")


@pytest.mark.parametrize("path", PATHS)
def test_too_many_signatures_wait(tmp_path: Path, path: str) -> None:
    with Node.open(tmp_path, config=NodeConfig(intake=IntakeOptions(queue_count_max=0))) as node:
        assert post_unread(node, path)["code"] == "overloaded"


def test_too_many_ingests_run(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node:
        assert post_unread(node, "/v1/ingest", config=ServerConfig(ingest_bodies_max=0))["code"] == "overloaded"


@pytest.mark.parametrize("path", PATHS)
def test_closing(tmp_path: Path, path: str) -> None:
    node = Node.open(tmp_path)
    node.close()
    problem = post_unread(node, path)
    assert (problem["status"], problem["code"]) == (503, "not-ready")


@pytest.mark.parametrize("path", PATHS)
def test_failed_log(tmp_path: Path, path: str) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node:
        files.fail("sync")
        with pytest.raises(Exception, match="log"):
            node.submit(signed(make_assertion()))
        problem = post_unread(node, path)
    assert (problem["status"], problem["code"]) == (503, "log-failed")


@pytest.mark.parametrize("path", PATHS)
def test_length_over_the_bound(tmp_path: Path, path: str) -> None:
    with Node.open(tmp_path) as node:
        problem = post_unread(node, path, length=16 * 1024 * 1024 + 1)
    assert (problem["status"], problem["code"]) == (413, "too-large")


def test_no_byte_of_an_ingest_s_answer_goes_out_before_its_body_is_read_whole(tmp_path: Path) -> None:
    lines = [claim("read whole first", timestamp=number) + b"\n" for number in range(20)]
    done: list[str] = []

    async def receive() -> Any:
        done.append("read")
        return {"type": "http.request", "body": lines.pop(0), "more_body": bool(lines)}

    async def send(_message: Any) -> None:
        done.append("sent")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/ingest",
        "raw_path": b"/v1/ingest",
        "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")],
    }
    with Node.open(tmp_path) as node:
        application = Application(node, ServerConfig())
        try:
            asyncio.run(application(scope, receive, send))
        finally:
            application.close()
        assert node.end_seq == 19
    assert done == ["read"] * 20 + ["sent"] * 2
