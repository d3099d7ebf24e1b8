"""Several lenses over one hydrated set of claims, and which single claims hold each answer up.

A lever of a lens is a claim without which it would name another winner.  Every
claim that takes part is tried by leaving it out and resolving again, chains and
all, up to a bound; past it the heaviest claims are tried.

Source: docs/questions.md, "Comparing lenses".
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from episteme.api import AnyWinner, Comparison, Disagreement, Lever
from episteme.lenses import Candidate, Finding, Lens, same_value, value_key, value_of
from episteme.lenses import Comparison as ValueComparison
from episteme.reading.admit import Hidden, admit, find_hidden
from episteme.reading.answer import make_answer, value_or_many
from episteme.reading.gather import Pool, gather
from episteme.reading.question import Moment, Question
from episteme.reading.resolve import Resolved, resolve_again, resolve_pool, sight_of
from stores import ClaimObject, Reader

COMPARED: Final = ("recency", "consensus", "confidence", "votes", "trust", "authority", "layered")  # unless named
LEVERS_TRIED_MAX: Final = 100  # claims, for each lens: a resolution each, of as many claims as take part
LEVERS_WORK_MAX: Final = 20_000  # candidates resolved while trying, for each lens: some 100 ms

_Key = tuple[str, str]  # of a value: equal keys, equal values


class _Lensed(NamedTuple):
    lens: Lens
    question: Question
    resolved: Resolved


def compare(reader: Reader, question: Question, lenses: Sequence[Lens], moment: Moment) -> Comparison:
    """Answer one question under several lenses.

    Raises: InvalidParameter; NotFound for a pack; TooManyCandidates.
    """
    assert question.predicate is not None
    with_trust = any(lens.uses_trust for lens in lenses)
    sight = sight_of(reader, lenses[0], question, moment, with_trust=with_trust)
    pool = gather(reader, question.subject, (question.predicate,), sight)
    hidden = find_hidden(reader, pool.candidates, moment.at, pool)
    admitted = admit(pool, hidden, question)
    asked = []
    for lens in lenses:
        one = msgspec.structs.replace(question, lens=lens.name, params=params_for(lens, question))
        asked.append(_Lensed(lens, one, resolve_pool(reader, lens, one, moment, pool, admitted)))
    levers, complete = _levers(asked, pool, hidden, admitted.candidates)
    answers = [make_answer(reader, one.question, one.resolved) for one in asked]
    disagreement = _disagreement(asked, pool)
    return Comparison(
        subject=question.subject,
        predicate=question.predicate,
        seq=moment.position,
        as_of=None if moment.at is None else f"seq:{moment.at}",
        agree=len([one for one in disagreement if one.value is not None]) <= 1,
        answers=answers,
        disagreement=disagreement,
        levers=levers,
        levers_complete=complete,
    )


def params_for(lens: Lens, question: Question) -> tuple[tuple[str, str], ...]:
    """Of the parameters that were given for all lenses, those that this one has."""
    return tuple((name, value) for name, value in question.params if name in lens.parameters)


def _disagreement(asked: Sequence[_Lensed], pool: Pool) -> list[Disagreement]:
    """Winning values in the order of the lenses that chose them."""
    found: list[tuple[_Won | None, AnyWinner, list[str]]] = []
    for one in asked:
        won = _won(one.resolved.finding, pool)
        names = next((names for other, _, names in found if _is_same(won, other, pool.comparison)), None)
        if names is None:
            found.append((won, _value_of(one.resolved.finding, pool), [one.lens.name]))
        else:
            names.append(one.lens.name)
    return [Disagreement(value, names) for _, value, names in found]


def _levers(
    asked: Sequence[_Lensed], pool: Pool, hidden: Hidden, candidates: Sequence[Candidate]
) -> tuple[list[Lever], bool]:
    levers = []
    count_max = min(LEVERS_TRIED_MAX, max(1, LEVERS_WORK_MAX // max(1, len(candidates))))
    for one in asked:
        finding = one.resolved.finding
        if finding.resolution.winner is None and not pool.comparison.many:
            continue  # a lens that names none; of many values none may have passed
        weights = finding.weights
        ordered = sorted(candidates, key=lambda c: (-weights.get(c.digest, 0.0), c.tie))
        before = _won(finding, pool)
        for candidate in ordered[:count_max]:
            without = msgspec.structs.replace(
                pool, candidates=tuple(c for c in pool.candidates if c.digest != candidate.digest)
            )
            again = resolve_again(one.lens, one.question, without, hidden)
            if not _is_same(before, _won(again, without), pool.comparison):
                levers.append(_lever(one, candidate, pool, again, without))
    return levers, len(candidates) <= count_max


def _lever(one: _Lensed, candidate: Candidate, pool: Pool, again: Finding, without: Pool) -> Lever:
    return Lever(
        lens=one.lens.name,
        hash=candidate.digest.hex(),
        value=value_of(candidate.claim.object),
        winner=_value_of(one.resolved.finding, pool),
        winner_without=_value_of(again, without),
    )


def _value_of(finding: Finding, pool: Pool) -> AnyWinner:
    winner = finding.resolution.winner
    if winner is None:
        return None
    said = next(candidate for candidate in pool.candidates if candidate.digest == winner)
    return value_or_many(value_of(said.claim.object), finding.values if pool.comparison.many else None)


class _Won(NamedTuple):
    """A winner, as it can be told from another.

    keys: of all claims of the winning value, which may differ within a tolerance; key: the winning claim's own.
    Of a many-valued predicate keys are those of the values that pass, and key has no say.
    """

    keys: frozenset[_Key]
    key: _Key


def _won(finding: Finding, pool: Pool) -> _Won | None:
    winner = finding.resolution.winner
    if winner is None:
        return None
    keys = {candidate.digest: candidate.key for candidate in pool.candidates}
    if pool.comparison.many:
        same_as = pool.comparison.same_as
        return _Won(frozenset(_named(value_key(value), same_as) for value in finding.values), keys[winner])
    group = next(group for group in finding.resolution.groups if winner in group.hashes)
    return _Won(frozenset(keys[digest] for digest in group.hashes), keys[winner])


def _named(key: _Key, same_as: Mapping[str, str]) -> _Key:
    """A reference by the subject that stands for it."""
    kind, value = key
    return (kind, same_as.get(value, value)) if kind == "reference" else key


def _is_same(one: _Won | None, other: _Won | None, comparison: ValueComparison) -> bool:
    """Whether two winners are one value: in whatever spelling, and as one of the two lenses groups what is near."""
    if one is None or other is None:
        return one is other
    if not comparison.many:
        return one.key in other.keys or other.key in one.keys
    return one.keys == other.keys or (comparison.tolerance is not None and _are_near(one.keys, other.keys, comparison))


def _are_near(one: frozenset[_Key], other: frozenset[_Key], comparison: ValueComparison) -> bool:
    """Whether two sets differ in numbers alone, and in each by no more than the tolerance."""
    if len(one) != len(other) or any(kind != "number" for kind, _ in one ^ other):
        return False
    numbers = [
        [
            ClaimObject("number", text)
            for text in sorted((value for kind, value in keys if kind == "number"), key=Decimal)
        ]
        for keys in (one, other)
    ]
    return all(same_value(mine, theirs, comparison) for mine, theirs in zip(*numbers, strict=True))
