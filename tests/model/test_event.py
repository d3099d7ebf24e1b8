"""Canonical bytes and hashes: one form for each event, another hash for any change."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given

from model import (
    EVENT_TYPES,
    KINDS,
    Event,
    FieldRule,
    Receipt,
    canonical_bytes,
    decode_envelope,
    decode_record,
    encode_envelope,
    encode_record,
    event_hash,
    kind_of,
    signed_message,
)
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, events, make_assertion, signed

each_full_event = pytest.mark.parametrize("event", FULL_EVENTS, ids=kind_of)

# Optional fields that go together with another, so that neither can be taken away alone.
TIED = {("epoch", "supersedes"), ("epoch", "supersession"), ("supersession", "replacement")}


@given(events())
def test_canonical_bytes_are_the_sorted_compact_json_of_the_event(event: Event) -> None:
    shown = json.loads(msgspec.json.encode(event))
    expected = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_bytes(event) == expected.encode()


@given(events())
def test_hash_is_blake3_of_kind_tag_and_canonical_bytes(event: Event) -> None:
    tag = f"episteme/{kind_of(event)}/v2\n".encode()
    assert event_hash(event) == blake3(tag + canonical_bytes(event)).digest()
    assert signed_message(event, event_hash(event)) == tag + event_hash(event)


@given(events())
def test_an_envelope_gives_back_an_equal_event_and_equal_bytes(event: Event) -> None:
    sent = signed(event, KEY_A, KEY_B)
    received = decode_envelope(encode_envelope(sent))
    assert received == sent
    assert canonical_bytes(received.event) == canonical_bytes(event)
    received.verify()


@given(events())
def test_a_log_record_gives_back_an_equal_event_and_equal_bytes(event: Event) -> None:
    sent = signed(event, KEY_A, KEY_B)
    record = decode_record(encode_record(sent, Receipt(via="http")))
    assert record.signed == sent
    assert canonical_bytes(record.event) == canonical_bytes(event)
    assert event_hash(record.event) == record.digest


def test_the_full_events_are_one_of_each_kind_with_every_field_set() -> None:
    assert tuple(type(event) for event in FULL_EVENTS) == EVENT_TYPES
    assert tuple(kind_of(event) for event in FULL_EVENTS) == KINDS
    for event in FULL_EVENTS:
        for field in event.__struct_fields__:
            assert getattr(event, field) is not msgspec.UNSET, f"{kind_of(event)}.{field}"


@each_full_event
def test_any_change_of_any_field_changes_the_hash(event: Event) -> None:
    before = event_hash(event)
    changed_fields = set()
    for path, changed in changes(event):
        assert event_hash(changed) != before, path
        changed_fields.add(re.match(r"\$\.(\w+)", path)[1])
    assert changed_fields == set(event.__struct_fields__)


@each_full_event
def test_leaving_out_any_optional_field_changes_the_hash(event: Event) -> None:
    before = event_hash(event)
    for field in msgspec.structs.fields(type(event)):
        if field.required:
            continue
        if (kind_of(event), field.encode_name) in TIED:
            with pytest.raises(FieldRule):
                msgspec.structs.replace(event, **{field.name: msgspec.UNSET})
        else:
            without = msgspec.structs.replace(event, **{field.name: msgspec.UNSET})
            assert event_hash(without) != before, field.name
            assert f'"{field.encode_name}"'.encode() not in canonical_bytes(without)


def test_equal_bytes_under_the_tag_of_another_kind_hash_differently() -> None:
    data = canonical_bytes(make_assertion())
    digests = {blake3(f"episteme/{kind}/v2\n".encode() + data).digest() for kind in KINDS}
    assert len(digests) == len(KINDS)
    tags = {signed_message(event, b"") for event in FULL_EVENTS}
    assert tags == {f"episteme/{kind}/v2\n".encode() for kind in KINDS}


def test_metadata_order_does_not_reach_the_hash() -> None:
    one = make_assertion(metadata={"a": "1", "b": "2"})
    other = make_assertion(metadata={"b": "2", "a": "1"})
    assert event_hash(one) == event_hash(other)


def test_numbers_are_kept_as_they_were_written() -> None:
    assert event_hash(make_assertion(confidence="0.5")) != event_hash(make_assertion(confidence="0.50"))


def changes(node: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Copies of a value that differ in one place: for a struct, one or more for each field."""
    if isinstance(node, msgspec.Struct):
        for field in node.__struct_fields__:
            for inner, changed in changes(getattr(node, field), f"{path}.{field}"):
                yield inner, forced(node, field, changed)
    elif isinstance(node, list):
        yield f"{path} shorter", node[:-1]
        yield f"{path} reversed", node[::-1]
        for index, element in enumerate(node):
            for inner, changed in changes(element, f"{path}[{index}]"):
                yield inner, [*node[:index], changed, *node[index + 1 :]]
    elif isinstance(node, dict):
        for key, value in node.items():
            rest = {other: node[other] for other in node if other != key}
            yield f"{path}[{key}] removed", rest
            yield f"{path}[{key}] renamed", rest | {f"{key}0": value}
            yield f"{path}[{key}] changed", rest | {key: f"{value}0"}
    else:
        yield path, other_leaf(node)


def other_leaf(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value - 1
        case str():
            return f"{value}0"
    raise AssertionError(f"no way to change a {type(value).__name__}")


def forced(struct: msgspec.Struct, field: str, value: Any) -> msgspec.Struct:
    """A copy with one field changed and no rule asked: even `v` and closed sets can be changed so."""
    changed = copy.copy(struct)
    msgspec.structs.force_setattr(changed, field, value)
    return changed
