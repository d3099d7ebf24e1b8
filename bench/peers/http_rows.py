"""The rows of peers that answer over HTTP as we do: the same requests from the same load generator."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from bench.driving import ingest_rate, median_over_one, rate_over_many
from bench.measured import FULL, INGEST, POST_MANY, POST_ONE, Measured
from bench.peer import Inputs, Row
from bench.wire import post, read_requests, write_requests
from bench.work import Server, load

LINES: Final = 1000  # claims of an ingest and of its transaction
GROUPED: Final = "post-64-grouped"  # its own group commit: claims that wait go together into one transaction

# A server over an empty database; grouped: with a group commit of its own.
Fresh = Callable[[bool], AbstractContextManager[Server]]


class Ingests(NamedTuple):
    """Single POSTs as bodies of a thousand lines."""

    file: Path
    claims: int
    last: str  # the question about the last one


def http_rows(folder: Path, fresh: Fresh) -> Mapping[str, Row]:
    """The rows by name.  folder: for the files of requests."""
    return {
        POST_MANY: partial(_post_many, fresh, False),
        GROUPED: partial(_post_many, fresh, True),
        POST_ONE: partial(_post_one, fresh),
        INGEST: partial(_ingest, fresh, folder),
        FULL: partial(_full, fresh, folder),
    }


def ingests_of(posts: Path, folder: Path) -> Ingests:
    """The claims of a file of POSTs in a file of ingests."""
    bodies = list(bodies_of(posts))
    parts = [bodies[start : start + LINES] for start in range(0, len(bodies), LINES)]
    file = write_requests(folder / f"ingest-{posts.name}", (post("/v1/ingest", b"\n".join(part)) for part in parts))
    event = msgspec.json.decode(bodies[-1])["event"]
    asked = f"subject={quote(event['subject'])}&predicate={quote(event['predicate'])}"
    return Ingests(file, len(bodies), f"/v1/query?{asked}")


def bodies_of(posts: Path) -> Iterator[bytes]:
    """What each request of a file sends."""
    return (request.partition(b"\r\n\r\n")[2] for request in read_requests(posts))


def _post_many(fresh: Fresh, grouped: bool, inputs: Inputs) -> Measured:
    with fresh(grouped) as server:
        return rate_over_many(server, inputs.many, inputs.warm, 202)


def _post_one(fresh: Fresh, inputs: Inputs) -> Measured:
    with fresh(False) as server:
        return median_over_one(server, inputs.one, inputs.warm, 202)


def _ingest(fresh: Fresh, folder: Path, inputs: Inputs) -> Measured:
    made = ingests_of(inputs.ingest, folder)
    with fresh(False) as server:
        return ingest_rate(server, made.file, made.last, claims=made.claims)


def _full(fresh: Fresh, folder: Path, inputs: Inputs) -> Measured:
    with fresh(False) as server:
        load(server.port, 1, ingests_of(inputs.seed, folder).file)
        return rate_over_many(server, inputs.full, inputs.warm, 200, expect='"candidates_count":20')
