"""The data folders that servers of ours are started on, made before the first round by servers of ours."""

import itertools
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from bench.inputs import PREDICATE, held
from bench.measured import Unavailable
from bench.wire import Broken, Connection, get, last_seq
from bench.work import episteme_server, load

QUESTION: Final = f"/v1/query?subject=%s-000000&predicate={PREDICATE}"
IN_FLIGHT: Final = 4
RETRY_S: Final = 0.5
FOLD_S: Final = 300.0  # for what is behind when all is sent, at most 200,000 claims
ANSWER_BYTES: Final = 2000  # where none could be asked for
REFUSED_NONE: Final = b'"refused":0}'


class Stores(NamedTuple):
    """What is there; in the place of one that could not be made, why."""

    seeded: Path | Exception  # the claims that questions are about; copied for every server
    large: Path | Exception  # many claims, used by all rounds one after another
    answer_bytes: int  # what an answer to a question is


def make_stores(folder: Path, seed: Path, held_count: int) -> Stores:
    """Both of them, in this folder."""
    answer_bytes = ANSWER_BYTES
    seeded: Path | Exception = folder / "seeded"
    try:
        answer_bytes = seed_store(folder / "seeded", seed)
    except (RuntimeError, Broken) as error:
        seeded = RuntimeError(f"no store to ask: {error}")
    large: Path | Exception = Unavailable("not asked for")
    if held_count:
        try:
            large = fill_store(folder / "held", held_count)
        except (RuntimeError, Broken) as error:
            large = RuntimeError(f"no large store: {error}")
    return Stores(seeded, large, answer_bytes)


def seed_store(folder: Path, seed: Path) -> int:
    """Make the store of these POSTs; what an answer about its first pair is, in bytes.

    Raises: RuntimeError; Broken.
    """
    with episteme_server(folder) as server:
        load(server.port, 1, seed, "--until-readable", QUESTION % "asked")
        connection = Connection(server.port)
        answer = connection.ask(get(QUESTION % "asked"))
        connection.close()
    return len(answer) - answer.index(b"\r\n\r\n") - 4


def fill_store(folder: Path, count: int) -> Path:
    """Make the large store: count claims in bundles, sent to a server, until all are readable.

    Raises: RuntimeError if the server refuses one; Broken.
    """
    with episteme_server(folder) as server:
        last = send_all(server.port, held(count))
        connection = Connection(server.port)
        deadline = time.monotonic() + FOLD_S
        question = get(f"{QUESTION % 'held'}&wait=30s&min_seq={last}")
        while not (answer := connection.ask(question)).startswith(b"HTTP/1.1 200"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not readable: {answer.decode(errors='replace')[:300]}")
        connection.close()
    return folder


def send_all(port: int, ingests: Iterable[bytes]) -> int:
    """Send whole requests, a few in flight; the last position that was answered.

    Raises: RuntimeError for a line that is refused.
    """
    places = [_Place(port) for _ in range(IN_FLIGHT)]
    last = -1
    try:
        for place, request in zip(itertools.cycle(places), ingests, strict=False):
            last = max(last, place.taken())
            place.send(request)
        return max([last, *(place.taken() for place in places)])
    finally:
        for place in places:
            place.close()


class _Place:
    """A connection for one ingest after another; a new one, if the server has too much to do and so closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = Connection(port)
        self._sent = b""

    def send(self, request: bytes) -> None:
        self._connection.send(request)
        self._sent = request

    def close(self) -> None:
        self._connection.close()

    def taken(self) -> int:
        """The last position of the answer, once what was sent is taken; -1 if nothing was."""
        if not self._sent:
            return -1
        answer = self._connection.wait()
        while answer.startswith(b"HTTP/1.1 503"):
            self._connection.close()
            time.sleep(RETRY_S)
            self._connection = Connection(self._port)
            answer = self._connection.ask(self._sent)
        if REFUSED_NONE not in answer:
            raise RuntimeError(f"an ingest was refused: {answer.decode(errors='replace')[:400]}")
        self._sent = b""
        return last_seq(answer)
