from stores import IndexStore, IndexWriter, MemoryEngine, Posting, Staging
from tests.support.stores import ALL


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def staged() -> Staging:
    return Staging(MemoryEngine().snapshot())


def test_lists_are_in_log_order_whatever_the_hashes_and_the_order_of_adding() -> None:
    state = staged()
    seqs = (0, 1, 255, 256, 2**32, 2**40)
    postings = [Posting(seq, digest(99 - index)) for index, seq in enumerate(seqs)]
    for posting in reversed(postings):
        IndexWriter(state).add("Tesla", "revenue", posting)
    store = IndexStore(state)
    assert store.of_pair("Tesla", "revenue", count_max=ALL) == postings
    assert store.of_subject("Tesla", count_max=ALL) == postings
    assert store.of_pair("Tesla", "revenue", count_max=2) == postings[:2]
    assert store.pair_count("Tesla", "revenue") == len(postings)


def test_pair_lists_hold_their_own_and_the_subject_list_holds_all() -> None:
    state = staged()
    for seq, (subject, predicate) in enumerate([("a", "p"), ("a", "p:q"), ("a:p", "p"), ("a", "p")]):
        IndexWriter(state).add(subject, predicate, Posting(seq, digest(seq)))
    store = IndexStore(state)
    assert [seq for seq, _ in store.of_pair("a", "p", count_max=ALL)] == [0, 3]
    assert [seq for seq, _ in store.of_pair("a", "p:q", count_max=ALL)] == [1]
    assert [seq for seq, _ in store.of_subject("a", count_max=ALL)] == [0, 1, 3]
    assert [seq for seq, _ in store.of_subject("a:p", count_max=ALL)] == [2]
    assert store.of_pair("b", "p", count_max=ALL) == []
    assert store.pair_count("b", "p") == 0


def test_predicates_and_subjects_come_in_byte_order_and_once() -> None:
    state = staged()
    for seq, (subject, predicate) in enumerate(
        [("Zürich", "b"), ("Zug", "é"), ("Zug", "a:b"), ("Zug", "a"), ("Z", "a")]
    ):
        IndexWriter(state).add(subject, predicate, Posting(seq, digest(seq)))
        IndexWriter(state).add(subject, predicate, Posting(seq + 100, digest(seq)))
    store = IndexStore(state)
    assert store.predicates("Zug", count_max=ALL) == ["a", "a:b", "é"]
    assert store.predicates("Zug", count_max=2) == ["a", "a:b"]
    assert store.predicates("Nowhere", count_max=ALL) == []
    assert list(store.subjects(count_max=ALL)) == ["Z", "Zug", "Zürich"]
    assert list(store.subjects("Zu", count_max=ALL)) == ["Zug"]
    assert list(store.subjects("Z", count_max=2)) == ["Z", "Zug"]
