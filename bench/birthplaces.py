"""Birth places: one value a person, at any level of a tree of places.

Right is what the literature calls so (Jung, Kim, Shim, "Crowdsourced Truth Discovery in the Presence of Hierarchies for
Knowledge Fusion", EDBT 2019): exactly the true place; or, more generously, it or a place that contains it.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.ground import (
    AS_ANSWERED,
    PLAIN_VOTE,
    SPEAKING,
    WAIT_S,
    Row,
    Table,
    halves,
    import_rows,
    make_row,
    merge_same,
    table_of,
)
from bench.places import Places
from bench.scoring import Judged, Plain, at_random, part, plain_majority, right_part
from episteme.node import Node
from model import TextValue

FOLDER: Final = "birthplaces"
PREDICATE: Final = "birthplace"

Truth = Mapping[str, Sequence[str]]  # by person, the place and those that contain it, the smallest first
Choose = Callable[["Found"], str]


class Found(NamedTuple):
    """What a lens says of a person: its winner, how sure it is, and all values' shares in its order."""

    winner: str
    confidence: float
    shares: dict[str, float]


def measure(node: Node, data: Path, keys: Path, seed: int) -> list[Table]:
    """All tables of the data set."""
    folder = data / FOLDER
    truth: Truth = {
        row["person"].strip(): [place.strip() for place in row["birthplace"].split(",")]
        for row in table_of(folder / "truth.csv")
    }
    agents = import_rows(node, folder / "claims.csv", "{person}", PREDICATE, "{birthplace}", keys)
    found = {lens: ask(node, truth, lens) for lens in SPEAKING}
    plain = plain_votes(folder / "claims.csv", truth)
    rows = [score(AS_ANSWERED, lens, found[lens], truth, lambda one: one.winner) for lens in SPEAKING]
    rows += tree_rows(found["consensus"], truth, Places.read(folder / "hierarchy.csv"))
    rows.append(plain_row(plain, truth))
    whole = Table("Birth places", merge_same(rows), plain_notes(plain, found["consensus"], truth))
    return [whole, trust_table(node, truth, found, agents, seed)]


def ask(node: Node, truth: Truth, lens: str) -> dict[str, Found]:
    """The answers to all persons that got one."""
    found = {}
    for person in truth:
        answer = node.query(person, PREDICATE, lens=lens)
        if answer.winner is not None:
            shares = {str(group.value.value): group.share for group in answer.groups}
            found[person] = Found(str(answer.value), answer.confidence, shares)
    return found


def score(reading: str, lens: str, found: Mapping[str, Found], truth: Truth, choose: Choose) -> Row:
    """How often what is chosen of each answer is right."""
    exact, containing = [], []
    for person, one in found.items():
        chosen = choose(one)
        exact.append(Judged(one.confidence, chosen == truth[person][0]))
        containing.append(Judged(one.confidence, chosen in truth[person]))
    scores = {"exact": right_part(exact), "containing": right_part(containing)}
    return make_row(reading, lens, len(truth), len(found), scores, exact)


def tree_rows(found: Mapping[str, Found], truth: Truth, places: Places) -> list[Row]:
    """The shares of consensus, read with the tree: where values tie for the first place, or all along."""
    readings: dict[str, Choose] = {
        "the script breaks ties by agreement in the tree": lambda one: places.by_agreement(one.shares),
        "the same, then the smallest place": lambda one: places.by_agreement(one.shares, smallest=True),
        "a claim also counts for the places that contain its own": lambda one: places.by_entailment(one.shares),
    }
    return [score(reading, "consensus", found, truth, choose) for reading, choose in readings.items()]


def plain_votes(file: Path, truth: Truth) -> dict[str, Plain]:
    """A majority vote straight from the file, without the database."""
    claimed: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in table_of(file):
        claimed[row["person"].strip()].append((row["source"].strip(), row["birthplace"].strip()))
    return {person: plain_majority(claimed[person]) for person in truth}


def plain_row(plain: Mapping[str, Plain], truth: Truth) -> Row:
    """The plain vote, of several the first by the alphabet."""
    found = {person: Found(vote.values[0], vote.share, {}) for person, vote in plain.items()}
    return score("from the file, ties by the alphabet", PLAIN_VOTE, found, truth, lambda one: one.winner)


def plain_notes(plain: Mapping[str, Plain], found: Mapping[str, Found], truth: Truth) -> list[str]:
    """Whether consensus is the plain vote, and what breaking its ties at random comes to."""
    count = len(plain)
    ties = sum(len(vote.values) > 1 for vote in plain.values())
    same = sum(found[person].winner in vote.values for person, vote in plain.items())
    sure = sum(abs(found[person].confidence - vote.share) < 1e-6 for person, vote in plain.items())
    exact = at_random(part(sum(v == truth[p][0] for v in vote.values), len(vote.values)) for p, vote in plain.items())
    containing = at_random(part(sum(v in truth[p] for v in vote.values), len(vote.values)) for p, vote in plain.items())
    by_chance = f"exact {exact[0]:.4f} ± {exact[1]:.4f}, containing {containing[0]:.4f} ± {containing[1]:.4f}"
    return [
        f"consensus and the plain vote: winner among the most claimed {same:,} of {count:,}, same share {sure:,}",
        f"tied for the first place: {ties:,} of {count:,}; broken at random: {by_chance}",
    ]


def trust_table(
    node: Node, truth: Truth, before: Mapping[str, Mapping[str, Found]], agents: Mapping[str, str], seed: int
) -> Table:
    """Gold standards for one half of the persons, scores on the other: consensus, and trust before and after."""
    told, held_out = halves(sorted(truth), seed)
    last = -1
    for person in told:
        last = node.gold(person, PREDICATE, TextValue(truth[person][0])).seq
    node.await_seq(last, WAIT_S)
    rest: Truth = {person: truth[person] for person in held_out}
    answers = [
        ("without gold standards", "consensus", {p: one for p, one in before["consensus"].items() if p in rest}),
        ("without gold standards", "trust", {p: one for p, one in before["trust"].items() if p in rest}),
        ("gold standards for the other half", "trust", ask(node, rest, "trust")),
    ]
    rows = [score(reading, lens, found, rest, lambda one: one.winner) for reading, lens, found in answers]
    ranks = {source: node.agent(agent) for source, agent in agents.items()}
    ordered = sorted(ranks.items(), key=lambda pair: (-pair[1].trust, pair[0]))
    notes = [f"{source}: trust {r.trust:.3f}, {r.right_count} right, {r.wrong_count} wrong" for source, r in ordered]
    return Table(f"Birth places, {len(rest):,} held out, {len(told):,} with gold standards", merge_same(rows), notes)
