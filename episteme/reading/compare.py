"""Several lenses over one hydrated set of claims, and which single claims hold each answer up.

A lever of a lens is a claim without which it would name another winner.  Every
claim that takes part is tried by leaving it out and resolving again, chains and
all, up to a bound; past it the heaviest claims are tried.

Source: docs/questions.md, "Comparing lenses".
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from episteme.api import AnyWinner, Comparison, Disagreement, Lever
from episteme.lenses import Candidate, Finding, Lens, value_of
from episteme.reading.admit import Hidden, admit, find_hidden
from episteme.reading.answer import make_answer, value_or_many
from episteme.reading.gather import Pool, gather
from episteme.reading.question import Moment, Question
from episteme.reading.resolve import Resolved, resolve_again, resolve_pool, sight_of
from stores import Reader

COMPARED: Final = ("recency", "consensus", "confidence", "votes", "trust", "authority", "layered")  # unless named
LEVERS_TRIED_MAX: Final = 100  # claims, for each lens: a resolution each, of as many claims as take part
LEVERS_WORK_MAX: Final = 20_000  # candidates resolved while trying, for each lens: some 100 ms


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
    names: dict[bytes, list[str]] = {}
    values: dict[bytes, AnyWinner] = {}
    for one in asked:
        value = _value_of(one.resolved.finding, pool)
        key = _key_of(one.resolved.finding, pool)
        names.setdefault(key, []).append(one.lens.name)
        values.setdefault(key, value)
    return [Disagreement(values[key], lenses) for key, lenses in names.items()]


def _levers(
    asked: Sequence[_Lensed], pool: Pool, hidden: Hidden, candidates: Sequence[Candidate]
) -> tuple[list[Lever], bool]:
    levers = []
    count_max = min(LEVERS_TRIED_MAX, max(1, LEVERS_WORK_MAX // max(1, len(candidates))))
    for one in asked:
        finding = one.resolved.finding
        if finding.resolution.winner is None:
            continue
        weights = finding.weights
        ordered = sorted(candidates, key=lambda c: (-weights.get(c.digest, 0.0), c.tie))
        before = _key_of(finding, pool)
        for candidate in ordered[:count_max]:
            without = msgspec.structs.replace(
                pool, candidates=tuple(c for c in pool.candidates if c.digest != candidate.digest)
            )
            again = resolve_again(one.lens, one.question, without, hidden)
            if _key_of(again, without) != before:
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


def _key_of(finding: Finding, pool: Pool) -> bytes:
    """What two winners have in common that are the same value: not their spelling, but their group."""
    winner = finding.resolution.winner
    if winner is None:
        return b""
    candidates = {candidate.digest: candidate for candidate in pool.candidates}
    if pool.comparison.many:
        return b"many" + msgspec.msgpack.encode(sorted(msgspec.json.encode(value) for value in finding.values))
    group = next(group for group in finding.resolution.groups if winner in group.hashes)
    return msgspec.msgpack.encode(min(candidates[digest].key for digest in group.hashes))
