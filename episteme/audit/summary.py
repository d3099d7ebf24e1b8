"""From what an answer says, as bytes, to what an audit keeps of it.

An answer is put into bytes where it is made and read again, in part, where its audit
is written: a few hundred answers that are kept as objects until then cost the
processor's caches more than both.

Source: docs/audit.md, "What is recorded".
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from episteme.audit.digest import digest_of
from stores import Contribution, QueryAudit, Status

# What an answer about a whole context has read of it: docs/lenses.md.
CONTEXT_PREDICATES: Final = ("must_use", "forbidden")


_OWN_FIELDS: Final = frozenset({"subject", "predicate"})  # of an audit, and no parameters besides


class _Winner(Struct, frozen=True, gc=False):
    hash: str


class _Lens(Struct, frozen=True, gc=False):
    name: str
    version: int


class _Group(Struct, frozen=True, gc=False):
    share: float
    hashes: list[str]


class _Layer(Struct, frozen=True, gc=False):
    groups: list[_Group]


class _Constraint(Struct, frozen=True, gc=False):
    weight: float
    hashes: list[str]


class _Said(Struct, frozen=True, gc=False):
    """The fields of an Answer that an audit keeps."""

    subject: str
    predicate: str | None
    lens: _Lens
    seq: int
    status: Status
    confidence: float
    conflict: float
    winner: _Winner | None
    groups: list[_Group]
    layers: list[_Layer] | None = None
    constraints: list[_Constraint] | None = None


_decode = msgspec.json.Decoder(_Said).decode


def make_audit(
    said: bytes, parameters: Mapping[str, str], agent: bytes | None, now_ms: int, *, contributions_max: int
) -> QueryAudit:
    """The audit of an answer.

    said: of the answer, as what_is_said gives it.  contributions_max: hashes in all.
    """
    answer = _decode(said)
    return QueryAudit(
        agent=agent,
        subject=answer.subject,
        predicates=CONTEXT_PREDICATES if answer.predicate is None else (answer.predicate,),
        parameters=tuple(sorted([item for item in parameters.items() if item[0] not in _OWN_FIELDS])),
        now_ms=now_ms,
        position=answer.seq,
        lens=answer.lens.name,
        lens_version=answer.lens.version,
        status=answer.status,
        winner=None if answer.winner is None else bytes.fromhex(answer.winner.hash),
        confidence=answer.confidence,
        conflict=answer.conflict,
        contributions=_contributions(answer, contributions_max),
        answer_digest=digest_of(said),
    )


def _contributions(answer: _Said, count_max: int) -> tuple[Contribution, ...]:
    """The answer's assertions by value, in its order, with the value's share."""
    found: list[Contribution] = []
    left = count_max
    for weight, hashes in _parts(answer):
        shown = hashes[:left]
        if shown:
            found.append(Contribution(weight, bytes.fromhex("".join(shown))))
            left -= len(shown)
    return tuple(found)


def _parts(answer: _Said) -> list[tuple[float, list[str]]]:
    if answer.layers is None:  # the groups of a layered answer are those of its best tier
        parts = [(group.share, group.hashes) for group in answer.groups]
    else:
        parts = [(group.share, group.hashes) for layer in answer.layers for group in layer.groups]
    if answer.constraints is not None:
        parts += [(constraint.weight, constraint.hashes) for constraint in answer.constraints]
    return parts
