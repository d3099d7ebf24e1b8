"""What was changed on the way is found, whichever field it is; what was not passes."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from episteme.api import (
    Answer,
    AnswerEnvelope,
    AnyWinner,
    Comparison,
    LensInfo,
    ManyValue,
    StoredAssertion,
    Winner,
)
from episteme.errors import VerificationFailed
from episteme.loglines import LogLine
from episteme.stored import StoredBundle
from episteme.verifying import (
    bundles_in,
    check_answer,
    check_asked,
    check_bundle,
    check_comparison,
    check_event,
    check_line,
    check_stored,
)
from model import (
    Bundle,
    Envelope,
    EnvelopeSignature,
    Event,
    SignedEvent,
    SigningKey,
    TextValue,
    event_hash,
    no_bundles,
    shown_signature,
    sign_bundle,
    sign_event,
    to_envelope,
)
from tests.support.events import (
    FULL_EVENTS,
    HASH_1,
    KEY_A,
    KEY_B,
    NOW_MS,
    assertions,
    events,
    make_assertion,
    make_vote,
    signed,
)

NAMES = ("clinical", "expert", "approved", "rejected", "one", "many", "temporal", "additive", "active", "retracted")
# What has no other value that an event could have beside the rest of it.
FIXED = ("v", "kind", "type", "removed", "mode")
PAIR = ("Semaglutide", "causes_muscle_loss")


class Shown(msgspec.Struct, frozen=True):
    """An event as an answer shows it."""

    hash: str
    event: Event
    signatures: list[EnvelopeSignature]

    def check(self) -> None:
        check_event(self.event, self.hash, self.signatures)


def shown(event: SignedEvent) -> Shown:
    envelope: Envelope = to_envelope(event.event, event.signatures)
    return Shown(event.hash_hex, envelope.event, envelope.signatures)


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in it that is not made of other things."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields_of(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from fields_of(inner, (*path, place))
    else:
        yield path


def others(value: Any) -> list[Any]:
    """Other values that a field might have in its place."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 0, -value]
    if not isinstance(value, str):
        return []
    digits = [value.replace("1", "2"), value.translate({49: 50, 50: 49, 97: 98, 98: 97}), HASH_1, "3" * 64]
    return [value + "0", value[:-1], value[::-1], value.upper(), "1", "0", *digits, *NAMES]


def changed_at(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(whole) if isinstance(whole, dict) else list(whole)
    copy[path[0]] = changed_at(whole[path[0]], path[1:], value)
    return copy


def at(whole: Any, path: tuple[Any, ...]) -> Any:
    return at(whole[path[0]], path[1:]) if path else whole


@pytest.mark.parametrize("event", FULL_EVENTS, ids=lambda event: type(event).__name__)
def test_every_field_that_is_changed_is_found(event: Event) -> None:
    genuine = shown(signed(event, KEY_A, KEY_B))
    genuine.check()
    plain = msgspec.to_builtins(genuine)
    for path in fields_of(plain):
        found = 0
        for value in others(at(plain, path)):
            try:
                tampered = msgspec.convert(changed_at(plain, path, value), Shown)
            except (msgspec.ValidationError, ValueError):
                continue  # it is not even one
            if tampered == genuine:
                continue
            found += 1
            with pytest.raises(VerificationFailed):
                tampered.check()
        assert found or path[-1] in FIXED, path


@given(events(), st.data())
def test_field_that_is_left_out_or_put_in_is_found(event: Event, data: st.DataObject) -> None:
    genuine = shown(signed(event, KEY_A, KEY_B))
    plain = msgspec.to_builtins(genuine)
    optional = [name for name in type(event).__struct_fields__ if name not in plain["event"]]
    names = data.draw(st.sampled_from([*plain["event"], *optional]))
    changed = {name: value for name, value in plain["event"].items() if name != names}
    if names in optional:
        changed[names] = data.draw(st.sampled_from([HASH_1, 1, NOW_MS + 5, "x", {"a": "b"}]))
    try:
        tampered = msgspec.convert({**plain, "event": changed}, Shown)
    except (msgspec.ValidationError, ValueError):
        return
    with pytest.raises(VerificationFailed):
        tampered.check()


@given(events())
def test_what_is_genuine_passes(event: Event) -> None:
    genuine = shown(signed(event, KEY_A, KEY_B))
    genuine.check()
    line = LogLine(seq=1, time_ms=1, hash=genuine.hash, event=event, signatures=tuple(genuine.signatures))
    check_line(line)
    check_line(LogLine(seq=1, time_ms=1, lost="torn", flags=("lost",)))
    with pytest.raises(VerificationFailed):
        check_line(msgspec.structs.replace(line, hash=None))
    for without in (line, msgspec.structs.replace(line, hash=None), msgspec.structs.replace(line, signatures=())):
        with pytest.raises(VerificationFailed, match="without the event"):
            check_line(msgspec.structs.replace(without, event=None))


def test_event_that_nobody_signed_or_not_its_agent_is_found() -> None:
    event = make_assertion()
    genuine = shown(signed(event, KEY_A, KEY_B))
    vote = shown(signed(make_vote(), KEY_A, KEY_B))
    other = shown(signed(make_assertion(subject="other"), KEY_A))
    first, second = genuine.signatures
    for signatures in (
        [],
        [first, first],
        [EnvelopeSignature(agent=first.agent, signature=second.signature)],
        other.signatures,
        [EnvelopeSignature(agent=first.agent, bundle=HASH_1)],
        vote.signatures,
    ):
        with pytest.raises(VerificationFailed):
            check_event(event, genuine.hash, signatures)
    with pytest.raises(VerificationFailed, match="agent"):
        check_event(vote.event, vote.hash, vote.signatures[1:])
    with pytest.raises(VerificationFailed, match="asked for"):
        check_asked(genuine.hash, vote.hash)


BUNDLE, (BUNDLED, _) = sign_bundle([make_assertion(subject=name) for name in ("first", "second")], KEY_A, NOW_MS)


def shown_bundle(signed_event: SignedEvent) -> StoredBundle:
    assert isinstance(signed_event.event, Bundle)
    signatures = [shown_signature(one) for one in signed_event.signatures]
    return StoredBundle(signed_event.hash_hex, 1, 1, signed_event.event, signatures, [])


def test_what_is_signed_by_bundle_is_checked_by_the_bundle_at_hand() -> None:
    voucher = check_bundle(shown_bundle(BUNDLE), BUNDLE.hash_hex)
    find = {BUNDLE.digest: voucher}.get
    genuine = shown(BUNDLED)
    check_event(genuine.event, genuine.hash, genuine.signatures, find)
    line = LogLine(seq=1, time_ms=1, hash=genuine.hash, event=BUNDLED.event, signatures=tuple(genuine.signatures))
    check_line(line, find)
    assert list(bundles_in(line)) == [BUNDLE.digest]
    assert list(bundles_in(shown_bundle(BUNDLE))) == []
    for event, finder in ((genuine.event, no_bundles), (make_assertion(subject="third"), find)):
        with pytest.raises(VerificationFailed) as refused:
            check_event(event, event_hash(event).hex(), genuine.signatures, finder)
        assert refused.value.errors[0].pointer == "/signatures/0/bundle"


def test_a_bundle_that_was_not_asked_for_or_is_not_signed_by_its_agent_is_not_believed() -> None:
    for bundle, asked in (
        (BUNDLE, HASH_1),
        (SignedEvent(BUNDLE.event, BUNDLE.digest, (KEY_B.sign(BUNDLE.event),)), BUNDLE.hash_hex),
        (SignedEvent(BUNDLE.event, BUNDLE.digest, BUNDLED.signatures), BUNDLE.hash_hex),
        (SignedEvent(BUNDLE.event, BUNDLED.digest, BUNDLE.signatures), BUNDLED.hash_hex),
    ):
        with pytest.raises(VerificationFailed):
            check_bundle(shown_bundle(bundle), asked)


# Answers


def answer(signed_event: SignedEvent, value: AnyWinner | None = None, **more: Any) -> Answer:
    envelope = to_envelope(signed_event.event, signed_event.signatures)
    event = signed_event.event
    won = value if value is not None else getattr(event, "object", TextValue(""))
    winner = Winner(won, signed_event.hash_hex, AnswerEnvelope(event, envelope.signatures))
    fields: dict[str, Any] = {
        "subject": PAIR[0],
        "predicate": PAIR[1],
        "status": "decided",
        "confidence": 1.0,
        "conflict": 0.0,
        "margin": None,
        "winner": winner,
        "groups": [],
        "groups_count": 0,
        "candidates_count": 1,
        "lens": LensInfo("consensus", 1, {}),
        "seq": 1,
        "as_of": None,
        "warnings": [],
        "audit_id": None,
    }
    return Answer(**fields | more)


def test_answer_about_what_was_asked_passes() -> None:
    claim = signed(make_assertion())
    check_answer(answer(claim), *PAIR)
    check_answer(answer(claim, winner=None), *PAIR)
    check_answer(answer(claim, ManyValue([TextValue("a"), TextValue("b")])), *PAIR)
    alias = signed(make_assertion(subject="Ozempic"))
    check_answer(answer(alias, subjects=[PAIR[0], "Ozempic"]), *PAIR)
    context = signed(make_assertion(predicate="must_use"))
    check_answer(answer(context, predicate=None), PAIR[0], None)


def test_answer_that_shows_something_else_than_was_asked_or_signed_is_found() -> None:
    claim = signed(make_assertion())
    stranger = signed(make_assertion(subject="Aspirin"))
    for wrong in (
        answer(claim, subject="Aspirin"),
        answer(claim, predicate="is_safe"),
        answer(stranger),
        answer(signed(make_assertion(predicate="is_safe"))),
        answer(claim, TextValue("another value")),
        answer(signed(make_vote())),
        answer(SignedEvent(claim.event, stranger.digest, claim.signatures)),
    ):
        with pytest.raises(VerificationFailed):
            check_answer(wrong, *PAIR)
        comparison = Comparison(*PAIR, 1, None, True, [answer(claim), wrong], [], [], True)
        with pytest.raises(VerificationFailed):
            check_comparison(comparison, *PAIR)
    check_comparison(Comparison(*PAIR, 1, None, True, [answer(claim)], [], [], True), *PAIR)


@given(assertions(), st.binary(min_size=32, max_size=32))
def test_claim_in_the_name_of_another_is_found(event: Event, seed: bytes) -> None:
    key = SigningKey(seed)
    assume(key.agent != KEY_A.agent)
    genuine = shown(sign_event(event, key))
    forged = [EnvelopeSignature(agent=KEY_A.agent_hex, signature=genuine.signatures[0].signature)]
    with pytest.raises(VerificationFailed, match=KEY_A.agent_hex):
        check_stored(StoredAssertion(genuine.hash, 1, 1, event, forged))  # type: ignore[arg-type]
