"""What the guarded protocol touches of uvicorn and httptools: a release that changes one of these fails here, by name.

All of it is private to uvicorn but in practice stable; pyproject.toml admits the releases that were tried.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final

import httptools
import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from episteme.config import ServerConfig
from episteme.server.protocol import GuardedProtocol
from tests.support.guarded import Guarded

# Methods that are overridden or called, with their parameters.
METHODS: Final[dict[Callable[..., Any], list[str]]] = {
    HttpToolsProtocol.__init__: ["self", "config", "server_state", "app_state", "_loop"],
    HttpToolsProtocol.connection_made: ["self", "transport"],
    HttpToolsProtocol.connection_lost: ["self", "exc"],
    HttpToolsProtocol.data_received: ["self", "data"],
    HttpToolsProtocol.pause_writing: ["self"],
    HttpToolsProtocol.resume_writing: ["self"],
    HttpToolsProtocol.shutdown: ["self"],
    HttpToolsProtocol.on_message_begin: ["self"],
    HttpToolsProtocol.on_header: ["self", "name", "value"],
    HttpToolsProtocol.on_headers_complete: ["self"],
    HttpToolsProtocol.on_message_complete: ["self"],
    HttpToolsProtocol.on_response_complete: ["self"],
    HttpToolsProtocol._start_asgi_task: ["self", "cycle", "app"],
    FlowControl.pause_reading: ["self"],
    FlowControl.resume_reading: ["self"],
    Server.startup: ["self", "sockets"],
    Server.shutdown: ["self", "sockets"],
    Server.handle_exit: ["self", "sig", "frame"],
}
# Every method of uvicorn's protocol is known: one that is new might go around a limit.
KNOWN: Final = {
    "_get_upgrade",
    "_should_upgrade",
    "_should_upgrade_to_ws",
    "_start_asgi_task",
    "_unset_keepalive_if_required",
    "_unsupported_upgrade_warning",
    "connection_lost",
    "connection_made",
    "data_received",
    "eof_received",
    "handle_websocket_upgrade",
    "on_body",
    "on_header",
    "on_headers_complete",
    "on_message_begin",
    "on_message_complete",
    "on_response_complete",
    "on_url",
    "pause_writing",
    "resume_writing",
    "send_400_response",
    "shutdown",
    "timeout_keep_alive_handler",
}
PROTOCOL_ATTRIBUTES: Final = {
    "client", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser", "pipeline", "server_state",
    "scope", "transport", "url",
}  # fmt: skip
CYCLE_ATTRIBUTES: Final = {
    "body", "disconnected", "keep_alive", "message_event", "more_body", "response_complete", "response_started",
    "scope",
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_method_of_uvicorn_has_the_parameters_that_are_relied_on(method: Callable[..., Any]) -> None:
    assert list(inspect.signature(method).parameters) == METHODS[method]


def test_every_method_of_uvicorns_protocol_is_known() -> None:
    found = {name for name, value in vars(HttpToolsProtocol).items() if inspect.isfunction(value)} - {"__init__"}
    assert found == KNOWN, "uvicorn's protocol has changed: see what the new one does to the limits in protocol.py"


def test_protocol_and_cycle_have_the_attributes_that_are_relied_on() -> None:
    found: list[set[str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        (connection,) = server.guards.open
        assert isinstance(connection, GuardedProtocol)
        assert isinstance(connection.cycle, RequestResponseCycle)
        found.extend([set(vars(connection)), set(vars(connection.cycle)), set(vars(connection.flow))])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with Guarded(app, ServerConfig()) as server, server.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert wire.reply().status == 204
    protocol, cycle, flow = found
    assert PROTOCOL_ATTRIBUTES - protocol == set()
    assert CYCLE_ATTRIBUTES - cycle == set()
    assert {"read_paused", "write_paused"} <= flow
    assert {"connections", "tasks", "total_requests", "default_headers"} <= set(vars(ServerState()))


def test_parser_hands_over_what_a_callback_raised() -> None:
    class Callbacks:
        def on_header(self, name: bytes, value: bytes) -> None:
            raise LookupError("from the callback")

    with pytest.raises(httptools.HttpParserCallbackError) as raised:
        httptools.HttpRequestParser(Callbacks()).feed_data(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert isinstance(raised.value.__context__, LookupError)
    assert isinstance(raised.value, httptools.HttpParserError)
    assert issubclass(httptools.HttpParserUpgrade, Exception)
    assert not issubclass(httptools.HttpParserUpgrade, httptools.HttpParserError)
