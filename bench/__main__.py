"""Measure the writes and the import, each beside its limit in the same run; print a table and, with --json, JSON.

python -m bench [--runs N] [--json FILE] [--claims FILE.csv]
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import nacl.bindings

from bench.work import claims, episteme_server, load, post, process, scratch, write_requests

POSTS = 20_000
CONNECTIONS = 64
BOOK_CLAIMS = Path("../shared/data/book/claims.csv")
SYNTHETIC_ROWS = 30_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--claims", type=Path, default=BOOK_CLAIMS, help="a CSV file with source, isbn, authors")
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    with scratch() as folder:
        requests = folder / "requests"
        write_requests(requests, (post("/v1/assertions", claim) for claim in claims(POSTS)))
        few = folder / "few"
        write_requests(few, (post("/v1/assertions", claim) for claim in claims(2000, start=POSTS)))
        file = options.claims if options.claims.exists() else synthetic_claims(folder / "claims.csv")
        for run in range(options.runs):
            talk(f"run {run + 1} of {options.runs}")
            for name, measure in measures(folder, run, requests, few, file).items():
                rows.setdefault(name, []).append(measure())
    report(rows, options.json)


def measures(folder: Path, run: int, requests: Path, few: Path, file: Path) -> dict[str, Callable[[], float]]:
    """The rows of the table, in order."""
    return {
        "write + fdatasync of 600 B, one at a time /s": lambda: fdatasync_rate(folder / "bare"),
        "Ed25519 verifications, one thread /s": verify_rate,
        "bare Starlette POST, 64 connections /s": lambda: bare_posts(requests),
        "POST /v1/assertions, 64 connections /s": lambda: posts(folder / f"many{run}", requests),
        "POST /v1/assertions, 1 connection, median us": lambda: post_median_us(folder / f"one{run}", few),
        f"import of {file.name}, until readable, claims /s": lambda: import_rate(folder / f"import{run}", file),
    }


def fdatasync_rate(path: Path) -> float:
    """The disk's limit for one writer."""
    handle, data, count = os.open(path, os.O_CREAT | os.O_WRONLY), b"x" * 600, 1000
    started = time.perf_counter()
    for _ in range(count):
        os.write(handle, data)
        os.fdatasync(handle)
    seconds = time.perf_counter() - started
    os.close(handle)
    return count / seconds


def verify_rate() -> float:
    """The processor's limit, for one core."""
    public, secret = nacl.bindings.crypto_sign_seed_keypair(bytes(32))
    signed, count = nacl.bindings.crypto_sign(b"m" * 60, secret), 5000
    started = time.perf_counter()
    for _ in range(count):
        nacl.bindings.crypto_sign_open(signed, public)
    return count / (time.perf_counter() - started)


def bare_posts(requests: Path) -> float:
    with process(["bench.bare"]) as port:
        return accepted_rate(load(port, CONNECTIONS, requests), POSTS)


def posts(data: Path, requests: Path) -> float:
    with episteme_server(data) as port:
        return accepted_rate(load(port, CONNECTIONS, requests), POSTS)


def post_median_us(data: Path, requests: Path) -> float:
    with episteme_server(data) as port:
        return float(load(port, 1, requests)["p50_us"])


def accepted_rate(found: dict[str, object], expected: int) -> float:
    assert found["statuses"] == {"202": expected}, found
    return float(str(found["per_second"]))


def import_rate(data: Path, file: Path) -> float:
    """Signing, sending, verifying, logging and folding; keys are made in the first run's own folder."""
    env = {**os.environ, "XDG_CONFIG_HOME": str(data.with_suffix(".keys"))}
    with episteme_server(data) as port:
        arguments = ["--subject", "isbn:{isbn}", "--predicate", "authors", "--object", "{authors}"]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "episteme", "import", str(file), *arguments, "--sign-per", "source"),
                *("--url", f"http://127.0.0.1:{port}", "-o", "jsonl"),
            ],
            check=True,
            capture_output=True,
            env=env,
        )
    shutil.rmtree(data)
    return float(json.loads(done.stdout)["claims_per_second"])


def synthetic_claims(path: Path) -> Path:
    """Rows of the same shape as the book claims, where those are not at hand."""
    lines = ["source,isbn,authors"]
    lines += [f"shop {row % 800},{row // 26:010d},Author number {row % 11}" for row in range(SYNTHETIC_ROWS)]
    path.write_text("\n".join(lines) + "\n")
    return path


def report(rows: dict[str, list[float]], path: Path | None) -> None:
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    print(machine)
    print(
        ", ".join(
            f"{name} {version(name)}" for name in ("uvicorn", "starlette", "rocksdict", "lmdb", "msgspec", "pynacl")
        )
    )
    print(f"\n{'':64} {'median':>9} {'lowest':>9} {'highest':>9}")
    for name, values in rows.items():
        print(f"{name:64} {statistics.median(values):9,.0f} {min(values):9,.0f} {max(values):9,.0f}")
    ours = statistics.median(rows["POST /v1/assertions, 64 connections /s"])
    bare = statistics.median(rows["bare Starlette POST, 64 connections /s"])
    print(f"\nPOST, verified and fsynced, against the bare POST: {ours / bare:.2f}")
    if path is not None:
        path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


def talk(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
