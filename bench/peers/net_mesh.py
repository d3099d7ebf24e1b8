"""The package `net-mesh` as a peer for logs and folds; a library, so without HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.peer import Inputs, Row
from bench.peers.environment import peer_env, peer_versions
from bench.peers.programs import APPEND_MANY, APPEND_ONE, FOLDED, program_rows


class NetMesh:
    """As bench.peer.Peer."""

    name = "net-mesh"
    durability = "sync() after each append or batch, which is three fsyncs; tasks: no fsync is asked for"

    def versions(self) -> str:
        """As Peer.versions."""
        return peer_versions("net-mesh")

    @contextmanager
    def open(self, folder: Path, _inputs: Inputs) -> Iterator[Mapping[str, Row]]:
        """As Peer.open."""
        env = peer_env("net")
        yield program_rows("bench.peers.net_mesh_program", env, folder, [APPEND_ONE, APPEND_MANY, FOLDED])


PEER = NetMesh()
