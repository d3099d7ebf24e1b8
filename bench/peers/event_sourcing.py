"""The Python package `eventsourcing` on its SQLite module as a peer: a library, so without HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.measured import INGEST
from bench.peer import Inputs, Row
from bench.peers.environment import peer_env, peer_versions
from bench.peers.programs import APPEND_MANY, APPEND_ONE, program_rows


class EventSourcing:
    """As bench.peer.Peer."""

    name = "eventsourcing"
    durability = "SQLite with WAL and synchronous=FULL, the defaults of both"

    def versions(self) -> str:
        """As Peer.versions."""
        return peer_versions("eventsourcing")

    @contextmanager
    def open(self, folder: Path, _inputs: Inputs) -> Iterator[Mapping[str, Row]]:
        """As Peer.open."""
        env = peer_env("eventsourcing")
        yield program_rows("bench.peers.event_sourcing_program", env, folder, [APPEND_ONE, APPEND_MANY, INGEST])


PEER = EventSourcing()
