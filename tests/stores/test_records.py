"""Values on disk: their exact bytes, and what is refused when they are not as they were written."""

import contextlib
import importlib
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import stores
from keycodec import FAMILIES, Kind, assertion_row_keys, family_of
from stores import (
    AssertionStore,
    Batch,
    MemoryEngine,
    SourceRecord,
    SourceStatus,
    SourceStore,
    Tally,
    UnsupportedValue,
)
from stores.records import RecordCodec
from tests.support.events import KEY_A, KEY_B
from tests.support.values import CASES, DIGEST, OTHER, TIME, stored_rows

FOLDER = Path(__file__).parents[1] / "golden"
PAGE = Path(__file__).parents[2] / "docs" / "format-keys.md"
RECORDS = PAGE.read_text("utf-8").partition("\n## Records\n")[2].partition("\n## ")[0]
VERSION_2 = {"AssertionRow", "EventRow", "PairTally", "SourceRecord", "SupersessionRow"}
VERSION_2_IF_BUNDLED = {"VoteRow, signed in a bundle"}
VERSION_3 = {"ViewRow"}
# What is read at its first version too; other records of that version are computed anew from the log.
KEPT_IN_VERSION_1 = [
    name
    for name in json.loads((FOLDER / "values-v1.json").read_text("utf-8"))
    if name.partition(",")[0] not in {"EventRow", "ViewRow"}
]
SOURCES_OF_VERSION_1 = {
    "SourceRecord": SourceRecord(
        "STEP 1", "https://example.org/1", None, 0, (SourceStatus("retracted", KEY_B.agent, OTHER, 2**33, TIME + 1),)
    ),
    "SourceRecord, fewest fields": SourceRecord(
        "STEP 1", None, None, 0, (SourceStatus("active", KEY_A.agent, DIGEST, 0, 0),)
    ),
}


def golden(name: str) -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = json.loads((FOLDER / name).read_text("utf-8"))
    return loaded


def rows_of(stored: dict[str, str]) -> dict[bytes, bytes]:
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in stored.items()}


def reader_of(rows: dict[bytes, bytes]) -> Any:
    engine, batch = MemoryEngine(), Batch()
    batch.rows.update(rows)
    engine.commit(batch)
    return engine.snapshot()


@pytest.mark.parametrize("name", CASES)
def test_every_record_is_written_as_the_same_bytes_for_ever(name: str) -> None:
    written = {key.hex(): value.hex() for key, value in stored_rows(CASES[name]).items()}
    assert written == golden("values-v2.json")[name]


@pytest.mark.parametrize("name", CASES)
def test_golden_bytes_are_read_back_as_the_record(name: str) -> None:
    rows = rows_of(golden("values-v2.json")[name])
    assert CASES[name].get(reader_of(rows)) == CASES[name].record


def test_goldens_are_of_all_cases_and_no_others() -> None:
    assert list(golden("values-v2.json")) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_record_begins_with_its_version(name: str) -> None:
    records = [value for key, value in stored_rows(CASES[name]).items() if family_of(key).kind is Kind.RECORD]
    assert records
    record = name.partition(",")[0]
    version = 3 if record in VERSION_3 else 2 if record in VERSION_2 or name in VERSION_2_IF_BUNDLED else 1
    assert {value[0] for value in records} == {version}


@pytest.mark.parametrize("name", KEPT_IN_VERSION_1)
def test_what_an_older_program_wrote_is_still_read(name: str) -> None:
    rows = rows_of(golden("values-v1.json")[name])
    assert {value[0] for key, value in rows.items() if family_of(key).kind is Kind.RECORD} == {1}
    assert CASES[name].get(reader_of(rows)) == CASES[name].record


@pytest.mark.parametrize("name", ["AssertionRow", "AssertionRow, fewest fields"])
def test_head_of_an_older_row_is_still_read(name: str) -> None:
    row = CASES[name].record
    reader = reader_of(rows_of(golden("values-v1.json")[name]))
    keys = assertion_row_keys(row.event.subject, row.event.predicate, DIGEST)
    [head, other] = [AssertionStore(reader).head(keys), *AssertionStore(reader).heads(row.event.subject, [DIGEST])]
    assert head is not None
    assert other is not None
    assert (head.signatures, head.seq, head.time) == (row.signatures, row.seq, row.time)
    assert bytes(head.event) == bytes(other.event) == msgspec.msgpack.encode(row.event)


@pytest.mark.parametrize("name", SOURCES_OF_VERSION_1)
def test_older_source_record_is_read_with_its_one_status_and_no_content(name: str) -> None:
    reader = reader_of(rows_of(golden("source-records-v1.json")[name]))
    assert SourceStore(reader).get(DIGEST.hex()) == SOURCES_OF_VERSION_1[name]


@pytest.mark.parametrize("way", ["trailing byte", "written twice", "cut", "no array", "wrong type", "one field more"])
def test_older_value_that_is_not_as_it_was_written_is_refused(way: str) -> None:
    older = {**golden("values-v1.json")["AssertionRow"], **golden("source-records-v1.json")["SourceRecord"]}
    rows = rows_of(older)
    for key in [key for key in rows if family_of(key).kind is Kind.RECORD]:
        reader = reader_of({**rows, key: broken(rows[key])[way]})
        read = SourceStore(reader).get if family_of(key).tag == "SRC" else None
        with pytest.raises(UnsupportedValue):
            _ = read(DIGEST.hex()) if read else AssertionStore(reader).find(DIGEST)


def test_newer_fields_under_the_older_version_are_refused() -> None:
    for case, read in (
        (CASES["AssertionRow"], lambda reader: AssertionStore(reader).find(DIGEST)),
        (CASES["SourceRecord"], lambda reader: SourceStore(reader).get(DIGEST.hex())),
    ):
        rows = {
            key: b"\x01" + value[1:] if family_of(key).kind is Kind.RECORD else value
            for key, value in stored_rows(case).items()
        }
        with pytest.raises(UnsupportedValue):
            read(reader_of(rows))


def broken(value: bytes) -> dict[str, bytes]:
    """What may have become of a stored value, by the way that it broke."""
    fields = msgspec.msgpack.decode(value[1:])
    return {
        "empty": b"",
        "version alone": value[:1],
        "older version": b"\x00" + value[1:],
        "newer version": bytes([value[0] + 1]) + value[1:],
        "trailing byte": value + b"\x00",
        "written twice": value + value,
        "cut": value[:-1],
        "no array": value[:1] + msgspec.msgpack.encode({"seq": 1}),
        "wrong type": value[:1] + msgspec.msgpack.encode([{}, *fields[1:]]),
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


@pytest.mark.parametrize("name", CASES)
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


# Other ways to read or write the same rows.
NOT_STORED_AS_SUCH = {
    "AssertionHead",
    "AuditHead",
    "Claim",
    "ClaimObject",
    "ClaimRow",
    "RawAudit",
    "RawGroup",
    "RawResolution",
    "RawView",
    "StoredView",
}


def stored_structs() -> dict[str, tuple[str, ...]]:
    """The fields of every public record of the typed stores."""
    modules = [importlib.import_module(f"stores.{one.name}") for one in pkgutil.iter_modules(stores.__path__)]
    return {
        name: thing.__struct_fields__
        for module in modules
        for name, thing in vars(module).items()
        if isinstance(thing, type)
        and issubclass(thing, msgspec.Struct)
        and thing.__module__ == module.__name__
        and not name.startswith("_")
        and name not in NOT_STORED_AS_SUCH
    }


def listed_records() -> dict[str, tuple[str, ...]]:
    """The fields of every record as the page lists them; the values of rows come with their families."""
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| ((?:`\w+`(?:, )?)+) \| .+ \|$", RECORDS, re.MULTILINE)
    return {name: tuple(re.findall(r"`(\w+)`", fields)) for name, _, fields in rows}


def test_the_page_lists_the_fields_of_every_record_in_their_order() -> None:
    assert listed_records() == stored_structs()


def test_the_page_names_a_record_for_every_family_that_holds_records() -> None:
    places = re.findall(r"^\| `\w+` \| ([\w, ]+) \| ", RECORDS, re.MULTILINE)
    tags = [tag for place in places if not place.startswith("in ") for tag in place.split(", ")]
    assert sorted(tags) == sorted(family.tag for family in FAMILIES if family.kind is Kind.RECORD)


def test_the_page_says_which_records_are_beyond_their_first_version() -> None:
    pattern = r"^(.+) are at version 2, (.+) at version 3, all others at version 1\.$"
    [told] = re.findall(pattern, RECORDS, re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", names)) for names in told] == [VERSION_2, VERSION_3]
