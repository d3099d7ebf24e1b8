"""Book authors: a set of people a book, typed in many ways into one text.

`authors` is declared many-valued with the separator `;`: of those that shops use it is the only one that never stands
inside a name.  What the lens then answers is scored as it is; and once more after the script has read every claim's
text (bench/names.py), with the weights that the lens gave to the claims.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.ground import (
    AS_ANSWERED,
    CONFIDENCE,
    PLAIN_VOTE,
    SPEAKING,
    TIER,
    TIMESTAMP_MS,
    WAIT_S,
    Row,
    Table,
    halves,
    import_rows,
    make_row,
    merge_same,
    table_of,
    write,
)
from bench.names import Name, Roster, read_authors, same_person
from bench.scoring import Judged, Overlap, part, score_sets
from episteme.importer import SAYS_NOTHING
from episteme.keys import Key, quoted_part
from episteme.node import Node
from model import Assertion, SignedEvent, TextValue, sign_event

FOLDER: Final = "book"
PREDICATE: Final = "authors"
READ_PREDICATE: Final = "authors_read"  # the same after the script has read it
SEPARATOR: Final = ";"
RECENCY: Final = "recency"
THRESHOLD: Final = 0.5  # the lenses' own default
_ROUNDED: Final = 1e-5  # weights come rounded to six digits
_CLAIMS_MAX: Final = 1000

Truth = Mapping[str, Sequence[Name]]  # by ISBN
Typed = Mapping[str, Mapping[str, set[str]]]  # by ISBN and shop, what it typed


class Found(NamedTuple):
    """What a lens says of a book: the values that pass, how sure it is, and every claim's text and weight."""

    values: tuple[str, ...]
    confidence: float
    weights: dict[str, float]


class Named(NamedTuple):
    """A person that an answer names, with what it is sure of that; passes: whether it is part of the answer."""

    name: Name
    confidence: float
    passes: bool


def measure(node: Node, data: Path, keys: Path, seed: int) -> list[Table]:
    """All tables of the data set."""
    folder = data / FOLDER
    truth: Truth = {row["isbn"]: read_authors(row["authors"]).names for row in table_of(folder / "truth.csv")}
    for predicate in (PREDICATE, READ_PREDICATE):
        node.predicate(predicate, cardinality="many", separator=SEPARATOR, wait_s=WAIT_S)
    import_rows(node, folder / "claims.csv", "isbn:{isbn}", PREDICATE, "{authors}", keys)
    typed = typed_by_shop(folder / "claims.csv", truth)
    rosters = {isbn: roster_of(shops) for isbn, shops in typed.items()}
    write(node, read_claims(typed, rosters, keys))
    found = {lens: ask(node, truth, PREDICATE, lens) for lens in SPEAKING}
    plain = {isbn: plain_vote(shops) for isbn, shops in typed.items()}
    answers = [
        *((reading, lens, one) for reading in READINGS for lens, one in [*found.items(), (PLAIN_VOTE, plain)]),
        *((BEFORE, lens, ask(node, truth, READ_PREDICATE, lens)) for lens in SPEAKING),
    ]
    rows = [score_answers(reading, lens, truth, one) for reading, lens, one in answers if is_of(reading, lens)]
    whole = Table("Book authors", merge_same(rows), plain_notes(plain, found["consensus"]))
    return [whole, trust_table(node, truth, rosters, seed)]


BY_NAME: Final = "claims read by the script"
SHORT_SILENT: Final = "the same, short lists deny nobody"
READINGS: Final = (AS_ANSWERED, BY_NAME, SHORT_SILENT)
BEFORE: Final = "read by the script before the import, as the lens answers"


def ask(node: Node, truth: Iterable[str], predicate: str, lens: str) -> dict[str, Found]:
    """The answers to all books."""
    found = {}
    for isbn in truth:
        answer = node.query(f"isbn:{isbn}", predicate, lens=lens, explain=True, limit=_CLAIMS_MAX)
        assert answer.explain is not None
        assert answer.explain.candidates_count <= _CLAIMS_MAX
        weights: dict[str, float] = defaultdict(float)
        for candidate in answer.explain.candidates:
            weights[str(candidate.value.value)] += candidate.weight
        values = answer.value if isinstance(answer.value, list) else []
        found[isbn] = Found(tuple(map(str, values)), answer.confidence, dict(weights))
    return found


def is_of(reading: str, lens: str) -> bool:
    """Whether a lens can be read so: recency answers with one claim, whatever the claims weigh."""
    return lens != RECENCY or reading in (AS_ANSWERED, BEFORE)


def score_answers(reading: str, lens: str, truth: Truth, found: Mapping[str, Found]) -> Row:
    """How right a lens's answers are once they are read."""
    return score(reading, lens, truth, {isbn: read(reading, found[isbn]) for isbn in truth})


def read(reading: str, one: Found) -> list[Named]:
    """The people of an answer: of the values that pass, or of all claims by what they weigh."""
    if reading not in (BY_NAME, SHORT_SILENT):
        names = distinct(name for value in one.values for name in read_authors(value).names)
        return [Named(name, one.confidence, passes=True) for name in names]
    roster = Roster(one.weights)
    shares = roster.shares(short_deny=reading == BY_NAME)
    return [Named(roster.names[at], share, share >= THRESHOLD - _ROUNDED) for at, share in shares.items()]


def distinct(names: Iterable[Name]) -> list[Name]:
    """Names of different people, the first of each."""
    found: list[Name] = []
    for name in names:
        if not any(same_person(name, known) for known in found):
            found.append(name)
    return found


def score(reading: str, lens: str, truth: Truth, named: Mapping[str, Sequence[Named]]) -> Row:
    """How well the sets of people match; calibrated person by person: is the one named an author of the book?"""
    overlaps, judged, answered = [], [], 0
    for isbn, true in truth.items():
        people = named[isbn]
        passing = [one.name for one in people if one.passes]
        answered += bool(passing)
        both = len(matched(passing, true))
        overlaps.append(Overlap(len(passing), len(true), both))
        judged += [Judged(one.confidence, bool(matched([one.name], true))) for one in people]
    sets = score_sets(overlaps)
    scores = {
        "precision": sets.precision,
        "recall": sets.recall,
        "F1": sets.f1,
        "F1 a book": sets.mean_f1,
        "whole set": sets.exact,
    }
    return make_row(reading, lens, len(truth), answered, scores, judged)


def matched(names: Iterable[Name], true: Sequence[Name]) -> list[Name]:
    """The true names that have a match, each with one name at most."""
    left = list(true)
    found = []
    for name in names:
        match = next((one for one in left if same_person(name, one)), None)
        if match is not None:
            left.remove(match)
            found.append(match)
    return found


def typed_by_shop(file: Path, truth: Truth) -> Typed:
    """What each shop typed about the books of the truth, straight from the file."""
    typed: dict[str, dict[str, set[str]]] = {isbn: defaultdict(set) for isbn in truth}
    for row in table_of(file):
        text = row["authors"].strip()
        if row["isbn"] in typed and text.casefold() not in SAYS_NOTHING:
            typed[row["isbn"]][row["source"].strip()].add(text)
    return typed


def plain_vote(shops: Mapping[str, set[str]]) -> Found:
    """A majority vote over shops, without the database: what half of them say, as typed between separators."""
    weights: dict[str, float] = defaultdict(float)
    holders: dict[str, int] = defaultdict(int)
    for texts in shops.values():
        for text in sorted(texts):
            weights[text] += 1 / len(texts) / len(shops)
        for element in {piece.strip() for text in texts for piece in text.split(SEPARATOR)} - {""}:
            holders[element] += 1
    passing = sorted(element for element, count in holders.items() if 2 * count >= len(shops))
    confidence = min((part(holders[element], len(shops)) for element in passing), default=0.0)
    return Found(tuple(passing), confidence, dict(weights))


def plain_notes(plain: Mapping[str, Found], found: Mapping[str, Found]) -> list[str]:
    """Whether consensus is the plain vote."""
    same = sum(set(one.values) == set(found[isbn].values) for isbn, one in plain.items())
    sure = sum(abs(one.confidence - found[isbn].confidence) < _ROUNDED for isbn, one in plain.items())
    weighed = sum(
        one.weights.keys() == found[isbn].weights.keys()
        and all(abs(weight - found[isbn].weights[text]) < _ROUNDED for text, weight in one.weights.items())
        for isbn, one in plain.items()
    )
    equal = f"same values {same}, same confidence {sure}, same weight of every claim {weighed}"
    return [f"consensus and the plain vote, of {len(plain)} books: {equal}"]


def trust_table(node: Node, truth: Truth, rosters: Mapping[str, Roster], seed: int) -> Table:
    """Gold standards for one half of the books that were read before the import, scores on the other half."""
    told, held_out = halves(sorted(truth), seed)
    rest: Truth = {isbn: truth[isbn] for isbn in held_out}
    before = "without gold standards"
    answers = [(before, lens, ask(node, rest, READ_PREDICATE, lens)) for lens in ("consensus", "trust")]
    last = -1
    for isbn in told:
        names = [spelled(rosters[isbn], name) for name in truth[isbn]]
        last = node.gold(f"isbn:{isbn}", READ_PREDICATE, TextValue(as_text(names))).seq
    node.await_seq(last, WAIT_S)
    answers.append(("gold standards for the other half", "trust", ask(node, rest, READ_PREDICATE, "trust")))
    rows = [score_answers(reading, lens, rest, found) for reading, lens, found in answers]
    title = f"Book authors, read before the import, {len(rest)} held out, {len(told)} with gold standards"
    return Table(title, merge_same(rows), [])


def roster_of(shops: Mapping[str, set[str]]) -> Roster:
    """The people of a book by what all shops typed."""
    return Roster(plain_vote(shops).weights)


def read_claims(typed: Typed, rosters: Mapping[str, Roster], keys: Path) -> Iterable[SignedEvent]:
    """A claim for each shop and text that names anybody, each person spelled as the book's roster does."""
    signers: dict[str, Key] = {}
    for isbn, shops in typed.items():
        roster = rosters[isbn]
        for shop, texts in sorted(shops.items()):
            if shop not in signers:
                signers[shop] = Key.load(f"source/{quoted_part(shop)}", keys)
            for text in sorted(texts):
                people = [roster.names[at] for at in roster.people[text]]
                if people:
                    yield sign_event(_read_claim(isbn, as_text(people)), signers[shop])


def _read_claim(isbn: str, text: str) -> Assertion:
    return Assertion(
        v=2,
        subject=f"isbn:{isbn}",
        predicate=READ_PREDICATE,
        object=TextValue(text),
        confidence=CONFIDENCE,
        source_class=TIER,
        lifecycle="approved",
        timestamp=TIMESTAMP_MS,
    )


def spelled(roster: Roster, name: Name) -> Name:
    """A person as the book's roster spells it."""
    return next((known for known in roster.names if same_person(name, known)), name)


def as_text(names: Iterable[Name]) -> str:
    """A list of people as read_authors reads it back."""
    return f"{SEPARATOR} ".join(f"{name.last}, {' '.join(name.given)}" if name.given else name.last for name in names)
