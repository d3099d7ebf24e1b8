"""A throw-away PostgreSQL cluster: made for one measurement, on a Unix socket, ended by its pid and removed.

Everything is PostgreSQL's default but what SETTINGS names.  initdb and the server refuse to run as root; there they
run as `postgres` or `nobody`, in a folder that is given to that user.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.measured import Unavailable

SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",  # a quarter of a small server's memory; the default of 128 MB is for a laptop
    "max_wal_size": "4GB",  # no checkpoint is forced while a row is measured
}
INITDB: Final = ("--username=bench", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
PLACES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/local/pgsql/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
USERS: Final = ("postgres", "nobody")  # for root, who may not run it
START_S: Final = 30.0
STOP_S: Final = 30.0
STATEMENT_S: Final = 60.0


class Cluster(NamedTuple):
    """A running server."""

    socket_folder: Path
    pid: int
    version: str  # "15.18"
    programs: Path

    @property
    def dsn(self) -> str:
        """How a client of libpq finds it."""
        return f"host={self.socket_folder} dbname=postgres user=bench"


@contextmanager
def cluster(near: Path) -> Iterator[Cluster]:
    """Run a fresh server whose data lies in a folder in `near`, on that disk.

    Raises: Unavailable.
    """
    programs = find_programs()
    identity = _identity()
    folder = Path(tempfile.mkdtemp(prefix=".bench-pg-", dir=near))
    try:
        if identity:
            os.chown(folder, identity["user"], identity["group"])
        _check_reach(folder, identity)
        _run([programs / "initdb", *INITDB, "--pgdata", folder / "data"], identity)
        yield from _serve(programs, folder, identity)
    finally:
        shutil.rmtree(folder)


def statement(running: Cluster, text: str) -> None:
    """Execute it over a connection of its own, statement by statement."""
    arguments = [part for one in text.split(";") for part in ("-c", one)]
    subprocess.run(
        [running.programs / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", running.dsn, *arguments],
        check=True,
        capture_output=True,
        timeout=STATEMENT_S,
    )


def find_programs() -> Path:
    """The folder that has `initdb` and `postgres`, of the newest version that is found.

    Raises: Unavailable.
    """
    folders = [Path(folder) for folder in os.get_exec_path()]
    for place in PLACES:
        folders += sorted(Path("/").glob(place[1:]), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return (folder / "postgres").resolve().parent
    raise Unavailable("PostgreSQL is not installed: no initdb on the PATH or in " + ", ".join(PLACES))


def _identity() -> dict[str, Any]:
    """As whom to run it: arguments for Popen."""
    if os.geteuid() != 0:
        return {}
    for name in USERS:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise Unavailable("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _check_reach(folder: Path, identity: dict[str, Any]) -> None:
    """Raises: Unavailable if the user may not enter the folder through all those above it."""
    if identity and subprocess.run(["test", "-x", folder], check=False, **identity).returncode:
        raise Unavailable(f"PostgreSQL does not run as root, and user {identity['user']} may not enter {folder}")


def _run(arguments: list[object], identity: dict[str, Any]) -> str:
    done = subprocess.run(
        list(map(str, arguments)), check=False, capture_output=True, text=True, timeout=START_S, cwd="/", **identity
    )
    if done.returncode:
        raise Unavailable(f"{arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _serve(programs: Path, folder: Path, identity: dict[str, Any]) -> Iterator[Cluster]:
    version = _run([programs / "postgres", "--version"], identity).split()[2]
    settings = {**SETTINGS, "unix_socket_directories": str(folder)}
    arguments = [str(programs / "postgres"), "-D", str(folder / "data")]
    arguments += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(arguments, stdout=log, stderr=log, cwd="/", **identity)
        try:
            _wait_until_ready(folder, server)
            yield Cluster(folder, server.pid, version, programs)
        finally:
            server.send_signal(signal.SIGINT)  # ends sessions, writes a checkpoint
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_until_ready(folder: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        lines = _lines(folder / "data" / "postmaster.pid")
        if len(lines) >= 8 and lines[7].strip() == "ready":  # what pg_ctl looks at
            return
        if server.poll() is not None:
            break
        time.sleep(0.02)
    raise Unavailable("PostgreSQL did not start: " + (folder / "log").read_text(errors="replace").strip()[-500:])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
