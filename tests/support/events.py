"""Events for tests: two fixed keys, small builders, and strategies for every kind.

All that comes out of here is valid; a test that wants a broken event breaks one itself.
Builders take overrides by field name; an override of UNSET leaves an optional field out.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from model import (
    EVENT_TYPES,
    LIFECYCLES,
    SOURCE_CLASSES,
    Alias,
    Assertion,
    BooleanValue,
    Bundle,
    Epoch,
    EscalationAck,
    Event,
    GoldStandard,
    KeyRevocation,
    NumberValue,
    PackMember,
    PredicateRule,
    QuotaLimit,
    ReferenceValue,
    SignedEvent,
    SigningKey,
    Source,
    Supersession,
    TextValue,
    TrustPack,
    Vote,
    event_hash,
)

KEY_A: Final = SigningKey(bytes(range(32)))  # the keys of tests/golden/vectors.json
KEY_B: Final = SigningKey(bytes(range(32, 64)))
NOW_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
INT_MAX: Final = 2**53 - 1
HASH_1: Final = "1" * 64
HASH_2: Final = "2" * 64


def make_assertion(**overrides: Any) -> Assertion:
    """A small assertion about Semaglutide."""
    fields: dict[str, Any] = {
        "v": 2,
        "subject": "Semaglutide",
        "predicate": "causes_muscle_loss",
        "object": BooleanValue(True),
        "confidence": "0.85",
        "source_class": "clinical",
        "lifecycle": "approved",
        "timestamp": NOW_MS,
    }
    return Assertion(**fields | overrides)


def make_vote(**overrides: Any) -> Vote:
    """A vote by KEY_A; the assertion voted on is HASH_1 unless given."""
    fields: dict[str, Any] = {
        "v": 2,
        "agent": KEY_A.agent_hex,
        "timestamp": NOW_MS,
        "assertion": HASH_1,
        "subject": "Semaglutide",
        "weight": "0.5",
    }
    return Vote(**fields | overrides)


def signed(event: Event, *keys: SigningKey) -> SignedEvent:
    """The event signed by each key in turn; by KEY_A if none is given."""
    digest = event_hash(event)
    signatures = tuple(key.sign_hash(event, digest) for key in keys or (KEY_A,))
    return SignedEvent(event, digest, signatures)


_HEAD: Final[dict[str, Any]] = {"v": 2, "agent": KEY_A.agent_hex, "timestamp": NOW_MS}

# One event of each kind with every field set: for tests that walk fields.
FULL_EVENTS: Final[tuple[Event, ...]] = (
    make_assertion(
        subject="Zürich",
        object=TextValue("drei\nZeilen"),
        source_hash=HASH_1,
        parent_hash=HASH_2,
        valid_from=-5,
        valid_to=NOW_MS + 1000,
        epoch="3" * 64,
        narrative="as reported",
        metadata={"shop": "Indoo.com", "page.no": "7"},
        audience="db-1",
    ),
    make_vote(reason="not replicated"),
    Epoch(**_HEAD, name="labels of 2026", start=-1, end=NOW_MS, supersedes=HASH_1, supersession="invalidation"),
    Supersession(**_HEAD, assertion=HASH_1, subject="Tesla", mode="replace", reason="newer", replacement=HASH_2),
    Source(**_HEAD, source_hash=HASH_1, label="STEP 1", status="suspect", url="https://example.org/1", content="…"),
    GoldStandard(**_HEAD, subject="Earth", predicate="age", object=NumberValue("4.54"), tolerance="0.05", removed=True),
    TrustPack(
        **_HEAD,
        name="curated",
        version=3,
        members=[PackMember(agent=KEY_A.agent_hex, weight="0.5"), PackMember(agent=KEY_B.agent_hex, weight="1")],
        note="by hand",
    ),
    QuotaLimit(**_HEAD, for_agent=KEY_B.agent_hex, tokens=1000),
    PredicateRule(
        **_HEAD, predicate="authors", cardinality="many", tolerance="0", separator="; ", default_lens="recency"
    ),
    Alias(**_HEAD, subject="Tesla", same_as="Tesla_Inc"),
    KeyRevocation(**_HEAD, revoked=KEY_B.agent_hex, reason="stolen laptop"),
    EscalationAck(**_HEAD, escalation="esc-1", verdict="both stand"),
    Bundle(**_HEAD, events=[HASH_1, HASH_2]),
)


def labels(bytes_max: int = 256) -> SearchStrategy[str]:
    """Short text as subjects hold it: NFC, of any script, without control characters."""
    scripts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=24)
    return scripts.map(_nfc).filter(lambda text: 1 <= len(text.encode()) <= bytes_max)


def texts() -> SearchStrategy[str]:
    """Long text: NFC, with line breaks and control characters, possibly empty."""
    return st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=40).map(_nfc)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def numbers() -> SearchStrategy[str]:
    """Decimal strings as object values hold them, with and without a fraction and an exponent."""
    return st.builds(
        lambda sign, whole, fraction, exponent: f"{sign}{whole}{fraction}{exponent}",
        st.sampled_from(["", "-"]),
        st.integers(0, 10**20),
        st.sampled_from(["", ".0", ".70", ".000001"]),
        st.sampled_from(["", "e5", "E+7", "e-300", "E0"]),
    )


hashes: Final = st.binary(min_size=32, max_size=32).map(bytes.hex)
agents: Final = st.sampled_from([KEY_A.agent_hex, KEY_B.agent_hex])
timestamps: Final = st.integers(0, INT_MAX)
moments: Final = st.integers(-INT_MAX, INT_MAX)
unit_decimals: Final = st.one_of(
    st.sampled_from(["0", "1", "1.0", "1.000000", "0.000001"]),
    st.integers(0, 999_999).map(lambda millionths: f"0.{millionths:06d}"),
)
signed_unit_decimals: Final = st.one_of(unit_decimals, unit_decimals.map(lambda decimal: f"-{decimal}"))
tolerances: Final = st.builds(
    lambda whole, fraction: f"{whole}{fraction}",
    st.integers(0, 10**15 - 1),
    st.sampled_from(["", ".5", ".000001"]),
)
values: Final = st.one_of(
    st.builds(TextValue, texts()),
    st.builds(NumberValue, numbers()),
    st.builds(BooleanValue, st.booleans()),
    st.builds(ReferenceValue, labels()),
)
metadata: Final = st.dictionaries(st.from_regex(r"[a-z0-9_.-]{1,64}", fullmatch=True), texts(), max_size=4)


def assertions() -> SearchStrategy[Assertion]:
    """Any valid assertion."""
    required = {
        "subject": labels(),
        "predicate": labels(128),
        "object": values,
        "confidence": unit_decimals,
        "source_class": st.sampled_from(SOURCE_CLASSES),
        "lifecycle": st.sampled_from(LIFECYCLES),
        "timestamp": timestamps,
    }
    optional = {
        "source_hash": hashes,
        "parent_hash": hashes,
        "valid_from": st.integers(-INT_MAX, -1),
        "valid_to": st.just(INT_MAX),
        "epoch": hashes,
        "narrative": texts(),
        "metadata": metadata,
        "audience": labels(),
    }
    span_is_open = required | {"timestamp": st.integers(0, INT_MAX - 1)}
    return _structs(Assertion, span_is_open, optional)


def votes() -> SearchStrategy[Vote]:
    """Any valid vote by KEY_A or KEY_B."""
    required = {"assertion": hashes, "subject": labels(), "weight": signed_unit_decimals}
    return _signed_structs(Vote, required, {"reason": texts()})


def events() -> SearchStrategy[Event]:
    """Any valid event of any of the kinds; those with an agent name KEY_A or KEY_B."""
    return st.one_of(assertions(), votes(), *_GOVERNANCE.values())


def _structs(
    cls: type[Any], required: Mapping[str, SearchStrategy[Any]], optional: Mapping[str, SearchStrategy[Any]]
) -> SearchStrategy[Any]:
    fields = st.fixed_dictionaries(dict(required), optional=dict(optional))
    return fields.map(lambda chosen: cls(v=2, **chosen))


def _signed_structs(
    cls: type[Any],
    required: Mapping[str, SearchStrategy[Any]],
    optional: Mapping[str, SearchStrategy[Any]] | None = None,
) -> SearchStrategy[Any]:
    head = {"agent": agents, "timestamp": timestamps}
    return _structs(cls, head | dict(required), optional or {})


def _epochs() -> SearchStrategy[Epoch]:
    plain = {"name": labels(), "start": st.integers(-INT_MAX, INT_MAX - 1)}
    ends = {"end": st.just(INT_MAX)}
    kinds = st.sampled_from(["temporal", "invalidation", "additive"])
    return st.one_of(
        _signed_structs(Epoch, plain, ends),
        _signed_structs(Epoch, plain | {"supersedes": hashes, "supersession": kinds}, ends),
    )


def _supersessions() -> SearchStrategy[Supersession]:
    plain = {"assertion": hashes, "subject": labels(), "reason": texts()}
    return st.one_of(
        _signed_structs(Supersession, plain | {"mode": st.just("invalidate")}),
        _signed_structs(Supersession, plain | {"mode": st.just("replace"), "replacement": hashes}),
    )


def _trust_packs() -> SearchStrategy[TrustPack]:
    member = _member(hashes)
    members = st.lists(member, max_size=4, unique_by=lambda one: one.agent)
    return _signed_structs(TrustPack, {"name": labels(), "version": timestamps, "members": members}, {"note": texts()})


def _member(agent: SearchStrategy[str]) -> SearchStrategy[PackMember]:
    fields = st.fixed_dictionaries({"agent": agent}, optional={"weight": unit_decimals})
    return fields.map(lambda chosen: PackMember(**chosen))


_GOVERNANCE: Final[dict[type[Event], SearchStrategy[Any]]] = {
    Epoch: _epochs(),
    Supersession: _supersessions(),
    Source: _signed_structs(
        Source,
        {
            "source_hash": hashes,
            "label": labels(),
            "status": st.sampled_from(["active", "suspect", "retracted"]),
        },
        {"url": labels(), "content": texts()},
    ),
    GoldStandard: _signed_structs(
        GoldStandard,
        {"subject": labels(), "predicate": labels(128), "object": values},
        {"tolerance": tolerances, "removed": st.just(True)},
    ),
    TrustPack: _trust_packs(),
    QuotaLimit: _signed_structs(QuotaLimit, {"for_agent": hashes, "tokens": timestamps}),
    PredicateRule: _signed_structs(
        PredicateRule,
        {"predicate": labels(128), "cardinality": st.sampled_from(["one", "many"])},
        {
            "tolerance": tolerances,
            "separator": st.sampled_from([", ", "; ", "\n", "、"]),
            "default_lens": labels(64),
        },
    ),
    Alias: _signed_structs(Alias, {"subject": labels(), "same_as": labels()}),
    KeyRevocation: _signed_structs(KeyRevocation, {"revoked": hashes, "reason": texts()}),
    EscalationAck: _signed_structs(EscalationAck, {"escalation": labels(), "verdict": texts()}),
    Bundle: _signed_structs(Bundle, {"events": st.lists(hashes, min_size=1, max_size=5, unique=True)}),
}

assert {Assertion, Vote, *_GOVERNANCE} == set(EVENT_TYPES), "a kind has no strategy"
