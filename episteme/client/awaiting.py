"""AsyncClient: the Database API over HTTP for programs on asyncio, on one httpx2 client.

Method for method the same as Client, awaited.
"""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, Self, TypeVar

import httpx2

from episteme.acts import Awaiting, Steps
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
from episteme.keys import Key
from episteme.loglines import LogLine
from episteme.receipts import IngestResult
from episteme.verifying import check_line
from model import BUNDLE_EVENTS, Event, SignedEvent, SigningKey

Shape = TypeVar("Shape")
Events = Iterable[SignedEvent | bytes | str] | AsyncIterable[SignedEvent | bytes | str]


class AsyncClient(Calls, AdminActs, Awaiting):
    """A server, by its address; every method is awaited.  Of one event loop."""

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
        """As Client."""
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
            self._http = httpx2.AsyncClient(base_url=self.url, headers=setup.headers, verify=trusted, trust_env=False)
        except (httpx2.InvalidURL, ValueError) as error:
            raise InvalidParameter(f"{url!r} is not an address: {error}") from error

    @classmethod
    def from_env(cls, *, verify: bool = False, timeout_s: float = TIMEOUT_S) -> Self:
        """As Client.from_env."""
        return cls(url_from_env(), key=Key.from_env(), token=token_from_env(), verify=verify, timeout_s=timeout_s)

    async def carry_out(self, steps: Steps[Shape]) -> Shape:
        """As Awaiting.carry_out."""
        try:
            step = steps.send(None)
            while True:
                try:
                    said = await step
                except BaseException as error:  # the act may know what to do; what it does not take comes out of it
                    step = steps.throw(error)
                else:
                    step = steps.send(said)
        except StopIteration as done:
            found: Shape = done.value
            return found

    async def send(self, call: Call[Shape]) -> Shape:
        """As Client.send."""
        steps = exchange(call, self._patience, time.monotonic, random.random)
        told: Response | Lost | None = None
        try:
            while True:
                step = steps.send(told)
                told = await (self._fetch(step) if isinstance(step, Send) else asyncio.sleep(step.seconds))
        except StopIteration as done:
            found: Shape = done.value
        if self.verify and call.check is not None:
            await self.check(found, call.check)
        return found

    async def look(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Shape:
        """As Lookups.look."""
        return await self.send(listing_call(listing, asked))

    def ingest(
        self, events: Events, *, ordered: bool = True, in_flight: int = IN_FLIGHT
    ) -> AsyncGenerator[IngestResult, None]:
        """As Client.ingest, for iterables of both kinds.  Close it (contextlib.aclosing) where it is left early."""
        check_in_flight(in_flight)
        return self._ingest(events, 1 if ordered else in_flight, in_flight)

    def ingest_bundled(
        self,
        events: Iterable[Event] | AsyncIterable[Event],
        *,
        bundle_size: int = BUNDLE_EVENTS,
        ordered: bool = True,
        in_flight: int = IN_FLIGHT,
    ) -> AsyncGenerator[IngestResult, None]:
        """As Client.ingest_bundled, for iterables of both kinds.  Close it where it is left early."""
        bundling = Bundling(self._signer(), self.clock_ms, bundle_size)
        signed = _signed(bundling, events) if isinstance(events, AsyncIterable) else bundling.signed(events)
        return _results(bundling, self.ingest(signed, ordered=ordered, in_flight=in_flight))

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
    ) -> AsyncGenerator[LogLine, None]:
        """As Client.tail.  Close it (contextlib.aclosing) where it is left early."""
        named = {"subject": subject, "predicate": predicate, "kind": kind, "agent": agent}
        return self._tail(
            tail_steps(after, named, self._patience, time.monotonic, random.random, stall_s=stall_s if follow else None)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    async def _fetch(self, step: Send) -> Response | Lost:
        asked = transport.arguments(step.request, connect_s=self._patience.connect_s, silence_s=step.silence_s)
        try:
            async with asyncio.timeout(step.within_s), self._http.stream(**asked) as response:
                return transport.whole(response, await self._read(response))
        except (httpx2.RequestError, TimeoutError) as error:
            return transport.lost(error, self.url)

    async def _read(self, response: httpx2.Response) -> list[bytes]:
        """All of the body.  Raises: Internal."""
        chunks, size = [], 0
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            transport.check_size(size, ANSWER_BYTES_MAX)
        return chunks

    async def _ingest(self, events: Events, at_once: int, in_flight: int) -> AsyncGenerator[IngestResult, None]:
        places = asyncio.Semaphore(at_once)  # first come, first served: with one place the order is kept
        stopped = False

        async def deliver(batch: Batch) -> list[IngestResult]:
            nonlocal stopped
            async with places:
                if stopped:
                    return []  # nobody waits for it any more
                try:
                    return await self.send_batch(batch)
                except BaseException:
                    stopped = True
                    raise

        sent: deque[asyncio.Task[list[IngestResult]]] = deque()
        try:
            async for batch in _batches(events):
                if batch.needs_earlier and at_once > 1:
                    async for result in _drained(sent, 0):
                        yield result
                sent.append(asyncio.create_task(deliver(batch)))
                async for result in _drained(sent, in_flight - 1):
                    yield result
            async for result in _drained(sent, 0):
                yield result
        finally:
            for task in sent:
                task.cancel()
            await asyncio.gather(*sent, return_exceptions=True)

    async def _tail(self, steps: TailSteps) -> AsyncGenerator[LogLine, None]:
        """Do what the steps say."""
        told: Any = None
        async with AsyncExitStack() as stream:
            chunks: AsyncIterator[bytes] | None = None
            while True:
                try:
                    step = steps.send(told)
                except StopIteration:
                    return
                told = None
                if isinstance(step, Give):
                    for line in step.lines:
                        if self.verify:
                            await self.check(line, check_line)
                        yield line
                elif isinstance(step, More):
                    told = await self._next(chunks)
                elif isinstance(step, Ask):
                    told = await self.send(step.call)
                else:
                    await stream.aclose()
                    if isinstance(step, Open):
                        told, chunks = await self._open(step, stream)
                    else:
                        await asyncio.sleep(step.seconds)

    async def _open(self, step: Open, stream: AsyncExitStack) -> tuple[Response | Lost, AsyncIterator[bytes] | None]:
        asked = transport.arguments(step.request, connect_s=self._patience.connect_s, silence_s=step.silence_s)
        try:
            async with asyncio.timeout(step.silence_s):
                response = await stream.enter_async_context(self._http.stream(**asked))
                head = transport.whole(response, [])
                if is_good(head):
                    return head, response.aiter_bytes()
                return transport.whole(response, await self._read(response)), None
        except (httpx2.RequestError, TimeoutError) as error:
            return transport.lost(error, self.url), None

    async def _next(self, chunks: AsyncIterator[bytes] | None) -> bytes | Lost:
        assert chunks is not None, "more is asked for of a stream that is open"
        try:
            return await anext(chunks, b"")
        except httpx2.RequestError as error:
            return transport.lost(error, self.url)


async def _drained(sent: deque[asyncio.Task[list[IngestResult]]], count_max: int) -> AsyncGenerator[IngestResult, None]:
    """The results of the oldest batches, until no more than so many are left."""
    while len(sent) > count_max:
        for result in await sent[0]:
            yield result
        sent.popleft()


async def _batches(events: Events) -> AsyncIterator[Batch]:
    batcher = Batcher()
    if isinstance(events, AsyncIterable):
        async for event in events:
            full = batcher.add(event)
            if full is not None:
                yield full
    else:
        for event in events:
            full = batcher.add(event)
            if full is not None:
                yield full
    rest = batcher.rest()
    if rest is not None:
        yield rest


async def _signed(bundling: Bundling, events: AsyncIterable[Event]) -> AsyncIterator[SignedEvent]:
    async for event in events:
        for one in bundling.add(event):
            yield one
    for one in bundling.rest():
        yield one


async def _results(
    bundling: Bundling, results: AsyncGenerator[IngestResult, None]
) -> AsyncGenerator[IngestResult, None]:
    async with aclosing(results):
        async for result in results:
            told = bundling.take(result)
            if told is not None:
                yield told
