"""Gold standards, and what they make of those who claim: families GS, GS_LIST, GOLD, J, TRUST and TRUSTH.

A gold standard judges the claims of its pair in log order, and from then on
each claim and each signature that comes: every signer of a claim once.  A claim
whose own stage is deprecated or rejected says nothing that could be right or
wrong.  Values are compared as the predicate's rule and the aliases are at the
event that leads to the judgement, and a key that is revoked by then is not
judged.

Source: docs/governance.md, "Trust".
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from episteme.decay import drifted
from episteme.folds.authority import authorised, speaking
from episteme.folds.event import ASSERTION, LoggedEvent
from episteme.lenses import HIDDEN_LIFECYCLES, Comparison, same_value
from episteme.reading.gather import comparison_of
from keycodec import any_gold_key
from model import GoldStandard
from stores import (
    MICROS,
    AliasStore,
    AssertionStore,
    ClaimObject,
    ClaimRow,
    GoldRow,
    GoldWriter,
    IndexStore,
    Judgement,
    JudgementId,
    PredicateStore,
    RulingsWriter,
    Staging,
    TrustRank,
    TrustRankWriter,
)

GOLD_STANDARD: Final = "gold_standard"
RIGHT_MICROS: Final = 50_000
WRONG_MICROS: Final = -100_000

_ANY_GOLD: Final = any_gold_key()
_PAGE: Final = 256  # claims that are judged at a time
_COUNTER_BITS: Final = 16  # of a log time; above them are milliseconds since 1970


class TrustFold:
    """Keeps gold standards, and judges by them."""

    name = "trust"
    version = 1
    kinds = frozenset((ASSERTION, GOLD_STANDARD))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Judge a claim whose pair has a gold standard, or all claims of a pair that gets one."""
        if event.kind == ASSERTION:
            if state.get_often(_ANY_GOLD) is not None:
                _judge_one(event, state)
        elif event.kind == GOLD_STANDARD and authorised(event, state):
            _set(event, state)


def _judge_one(event: LoggedEvent, state: Staging) -> None:
    gold = GoldWriter(state).get(event.subject, event.predicate)
    if gold is None:
        return
    (row,) = AssertionStore(state).claims(event.subject, (event.digest,))
    assert row is not None, f"{event.digest.hex()} is not kept"
    joined = [signature.agent for signature in row.signatures if signature.seq == event.seq]
    _Judge(gold, event, state).judge(event.digest, row, joined)


def _set(event: LoggedEvent, state: Staging) -> None:
    """The newest of a pair holds; one that is taken late, after another, judges nothing."""
    gold = event.event
    assert isinstance(gold, GoldStandard), event.kind
    store = GoldWriter(state)
    known = store.get(gold.subject, gold.predicate)
    if known is not None and known.seq > event.seq:
        return
    if gold.removed is True:
        if known is not None:
            store.remove(gold.subject, gold.predicate)
        return
    row = GoldRow(gold, event.digest, event.seq, event.time)
    store.put(row)
    judge = _Judge(row, event, state)
    for digest, claim in _claims_of(gold.subject, gold.predicate, state):
        judge.judge(digest, claim, [signature.agent for signature in claim.signatures])


def _claims_of(subject: str, predicate: str, state: Staging) -> Iterator[tuple[bytes, ClaimRow]]:
    """A pair's claims in log order."""
    after = None
    while page := IndexStore(state).of_pair(subject, predicate, after=after, count_max=_PAGE):
        digests = [posting.digest for posting in page]
        for digest, row in zip(digests, AssertionStore(state).claims(subject, digests), strict=True):
            assert row is not None, f"{digest.hex()} is listed but not there"
            yield digest, row
        after = page[-1]


class _Judge:
    """One gold standard at one event."""

    def __init__(self, gold: GoldRow, event: LoggedEvent, state: Staging) -> None:
        self._gold = gold
        self._event = event
        self._state = state
        self._store = GoldWriter(state)
        self._comparison = _comparison_of(gold, state)
        value = gold.event.object
        self._value = ClaimObject(str(value.__struct_config__.tag), value.value)
        self._aliases = AliasStore(state)
        self._has_moved = False  # anybody's trust

    def judge(self, digest: bytes, row: ClaimRow, agents: Sequence[bytes]) -> None:
        """Judge these of a claim's signers, who have not been judged for it yet."""
        claim = row.claim
        if not agents or claim.lifecycle in HIDDEN_LIFECYCLES:
            return
        is_right = self._is_right(claim.object)
        for agent in speaking(agents, self._event.seq, self._state):
            which = JudgementId(self._gold.digest.hex(), agent.hex())
            if self._store.judgement(claim.subject, digest.hex(), which) is None:
                change_micros = RIGHT_MICROS if is_right else WRONG_MICROS
                judgement = Judgement(is_right, change_micros, self._event.seq, self._event.time)
                self._store.put_judgement(claim.subject, digest.hex(), which, judgement)
                self._move(which.agent, judgement)

    def _is_right(self, said: ClaimObject) -> bool:
        names = {str(one.value) for one in (said, self._value) if one.type == "reference"}
        same_as = {name: self._aliases.canonical(name) for name in sorted(names)}
        comparison = msgspec.structs.replace(self._comparison, same_as=same_as) if same_as else self._comparison
        return same_value(said, self._value, comparison)

    def _move(self, agent_hex: str, judgement: Judgement) -> None:
        ranks = TrustRankWriter(self._state)
        ranks.put(agent_hex, judged(ranks.get(agent_hex), judgement))
        if not self._has_moved:
            RulingsWriter(self._state).note("trust", judgement.seq)
            self._has_moved = True


def judged(rank: TrustRank, judgement: Judgement) -> TrustRank:
    """A rank after a judgement: what it has drifted to by then, moved and clamped."""
    score_micros = drifted(rank.score_micros, rank.time >> _COUNTER_BITS, judgement.time >> _COUNTER_BITS)
    return TrustRank(
        min(max(score_micros + judgement.change_micros, 0), MICROS),
        rank.right_count + judgement.is_right,
        rank.wrong_count + (not judgement.is_right),
        judgement.seq,
        judgement.time,
    )


def _comparison_of(gold: GoldRow, state: Staging) -> Comparison:
    """The predicate's, but for the tolerance if the gold standard has its own."""
    comparison = comparison_of(PredicateStore(state).get(gold.event.predicate))
    tolerance = gold.event.tolerance
    return msgspec.structs.replace(comparison, tolerance=tolerance) if isinstance(tolerance, str) else comparison
