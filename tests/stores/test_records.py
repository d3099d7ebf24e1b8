"""Values on disk: their exact bytes, and what is refused when they are not as they were written."""

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keycodec import Kind, family_of
from stores import Batch, MemoryEngine, Tally, UnsupportedValue
from stores.records import RecordCodec
from tests.support.values import CASES, stored_rows

GOLDEN = Path(__file__).parents[1] / "golden" / "values-v1.json"


def golden() -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text("utf-8"))
    return loaded


def reader_of(rows: dict[bytes, bytes]) -> Any:
    engine, batch = MemoryEngine(), Batch()
    batch.rows.update(rows)
    engine.commit(batch)
    return engine.snapshot()


@pytest.mark.parametrize("name", CASES)
def test_every_record_is_written_as_the_same_bytes_for_ever(name: str) -> None:
    written = {key.hex(): value.hex() for key, value in stored_rows(CASES[name]).items()}
    assert written == golden()[name]


@pytest.mark.parametrize("name", CASES)
def test_golden_bytes_are_read_back_as_the_record(name: str) -> None:
    rows = {bytes.fromhex(key): bytes.fromhex(value) for key, value in golden()[name].items()}
    assert CASES[name].get(reader_of(rows)) == CASES[name].record


def test_goldens_are_of_all_cases_and_no_others() -> None:
    assert list(golden()) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_record_begins_with_its_version(name: str) -> None:
    records = [value for key, value in stored_rows(CASES[name]).items() if family_of(key).kind is Kind.RECORD]
    assert records
    assert all(value[0] == 1 for value in records)


def broken(value: bytes) -> dict[str, bytes]:
    """What may have become of a stored value, by the way that it broke."""
    fields = msgspec.msgpack.decode(value[1:])
    return {
        "empty": b"",
        "version alone": value[:1],
        "older version": b"\x00" + value[1:],
        "newer version": b"\x02" + value[1:],
        "trailing byte": value + b"\x00",
        "written twice": value + value,
        "cut": value[:-1],
        "no array": value[:1] + msgspec.msgpack.encode({"seq": 1}),
        "wrong type": value[:1] + msgspec.msgpack.encode([[], *fields[1:]]),
        "one field more": value[:1] + msgspec.msgpack.encode([*fields, 0]),
    }


@pytest.mark.parametrize("way", broken(b"\x01\x90"))
@pytest.mark.parametrize("name", CASES)
def test_value_that_is_not_as_it_was_written_is_refused(name: str, way: str) -> None:
    case = CASES[name]
    rows = stored_rows(case)
    for key in [key for key in rows if family_of(key).kind is Kind.RECORD]:
        with pytest.raises(UnsupportedValue), reader_of({**rows, key: broken(rows[key])[way]}) as reader:
            case.get(reader)


@pytest.mark.parametrize("name", ["AssertionRow", "VoteRow", "LiveVote", "Tally", "EventRow", "ViewRow"])
def test_value_that_lacks_a_field_is_refused(name: str) -> None:
    case = CASES[name]
    rows = stored_rows(case)
    for key in [key for key in rows if family_of(key).kind is Kind.RECORD]:
        fields = msgspec.msgpack.decode(rows[key][1:])
        shorter = rows[key][:1] + msgspec.msgpack.encode(fields[:-1])
        with pytest.raises(UnsupportedValue), reader_of({**rows, key: shorter}) as reader:
            case.get(reader)


@pytest.mark.parametrize("position", range(1, 9))
def test_flipped_bits_give_an_error_of_ours_or_a_record(position: int) -> None:
    case = CASES["AssertionRow"]
    rows = stored_rows(case)
    [key] = [key for key in rows if family_of(key).kind is Kind.RECORD]
    for index in range(position % 8, len(rows[key]), 8):
        flipped = bytearray(rows[key])
        flipped[index] ^= 1 << position % 8
        with contextlib.suppress(UnsupportedValue):
            case.get(reader_of({**rows, key: bytes(flipped)}))


def test_older_version_is_read_by_the_reader_that_it_is_given() -> None:
    def read_first(data: bytes) -> Tally:
        count, total = msgspec.msgpack.decode(data, type=tuple[int, int])
        return Tally(count, total, max(total, 0))

    codec = RecordCodec(Tally, 2, {1: read_first})
    assert codec.encode(Tally(1, 2, 3))[:1] == b"\x02"
    assert codec.decode(codec.encode(Tally(1, 2, 3))) == Tally(1, 2, 3)
    assert codec.decode(b"\x01" + msgspec.msgpack.encode([4, -5])) == Tally(4, -5, 0)
    for data in (b"", b"\x00\x90", b"\x03\x90", b"\x01\x90", b"\x01" + msgspec.msgpack.encode([4, -5]) + b"\x00"):
        with pytest.raises(UnsupportedValue):
            codec.decode(data)
