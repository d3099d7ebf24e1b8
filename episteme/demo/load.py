"""Tells the story to a database: each agent signs its own, each act is on the disk before the next one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple, assert_never

from blake3 import blake3

from episteme.demo.story import STORY, Act, Claim, Era, Known, Many, Replaced, Source, Vote
from episteme.node import Node
from model import SigningKey

PAIR: Final = ("Semaglutide", "causes_muscle_loss")  # the disagreement that is shown

_NOON_MS: Final = 12 * 3_600_000
_STEP_MS: Final = 60_000  # between two acts of one day


class Loaded(NamedTuple):
    """What was written."""

    agents: int
    claims: int
    subjects: int
    votes: int
    others: int
    last_seq: int


def demo_key(name: str) -> SigningKey:
    """The key of an agent of the story: anybody can make it, so it proves nothing."""
    return SigningKey(blake3(f"episteme demo: {name}".encode()).digest())


def load_demo(node: Node, operator: SigningKey, set_clock: Callable[[int], None]) -> Loaded:
    """Write the whole story.

    operator: a key that governs the node.  set_clock: told the time of each act before it happens, in milliseconds
    since 1970; a log whose clock goes by it has the days of the story.
    """
    told = _Telling(node, operator)
    moment_ms = 0
    for act in STORY:
        moment_ms = max(_day_ms(act.day) + _NOON_MS, moment_ms + _STEP_MS)
        set_clock(moment_ms)
        told.tell(act, moment_ms)
    claims = [act for act in STORY if isinstance(act, Claim)]
    votes = sum(isinstance(act, Vote) for act in STORY)
    return Loaded(
        agents=len({act.by for act in STORY if isinstance(act, Claim | Vote | Source)}),
        claims=len(claims),
        subjects=len({act.subject for act in claims}),
        votes=votes,
        others=len(STORY) - len(claims) - votes,
        last_seq=node.end_seq,
    )


class _Telling:
    """What was told so far, by the names of the story."""

    def __init__(self, node: Node, operator: SigningKey) -> None:
        self._node = node
        self._operator = operator
        self._claims: dict[tuple[str, str, str], list[str]] = {}  # hashes of an agent's claims about a pair
        self._eras: dict[str, str] = {}

    def tell(self, act: Act, moment_ms: int) -> None:
        node = self._node
        node.key = demo_key(act.by) if isinstance(act, Claim | Vote | Source | Replaced) else self._operator
        match act:
            case Claim():
                self._claim(act, moment_ms)
            case Vote():
                claim = self._claims[act.of, act.subject, act.predicate][-1]
                node.vote(claim, act.weight, reason=act.reason, timestamp=moment_ms)
            case Source():
                node.source(_evidence(act.label), label=act.label, url=act.url, timestamp=moment_ms)
            case Era():
                self._era(act, moment_ms)
            case Known():
                node.gold(act.subject, act.predicate, act.value, tolerance=act.tolerance, timestamp=moment_ms)
            case Many():
                node.predicate(act.predicate, cardinality="many", separator="; ", timestamp=moment_ms)
            case Replaced():
                old, new = self._claims[act.by, act.subject, act.predicate]
                node.supersede(old, new, reason=act.reason, timestamp=moment_ms)
            case _:
                assert_never(act)

    def _era(self, act: Era, moment_ms: int) -> None:
        if act.supersedes is None:
            made = self._node.epoch(act.name, moment_ms, timestamp=moment_ms)
        else:
            older = self._eras[act.supersedes]
            made = self._node.epoch(
                act.name, moment_ms, supersedes=older, supersession="invalidation", timestamp=moment_ms
            )
        self._eras[act.name] = made.hash

    def _claim(self, act: Claim, moment_ms: int) -> None:
        written = self._node.assert_(
            act.subject,
            act.predicate,
            act.value,
            confidence=act.confidence,
            source_class=act.tier,
            timestamp=moment_ms,
            source_hash=None if act.source is None else _evidence(act.source),
            epoch=None if act.era is None else self._eras[act.era],
            narrative=act.narrative,
        )
        self._claims.setdefault((act.by, act.subject, act.predicate), []).append(written.hash)


def _evidence(label: str) -> str:
    """The hash of a piece of evidence, which in this story is its label."""
    return blake3(label.encode()).hexdigest()


def _day_ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
