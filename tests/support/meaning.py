"""Random histories of all kinds of events, by few agents about few subjects, so that everything meets everything.

history(seed) gives steps in log order: a SignedEvent, really signed, that a test can
submit to a node too; or DatabaseRules, which a node writes itself and a log holds
as a frame of its own.  as_frames and as_logged give them positions and times, for
folds; a position is the step's place in the list, counted from start.

    steps = history(7)                      # the same for the same seed
    events = as_logged(steps)               # LoggedEvents of positions 0, 1, 2 ...
    apply_batch(store, FOLDS, events, len(events))

    @given(histories())                     # the same generator in the hands of hypothesis, which can shrink it
    def test_...(steps): ...

Every history has moods of its own: which kinds come often, seldom or not at all, how
many values, moments, signers and chains there are.  What is said comes from small
pools made beforehand, so votes, supersessions and children come before and after
what they name, and some name what never comes.  Who signs is at times an operator, at
times a stranger, at times a stranger whom an operator joins later.
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from episteme.folds import LoggedEvent, decode_frame
from model import (
    FRAME_KIND_EVENT,
    FRAME_KIND_RULES,
    LIFECYCLES,
    SOURCE_CLASSES,
    Alias,
    AnyValue,
    Assertion,
    BooleanValue,
    Bundle,
    DatabaseRules,
    Epoch,
    EscalationAck,
    GoldStandard,
    KeyRevocation,
    NumberValue,
    PackMember,
    PredicateRule,
    QuotaLimit,
    Receipt,
    ReferenceValue,
    SignedEvent,
    SigningKey,
    Source,
    Supersession,
    TextValue,
    TrustPack,
    encode_record,
    encode_rules,
    event_hash,
    sign_bundle,
)
from stores import make_escalation_id
from tests.support.events import NOW_MS, make_assertion, make_vote, signed
from wal import Frame

Step = SignedEvent | DatabaseRules

KEYS: Final = tuple(SigningKey(bytes([number]) * 32) for number in range(101, 108))
OPERATORS: Final = KEYS[:2]  # of the rules that most histories begin with; they make claims too
SUBJECTS: Final = ("earth", "terra", "moon", "gaia")
PREDICATES: Final = ("age", "authors", "shape")
PAIRS: Final = tuple((subject, predicate) for subject in SUBJECTS for predicate in PREDICATES)
SOURCES: Final = tuple(character * 64 for character in "abcd")
STEP_MS: Final = 5 * 3_600_000  # of log time from one step to the next: a history lasts weeks, so that trust drifts

_MISSING: Final = "9" * 64  # the hash of nothing
_NUMBERS: Final = ("1", "1.0", "1.04", "1.05", "1.1", "2")
_VALUES: Final[tuple[AnyValue, ...]] = (
    *map(NumberValue, _NUMBERS),
    TextValue("round"),
    TextValue(" round"),
    TextValue("Ann; Bob"),
    TextValue("Bob; Cy"),
    BooleanValue(True),
    *map(ReferenceValue, SUBJECTS),
)
_LENSES: Final = ("recency", "consensus", "confidence", "votes", "trust", "authority", "skeptic", "layered")
_DAY_MS: Final = 86_400_000


def history(seed: int, step_count: int = 80, favour: str | None = None) -> list[Step]:
    """A history of so many steps, or one more: the rules of the database come first in most.

    favour: a kind of governance that comes often, and hardly any other.
    """
    return _World(Random(seed), favour).steps(step_count)


def histories(step_count_max: int = 60) -> SearchStrategy[list[Step]]:
    """The same, drawn step by step, so that what fails can be made small."""
    return st.builds(
        lambda random, count: _World(random).steps(count),
        st.randoms(use_true_random=False),
        st.integers(1, step_count_max),
    )


def in_bundles(steps: Sequence[Step], events_max: int = 7) -> list[Step]:
    """The same said with fewer signatures: what a key alone signs of so many steps, it signs by one bundle."""
    said: list[Step] = []
    for at in range(0, len(steps), events_max):
        part = list(steps[at : at + events_max])
        for key in KEYS:
            places = [place for place, step in enumerate(part) if _is_own_of(key, step)]
            if places:
                events = [one.event for one in events_of(part[place] for place in places)]
                bundle, signed_by_it = sign_bundle(events, key, at)
                said.append(bundle)
                for place, one in zip(places, signed_by_it, strict=True):
                    part[place] = one
        said += part
    return said


def _is_own_of(key: SigningKey, step: Step) -> bool:
    if not isinstance(step, SignedEvent) or isinstance(step.event, Bundle):
        return False
    return [one.agent for one in step.signatures] == [key.agent]


def as_frames(steps: Iterable[Step], start: int = 0) -> list[Frame]:
    """The steps as a log has them from position start on."""
    return [_frame(seq, step) for seq, step in enumerate(steps, start)]


def as_logged(steps: Iterable[Step], start: int = 0) -> list[LoggedEvent]:
    """The steps as folds see them, from position start on."""
    return [decode_frame(frame) for frame in as_frames(steps, start)]


def log_time(seq: int) -> int:
    """The log time of a position: milliseconds in the upper 48 bits."""
    return (NOW_MS + seq * STEP_MS) << 16


def events_of(steps: Iterable[Step]) -> list[SignedEvent]:
    """The signed events among the steps, in their order."""
    return [step for step in steps if isinstance(step, SignedEvent)]


def rules_of(*operators: SigningKey, **fields: Any) -> DatabaseRules:
    """The rules of a database with these operators."""
    return DatabaseRules(operators=tuple(sorted(key.agent for key in operators)), **fields)


def _frame(seq: int, step: Step) -> Frame:
    if isinstance(step, DatabaseRules):
        return Frame(seq, log_time(seq), FRAME_KIND_RULES, 0, encode_rules(step))
    tokens = 10 if isinstance(step.event, Assertion) else 1
    return Frame(seq, log_time(seq), FRAME_KIND_EVENT, 0, encode_record(step, Receipt("test", tokens)))


class _World:
    """The pools and moods of one history."""

    def __init__(self, random: Random, favour: str | None = None) -> None:
        self._random = random
        self._said: list[Step] = []
        self._subjects = SUBJECTS[: random.choice([1, 2, 3, 4])]
        self._predicates = PREDICATES[: random.choice([1, 1, 2, 3])]
        self._moments = random.choice([1, 4, 1000, 60 * _DAY_MS])
        self._makers: dict[str, Callable[[], Step]] = {
            "assertion": self._claim,
            "vote": self._vote,
            "again": self._again,
            "co-signature": self._co_signature,
            "join": self._join,
            "epoch": self._epoch,
            "supersession": self._supersession,
            "source": self._source,
            "gold_standard": self._gold,
            "trust_pack": self._pack,
            "quota_limit": self._limit,
            "predicate": self._predicate,
            "alias": self._alias,
            "key_revocation": self._revocation,
            "escalation_ack": self._ack,
            "bundle": self._bundle,
            "rules": self._rules,
        }
        often = (random.choice([8, 24]), random.choice([0, 2, 8]), 2, 3, random.choice([0, 3]))
        seldom = [0, 0, 0, 1, 4] if favour is None else [0] * 20 + [1]
        self._weights = [*often, *(random.choice(seldom) for _ in range(len(self._makers) - len(often)))]
        if favour is not None:
            self._weights[list(self._makers).index(favour)] = random.choice([2, 8])
        self._epochs = self._make_epochs()
        self._claims = self._make_claims(random.choice([6, 15, 40]))
        self._unsaid = list(self._claims)
        if random.random() < 0.4:
            random.shuffle(self._unsaid)  # children before parents

    def steps(self, count: int) -> list[Step]:
        if self._random.random() < 0.9:
            self._said.append(rules_of(*OPERATORS, anecdotal_cluster_count=3))
        for _ in range(count):
            (kind,) = self._random.choices(list(self._makers), self._weights)
            self._said.append(self._makers[kind]())
        return self._said

    # Pools

    def _make_epochs(self) -> list[Epoch]:
        epochs: list[Epoch] = []
        for number in range(5):
            fields: dict[str, Any] = {}
            if epochs and self._random.random() < 0.8:
                older = event_hash(self._random.choice(epochs)).hex() if self._random.random() < 0.95 else _MISSING
                mode = self._random.choice(["temporal", "invalidation", "additive"])
                fields = {"supersedes": older, "supersession": mode}
            key = self._governor()
            epochs.append(Epoch(**self._head(key), name=f"epoch {number}", start=NOW_MS - number, **fields))
        return epochs

    def _make_claims(self, count: int) -> list[Assertion]:
        """In an order that names parents before children."""
        random = self._random
        values = random.choice([_VALUES[:2], _VALUES[:6], _VALUES[6:10], _VALUES])
        stages = random.choice([LIFECYCLES, ("approved",), ("approved",) * 4 + ("rejected",)])
        classes = random.choice([SOURCE_CLASSES, SOURCE_CLASSES[:1], SOURCE_CLASSES[5:]])
        follows, odd = random.choice([0, 0.3, 0.7]), random.choice([0, 0.5, 0.9])
        claims: list[Assertion] = []
        for number in range(count):
            fields: dict[str, Any] = {
                "subject": random.choice(self._subjects),
                "predicate": random.choice(self._predicates),
                "object": random.choice(values),
                "lifecycle": random.choice(stages),
                "source_class": random.choice(classes),
                "confidence": random.choice(["0", "0.2", "0.85", "1"]),
                "timestamp": self._moment(),
                "narrative": str(number),
            }
            if claims and random.random() < follows:
                parent = random.choice(claims)
                fields["parent_hash"] = event_hash(parent).hex() if random.random() < 0.95 else _MISSING
                if random.random() < 0.9:
                    fields |= {"subject": parent.subject, "predicate": parent.predicate}
                if random.random() < 0.7:
                    fields["object"] = parent.object
            if random.random() < odd:
                fields |= self._belongings(fields["timestamp"])
            claims.append(make_assertion(**fields))
        return claims

    def _belongings(self, timestamp: int) -> dict[str, Any]:
        random = self._random
        fields: dict[str, Any] = {}
        if random.random() < 0.6:
            fields["epoch"] = event_hash(random.choice(self._epochs)).hex()
        if random.random() < 0.6:
            fields["source_hash"] = random.choice(SOURCES)
        if random.random() < 0.4:
            fields["valid_from"] = NOW_MS - random.randrange(3) * _DAY_MS
        if random.random() < 0.4:
            fields["valid_to"] = max(timestamp, NOW_MS) + (1 + random.randrange(3)) * _DAY_MS
        return fields

    # Claims and votes

    def _claim(self) -> Step:
        if self._unsaid:
            return self._sign(self._unsaid.pop(0))
        return self._co_signature()

    def _co_signature(self) -> Step:
        return self._sign(self._random.choice(self._claims))

    def _sign(self, claim: Assertion) -> SignedEvent:
        return signed(claim, *self._random.sample(KEYS, self._random.choice([1, 1, 1, 2, 3])))

    def _vote(self) -> Step:
        claim = self._random.choice(self._claims)
        subject = self._random.choice(SUBJECTS) if self._random.random() < 0.15 else claim.subject
        key = self._random.choice(KEYS[:4])
        weight = self._random.choice(["1", "-1", "0", "0.5", "-0.333333"])
        body: dict[str, Any] = {"assertion": event_hash(claim).hex(), "subject": subject, "weight": weight}
        return signed(make_vote(**self._head(key) | body), key)

    # Repetition, and signatures that come later

    def _again(self) -> Step:
        return self._random.choice(self._said) if self._said else self._claim()

    def _join(self) -> Step:
        """An event that is known, with another's signature beside its agent's."""
        others = [
            step for step in self._said if isinstance(step, SignedEvent) and not isinstance(step.event, Assertion)
        ]
        if not others:
            return self._claim()
        step = self._random.choice(others)
        event = step.event
        assert not isinstance(event, Assertion)
        (own,) = [key for key in KEYS if key.agent_hex == event.agent]
        joining = self._random.choice([key for key in KEYS[:4] if key is not own])
        return signed(event, own, joining)

    # Governance

    def _epoch(self) -> Step:
        return self._govern(self._random.choice(self._epochs))

    def _supersession(self) -> Step:
        claim = self._random.choice(self._claims)
        subject = self._random.choice(SUBJECTS) if self._random.random() < 0.1 else claim.subject
        target = event_hash(claim).hex() if self._random.random() < 0.97 else _MISSING
        fields: dict[str, Any] = {"assertion": target, "subject": subject, "mode": "invalidate", "reason": "newer"}
        if self._random.random() < 0.5:
            fields |= {"mode": "replace", "replacement": event_hash(self._random.choice(self._claims)).hex()}
        return self._govern(Supersession(**self._head(self._random.choice(KEYS[:4])), **fields))

    def _source(self) -> Step:
        status: Any = self._random.choice(["active", "suspect", "retracted"])
        source = self._random.choice(SOURCES)
        return self._govern(
            Source(**self._head(self._governor()), source_hash=source, label=f"source {source[0]}", status=status)
        )

    def _gold(self) -> Step:
        fields: dict[str, Any] = {"tolerance": "0.05"} if self._random.random() < 0.3 else {}
        if self._random.random() < 0.2:
            fields["removed"] = True
        fields |= {"subject": self._random.choice(self._subjects), "predicate": self._random.choice(self._predicates)}
        value = self._random.choice(self._claims).object
        return self._govern(GoldStandard(**self._head(self._governor()), object=value, **fields))

    def _pack(self) -> Step:
        curator = self._random.choice(KEYS[:3])
        members = [
            PackMember(agent=key.agent_hex, weight=self._random.choice(["0", "0.5", "1"]))
            for key in self._random.sample(KEYS, self._random.randrange(4))
        ]
        body: dict[str, Any] = {"name": "friends", "version": self._random.randrange(4), "members": members}
        return self._govern(TrustPack(**self._head(curator), **body))

    def _limit(self) -> Step:
        limited = self._random.choice(KEYS).agent_hex
        tokens = self._random.choice([0, 50, 5000])
        return self._govern(QuotaLimit(**self._head(self._governor()), for_agent=limited, tokens=tokens))

    def _predicate(self) -> Step:
        fields: dict[str, Any] = {"cardinality": self._random.choice(["one", "one", "many"])}
        if self._random.random() < 0.5:
            fields["tolerance"] = self._random.choice(["0", "0.05", "1"])
        if self._random.random() < 0.5:
            fields["separator"] = ";"
        if self._random.random() < 0.5:
            fields["default_lens"] = self._random.choice((*_LENSES, "unheard of"))
        return self._govern(
            PredicateRule(**self._head(self._governor()), predicate=self._random.choice(self._predicates), **fields)
        )

    def _alias(self) -> Step:
        subject, same_as = self._random.choices(SUBJECTS, k=2)  # equal: the alias is taken back
        return self._govern(Alias(**self._head(self._governor()), subject=subject, same_as=same_as))

    def _revocation(self) -> Step:
        revoked = self._random.choice(KEYS)
        key = revoked if self._random.random() < 0.5 else self._governor()
        return self._govern(KeyRevocation(**self._head(key), revoked=revoked.agent_hex, reason="lost"))

    def _ack(self) -> Step:
        """Of what may have been raised where a claim stands."""
        rule = self._random.choice(["anecdotal_cluster", "regulatory_conflict"])
        subject, predicate = self._random.choice(PAIRS)
        escalation = make_escalation_id(rule, subject, predicate, self._random.randrange(len(self._said) + 1))
        return self._govern(EscalationAck(**self._head(self._governor()), escalation=escalation, verdict="both stand"))

    def _bundle(self) -> Step:
        hashes = {event_hash(claim).hex(): None for claim in self._random.choices(self._claims, k=2)}
        return self._govern(Bundle(**self._head(self._random.choice(KEYS)), events=list(hashes)))

    def _rules(self) -> Step:
        operators = self._random.sample(KEYS[:4], self._random.choice([0, 1, 2, 2]))
        return rules_of(
            *operators,
            anecdotal_cluster_count=self._random.choice([1, 3, 500]),
            regulatory_conflict_micros=self._random.choice([0, 500_000, 800_000]),
        )

    # Who and when

    def _governor(self) -> SigningKey:
        """An operator, most of the time."""
        return self._random.choice(OPERATORS if self._random.random() < 0.7 else KEYS)

    def _govern(self, event: Any) -> SignedEvent:
        """Signed by its agent, and at times by another as well."""
        keys = [key for key in KEYS if key.agent_hex == event.agent]
        if self._random.random() < 0.1:
            keys += self._random.sample([key for key in KEYS if key not in keys], 1)
        return signed(event, *keys)

    def _head(self, key: SigningKey) -> dict[str, Any]:
        return {"v": 2, "agent": key.agent_hex, "timestamp": self._moment()}

    def _moment(self) -> int:
        return NOW_MS - self._random.randrange(self._moments)


def count_kinds(steps: Sequence[Step]) -> dict[str, int]:
    """How many steps there are of each kind, for a test that holds the generator to what it promises."""
    counts: dict[str, int] = {}
    for event in as_logged(steps):
        counts[event.kind] = counts.get(event.kind, 0) + 1
    return counts
