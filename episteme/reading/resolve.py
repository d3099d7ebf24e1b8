"""The read path: find the moment, gather, admit, resolve; or take the pair's view where that is the exact answer.

A question that the view answers takes a few gets; any other reads the pair's
posting list, hydrates the claims and resolves them.  Both give the same
answer, which a test proves over random histories.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from episteme.decay import Decay
from episteme.errors import AsOfBeyond, FieldProblem, InvalidParameter, NotFound
from episteme.lenses import (
    CONSTRAINT_PREDICATES,
    Candidate,
    Finding,
    Lens,
    Terms,
    lens_named,
    make_terms,
)
from episteme.reading.admit import Admitted, Hidden, admit, find_hidden
from episteme.reading.gather import Pool, Sight, gather, lens_by, rule_of
from episteme.reading.question import CANDIDATES_MAX, AsOf, Moment, Question
from episteme.reading.views import Seen, view_of
from episteme.reading.warnings import warnings_of
from model import SIGNATURES_MAX, AnyValue
from stores import (
    AssertionRow,
    AssertionStore,
    IndexStore,
    MetaStore,
    Reader,
    Resolution,
    RulingsStore,
    TrustPackStore,
    ViewGround,
    ViewRow,
    ViewStore,
)
from wal import wall_ms

_TIME: Final = struct.Struct("<Q")
_NO_TERMS: Final = Terms()

# Claims of a pair and agents behind them: read in a third of a millisecond, where a thread would cost as much again.
QUICK_CLAIMS_MAX: Final = 64


class PastClock(Struct, frozen=True):
    """What only the log knows: the time at a position, and the last position at a time, in milliseconds since 1970."""

    time_at: Callable[[int], int]
    last_by: Callable[[int], int]


class Resolved(Struct, frozen=True, kw_only=True):
    """What a question came to, and what it rests on; a view's finding is cut to the usual limit, others are whole.

    pool, admitted, hidden: None where the view answered; an explanation needs them.
    values: a many-valued predicate's answer; None for one that has one value.
    """

    lens: Lens
    terms: Terms
    finding: Finding
    groups_count: int
    winner: AssertionRow | None
    values: tuple[AnyValue, ...] | None
    subjects: tuple[str, ...]
    warnings: tuple[str, ...]
    moment: Moment
    pool: Pool | None = None
    admitted: Admitted | None = None


def ask(reader: Reader, question: Question, now_ms: int, past: PastClock) -> Resolved:
    """Answer a question from one snapshot.

    now_ms: milliseconds since 1970, from which ages are counted.
    Raises: UnknownLens; InvalidParameter; AsOfBeyond; NotFound for a pack; TooManyCandidates.
    """
    seen = ask_view(reader, question, now_ms, MetaStore(reader).cursor() - 1)
    if seen is not None:
        return seen
    moment = moment_of(reader, question.as_of, now_ms, past)
    lens = default_lens(reader, question, moment.at) if question.lens is None else lens_named(question.lens)
    return resolve_full(reader, lens, question, moment)


def ask_view(reader: Reader, question: Question, now_ms: int, newest: int) -> Resolved | None:
    """As ask, if the pair's view is the exact answer; else None, for the price of a few gets.

    newest: the last event that the reader has folded.
    Raises: UnknownLens.
    """
    if not question.fits_view:
        return None
    seen = view_of(reader, question)
    return None if seen is None else _from_view(seen, question, _moment_of_view(seen.row, now_ms, newest))


def ask_soon(reader: Reader, question: Question, now_ms: int, newest: int, past: PastClock) -> Resolved | None:
    """As ask, if that takes a fraction of a millisecond: from the view, or of a few claims; else None.

    newest: the last event that the reader has folded.
    Raises: as ask.
    """
    seen = ask_view(reader, question, now_ms, newest)
    if seen is not None or not _is_quick(reader, question):
        return seen
    lens = default_lens(reader, question, None) if question.lens is None else lens_named(question.lens)
    moment = Moment(None, newest, _newest_time_ms(MetaStore(reader), newest, past), now_ms)
    return resolve_full(reader, lens, question, moment)


def _is_quick(reader: Reader, question: Question) -> bool:
    """Whether a full read is of a few claims with a few signers: those of claims that are left out are not counted."""
    predicate = question.predicate
    if predicate is None or question.as_of or question.explain or question.pack:
        return False
    count = IndexStore(reader).pair_count(question.subject, predicate)
    if not count:
        return True
    row, rulings = ViewStore(reader).get_ruled(question.subject, predicate)
    if row is None or rulings.alias >= 0 or count > row.resolution.candidates_count:
        return False
    return count + sum([group.support for group in row.resolution.groups]) <= QUICK_CLAIMS_MAX


def default_lens(reader: Reader, question: Question, at: int | None) -> Lens:
    """The lens of a question that names none, as of a position."""
    if question.predicate is None:
        return lens_by(None)
    return lens_by(rule_of(reader, question.predicate, at, RulingsStore(reader).get()))


def moment_of(reader: Reader, as_of: AsOf | None, now_ms: int, past: PastClock) -> Moment:
    """The position that a question is for.  Raises: AsOfBeyond, which names the position that is applied."""
    meta = MetaStore(reader)
    newest = meta.cursor() - 1
    if as_of is None:
        return Moment(None, newest, _newest_time_ms(meta, newest, past), now_ms)
    if as_of.seq is not None:
        at, as_of_ms = as_of.seq, None
    else:
        as_of_ms = now_ms - as_of.span_ms if as_of.span_ms is not None else as_of.time_ms
        assert as_of_ms is not None
        if as_of_ms > now_ms:
            raise _beyond(f"{as_of_ms} ms, which is {as_of_ms - now_ms} ms ahead of the database's clock", newest)
        at = past.last_by(as_of_ms)
    if at > newest:
        raise _beyond(f"seq {at}", newest)
    time_ms = past.time_at(at) if at >= 0 else 0
    return Moment(at, at, time_ms, time_ms if as_of_ms is None else as_of_ms)


def _newest_time_ms(meta: MetaStore, newest: int, past: PastClock) -> int:
    """The log's time at the newest position, as the state remembers it: a get is cheaper than the log's frame."""
    mark = meta.last()
    if mark is not None:
        return wall_ms(_TIME.unpack_from(mark)[0])
    return past.time_at(newest) if newest >= 0 else 0


def resolve_full(reader: Reader, lens: Lens, question: Question, moment: Moment) -> Resolved:
    """The full read.  Raises: InvalidParameter; NotFound for a pack; TooManyCandidates."""
    predicates = predicates_of(lens, question)
    pool = gather(reader, question.subject, predicates, sight_of(reader, lens, question, moment))
    admitted = admit(pool, find_hidden(reader, pool.candidates, moment.at, pool), question)
    return resolve_pool(reader, lens, question, moment, pool, admitted)


def resolve_pool(
    reader: Reader, lens: Lens, question: Question, moment: Moment, pool: Pool, admitted: Admitted
) -> Resolved:
    """What a lens makes of claims that are hydrated and filtered.  Raises: InvalidParameter."""
    terms = make_terms(lens, dict(question.params), pool.comparison)
    finding = lens.resolve(admitted.candidates, terms)
    resolution = finding.resolution
    is_many = pool.comparison.many and lens.takes_predicate
    return Resolved(
        lens=lens,
        terms=terms,
        finding=finding,
        groups_count=len(resolution.groups),
        winner=winning_row(reader, resolution.winner, admitted.candidates, moment.at),
        values=finding.values if is_many else None,
        subjects=pool.subjects,
        warnings=warnings_of(
            reader, admitted.candidates, resolution, is_many=is_many, at=moment.at, rulings=pool.rulings
        ),
        moment=moment,
        pool=pool,
        admitted=admitted,
    )


def resolve_again(lens: Lens, question: Question, pool: Pool, hidden: Hidden) -> Finding:
    """Another lens, or another set of claims, over a pool that is hydrated already."""
    terms = make_terms(lens, dict(question.params), pool.comparison)
    return lens.resolve(admit(pool, hidden, question).candidates, terms)


def sight_of(reader: Reader, lens: Lens, question: Question, moment: Moment, *, with_trust: bool = False) -> Sight:
    """How a question sees claims.  Raises: InvalidParameter; NotFound for a pack."""
    return Sight(
        moment=moment,
        with_trust=with_trust or lens.uses_trust or question.explain,
        with_revoked="revoked" in question.include,
        decay=None if question.decay is None else Decay.parse(question.decay),
        weights=None if question.pack is None else _weights_of(reader, question.pack, moment.at),
        count_max=CANDIDATES_MAX,
    )


def predicates_of(lens: Lens, question: Question) -> tuple[str, ...]:
    """Which predicates a lens reads.  Raises: InvalidParameter for one too many or too few."""
    if not lens.takes_predicate:
        if question.predicate is not None:
            raise _invalid("predicate", f"is given; lens {lens.name} reads {' and '.join(CONSTRAINT_PREDICATES)}")
        return CONSTRAINT_PREDICATES
    if question.predicate is None:
        raise _invalid("predicate", "is missing")
    return (question.predicate,)


def winning_row(
    reader: Reader, digest: bytes | None, candidates: Sequence[Candidate], at: int | None
) -> AssertionRow | None:
    """The winner as it is kept, with its signatures as of a position.

    As many as an envelope holds: the answer's can be sent as it is, and a view stays small.
    """
    if digest is None:
        return None
    subject = next(candidate.claim.subject for candidate in candidates if candidate.digest == digest)
    row = AssertionStore(reader).get(subject, digest)
    assert row is not None, "the winner is one of the candidates"
    signatures = row.signatures if at is None else tuple(s for s in row.signatures if s.seq <= at)
    return msgspec.structs.replace(row, signatures=signatures[:SIGNATURES_MAX])


def cut(resolution: Resolution, limit: int) -> Resolution:
    """At most limit groups, and at most limit hashes in all of them together, first groups first."""
    left = limit
    if len(resolution.groups) <= limit and sum([len(group.hashes) for group in resolution.groups]) <= limit:
        return resolution
    groups = []
    for group in resolution.groups[:limit]:
        hashes = group.hashes[:left]
        left -= len(hashes)
        groups.append(msgspec.structs.replace(group, hashes=hashes))
    return msgspec.structs.replace(resolution, groups=tuple(groups))


def compute_view(reader: Reader, subject: str, predicate: str, seq: int, time: int) -> ViewRow:
    """The pair's view by a full read: what the fold's tallies are held against.

    seq and time are those of the last event that touched the pair.
    """
    question = Question(subject=subject, predicate=predicate)
    lens = default_lens(reader, question, None)
    moment = Moment(None, seq, wall_ms(time), 0)
    found = resolve_full(reader, lens, question, moment)
    resolution = cut(found.finding.resolution, question.limit)
    return ViewRow(resolution, found.groups_count, found.winner, seq, time, ViewGround())


def _moment_of_view(row: ViewRow, now_ms: int, newest: int) -> Moment:
    """The newest position, at the time of the pair's last event: a view judges no trust, which alone drifts on."""
    return Moment(None, newest, wall_ms(row.time), now_ms)


def _from_view(seen: Seen, question: Question, moment: Moment) -> Resolved:
    row = seen.row
    return Resolved(
        lens=seen.lens,
        terms=_NO_TERMS,
        finding=Finding(row.resolution),
        groups_count=row.groups_count,
        winner=row.winner,
        values=tuple(group.value for group in row.resolution.groups) if seen.is_many else None,
        subjects=(question.subject,),
        warnings=(),
        moment=moment,
    )


def _weights_of(reader: Reader, pack: str, at: int | None) -> dict[bytes, int]:
    row = TrustPackStore(reader).as_of(pack, at)
    if row is None:
        raise NotFound(f"no trust pack {pack} there")
    return {member.agent: member.weight_micros for member in row.members}


def _beyond(asked: str, newest: int) -> AsOfBeyond:
    detail = f"as of {asked} is asked; applied is seq {newest}"
    return AsOfBeyond(detail, errors=(FieldProblem("as_of", detail),))


def _invalid(name: str, detail: str) -> InvalidParameter:
    return InvalidParameter(f"{name} {detail}", errors=(FieldProblem(name, detail),))
