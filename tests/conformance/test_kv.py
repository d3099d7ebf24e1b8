"""The promises of the KV protocol, kept by every engine and by the pair of them."""

import random
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keycodec import (
    KEY_BYTES_MAX,
    assertion_key,
    assertion_prefix,
    event_key,
    event_prefix,
    known_subject_key,
    meta_key,
    pair_postings_key,
    pair_postings_prefix,
    subject_postings_key,
    view_key,
)
from stores import KV, Batch, InvalidBatch, Snapshot, StoreClosed
from tests.support.faulty_files import WAIT_S
from tests.support.stores import (
    ALL,
    ENGINES,
    ROW_KEYS,
    Engine,
    Model,
    check_all,
    entry,
    hash_hex,
    random_batch,
)

WITH_LISTS = [engine for engine in ENGINES if engine.lists]
DURABLE = [engine for engine in ENGINES if engine.durable]
H = [assertion_key("Tesla", hash_hex(number)) for number in range(600)]
PAIR = pair_postings_key("Tesla", "revenue")


def names(engines: list[Engine] | tuple[Engine, ...]) -> list[str]:
    return [engine.name for engine in engines]


@pytest.fixture(params=ENGINES, ids=names(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Iterator[KV]:
    opened = engine.open(tmp_path / "store")
    yield opened
    opened.close()


with_lists = pytest.mark.parametrize("engine", WITH_LISTS, ids=names(WITH_LISTS))
durable = pytest.mark.parametrize("engine", DURABLE, ids=names(DURABLE))


def put(store: KV, *pairs: tuple[bytes, bytes]) -> None:
    batch = Batch()
    for key, value in pairs:
        batch.put(key, value)
    store.commit(batch)


def add(store: KV, key: bytes, *numbers: int) -> None:
    batch = Batch()
    for number in numbers:
        batch.add_posting(key, entry(number))
    store.commit(batch)


def get(store: KV, key: bytes) -> bytes | None:
    with store.snapshot() as snapshot:
        return snapshot.get(key)


def test_new_store_is_empty(store: KV) -> None:
    with store.snapshot() as snapshot:
        assert [snapshot.get(key) for key in ROW_KEYS] == [None] * len(ROW_KEYS)
        check_all(snapshot, Model(), lists=False)


def test_value_is_read_as_it_was_put(store: KV) -> None:
    values = {H[0]: b"", H[1]: bytes(range(256)), H[2]: b"x" * 300_000, known_subject_key("Tesla"): b"", H[3]: b"\0"}
    put(store, *values.items())
    assert {key: get(store, key) for key in values} == values


def test_last_put_of_a_key_wins_within_a_batch_and_across_batches(store: KV) -> None:
    put(store, (H[0], b"1"), (H[0], b"2"))
    assert get(store, H[0]) == b"2"
    put(store, (H[0], b"3"))
    assert get(store, H[0]) == b"3"


def test_deleted_row_is_gone_and_may_come_back(store: KV) -> None:
    put(store, (H[0], b"1"), (H[1], b"2"))
    batch = Batch()
    batch.delete(H[0])
    batch.delete(H[9])  # was never there
    store.commit(batch)
    with store.snapshot() as snapshot:
        assert snapshot.get(H[0]) is None
        assert list(snapshot.scan(assertion_prefix("Tesla"), count_max=ALL)) == [(H[1], b"2")]
    put(store, (H[0], b"again"))
    assert get(store, H[0]) == b"again"


def test_last_of_put_and_delete_in_a_batch_decides(store: KV) -> None:
    batch = Batch()
    batch.put(H[0], b"1")
    batch.delete(H[0])
    batch.delete(H[1])
    batch.put(H[1], b"2")
    store.commit(batch)
    assert (get(store, H[0]), get(store, H[1])) == (None, b"2")


def test_get_many_answers_in_the_order_asked(store: KV) -> None:
    put(store, (H[1], b"1"), (H[2], b"2"), (event_key(hash_hex(1)), b"e"))
    with store.snapshot() as snapshot:
        assert snapshot.get_many([H[2], H[0], H[1], H[2]]) == [b"2", None, b"1", b"2"]
        assert snapshot.get_many([event_key(hash_hex(1))]) == [b"e"]
        assert snapshot.get_many([]) == []


def test_scan_gives_rows_under_its_prefix_alone_in_key_order(store: KV) -> None:
    around = [assertion_key("Tesl", hash_hex(1)), assertion_key("Teslb", hash_hex(1)), view_key("Tesla", "revenue")]
    put(store, *((key, b"x") for key in around), *((key, key[-3:]) for key in reversed(H)))
    with store.snapshot() as snapshot:
        assert list(snapshot.scan(assertion_prefix("Tesla"), count_max=ALL)) == [(key, key[-3:]) for key in H]
        assert list(snapshot.scan(event_prefix(), count_max=ALL)) == []


def test_scan_after_a_key_begins_behind_it(store: KV) -> None:
    put(store, *((key, b"") for key in H[10:20:2]))
    prefix = assertion_prefix("Tesla")

    def found(snapshot: Snapshot, after: bytes) -> list[bytes]:
        return [key for key, _ in snapshot.scan(prefix, after=after, count_max=ALL)]

    with store.snapshot() as snapshot:
        assert found(snapshot, H[12]) == H[14:20:2]
        assert found(snapshot, H[13]) == H[14:20:2], "a key that is not there"
        assert found(snapshot, assertion_key("Alpha", hash_hex(0))) == H[10:20:2], "a key before the prefix"
        assert found(snapshot, H[18]) == []
        assert found(snapshot, assertion_key("Zebra", hash_hex(0))) == [], "a key behind the prefix"


@pytest.mark.parametrize("page_size", [1, 7, 255, 256, 257, 599, 600, 601])
def test_pages_of_a_scan_join_without_gap_or_repeat(store: KV, page_size: int) -> None:
    put(store, *((key, key[-3:]) for key in H))
    prefix = assertion_prefix("Tesla")
    joined: list[tuple[bytes, bytes]] = []
    with store.snapshot() as snapshot:
        while page := list(snapshot.scan(prefix, after=joined[-1][0] if joined else None, count_max=page_size)):
            assert len(page) == min(page_size, len(H) - len(joined))
            joined += page
    assert joined == [(key, key[-3:]) for key in H]


def test_snapshot_does_not_see_later_commits(store: KV) -> None:
    put(store, (H[0], b"old"), (H[1], b"kept"), (view_key("Tesla", "revenue"), b"old"))
    with store.snapshot() as snapshot:
        batch = Batch()
        batch.put(H[0], b"new")
        batch.delete(H[1])
        batch.put(H[2], b"new")
        batch.put(view_key("Tesla", "revenue"), b"new")
        store.commit(batch)
        assert [snapshot.get(key) for key in H[:3]] == [b"old", b"kept", None]
        assert snapshot.get(view_key("Tesla", "revenue")) == b"old"
        assert list(snapshot.scan(assertion_prefix("Tesla"), count_max=ALL)) == [(H[0], b"old"), (H[1], b"kept")]
    assert [get(store, key) for key in H[:3]] == [b"new", None, b"new"]


def test_snapshot_outlives_many_later_commits_and_snapshots(store: KV) -> None:
    put(store, (H[0], b"0"))
    with store.snapshot() as oldest:
        for number in range(1, 40):
            put(store, (H[0], b"%d" % number))
            assert get(store, H[0]) == b"%d" % number
        assert oldest.get(H[0]) == b"0"


def test_batch_shows_whole_or_not_at_all(store: KV) -> None:
    keys = [key for key in ROW_KEYS if key not in (b"", known_subject_key("a"))]
    put(store, *((key, b"0") for key in keys))
    torn: list[list[bytes | None]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with store.snapshot() as snapshot:
                values = [snapshot.get(key) for key in (keys[0], keys[-1], keys[len(keys) // 2], *keys[5:40:5])]
            if len(set(values)) > 1:
                torn.append(values)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(150):
            put(store, *((key, b"%d" % number) for key in keys))
    finally:
        done.set()
        reader.join(WAIT_S)
        sys.setswitchinterval(interval_s)
    assert torn == []


@with_lists
def test_postings_come_in_byte_order(store: KV) -> None:
    add(store, PAIR, 300, 2, 1)
    add(store, PAIR, 255, 256)
    with store.snapshot() as snapshot:
        assert snapshot.postings(PAIR, count_max=ALL) == [entry(n) for n in (1, 2, 255, 256, 300)]


@with_lists
def test_posting_added_twice_is_there_once(store: KV) -> None:
    add(store, PAIR, 1, 1, 2)
    add(store, PAIR, 2, 1)
    with store.snapshot() as snapshot:
        assert snapshot.postings(PAIR, count_max=ALL) == [entry(1), entry(2)]
        assert snapshot.posting_count(PAIR) == 2


@with_lists
def test_postings_after_an_entry_begin_behind_it(store: KV) -> None:
    add(store, PAIR, 10, 20, 30)
    add(store, pair_postings_key("Tesla", "revenue2"), 99)
    with store.snapshot() as snapshot:
        expected = {5: [10, 20, 30], 10: [20, 30], 15: [20, 30], 29: [30], 30: [], 31: []}
        for after, numbers in expected.items():
            assert snapshot.postings(PAIR, after=entry(after), count_max=ALL) == [entry(n) for n in numbers]
        assert snapshot.postings(PAIR, after=entry(10), count_max=1) == [entry(20)]
        assert snapshot.postings(PAIR, count_max=2) == [entry(10), entry(20)]


@with_lists
@pytest.mark.parametrize("count", [1, 2, 101, 5000])
def test_pages_of_a_list_of_any_length_join(store: KV, count: int) -> None:
    add(store, PAIR, *range(count))
    joined: list[bytes] = []
    with store.snapshot() as snapshot:
        assert snapshot.posting_count(PAIR) == count
        while page := snapshot.postings(PAIR, after=joined[-1] if joined else None, count_max=100):
            joined += page
    assert joined == [entry(number) for number in range(count)]


@with_lists
def test_list_that_was_never_added_to_is_empty(store: KV) -> None:
    add(store, subject_postings_key("Tesla"), 1)
    with store.snapshot() as snapshot:
        assert snapshot.postings(PAIR, count_max=ALL) == []
        assert snapshot.postings(PAIR, after=entry(1), count_max=ALL) == []
        assert snapshot.posting_count(PAIR) == 0


@with_lists
def test_posting_keys_are_the_lists_under_a_prefix_in_key_order(store: KV) -> None:
    keys = [pair_postings_key("Tesla", predicate) for predicate in ("a", "b", "c:d", "ç")]
    for key in reversed([*keys, subject_postings_key("Tesla"), pair_postings_key("Teslb", "a")]):
        add(store, key, 1, 2, 3)
    prefix = pair_postings_prefix("Tesla")
    with store.snapshot() as snapshot:
        assert snapshot.posting_keys(prefix, count_max=ALL) == keys
        assert snapshot.posting_keys(prefix, count_max=2) == keys[:2]
        assert snapshot.posting_keys(prefix, after=keys[0], count_max=2) == keys[1:3]
        assert snapshot.posting_keys(prefix, after=keys[-1], count_max=ALL) == []
        assert len(snapshot.posting_keys(b"", count_max=ALL)) == 6


@with_lists
def test_rows_and_lists_of_a_snapshot_are_of_one_moment(store: KV) -> None:
    add(store, PAIR, 1)
    with store.snapshot() as snapshot:
        add(store, PAIR, 2)
        add(store, pair_postings_key("Tesla", "other"), 1)
        assert snapshot.postings(PAIR, count_max=ALL) == [entry(1)]
        assert snapshot.posting_count(PAIR) == 1
        assert snapshot.posting_keys(b"", count_max=ALL) == [PAIR]


def test_second_close_does_nothing(engine: Engine, tmp_path: Path) -> None:
    store = engine.open(tmp_path / "store")
    snapshot = store.snapshot()
    snapshot.close()
    snapshot.close()
    store.close()
    store.close()


def test_closed_store_refuses_work(engine: Engine, tmp_path: Path) -> None:
    store = engine.open(tmp_path / "store")
    store.close()
    with pytest.raises(StoreClosed):
        store.snapshot()
    with pytest.raises(StoreClosed):
        put(store, (H[0], b"late"))


ROW_READS: list[Callable[[Snapshot], object]] = [
    lambda snapshot: snapshot.get(H[0]),
    lambda snapshot: snapshot.get_many([H[0]]),
    lambda snapshot: list(snapshot.scan(b"", count_max=1)),
]
LIST_READS: list[Callable[[Snapshot], object]] = [
    lambda snapshot: snapshot.postings(PAIR, count_max=1),
    lambda snapshot: snapshot.posting_count(PAIR),
    lambda snapshot: snapshot.posting_keys(b"", count_max=1),
]


def test_closed_snapshot_refuses_every_read(engine: Engine, store: KV) -> None:
    put(store, (H[0], b"1"))
    with store.snapshot() as snapshot:
        pass
    for read in ROW_READS + (LIST_READS if engine.lists else []):
        with pytest.raises(StoreClosed):
            read(snapshot)


def test_closed_store_ends_the_snapshots_that_are_held(engine: Engine, tmp_path: Path) -> None:
    store = engine.open(tmp_path / "store")
    put(store, (H[0], b"1"))
    with store.snapshot() as snapshot:
        store.close()
        for read in ROW_READS + (LIST_READS if engine.lists else []):
            with pytest.raises(StoreClosed):
                read(snapshot)


@durable
def test_reopened_store_holds_all_that_was_committed(engine: Engine, tmp_path: Path) -> None:
    generator = random.Random(7)
    model = Model()
    for _ in range(5):
        store = engine.open(tmp_path / "store")
        with store.snapshot() as snapshot:
            check_all(snapshot, model, lists=engine.lists)
        for _ in range(5):
            batch = random_batch(generator, lists=engine.lists, row_count=40)
            model.apply(batch)
            store.commit(batch)
        assert store.size_bytes() > 0
        store.close()


def cursor_at(store: KV, position: int) -> None:
    put(store, (meta_key("cursor"), position.to_bytes(8, "little")))


def test_position_of_a_snapshot_is_its_cursor_and_zero_in_a_new_store(store: KV) -> None:
    with store.snapshot() as before:
        cursor_at(store, 7)
        with store.snapshot() as then:
            cursor_at(store, 2**40)
            with store.snapshot() as after:
                assert (before.position, then.position, after.position) == (0, 7, 2**40)


@pytest.mark.parametrize("key", [b"", b"x" * (KEY_BYTES_MAX + 1), b"x" * 70_000], ids=["empty", "512", "70000"])
@pytest.mark.parametrize("write", [lambda b, k: b.put(k, b""), lambda b, k: b.delete(k)], ids=["put", "delete"])
def test_key_of_a_length_that_not_all_can_keep_is_refused_before_anything_is_written(
    store: KV, key: bytes, write: Callable[[Batch, bytes], None]
) -> None:
    batch = Batch()
    batch.put(H[0], b"1")
    write(batch, key)
    with pytest.raises(InvalidBatch, match=f"{len(key)} bytes; expected 1 to 511"):
        store.commit(batch)
    assert get(store, H[0]) is None
    put(store, (b"y" * KEY_BYTES_MAX, b"longest"), (b"z", b"shortest"))  # and the store goes on
    assert (get(store, b"y" * KEY_BYTES_MAX), get(store, b"z")) == (b"longest", b"shortest")


@with_lists
def test_list_under_too_long_a_key_is_refused_before_anything_is_written(store: KV) -> None:
    batch = Batch()
    batch.put(H[0], b"1")
    batch.add_posting(b"x" * (KEY_BYTES_MAX + 1), entry(1))
    with pytest.raises(InvalidBatch):
        store.commit(batch)
    assert get(store, H[0]) is None


@pytest.mark.parametrize("engine", [one for one in ENGINES if not one.lists], ids=lambda one: one.name)
def test_engine_without_lists_refuses_a_batch_that_has_one(store: KV) -> None:
    batch = Batch()
    batch.put(H[0], b"1")
    batch.add_posting(PAIR, entry(1))
    with pytest.raises(InvalidBatch, match="no posting lists"):
        store.commit(batch)
    assert get(store, H[0]) is None


def filled(engine: Engine, folder: Path, seed: int) -> tuple[KV, Model]:
    generator, model, store = random.Random(seed), Model(), engine.open(folder)
    for _ in range(8):
        batch = random_batch(generator, lists=engine.lists, row_count=40)
        model.apply(batch)
        store.commit(batch)
    return store, model


def test_checkpoint_is_the_last_commit_and_no_later_one(engine: Engine, tmp_path: Path) -> None:
    store, model = filled(engine, tmp_path / "store", 1)
    for number in range(3):
        store.checkpoint(tmp_path / f"copy {number}")
        put(store, (H[number], b"later"))
        copy = engine.open_copy(tmp_path / f"copy {number}")
        with copy.snapshot() as snapshot, store.snapshot() as now:
            check_all(snapshot, model, lists=engine.lists)
            model.rows[H[number]] = b"later"
            check_all(now, model, lists=engine.lists)
        copy.close()
    store.close()
    assert {path.name for path in tmp_path.iterdir()} <= {"store", "copy 0", "copy 1", "copy 2"}


def test_checkpoint_of_an_empty_store_opens_empty(engine: Engine, store: KV, tmp_path: Path) -> None:
    store.checkpoint(tmp_path / "deep" / "copy")
    copy = engine.open_copy(tmp_path / "deep" / "copy")
    with copy.snapshot() as snapshot:
        check_all(snapshot, Model(), lists=engine.lists)
    copy.close()


def test_checkpoint_shares_no_fate_with_the_original(engine: Engine, tmp_path: Path) -> None:
    store, model = filled(engine, tmp_path / "store", 2)
    store.checkpoint(tmp_path / "copy")
    for number in range(20):
        put(store, *((key, b"%d" % number * 500) for key in ROW_KEYS))
    store.close()
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    for number in range(3):
        copy = engine.open_copy(tmp_path / "copy")
        with copy.snapshot() as snapshot:
            check_all(snapshot, model, lists=engine.lists)
        if engine.durable:
            put(copy, (H[number], b"of the copy"))
            model.rows[H[number]] = b"of the copy"
        copy.close()


def test_checkpoint_over_something_is_refused(store: KV, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "file").write_bytes(b"precious")
    for name in ("copy", "file"):
        with pytest.raises(FileExistsError):
            store.checkpoint(tmp_path / name)
    assert (list((tmp_path / "copy").iterdir()), (tmp_path / "file").read_bytes()) == ([], b"precious")


def test_checkpoint_replaces_what_a_crash_left_of_one(engine: Engine, tmp_path: Path) -> None:
    store, model = filled(engine, tmp_path / "store", 3)
    (tmp_path / "copy.making" / "write").mkdir(parents=True)
    (tmp_path / "copy.making" / "write" / "junk").write_bytes(b"half")
    store.checkpoint(tmp_path / "copy")
    assert not (tmp_path / "copy.making").exists()
    assert not list((tmp_path / "copy").rglob("junk"))
    copy = engine.open_copy(tmp_path / "copy")
    with copy.snapshot() as snapshot:
        check_all(snapshot, model, lists=engine.lists)
    copy.close()
    store.close()


def test_closed_store_refuses_a_checkpoint(engine: Engine, tmp_path: Path) -> None:
    store = engine.open(tmp_path / "store")
    store.close()
    with pytest.raises(StoreClosed):
        store.checkpoint(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
