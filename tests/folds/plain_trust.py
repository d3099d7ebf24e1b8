"""Who has earned what trust, written once more from docs/governance.md in the plainest way: one event after another."""

import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from episteme.decay import drifted
from episteme.folds import LoggedEvent
from model import (
    Alias,
    AnyValue,
    Assertion,
    DatabaseRules,
    Event,
    GoldStandard,
    KeyRevocation,
    PredicateRule,
    TextValue,
)

START = 500_000


class Score(NamedTuple):
    micros: int
    right: int
    wrong: int
    time_ms: int


class PlainTrust:
    """What is true after the events that it was given."""

    def __init__(self) -> None:
        self.scores: dict[bytes, Score] = {}
        self.judged: set[tuple[bytes, bytes, bytes]] = set()  # claim, gold standard, signer
        self.golds: dict[tuple[str, str], tuple[bytes, GoldStandard]] = {}
        self._rules = DatabaseRules()
        self._revoked: set[bytes] = set()
        self._signers: dict[bytes, list[bytes]] = {}
        self._counted: set[bytes] = set()
        self._claims: dict[bytes, Assertion] = {}
        self._predicates: dict[str, PredicateRule] = {}
        self._aliases: dict[str, str] = {}

    def take(self, logged: LoggedEvent) -> None:
        if logged.kind == "rules":
            self._rules = logged.rules
            return
        event, digest = logged.event, logged.digest
        signers = self._signers.setdefault(digest, [])
        joined = [one.agent for one in logged.signatures if one.agent not in signers]
        signers += joined
        if isinstance(event, Assertion):
            self._claims.setdefault(digest, event)
            self._judge(digest, joined, logged.time >> 16)
        else:
            self._govern(event, digest, logged.time >> 16)

    def _govern(self, event: Event, digest: bytes, time_ms: int) -> None:
        speaking = [one for one in self._signers[digest] if one not in self._revoked]
        by_operator = any(one in self._rules.operators for one in speaking)
        if isinstance(event, KeyRevocation):
            key = bytes.fromhex(event.revoked)
            if by_operator or key in speaking:
                self._revoked.add(key)
        if not by_operator or digest in self._counted:
            return
        self._counted.add(digest)
        if isinstance(event, PredicateRule):
            self._predicates[event.predicate] = event
        elif isinstance(event, Alias):
            self._aliases[event.subject] = event.same_as
        elif isinstance(event, GoldStandard):
            self._set(event, digest, time_ms)

    def _set(self, gold: GoldStandard, digest: bytes, time_ms: int) -> None:
        pair = (gold.subject, gold.predicate)
        if gold.removed is True:
            self.golds.pop(pair, None)
            return
        self.golds[pair] = (digest, gold)
        for claim in self._claims:
            self._judge(claim, self._signers[claim], time_ms)

    def _judge(self, digest: bytes, agents: Iterable[bytes], time_ms: int) -> None:
        claim = self._claims[digest]
        found = self.golds.get((claim.subject, claim.predicate))
        if found is None or claim.lifecycle in ("deprecated", "rejected"):
            return
        gold_digest, gold = found
        is_right = self.are_same(claim.object, gold)
        for agent in agents:
            judgement = (digest, gold_digest, agent)
            if agent in self._revoked or judgement in self.judged:
                continue
            self.judged.add(judgement)
            known = self.scores.get(agent, Score(START, 0, 0, time_ms))
            micros = drifted(known.micros, known.time_ms, time_ms) + (50_000 if is_right else -100_000)
            micros = max(0, min(1_000_000, micros))
            self.scores[agent] = Score(micros, known.right + is_right, known.wrong + (not is_right), time_ms)

    def are_same(self, value: AnyValue, gold: GoldStandard) -> bool:
        rule = self._predicates.get(gold.predicate)
        tolerance = gold.tolerance
        if not isinstance(tolerance, str) and rule is not None:
            tolerance = rule.tolerance
        one, other = self._elements(value, rule), self._elements(gold.object, rule)
        if one == other:
            return True
        if not isinstance(tolerance, str) or len(one) != 1 or len(other) != 1:
            return False
        (a,), (b,) = one, other
        return isinstance(a, Decimal) and isinstance(b, Decimal) and abs(a - b) <= Decimal(tolerance)

    def _elements(self, value: AnyValue, rule: PredicateRule | None) -> frozenset[object]:
        kind = value.__struct_config__.tag
        if kind == "number":
            return frozenset([Decimal(str(value.value))])
        if kind == "boolean":
            return frozenset([("boolean", value.value)])
        if kind == "reference":
            return frozenset([("reference", self._canonical(str(value.value)))])
        assert isinstance(value, TextValue)
        text = unicodedata.normalize("NFC", value.value)
        if rule is None or rule.cardinality == "one":
            return frozenset([("text", text.strip())])
        parts = text.split(rule.separator) if isinstance(rule.separator, str) else [text]
        return frozenset(("text", part.strip()) for part in parts if part.strip())

    def _canonical(self, subject: str) -> str:
        names = [subject]
        while (other := self._aliases.get(names[-1])) is not None and other != names[-1]:
            if other in names:
                return min(names[names.index(other) :], key=str.encode)
            names.append(other)
        return names[-1]
