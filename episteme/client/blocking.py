"""Client: the Database API over HTTP for callers that wait, on one httpx2 client.

Every error is an EpistemeError of the class that the server's code names, so
that a program need not know whether it talks to a Node or to a Client.
"""

import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self, TypeVar

import httpx2

from episteme.bundling import Bundling
from episteme.catalog import Listing
from episteme.client import transport
from episteme.client.administering import AdminActs
from episteme.client.calls import Calls, listing_call
from episteme.client.ingesting import IN_FLIGHT, Batch, Batcher, check_in_flight
from episteme.client.options import ANSWER_BYTES_MAX, Setup, token_from_env, url_from_env
from episteme.client.retrying import (
    ATTEMPTS_MAX,
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    TIMEOUT_S,
    Lost,
    Send,
    exchange,
)
from episteme.client.tailing import STALL_S, Ask, Give, More, Open, TailSteps, tail_steps
from episteme.client.trusted import TrustedBundles
from episteme.client.wire import Call, Response, is_good
from episteme.config import DEFAULT_URL
from episteme.errors import InvalidParameter
from episteme.govern import Governing
from episteme.keys import Key
from episteme.loglines import LogLine
from episteme.receipts import IngestResult
from episteme.verifying import check_line
from model import BUNDLE_EVENTS, Event, SignedEvent, SigningKey

Shape = TypeVar("Shape")


class Client(Calls, AdminActs, Governing):
    """A server, by its address.  Thread-safe.  Offers the Database API."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: SigningKey | None = None,
        token: str | None = None,
        verify: bool = False,
        timeout_s: float = TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        attempts: int = ATTEMPTS_MAX,
        compress: bool | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is sent yet.

        token: an API token.  verify: check hash and signatures of all that comes (docs/python.md).
        timeout_s: a whole call with its pauses; read_timeout_s: without a byte, besides what was asked to wait.
        attempts: how often a call is sent where the server does not say when to come back.
        compress: both ways; left out: unless the server is on this machine.  ssl_context: instead of certifi's roots.
        Warns where a token would go to another machine in the clear.
        Raises: InvalidParameter if url is not an http address; InvalidToken.
        """
        setup = Setup.of(url, token, timeout_s, connect_timeout_s, read_timeout_s, attempts, compress)
        self.key = key
        self.url = setup.address.url
        self.verify = verify
        self.clock_ms = lambda: time.time_ns() // 1_000_000
        self._patience = setup.patience
        self._compress = setup.compress
        self._trusted = TrustedBundles()
        try:
            trusted = transport.trust_of(setup.address, ssl_context)
            self._http = httpx2.Client(base_url=self.url, headers=setup.headers, verify=trusted, trust_env=False)
        except (httpx2.InvalidURL, ValueError) as error:
            raise InvalidParameter(f"{url!r} is not an address: {error}") from error

    @classmethod
    def from_env(cls, *, verify: bool = False, timeout_s: float = TIMEOUT_S) -> Self:
        """The server, token and key that the environment names: EPISTEME_URL, EPISTEME_TOKEN, and as Key.from_env.

        Raises: as Client; KeyProblem.
        """
        return cls(url_from_env(), key=Key.from_env(), token=token_from_env(), verify=verify, timeout_s=timeout_s)

    def send(self, call: Call[Shape]) -> Shape:
        """Send a call until it is answered; what its answer is read into.  Raises: EpistemeError."""
        steps = exchange(call, self._patience, time.monotonic, random.random)
        told: Response | Lost | None = None
        try:
            while True:
                step = steps.send(told)
                if isinstance(step, Send):
                    told = self._fetch(step)
                else:
                    time.sleep(step.seconds)
        except StopIteration as done:
            found: Shape = done.value
        if self.verify and call.check is not None:
            self.check(found, call.check)
        return found

    def look(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Shape:
        """As Lookups.look."""
        return self.send(listing_call(listing, asked))

    def ingest(
        self, events: Iterable[SignedEvent | bytes | str], *, ordered: bool = True, in_flight: int = IN_FLIGHT
    ) -> Iterator[IngestResult]:
        """As Database.ingest.

        No more of the iterable is held than in_flight batches and the one that is being made.  ordered: one batch
        after another, so that the log keeps the order of the iterable; else as many at once, and it need not.
        A batch whose answer was lost is sent again: what was written by then is answered `duplicate`.
        Raises, besides: InvalidParameter.  After an error nothing more is sent.
        """
        check_in_flight(in_flight)
        return self._ingest(events, 1 if ordered else in_flight, in_flight)

    def ingest_bundled(
        self,
        events: Iterable[Event],
        *,
        bundle_size: int = BUNDLE_EVENTS,
        ordered: bool = True,
        in_flight: int = IN_FLIGHT,
    ) -> Iterator[IngestResult]:
        """As Database.ingest_bundled; ordered, in_flight: as ingest."""
        bundling = Bundling(self._signer(), self.clock_ms, bundle_size)
        return bundling.results(self.ingest(bundling.signed(events), ordered=ordered, in_flight=in_flight))

    def tail(
        self,
        after: int = -1,
        *,
        follow: bool = True,
        subject: str | None = None,
        predicate: str | None = None,
        kind: str | None = None,
        agent: str | None = None,
        stall_s: float = STALL_S,
    ) -> Iterator[LogLine]:
        """As Database.tail, over as many connections as it takes.

        stall_s: how long the server may be silent before it is asked again.
        Raises, besides, while reading: Unreachable once nothing was heard for timeout_s; VerificationFailed where
        the server leaves out a line.
        """
        named = {"subject": subject, "predicate": predicate, "kind": kind, "agent": agent}
        return self._tail(
            tail_steps(after, named, self._patience, time.monotonic, random.random, stall_s=stall_s if follow else None)
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _fetch(self, step: Send) -> Response | Lost:
        give_up_s = time.monotonic() + step.within_s
        asked = transport.arguments(step.request, connect_s=self._patience.connect_s, silence_s=step.silence_s)
        try:
            with self._http.stream(**asked) as response:
                return transport.whole(response, self._read(response, give_up_s))
        except httpx2.RequestError as error:
            return transport.lost(error, self.url)

    def _read(self, response: httpx2.Response, give_up_s: float) -> list[bytes]:
        """All of the body.  Raises: ReadTimeout; Internal."""
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            transport.check_size(size, ANSWER_BYTES_MAX)
            if time.monotonic() > give_up_s:
                raise httpx2.ReadTimeout("the answer is not whole yet")
        return chunks

    def _ingest(
        self, events: Iterable[SignedEvent | bytes | str], at_once: int, in_flight: int
    ) -> Generator[IngestResult, None, None]:
        stopped = threading.Event()

        def deliver(batch: Batch) -> list[IngestResult]:
            if stopped.is_set():
                return []  # nobody waits for it any more
            try:
                return self.send_batch(batch)
            except BaseException:
                stopped.set()
                raise

        sent: deque[Future[list[IngestResult]]] = deque()
        with ThreadPoolExecutor(at_once, thread_name_prefix="ingest") as senders:
            try:
                for batch in _batches(events):
                    while sent and batch.needs_earlier and at_once > 1:
                        yield from sent.popleft().result()
                    sent.append(senders.submit(deliver, batch))
                    if len(sent) >= in_flight:
                        yield from sent.popleft().result()
                while sent:
                    yield from sent.popleft().result()
            finally:
                stopped.set()

    def _tail(self, steps: TailSteps) -> Generator[LogLine, None, None]:
        """Do what the steps say."""
        told: Any = None
        with ExitStack() as stream:
            chunks: Iterator[bytes] = iter(())
            while True:
                try:
                    step = steps.send(told)
                except StopIteration:
                    return
                told = None
                if isinstance(step, Give):
                    yield from self._checked(step.lines)
                elif isinstance(step, More):
                    told = self._next(chunks)
                elif isinstance(step, Ask):
                    told = self.send(step.call)
                else:
                    stream.close()
                    if isinstance(step, Open):
                        told, chunks = self._open(step, stream)
                    else:
                        time.sleep(step.seconds)

    def _open(self, step: Open, stream: ExitStack) -> tuple[Response | Lost, Iterator[bytes]]:
        asked = transport.arguments(step.request, connect_s=self._patience.connect_s, silence_s=step.silence_s)
        try:
            response = stream.enter_context(self._http.stream(**asked))
            head = transport.whole(response, [])
            if is_good(head):
                return head, response.iter_bytes()
            give_up_s = time.monotonic() + step.silence_s
            return transport.whole(response, self._read(response, give_up_s)), iter(())
        except httpx2.RequestError as error:
            return transport.lost(error, self.url), iter(())

    def _next(self, chunks: Iterator[bytes]) -> bytes | Lost:
        try:
            return next(chunks, b"")
        except httpx2.RequestError as error:
            return transport.lost(error, self.url)

    def _checked(self, lines: list[LogLine]) -> list[LogLine]:
        if self.verify:
            for line in lines:
                self.check(line, check_line)
        return lines


def _batches(events: Iterable[SignedEvent | bytes | str]) -> Iterator[Batch]:
    batcher = Batcher()
    for event in events:
        full = batcher.add(event)
        if full is not None:
            yield full
    rest = batcher.rest()
    if rest is not None:
        yield rest
