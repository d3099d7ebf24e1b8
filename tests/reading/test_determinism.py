"""The same log gives the same answers, byte for byte, wherever it is kept and however it came to be folded."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from episteme.api import Answer
from episteme.lenses import LENSES
from model import Assertion, SignedEvent
from stores import state_digest
from tests.reading.asking import Folded
from tests.reading.places import (
    Asked,
    folded,
    frames_of,
    from_memory,
    from_node,
    kept_by_node,
    over_http,
    questions,
    under_hash_seed,
)
from tests.support.events import NOW_MS, make_vote, signed
from tests.support.meaning import (
    KEYS,
    OPERATORS,
    PAIRS,
    as_frames,
    events_of,
    history,
    rules_of,
)

ASKED = 60
LENSES_OF_PAIRS = sorted(set(LENSES) - {"constraints"})


@pytest.mark.parametrize("seed", range(4))
def test_wherever_a_log_is_kept_it_gives_the_same_answers(tmp_path: Path, seed: int) -> None:
    """In process, over HTTP, as of the newest position, from the claims alone, in memory, made anew."""
    steps = history(seed, 60)
    asked = questions(steps, seed, ASKED)
    with kept_by_node(tmp_path, steps) as node:
        expected = from_node(node, asked)
        assert len(set(expected)) > ASKED / 4, "hardly anything is asked"
        check_same(asked, expected, over_http(node, asked), "over HTTP")
        check_same(asked, expected, from_node(node, asked, full=True), "from the claims")
        # The age of a claim is counted from the moment of as_of.
        ageless = [one for one in asked if "decay" not in one[2]]
        newest = from_node(node, ageless, as_of=f"seq:{node.end_seq}")
        check_same(ageless, from_node(node, ageless), newest, "as of the newest")
        frames = frames_of(node)
        for batch_max in (1, 5, len(frames)):
            store = folded(frames, batch_max, seed, node.log.log_id)
            check_same(asked, expected, from_memory(store, frames, asked), f"batches of up to {batch_max}")
            assert state_digest(store.snapshot()) == node.state.digest()
        positions = (0, 20, node.end_seq)
        then = [from_node(node, asked, as_of=f"seq:{at}") for at in positions]
        for at, before in zip(positions, then, strict=True):
            check_same(asked, before, from_node(node, asked, as_of=str(frames[at].time >> 16)), f"at the time of {at}")
        node.state.rebuild()
        check_same(asked, expected, from_node(node, asked), "made anew")
        for at, before in zip(positions, then, strict=True):
            check_same(asked, before, from_node(node, asked, as_of=f"seq:{at}"), f"made anew, as of {at}")


def check_same(asked: Sequence[Asked], expected: Sequence[bytes], found: Sequence[bytes], where: str) -> None:
    """Each answer by itself, so that a difference names its question."""
    for question, one, other in zip(asked, expected, found, strict=True):
        assert one == other, (where, question)


# The order of arrival


@pytest.mark.parametrize("seed", range(20))
def test_where_the_rules_name_no_order_the_order_of_arrival_changes_no_answer(seed: int) -> None:
    """No agent says two things at one time; governance, which counts from its position on, comes first."""
    events = said_in_no_order(seed)
    found = []
    for order in (events, events[::-1], *(random.Random(seed + n).sample(events, len(events)) for n in (1, 2))):
        whole = Folded([rules_of(*OPERATORS), *governance(seed), *order])
        found.append(
            [
                placeless(whole.ask(subject, predicate, lens=lens, **options))
                for subject, predicate in PAIRS[:6]
                for lens in (None, *LENSES_OF_PAIRS)
                for options in ({}, {"full": True}, {"decay": "tiers"}, {"explain": True})
            ]
        )
    assert all(one == found[0] for one in found)


def governance(seed: int) -> list[SignedEvent]:
    """Aliases, epochs, rules and packs of a random history, once each."""
    kinds = ("alias", "predicate", "epoch", "source")
    steps = events_of(history(seed, 60, random.Random(seed).choice(kinds)))
    return [step for step in steps if step.event.__struct_config__.tag in kinds][: seed % 5]


def said_in_no_order(seed: int) -> list[SignedEvent]:
    """Claims, moves, signatures that join them, and votes; an agent's are all of different times."""
    generator = random.Random(seed)
    said = [step for step in events_of(history(seed, 60)) if isinstance(step.event, Assertion)]
    claims = list({step.digest: step.event for step in said}.values())
    events: list[SignedEvent] = []
    parents: list[Assertion] = []
    for number, claim in enumerate(claims):
        assert isinstance(claim, Assertion)
        told = msgspec.structs.replace(claim, timestamp=NOW_MS - number * 7_000_000)
        if parents and generator.random() < 0.5:
            told = moving(told, generator.choice(parents))
        parents.append(told)
        signers = generator.sample(KEYS, generator.choice([1, 1, 2, 3]))
        events.extend(signed(told, key) for key in signers)
        for key in generator.sample(KEYS, generator.choice([0, 0, 2])):
            events.append(vote(told, key, generator.choice(["1", "-1", "0.25"]), NOW_MS))
            events.append(vote(told, key, generator.choice(["1", "0", "-0.333333"]), NOW_MS + 1))
    return events


def moving(claim: Assertion, parent: Assertion) -> Assertion:
    """A claim that moves another on: a chain may have several ends."""
    return msgspec.structs.replace(
        claim,
        parent_hash=signed(parent).hash_hex,
        subject=parent.subject,
        predicate=parent.predicate,
        object=parent.object,
    )


def vote(claim: Assertion, key: Any, weight: str, timestamp: int) -> SignedEvent:
    """A vote on a claim."""
    body = {"agent": key.agent_hex, "assertion": signed(claim).hash_hex, "subject": claim.subject}
    return signed(make_vote(**body, weight=weight, timestamp=timestamp), key)


def placeless(answer: Answer) -> object:
    """An answer without positions, and without the orders that are those of the log."""
    tree: dict[str, Any] = msgspec.to_builtins(answer)
    tree.pop("seq")
    for groups in (tree["groups"], *(layer["groups"] for layer in tree.get("layers") or [])):
        for group in groups:
            group["hashes"].sort()
    if tree["winner"] is not None:
        tree["winner"]["assertion"]["signatures"].sort(key=str)
    if "explain" in tree:
        for one in tree["explain"]["candidates"]:
            one.pop("seq")
            for signer in one["signers"]:
                signer.pop("seq")
            one["signers"].sort(key=str)
        for one in tree["explain"]["left_out"]:
            one.pop("seq")
        tree["explain"]["left_out"].sort(key=str)
    return tree


# Python's hashes

SCRIPT = """
import random
from stores import state_digest
from tests.reading.places import folded, from_memory, questions
from tests.support.meaning import as_frames, history
for seed in range(3):
    frames = as_frames(history(seed, 70))
    store = folded(frames, 9, seed)
    print(state_digest(store.snapshot()))
    for answer in from_memory(store, frames, questions(history(seed, 70), seed, 60)):
        print(answer)
"""


def test_the_seed_of_python_s_hashes_changes_no_byte_of_state_and_answers() -> None:
    one, other = (under_hash_seed(seed, SCRIPT) for seed in ("1", "2"))
    assert one.count(b"\n") == 3 * 61
    assert one == other


# Batches


@pytest.mark.parametrize("seed", range(10))
def test_an_answer_does_not_depend_on_where_batches_end(seed: int) -> None:
    """With rules that change, and frames that no gate would let pass."""
    steps = history(seed)
    frames, asked = as_frames(steps), questions(steps, seed, 30)
    expected = from_memory(folded(frames, len(frames)), frames, asked)
    for batch_max in (1, 3, 16):
        check_same(asked, expected, from_memory(folded(frames, batch_max, seed), frames, asked), f"up to {batch_max}")
