"""PostgreSQL as a peer: a throw-away cluster, and a service over it that does what ours does for these rows."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from bench.peer import Inputs, Row
from bench.peers.cluster import Cluster, cluster, statement
from bench.peers.environment import peer_env, peer_versions
from bench.peers.http_rows import http_rows
from bench.work import Server, serving

PROCESSES: Final = len(
    os.sched_getaffinity(0)
)  # of the service; one leaves the second core to PostgreSQL, and is slower
GROUPED_PROCESSES: Final = 1  # each would commit for itself


class ServiceAndCluster(NamedTuple):
    """A service and the database behind it, as one server."""

    port: int
    pid: int
    cluster_pid: int

    def cpu_s(self) -> float:
        """Of both, with all their processes."""
        while True:
            with suppress(FileNotFoundError):  # a process of PostgreSQL's that has just ended
                return Server(self.port, self.pid).cpu_s() + Server(0, self.cluster_pid).cpu_s()


class Postgres:
    """As bench.peer.Peer."""

    name = "PostgreSQL"
    durability = "fsync and synchronous_commit on: its write-ahead log is on the disk"

    def __init__(self) -> None:
        self._version = ""

    def versions(self) -> str:
        """As Peer.versions."""
        return f"PostgreSQL {self._version}, {peer_versions('psycopg', 'psycopg-pool')}"

    @contextmanager
    def open(self, folder: Path, _inputs: Inputs) -> Iterator[Mapping[str, Row]]:
        """As Peer.open.  The cluster lies beside the project: its user may not enter a folder that is ours alone."""
        env = peer_env("psycopg", "psycopg_pool")
        with cluster(Path.cwd()) as running:
            self._version = running.version
            yield http_rows(folder, partial(postgres_service, running, env))


@contextmanager
def postgres_service(running: Cluster, env: dict[str, str], grouped: bool) -> Iterator[Server]:
    """The service over an empty table."""
    statement(running, "DROP TABLE IF EXISTS assertion; CHECKPOINT")
    options = ["--processes", str(GROUPED_PROCESSES if grouped else PROCESSES)] + ["--grouped"] * grouped
    with serving(["bench.peers.postgres_service", running.dsn, *options], env) as service:
        yield ServiceAndCluster(service.port, service.pid, running.pid)


PEER = Postgres()
