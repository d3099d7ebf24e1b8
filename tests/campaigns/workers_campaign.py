"""Workers and their owner are killed at random while clients write and read: nothing acknowledged is lost or moved.

    python -m tests.campaigns.workers_campaign --seconds 60 [--seed N] [--workers N]

A real server.  Writers post claims of their own, one at a time or some in an ingest, and send again what had no
answer; after each answer they ask, on another connection and so maybe of another worker, for what they have
written.  Meanwhile workers are killed or told to stop, and now and then the owner is, and is started anew.  In the
end every receipt is compared with the log.  The suite runs a short version.
"""

import argparse
import http.client
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.support.crews import worker_pids
from tests.support.envelopes import claim
from tests.support.http import Reply, connect, exchange, log_seq
from tests.support.servers import Server

_WRITERS: Final = 6
_INGEST_COUNT: Final = 40
_GONE: Final = (OSError, http.client.HTTPException)
_RETRY_S: Final = 0.01
_OWNER_IN: Final = 8  # of so many kills one is of the owner


class Campaign:
    """One server, whoever of it is alive."""

    def __init__(self, folder: Path, workers: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.receipts: dict[bytes, tuple[str, int]] = {}
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._data = folder / "data"
        self._arguments = ("--port", "0", "--workers", str(workers), "--no-audit")
        self._over = threading.Event()
        self.server = Server.start(self._data, self._arguments)

    def run(self, seconds: float) -> dict[str, Any]:
        """Write, read and kill for so long; what was seen."""
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(_WRITERS)]
        for thread in threads:
            thread.start()
        until_s = time.monotonic() + seconds
        while not self.wrong and (left_s := until_s - time.monotonic()) > 0:
            self._over.wait(min(left_s, self.random.uniform(0.05, 0.6)))
            self._kill_one()
        self._over.set()
        for thread in threads:
            thread.join()
        with self.server as server:
            self._check(server)
            ended = server.stop()
        assert ended.code == 0, ended.output
        assert "Traceback" not in ended.output, ended.output
        assert not self.wrong, self.wrong
        return {"receipts": len(self.receipts), **self.counts}

    def _kill_one(self) -> None:
        if self.random.randrange(_OWNER_IN) == 0:
            self.counts["owners killed"] += 1
            self.server.kill()
            self.server = Server.start(self._data, self._arguments)
        elif pids := worker_pids(self.server):
            number = self.random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
            self.counts[f"workers ended by {number.name}"] += 1
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(pids), number)

    def _write(self, number: int) -> None:
        turn = 0
        while not self._over.is_set() and not self.wrong:
            turn += 1
            count = 1 if turn % 5 else _INGEST_COUNT
            bodies = [claim(f"campaign {number}", timestamp=turn, confidence=f"0.{10 + one}") for one in range(count)]
            if (results := self._send(bodies)) is None:
                return
            for body, result in zip(bodies, results, strict=True):
                self.receipts[body] = (result["hash"], result["seq"])
            self._read_back(results[-1])

    def _send(self, bodies: list[bytes]) -> list[dict[str, Any]] | None:
        """The receipts, however often it takes; None if the campaign ends first."""
        path = "/v1/assertions" if len(bodies) == 1 else "/v1/ingest"
        while not self.wrong:
            reply = self._ask("POST", path, b"\n".join(bodies))
            if reply is None or reply.status == 503:
                if self._over.is_set():
                    return None
                continue
            if reply.status not in (200, 202):
                self.wrong.append(f"a write was answered {reply.status} {reply.body!r}")
                return None
            return reply.lines[: len(bodies)]
        return None

    def _read_back(self, receipt: dict[str, Any]) -> None:
        reply = self._ask("GET", f"/v1/assertions/{receipt['hash']}?min_seq={receipt['seq']}&wait=5s")
        if reply is None or reply.status == 503:
            self.counts["reads without an answer"] += 1
        elif reply.status != 200 or reply.json()["seq"] != receipt["seq"]:
            self.wrong.append(f"{receipt} was read back as {reply.status} {reply.body!r}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Reply | None:
        """None if the connection was lost."""
        try:
            connection = connect(self.server.url)
            try:
                return exchange(connection, method, path, body)
            finally:
                connection.close()
        except _GONE:
            self.counts["connections lost"] += 1
            self._over.wait(_RETRY_S)
            return None

    def _check(self, server: Server) -> None:
        """Each receipt is what the log says, and no position has two."""
        assert len({seq for _, seq in self.receipts.values()}) == len(self.receipts)
        assert log_seq(server.url) >= max(seq for _, seq in self.receipts.values())
        bodies = list(self.receipts)
        for start in range(0, len(bodies), 1000):
            some = bodies[start : start + 1000]
            connection = connect(server.url)
            results = exchange(connection, "POST", "/v1/ingest", b"\n".join(some)).lines[:-1]
            connection.close()
            for body, result in zip(some, results, strict=True):
                assert result["status"] == "duplicate", result
                assert (result["hash"], result["seq"]) == self.receipts[body]


def campaign(folder: Path, *, seconds: float, seed: int, workers: int = 2) -> dict[str, Any]:
    """Run it; what was seen."""
    return Campaign(folder, workers, seed).run(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(campaign(Path(folder), **vars(options))))


if __name__ == "__main__":
    main()
