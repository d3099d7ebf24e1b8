"""The payload of a rules frame: exact, versioned, and refused as soon as it is not whole."""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import OPERATORS_MAX, DatabaseRules, UnsupportedRecord, decode_rules, encode_rules
from tests.support.events import KEY_A, KEY_B

GOLDEN: Final = bytes.fromhex((Path(__file__).parents[1] / "golden" / "rules-record-v1.hex").read_text("ascii"))
RULES: Final = DatabaseRules(operators=tuple(sorted([KEY_A.agent, KEY_B.agent])), anecdotal_cluster_count=100)

keys = st.binary(min_size=32, max_size=32)
rules = st.builds(
    DatabaseRules,
    operators=st.lists(keys, max_size=5, unique=True).map(lambda found: tuple(sorted(found))),
    anecdotal_cluster_count=st.integers(1, 2**53),
    regulatory_conflict_micros=st.integers(0, 1_000_000),
)


def packed(fields: Any) -> bytes:
    return b"\x01" + msgspec.msgpack.encode(fields)


def test_the_golden_record_is_reproduced_byte_for_byte_and_read_back() -> None:
    assert encode_rules(RULES).hex() == GOLDEN.hex()
    assert decode_rules(GOLDEN) == RULES


@given(rules)
def test_rules_survive_a_round_trip_byte_for_byte(made: DatabaseRules) -> None:
    payload = encode_rules(made)
    assert decode_rules(payload) == made
    assert encode_rules(decode_rules(payload)) == payload


def test_rules_that_are_the_defaults_take_two_bytes() -> None:
    assert encode_rules(DatabaseRules()) == b"\x01\x80"
    assert decode_rules(b"\x01\x80") == DatabaseRules((), 500, 800_000)


def test_rules_with_as_many_operators_as_may_be_are_read() -> None:
    operators = tuple(number.to_bytes(32, "big") for number in range(OPERATORS_MAX))
    assert decode_rules(encode_rules(DatabaseRules(operators))).operators == operators


@pytest.mark.parametrize("version", [0, 2, 0x7B, 0xFF])
def test_another_version_byte_is_refused_by_name(version: int) -> None:
    with pytest.raises(UnsupportedRecord, match=f"version {version:02x}; this program reads 1"):
        decode_rules(bytes([version]) + GOLDEN[1:])


def test_truncation_at_every_byte_is_refused() -> None:
    for size in range(len(GOLDEN)):
        with pytest.raises(UnsupportedRecord):
            decode_rules(GOLDEN[:size])


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(GOLDEN + b"\x00", id="trailing byte"),
        pytest.param(packed([]), id="no map"),
        pytest.param(packed({"owners": []}), id="unknown rule"),
        pytest.param(packed({"operators": [bytes(31)]}), id="short key"),
        pytest.param(packed({"operators": [bytes(33)]}), id="long key"),
        pytest.param(packed({"operators": [bytes(32)] * (OPERATORS_MAX + 1)}), id="too many operators"),
        pytest.param(packed({"anecdotal_cluster_count": 0}), id="count of zero"),
        pytest.param(packed({"anecdotal_cluster_count": 1.5}), id="count that is no integer"),
        pytest.param(packed({"regulatory_conflict_micros": -1}), id="conflict below 0"),
        pytest.param(packed({"regulatory_conflict_micros": 1_000_001}), id="conflict above 1"),
        pytest.param(packed({"operators": None}), id="nil"),
    ],
)
def test_rules_of_another_shape_are_refused(payload: bytes) -> None:
    with pytest.raises(UnsupportedRecord):
        decode_rules(payload)


@given(st.integers(0, len(GOLDEN) - 1), st.binary(min_size=1, max_size=4))
def test_damaged_rules_raise_nothing_but_unsupported_record(start: int, patch: bytes) -> None:
    damaged = GOLDEN[:start] + patch + GOLDEN[start + len(patch) :]
    try:
        found = decode_rules(damaged)
    except UnsupportedRecord:
        return
    assert isinstance(found, DatabaseRules)  # damage inside a key; the frame's checksum is for that


def test_equal_rules_have_one_record_however_their_numbers_were_made() -> None:
    made = DatabaseRules(anecdotal_cluster_count=int("500"), regulatory_conflict_micros=int("800000"))
    assert encode_rules(made) == encode_rules(DatabaseRules())
