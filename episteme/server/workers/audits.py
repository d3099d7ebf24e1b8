"""The audits that a worker makes, on their way to the owner, and the owner's wait for those that it has not got.

Nobody who asks waits for an audit: what the channel does not take in time is
dropped, and counted.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

from episteme.audit.sending import Sending
from episteme.server.mailbox import post
from episteme.server.workers.channel import Channel
from episteme.server.workers.messages import Audits, Collect

UNSENT_BYTES_MAX: Final = 4 * 1024 * 1024  # thousands of audits: the owner takes some ten thousand a second
PART_BYTES: Final = 256 * 1024
COLLECT_S_MAX: Final = 1.0  # workers that do not answer in that time are not waited for


class AuditsOut:
    """In a worker.  put is thread-safe, the others are of the event loop."""

    def __init__(self) -> None:
        self.sending: Sending | None = None  # who makes them, and counts what is not taken
        self._channel: Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._held: list[bytes] = []
        self._held_bytes = 0

    def open(self, channel: Channel) -> None:
        """From now on they can be sent."""
        self._channel = channel
        self._loop = asyncio.get_running_loop()

    def put(self, payload: bytes) -> bool:
        """Send it soon; False if too much waits."""
        channel, loop = self._channel, self._loop
        if channel is None or loop is None:
            return False
        with self._lock:
            if self._held_bytes + channel.unsent_bytes > UNSENT_BYTES_MAX:
                return False
            self._held.append(payload)
            self._held_bytes += len(payload)
            is_first = len(self._held) == 1
        if is_first:
            post(loop, self.send)
        return True

    def send(self) -> None:
        """Send what is held, and what became of the others."""
        with self._lock:
            held, self._held, self._held_bytes = self._held, [], 0
        dropped, lost = (0, 0) if self.sending is None else self.sending.take_counts()
        if self._channel is None or not (held or dropped or lost):
            return
        for part in _parts(held) or [[]]:
            self._channel.send(Audits(part, dropped, lost))
            dropped = lost = 0


class Collecting:
    """In the owner: has all workers send what audits they have made.  Thread-safe."""

    def __init__(self, ask: Callable[[Collect], Iterable[int]]) -> None:
        """ask: tell every worker, and give the numbers of those."""
        self._ask = ask
        self._numbers = count()
        self._waiting: dict[int, set[int]] = {}  # by the number of a Collect: workers that have not answered
        self._answered = threading.Condition()

    def collect(self) -> None:
        """Return once all have, but after COLLECT_S_MAX at the latest; not in the event loop."""
        number = next(self._numbers)
        with self._answered:
            self._waiting[number] = set(self._ask(Collect(number)))
            self._answered.wait_for(lambda: not self._waiting[number], COLLECT_S_MAX)
            del self._waiting[number]

    def collected(self, worker: int, number: int) -> None:
        """A worker has."""
        with self._answered:
            self._waiting.get(number, set()).discard(worker)
            self._answered.notify_all()

    def ended(self, worker: int) -> None:
        """It has nothing any more."""
        with self._answered:
            for waiting in self._waiting.values():
                waiting.discard(worker)
            self._answered.notify_all()


def _parts(payloads: list[bytes]) -> list[list[bytes]]:
    found: list[list[bytes]] = []
    size = PART_BYTES
    for payload in payloads:
        if size + len(payload) > PART_BYTES:
            found.append([])
            size = 0
        found[-1].append(payload)
        size += len(payload)
    return found
