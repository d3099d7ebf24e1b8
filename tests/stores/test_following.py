"""A pair of engines read by another process than its writer: one commit in every read, whatever the writer does."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keycodec import assertion_prefix, pair_postings_key, view_prefix
from stores import FollowingPair, Moved, StoreClosed
from tests.support.owners import Owner
from tests.support.pair_owner import ROWS, SMALL, read_row, write_row

TRIES_MAX = 10_000


@pytest.fixture(name="process", scope="module")
def _process() -> Iterator[Owner]:
    with Owner("pair_owner") as process:
        yield process


@pytest.fixture(name="owner")
def _owner(process: Owner, tmp_path: Path) -> Iterator[Owner]:
    process.tell("open", str(tmp_path / "pair"))
    yield process
    process.tell("close")


@pytest.fixture(name="pair")
def _pair(owner: Owner, tmp_path: Path) -> Iterator[FollowingPair]:
    pair = FollowingPair(tmp_path / "pair", tmp_path / "scratch", SMALL)
    yield pair
    pair.retire()


def mirrored(pair: FollowingPair) -> int:
    """Read every row of both engines in one snapshot and hold them against each other; gives the position."""
    for _ in range(TRIES_MAX):
        try:
            with pair.snapshot() as snapshot:
                return _checked(snapshot)
        except Moved:
            pass
    raise AssertionError(f"no moment in {TRIES_MAX} tries")


def _checked(snapshot: object) -> int:
    writes = snapshot.get_many([write_row(number) for number in range(ROWS)])  # type: ignore[attr-defined]
    reads = snapshot.get_many([read_row(number) for number in range(ROWS)])  # type: ignore[attr-defined]
    found = [None if row is None else int(row.split()[0]) for row in reads]
    assert [None if row is None else int(row.split(b" ", 1)[0]) for row in writes] == found
    position: int = snapshot.position  # type: ignore[attr-defined]
    assert max(one or 0 for one in found) == position == snapshot.commit  # type: ignore[attr-defined]
    return position


def test_every_read_sees_one_commit_of_both_engines_while_the_writer_commits_flushes_and_compacts(
    owner: Owner, pair: FollowingPair
) -> None:
    owner.tell("begin")
    positions = [mirrored(pair) for _ in range(1500)]
    last = owner.tell("end")
    assert positions == sorted(positions)
    assert positions[-1] > positions[0]
    assert mirrored(pair) == last


def test_what_was_flushed_is_seen_though_no_commit_follows(owner: Owner, pair: FollowingPair) -> None:
    for count in (3, 1, 200, 1):
        mirrored(pair)  # a part of what the flush is about is in memory here
        owner.tell("commit", count)
        assert mirrored(pair) == owner.tell("flush")


def test_a_follower_that_missed_logs_and_tables_which_are_gone_catches_up(owner: Owner, pair: FollowingPair) -> None:
    mirrored(pair)
    for _ in range(3):
        owner.tell("commit", 700)
    assert mirrored(pair) == owner.tell("flush") == 2101


def test_a_store_that_was_opened_anew_goes_on_being_followed(owner: Owner, pair: FollowingPair) -> None:
    for _ in range(3):
        owner.tell("commit", 30)
        mirrored(pair)
        owner.tell("commit", 5)
        assert mirrored(pair) == owner.tell("reopen")


def test_a_snapshot_keeps_to_its_moment_once_it_has_looked_into_both_engines(owner: Owner, pair: FollowingPair) -> None:
    position = mirrored(pair)
    with pair.snapshot() as snapshot:
        snapshot.get(write_row(0))
        owner.tell("commit", 300)
        assert _checked(snapshot) == position
    assert mirrored(pair) == position + 300


def test_a_reader_of_an_older_moment_is_told_when_the_other_engine_has_moved_on(
    owner: Owner, pair: FollowingPair
) -> None:
    with pair.snapshot() as early:
        owner.tell("commit", 1)
        with pytest.raises(Moved):
            early.get(write_row(0))
        assert early.get(read_row(0)) is None or early.position == 1


def test_who_does_not_wait_is_told_unless_both_engines_are_there_already(owner: Owner, pair: FollowingPair) -> None:
    with pair.snapshot(patient=False) as snapshot, pytest.raises(Moved):
        snapshot.get(write_row(0))
    mirrored(pair)
    with pair.snapshot(patient=False) as snapshot:
        _checked(snapshot)
    owner.tell("commit", 1)
    with pair.snapshot(patient=False) as snapshot, pytest.raises(Moved):
        snapshot.get(write_row(0))


def test_lists_and_scans_are_of_the_same_moment_as_gets(owner: Owner, pair: FollowingPair) -> None:
    position = owner.tell("commit", 400)
    with pair.snapshot() as snapshot:
        key = pair_postings_key("mirrored", "p")
        assert snapshot.posting_count(key) == position
        assert len(snapshot.postings(key, count_max=10_000)) == position
        assert snapshot.posting_keys(key[:-1], count_max=10) == [key]
        views = dict(snapshot.scan(view_prefix("mirrored"), count_max=1000))
        claims = dict(snapshot.scan(assertion_prefix("mirrored"), count_max=1000))
        whole = dict(snapshot.scan(b"mirrored\x00", count_max=1000))
        page = list(snapshot.scan(assertion_prefix("mirrored"), after=write_row(0), count_max=2))
    assert [value for _, value in sorted(views.items())] == [views[read_row(n)] for n in sorted(range(ROWS), key=str)]
    assert [claims[write_row(n)].startswith(views[read_row(n)]) for n in range(ROWS)] == [True] * ROWS
    assert whole == views | claims
    assert [key for key, _ in page] == [write_row(1), write_row(2)]


def test_a_map_that_the_writer_has_grown_is_adopted_when_its_readers_have_ended(
    owner: Owner, pair: FollowingPair
) -> None:
    held = pair.snapshot()
    _checked(held)
    last = owner.tell("commit", 40, filling_bytes=100_000)  # four times the first map
    found: list[int] = []
    late = threading.Thread(target=lambda: found.append(mirrored(pair)))
    late.start()
    assert _checked(held) == 1
    held.close()
    late.join(10)
    assert found == [last]


def test_pages_that_a_killed_reader_held_are_used_again(owner: Owner, pair: FollowingPair, tmp_path: Path) -> None:
    with Owner("pair_owner") as reader:
        reader.tell("follow", str(tmp_path / "pair"))
    pair.tend()
    owner.tell("commit", 300)
    size = owner.tell("size")
    owner.tell("commit", 2000)
    assert owner.tell("size") < size + 500_000  # the list grows by 80 KB; held, pages would be some 20 MB


def test_a_follower_that_nobody_reads_lets_go_of_rocksdb(owner: Owner, pair: FollowingPair, tmp_path: Path) -> None:
    mirrored(pair)
    pair.tend()
    assert (tmp_path / "scratch").is_dir()
    pair.tend()
    assert not (tmp_path / "scratch").exists()
    assert mirrored(pair) == owner.tell("commit", 0)


def test_a_retired_follower_ends_with_its_last_reader(owner: Owner, pair: FollowingPair, tmp_path: Path) -> None:
    snapshot = pair.snapshot()
    _checked(snapshot)
    pair.retire()
    with pytest.raises(StoreClosed):
        pair.snapshot()
    owner.tell("commit", 1)
    assert _checked(snapshot) == 1
    snapshot.close()
    snapshot.close()
    assert not (tmp_path / "scratch").exists()
    with pytest.raises(StoreClosed):
        snapshot.get(read_row(0))
    again = FollowingPair(tmp_path / "pair", tmp_path / "scratch", SMALL)  # LMDB refuses what is open in a process
    assert mirrored(again) == 2
    again.retire()
