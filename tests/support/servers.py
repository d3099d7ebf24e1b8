"""Real servers in processes of their own, on a free port of the loopback address.

Nothing here sleeps: a start is over when the server has said where it listens
and has answered once, a stop when the process has ended.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

from tests.support.http import call

WAIT_S: Final = 10.0  # no test waits that long unless it fails
LISTENING: Final = re.compile(r"listening on (http://[^\s\"]+)")  # a line for people, or in one of JSON


class Ended(NamedTuple):
    """How a process ended, and all that it said."""

    code: int
    output: str


def environment(config_home: Path, **more: str) -> dict[str, str]:
    """This process's environment with keys kept in config_home and no settings of the person at the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EPISTEME_")}
    return kept | {"XDG_CONFIG_HOME": str(config_home), "COLUMNS": "200"} | more


class Server:
    """`episteme serve` on one data folder."""

    def __init__(
        self,
        data: Path,
        arguments: Sequence[str] = ("--port", "0"),
        *,
        environ: Mapping[str, str] | None = None,
        module: str = "episteme",
    ) -> None:
        """Start the process; it need not listen yet, nor ever.  module: the program, if not the one that is served."""
        self.data = data
        self.url = ""
        self._said: list[str] = []
        self._listening: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--data", str(data), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(data.parent / "config", **(environ or {})),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, data: Path, arguments: Sequence[str] = ("--port", "0"), *, module: str = "episteme") -> Self:
        """A server that has answered its first request."""
        server = cls(data, arguments, module=module)
        server.wait_listening()
        assert call(server.url, "GET", "/livez").status == 200
        return server

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """All that it has said so far."""
        return "".join(self._said)

    def comes_up(self) -> bool:
        """Whether it listens; False if it ends before that."""
        self.url = self._listening.get(timeout=WAIT_S)
        return bool(self.url)

    def wait_listening(self) -> None:
        """Return once the address is known."""
        assert self.comes_up(), f"the server did not start:\n{self.output}"

    def signal(self, number: int) -> None:
        """Send a signal, and do not wait for what comes of it."""
        self._process.send_signal(number)

    def wait(self) -> Ended:
        """How it ended; one that does not end is killed and fails the test."""
        try:
            self._process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"the server did not end within {WAIT_S} s:\n{self.output}") from None
        finally:
            code = self._process.wait()
            self._reader.join(WAIT_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
        return Ended(code, self.output)

    def stop(self) -> Ended:
        """SIGTERM, and how it ended."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> Ended:
        """SIGKILL, and how it ended."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line)
            if found := LISTENING.search(line):
                self._listening.put(found[1])
        self._listening.put("")


@contextmanager
def shared(folder: Path, *arguments: str) -> Iterator[Server]:
    """A server for many tests, each of which has subjects of its own; it must end as a server should."""
    with Server.start(folder / "data", ("--port", "0", *arguments)) as server:
        yield server
        ended = server.stop()
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output, ended.output
