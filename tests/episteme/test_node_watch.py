"""Watching a pair: each change of its answer is told once, whatever has made it, and nothing else is."""

import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from episteme.api import Answer
from episteme.config import NodeConfig
from episteme.node import Node
from model import (
    Alias,
    BooleanValue,
    Epoch,
    GoldStandard,
    KeyRevocation,
    PackMember,
    PredicateRule,
    Receipt,
    ReferenceValue,
    SignedEvent,
    SigningKey,
    Source,
    Supersession,
    TextValue,
    TrustPack,
)
from stores import pack_id
from tests.support.events import NOW_MS, make_assertion, make_vote, signed
from tests.support.nodes import node_on

WAIT_S: Final = 10.0
SUBJECT: Final = "Tesla"
PREDICATE: Final = "founder"
OPERATOR, ANN, BEN, CHO = (SigningKey(bytes([number]) * 32) for number in range(41, 45))
SOURCE: Final = "5" * 64
PACK: Final = pack_id(ANN.agent, "friends")


class Told:
    """What a watch tells, taken from it by a thread of its own as soon as it comes."""

    def __init__(self, node: Node, subject: str = SUBJECT, **options: Any) -> None:
        self._answers = node.watch(subject, PREDICATE, **options)
        self._queue: queue.Queue[Answer] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()  # ends with the database

    def next(self) -> Answer:
        """The next answer that it tells."""
        return self._queue.get(timeout=WAIT_S)

    def _read(self) -> None:
        for answer in self._answers:
            self._queue.put(answer)


class World:
    """A database with two claims of one epoch and source, by Ann and by Ben, that name subjects."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.old = self.govern(Epoch, name="old", start=NOW_MS).hash
        fields = {"epoch": self.old, "source_hash": SOURCE}
        self.claims = [
            self.claim(ReferenceValue(name), key, **fields) for name, key in (("Eberhard", ANN), ("Musk", BEN))
        ]

    def claim(self, value: Any, key: SigningKey, subject: str = SUBJECT, **fields: Any) -> Receipt:
        """A claim, readable on return."""
        fields = {"narrative": "", **fields}
        return self.say(signed(make_assertion(subject=subject, predicate=PREDICATE, object=value, **fields), key))

    def govern(self, kind: Any, key: SigningKey = OPERATOR, **fields: Any) -> Receipt:
        """An event of governance, signed by the operator unless another is named."""
        return self.say(signed(kind(v=2, agent=key.agent_hex, timestamp=NOW_MS, **fields), key))

    def say(self, event: SignedEvent) -> Receipt:
        """Any event."""
        return self.node.submit(event, wait_s=WAIT_S)

    def pack(self, version: int, *members: SigningKey) -> None:
        """A version of Ann's trust pack."""
        rows = [PackMember(agent=key.agent_hex, weight="1") for key in members]
        self.govern(TrustPack, ANN, name="friends", version=version, members=rows)

    def judge(self, key: SigningKey) -> None:
        """A claim elsewhere that turns out to be right."""
        self.claim(BooleanValue(True), key, "elsewhere", narrative="judged")
        self.govern(GoldStandard, subject="elsewhere", predicate=PREDICATE, object=BooleanValue(True))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A new database with its claims."""
    with node_on(tmp_path, config=NodeConfig(operators=(OPERATOR.agent_hex,))) as node:
        yield World(node)


def check_told_once(world: World, told: Told, act: Callable[[World], object], same: bool = False) -> Answer:
    """An act is told by one answer, or, if same, by none; gives that answer.

    What follows it is told next, so whatever came twice would stand before that.
    """
    before = told.next()
    act(world)
    answer = before if same else told.next()
    world.claim(TextValue("unrelated"), CHO, "elsewhere")
    world.claim(TextValue("last"), CHO, narrative="the next thing told")
    assert told.next().candidates_count == answer.candidates_count + 1
    return answer


def superseded(world: World) -> None:
    """The claims' epoch is superseded."""
    world.govern(Epoch, name="new", start=NOW_MS, supersedes=world.old, supersession="temporal")


def revoked(world: World) -> None:
    """Ann's key is revoked."""
    world.govern(KeyRevocation, ANN, revoked=ANN.agent_hex, reason="lost")


def hidden(world: World) -> None:
    """Ann's claim is superseded."""
    target = world.claims[0].hash
    world.govern(Supersession, ANN, assertion=target, subject=SUBJECT, mode="invalidate", reason="wrong")


def retracted(world: World) -> None:
    """The source that the claims rest on is retracted."""
    world.govern(Source, source_hash=SOURCE, label="a study", status="retracted")


def ruled(world: World, **fields: Any) -> None:
    """How the predicate's values are compared, or resolved."""
    world.govern(PredicateRule, predicate=PREDICATE, **{"cardinality": "one", **fields})


def renamed(world: World, subject: str, same_as: str) -> None:
    """Two subjects are one."""
    world.govern(Alias, subject=subject, same_as=same_as)


CHANGES: Final[dict[str, Callable[[World], object]]] = {
    "its epoch is superseded": superseded,
    "a signer's key is revoked": revoked,
    "a claim is superseded": hidden,
    "a source is retracted": retracted,
    "another lens is its predicate's": lambda world: ruled(world, default_lens="recency"),
    "its predicate has many values": lambda world: ruled(world, cardinality="many"),
    "subjects that claims name are one": lambda world: renamed(world, "Musk", "Eberhard"),
    "its subject has another name": lambda world: renamed(world, SUBJECT, "Tesla, Inc."),
    "another subject is the same": lambda world: renamed(world, "Tesla, Inc.", SUBJECT),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_by_governance_is_told_once(world: World, name: str) -> None:
    check_told_once(world, Told(world.node), CHANGES[name])


def test_warning_comes_and_goes_with_the_status_of_a_source(world: World) -> None:
    told = Told(world.node)
    assert told.next().warnings == []
    retracted(world)
    assert len(told.next().warnings) == 1
    world.govern(Source, source_hash=SOURCE, label="a study", status="active")
    assert told.next().warnings == []


@pytest.mark.parametrize("lens", ["trust", "authority"])
def test_change_of_trust_is_told_under_a_lens_that_uses_it(world: World, lens: str) -> None:
    answer = check_told_once(world, Told(world.node, lens=lens), lambda world: world.judge(BEN))
    assert (answer.value, answer.groups[0].share) == ("Musk", 0.52381)


def test_new_version_of_a_trust_pack_is_told(world: World) -> None:
    world.pack(1, ANN, CHO)
    answer = check_told_once(world, Told(world.node, pack=PACK), lambda world: world.pack(2, ANN, BEN, CHO))
    assert answer.groups_count == 2


NEUTRAL: Final[dict[str, Callable[[World], object]]] = {
    "an epoch that only adds": lambda world: world.govern(
        Epoch, name="more", start=NOW_MS, supersedes=world.old, supersession="additive"
    ),
    "a stranger's epoch": lambda world: world.govern(
        Epoch, CHO, name="mine", start=NOW_MS, supersedes=world.old, supersession="temporal"
    ),
    "another's key": lambda world: world.govern(KeyRevocation, revoked="1" * 64, reason="lost"),
    "another's claim": lambda world: world.govern(
        Supersession, CHO, assertion=world.claims[0].hash, subject=SUBJECT, mode="invalidate", reason="no"
    ),
    "another source": lambda world: world.govern(Source, source_hash="6" * 64, label="other", status="retracted"),
    "another predicate": lambda world: world.govern(PredicateRule, predicate="other", cardinality="many"),
    "other subjects": lambda world: renamed(world, "Earth", "Terra"),
    "trust, under consensus": lambda world: world.judge(BEN),
    "a pack that is not asked for": lambda world: world.pack(1, BEN),
    "the same claim again": lambda world: world.claim(ReferenceValue("Musk"), BEN, epoch=world.old, source_hash=SOURCE),
    "a vote that is taken back already": lambda world: world.say(
        signed(
            make_vote(agent=CHO.agent_hex, assertion=world.claims[0].hash, subject=SUBJECT, weight="0"),
            CHO,
        )
    ),
}


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_changes_nothing_is_not_told(world: World, name: str) -> None:
    check_told_once(world, Told(world.node), NEUTRAL[name], same=True)


# Aliases: the claims of all names are watched


def test_claim_under_another_name_of_the_subject_is_told_once(world: World) -> None:
    renamed(world, "Tesla, Inc.", SUBJECT)
    told = Told(world.node)
    check_told_once(world, told, lambda world: world.claim(TextValue("Tarpenning"), BEN, "Tesla, Inc."))


def test_name_that_comes_while_it_is_watched_is_watched_from_then_on(world: World) -> None:
    told = Told(world.node)
    told.next()
    renamed(world, "Tesla, Inc.", SUBJECT)
    assert told.next().subjects == [SUBJECT, "Tesla, Inc."]
    world.claim(TextValue("Tarpenning"), CHO, "Tesla, Inc.")
    assert told.next().candidates_count == 3
    renamed(world, "Tesla Motors", "Tesla, Inc.")
    assert told.next().subjects == ["Tesla", "Tesla Motors", "Tesla, Inc."]
    world.claim(TextValue("Straubel"), OPERATOR, "Tesla Motors")
    assert told.next().candidates_count == 4


def test_name_that_is_taken_back_is_watched_no_longer(world: World) -> None:
    renamed(world, "Tesla, Inc.", SUBJECT)
    told = Told(world.node)
    told.next()
    renamed(world, "Tesla, Inc.", "Tesla, Inc.")
    foreign = partial(world.claim, TextValue("Tarpenning"), BEN, "Tesla, Inc.")
    check_told_once(world, told, lambda _: foreign(), same=True)


# Pairs of more claims than a ready answer is made of


def test_claim_about_a_pair_that_is_too_large_for_a_ready_answer_is_told(world: World) -> None:
    ruled(world, cardinality="many", separator=";")
    claims = [
        signed(make_assertion(subject=SUBJECT, predicate=PREDICATE, object=TextValue(f"{n}"), narrative=f"{n}"), BEN)
        for n in range(300)
    ]
    assert {result.status for result in world.node.ingest(claims)} == {"accepted"}
    world.node.wait_applied(world.node.end_seq, WAIT_S)
    check_told_once(world, Told(world.node), superseded)
