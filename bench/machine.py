"""What was measured on, and of which versions."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.limits import cores

PACKAGES: Final = (
    *("uvicorn", "uvloop", "httptools", "starlette", "msgspec", "pynacl", "blake3", "lmdb", "rocksdict"),
    "google-crc32c",
)


def describe(folder: Path) -> dict[str, str]:
    """The machine and its system, and the disk that this folder is on."""
    return {
        "processor": f"{_found('/proc/cpuinfo', 'model name.*: (.*)') or platform.machine()}, {cores()} cores",
        "memory": f"{int(_found('/proc/meminfo', 'MemTotal: +([0-9]+)') or 0) / 2**20:.0f} GiB",
        "disk": disk_of(folder),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": f"{os.getloadavg()[0]:.1f} before the first round",
    }


def disk_of(folder: Path) -> str:
    """Its device, its file system, and what the device says of itself."""
    number = folder.stat().st_dev
    major, minor = os.major(number), os.minor(number)
    where = f"{major}:{minor} "
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {where}" in line]
    system = mounts[0][mounts[0].index("-") + 1] if mounts else "unknown file system"
    device = Path(f"/sys/dev/block/{major}:{minor}").resolve()
    if not device.exists():
        return system
    whole = device if (device / "queue").exists() else device.parent
    facts = [_read(whole / "device" / "model"), f"write cache: {_read(whole / 'queue' / 'write_cache') or 'unknown'}"]
    return ", ".join([f"{whole.name} ({_kind(whole)})", system, *filter(None, facts)])


def _kind(device: Path) -> str:
    if device.name.startswith("vd"):
        return "virtual"
    return "rotating" if _read(device / "queue" / "rotational") == "1" else "solid"


def versions() -> dict[str, str]:
    """Of the packages that the figures depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of this tree; "unknown" outside of one."""
    short, changes = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain")
    return (short or "unknown") + (" with changes" if changes else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=Path(__file__).parent)
    except OSError:
        return ""
    return done.stdout.strip()


def _found(path: str, pattern: str) -> str:
    found = re.search(pattern, _read(Path(path)))
    return found[1] if found else ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
