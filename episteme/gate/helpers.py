"""Processes that verify signatures for this one, a chunk at a time.

Owns: the processes.  One that fails is ended, and another takes its place if it
had answered before; what it was asked is verified here meanwhile, so nothing
but time is lost, and of that no more than ANSWER_WAIT_S a chunk.
"""

import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, Final, cast

from episteme.errors import EpistemeError, translate
from episteme.gate.verification import verify_all
from model import SIGNATURE_BYTES, SignedEvent, not_verified, signed_message
from model.verifier import encode_request

HELPED_COUNT_MIN: Final = 3  # events for one of them; fewer are verified sooner than somebody else could be asked
ANSWER_WAIT_S = 5.0  # a chunk takes milliseconds, and the first a process that starts; one that stands still is ended
_CLOSE_WAIT_S: Final = 5.0
_LOGGER: Final = logging.getLogger(__name__)


class Helper:
    """One process.  For one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "model.verifier"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.pid = self._process.pid
        self.has_answered = False
        self._asked_count = 0
        self._deadline_s = 0.0  # by the monotonic clock
        self._failure: OSError | None = None
        self._source = cast("IO[bytes]", self._process.stdout)
        self._sink = cast("IO[bytes]", self._process.stdin)
        os.set_blocking(self._sink.fileno(), False)

    def ask(self, part: Sequence[SignedEvent]) -> None:
        """Begin to have the own signatures of these verified.  What goes wrong, the answer tells."""
        checks = [
            (signed_message(signed.event, signed.digest), one)
            for signed in part
            for one in signed.signatures
            if len(one.signature) == SIGNATURE_BYTES
        ]
        self._asked_count = len(checks)
        self._deadline_s = time.monotonic() + ANSWER_WAIT_S
        view = memoryview(encode_request(checks))
        try:
            while view:
                view = view[self._sink.write(view) or 0 :]
                if view:
                    self._await(self._sink, select.POLLOUT)
        except OSError as error:
            self._failure = error

    def answer(self) -> bytes:
        """A verdict for each signature that was asked about last.

        Raises: OSError if the process has ended, or stands still.
        """
        count, verdicts = self._asked_count, b""
        if self._failure is not None:
            raise self._failure
        while len(verdicts) < count:
            self._await(self._source, select.POLLIN)
            some = self._source.read(count - len(verdicts))
            if not some:
                raise BrokenPipeError("the process that verifies has ended")
            verdicts += some
        self.has_answered = True
        return verdicts

    def close(self) -> int:
        """End it, and give its exit code; it ends by itself when its input does.  A second call changes nothing."""
        self._sink.close()
        if self._failure is not None:
            self._process.kill()
        try:
            code = self._process.wait(_CLOSE_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._source.close()
        return code

    def _await(self, pipe: IO[bytes], event: int) -> None:
        """Raises: TimeoutError if the pipe is not ready in time."""
        ready = select.poll()
        ready.register(pipe, event)
        if not ready.poll(max(0.0, self._deadline_s - time.monotonic()) * 1000):
            self._failure = TimeoutError(f"the process that verifies has not answered in {ANSWER_WAIT_S} s")
            raise self._failure


class Helpers:
    """A few of them.  Thread-safe."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._open = True
        self._idle = deque(Helper() for _ in range(count))

    def verify_all(self, batch: Sequence[SignedEvent]) -> list[EpistemeError | None]:
        """As verification.verify_all."""
        helpers = self._take(len(batch) // HELPED_COUNT_MIN)
        if not helpers:
            return verify_all(batch)
        size = -(-len(batch) // len(helpers))
        parts = [(helper, batch[number * size : (number + 1) * size]) for number, helper in enumerate(helpers)]
        for helper, part in parts:
            helper.ask(part)
        refusals: list[EpistemeError | None] = []
        for helper, part in parts:
            refusals += self._answer_of(helper, part)
        return refusals

    def _answer_of(self, helper: Helper, part: Sequence[SignedEvent]) -> list[EpistemeError | None]:
        try:
            verdicts = iter(helper.answer())
        except OSError as error:
            self._replace(helper, error)
            return verify_all(part)
        self._give_back(helper)
        return [_refusal(signed, verdicts) for signed in part]

    def close(self) -> None:
        """End them; what is verified afterwards is verified here."""
        with self._lock:
            self._open = False
            idle, self._idle = self._idle, deque()
        for helper in idle:
            helper.close()

    def _take(self, count_max: int) -> list[Helper]:
        """Some that nobody asks now: those that rested last, whose caches are warm."""
        with self._lock:
            return [self._idle.pop() for _ in range(min(count_max, len(self._idle)))]

    def _give_back(self, helper: Helper) -> None:
        with self._lock:
            if self._open:
                self._idle.append(helper)
                return
        helper.close()

    def _replace(self, failed: Helper, error: OSError) -> None:
        failed.close()
        try:
            if not failed.has_answered:
                raise error
            self._give_back(Helper())
        except OSError as refusal:  # where one cannot run, or there is no room for another: one fewer from now on
            _LOGGER.warning("there is one process fewer that verifies signatures: %s", refusal)
        else:
            _LOGGER.warning("a process that verifies signatures was replaced: %s", error)


def _refusal(signed: SignedEvent, verdicts: Iterator[int]) -> EpistemeError | None:
    """Why an event is refused; takes the verdicts of its own signatures off the others."""
    refusal: EpistemeError | None = None
    for index, one in enumerate(signed.signatures):
        if len(one.signature) == SIGNATURE_BYTES and not next(verdicts) and refusal is None:
            refusal = translate(not_verified(index, one, signed.digest))
    return refusal
