"""Epochs: registered by operators; one that supersedes another in time or by invalidation hides it from there on."""

from typing import Any

import pytest

from stores import EpochRow, EpochStore, Reader, RulingsStore, SupersededEpoch
from tests.folds.governing import ANA, OPERATOR, RULES, epoch, folded, hash_of, said, taken_late
from tests.support.meaning import Step, log_time

OLD = epoch()


def newer(name: str, mode: Any = "temporal", older: Any = OLD, **fields: Any) -> Any:
    return epoch(name=name, supersedes=hash_of(older), supersession=mode, **fields)


def hidden(reader: Reader, of: Any = OLD) -> tuple[str, int] | None:
    marker = EpochStore(reader).superseded(hash_of(of))
    return None if marker is None else (marker.by.hex(), marker.seq)


def test_epoch_is_registered_when_an_operator_signs_it() -> None:
    store = EpochStore(folded(RULES, said(OLD, OPERATOR)))
    assert store.get(hash_of(OLD)) == EpochRow(OLD, 1, log_time(1))
    assert EpochStore(folded(RULES, said(epoch(ANA), ANA))).get(hash_of(epoch(ANA))) is None


def test_epoch_counts_from_the_position_of_the_operators_signature() -> None:
    stranger = newer("by ana", key=ANA)
    reader = folded(RULES, said(stranger, ANA), said(stranger, OPERATOR), said(stranger, ANA))
    row = EpochStore(reader).get(hash_of(stranger))
    assert row is not None
    assert (row.seq, hidden(reader)) == (2, (hash_of(stranger), 2))


@pytest.mark.parametrize("mode", ["temporal", "invalidation"])
def test_superseding_epoch_hides_the_older_one_from_its_position_on(mode: str) -> None:
    by = newer("b", mode)
    reader = folded(RULES, said(OLD, OPERATOR), said(by, OPERATOR))
    marker = SupersededEpoch(bytes.fromhex(hash_of(by)), mode, 2, log_time(2))  # type: ignore[arg-type]
    assert EpochStore(reader).superseded(hash_of(OLD)) == marker
    assert RulingsStore(reader).get().epoch == 2


def test_additive_epoch_hides_nothing() -> None:
    reader = folded(RULES, said(OLD, OPERATOR), said(newer("b", "additive"), OPERATOR))
    assert hidden(reader) is None
    assert RulingsStore(reader).get().epoch == -1


def test_first_epoch_that_hides_another_stays_the_one_that_is_named() -> None:
    first, second = newer("first"), newer("second", "invalidation")
    reader = folded(RULES, said(first, OPERATOR), said(second, OPERATOR), said(first, OPERATOR))
    assert hidden(reader) == (hash_of(first), 1)
    assert RulingsStore(reader).get().epoch == 1


def test_epoch_that_is_not_there_yet_is_hidden_all_the_same() -> None:
    by = newer("b")
    assert hidden(folded(RULES, said(by, OPERATOR), said(OLD, OPERATOR))) == (hash_of(by), 1)


def test_each_epoch_of_a_chain_is_hidden_by_its_own_marker() -> None:
    second = newer("second")
    third = newer("third", older=second)
    reader = folded(RULES, *(said(one, OPERATOR) for one in (OLD, second, third)))
    assert (hidden(reader), hidden(reader, second), hidden(reader, third)) == (
        (hash_of(second), 2),
        (hash_of(third), 3),
        None,
    )
    assert EpochStore(reader).chain(hash_of(OLD), count_max=9) == [hash_of(one) for one in (OLD, second, third)]


def test_epoch_that_is_taken_late_hides_from_its_own_position_on() -> None:
    first, second = newer("first"), newer("second")
    steps: list[Step] = [RULES, said(first, OPERATOR), said(second, OPERATOR)]
    reader = taken_late(steps, 1)
    assert hidden(reader) == (hash_of(first), 1)
    assert RulingsStore(reader).get().epoch == 3, "what was computed up to there is not true any more"
