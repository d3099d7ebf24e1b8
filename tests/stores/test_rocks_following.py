"""RocksDB followed by a secondary: what RocksDB's own catching up misses is found out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from keycodec import meta_key
from stores import Batch, StoreClosed, StoreFailed
from stores.engines.rocks import RocksEngine
from stores.engines.rocks_following import RocksFollowing

MEMORY_BYTES: Final = 1024 * 1024
COLD, HOT = b"cold", b"hot"


class Overtaken(RocksFollowing):
    """The writer does something between a catching up and the look whether it did."""

    meanwhile: Callable[[], object] | None = None

    def _step(self, db: Any) -> None:
        super()._step(db)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()


@pytest.fixture(name="writer")
def _writer(tmp_path: Path) -> Iterator[RocksEngine]:
    writer = RocksEngine(tmp_path / "write", memory_bytes=MEMORY_BYTES)
    commit(writer, 1, COLD)
    yield writer
    writer.close()


@pytest.fixture(name="follower")
def _follower(writer: RocksEngine, tmp_path: Path) -> Iterator[Overtaken]:
    follower = Overtaken(tmp_path / "write", tmp_path / "scratch", cache_bytes=MEMORY_BYTES)
    yield follower
    follower.close()


def commit(writer: RocksEngine, number: int, *keys: bytes) -> None:
    batch = Batch()
    batch.put(meta_key("commit"), number.to_bytes(8, "little"))
    for key in (HOT, *keys):
        batch.put(key, b"%d" % number)
    writer.commit(batch)


def shown(follower: RocksFollowing) -> tuple[int, list[bytes | None], dict[bytes, bytes]]:
    scanned = {key: value for name in (COLD, HOT) for key, value in follower.scan(name, count_max=9)}
    return follower.commit, follower.get_many([COLD, HOT]), scanned


def test_it_keeps_to_its_moment_until_it_is_told_to_catch_up(writer: RocksEngine, follower: RocksFollowing) -> None:
    commit(writer, 2)
    assert shown(follower) == (1, [b"1", b"1"], {COLD: b"1", HOT: b"1"})
    follower.catch_up()
    assert shown(follower) == (2, [b"1", b"2"], {COLD: b"1", HOT: b"2"})
    assert follower.get(b"none") is None


@pytest.mark.parametrize("compacted", [False, True])
def test_rows_in_memory_do_not_hide_newer_ones_that_were_flushed(
    writer: RocksEngine, follower: RocksFollowing, compacted: bool
) -> None:
    for number in range(2, 8):
        commit(writer, number, COLD)
        writer._open().flush()
        if compacted:
            writer._db.compact_range(None, None)  # type: ignore[union-attr]
        follower.catch_up()
        newest = b"%d" % number
        assert shown(follower) == (number, [newest, newest], {COLD: newest, HOT: newest})
        commit(writer, number, b"no other commit")  # what is in memory again
        follower.catch_up()


def test_a_flush_while_it_catches_up_is_caught_up_with(writer: RocksEngine, follower: Overtaken) -> None:
    def meanwhile() -> None:
        commit(writer, 2, COLD)
        writer._open().flush()
        commit(writer, 3)

    follower.meanwhile = meanwhile
    follower.catch_up()
    assert shown(follower) == (3, [b"2", b"3"], {COLD: b"2", HOT: b"3"})


def test_it_opens_anew_after_a_writer_that_was_opened_anew(
    writer: RocksEngine, follower: RocksFollowing, tmp_path: Path
) -> None:
    commit(writer, 2, COLD)
    follower.catch_up()
    assert follower.open_count == 1
    writer.close()
    other = RocksEngine(tmp_path / "write", memory_bytes=MEMORY_BYTES)
    commit(other, 3)
    follower.catch_up()
    assert follower.open_count == 2
    assert shown(follower) == (3, [b"2", b"3"], {COLD: b"2", HOT: b"3"})
    other.close()


def test_it_stays_open_while_the_writer_only_commits(writer: RocksEngine, follower: RocksFollowing) -> None:
    for number in range(2, 40):
        commit(writer, number)
        follower.catch_up()
    assert (follower.commit, follower.open_count) == (39, 1)


def test_a_store_that_goes_on_changing_is_given_up_in_the_end(writer: RocksEngine, follower: Overtaken) -> None:
    def meanwhile() -> None:
        commit(writer, 2)
        writer._open().flush()
        follower.meanwhile = meanwhile

    follower.meanwhile = meanwhile
    with pytest.raises(StoreFailed, match="faster"):
        follower.catch_up()
    with pytest.raises(StoreClosed):
        follower.get(HOT)
    follower.meanwhile = None
    follower.catch_up()
    assert follower.get(HOT) == b"2"


def test_a_folder_without_a_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreFailed):
        RocksFollowing(tmp_path / "empty", tmp_path / "scratch", cache_bytes=MEMORY_BYTES)
    assert list((tmp_path / "empty").iterdir()) == []


def test_nothing_of_the_writer_is_changed_and_the_scratch_goes(
    writer: RocksEngine, follower: RocksFollowing, tmp_path: Path
) -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "write").iterdir()}

    before = files()
    follower.catch_up()
    follower.catch_up(anew=True)
    follower.close()
    follower.close()
    assert files() == before
    assert not (tmp_path / "scratch").exists()
