"""Escalations: kept by time, found by id, listed under their pair until they are resolved."""

import pytest

from stores import (
    EscalationPlace,
    EscalationStore,
    EscalationWriter,
    LogPlace,
    MemoryEngine,
    Staging,
    make_escalation_id,
)
from tests.support.stores import ALL
from tests.support.values import ESCALATION, ESCALATION_ID, changed

OTHER_ID = make_escalation_id("anecdotal_cluster", "Zug", "p", 3)


def new_state() -> Staging:
    return Staging(MemoryEngine().snapshot())


def test_the_id_of_an_escalation_never_changes_and_tells_rule_pair_and_position_apart() -> None:
    assert ESCALATION_ID == "f0c846bd1ece12926833ec6e4392a893"
    parts = [("r", "s", "p", 1), ("r", "s", "p", 11), ("rs", "", "p", 1), ("r", "sp", "", 1), ("r", "p", "s", 1)]
    assert len({make_escalation_id(*one) for one in parts}) == len(parts)


def test_a_resolved_escalation_leaves_its_pairs_list_and_no_other() -> None:
    state = new_state()
    writer = EscalationWriter(state)
    later = changed(ESCALATION, rule="anecdotal_cluster", raised=LogPlace(99, ESCALATION.raised.time + 1))
    elsewhere = changed(ESCALATION, predicate="q")
    writer.put(OTHER_ID, later)
    writer.put(ESCALATION_ID, ESCALATION)
    writer.put("f" * 32, elsewhere)
    assert writer.unresolved("Semaglutide", "p") == [(ESCALATION_ID, ESCALATION), (OTHER_ID, later)]
    resolved = changed(ESCALATION, status="resolved", resolved=LogPlace(100, 2**60))
    writer.put(ESCALATION_ID, resolved)
    assert writer.unresolved("Semaglutide", "p") == [(OTHER_ID, later)]
    assert writer.get(ESCALATION_ID) == resolved
    writer.put(OTHER_ID, changed(later, status="resolved"))
    assert writer.unresolved("Semaglutide", "p") == []
    assert writer.unresolved("Semaglutide", "q") == [("f" * 32, elsewhere)]
    assert len(EscalationStore(state).oldest(count_max=ALL)) == 3


def test_writing_an_escalation_again_lists_it_once() -> None:
    writer = EscalationWriter(new_state())
    for status in ("open", "acknowledged", "open"):
        writer.put(ESCALATION_ID, changed(ESCALATION, status=status))
    assert [escalation_id for escalation_id, _ in writer.unresolved("Semaglutide", "p")] == [ESCALATION_ID]
    assert len(writer.newest(count_max=ALL)) == 1


def test_escalations_are_listed_from_a_log_time_on() -> None:
    writer = EscalationWriter(new_state())
    for number, time in enumerate((5, 6, 6, 7)):
        writer.put(f"{number:032x}", changed(ESCALATION, raised=LogPlace(number, time)))
    assert [place.time for place, _ in writer.oldest(from_time=6, count_max=ALL)] == [6, 6, 7]
    after = EscalationPlace(6, f"{1:032x}")
    assert [place for place, _ in writer.oldest(from_time=6, after=after, count_max=1)] == [(6, f"{2:032x}")]
    assert [place.time for place, _ in writer.newest(count_max=3)] == [7, 6, 6]


@pytest.mark.parametrize("text", ["", "esc-1", "A" * 32, "0" * 64, "0" * 32, "é"])
def test_what_is_no_id_of_an_escalation_finds_none(text: str) -> None:
    assert EscalationStore(new_state()).get(text) is None
