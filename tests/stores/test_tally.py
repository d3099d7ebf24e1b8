"""Tallies on disk: their exact bytes, what is refused, and the order of ties."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycodec import TallyKeys, any_early_votes_key, early_votes_key, pair_tally_key
from stores import (
    AgentTally,
    Batch,
    ChainTally,
    GroupTally,
    MemoryEngine,
    PairClaim,
    PairGround,
    PairTally,
    PairTotals,
    Staging,
    TallyStore,
    TallyWriter,
    UnsupportedValue,
    digest_of,
    make_tie,
    pack_earlier,
    pack_former,
    pack_unit,
    unpack_earlier,
    unpack_former,
    unpack_unit,
)
from tests.support.events import NOW_MS

DIGEST: Final = bytes(range(32))
AGENT: Final = bytes([7]) * 32
VALUE: Final = bytes([9]) * 16
TIE: Final = make_tie(3, NOW_MS, DIGEST)
KEY: Final = TallyKeys("Zürich", VALUE).group(VALUE)
CLAIM: Final = PairClaim(TIE, 2**33, NOW_MS, True, AGENT, VALUE, ((AGENT, 2**33),), -500_000, b"\xa1x")
LONE: Final = PairClaim(TIE, 0, 0, False, None, VALUE, (), 0, b"")
RECORDS: Final[dict[str, Any]] = {
    "pair": PairTally([CLAIM, LONE], None, PairGround((AGENT, DIGEST), None, references=True)),
    "pair of many": PairTally([], PairTotals(5, [(0, 2), (3, 1)], 1, 2, 9, has_revoked=True, checked_seq=2**33)),
    "group": GroupTally(9, 3, [0, 0, 0, 9, 0, 0], -1, TIE, b"\xa1x", [(4, TIE, 250_000)]),
    "agent": AgentTally([(NOW_MS, 4, VALUE, TIE)], 12, TIE),
    "chain": ChainTally([CLAIM, LONE]),
}
GOLDEN: Final[dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "tallies-v2.json").read_text("utf-8")
)


def put(writer: TallyWriter, name: str, record: Any) -> None:
    """Stage a record under its own key, or under that of a group."""
    match name.partition(" ")[0]:
        case "pair":
            writer.put_pair("Zürich", "größe", record)
        case "group":
            writer.put_group(KEY, record)
        case "agent":
            writer.put_agent(KEY, record)
        case _:
            writer.put_chain(KEY, record)


def get(store: TallyStore, name: str) -> Any:
    """Read a record back."""
    match name.partition(" ")[0]:
        case "pair":
            return store.pair("Zürich", "größe")
        case "group":
            return store.group(KEY)
        case "agent":
            return store.agent(KEY)
    return store.chain(KEY)


def row_of(name: str) -> tuple[bytes, bytes]:
    staging = Staging(MemoryEngine().snapshot())
    put(TallyWriter(staging), name, RECORDS[name])
    ((key, value),) = staging.batch.rows.items()
    assert value is not None
    return key, value


def store_of(key: bytes, value: bytes) -> TallyStore:
    engine, batch = MemoryEngine(), Batch()
    batch.put(key, value)
    engine.commit(batch)
    return TallyStore(engine.snapshot())


@pytest.mark.parametrize("name", RECORDS)
def test_record_is_written_as_the_same_bytes_for_ever_and_read_back(name: str) -> None:
    key, value = row_of(name)
    assert value.hex() == GOLDEN[name]
    assert key == (pair_tally_key("Zürich", "größe") if name.startswith("pair") else KEY)
    assert get(store_of(key, value), name) == RECORDS[name]


@pytest.mark.parametrize("name", RECORDS)
def test_value_that_is_not_as_it_was_written_is_refused(name: str) -> None:
    key, value = row_of(name)
    fields = msgspec.msgpack.decode(value[1:])
    another = value[:1] + msgspec.msgpack.encode(["x", *fields[1:]])
    longer = value[:1] + msgspec.msgpack.encode([*fields, 0])
    for broken in (b"", value[:1], b"\x09" + value[1:], value + b"\x00", value[:-1], another, longer):
        with pytest.raises(UnsupportedValue):
            get(store_of(key, broken), name)


def test_what_is_not_there_is_none() -> None:
    store = TallyStore(MemoryEngine().snapshot())
    assert [get(store, name) for name in RECORDS] == [None] * len(RECORDS)
    assert store.groups([KEY, KEY]) == [None, None]
    assert not store.has_early_votes("Zürich")
    assert not store.has_any_early_votes()


def test_early_votes_are_noted_for_their_subject_alone() -> None:
    staging = Staging(MemoryEngine().snapshot())
    writer = TallyWriter(staging)
    writer.put_early_votes("Zürich")
    assert writer.has_early_votes("Zürich")
    assert not writer.has_early_votes("Zug")
    assert writer.has_any_early_votes()
    assert staging.batch.rows == {early_votes_key("Zürich"): b"", any_early_votes_key(): b""}


def test_raw_values_give_back_what_they_were_made_of() -> None:
    assert unpack_unit(pack_unit(TIE, -(2**40))) == (TIE, -(2**40))
    assert unpack_earlier(pack_earlier(NOW_MS, 2**40, VALUE, TIE)) == (NOW_MS, 2**40, VALUE, TIE)
    assert unpack_former(pack_former(TIE, 2**40)) == (TIE, 2**40)
    sizes = [len(data) for data in (TIE, pack_unit(TIE, 0), pack_earlier(0, 0, VALUE, TIE), pack_former(TIE, 0))]
    assert sizes == [41, 49, 73, 49]


_ties = st.tuples(st.integers(0, 5), st.integers(0, 2**53), st.binary(min_size=32, max_size=32))


@given(_ties, _ties)
def test_ties_sort_by_tier_then_the_later_timestamp_then_the_smaller_hash(
    one: tuple[int, int, bytes], other: tuple[int, int, bytes]
) -> None:
    expected = (one[0], -one[1], one[2]) < (other[0], -other[1], other[2])
    assert (make_tie(*one) < make_tie(*other)) is expected
    assert digest_of(make_tie(*one)) == one[2]
