"""SQLite as a peer: a service over a file that does what ours does for these rows."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peer import Inputs, Row
from bench.peers.http_rows import http_rows
from bench.work import Server, serving


class SQLite:
    """As bench.peer.Peer."""

    name = "SQLite"
    durability = "WAL, synchronous=FULL: its write-ahead log is on the disk"

    def versions(self) -> str:
        """As Peer.versions."""
        return f"SQLite {sqlite3.sqlite_version}"

    @contextmanager
    def open(self, folder: Path, _inputs: Inputs) -> Iterator[Mapping[str, Row]]:
        """As Peer.open."""
        yield http_rows(folder, partial(sqlite_service, folder))


@contextmanager
def sqlite_service(folder: Path, grouped: bool) -> Iterator[Server]:
    """The service over a new file in a folder of its own, removed afterwards."""
    with TemporaryDirectory(prefix="sqlite-", dir=folder) as fresh:
        file = str(Path(fresh) / "claims.sqlite")
        with serving(["bench.peers.sqlite_service", file, *["--grouped"] * grouped]) as server:
            yield server


PEER = SQLite()
