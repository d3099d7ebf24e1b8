"""The two databases behind one API: a node in process, and a client of a real server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from episteme import Client, Node, Receipt
from episteme.config import NodeConfig
from model import SigningKey
from tests.support.events import KEY_A, make_assertion, signed
from tests.support.servers import shared

WAIT_S: Final = 10.0
KINDS: Final = ("node", "client")

Database = Node | Client


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Database]:
    """A new database in a folder, signing with KEY_A, which is an operator of it."""
    if kind == "node":
        config = NodeConfig(operators=(KEY_A.agent_hex,))
        with Node.open(folder / "data", key=KEY_A, config=config) as node:
            yield node
    else:
        arguments = ("--no-audit", "--operator", KEY_A.agent_hex)
        with shared(folder, *arguments) as server, Client(server.url, key=KEY_A) as client:
            yield client


def write(db: Database, subject: str, *keys: SigningKey, **overrides: Any) -> Receipt:
    """A claim by the keys, or by KEY_A; readable on return."""
    return db.submit(signed(make_assertion(subject=subject, **overrides), *keys), wait_s=WAIT_S)
