"""The folder, the disk beneath it and the process: owner, modes, fsync, space, open files."""

import errno
import os
import resource
import stat
import statistics
import time
from pathlib import Path
from typing import Final

from episteme.doctor.check import Check, Look, fail, ok, skipped, warn
from episteme.doctor.patient import Patient
from episteme.space import Space, room_of
from wal import Files, wall_ms

KEYS: Final = "keys"
_NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT))
_PROBE: Final = "doctor-fsync.tmp"
_PROBE_COUNT: Final = 25
_PROBE_BYTES: Final = 4096
_FSYNC_S_MIN: Final = 30e-6  # no disk and no flash is as quick as that: the write stopped in some memory
_FSYNC_S_SLOW: Final = 0.05  # at twenty commits a second writers feel it
_FREE_BYTES_MIN: Final = 1024**3
_FREE_PART_MIN: Final = 0.05
_DAYS_MIN: Final = 14.0  # until the disk is full, at the pace so far
_FILES_MIN: Final = 4096  # 512 for the log and the store, the others for connections
_DAY_MS: Final = 86_400_000


def folder_checks(patient: Patient) -> list[Look]:
    """All of this file."""
    return [
        ("folder", lambda: owner(patient.folder)),
        ("keys", lambda: secrets(patient.folder)),
        ("fsync", lambda: fsync(patient.folder)),
        ("space", lambda: space(patient)),
        ("open files", open_files),
    ]


def owner(folder: Path) -> Check:
    """Whose the folder is, and who may write into it."""
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        detail = f"{folder} belongs to user {found.st_uid}, this process is {os.geteuid()}"
        return fail("folder", detail, f"run as its owner, or chown -R {os.geteuid()} {folder}")
    if mode & 0o022:
        return fail("folder", f"{folder} has mode {mode:04o}: others may write into it", f"chmod 700 {folder}")
    if mode & 0o055:
        detail = f"{folder} has mode {mode:04o}: others may read what is in it"
        return warn("folder", detail, f"chmod 700 {folder}, unless that is meant")
    return ok("folder", f"{folder}: ours alone")


def secrets(folder: Path) -> Check:
    """Whether only the owner can read what is in keys/."""
    keys = folder / KEYS
    if not keys.is_dir():
        return ok("keys", "there are none: the first `episteme serve` makes an operator key")
    files = sorted(path for path in keys.rglob("*") if path.is_file())
    wrong = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if wrong:
        mode = stat.S_IMODE(wrong[0].stat().st_mode)
        return fail("keys", f"{wrong[0]} has mode {mode:04o}: others can read it", f"chmod 600 {wrong[0]}")
    return ok("keys", f"{len(files)} files that only their owner can read")


def fsync(folder: Path) -> Check:
    """How long the disk takes to say that something is on it: one that says so at once does not tell the truth."""
    try:
        times_s = _fsync_times_s(folder)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        return skipped("fsync", "there is no room to try it: see space", "make room, then look again")
    median_s = statistics.median(times_s)
    told = f"median {median_s * 1000:.2f} ms of {_PROBE_COUNT}"
    if median_s < _FSYNC_S_MIN:
        return warn(
            "fsync",
            f"{told}: too quick to be true; the disk, or what stands for one, answers before it has written",
            "keep the folder on a disk that honours fsync (not tmpfs); mind caches without a battery",
        )
    if median_s > _FSYNC_S_SLOW:
        return warn("fsync", f"{told}: every acknowledged write waits so long", "use a quicker disk")
    return ok("fsync", told)


def _fsync_times_s(folder: Path) -> list[float]:
    """What each of some small writes waits for the disk, in seconds; they leave nothing."""
    files, path = Files(), folder / _PROBE
    times_s = []
    handle = files.create(path)
    try:
        for number in range(_PROBE_COUNT):
            files.write(handle, os.fsencode(f"{number:0{_PROBE_BYTES}d}"), number * _PROBE_BYTES)
            started_s = time.perf_counter()
            files.sync(handle)
            times_s.append(time.perf_counter() - started_s)
    finally:
        files.close(handle)
        files.remove_if_there(path)
    return times_s


def space(patient: Patient) -> Check:
    """What is free, and how long that lasts at the pace of the log so far."""
    room = room_of(patient.folder)
    if room is None:
        return skipped("space", "the file system does not say what is free")
    told = f"{room.free_bytes / 1e9:.1f} GB of {room.total_bytes / 1e9:.1f} GB are free"
    reserve = Space(lambda: room, patient.config.disk_reserve_bytes)
    if reserve.full:
        kept = f"{reserve.reserve_bytes / 1e9:.2f} GB are kept in reserve"
        return fail("space", f"{told}, and {kept}: writes are refused (507)", "make room; writes resume by themselves")
    if room.free_bytes < _FREE_BYTES_MIN or room.free_bytes < room.total_bytes * _FREE_PART_MIN:
        return warn("space", told, "make room: writes are refused (507) before it is used up")
    days = _days_left(patient, room.free_bytes)
    if days is not None and days < _DAYS_MIN:
        return warn("space", f"{told}, enough for {days:.0f} days at the pace so far", "plan for a larger disk")
    return ok("space", told if days is None else f"{told}, enough for {min(days, 99_999):,.0f} days at the pace so far")


def open_files() -> Check:
    """How many files this process may open: connections, segments and tables are files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES_MIN:
        return warn("open files", f"at most {soft}", "raise the limit (ulimit -n 65536, LimitNOFILE= in a unit)")
    return ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def _days_left(patient: Patient, free_bytes: int) -> float | None:
    """At the pace of the whole log; None for one that is younger than a day or empty.  The state grows as well."""
    log = patient.log
    if log.durable_end <= log.first_seq:
        return None
    first, last = log.get(log.first_seq), log.get(log.durable_end - 1)
    age_days = (wall_ms(last.time) - wall_ms(first.time)) / _DAY_MS
    if age_days < 1 or not patient.log_bytes:
        return None
    both_bytes = patient.log_bytes + (0 if patient.folded is None else patient.folded.state.size_bytes())
    return free_bytes / (both_bytes / age_days)
