"""Signatures by bundle: what holds, what does not, and that nothing passes which its bundle does not list."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import (
    BUNDLE_EVENTS_MAX,
    Bundle,
    Event,
    FieldRule,
    InvalidField,
    InvalidSignature,
    Receipt,
    Signature,
    SignedEvent,
    UnknownBundle,
    UnsupportedRecord,
    bundles_at_hand,
    canonical_bytes,
    decode_envelope,
    decode_raw_record,
    decode_record,
    encode_envelope,
    encode_record,
    event_hash,
    sign_bundle,
    sign_event,
)
from tests.support.events import HASH_1, KEY_A, KEY_B, NOW_MS, assertions, make_assertion, make_vote

GOLDEN: Final = Path(__file__).parents[1] / "golden"
VECTORS: Final[dict[str, Any]] = json.loads((GOLDEN / "bundle-vectors.json").read_text("utf-8"))
GOLDEN_RECORD: Final = bytes.fromhex((GOLDEN / "event-record-v2.hex").read_text("ascii"))
REFUSED: Final[list[dict[str, Any]]] = VECTORS["refused"]


def decode(shown: dict[str, Any]) -> SignedEvent:
    return decode_envelope(json.dumps({name: shown[name] for name in ("event", "signatures")}).encode())


def claims(count: int) -> list[Event]:
    return [make_assertion(subject=f"claim {number}") for number in range(count)]


@pytest.mark.parametrize("name", ["bundle", "other", "outer"])
def test_bundles_of_the_vectors_are_what_they_say_and_verify(name: str) -> None:
    bundle = decode(VECTORS[name])
    assert canonical_bytes(bundle.event).decode() == VECTORS[name]["canonical"]
    assert bundle.hash_hex == VECTORS[name]["hash"]
    bundle.verify()


def test_events_of_the_vectors_are_signed_by_their_bundle_alone() -> None:
    bundle = decode(VECTORS["bundle"])
    assert isinstance(bundle.event, Bundle)
    events = [decode(shown) for shown in VECTORS["events"]]
    assert bundle.event.events == [event.hash_hex for event in events] == [shown["hash"] for shown in VECTORS["events"]]
    for event in events:
        event.verify(bundles_at_hand([bundle]))
        with pytest.raises(UnknownBundle, match="/signatures/0/bundle"):
            event.verify()
    made, signed = sign_bundle([event.event for event in events], KEY_A, NOW_MS)
    assert (made.digest, made.signatures, signed) == (bundle.digest, bundle.signatures[:1], events)


@pytest.mark.parametrize("vector", REFUSED, ids=[vector["why"] for vector in REFUSED])
def test_what_the_vectors_refuse_is_refused_for_that_reason(vector: dict[str, Any]) -> None:
    find = bundles_at_hand([decode(VECTORS[name]) for name in vector["bundles"]])
    with pytest.raises(InvalidField) as refused:
        decode_envelope(json.dumps(vector["envelope"]).encode()).verify(find)
    assert (refused.value.code, refused.value.pointer) == (vector["code"], vector["pointer"])


def test_the_golden_record_of_version_2_is_reproduced_and_read() -> None:
    first = decode(VECTORS["events"][0])
    assert encode_record(first, Receipt(via="ingest")) == GOLDEN_RECORD
    assert decode_record(GOLDEN_RECORD).signed == first
    assert decode_raw_record(GOLDEN_RECORD)[0].signatures == first.signatures


@pytest.mark.parametrize("decoded", [decode_record, decode_raw_record])
def test_a_record_whose_version_is_not_that_of_its_signatures_is_refused(decoded: Any) -> None:
    by_bundle = b"\x01" + GOLDEN_RECORD[1:]
    own = b"\x02" + encode_record(sign_event(make_assertion(), KEY_A), Receipt())[1:]
    for payload in (by_bundle, own):
        with pytest.raises(UnsupportedRecord, match="version"):
            decoded(payload)


@pytest.mark.parametrize("size", [31, 33, 63])
def test_a_record_with_a_signature_of_another_length_is_refused(size: int) -> None:
    parts = msgspec.msgpack.decode(GOLDEN_RECORD[1:])
    parts[2][0][1] = bytes(size)
    for version in (b"\x01", b"\x02"):
        with pytest.raises(UnsupportedRecord):
            decode_record(version + msgspec.msgpack.encode(parts))


@given(st.lists(assertions(), min_size=1, max_size=4, unique_by=event_hash), st.data())
def test_signed_by_bundle_survives_envelope_and_record(events: list[Event], data: st.DataObject) -> None:
    bundle, signed = sign_bundle(events, KEY_A, NOW_MS)
    one = data.draw(st.sampled_from(signed))
    if data.draw(st.booleans()):
        one = SignedEvent(one.event, one.digest, (*one.signatures, KEY_B.sign(one.event)))
    assert decode_envelope(encode_envelope(one)) == one
    payload = encode_record(one, Receipt(via="http"))
    assert (payload[0], decode_record(payload).signed) == (2, one)
    one.verify(bundles_at_hand([decode_envelope(encode_envelope(bundle))]))


@given(st.data())
def test_nothing_verifies_that_its_bundle_does_not_list_or_another_agent_signed(data: st.DataObject) -> None:
    pool = claims(6)
    listed = data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique_by=event_hash))
    key = data.draw(st.sampled_from([KEY_A, KEY_B]))
    bundle, _ = sign_bundle(listed, key, NOW_MS)
    event = data.draw(st.sampled_from(pool))
    agent = data.draw(st.sampled_from([KEY_A.agent, KEY_B.agent]))
    named = data.draw(st.sampled_from([bundle.digest, bytes(32), event_hash(event)]))
    claimed = SignedEvent(event, event_hash(event), (Signature(agent, named),))
    if named == bundle.digest and agent == key.agent and event in listed:
        claimed.verify(bundles_at_hand([bundle]))
    else:
        with pytest.raises(UnknownBundle if named != bundle.digest else InvalidSignature):
            claimed.verify(bundles_at_hand([bundle]))


def test_a_bundle_at_hand_that_its_agent_has_not_signed_itself_is_refused() -> None:
    bundle, signed = sign_bundle(claims(2), KEY_A, NOW_MS)
    by_other = SignedEvent(bundle.event, bundle.digest, (KEY_B.sign(bundle.event),))
    forged = SignedEvent(bundle.event, bundle.digest, (Signature(KEY_A.agent, bytes(64)),))
    longer = Bundle(v=2, agent=KEY_A.agent_hex, timestamp=NOW_MS, events=[signed[0].hash_hex, HASH_1])
    for bad in (by_other, forged, SignedEvent(longer, bundle.digest, bundle.signatures)):
        with pytest.raises(InvalidSignature):
            bundles_at_hand([bad])


def test_a_bundle_that_a_bundle_lists_does_not_verify_by_it() -> None:
    inner, _ = sign_bundle(claims(1), KEY_A, NOW_MS)
    outer = sign_event(Bundle(v=2, agent=KEY_A.agent_hex, timestamp=NOW_MS, events=[inner.hash_hex]), KEY_A)
    by_bundle = SignedEvent(inner.event, inner.digest, (Signature(KEY_A.agent, outer.digest),))
    with pytest.raises(UnknownBundle):
        by_bundle.verify(bundles_at_hand([outer]))


def test_who_verifies_own_signatures_alone_passes_over_those_by_bundle() -> None:
    _, (one,) = sign_bundle(claims(1), KEY_A, NOW_MS)
    one.verify_own()
    with pytest.raises(InvalidSignature, match="/signatures/1/signature"):
        SignedEvent(one.event, one.digest, (*one.signatures, Signature(KEY_B.agent, bytes(64)))).verify_own()


def test_an_event_given_twice_is_listed_once_and_given_twice() -> None:
    first, second = claims(2)
    bundle, signed = sign_bundle([first, second, first], KEY_A, NOW_MS)
    assert isinstance(bundle.event, Bundle)
    assert bundle.event.events == [signed[0].hash_hex, signed[1].hash_hex]
    assert [one.event for one in signed] == [first, second, first]


def test_a_bundle_of_nothing_of_too_much_of_bundles_or_for_others_is_not_made() -> None:
    bundle, _ = sign_bundle(claims(1), KEY_A, NOW_MS)
    one = make_assertion()
    for events in ([], [bundle.event], [make_vote(agent=KEY_B.agent_hex)]):
        with pytest.raises(FieldRule):
            sign_bundle(events, KEY_A, NOW_MS)
    many = [msgspec.structs.replace(one, timestamp=at) for at in range(BUNDLE_EVENTS_MAX + 1)]
    with pytest.raises(FieldRule, match="10001"):
        sign_bundle(many, KEY_A, NOW_MS)
    largest, _ = sign_bundle(many[:-1], KEY_A, NOW_MS)
    assert decode_envelope(encode_envelope(largest)) == largest


def test_events_of_an_iterator_are_bundled_and_what_is_no_event_or_is_signed_already_is_named() -> None:
    assert sign_bundle(iter(claims(3)), KEY_A, NOW_MS) == sign_bundle(claims(3), KEY_A, NOW_MS)
    _, signed = sign_bundle(claims(1), KEY_A, NOW_MS)
    for wrong, name in ((signed[0], "SignedEvent"), ("{}", "str")):
        with pytest.raises(FieldRule, match=name):
            sign_bundle([wrong], KEY_A, NOW_MS)  # type: ignore[list-item]


def test_any_kind_but_a_bundle_can_be_signed_by_bundle() -> None:
    vote = make_vote()
    bundle, signed = sign_bundle([vote, make_assertion()], KEY_A, NOW_MS)
    for one in signed:
        decode_envelope(encode_envelope(one)).verify(bundles_at_hand([bundle]))
