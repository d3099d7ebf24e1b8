"""The same history kept in several places, and the same questions put to each: all must answer in the same bytes."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from cortex import apply_batch, bind
from episteme.api import Answer
from episteme.config import NodeConfig
from episteme.errors import EpistemeError, KeyRevoked
from episteme.folds import FOLDS, decode_frame
from episteme.lenses import LENSES
from episteme.node import Node
from episteme.parameters import asked_over_http, make_question
from episteme.reading import PastClock, ask, make_answer
from model import Epoch, TrustPack
from stores import KV, MemoryEngine, pack_id
from tests.reading.asking import NOW_MS
from tests.support.asgi import call_node
from tests.support.logs import ALL
from tests.support.meaning import OPERATORS, PAIRS, Step, events_of, log_time
from tests.support.nodes import node_on
from wal import Frame

ROOT: Final = Path(__file__).parents[2]
EVERYTHING: Final = ("superseded", "superseded_epochs", "revoked")

Asked = tuple[str, str | None, dict[str, Any]]


def questions(steps: Sequence[Step], seed: int, count: int) -> list[Asked]:
    """Questions of every sort about a history, so many of them."""
    generator = random.Random(seed)
    events = events_of(steps)
    epochs = [event.hash_hex for event in events if isinstance(event.event, Epoch)]
    packs = [pack_id(bytes.fromhex(e.event.agent), e.event.name) for e in events if isinstance(e.event, TrustPack)]
    choices: dict[str, list[Any]] = {
        "source_class": [("clinical", "anecdotal"), ("regulatory", "expert", "community")],
        "lifecycle": [("approved", "rejected"), ("proposed", "under_review", "deprecated")],
        "include": [EVERYTHING, ("revoked",), ("superseded_epochs",)],
        "decay": ["tiers", "30d", "90m"],
        "valid_at": [str(log_time(0) >> 16), "1969-07-20T20:17:40Z"],
        "epoch": epochs,
        "pack": packs,
        "explain": [True],
        "limit": [1, 2, 1000],
    }
    asked: list[Asked] = []
    for place in range(count):
        lens = (None, *LENSES)[place % (len(LENSES) + 1)]
        subject, predicate = generator.choice(PAIRS)
        options: dict[str, Any] = {} if lens is None else {"lens": lens}
        for name, values in choices.items():
            if values and generator.random() < 0.15:
                options[name] = generator.choice(values)
        asked.append((subject, None if lens == "constraints" else predicate, options))
    return asked


def told(answer: Callable[[], Answer]) -> bytes:
    """An answer as bytes, apart from whether it was asked as of a position; of a question that is refused, why."""
    try:
        return msgspec.json.encode(msgspec.structs.replace(answer(), as_of=None))
    except EpistemeError as error:
        return error.code.encode()


class Ticking:
    """A clock that stands at the time of the next position, until it is set to that of the questions."""

    def __init__(self) -> None:
        self.now_ms = log_time(0) >> 16

    def __call__(self) -> int:
        return self.now_ms


@contextmanager
def kept_by_node(folder: Path, steps: Sequence[Step]) -> Iterator[Node]:
    """A node that was given the events of a history; those that it refuses are not in its log."""
    clock = Ticking()
    config = NodeConfig(operators=tuple(key.agent_hex for key in OPERATORS))
    with node_on(folder, config=config, clock_ms=clock) as node:
        for event in events_of(steps):
            clock.now_ms = log_time(node.end_seq + 1) >> 16
            with suppress(KeyRevoked):
                node.submit(event)
        node.wait_applied(node.end_seq, 10.0)
        clock.now_ms = NOW_MS
        yield node


def from_node(node: Node, asked: Sequence[Asked], **more: Any) -> list[bytes]:
    """What a node answers."""
    return [told(lambda: node.query(s, p, **options, **more)) for s, p, options in asked]  # noqa: B023


def over_http(node: Node, asked: Sequence[Asked]) -> list[bytes]:
    """What its server sends for what a client asks."""
    sent = []
    for subject, predicate, options in asked:
        reply = call_node(node, "GET", f"/v1/query?{urlencode(asked_over_http(subject, predicate, options))}")
        sent.append(reply.body if reply.status == 200 else msgspec.json.decode(reply.body)["code"].encode())
    return sent


def frames_of(node: Node) -> list[Frame]:
    """All that is in a node's log."""
    return list(node.log.read_from(0, count_max=ALL, bytes_max=ALL))


def folded(frames: Sequence[Frame], batch_max: int, seed: int = 0, log_id: bytes = bytes(16)) -> KV:
    """A state in memory, in batches of random sizes."""
    generator = random.Random(seed)
    engine = MemoryEngine()
    bind(engine, log_id, {fold.name: fold.version for fold in FOLDS})
    done = 0
    while done < len(frames):
        end = min(done + generator.randint(1, batch_max), len(frames))
        apply_batch(engine, FOLDS, [decode_frame(frame) for frame in frames[done:end]], end)
        done = end
    return engine


def from_memory(store: KV, frames: Sequence[Frame], asked: Sequence[Asked], **more: Any) -> list[bytes]:
    """What a state in memory comes to."""
    times = [frame.time >> 16 for frame in frames]
    past = PastClock(times.__getitem__, lambda time_ms: sum(time <= time_ms for time in times) - 1)
    found = []
    with store.snapshot() as reader:
        for subject, predicate, options in asked:
            question = make_question(subject, predicate, **options, **more)
            found.append(told(lambda: make_answer(reader, question, ask(reader, question, NOW_MS, past))))  # noqa: B023
    return found


def under_hash_seed(seed: str, code: str) -> bytes:
    """What a program prints under a seed of Python's hashes."""
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=120
    )
    return done.stdout
