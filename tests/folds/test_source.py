"""Sources: anyone registers one as active, operators change it; a status holds from its position on."""

from typing import Any

import pytest
from blake3 import blake3

from episteme.folds.source import STATUSES_MAX
from stores import Reader, RulingsStore, SourceRecord, SourceStore
from tests.folds.governing import ANA, BEN, OPERATOR, RULES, folded, revocation, said, source, taken_late
from tests.support.meaning import Step

HASH = "5" * 64


def record(reader: Reader) -> SourceRecord:
    found = SourceStore(reader).get(HASH)
    assert found is not None
    return found


def statuses(reader: Reader) -> list[tuple[str, int]]:
    return [(status.status, status.seq) for status in record(reader).statuses]


def by_operator(status: Any, **fields: Any) -> Step:
    return said(source(OPERATOR, status, **fields), OPERATOR)


@pytest.mark.parametrize("status", ["active", "suspect", "retracted"])
def test_anyone_registers_a_source_as_active_whatever_it_says(status: str) -> None:
    reader = folded(RULES, said(source(ANA, status, url="https://example.org", content="näher"), ANA))
    found = record(reader)
    assert statuses(reader) == [("active", 1)]
    assert (found.label, found.url, found.statuses[0].agent) == ("STEP 1", "https://example.org", ANA.agent)
    assert (found.content_hash, found.content_bytes) == (blake3("näher".encode()).digest(), 6)
    assert (SourceStore(reader).tainted_count(), RulingsStore(reader).get().source) == (0, -1)


def test_known_source_is_not_changed_by_just_anyone() -> None:
    first = said(source(ANA, "active"), ANA)
    reader = folded(RULES, first, said(source(BEN, "retracted", label="mine"), BEN), said(source(ANA, "suspect"), ANA))
    assert record(reader) == record(folded(RULES, first))


def test_revoked_key_registers_nothing() -> None:
    gone = said(revocation(ANA, ANA), ANA)
    event = source(ANA, "active")
    assert SourceStore(folded(RULES, gone, said(event, ANA))).get(HASH) is None
    found = record(folded(RULES, gone, said(event, ANA), said(event, BEN)))
    assert (found.statuses[0].agent, found.statuses[0].seq) == (BEN.agent, 3)


@pytest.mark.parametrize("status", ["suspect", "retracted"])
def test_operators_status_holds_from_its_position_on(status: str) -> None:
    reader = folded(RULES, said(source(ANA, "active"), ANA), by_operator(status), by_operator("active", label="b"))
    assert statuses(reader) == [("active", 1), (status, 2), ("active", 3)]
    found = [record(reader).status_at(at) for at in range(4)]
    assert [one and one.status for one in found] == [None, "active", status, "active"]
    assert RulingsStore(reader).get().source == 3


def test_tainted_sources_are_counted() -> None:
    other = {"source_hash": "6" * 64}
    steps = [by_operator("suspect"), by_operator("retracted", **other), by_operator("retracted"), by_operator("active")]
    counts = [SourceStore(folded(RULES, *steps[:end])).tainted_count() for end in range(5)]
    assert counts == [0, 1, 2, 2, 1]


def test_source_that_an_operator_registers_has_the_status_that_it_says() -> None:
    assert statuses(folded(RULES, by_operator("suspect"))) == [("suspect", 1)]


def test_operator_changes_label_and_address_and_leaves_the_content_if_it_gives_none() -> None:
    first = said(source(ANA, "active", url="https://example.org", content="x"), ANA)
    found = record(folded(RULES, first, by_operator("active", label="STEP 1, corrected")))
    assert (found.label, found.url) == ("STEP 1, corrected", None)
    assert (found.content_hash, found.content_bytes, len(found.statuses)) == (blake3(b"x").digest(), 1, 1)
    assert record(folded(RULES, first, by_operator("active", content="yy"))).content_bytes == 2


def test_same_status_again_is_no_change() -> None:
    reader = folded(RULES, by_operator("suspect"), by_operator("suspect", label="b"), by_operator("suspect", label="c"))
    assert statuses(reader) == [("suspect", 1)]
    assert (record(reader).label, RulingsStore(reader).get().source) == ("c", 1)


def test_strangers_word_counts_as_an_operators_from_where_one_signs_it() -> None:
    event = source(ANA, "retracted")
    reader = folded(RULES, said(event, ANA), said(event, OPERATOR), said(event, BEN))
    assert statuses(reader) == [("active", 1), ("retracted", 2)]
    assert record(reader).statuses[1].agent == OPERATOR.agent


def test_status_that_is_taken_late_holds_until_the_next() -> None:
    steps: list[Step] = [
        RULES,
        by_operator("active"),
        by_operator("retracted", label="b"),
        by_operator("suspect", label="c"),
    ]
    late, in_order = taken_late(steps, 2), folded(*steps)
    assert statuses(late) == statuses(in_order) == [("active", 1), ("retracted", 2), ("suspect", 3)]
    assert record(late).label == "c"
    assert SourceStore(late).tainted_count() == 1


def test_registration_that_is_taken_late_says_since_when_the_source_is_known() -> None:
    steps: list[Step] = [RULES, said(source(ANA, "active", label="a"), ANA), by_operator("suspect", label="b")]
    reader = taken_late(steps, 1)
    assert (statuses(reader), record(reader).label) == ([("active", 1), ("suspect", 2)], "b")


def test_of_very_many_statuses_the_latest_are_kept() -> None:
    states = ["suspect", "retracted"]
    steps = [by_operator(states[number % 2], label=str(number)) for number in range(STATUSES_MAX + 3)]
    found = record(folded(RULES, *steps, size=500)).statuses
    assert (len(found), found[0].seq, found[-1].seq) == (STATUSES_MAX, 4, STATUSES_MAX + 3)
