"""Small file systems of their own, for tests of a full disk and of one that may not be written."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

MIB: Final = 1024 * 1024
_MOUNT_S: Final = 20.0  # no mount takes that long


@contextmanager
def small_disk(folder: Path, size_bytes: int, ballast_bytes: int) -> Iterator[Path]:
    """A file system in memory, a part of it taken by a file `ballast` that can be removed; skips without the right."""
    disk = folder / "disk"
    disk.mkdir()
    if not _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(disk)):
        pytest.skip("needs to mount a small file system")
    try:
        (disk / "ballast").write_bytes(bytes(ballast_bytes))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=_MOUNT_S)


def make_read_only(disk: Path) -> None:
    """Mount it anew so that nothing can be written."""
    assert _mount("-o", "remount,ro", str(disk)), "what could be mounted can be mounted anew"


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _mount(*arguments: str) -> bool:
    if os.geteuid() != 0:
        return False
    try:
        done = subprocess.run(["mount", *arguments], check=False, capture_output=True, timeout=_MOUNT_S)
    except FileNotFoundError:
        return False
    return done.returncode == 0
