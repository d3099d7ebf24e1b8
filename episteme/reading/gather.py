"""Hydration: all claims of a pair as they stood at a position, as candidates.

Everything that a candidate carries is as of one moment: signers by the position
of their signature, votes, the rule by which values are compared, aliases, and
the trust of each signer.  Nothing is filtered here but what did not exist, and
signers whose key did not speak any more.

Source: docs/questions.md, docs/governance.md.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from episteme.decay import Decay
from episteme.errors import TooManyCandidates
from episteme.lenses import DEFAULT_LENS, LENSES, PLAIN, Candidate, Comparison, Lens, Signer, make_candidate
from episteme.reading.question import Moment
from episteme.standing import trusts_at
from model import TIER_BY_SOURCE_CLASS, to_micros
from stores import (
    AliasStore,
    AssertionStore,
    ClaimRow,
    IndexStore,
    PredicateRow,
    PredicateStore,
    Reader,
    RevocationStore,
    Rulings,
    RulingsStore,
    Tally,
    VoteStore,
)

SAME_SUBJECTS_MAX: Final = 100  # subjects that aliases make one: a query reads the claims of all
_UNBOUNDED: Final = 2**31


class Pool(Struct, frozen=True):
    """The claims that a question may see, in log order, before its filters.

    subjects: whose claims they are.  silenced: claims by hash whose every signer is revoked; not among candidates
    unless that was asked for.  rulings: what governance has done anywhere, to save looking where it did nothing.
    """

    subjects: tuple[str, ...]
    comparison: Comparison
    candidates: tuple[Candidate, ...]
    silenced: tuple[Candidate, ...]
    rulings: Rulings


class Sight(Struct, frozen=True, kw_only=True):
    """How claims are to be seen.  weights: of a trust pack's members, in millionths; None: everybody's in full."""

    moment: Moment
    with_trust: bool = False
    with_revoked: bool = False
    decay: Decay | None = None
    weights: Mapping[bytes, int] | None = None
    count_max: int = _UNBOUNDED


class _Found(Struct, frozen=True, gc=False):
    """A claim as it is kept; untracked by the garbage collector, which would look at thousands of them in vain."""

    seq: int
    digest: bytes
    row: ClaimRow
    tally: Tally


def gather(reader: Reader, subject: str, predicates: Sequence[str], sight: Sight) -> Pool:
    """Hydrate the claims of a pair, or of several predicates of one context.

    Raises: TooManyCandidates.
    """
    rulings = RulingsStore(reader).get()
    subjects = same_subjects(reader, subject, sight.moment.at, rulings)
    return gather_of(reader, subjects, predicates, sight, rulings)


def gather_of(
    reader: Reader, subjects: tuple[str, ...], predicates: Sequence[str], sight: Sight, rulings: Rulings
) -> Pool:
    """The same of subjects that are known already, each once.

    Raises: TooManyCandidates.
    """
    rules = [comparison_of(rule_of(reader, predicate, sight.moment.at, rulings)) for predicate in predicates]
    if len(predicates) == 1:
        return _gather_pairs(reader, subjects, predicates[0], rules[0], sight, rulings)
    return _gather_context(reader, subjects, predicates, rules, sight, rulings)


def _gather_pairs(
    reader: Reader,
    subjects: tuple[str, ...],
    predicate: str,
    comparison: Comparison,
    sight: Sight,
    rulings: Rulings,
) -> Pool:
    at = sight.moment.at
    found: list[_Found] = []
    for name in subjects:
        found.extend(_hydrate(reader, name, predicate, at, sight.count_max - len(found)))
    if len(subjects) > 1:
        found.sort(key=lambda one: (one.seq, one.digest))
    if rulings.alias >= 0:
        comparison = _with_aliases(reader, comparison, found, at)
    return _pool(reader, subjects, comparison, found, sight, rulings)


def _gather_context(
    reader: Reader,
    subjects: tuple[str, ...],
    predicates: Sequence[str],
    rules: Sequence[Comparison],
    sight: Sight,
    rulings: Rulings,
) -> Pool:
    """Each predicate's claims by its own rule, but for the tolerance: values are held against those of the others."""
    many = any(rule.many for rule in rules)
    tolerance = next((rule.tolerance for rule in rules if rule.tolerance is not None), None)
    pools: list[Pool] = []
    for predicate, rule in zip(predicates, rules, strict=True):
        own = Comparison(many=many, tolerance=tolerance, separator=rule.separator if rule.many else None)
        left = sight.count_max - sum(len(pool.candidates) + len(pool.silenced) for pool in pools)
        limited = msgspec.structs.replace(sight, count_max=left)
        pools.append(_gather_pairs(reader, subjects, predicate, own, limited, rulings))
    return Pool(
        subjects,
        Comparison(many=many, tolerance=tolerance) if many or tolerance is not None else PLAIN,
        in_log_order(candidate for pool in pools for candidate in pool.candidates),
        in_log_order(candidate for pool in pools for candidate in pool.silenced),
        rulings,
    )


def in_log_order(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """By position, then by hash."""
    return tuple(sorted(candidates, key=lambda one: (one.seq, one.digest)))


def same_subjects(reader: Reader, subject: str, at: int | None, rulings: Rulings) -> tuple[str, ...]:
    """The subjects that aliases make one with this one, itself included, in byte order."""
    if rulings.alias < 0:
        return (subject,)
    return AliasStore(reader).same(subject, at, count_max=SAME_SUBJECTS_MAX)


def rule_of(reader: Reader, predicate: str, at: int | None, rulings: Rulings) -> PredicateRow | None:
    """How a predicate's values are compared, if that is declared."""
    return None if rulings.predicate < 0 else PredicateStore(reader).as_of(predicate, at)


def lens_by(rule: PredicateRow | None) -> Lens:
    """The lens of who names none: that of the predicate, else the database's.

    A rule may name a lens that this program does not know, or one that decides no pair: it is as if it named none.
    """
    named = None if rule is None else rule.event.default_lens
    lens = LENSES.get(named) if isinstance(named, str) else None
    return LENSES[DEFAULT_LENS] if lens is None or not lens.takes_predicate else lens


def comparison_of(rule: PredicateRow | None) -> Comparison:
    """The comparison that a rule declares."""
    if rule is None:
        return PLAIN
    event = rule.event
    return Comparison(
        many=event.cardinality == "many",
        tolerance=None if event.tolerance is UNSET else event.tolerance,
        separator=None if event.separator is UNSET else event.separator,
    )


def _hydrate(reader: Reader, subject: str, predicate: str, at: int | None, count_max: int) -> list[_Found]:
    seqs, digests = IndexStore(reader).columns_of_pair(
        subject, predicate, count_max=min(max(count_max, 0) + 1, _UNBOUNDED)
    )
    if at is not None:
        visible_count = bisect_right(seqs, at)
        del seqs[visible_count:], digests[visible_count:]
    if len(seqs) > count_max:
        raise TooManyCandidates(f"the pair has more claims than the {count_max} that one read may take")
    rows = AssertionStore(reader).claims(subject, digests)
    votes = VoteStore(reader)
    tallies = votes.tallies(subject, digests) if at is None else votes.tallies_at(subject, digests, at)
    if None in rows:
        raise AssertionError(f"{digests[rows.index(None)].hex()} is listed but not there")
    return list(map(_Found, seqs, digests, rows, tallies))  # type: ignore[arg-type]


def _with_aliases(reader: Reader, comparison: Comparison, found: Sequence[_Found], at: int | None) -> Comparison:
    aliases = AliasStore(reader)
    references = {str(one.row.claim.object.value) for one in found if one.row.claim.object.type == "reference"}
    same_as = {name: aliases.canonical(name, at) for name in sorted(references)}
    return Comparison(
        many=comparison.many, tolerance=comparison.tolerance, separator=comparison.separator, same_as=same_as
    )


def _pool(
    reader: Reader,
    subjects: tuple[str, ...],
    comparison: Comparison,
    found: Sequence[_Found],
    sight: Sight,
    rulings: Rulings,
) -> Pool:
    if not _looks_at_agents(sight, rulings) and sight.moment.at is None and sight.decay is None:
        return Pool(subjects, comparison, _plain(found, comparison), (), rulings)
    at = sight.moment.at
    agents = {s.agent for one in found for s in one.row.signatures}
    revoked = _revoked(reader, agents, at) if rulings.revocation >= 0 else frozenset()
    signer_of = _signer_maker(reader, agents, sight)
    candidates: list[Candidate] = []
    silenced: list[Candidate] = []
    for one in found:
        signatures = [s for s in one.row.signatures if at is None or s.seq <= at]
        speaking = [s for s in signatures if s.agent not in revoked] if revoked else signatures
        keeps_all = sight.with_revoked or not speaking
        timestamp = one.row.claim.timestamp
        signers = tuple([signer_of(s.agent, timestamp, s.seq) for s in (signatures if keeps_all else speaking)])
        confidence_micros = None if sight.decay is None else _decayed(one.row, sight.decay, sight.moment)
        candidate = _candidate(one, signers, comparison, confidence_micros)
        (candidates if speaking or sight.with_revoked else silenced).append(candidate)
    return Pool(subjects, comparison, tuple(candidates), tuple(silenced), rulings)


def _plain(found: Sequence[_Found], comparison: Comparison) -> tuple[Candidate, ...]:
    """The candidates of a newest state without anything that governs their signers: nearly all there are."""
    candidates = []
    for one in found:
        claim = one.row.claim
        timestamp = claim.timestamp
        signers = tuple([Signer(s.agent, timestamp, s.seq) for s in one.row.signatures])
        candidates.append(make_candidate(one.digest, claim, one.seq, signers, one.tally, comparison))
    return tuple(candidates)


def _candidate(
    one: _Found, signers: tuple[Signer, ...], comparison: Comparison, confidence_micros: int | None
) -> Candidate:
    return make_candidate(one.digest, one.row.claim, one.seq, signers, one.tally, comparison, confidence_micros)


def _looks_at_agents(sight: Sight, rulings: Rulings) -> bool:
    return sight.with_trust or sight.weights is not None or rulings.revocation >= 0


def _revoked(reader: Reader, agents: Iterable[bytes], at: int | None) -> frozenset[bytes]:
    ordered = sorted(agents)
    rows = RevocationStore(reader).get_many(ordered)
    pairs = zip(ordered, rows, strict=True)
    return frozenset(agent for agent, row in pairs if row is not None and (at is None or row.seq <= at))


def _signer_maker(reader: Reader, agents: Iterable[bytes], sight: Sight) -> Callable[[bytes, int, int], Signer]:
    weights = sight.weights
    if not sight.with_trust and weights is None:
        return Signer
    trusts = trusts_at(reader, sorted(agents), sight.moment.at, sight.moment.time_ms) if sight.with_trust else {}

    def make(agent: bytes, timestamp: int, seq: int) -> Signer:
        weight = 0 if weights is None else weights.get(agent, 0)
        trust = trusts.get(agent)
        full = Signer(agent, timestamp, seq) if trust is None else Signer(agent, timestamp, seq, trust)
        return full if weights is None else Signer(agent, timestamp, seq, full.trust_micros, weight)

    return make


def _decayed(row: ClaimRow, decay: Decay, moment: Moment) -> int:
    claim = row.claim
    age_ms = max(0, moment.now_ms - claim.timestamp)
    return decay.confidence(to_micros(claim.confidence), TIER_BY_SOURCE_CLASS[claim.source_class], age_ms)
