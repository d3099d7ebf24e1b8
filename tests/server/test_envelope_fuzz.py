"""Whatever comes in as an envelope: it is taken and reads the same ever after, or it is refused with a code."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episteme.errors import Refused
from episteme.gate import EVENT_BYTES_MAX, admit
from model import encode_envelope
from tests.campaigns.envelope_campaign import DATABASE, check, check_taken, corpus, fuzz
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, assertions, signed, votes

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
)


def test_mutations_of_every_kind_are_taken_or_refused() -> None:
    found = fuzz(seed=7, count=20_000)
    assert {"malformed", "invalid-field", "unknown-kind", "taken"} <= set(found.by_code)
    assert found.ways_count > 100


def test_first_bodies_are_taken_but_for_what_is_meant_for_another_database() -> None:
    ways = [check(body) for body in corpus()]
    assert len(ways) == len(FULL_EVENTS) + 1
    assert [way for way in ways if way != "taken"] == [ways[0]]
    assert ways[0].startswith("wrong-audience ")


@settings(max_examples=200, database=None, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert check(data).startswith(("malformed ", "invalid-field "))


@settings(max_examples=200, database=None, deadline=None)
@given(JSON, JSON)
def test_any_json_in_the_place_of_event_and_signatures_is_refused(event: object, signatures: object) -> None:
    assert check(msgspec.json.encode({"event": event, "signatures": signatures})) != "taken"


@settings(max_examples=100, database=None, deadline=None)
@given(assertions() | votes())
def test_any_valid_event_is_taken_and_reads_the_same(event: object) -> None:
    body = encode_envelope(signed(event, KEY_A, KEY_B))  # type: ignore[arg-type]
    if check(body) == "taken":
        check_taken(admit(body, DATABASE, bytes_max=EVENT_BYTES_MAX))


@pytest.mark.parametrize("opening", [b"[", b'{"event":', b'{"event":{"object":', b'{"signatures":['])
def test_deep_nesting_is_refused_and_not_followed(opening: bytes) -> None:
    assert check(opening * 200_000).startswith(("malformed ", "invalid-field "))


@pytest.mark.parametrize("field", ["kind", "source_class", "lifecycle", "subject", "confidence", "v"])
def test_refusal_is_short_however_long_what_was_sent(field: str) -> None:
    event = msgspec.to_builtins(FULL_EVENTS[0]) | {field: "\u202e\x1b" * 100_000}
    body = msgspec.json.encode({"event": event, "signatures": []})
    with pytest.raises(Refused) as caught:
        admit(body, DATABASE, bytes_max=EVENT_BYTES_MAX)
    assert len(caught.value.detail) < 500
    assert "\u202e" not in caught.value.detail
    assert "\x1b" not in caught.value.detail


def test_refusal_names_a_field_of_a_long_name_by_its_beginning() -> None:
    event = msgspec.to_builtins(FULL_EVENTS[0]) | {"x" * 100_000: 1}
    with pytest.raises(Refused) as caught:
        admit(msgspec.json.encode({"event": event, "signatures": []}), DATABASE, bytes_max=EVENT_BYTES_MAX)
    assert caught.value.errors[0].pointer == "/event/" + "x" * 80
