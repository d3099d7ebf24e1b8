"""Room on the disk: when writes are refused, and when they are taken again."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.errors import DiskFull
from episteme.space import LOOK_S, RESERVE_BYTES_MAX, RETRY_S, Room, Space, fitted, room_of
from stores import StoreOptions
from tests.support.disks import MIB, small_disk

GIB = 1024 * MIB


class Disk:
    """A disk and a clock that a test sets; counts how often it is looked at."""

    def __init__(self, free_bytes: int, total_bytes: int = 100 * GIB) -> None:
        self.room: Room | None = Room(free_bytes, total_bytes)
        self.now_s = 1000.0
        self.looks = 0

    def __call__(self) -> Room | None:
        self.looks += 1
        return self.room

    def set(self, free_bytes: int) -> None:
        """It has that much free, and the next look is due."""
        assert self.room is not None
        self.room = self.room._replace(free_bytes=free_bytes)
        self.now_s += LOOK_S

    def space(self, reserve_bytes: int | None = None) -> Space:
        return Space(self, reserve_bytes, clock_s=lambda: self.now_s)


@pytest.mark.parametrize(
    ("total_bytes", "reserve_bytes"),
    [(8 * MIB, 2 * MIB), (16 * MIB, 4 * MIB), (64 * MIB, 8 * MIB), (GIB, 128 * MIB), (1000 * GIB, RESERVE_BYTES_MAX)],
)
def test_reserve_is_a_part_of_the_file_system_and_never_more_than_its_bound(
    total_bytes: int, reserve_bytes: int
) -> None:
    space = Disk(total_bytes, total_bytes).space()
    space.check()
    assert space.reserve_bytes == reserve_bytes


def test_writes_are_refused_in_the_reserve_and_taken_again_somewhat_above_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    disk = Disk(11 * MIB)
    space = disk.space(10 * MIB)
    space.check()
    for free_bytes in (10 * MIB - 1, 0, 10 * MIB + 1):
        disk.set(free_bytes)
        with pytest.raises(DiskFull) as caught:
            space.check()
        assert caught.value.retry_after_s
    assert space.status().full
    disk.set(13 * MIB)
    space.check()
    disk.set(10 * MIB)
    space.check()
    assert space.status() == type(space.status())(10 * MIB, 10 * MIB, False)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"], "said once each"


def test_disk_is_looked_at_no_more_often_than_need_be() -> None:
    disk = Disk(GIB)
    space = disk.space()
    for _ in range(1000):
        space.check()
    assert disk.looks == 1
    disk.now_s += LOOK_S
    space.check()
    assert disk.looks == 2


@pytest.mark.parametrize("reserve_bytes", [None, 0])
def test_write_that_found_no_room_holds_others_up_for_a_while_whatever_the_disk_says(reserve_bytes: int | None) -> None:
    disk = Disk(50 * GIB)
    space = disk.space(reserve_bytes)
    space.check()
    space.met_full()
    disk.now_s += RETRY_S / 2
    with pytest.raises(DiskFull):
        space.check()
    disk.now_s += RETRY_S
    space.check()


def test_without_a_reserve_writes_wait_for_some_room_after_the_disk_was_full_and_never_before() -> None:
    disk = Disk(0)
    space = disk.space(0)
    space.check()
    space.met_full()
    disk.now_s += 2 * RETRY_S
    with pytest.raises(DiskFull):
        space.check()
    disk.set(2 * MIB)
    space.check()


def test_writes_wait_while_another_stands_still_for_want_of_room() -> None:
    disk = Disk(50 * GIB)
    space = disk.space()
    space.is_short = lambda: True
    assert space.full
    space.is_short = lambda: False
    disk.now_s += LOOK_S
    assert not space.full


def test_disk_that_does_not_say_what_it_has_refuses_nothing(tmp_path: Path) -> None:
    disk = Disk(0)
    disk.room = None
    space = disk.space()
    space.check()
    assert space.status() == type(space.status())(None, 0, False)
    assert room_of(tmp_path / "not there") is None
    assert not Space.boundless().full


@given(st.lists(st.integers(0, 20 * MIB), max_size=30), st.integers(0, 10 * MIB))
def test_nothing_is_taken_below_the_reserve_nor_refused_well_above_it(frees: list[int], reserve_bytes: int) -> None:
    disk = Disk(0)
    space = disk.space(reserve_bytes)
    for free_bytes in frees:
        disk.set(free_bytes)
        assert space.full or free_bytes >= reserve_bytes
        assert not space.full or free_bytes < reserve_bytes + max(reserve_bytes // 4, MIB)


def test_real_folder_says_what_it_has_and_engines_are_fitted_to_a_small_one(tmp_path: Path) -> None:
    room = room_of(tmp_path)
    assert room is not None
    assert 0 < room.free_bytes <= room.total_bytes
    with small_disk(tmp_path, 32 * MIB, MIB) as disk:
        assert fitted(StoreOptions(), disk).memory_bytes == 2 * MIB
        assert fitted(StoreOptions(memory_bytes=MIB), disk).memory_bytes == MIB
        assert room_of(disk) == Room(31 * MIB, 32 * MIB)
