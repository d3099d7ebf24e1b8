"""The owner's end of the channel to one worker: a thread that takes what comes, and answers from any thread.

Owns: what the worker has asked for and not been told.  Answers are sent by
whoever has them, as when the fsync that covers them has ended, and must not make
him wait: what the worker does not take at once is sent by a thread of its own.
Bounded by what one worker may have on its way.
"""

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Final, cast

from cortex import CortexError, FoldStopped
from episteme.errors import EpistemeError
from episteme.gate import Outcome
from episteme.node import Node
from episteme.receipts import Receipt
from episteme.server.workers.messages import (
    Audits,
    Await,
    Events,
    Outcomes,
    Reached,
    Refusal,
    Splitter,
    ToOwner,
    ToWorker,
    framed,
)
from episteme.server.workers.page import Page
from model import SignedEvent

_READ_BYTES: Final = 256 * 1024
_LOGGER: Final = logging.getLogger("episteme.server.workers")


class Desk:
    """Of one worker.  send is thread-safe."""

    def __init__(self, node: Node, page: Page, end: socket.socket, told: Callable[[ToOwner], None]) -> None:
        """told: called in the thread that runs this, with what is not about events."""
        self._node = node
        self._page = page
        self._end = end
        self._told = told
        self._metered = node.config.quota.enabled
        self._stop_awaiting: Callable[[], None] = _nothing
        self._outbox = Outbox(end)
        self.waits_since_s = inf  # for the worker to say something; inf: it has, and that is seen to

    def send(self, message: ToWorker) -> None:
        """Tell the worker; whether it still listens is another matter.  Does not block."""
        self._outbox.put(framed(message))

    def run(self) -> None:
        """Serve the worker until it has ended."""
        splitter: Splitter[ToOwner] = Splitter(cast("type[ToOwner]", ToOwner))
        try:
            while data := self._receive():
                for message in splitter.feed(data):
                    self._take(message)
        finally:
            self._stop_awaiting()
            self._outbox.close()
            self._end.close()

    def _receive(self) -> bytes:
        self.waits_since_s = time.monotonic()
        try:
            return self._end.recv(_READ_BYTES)
        except ConnectionError:  # killed with something unread
            return b""
        finally:
            self.waits_since_s = inf

    def _take(self, message: ToOwner) -> None:
        match message:
            case Events():
                self._append(message)
            case Await(seq):
                self._stop_awaiting()
                self._stop_awaiting = self._node.state.watermark.on_applied(seq, partial(self._reached, seq))
            case Audits():
                for payload in message.payloads:
                    self._node.auditor.take(payload)
                self._node.auditor.count_elsewhere(message.dropped_count, message.lost_count)
            case _:
                self._told(message)

    def _append(self, message: Events) -> None:
        events = message.events
        deliver = partial(self._deliver, message.batch, events)
        try:
            self._node.submit_verified(events, message.via, deliver, message.sizes)
        except EpistemeError as refusal:
            deliver([refusal] * len(events))

    def _deliver(self, batch: int, events: Sequence[SignedEvent], outcomes: Sequence[Outcome]) -> None:
        standings = []
        if self._metered:
            pairs = zip(events, outcomes, strict=True)
            standings = [self._node.standing(one) if isinstance(told, Receipt) else None for one, told in pairs]
        self._page.show_durable(self._node.log.durable_end)  # nobody is told of a position beyond the log's end
        self.send(Outcomes(batch, [_said(outcome) for outcome in outcomes], standings))

    def _reached(self, seq: int, error: CortexError | None) -> None:
        self._page.show_applied(self._node.state.watermark.seq)
        failure = None if error is None else str(error)
        self.send(Reached(seq, failure, isinstance(error, FoldStopped)))


class Outbox:
    """What is to be written to a socket, in order, by whoever has it; who would have to wait leaves it to a thread."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Condition()
        self._left: deque[memoryview] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, data: bytes) -> None:
        """Write it now, or soon."""
        with self._lock:
            if self._closed:
                return
            rest = memoryview(data)
            if not self._left:
                rest = rest[self._try(rest) :]
            if rest:
                self._left.append(rest)
                self._wake()

    def close(self) -> None:
        """Nobody reads any more."""
        with self._lock:
            self._closed = True
            self._left.clear()
            self._lock.notify()
        if self._thread is not None:
            self._end.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def _try(self, data: memoryview) -> int:
        """Write what can be without waiting; how much that was."""
        try:
            return self._end.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:  # the worker has ended, as the other thread is about to see
            self._closed = True
            return len(data)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="worker-outbox", daemon=True)
            self._thread.start()
        self._lock.notify()

    def _write(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._left or self._closed)
                if self._closed:
                    return
                first = self._left[0]
            try:
                self._end.sendall(first)
            except OSError:
                return
            with self._lock:
                if self._left:
                    self._left.popleft()


def _said(outcome: Outcome) -> int | Refusal:
    if isinstance(outcome, EpistemeError):
        return Refusal.of(outcome)
    return outcome.seq if outcome.status == "accepted" else -1 - outcome.seq


def _nothing() -> None:
    """Nothing is waited for."""
