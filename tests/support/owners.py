"""Processes that own what a test follows from its own process.  Orders in, answers out, as JSON lines."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

REPOSITORY: Final = Path(__file__).parents[2]


class Owner:
    """Such a process, as the test sees it."""

    def __init__(self, module: str) -> None:
        """module: of tests.support; it calls serve."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.support.{module}"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, order: str, *arguments: Any, **named: Any) -> Any:
        """Have an order done, and give the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([order, arguments, named]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the owner died at {order}"
        return json.loads(line)

    def kill(self) -> None:
        """End it at once, wherever it is."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def serve(thing: object) -> None:
    """Do what comes, until nothing comes: each order is a method's name."""
    for line in sys.stdin:
        order, given, named = json.loads(line)
        print(json.dumps(getattr(thing, order)(*given, **named)), flush=True)
    os._exit(0)
