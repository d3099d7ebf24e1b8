"""The payload of an event frame: exact, versioned, and refused as soon as it is not whole."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import (
    Event,
    EventRecord,
    Receipt,
    SignedEvent,
    UnsupportedRecord,
    canonical_bytes,
    decode_envelope,
    decode_record,
    encode_record,
    event_hash,
)
from tests.support.events import KEY_A, KEY_B, events, make_assertion, signed

GOLDEN: Final = Path(__file__).parents[1] / "golden"
GOLDEN_RECORD: Final = bytes.fromhex((GOLDEN / "event-record-v1.hex").read_text("ascii"))
NESTED: Final = b"\x91" * 100_000 + b"\x01"  # far deeper than any recursion limit


def vector_1() -> SignedEvent:
    vector = json.loads((GOLDEN / "vectors.json").read_text("utf-8"))["vectors"][0]
    body = {"event": vector["event"], "signatures": vector["signatures"]}
    return decode_envelope(json.dumps(body).encode())


def parts_of_vector_1() -> list[Any]:
    return msgspec.msgpack.decode(GOLDEN_RECORD[1:])


def packed(parts: list[Any]) -> bytes:
    return b"\x01" + msgspec.msgpack.encode(parts)


def test_the_golden_record_is_reproduced_byte_for_byte() -> None:
    assert encode_record(vector_1(), Receipt(via="http")).hex() == GOLDEN_RECORD.hex()


def test_the_golden_record_is_read_back_and_verifies() -> None:
    record = decode_record(GOLDEN_RECORD)
    assert record == EventRecord(vector_1().digest, vector_1().event, vector_1().signatures, Receipt(via="http"))
    assert event_hash(record.event) == record.digest
    record.signed.verify()


@given(events(), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
def test_a_record_survives_a_round_trip_byte_for_byte(event: Event, via: str) -> None:
    payload = encode_record(signed(event, KEY_A, KEY_B), Receipt(via=via))
    record = decode_record(payload)
    assert record.receipt == Receipt(via=via)
    assert canonical_bytes(record.event) == canonical_bytes(event)
    assert encode_record(record.signed, record.receipt) == payload


def test_an_empty_receipt_takes_one_byte() -> None:
    assert encode_record(signed(make_assertion()), Receipt()).endswith(b"\x80")


@pytest.mark.parametrize("version", [0, 3, 0x7B, 0xFF])
def test_another_version_byte_is_refused_by_name(version: int) -> None:
    with pytest.raises(UnsupportedRecord, match=f"version {version:02x}; this program reads 1 and 2"):
        decode_record(bytes([version]) + GOLDEN_RECORD[1:])


def test_truncation_at_every_byte_is_refused() -> None:
    for size in range(len(GOLDEN_RECORD)):
        with pytest.raises(UnsupportedRecord):
            decode_record(GOLDEN_RECORD[:size])


@pytest.mark.parametrize("tail", [b"\x00", b"\xc0", b"\x01", GOLDEN_RECORD])
def test_trailing_bytes_are_refused(tail: bytes) -> None:
    with pytest.raises(UnsupportedRecord, match="trailing"):
        decode_record(GOLDEN_RECORD + tail)


@pytest.mark.parametrize("index", range(4), ids=["hash", "event", "signatures", "receipt"])
@pytest.mark.parametrize("value", [None, 1, 1.5, "text", [0]], ids=repr)
def test_a_part_of_a_wrong_type_is_refused(index: int, value: object) -> None:
    parts = parts_of_vector_1()
    parts[index] = value
    with pytest.raises(UnsupportedRecord):
        decode_record(packed(parts))


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"kind": "no_such_kind"}, id="unknown kind"),
        pytest.param({"surprise": 1}, id="unknown field"),
        pytest.param({"timestamp": 1.0}, id="float"),
        pytest.param({"subject": "a\x00b"}, id="control character"),
        pytest.param({"confidence": "2"}, id="out of range"),
        pytest.param({"v": 3}, id="another event version"),
    ],
)
def test_an_event_that_breaks_a_rule_is_refused(field: dict[str, Any]) -> None:
    parts = parts_of_vector_1()
    parts[1] |= field
    with pytest.raises(UnsupportedRecord):
        decode_record(packed(parts))


def test_a_fifth_part_is_refused() -> None:
    with pytest.raises(UnsupportedRecord):
        decode_record(packed([*parts_of_vector_1(), "surprise"]))


def test_a_third_part_of_a_signature_is_refused() -> None:
    parts = parts_of_vector_1()
    parts[2][0].append(b"surprise")
    with pytest.raises(UnsupportedRecord):
        decode_record(packed(parts))


def test_an_unknown_fact_in_the_receipt_is_refused() -> None:
    parts = parts_of_vector_1()
    parts[3]["surprise"] = 1
    with pytest.raises(UnsupportedRecord):
        decode_record(packed(parts))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_hash_or_an_agent_of_a_wrong_length_is_refused(size: int) -> None:
    with_hash, with_agent = parts_of_vector_1(), parts_of_vector_1()
    with_hash[0] = bytes(size)
    with_agent[2][0][0] = bytes(size)
    for parts in (with_hash, with_agent):
        with pytest.raises(UnsupportedRecord):
            decode_record(packed(parts))


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_a_wrong_length_is_refused(size: int) -> None:
    parts = parts_of_vector_1()
    parts[2][0][1] = bytes(size)
    with pytest.raises(UnsupportedRecord):
        decode_record(packed(parts))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x01" + NESTED, id="as the record"),
        pytest.param(b"\x01\x95" + GOLDEN_RECORD[2:] + NESTED, id="as a fifth part"),
        pytest.param(packed([*parts_of_vector_1()[:3], {"deep": 0}])[:-1] + NESTED, id="in the receipt"),
    ],
)
def test_deep_nesting_is_refused_and_does_not_overflow(payload: bytes) -> None:
    with pytest.raises(UnsupportedRecord):
        decode_record(payload)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_unsupported_record(tail: bytes) -> None:
    with pytest.raises(UnsupportedRecord):
        decode_record(b"\x01" + tail)


@given(st.integers(0, len(GOLDEN_RECORD) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_record_raises_nothing_but_unsupported_record(start: int, patch: bytes) -> None:
    damaged = GOLDEN_RECORD[:start] + patch + GOLDEN_RECORD[start + len(patch) :]
    try:
        record = decode_record(damaged)
    except UnsupportedRecord:
        return
    assert isinstance(record, EventRecord)  # damage inside a string; the frame's checksum is for that


def test_a_record_is_read_whatever_the_unicode_tables_make_of_its_text() -> None:
    """The form of text is judged at the gate; a log must stay readable under other tables."""
    event = make_assertion(subject="e\u0301", narrative="\ufdd0")
    assert decode_record(encode_record(signed(event), Receipt())).event == event
