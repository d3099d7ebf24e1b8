"""Gold standards and their list; judgements that count once."""

from typing import Any

from stores import GoldPair, GoldRow, GoldStore, GoldWriter, Judgement, JudgementId, MemoryEngine, Staging
from tests.support.stores import ALL, hash_hex
from tests.support.values import GOLD_ROW, changed


def gold(subject: str, predicate: str, **fields: Any) -> GoldRow:
    return GoldRow(changed(GOLD_ROW.event, subject=subject, predicate=predicate), bytes(32), 1, 2)


def staged(*pairs: tuple[str, str]) -> Staging:
    state = Staging(MemoryEngine().snapshot())
    for pair in pairs:
        GoldWriter(state).put(gold(*pair))
    return state


def test_pairs_are_listed_by_how_their_subjects_begin() -> None:
    pairs = [("Z", "p"), ("Zug", "a"), ("Zug", "b:c"), ("Zug:b", "c"), ("Zürich", "a"), ("a", "a")]
    store = GoldStore(staged(*pairs))
    assert list(store.pairs(count_max=ALL)) == pairs
    assert list(store.pairs("Zug", count_max=ALL)) == pairs[1:4]
    assert list(store.pairs("Zug", after=GoldPair("Zug", "a"), count_max=1)) == [pairs[2]]
    assert list(store.pairs("Zug:", count_max=ALL)) == [("Zug:b", "c")]
    assert [row.event.predicate for row in store.of_subject("Zug", count_max=ALL)] == ["a", "b:c"]


def test_a_gold_standard_and_its_line_come_and_go_together() -> None:
    state = staged(("Zug", "a"), ("Zug", "b"))
    GoldWriter(state).put(changed(gold("Zug", "a"), seq=9))
    GoldWriter(state).remove("Zug", "b")
    GoldWriter(state).remove("Zug", "never there")
    store = GoldStore(state)
    assert list(store.pairs(count_max=ALL)) == [("Zug", "a")]
    assert [row.seq for row in store.of_subject("Zug", count_max=ALL)] == [9]
    assert store.get("Zug", "b") is None


def test_judgements_outlive_the_gold_standard_and_are_told_apart_by_signer() -> None:
    state = staged(("Zug", "a"))
    assertion, which = hash_hex(1), JudgementId(hash_hex(2), hash_hex(3))
    right, wrong = Judgement(True, 50_000, 5, 6), Judgement(False, -100_000, 7, 8)
    GoldWriter(state).put_judgement("Zug", assertion, which, right)
    GoldWriter(state).put_judgement("Zug", assertion, JudgementId(which.gold, hash_hex(4)), wrong)
    GoldWriter(state).remove("Zug", "a")
    store = GoldStore(state)
    assert store.judgement("Zug", assertion, which) == right
    assert store.judgement("Zug", assertion, JudgementId(hash_hex(9), which.agent)) is None
    assert store.judgement("Zug", hash_hex(9), which) is None
    assert [one for _, one in store.judgements("Zug", assertion, count_max=ALL)] == [right, wrong]
