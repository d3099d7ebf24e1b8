"""The databases behind one API: a node in process, clients of both kinds of a real server, and of one with workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from episteme import Client, Node, Receipt
from episteme.config import NodeConfig
from model import SigningKey
from tests.support.awaited import Awaited
from tests.support.events import KEY_A, make_assertion, signed
from tests.support.servers import shared

WAIT_S: Final = 10.0
KINDS: Final = ("node", "client", "async client", "workers")

Database = Node | Client


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Database]:
    """A new database in a folder, signing with KEY_A, which is an operator of it."""
    if kind == "node":
        config = NodeConfig(operators=(KEY_A.agent_hex,))
        with Node.open(folder / "data", key=KEY_A, config=config) as node:
            yield node
    else:
        arguments = ("--no-audit", "--operator", KEY_A.agent_hex, *(("--workers", "2") if kind == "workers" else ()))
        with shared(folder, *arguments) as server, connected(kind, server.url) as client:
            yield client


@contextmanager
def connected(kind: str, url: str) -> Iterator[Client]:
    """A client of a server, signing with KEY_A; it verifies all that it is told."""
    if kind != "async client":
        with Client(url, key=KEY_A, verify=True) as client:
            yield client
    else:
        with Awaited(url, key=KEY_A, verify=True) as awaited:
            yield cast("Client", awaited)


def write(db: Database, subject: str, *keys: SigningKey, **overrides: Any) -> Receipt:
    """A claim by the keys, or by KEY_A; readable on return."""
    return db.submit(signed(make_assertion(subject=subject, **overrides), *keys), wait_s=WAIT_S)
