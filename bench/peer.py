"""The seam to peers: other software that does the same work, measured in the same rounds.

A module bench/peers/NAME.py offers one in an attribute PEER.  A module there
without that attribute is a helper; one whose name ends in _program or _service is run as a
process, maybe with packages of its own, and is not imported here.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from bench.measured import Measured

PROGRAM_SUFFIXES: Final = ("_program", "_service")


class Inputs(NamedTuple):
    """The work of one round, the same for all: files of whole HTTP requests.

    They are made by bench.inputs and sent by bench.load.

    Claims are distinct over all files and all rounds, but for the seed, which is the same throughout.
    All requests of claims are POST /v1/assertions with one signed envelope as JSON, about 470 bytes.
    """

    warm: int  # of many, one, queries and full the first ones, which count for nothing
    many: Path  # for 64 connections; row post-64
    one: Path  # for one connection; row post-1
    ingest: Path  # the same kind of request, whose bodies a peer may send in batches, as it sees fit; row ingest
    seed: Path  # POSTs of the 4,000 claims that the questions are about: 200 pairs of 20 claims by 20 agents, 5 values
    queries: Path  # GET /v1/query?subject=..&predicate=.., answered by the precomputed view, where there is one
    full: Path  # the same with &max_age=0s: the winner of the pair is worked out from its 20 claims


Row = Callable[[Inputs], Measured]


class Peer(Protocol):
    """Other software that does the same work."""

    # A service that speaks HTTP on the paths of ours is measured by bench.driving, as ours is.

    name: str  # heads its column: "PostgreSQL"
    durability: str  # what is on the disk when a write is answered

    def versions(self) -> str:
        """Of what was measured: "PostgreSQL 15.8, psycopg 3.2.1".  Called while it is open."""

    def open(self, folder: Path, inputs: Inputs) -> AbstractContextManager[Mapping[str, Row]]:
        """Give the rows that it can measure, by name: those of bench.measured, or names of its own.

        Opened once before the first round, with an empty folder of its own and the first round's inputs, in which
        seed, queries and full are those of all rounds; closed after the last.  Each row is called once a round,
        between ours: it starts from an empty store but for the seed, checks what was answered, and leaves nothing
        running that takes processor time while others are measured.
        Raises: Unavailable with the reason, if it cannot run here.
        """
