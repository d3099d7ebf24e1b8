"""Room on the disk of a data folder: writes are refused before it is used up, and taken again when there is some.

Owns: the reserve, which is left to the fold, to snapshots, and to the next
start.  Looks at most every LOOK_S, so that a write pays for a comparison.
Refuses nothing but writes: what is there is read all the same.

Source: docs/operations.md, "A full disk".
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Self

from episteme.errors import DiskFull
from episteme.status import DiskStatus
from stores import StoreOptions

LOOK_S: Final = 0.01  # what is written between two looks must fit into the reserve; a look costs a microsecond
RETRY_S: Final = 1.0  # after a write that found no room, how long until one may try again
RETRY_AFTER_S: Final = 5  # what clients are told: people make room, and RocksDB looks for it every 5 s
RESERVE_BYTES_MAX: Final = 256 * 1024 * 1024  # RocksDB's write buffers twice over, and what a snapshot copies of LMDB
_RESERVE_PART: Final = 8  # of the file system, where that is less
_RESERVE_BYTES_MIN: Final = 4 * 1024 * 1024  # to open the state takes some, however small it is; at most a quarter
_RESERVE_PART_MAX: Final = 4
_MARGIN_BYTES_MAX: Final = 1024 * 1024  # above the reserve before writes are taken again, or they would come and go
_MARGIN_PART: Final = 16
_MEMORY_PART: Final = 16  # RocksDB needs a write buffer's room to recover from a full disk, an eighth of its memory
_MEMORY_BYTES_MIN: Final = 1024 * 1024

_LOGGER = logging.getLogger(__name__)


class Room(NamedTuple):
    """Of one file system."""

    free_bytes: int  # for who is not root
    total_bytes: int


def room_of(folder: Path) -> Room | None:
    """The room of the file system of a folder; None if it does not say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    room = Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
    return room if room.total_bytes else None


class Space:
    """Whether there is room for writes.  Thread-safe."""

    def __init__(
        self,
        room: Callable[[], Room | None],
        reserve_bytes: int | None = None,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """room: asked now and then.  reserve_bytes: None: an eighth of the file system, RESERVE_BYTES_MAX at most."""
        self._measure = room
        self._reserve_asked = reserve_bytes
        self._clock_s = clock_s
        self._room: Room | None = None
        self._full = False
        self._look_at_s = 0.0
        self._retry_at_s = 0.0
        self.is_short: Callable[[], bool] = lambda: False  # whether somebody else stands still for want of room

    @classmethod
    def boundless(cls) -> Self:
        """Of a disk that nobody looks at."""
        return cls(lambda: None)

    @property
    def full(self) -> bool:
        """Whether writes are refused."""
        if self._clock_s() >= self._look_at_s:
            self._look()
        return self._full

    def check(self) -> None:
        """Raises: DiskFull."""
        if self.full:
            raise DiskFull(self.reason, retry_after_s=RETRY_AFTER_S)

    def met_full(self) -> None:
        """A write has found no room, whatever the file system says: there may be a quota."""
        self._retry_at_s = self._clock_s() + RETRY_S
        self._set(full=True)

    @property
    def reason(self) -> str:
        """What there is of room, and what is kept."""
        free_bytes = None if self._room is None else self._room.free_bytes
        free = "no room was found" if free_bytes is None else f"{free_bytes} bytes are free"
        return (
            f"the disk is full: {free}, {self.reserve_bytes} are kept in reserve; writes are taken when there is more"
        )

    @property
    def reserve_bytes(self) -> int:
        """What writes leave free."""
        if self._reserve_asked is not None:
            return self._reserve_asked
        total_bytes = 0 if self._room is None else self._room.total_bytes
        least = min(_RESERVE_BYTES_MIN, total_bytes // _RESERVE_PART_MAX)
        return min(RESERVE_BYTES_MAX, max(least, total_bytes // _RESERVE_PART))

    def status(self) -> DiskStatus:
        """As it was at the last look, which is now if that is long ago."""
        full = self.full
        return DiskStatus(None if self._room is None else self._room.free_bytes, self.reserve_bytes, full)

    def _look(self) -> None:
        now_s = self._clock_s()
        self._look_at_s = now_s + LOOK_S
        room = self._room = self._measure()
        floor = self.reserve_bytes
        if self._full and room is not None:
            floor += max(floor // 4, min(_MARGIN_BYTES_MAX, room.total_bytes // _MARGIN_PART))
        is_low = room is not None and room.free_bytes < floor
        self._set(full=is_low or now_s < self._retry_at_s or self.is_short())

    def _set(self, *, full: bool) -> None:
        was_full, self._full = self._full, full
        if full and not was_full:
            _LOGGER.error("%s", self.reason)
        elif was_full and not full:
            _LOGGER.warning("there is room on the disk again, and writes are taken")


def fitted(options: StoreOptions, folder: Path) -> StoreOptions:
    """Options whose memory, and so the room that RocksDB asks for, is small beside a folder's file system."""
    room = room_of(folder)
    if room is None:
        return options
    bound = max(_MEMORY_BYTES_MIN, room.total_bytes // _MEMORY_PART)
    return options._replace(memory_bytes=min(options.memory_bytes, bound))
