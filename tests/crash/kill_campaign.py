"""Kill -9 a real server at random moments while many writers post, restart it, and look for what is missing.

    python -m tests.crash.kill_campaign --kills 50 --writers 16 [--seed N]

After each kill the server is started again on the same folder; every hash that
was ever acknowledged must be there at its position, and what was sent without
an answer is sent again and must end up at one position.  At the end the counts
(VC, VW, posting lists) must equal a plain recount of the log, and the state
must equal a rebuild.  The suite runs a short version.
"""

import argparse
import http.client
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from model import Assertion, BooleanValue, SigningKey, Vote, encode_envelope, sign_event
from tests.support.recount import recount

START_S_MAX = 30.0


class Server:
    """A server process on a folder; port 0, so that the old socket is in nobody's way."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "episteme", "serve", "--data", str(data), "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.output = ""
        for line in self.process.stderr:
            self.output += line
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                return
        raise AssertionError(f"the server did not start:\n{self.output}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        assert self.process.stderr is not None
        self.output += self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(timeout=START_S_MAX)


class Writer(threading.Thread):
    """Posts claims, and votes on its own claims, until the connection breaks."""

    def __init__(self, port: int, number: int, round_number: int, acknowledged: dict[str, int], lock: threading.Lock):
        super().__init__(daemon=True)
        self.port, self.number, self.round_number = port, number, round_number
        self.acknowledged, self.lock = acknowledged, lock
        self.unanswered: bytes | None = None
        self.failure: str | None = None
        self.key = SigningKey(bytes([number + 1]) * 32)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        last_claim: tuple[str, str] | None = None
        try:
            for count in range(1_000_000):
                body = self._vote(*last_claim, count) if last_claim and count % 3 == 2 else self._claim(count)
                self.unanswered = body
                connection.request("POST", "/v1/events", body)
                response = connection.getresponse()
                receipt = msgspec.json.decode(response.read())
                if response.status not in (200, 202):
                    self.failure = f"{response.status} {receipt}"
                    return
                self.unanswered = None
                with self.lock:
                    self.acknowledged[receipt["hash"]] = receipt["seq"]
                if count % 3 != 2:
                    last_claim = (receipt["hash"], f"subject-{self.round_number}-{count % 5}")
        except (OSError, http.client.HTTPException, msgspec.DecodeError):
            return
        finally:
            connection.close()

    def _claim(self, count: int) -> bytes:
        event = Assertion(
            v=2,
            subject=f"subject-{self.round_number}-{count % 5}",
            predicate="is_so",
            object=BooleanValue(count % 2 == 0),
            confidence="0.5",
            source_class="expert",
            lifecycle="approved",
            timestamp=self.round_number * 10_000_000 + count,
            metadata={"writer": str(self.number)},  # or the others' claims would be co-signatures of one
        )
        return encode_envelope(sign_event(event, self.key))

    def _vote(self, hash_hex: str, subject: str, count: int) -> bytes:
        event = Vote(
            v=2,
            agent=self.key.agent_hex,
            timestamp=self.round_number * 10_000_000 + count,
            assertion=hash_hex,
            subject=subject,
            weight=f"0.{self.number % 9 + 1}",
        )
        return encode_envelope(sign_event(event, self.key))


def campaign(folder: Path, *, kills: int, writers: int, seed: int, alive_s: tuple[float, float]) -> dict[str, int]:
    """Run a campaign; AssertionError if anything is lost, moved or counted twice."""
    chance = random.Random(seed)
    data = folder / "data"
    acknowledged: dict[str, int] = {}
    lock = threading.Lock()
    for round_number in range(kills):
        server = Server(data)
        threads = [Writer(server.port, number, round_number, acknowledged, lock) for number in range(writers)]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(*alive_s))  # the moment of the kill is what is being tried
        assert server.end(signal.SIGKILL) == -signal.SIGKILL, server.output
        for thread in threads:
            thread.join(timeout=START_S_MAX)
        failures = [thread.failure for thread in threads if thread.failure]
        assert not failures, f"seed {seed}, round {round_number}: {failures[0]}"
        _resend(data, [thread.unanswered for thread in threads if thread.unanswered], acknowledged, seed)
    found = recount(data, folder / "rebuilt")
    missing = {h: seq for h, seq in acknowledged.items() if found.position_by_hash.get(h) != seq}
    assert not missing, f"seed {seed}: acknowledged, and not at its position: {list(missing.items())[:3]}"
    assert found.state_digest == found.rebuilt_digest, f"seed {seed}: the state is not the fold of its log"
    return {"kills": kills, "acknowledged": len(acknowledged), "events": found.cursor}


def _resend(data: Path, bodies: list[bytes], acknowledged: dict[str, int], seed: int) -> None:
    """Start again, send the unanswered once more, and stop gently: all must be there, nothing twice."""
    server = Server(data)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for body in bodies:
        receipts = []
        for _ in range(2):
            connection.request("POST", "/v1/events", body)
            response = connection.getresponse()
            receipts.append(msgspec.json.decode(response.read()))
            assert response.status in (200, 202), receipts
        assert receipts[1] == {**receipts[0], "status": "duplicate"}, f"seed {seed}: {receipts}"
        acknowledged[receipts[0]["hash"]] = receipts[0]["seq"]
    connection.close()
    assert server.end(signal.SIGTERM) == 0, server.output
    assert "Traceback" not in server.output, server.output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".kill-", dir=Path.cwd()) as folder:
        started = time.monotonic()
        found = campaign(
            Path(folder), kills=options.kills, writers=options.writers, seed=options.seed, alive_s=(0.05, 1.0)
        )
        print(f"seed {options.seed}: {found}, nothing lost; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
