"""Opening, refusing and closing the pair, and reads that span both engines."""

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from keycodec import FAMILIES, Family, Scope, hash_subject_key, known_subject_key, known_subject_prefix, meta_key
from keycodec import Engine as KeyEngine
from stores import (
    Batch,
    HybridStore,
    MetaStore,
    MetaWriter,
    Staging,
    StoreClosed,
    StoreFailed,
    StoreLocked,
    UnsupportedStore,
    state_postings,
    state_rows,
)
from stores.engines import hybrid
from stores.engines.lmdb import LmdbEngine
from stores.engines.redo import decode_redo, encode_redo, split
from stores.engines.rocks import RocksEngine
from tests.support.faulty_files import WAIT_S
from tests.support.stores import ALL, SMALL, Model, check_all, entry, hash_hex, random_batch


def one_row(number: int) -> Batch:
    batch = Batch()
    batch.put(hash_subject_key(hash_hex(number)), b"Tesla")
    batch.put(known_subject_key(f"subject {number}"), b"")
    return batch


def make_store(folder: Path, commit_count: int) -> None:
    """Synced at each commit, so that it keeps no redo but the last."""
    store = HybridStore.open(folder, SMALL._replace(sync_commits_max=1))
    for number in range(commit_count):
        store.commit(one_row(number))
    store.close()


def bind_to(folder: Path, log_id: bytes) -> None:
    store = HybridStore.open(folder, SMALL)
    with store.snapshot() as snapshot:
        state = Staging(snapshot)
    MetaWriter(state).put_origin(log_id, {})
    store.commit(state.batch)
    store.close()


def swap_read_engines(one: Path, other: Path) -> None:
    (one / "read").rename(one / "spare")
    (other / "read").rename(one / "read")


@pytest.mark.parametrize(("own", "other"), [(0, 1), (5, 2), (2, 5), (2, 4), (3, 4)])
def test_engines_at_commits_that_no_crash_leaves_are_refused(tmp_path: Path, own: int, other: int) -> None:
    make_store(tmp_path / "own", own + 1)
    make_store(tmp_path / "other", other + 1)
    swap_read_engines(tmp_path / "own", tmp_path / "other")
    with pytest.raises(StoreFailed, match="do not belong together"):
        HybridStore.open(tmp_path / "own", SMALL)
    with pytest.raises(StoreFailed, match="do not belong together"):  # and nothing was left locked
        HybridStore.open(tmp_path / "own", SMALL)


@pytest.mark.parametrize("more", [0, 1])
def test_engine_of_another_store_is_refused_even_at_a_fitting_commit(tmp_path: Path, more: int) -> None:
    for name, log_id, count in (("own", b"a" * 16, 3 + more), ("other", b"b" * 16, 3)):
        bind_to(tmp_path / name, log_id)
        make_store(tmp_path / name, count)
    swap_read_engines(tmp_path / "own", tmp_path / "other")
    with pytest.raises(StoreFailed, match="do not belong together"):
        HybridStore.open(tmp_path / "own", SMALL)


@pytest.mark.parametrize("version", [b"3", b"", b"10"])
def test_store_of_another_format_is_refused_and_not_touched(tmp_path: Path, version: bytes) -> None:
    make_store(tmp_path, 2)
    write = RocksEngine(tmp_path / "write", memory_bytes=SMALL.memory_bytes)
    batch = Batch()
    batch.put(meta_key("format"), version)
    write.commit(batch)
    write.close()
    for _ in range(2):
        with pytest.raises(UnsupportedStore):
            HybridStore.open(tmp_path, SMALL)


def test_second_opening_in_this_process_is_refused(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, SMALL)
    for _ in range(2):
        with pytest.raises(StoreLocked):
            HybridStore.open(tmp_path, SMALL)
    store.commit(one_row(1))
    store.close()
    HybridStore.open(tmp_path, SMALL).close()


def test_second_opening_in_another_process_is_refused(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from stores import HybridStore, StoreLocked
        try:
            HybridStore.open(Path(sys.argv[1])).close()
        except StoreLocked:
            print("locked")
        else:
            print("opened")
    """)

    def other_process() -> str:
        command = [sys.executable, "-c", program, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True).stdout.strip()

    store = HybridStore.open(tmp_path, SMALL)
    store.commit(one_row(1))
    assert other_process() == "locked"
    store.close()
    assert other_process() == "opened"


@pytest.mark.parametrize("lost", ["*.sst", "MANIFEST-*"])
def test_damage_is_not_reported_as_a_lock(tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "blocks"  # a name with "lock" in it
    engine = RocksEngine(folder, memory_bytes=SMALL.memory_bytes)
    engine.commit(one_row(1))
    engine._open().flush()
    engine.close()
    for path in folder.glob(lost):
        path.unlink()
    with pytest.raises(StoreFailed):
        RocksEngine(folder, memory_bytes=SMALL.memory_bytes)


def test_file_that_is_no_lmdb_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path, 1)
    (tmp_path / "read" / "data.mdb").write_bytes(b"not a database" * 1000)
    for _ in range(2):
        with pytest.raises(StoreFailed):
            HybridStore.open(tmp_path, SMALL)


def test_scan_begun_in_a_snapshot_ends_with_it(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, SMALL)
    batch = Batch()
    for number in range(600):
        batch.put(known_subject_key(f"subject {number}"), b"")
    store.commit(batch)
    held = store.snapshot()
    rows = held.scan(known_subject_prefix(), count_max=ALL)
    next(rows)
    store.commit(one_row(600))  # so that nobody else holds this view
    held.close()
    with pytest.raises(StoreClosed):
        list(rows)
    store.close()


def test_view_that_nobody_holds_is_let_go_at_the_next_commit(tmp_path: Path) -> None:
    """LMDB has room for 512 readers: more commits than that, each of them read, must not use them up."""
    store = HybridStore.open(tmp_path, SMALL)
    for number in range(600):
        with store.snapshot() as snapshot:
            assert snapshot.get(known_subject_key(f"subject {number}")) is None
        store.commit(one_row(number))
    store.close()


def test_meta_rows_are_in_both_engines(tmp_path: Path) -> None:
    bind_to(tmp_path, b"i" * 16)
    write = RocksEngine(tmp_path / "write", memory_bytes=SMALL.memory_bytes)
    read = LmdbEngine(tmp_path / "read", map_bytes=SMALL.map_bytes)
    for engine in (write, read):
        with engine.snapshot() as snapshot:
            assert snapshot.get(meta_key("log")) == b"i" * 16
        engine.close()


def test_rows_go_to_the_engine_of_their_family(tmp_path: Path) -> None:
    make_store(tmp_path, 1)
    write = RocksEngine(tmp_path / "write", memory_bytes=SMALL.memory_bytes)
    read = LmdbEngine(tmp_path / "read", map_bytes=SMALL.map_bytes)
    with write.snapshot() as own, read.snapshot() as other:
        assert own.get(hash_subject_key(hash_hex(0))) == b"Tesla"
        assert other.get(hash_subject_key(hash_hex(0))) is None
        assert own.get(known_subject_key("subject 0")) is None
        assert other.get(known_subject_key("subject 0")) == b""
    write.close()
    read.close()


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 8, 1000])
def test_pages_over_both_engines_join_to_the_whole(tmp_path: Path, page_size: int) -> None:
    generator, model = random.Random(5), Model()
    store = HybridStore.open(tmp_path, SMALL)
    for _ in range(10):
        batch = random_batch(generator, lists=True, row_count=30)
        model.apply(batch)
        store.commit(batch)
    with store.snapshot() as snapshot:
        joined: list[tuple[bytes, bytes]] = []
        while page := list(snapshot.scan(b"", after=joined[-1][0] if joined else None, count_max=page_size)):
            joined += page
        assert [pair for pair in joined if not hybrid.is_bookkeeping(pair[0])] == sorted(model.rows.items())
        check_all(snapshot, model, lists=True)
        assert MetaStore(snapshot).log_id() == model.rows.get(meta_key("log"))
    store.close()


def test_keys_of_no_family_keep_rows_and_lists(tmp_path: Path) -> None:
    """A fold of somebody else's may use any bytes; among them some that look like a family's."""
    keys = [
        b"plain",
        b"a:b",
        b"\xff",
        b"Tesla\x00META:x",
        b"\x00METAx",
        b"META:x",
        b"Tesla\x00MVx",
        b"x\x00",
        b"\x00",
        b":",
    ]
    store = HybridStore.open(tmp_path, SMALL)
    batch = Batch()
    for key in keys:
        batch.put(key, b"row of " + key)
        batch.add_posting(key, entry(1))
    store.commit(batch)
    store.close()
    store = HybridStore.open(tmp_path, SMALL)
    with store.snapshot() as snapshot:
        assert [snapshot.get(key) for key in keys] == [b"row of " + key for key in keys]
        assert [key for key, _ in state_rows(snapshot)] == sorted(keys)
        assert [key for key, _ in state_postings(snapshot)] == sorted(keys)
    store.close()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.tag)
def test_split_is_by_the_table_of_families(family: Family) -> None:
    key = (b"Tesla" if family.scope is Scope.SUBJECT else b"") + b"\x00" + family.tag.encode() + b":x"
    batch = Batch()
    batch.put(key, b"v")
    own, other = split(batch)
    assert (key in own.rows, key in other.rows) == {
        KeyEngine.WRITE: (True, False),
        KeyEngine.READ: (False, True),
        KeyEngine.BOTH: (True, True),
    }[family.engine]


def test_redo_gives_back_what_it_was_made_of() -> None:
    batch = random_batch(random.Random(3), lists=True, row_count=40)
    again = decode_redo(encode_redo(7, batch), 7)
    assert (again.rows, again.postings) == (batch.rows, batch.postings)
    with pytest.raises(AssertionError):
        decode_redo(encode_redo(7, batch), 8)
