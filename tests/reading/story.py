"""Short histories in plain words: who said what, in order, and what is answered."""

from typing import Any, Final

from blake3 import blake3

from episteme.api import Answer
from episteme.authoring import object_of
from model import (
    Alias,
    DatabaseRules,
    Epoch,
    GoldStandard,
    KeyRevocation,
    PackMember,
    PredicateRule,
    SignedEvent,
    SigningKey,
    Source,
    Supersession,
    TrustPack,
)
from stores import pack_id
from tests.reading.asking import Folded
from tests.support.events import NOW_MS, make_assertion, make_vote, signed
from tests.support.meaning import Step

SUBJECT: Final = "Semaglutide"
PREDICATE: Final = "causes_muscle_loss"
OPERATOR: Final = "the operator"


def key_of(name: str) -> SigningKey:
    """The key of this name."""
    return SigningKey(blake3(name.encode()).digest())


class Story:
    """Events in log order; each teller gives the hash of what was told, and stands at the next position."""

    def __init__(self) -> None:
        self.steps: list[Step] = [DatabaseRules(operators=(key_of(OPERATOR).agent,))]

    @property
    def end(self) -> int:
        """The position of what was told last."""
        return len(self.steps) - 1

    def claim(
        self,
        value: Any,
        *by: str,
        subject: str = SUBJECT,
        predicate: str = PREDICATE,
        tier: str = "clinical",
        at: int = NOW_MS,
        **fields: Any,
    ) -> str:
        """A claim, signed by those who say it."""
        names = by or ("ana",)
        event = make_assertion(
            subject=subject,
            predicate=predicate,
            object=object_of(value),
            source_class=tier,
            timestamp=at,
            narrative=fields.pop("narrative", " and ".join(names)),
            **fields,
        )
        return self._say(signed(event, *map(key_of, names)))

    def co_sign(self, hash_hex: str, by: str) -> str:
        """Another signs what was said."""
        told = next(s for s in self.steps if isinstance(s, SignedEvent) and s.hash_hex == hash_hex)
        return self._say(signed(told.event, key_of(by)))

    def vote(self, on: str, weight: str, by: str, *, at: int = NOW_MS, subject: str = SUBJECT) -> str:
        """A vote."""
        body = {"agent": key_of(by).agent_hex, "assertion": on, "subject": subject, "weight": weight, "timestamp": at}
        return self._say(signed(make_vote(**body), key_of(by)))

    def epoch(self, name: str, by: str = OPERATOR, **fields: Any) -> str:
        """An epoch is declared."""
        return self._govern(Epoch, by, name=name, start=NOW_MS, **fields)

    def supersede(self, assertion: str, by: str, replacement: str | None = None) -> str:
        """A claim is hidden in favour of another, or of nothing."""
        fields: dict[str, Any] = {"assertion": assertion, "subject": SUBJECT, "reason": "newer"}
        fields |= {"mode": "invalidate"} if replacement is None else {"mode": "replace", "replacement": replacement}
        return self._govern(Supersession, by, **fields)

    def source(self, source_hash: str, status: str, by: str = OPERATOR) -> str:
        """A source is registered, or its status changes."""
        return self._govern(Source, by, source_hash=source_hash, label="a study", status=status)

    def gold(self, value: Any, subject: str = SUBJECT, predicate: str = PREDICATE, **fields: Any) -> str:
        """What the operator knows to be right."""
        return self._govern(
            GoldStandard, OPERATOR, subject=subject, predicate=predicate, object=object_of(value), **fields
        )

    def pack(self, curator: str, members: dict[str, str], version: int = 1) -> str:
        """A curator's list of agents with weights; gives the pack's id."""
        rows = [PackMember(agent=key_of(name).agent_hex, weight=weight) for name, weight in members.items()]
        self._govern(TrustPack, curator, name="friends", version=version, members=rows)
        return pack_id(key_of(curator).agent, "friends")

    def predicate(self, predicate: str = PREDICATE, **fields: Any) -> str:
        """How a predicate's values are compared."""
        return self._govern(PredicateRule, OPERATOR, predicate=predicate, **{"cardinality": "one"} | fields)

    def alias(self, subject: str, same_as: str) -> str:
        """Two subjects are one."""
        return self._govern(Alias, OPERATOR, subject=subject, same_as=same_as)

    def revoke(self, name: str) -> str:
        """A key speaks no more."""
        return self._govern(KeyRevocation, name, revoked=key_of(name).agent_hex, reason="lost")

    def folded(self) -> Folded:
        """All that was told, as a state."""
        return Folded(self.steps)

    def ask(self, subject: str = SUBJECT, predicate: str | None = PREDICATE, **options: Any) -> Answer:
        """The answer after all that was told."""
        return self.folded().ask(subject, predicate, **options)

    def _govern(self, kind: Any, by: str, **fields: Any) -> str:
        return self._say(signed(kind(v=2, agent=key_of(by).agent_hex, timestamp=NOW_MS, **fields), key_of(by)))

    def _say(self, step: SignedEvent) -> str:
        self.steps.append(step)
        return step.hash_hex


def left_out(answer: Answer) -> dict[str, str]:
    """Reasons by hash, of an explained answer."""
    assert answer.explain is not None
    return {one.hash: one.reason for one in answer.explain.left_out}
