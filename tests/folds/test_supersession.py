"""Supersessions: by an operator or a signer of the target, from where both are there; the first that counts stays."""

from itertools import permutations

import pytest

from model import SignedEvent
from stores import (
    LineageStore,
    Posting,
    Reader,
    RulingsStore,
    Staging,
    SupersessionRow,
    SupersessionStore,
    SupersessionWriter,
)
from tests.folds.governing import (
    ANA,
    BEN,
    OPERATOR,
    OTHER_OPERATOR,
    RULES,
    folded,
    hash_of,
    revocation,
    said,
    supersession,
    taken_late,
)
from tests.support.events import make_assertion, signed
from tests.support.meaning import Step, rules_of
from tests.support.stores import ALL

TARGET = make_assertion()
OTHER = make_assertion(narrative="other")
BY_OPERATOR = said(supersession(OPERATOR, TARGET), OPERATOR)
BY_ANA = said(supersession(ANA, TARGET), ANA)
BY_BEN = said(supersession(BEN, TARGET), BEN)


def of_target(reader: Reader) -> SupersessionRow | None:
    return SupersessionStore(reader).get(hash_of(TARGET))


def since(reader: Reader) -> int | None:
    row = of_target(reader)
    return None if row is None else row.since


def all_said(reader: Reader) -> list[SupersessionRow]:
    return list(SupersessionStore(reader).said(hash_of(TARGET), count_max=ALL))


def test_operator_or_a_signer_of_the_target_hides_it_and_a_stranger_does_not() -> None:
    for by, expected in ((BY_OPERATOR, 2), (BY_ANA, 2), (BY_BEN, None)):
        reader = folded(RULES, signed(TARGET, ANA), by)
        assert since(reader) == expected
        assert RulingsStore(reader).get().supersession == (-1 if expected is None else expected)


def test_whatever_was_said_is_kept_with_its_signers() -> None:
    reader = folded(RULES, signed(TARGET, ANA), BY_BEN, BY_OPERATOR, said(BY_BEN.event, OTHER_OPERATOR))
    first, second = all_said(reader)
    assert (first.digest, first.signers, first.seq, first.since) == (
        BY_BEN.digest,
        (BEN.agent, OTHER_OPERATOR.agent),
        2,
        -1,
    )
    assert (second.digest, second.since) == (BY_OPERATOR.digest, 3)
    assert second == of_target(reader)


def test_supersession_whose_subject_is_not_its_targets_never_counts() -> None:
    wrong = supersession(OPERATOR, TARGET, subject="Ozempic")
    for steps in permutations([said(wrong, OPERATOR, ANA), signed(TARGET, ANA)]):
        assert since(folded(RULES, *steps, signed(TARGET, BEN))) is None


def test_wrong_subject_does_not_stand_in_the_way_of_the_right_one() -> None:
    wrong = said(supersession(ANA, TARGET, subject="Ozempic"), ANA)
    assert since(folded(RULES, wrong, BY_ANA, signed(TARGET, ANA))) == 3


@pytest.mark.parametrize("by", [BY_OPERATOR, BY_ANA], ids=["operator", "signer"])
def test_target_that_comes_later_is_hidden_from_its_own_position_on(by: SignedEvent) -> None:
    reader = folded(RULES, by, signed(OTHER, ANA), signed(TARGET, ANA))
    assert since(reader) == 3
    assert RulingsStore(reader).get().supersession == 3


def test_signature_that_joins_the_target_later_hides_it_from_there_on() -> None:
    assert since(folded(RULES, signed(TARGET, BEN), BY_ANA)) is None
    assert since(folded(RULES, signed(TARGET, BEN), BY_ANA, signed(TARGET, ANA))) == 3
    assert since(folded(RULES, BY_ANA, signed(TARGET, BEN), signed(TARGET, ANA, BEN))) == 3


def test_signature_that_joins_the_supersession_later_hides_from_there_on() -> None:
    assert since(folded(RULES, signed(TARGET, BEN), BY_ANA, said(BY_ANA.event, BEN))) == 3
    assert since(folded(RULES, signed(TARGET, BEN), BY_ANA, said(BY_ANA.event, OPERATOR))) == 3
    assert since(folded(RULES, BY_ANA, said(BY_ANA.event, BEN), signed(TARGET, BEN))) == 3
    assert since(folded(RULES, BY_ANA, said(BY_ANA.event, OPERATOR), signed(TARGET, BEN))) == 3


def test_signer_who_has_become_an_operator_counts_at_the_next_signature() -> None:
    early = (signed(TARGET, ANA), BY_BEN)
    assert since(folded(*early, rules_of(BEN))) is None
    assert since(folded(*early, rules_of(BEN), said(BY_BEN.event, OPERATOR))) == 3


def test_first_supersession_that_counts_stays() -> None:
    reader = folded(RULES, signed(TARGET, ANA), BY_ANA, BY_OPERATOR, signed(TARGET, BEN), BY_BEN)
    row = of_target(reader)
    assert row is not None
    assert (row.digest, row.since) == (BY_ANA.digest, 2)
    assert [one.since for one in all_said(reader)] == [2, -1, -1]
    assert RulingsStore(reader).get().supersession == 2


def test_of_several_that_wait_for_the_target_the_first_to_be_signed_counts() -> None:
    row = of_target(folded(RULES, BY_BEN, BY_OPERATOR, BY_ANA, signed(TARGET, ANA, BEN)))
    assert row is not None
    assert (row.digest, row.since) == (BY_BEN.digest, 4)


def test_of_several_by_one_agent_that_wait_the_first_counts() -> None:
    second = said(supersession(ANA, TARGET, reason="worse"), ANA)
    for steps in ([BY_ANA, second], [BY_ANA, second, BY_ANA]):
        row = of_target(folded(RULES, *steps, signed(TARGET, ANA)))
        assert row is not None
        assert row.digest == BY_ANA.digest


def test_nothing_waits_where_a_supersession_counts_at_once() -> None:
    """So that assertions are asked for nothing in a database whose supersessions all come in their order."""
    reader = folded(RULES, signed(TARGET, ANA), BY_ANA, BY_OPERATOR, BY_BEN, said(BY_BEN.event, OTHER_OPERATOR))
    assert not SupersessionWriter(Staging(reader)).any_waits()
    assert SupersessionWriter(Staging(folded(RULES, signed(TARGET, ANA), BY_BEN))).any_waits()


def test_signature_of_a_revoked_key_has_no_effect_on_either_side() -> None:
    gone = said(revocation(ANA, ANA), ANA)
    assert since(folded(RULES, signed(TARGET, ANA), gone, BY_ANA)) is None
    assert since(folded(RULES, BY_ANA, gone, signed(TARGET, ANA))) is None, "the target is signed by nobody who speaks"
    assert since(folded(RULES, gone, signed(TARGET, ANA), BY_ANA, signed(TARGET, ANA))) is None
    assert since(folded(RULES, signed(TARGET, ANA), BY_ANA, gone)) == 2, "what it did before stays"
    assert since(folded(RULES, BY_OPERATOR, gone, signed(TARGET, ANA))) == 3


def test_revoked_operator_hides_nothing() -> None:
    gone = said(revocation(OPERATOR, OPERATOR), OPERATOR)
    assert since(folded(RULES, gone, signed(TARGET, ANA), BY_OPERATOR)) is None
    assert since(folded(RULES, gone, BY_OPERATOR, signed(TARGET, ANA))) is None
    assert since(folded(RULES, BY_OPERATOR, gone, signed(TARGET, ANA))) == 3, "it was one when it spoke"


def test_replacement_lists_what_it_replaces_from_where_it_does() -> None:
    replacing = said(supersession(OPERATOR, TARGET, replacement=hash_of(OTHER)), OPERATOR)
    late = said(supersession(OPERATOR, OTHER, replacement=hash_of(TARGET)), OPERATOR)
    reader = folded(RULES, replacing, signed(TARGET, ANA), late)
    lineage = LineageStore(reader)
    assert lineage.replaced_by(hash_of(OTHER), count_max=ALL) == [Posting(2, signed(TARGET).digest)]
    assert lineage.replaced_by(hash_of(OTHER), at=1, count_max=ALL) == []
    assert lineage.replaced_by(hash_of(TARGET), count_max=ALL) == [], "its target is not there"
    assert SupersessionStore(reader).chain(hash_of(TARGET), count_max=9) == [hash_of(TARGET), hash_of(OTHER)]


def test_supersession_that_is_taken_late_takes_the_place_of_a_later_one() -> None:
    first = said(supersession(ANA, TARGET, replacement=hash_of(OTHER)), ANA)
    second = said(supersession(ANA, TARGET, replacement="7" * 64), ANA)
    steps: list[Step] = [RULES, signed(TARGET, ANA), first, second]
    in_order, late = folded(*steps), taken_late(steps, 2)
    for reader in (in_order, late):
        assert of_target(reader) == of_target(in_order)
        assert all_said(reader) == all_said(in_order)
        lineage = LineageStore(reader)
        assert len(lineage.replaced_by(hash_of(OTHER), count_max=ALL)) == 1
        assert lineage.replaced_by("7" * 64, count_max=ALL) == []
    assert RulingsStore(late).get().supersession == 4


def test_supersession_that_is_taken_late_does_not_count_by_what_a_revoked_key_signed_meanwhile() -> None:
    gone = said(revocation(ANA, ANA), ANA)
    assert since(taken_late([RULES, signed(TARGET, BEN), BY_ANA, gone, signed(TARGET, ANA)], 2)) is None
    assert since(taken_late([RULES, signed(TARGET, BEN), BY_ANA, signed(TARGET, ANA), gone], 2)) == 3


def test_target_that_is_taken_late_is_hidden_from_where_both_are_there() -> None:
    assert since(taken_late([RULES, signed(TARGET, ANA), BY_ANA], 1)) == 2
    assert since(taken_late([RULES, signed(TARGET, ANA), BY_OPERATOR], 1)) == 2


def test_every_order_of_a_target_its_signatures_and_a_supersession_hides_it_from_the_last_that_it_takes() -> None:
    """By ANA alone: the target needs her signature, and so does the supersession."""
    event = supersession(BEN, TARGET)
    steps = [signed(TARGET, BEN), signed(TARGET, ANA), said(event, OTHER_OPERATOR), said(event, ANA)]
    rules = rules_of(OPERATOR)
    for order in permutations(range(4)):
        place = {step: position for position, step in enumerate(order, 1)}
        reader = folded(rules, *(steps[step] for step in order))
        assert since(reader) == max(place[1], place[3]), order
