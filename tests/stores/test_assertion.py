"""Rows and heads of assertions: the same bytes whichever way they are written."""

import msgspec
import pytest
from hypothesis import given
from msgspec import Raw

from keycodec import assertion_row_keys
from model import Assertion, Receipt, decode_record, encode_record
from stores import (
    AssertionHead,
    AssertionRow,
    AssertionStore,
    AssertionWriter,
    IndexWriter,
    MemoryEngine,
    Posting,
    RowSignature,
    Staging,
    UnsupportedValue,
)
from tests.support.events import KEY_A, KEY_B, assertions, make_assertion, signed
from tests.support.values import ASSERTION_ROW, BUNDLED_ASSERTION_ROW, DIGEST, OTHER

SIGNATURES = (RowSignature(KEY_A.agent, bytes(64), 7), RowSignature(KEY_B.agent, b"", 2**40, DIGEST))


def new_state() -> Staging:
    return Staging(MemoryEngine().snapshot())


@given(assertions())
def test_an_event_taken_raw_from_the_log_is_stored_as_the_decoded_one_would_be(event: Assertion) -> None:
    payload = encode_record(signed(event), Receipt())
    digest, raw, _, _ = msgspec.msgpack.decode(payload[1:], type=tuple[bytes, Raw, Raw, Raw])
    keys = assertion_row_keys(event.subject, event.predicate, digest)
    from_raw, from_struct = new_state(), new_state()
    AssertionWriter(from_raw).put_raw(keys, AssertionHead(raw, SIGNATURES, 7, 9))
    decoded = decode_record(payload).event
    assert isinstance(decoded, Assertion)
    AssertionWriter(from_struct).put(digest, AssertionRow(decoded, SIGNATURES, 7, 9))
    assert from_raw.batch.rows == from_struct.batch.rows
    assert AssertionStore(from_raw).find(digest) == AssertionRow(event, SIGNATURES, 7, 9)


@pytest.mark.parametrize("row", [ASSERTION_ROW, BUNDLED_ASSERTION_ROW])
def test_a_head_says_what_the_row_says_and_writing_it_back_changes_nothing(row: AssertionRow) -> None:
    state = new_state()
    AssertionWriter(state).put(DIGEST, row)
    before = dict(state.batch.rows)
    keys = assertion_row_keys(row.event.subject, row.event.predicate, DIGEST)
    head = AssertionStore(state).head(keys)
    assert head is not None
    assert (head.signatures, head.seq, head.time) == (row.signatures, row.seq, row.time)
    assert msgspec.msgpack.decode(head.event, type=Assertion) == row.event
    AssertionWriter(state).put_raw(keys, head)
    assert state.batch.rows == before


def test_what_is_not_there_has_neither_row_nor_head() -> None:
    state = new_state()
    AssertionWriter(state).put(DIGEST, BUNDLED_ASSERTION_ROW)
    store = AssertionStore(state)
    subject = BUNDLED_ASSERTION_ROW.event.subject
    assert store.get(subject, OTHER) is None
    assert store.head(assertion_row_keys(subject, "p", OTHER)) is None
    assert store.head(assertion_row_keys("another", "p", DIGEST)) is None
    assert store.find(OTHER) is None
    assert [row is None for row in store.get_many(subject, [OTHER, DIGEST, OTHER])] == [True, False, True]
    assert [head is None for head in store.heads(subject, [OTHER, DIGEST, OTHER])] == [True, False, True]


def test_who_signed_in_a_bundle_is_shown_with_the_bundle_in_place_of_a_signature() -> None:
    shown = BUNDLED_ASSERTION_ROW.signed(DIGEST).signatures
    assert [(signature.agent, signature.bundle) for signature in shown] == [(KEY_A.agent, None), (KEY_B.agent, OTHER)]


def test_damage_outside_the_event_is_found_without_reading_the_event() -> None:
    state = new_state()
    AssertionWriter(state).put(DIGEST, ASSERTION_ROW)
    keys = assertion_row_keys(ASSERTION_ROW.event.subject, "p", DIGEST)
    value = state.get(keys.assertion)
    assert value is not None
    for damaged in (
        b"",
        value[:1],
        value[:-1],
        value + b"\x00",
        b"\x00" + value[1:],
        b"\x03" + value[1:],
        b"\x01" + value[1:],
    ):
        state.put(keys.assertion, damaged)
        with pytest.raises(UnsupportedValue):
            AssertionStore(state).head(keys)


def test_postings_added_with_keys_at_hand_are_those_added_by_name() -> None:
    by_name, by_keys = new_state(), new_state()
    event = make_assertion()
    for seq, subject in enumerate(("Zug", "Zürich", "Zug")):
        digest = bytes([seq]) * 32
        IndexWriter(by_name).add(subject, event.predicate, Posting(seq, digest))
        IndexWriter(by_keys).add_keys(assertion_row_keys(subject, event.predicate, digest), seq, digest)
    assert by_keys.batch.rows == by_name.batch.rows
    assert by_keys.batch.postings == by_name.batch.postings
