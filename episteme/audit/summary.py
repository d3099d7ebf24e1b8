"""From an answer to what an audit keeps of it.

Made where the answer is made, not where its audit is written: there all that it needs is
in the processor's caches.  A few hundred answers that wait as objects until a thread
comes to them were measured to cost twice as much, and as much again in what
they push out.

Source: docs/audit.md, "What is recorded".
"""

from collections.abc import Mapping
from typing import Final

from episteme.api import Answer
from episteme.audit.digest import answer_digest
from stores import QueryAudit

# What an answer about a whole context has read of it: docs/lenses.md.
CONTEXT_PREDICATES: Final = ("must_use", "forbidden")

_OWN_FIELDS: Final = frozenset({"subject", "predicate"})  # of an audit, and no parameters besides


def make_audit(
    answer: Answer, parameters: Mapping[str, str], agent: bytes | None, now_ms: int, *, contributions_max: int
) -> QueryAudit:
    """The audit of an answer; contributions_max: hashes in all."""
    lens, winner = answer.lens, answer.winner
    digests, shares = _contributions(answer, contributions_max)
    return QueryAudit(
        agent=agent,
        subject=answer.subject,
        predicates=CONTEXT_PREDICATES if answer.predicate is None else (answer.predicate,),
        parameters=tuple(sorted([item for item in parameters.items() if item[0] not in _OWN_FIELDS])),
        now_ms=now_ms,
        position=answer.seq,
        lens=lens.name,
        lens_version=lens.version,
        status=answer.status,
        winner=None if winner is None else bytes.fromhex(winner.hash),
        confidence=answer.confidence,
        conflict=answer.conflict,
        digests=digests,
        shares=shares,
        answer_digest=answer_digest(answer),
    )


def _contributions(answer: Answer, count_max: int) -> tuple[bytes, tuple[tuple[float, int], ...]]:
    """The hashes of the answer's assertions by value, in its order; each value's share and how many say it."""
    parts = _parts(answer)
    hashes = [one for _, listed in parts for one in listed]
    if len(hashes) <= count_max:  # as nearly always
        return bytes.fromhex("".join(hashes)), tuple([(weight, len(listed)) for weight, listed in parts if listed])
    hashes = []
    shares: list[tuple[float, int]] = []
    for weight, listed in parts:
        if len(hashes) + len(listed) > count_max:
            listed = listed[: count_max - len(hashes)]
        if listed:
            hashes += listed
            shares.append((weight, len(listed)))
    return bytes.fromhex("".join(hashes)), tuple(shares)


def _parts(answer: Answer) -> list[tuple[float, list[str]]]:
    if answer.layers is None:  # the groups of a layered answer are those of its best tier
        parts = [(group.share, group.hashes) for group in answer.groups]
    else:
        parts = [(group.share, group.hashes) for layer in answer.layers for group in layer.groups]
    if answer.constraints is not None:
        parts += [(constraint.weight, constraint.hashes) for constraint in answer.constraints]
    return parts
