"""How the answer of a pair moved: asked again as of every position that may have changed it.

Which positions those are is known from the rows of the pair's own claims and of
what governs them; the log is not replayed.

Source: docs/questions.md, "History".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from episteme.api import History, LensInfo, Turn
from episteme.errors import NotFound, TooManyCandidates
from episteme.lenses import Candidate, Lens
from episteme.reading.answer import value_or_many
from episteme.reading.gather import Pool, Sight, gather_of
from episteme.reading.question import CANDIDATES_MAX, AsOf, Moment, Question
from episteme.reading.resolve import PastClock, Resolved, default_lens, moment_of, predicates_of, resolve_full
from stores import (
    AliasStore,
    EpochStore,
    PredicateStore,
    Reader,
    RevocationStore,
    RulingsStore,
    SupersessionStore,
    TrustPackStore,
    TrustRankStore,
    VoteStore,
)

POSITIONS_TRIED_MAX: Final = 500  # answers computed for one page: with 20 claims, a quarter of a second
POSITIONS_TRIED_MIN: Final = 10  # so that pages go on, however large the pair
CLAIMS_RESOLVED_MAX: Final = 100_000  # in all of a page's answers: about a second
ROWS_READ_MAX: Final = 100_000  # of one kind, for one claim, agent or subject
EVER_SAME_MAX: Final = 1000  # subjects that aliases have ever made one with another; a class has 100 at a time
_CLAIM: Final = "claim"
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
    first = 0 if question.pack is None else _first_of_pack(reader, question.pack)
    positions = sorted(position for position in causes if position >= first)
    start = min(page.after, newest.position)
    before = _told(reader, lens, question, start, now_ms, past) if start >= first else None
    tries_max = _tries_max(causes)
    turns: list[Turn] = []
    tried, last = 0, None
    for position in positions:
        if position <= page.after:
            continue
        if len(turns) == page.turns_max or tried == tries_max:
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


def _tries_max(causes: Mapping[int, str]) -> int:
    """How many answers one page computes: fewer where each reads many claims."""
    claims_count = sum(cause == _CLAIM for cause in causes.values())
    return min(POSITIONS_TRIED_MAX, max(POSITIONS_TRIED_MIN, CLAIMS_RESOLVED_MAX // max(1, claims_count)))


def causes_of(reader: Reader, lens: Lens, question: Question, newest: Moment) -> dict[int, str]:
    """Every position that may have changed the answer, with what happened there; the first cause found names it."""
    found: dict[int, str] = {}
    for position, cause in _causes(reader, lens, question, newest):
        if 0 <= position <= newest.position:
            found.setdefault(position, cause)
    return found


def _causes(reader: Reader, lens: Lens, question: Question, newest: Moment) -> Iterator[tuple[int, str]]:
    predicates = predicates_of(lens, question)
    rulings = RulingsStore(reader).get()
    subjects = _ever_same(reader, question.subject) if rulings.alias >= 0 else (question.subject,)
    sight = Sight(moment=newest, with_revoked=True, count_max=CANDIDATES_MAX)
    pool = gather_of(reader, subjects, predicates, sight, rulings)
    for candidate in pool.candidates:
        yield candidate.seq, _CLAIM
    for candidate in pool.candidates:
        yield from ((signer.seq, "signature") for signer in candidate.signers)
        yield from ((seq, "vote") for seq in _votes_on(reader, candidate))
    yield from _rulings(reader, question, pool, predicates)
    if _may_use_trust(lens, question, pool) and rulings.trust >= 0:
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
        for subject in sorted(_named(reader, pool)):
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


def _named(reader: Reader, pool: Pool) -> set[str]:
    """The subjects whose aliases have a say: of the pair, and of what its claims name."""
    named = set(pool.subjects)
    references = {str(c.claim.object.value) for c in pool.candidates if c.claim.object.type == "reference"}
    for reference in sorted(references):
        if reference not in named:
            named.update(_ever_same(reader, reference))
    return named


def _ever_same(reader: Reader, subject: str) -> tuple[str, ...]:
    """The subject and all that aliases have ever made one with it: an alias that was taken back had its time."""
    found = AliasStore(reader).ever_same(subject, count_max=EVER_SAME_MAX + 1)
    if len(found) > EVER_SAME_MAX:
        raise TooManyCandidates(f"more than {EVER_SAME_MAX} subjects were made one with {subject!r} over time")
    return found


def _may_use_trust(lens: Lens, question: Question, pool: Pool) -> bool:
    """Now, or by a rule of the predicate that held earlier."""
    return lens.uses_trust or (question.lens is None and pool.rulings.predicate >= 0)


def _first_of_pack(reader: Reader, pack: str) -> int:
    """Where a pack begins: nobody could ask for it before."""
    positions = TrustPackStore(reader).positions(pack, count_max=ROWS_READ_MAX)
    if not positions:
        raise NotFound(f"no trust pack {pack} there")
    return positions[0]


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
