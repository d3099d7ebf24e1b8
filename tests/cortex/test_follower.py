"""A state read by another process than its owner: which generation, and when it gives up."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortex import Follower, FollowerBehind, again
from cortex.follower import TRIES_MAX
from stores import Moved, StoreClosed
from tests.support.owners import Owner
from tests.support.pair_owner import SMALL, read_row, write_row


@pytest.fixture(name="process", scope="module")
def _process() -> Iterator[Owner]:
    with Owner("pair_owner") as process:
        yield process


@pytest.fixture(name="state")
def _state(process: Owner, tmp_path: Path) -> Iterator[Path]:
    """A state's folder, the live generation of which the process writes."""
    process.tell("open", str(tmp_path / "gen-00000001"))
    (tmp_path / "CURRENT").write_text("gen-00000001\n")
    yield tmp_path
    process.tell("close")


def promote(state: Path, name: str) -> None:
    (state / "CURRENT.new").write_text(f"{name}\n")
    (state / "CURRENT.new").replace(state / "CURRENT")


def swap(process: Owner, state: Path) -> None:
    """Another generation takes the place of the first, and is one commit further; the first is removed."""
    process.tell("close")
    process.tell("open", str(state / "gen-00000002"))
    process.tell("commit", 1)
    promote(state, "gen-00000002")
    shutil.rmtree(state / "gen-00000001")


def test_a_function_reads_one_moment_of_both_engines(process: Owner, state: Path) -> None:
    follower = Follower.open(state, "0", SMALL)
    last = process.tell("commit", 50)
    seen = follower.read(lambda reader: (reader.position, reader.get(write_row(0)), reader.get(read_row(0))))
    assert seen[0] == last
    assert (seen[1] or b"").split(b" ", 1)[0] == (seen[2] or b"").split(b" ")[0] != b""
    follower.close()


def test_what_replaces_the_live_store_is_read_once_it_is_looked_for_and_readers_before_end_in_peace(
    process: Owner, state: Path
) -> None:
    follower = Follower.open(state, "0", SMALL)
    held = follower.snapshot()
    held.get(write_row(0))
    swap(process, state)
    follower.look()
    with follower.snapshot() as snapshot:
        assert snapshot.position == 2
    assert held.position == 1
    held.get(write_row(1))
    held.close()
    follower.close()
    assert not (state / "scratch-follower-0").exists()


def test_who_knows_of_a_later_position_finds_the_store_that_has_it_at_once(process: Owner, state: Path) -> None:
    follower = Follower.open(state, "0", SMALL)
    follower.look()  # the next look by the clock is some time away
    swap(process, state)
    with follower.snapshot(at_least=2) as snapshot:
        assert snapshot.position == 2
    follower.close()


def test_a_position_that_does_not_come_is_given_up_after_a_bounded_number_of_tries(state: Path) -> None:
    follower = Follower.open(state, "0", SMALL)
    calls: list[None] = []

    def moving() -> None:
        calls.append(None)
        raise Moved("for ever")

    with pytest.raises(FollowerBehind, match="for ever"):
        again(moving)
    assert len(calls) == TRIES_MAX
    with pytest.raises(FollowerBehind, match="2 events are folded"):
        follower.read(lambda reader: reader.position, at_least=2)
    follower.close()
    follower.close()
    with pytest.raises(StoreClosed):
        follower.snapshot()


@pytest.mark.parametrize("name", ["gen-00000009", "../elsewhere", ""])
def test_a_state_without_a_live_store_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "CURRENT").write_text(name)
    with pytest.raises(FollowerBehind, match="no live store"):
        Follower.open(tmp_path, "0", SMALL)


def test_what_a_killed_follower_left_goes_at_the_next_opening_of_its_name(process: Owner, state: Path) -> None:
    for name in ("0", "1"):
        (state / f"scratch-follower-{name}" / "7").mkdir(parents=True)
    Follower.open(state, "0", SMALL).close()
    assert [path.name for path in state.glob("scratch-*")] == ["scratch-follower-1"]
