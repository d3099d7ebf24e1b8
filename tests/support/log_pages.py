"""Pages of the log over HTTP, from a node in process, and their lines."""

from typing import Any

from episteme.loglines import LogLine, decode_line
from episteme.node import Node
from tests.support.asgi import call_node
from tests.support.http import Reply


def lines_of(reply: Reply) -> list[LogLine]:
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/x-ndjson"
    return [decode_line(line) for line in reply.body.splitlines()]


def get(node: Node, query: str = "", **more: Any) -> Reply:
    return call_node(node, "GET", f"/v1/log?{query}", **more)
