"""Paths and methods: every GET has its HEAD, a wrong method is told all right ones, a path is right or it is not."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.responses import Response

from episteme import Node
from episteme.config import ServerConfig
from episteme.errors import PROBLEMS
from episteme.server.app import Application
from episteme.server.endpoints import Endpoint
from episteme.server.router import ENDPOINT, Router
from tests.server.test_reads import get, write
from tests.server.test_refusals import check_problem
from tests.support.envelopes import claim
from tests.support.events import HASH_1
from tests.support.http import call
from tests.support.servers import Server


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/assertions", "GET, HEAD, OPTIONS, POST"),
        ("/v1/ingest", "OPTIONS, POST"),
        ("/v1/query", "GET, HEAD, OPTIONS"),
        (f"/v1/events/{HASH_1}", "GET, HEAD, OPTIONS"),
        ("/livez", "GET, HEAD, OPTIONS"),
    ],
)
def test_methods_of_a_path_are_all_named(server: Server, path: str, allowed: str) -> None:
    told = call(server.url, "OPTIONS", path)
    assert (told.status, told.body, told.headers["allow"]) == (204, b"", allowed)
    assert "episteme-seq" in told.headers
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        refused = call(server.url, method, path)
        check_problem(refused, 405, "method-not-allowed", None)
        assert refused.headers["allow"] == allowed


def test_every_get_has_its_head(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node:
        application = Application(node, ServerConfig())
        try:
            gets = [one for one in application.endpoints if one.method == "GET" and "{" not in one.path]
            assert len(gets) > 20
            for endpoint in gets:
                whole, head = ask(application, "GET", endpoint.path), ask(application, "HEAD", endpoint.path)
                assert head[0] == whole[0], endpoint.path
        finally:
            application.close()


def ask(application: Any, method: str, path: str) -> tuple[int, dict[str, Any]]:
    """The status of an answer, and the scope when it is over; only its start is waited for."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path, safe="/%").encode(),
        "query_string": b"",
        "headers": [],
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(application(scope, receive, send))
    return statuses[0], scope


@pytest.mark.parametrize("path", ["/v1//query", "/V1/query", "/v1/query;x=1", "/v1/events//votes", "/v1/subjects/"])
def test_a_path_is_right_or_it_is_not(server: Server, path: str) -> None:
    check_problem(get(server, path), 404, "no-such-path", None)


def test_part_of_a_path_may_hold_anything_that_a_subject_may(server: Server) -> None:
    for subject in ("a/b", "100%", "a?b", "ü", "a b", "history", "..", "%2F"):
        write(server, claim(subject))
        path = quote(subject, safe="").replace(".", "%2E")
        assert get(server, f"/v1/subjects/{path}").json()["subject"] == subject


def test_part_that_is_not_utf_8_names_nothing(server: Server) -> None:
    check_problem(get(server, "/v1/subjects/%FF"), 422, "invalid-parameter", "subject")


def endpoint_at(path: str, seen: list[str]) -> Endpoint:
    async def handle(request: Request, _found: dict[str, str]) -> Response:
        seen.append(request.path_params["id"] if "{" in path else path)
        return Response()

    return Endpoint(path=path, handle=handle, summary="", replies=(), scope="write")


def test_endpoint_is_known_to_whoever_allows_and_whoever_counts() -> None:
    seen: list[str] = []
    asked: list[tuple[str, str]] = []

    def allow(connection: Any, scope: str) -> None:
        asked.append((connection[ENDPOINT].path, scope))

    router = Router([endpoint_at("/a/{id}", seen), endpoint_at("/a/b", seen)], allow, lambda _: {"Episteme-Seq": "7"})
    for path in ("/a/b", "/a/c", "/a/c%2Fd"):
        assert ask(router, "GET", path)[0] == 200
    assert seen == ["/a/b", "c", "c/d"]
    assert asked == [("/a/b", "write"), ("/a/{id}", "write"), ("/a/{id}", "write")]
    assert ENDPOINT not in ask(router, "GET", "/b")[1]


def test_refusal_of_a_token_comes_before_any_look_at_the_request(server: Server) -> None:
    seen: list[str] = []

    def nobody(_connection: Any, _scope: str) -> None:
        raise PROBLEMS["token-required"].exception("nobody may")

    router = Router([endpoint_at("/a", seen)], nobody, lambda _: {})
    assert ask(router, "GET", "/a")[0] == 401
    assert seen == []


def test_one_path_and_method_cannot_be_there_twice() -> None:
    with pytest.raises(AssertionError, match="twice"):
        Router([endpoint_at("/a", []), endpoint_at("/a", [])], lambda *_: None, lambda _: {})
