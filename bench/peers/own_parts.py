"""Our own log and task model in process, without gate, HTTP or meaning: what the rows of libraries are held against."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.peer import Inputs, Row
from bench.peers.programs import APPEND_MANY, APPEND_ONE, FOLDED, program_rows


class OwnParts:
    """As bench.peer.Peer."""

    name = "wal/, cortex/"
    durability = "an fsync for each append or batch; tasks: none"

    def versions(self) -> str:
        """As Peer.versions."""
        return "of this tree"

    @contextmanager
    def open(self, folder: Path, _inputs: Inputs) -> Iterator[Mapping[str, Row]]:
        """As Peer.open."""
        yield program_rows("bench.peers.own_parts_program", {}, folder, [APPEND_ONE, APPEND_MANY, FOLDED])


PEER = OwnParts()
