"""From what a reading came to, to what a user gets."""

from collections.abc import Sequence

from episteme.api import (
    Answer,
    AnswerEnvelope,
    AnswerGroup,
    ChartRow,
    Constraint,
    Layer,
    LensInfo,
    ManyValue,
    StoredAssertion,
    Winner,
)
from episteme.lenses import ChartFinding, ConstraintFinding, LayerFinding
from episteme.reading.explain import explanation_of
from episteme.reading.question import Question
from episteme.reading.resolve import Resolved, cut
from model import SOURCE_CLASSES, AnyValue, to_envelope
from stores import MICROS, AssertionRow, AssertionStore, GroupRow, Reader
from wal import wall_ms


def make_answer(reader: Reader, question: Question, resolved: Resolved) -> Answer:
    """The answer to a question."""
    finding, moment = resolved.finding, resolved.moment
    resolution = finding.resolution
    is_many, limit = resolved.values is not None, question.limit
    return Answer(
        subject=question.subject,
        predicate=question.predicate,
        status=resolution.status,
        confidence=resolution.confidence,
        conflict=resolution.conflict,
        margin=resolution.margin,
        winner=_winner(resolution.winner, resolved),
        groups=[make_group(group) for group in cut(resolution, limit).groups],
        groups_count=resolved.groups_count,
        candidates_count=resolution.candidates_count,
        lens=LensInfo(resolution.lens, resolution.lens_version, dict(resolved.terms.params)),
        seq=moment.position,
        as_of=None if moment.at is None else f"seq:{moment.at}",
        warnings=list(resolved.warnings),
        audit_id=None,
        subjects=list(resolved.subjects) if len(resolved.subjects) > 1 else None,
        layers=[_layer(one, limit, is_many=is_many) for one in finding.layers] if finding.layers else None,
        map=[_chart_row(one) for one in finding.chart[:limit]] if finding.chart else None,
        constraints=None
        if resolved.lens.takes_predicate
        else _constraints(reader, finding.constraints, resolved, limit),
        constraints_count=None if resolved.lens.takes_predicate else len(finding.constraints),
        explain=explanation_of(resolved, limit) if question.explain else None,
    )


def make_stored(digest: bytes, row: AssertionRow) -> StoredAssertion:
    """An assertion with its position."""
    signed = row.signed(digest)
    envelope = to_envelope(signed.event, signed.signatures)
    return StoredAssertion(digest.hex(), row.seq, wall_ms(row.time), row.event, envelope.signatures)


def make_group(group: GroupRow) -> AnswerGroup:
    """One value of an answer."""
    return AnswerGroup(
        group.value,
        group.share,
        group.support,
        group.best_tier,
        group.votes_micros / MICROS,
        [digest.hex() for digest in group.hashes],
        group.hashes_count,
    )


def value_or_many(value: AnyValue, values: Sequence[AnyValue] | None) -> AnyValue | ManyValue:
    """A winner's value; values: those of a many-valued predicate."""
    return value if values is None else ManyValue(list(values))


def _winner(digest: bytes | None, resolved: Resolved) -> Winner | None:
    row = resolved.winner
    if digest is None or row is None:
        return None
    signed = row.signed(digest)
    envelope = to_envelope(signed.event, signed.signatures)
    value = value_or_many(row.event.object, resolved.values)
    return Winner(value, digest.hex(), AnswerEnvelope(envelope.event, envelope.signatures))


def _layer(layer: LayerFinding, limit: int, *, is_many: bool) -> Layer:
    resolution = cut(layer.resolution, limit)
    won = next((group for group in layer.resolution.groups if resolution.winner in group.hashes), None)
    return Layer(
        tier=layer.tier,
        source_class=SOURCE_CLASSES[layer.tier],
        status=resolution.status,
        value=None if won is None else value_or_many(won.value, layer.values if is_many else None),
        hash=None if resolution.winner is None else resolution.winner.hex(),
        confidence=resolution.confidence,
        conflict=resolution.conflict,
        margin=resolution.margin,
        candidates_count=resolution.candidates_count,
        groups=[make_group(group) for group in resolution.groups],
    )


def _chart_row(row: ChartFinding) -> ChartRow:
    return ChartRow(
        value=row.value,
        support_by_tier={SOURCE_CLASSES[tier]: agents for tier, agents in row.support_by_tier},
        first_timestamp=row.first_timestamp,
        last_timestamp=row.last_timestamp,
        confidence_min=row.confidence_min_micros / MICROS,
        confidence_max=row.confidence_max_micros / MICROS,
        sources_count=row.sources_count,
    )


def _constraints(
    reader: Reader, found: Sequence[ConstraintFinding], resolved: Resolved, limit: int
) -> list[Constraint]:
    assert resolved.admitted is not None, "a context has no view"
    subjects = {candidate.digest: candidate.claim.subject for candidate in resolved.admitted.candidates}
    constraints, left = [], limit
    for one in found[:limit]:
        row = AssertionStore(reader).get(subjects[one.best], one.best)
        assert row is not None, f"{one.best.hex()} is a candidate but not there"
        narrative = row.event.narrative
        hashes = [digest.hex() for digest in one.digests[:left]]
        left -= len(hashes)
        constraints.append(
            Constraint(
                kind=one.kind,
                value=one.value,
                holds=one.holds,
                reason=one.reason,
                source_class=SOURCE_CLASSES[one.tier],
                support=one.support,
                weight=one.weight_micros / MICROS,
                hash=one.best.hex(),
                hashes=hashes,
                narrative=narrative if isinstance(narrative, str) else None,
            )
        )
    return constraints
