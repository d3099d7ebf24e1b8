"""From what the store keeps to what a user gets."""

from episteme.api import Answer, AnswerEnvelope, AnswerGroup, LensInfo, StoredAssertion, Winner
from episteme.query import Question, Resolved
from model import to_envelope
from stores import MICROS, AssertionRow, GroupRow
from wal import wall_ms


def make_answer(question: Question, resolved: Resolved, seq: int) -> Answer:
    """The answer to a question, as of seq."""
    resolution = resolved.resolution
    return Answer(
        subject=question.subject,
        predicate=question.predicate,
        status=resolution.status,
        confidence=resolution.confidence,
        conflict=resolution.conflict,
        margin=resolution.margin,
        winner=_winner(resolution.winner, resolved.winner),
        groups=[_group(group) for group in resolution.groups],
        groups_count=resolved.groups_count,
        candidates_count=resolution.candidates_count,
        lens=LensInfo(resolution.lens, resolution.lens_version, {}),
        seq=seq,
        as_of=None,
        warnings=[],
        audit_id=None,
    )


def make_stored(digest: bytes, row: AssertionRow) -> StoredAssertion:
    """An assertion with its position."""
    signed = row.signed(digest)
    envelope = to_envelope(signed.event, signed.signatures)
    return StoredAssertion(digest.hex(), row.seq, wall_ms(row.time), row.event, envelope.signatures)


def _winner(digest: bytes | None, row: AssertionRow | None) -> Winner | None:
    if digest is None or row is None:
        return None
    signed = row.signed(digest)
    envelope = to_envelope(signed.event, signed.signatures)
    return Winner(row.event.object, digest.hex(), AnswerEnvelope(envelope.event, envelope.signatures))


def _group(group: GroupRow) -> AnswerGroup:
    return AnswerGroup(
        value=group.value,
        share=group.share,
        support=group.support,
        best_tier=group.best_tier,
        votes=group.votes_micros / MICROS,
        hashes=[digest.hex() for digest in group.hashes],
        hashes_count=group.hashes_count,
    )
