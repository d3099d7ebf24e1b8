"""How the answer of a pair moved: asked again as of every position that may have changed it.

Which positions those are is known from the rows of the pair's own claims and of
what governs them; the log is not replayed.

Source: docs/questions.md, "History".
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from episteme.api import History, LensInfo, Turn
from episteme.lenses import Candidate, Lens
from episteme.reading.answer import value_or_many
from episteme.reading.gather import SAME_SUBJECTS_MAX, Pool, Sight, gather
from episteme.reading.question import AsOf, Moment, Question
from episteme.reading.resolve import PastClock, Resolved, default_lens, moment_of, predicates_of, resolve_full
from stores import (
    AliasStore,
    EpochStore,
    PredicateStore,
    Reader,
    RevocationStore,
    SupersessionStore,
    TrustPackStore,
    TrustRankStore,
    VoteStore,
)

POSITIONS_TRIED_MAX: Final = 500  # answers computed for one page: with 20 claims, a quarter of a second
ROWS_READ_MAX: Final = 100_000  # of one kind, for one claim, agent or subject
_FORGOTTEN: Final = "other"


class Page(NamedTuple):
    """Which turns are wanted: after an exclusive position, at most turns_max of them."""

    after: int
    turns_max: int


def history(reader: Reader, lens: Lens, question: Question, page: Page, now_ms: int, past: PastClock) -> History:
    """A page of the turns that a pair's answer took, oldest first.

    Raises: as resolve_full.
    """
    newest = moment_of(reader, None, now_ms, past)
    causes = causes_of(reader, lens, question, newest)
    positions = sorted(causes)
    before = _told(reader, lens, question, page.after, now_ms, past) if page.after >= 0 else None
    turns: list[Turn] = []
    tried, last = 0, None
    for position in positions:
        if position <= page.after:
            continue
        if len(turns) == page.turns_max or tried == POSITIONS_TRIED_MAX:
            break
        tried, last = tried + 1, position
        turn = _told(reader, lens, question, position, now_ms, past)
        turn = msgspec.structs.replace(turn, cause=causes[position])
        if _changed(before, turn):
            turns.append(turn)
            before = turn
    finished = last is None or last == positions[-1]
    return History(
        subject=question.subject,
        predicate=question.predicate or "",
        lens=LensInfo(lens.name, lens.version, dict(question.params)),
        seq=newest.position,
        turns=turns,
        next=None if finished else last,
    )


def causes_of(reader: Reader, lens: Lens, question: Question, newest: Moment) -> dict[int, str]:
    """Every position that may have changed the answer, with what happened there; the first cause found names it."""
    found: dict[int, str] = {}
    for position, cause in _causes(reader, lens, question, newest):
        if 0 <= position <= newest.position:
            found.setdefault(position, cause)
    return found


def _causes(reader: Reader, lens: Lens, question: Question, newest: Moment) -> Iterator[tuple[int, str]]:
    predicates = predicates_of(lens, question)
    sight = Sight(moment=newest, with_revoked=True)
    subjects = _ever_same(reader, question.subject)
    pools = [gather(reader, subject, predicates, sight) for subject in subjects]
    pool = Pool(subjects, pools[0].comparison, tuple(c for p in pools for c in p.candidates), (), pools[0].rulings)
    for candidate in pool.candidates:
        yield candidate.seq, "claim"
    for candidate in pool.candidates:
        yield from ((signer.seq, "signature") for signer in candidate.signers)
        yield from ((seq, "vote") for seq in _votes_on(reader, candidate))
    yield from _rulings(reader, question, pool, predicates)
    if lens.uses_trust and pool.rulings.trust >= 0:
        for agent in _agents_of(pool):
            changes = TrustRankStore(reader).changes(agent.hex(), count_max=ROWS_READ_MAX)
            yield from ((change.after.seq, "trust") for change in changes)


def _rulings(reader: Reader, question: Question, pool: Pool, predicates: Sequence[str]) -> Iterator[tuple[int, str]]:
    yield from _hiding(reader, pool)
    rulings = pool.rulings
    if rulings.predicate >= 0:
        for predicate in predicates:
            changes = PredicateStore(reader).positions(predicate, count_max=ROWS_READ_MAX)
            yield from ((seq, "predicate") for seq in changes)
    if rulings.alias >= 0:
        references = {str(c.claim.object.value) for c in pool.candidates if c.claim.object.type == "reference"}
        for subject in sorted({*pool.subjects, *references}):
            yield from ((seq, "alias") for seq in AliasStore(reader).positions(subject, count_max=ROWS_READ_MAX))
    if question.pack is not None:
        packs = TrustPackStore(reader).positions(question.pack, count_max=ROWS_READ_MAX)
        yield from ((seq, "pack") for seq in packs)


def _hiding(reader: Reader, pool: Pool) -> Iterator[tuple[int, str]]:
    rulings = pool.rulings
    if rulings.supersession >= 0:
        digests = [candidate.digest for candidate in pool.candidates]
        rows = SupersessionStore(reader).get_many(digests)
        yield from ((row.since, "supersession") for row in rows if row is not None)
    if rulings.epoch >= 0:
        for epoch in sorted({c.claim.epoch for c in pool.candidates if isinstance(c.claim.epoch, str)}):
            marker = EpochStore(reader).superseded(epoch)
            if marker is not None:
                yield marker.seq, "epoch"
    if rulings.revocation >= 0:
        revoked = RevocationStore(reader).get_many(_agents_of(pool))
        yield from ((row.seq, "revocation") for row in revoked if row is not None)


def _votes_on(reader: Reader, candidate: Candidate) -> list[int]:
    votes = VoteStore(reader).votes(candidate.claim.subject, candidate.digest.hex(), count_max=ROWS_READ_MAX)
    return [vote.seq for vote in votes]


def _ever_same(reader: Reader, subject: str) -> tuple[str, ...]:
    """The subject and all that aliases have ever made one with it: an alias that was taken back had its time."""
    return AliasStore(reader).ever_same(subject, count_max=SAME_SUBJECTS_MAX)


def _agents_of(pool: Pool) -> list[bytes]:
    return sorted({signer.agent for candidate in pool.candidates for signer in candidate.signers})


def _told(reader: Reader, lens: Lens, question: Question, at: int, now_ms: int, past: PastClock) -> Turn:
    asked = msgspec.structs.replace(question, as_of=AsOf(seq=at))
    moment = moment_of(reader, asked.as_of, now_ms, past)
    then = default_lens(reader, asked, at) if question.lens is None else lens
    return _turn(resolve_full(reader, then, asked, moment), moment)


def _turn(resolved: Resolved, moment: Moment) -> Turn:
    resolution, row = resolved.finding.resolution, resolved.winner
    return Turn(
        seq=moment.position,
        time_ms=moment.time_ms,
        cause=_FORGOTTEN,
        status=resolution.status,
        value=None if row is None else value_or_many(row.event.object, resolved.values),
        hash=None if resolution.winner is None else resolution.winner.hex(),
        confidence=resolution.confidence,
        conflict=resolution.conflict,
        candidates_count=resolution.candidates_count,
    )


def _changed(before: Turn | None, after: Turn) -> bool:
    """Whether anything but the place differs; before there is an answer, none is no change."""
    if before is None:
        return after.status != "none"
    return msgspec.structs.replace(after, seq=before.seq, time_ms=before.time_ms, cause=before.cause) != before
