"""The Database API over HTTP: requests built and answers read, on one httpx2 client.

Every error is an EpistemeError of the class that the server's code names, so
that a program need not know whether it talks to a Node or to a Client.
"""

import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple, Self, TypeVar, Unpack

import httpx2
import msgspec

from episteme.api import Answer, Comparison, History, QueryOptions, StoredAssertion
from episteme.catalog import Listing, path_part, spelled
from episteme.config import DEFAULT_URL
from episteme.errors import (
    PROBLEMS,
    EpistemeError,
    FieldProblem,
    Internal,
    InvalidParameter,
    Malformed,
    NotReady,
    Overloaded,
    Unreachable,
)
from episteme.gate import envelope_line
from episteme.govern import Governing
from episteme.lookups import split
from episteme.parameters import asked_over_http, parse_hash
from episteme.receipts import IngestResult, Receipt
from episteme.status import StatusReport
from model import SignedEvent, SigningKey, kind_of

INGEST_LINES: Final = 1000  # a request of half a megabyte: the server verifies it in about 40 ms
INGEST_BYTES_MAX: Final = 8 * 1024 * 1024
INGEST_AHEAD: Final = 2  # batches that are made while one is on its way
TIMEOUT_S: Final = 60.0
CONNECT_TIMEOUT_S: Final = 5.0

Shape = TypeVar("Shape")


class _Problem(msgspec.Struct, frozen=True):
    """What is read of a problem document; a server may say more."""

    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()


class _Line(NamedTuple):
    """One item of an ingest: its number from 1, and its line or the refusal that it got here."""

    number: int
    data: bytes
    refusal: IngestResult | None


class Client(Governing):
    """A server, by its address.  Thread-safe.  Offers the Database API."""

    def __init__(self, url: str = DEFAULT_URL, *, key: SigningKey | None = None, timeout_s: float = TIMEOUT_S) -> None:
        """Nothing is sent yet; timeout_s bounds each request.

        Raises: InvalidParameter if url is not an http address.
        """
        self.key = key
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self.clock_ms = lambda: time.time_ns() // 1_000_000
        if not self.url.startswith(("http://", "https://")):
            raise InvalidParameter(f"{url!r} is not an address such as {DEFAULT_URL}")
        try:
            self._http = httpx2.Client(
                base_url=self.url, timeout=httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S), trust_env=False
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise InvalidParameter(f"{url!r} is not an address: {error}") from error

    def submit(self, signed: SignedEvent, *, wait_s: float | None = None) -> Receipt:
        """As Database.submit."""
        path = {"assertion": "/v1/assertions", "vote": "/v1/votes"}.get(kind_of(signed.event), "/v1/events")
        params = {} if wait_s is None else {"wait": _duration(wait_s)}
        return _read(self._send("POST", path, params, envelope_line(signed)), Receipt)

    def ingest(self, events: Iterable[SignedEvent | bytes]) -> Iterator[IngestResult]:
        """As Database.ingest.

        Batches are sent one after another, so that the log keeps the order of the iterable; while one is
        on its way the next ones are made, and no more of the iterable is held than those.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="ingest") as sender:
            sent: deque[Future[list[IngestResult]]] = deque()
            for batch in _batches(events):
                sent.append(sender.submit(self._send_batch, batch))
                if len(sent) > INGEST_AHEAD:
                    yield from sent.popleft().result()
            while sent:
                yield from sent.popleft().result()

    def query(self, subject: str, predicate: str | None = None, **options: Unpack[QueryOptions]) -> Answer:
        """As Database.query."""
        params = asked_over_http(subject, predicate, options)
        return _read(self._send("GET", "/v1/query", params), Answer)

    def compare(
        self, subject: str, predicate: str, lenses: Sequence[str] = (), **options: Unpack[QueryOptions]
    ) -> Comparison:
        """As Database.compare."""
        params = asked_over_http(subject, predicate, options) | _present(lenses=",".join(lenses) or None)
        return _read(self._send("GET", "/v1/compare", params), Comparison)

    def history(
        self, subject: str, predicate: str, *, after: int = -1, turns: int = 100, **options: Unpack[QueryOptions]
    ) -> History:
        """As Database.history."""
        params = asked_over_http(subject, predicate, options)
        del params["subject"]
        params |= _present(after=None if after < 0 else after, limit=turns)
        path = f"/v1/subjects/{path_part(subject)}/history"
        return _read(self._send("GET", path, params), History)

    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> StoredAssertion:
        """As Database.get."""
        params = _present(min_seq=min_seq, wait=None if wait_s is None else _duration(wait_s))
        path = f"/v1/assertions/{parse_hash(hash_hex).hex()}"
        return _read(self._send("GET", path, params), StoredAssertion)

    def look(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Shape:
        """As Lookups.look."""
        given, min_seq, wait_s = split(asked)
        path, params = listing.request(spelled(given))
        wait = _present(min_seq=min_seq, wait=None if wait_s is None else _duration(wait_s))
        return _read(self._send("GET", path, params | wait), listing.shape)

    def status(self) -> StatusReport:
        """As Database.status."""
        return _read(self._send("GET", "/v1/status", {}), StatusReport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, method: str, path: str, params: dict[str, str], body: bytes | None = None) -> bytes:
        """One request; the body of a good answer.

        A server that has too much to do says when to come back, and every request may be sent again:
        it is, until the time for it is over.
        Raises: EpistemeError.
        """
        give_up_s = time.monotonic() + self._timeout_s
        while True:
            try:
                response = self._http.request(method, path, params=params, content=body)
            except httpx2.TransportError as error:
                raise Unreachable(f"{self.url} does not answer: {error or type(error).__name__}") from error
            if response.status_code < httpx2.codes.BAD_REQUEST:
                return response.content
            refusal = _error_of(response)
            pause_s = (refusal.retry_after_s or 0) * random.uniform(0.5, 1.0)  # noqa: S311  (not for secrets)
            if not isinstance(refusal, Overloaded | NotReady) or not pause_s or time.monotonic() + pause_s > give_up_s:
                raise refusal
            time.sleep(pause_s)

    def _send_batch(self, batch: list[_Line]) -> list[IngestResult]:
        """Send what can be sent; the results of all, numbered as the caller counts."""
        sendable = [line for line in batch if line.data]
        answered = iter(self._send("POST", "/v1/ingest", {}, b"\n".join(line.data for line in sendable)).splitlines())
        results = []
        for line in batch:
            result = line.refusal or _read(next(answered), IngestResult)
            results.append(msgspec.structs.replace(result, line=line.number))
        return results


def _lines(events: Iterable[SignedEvent | bytes]) -> Iterator[_Line]:
    """Each item as one line, or with the reason why it cannot be one."""
    for number, event in enumerate(events, 1):
        try:
            # A line break within JSON is white space: an envelope on two lines is still one.
            data = event.strip().replace(b"\n", b" ") if isinstance(event, bytes) else envelope_line(event)
            if not data:
                raise Malformed("the line is blank")
        except EpistemeError as error:
            refusal = IngestResult(number, "refused", code=error.code, detail=error.detail, errors=error.errors)
            yield _Line(number, b"", refusal)
        else:
            yield _Line(number, data, None)


def _batches(events: Iterable[SignedEvent | bytes]) -> Iterator[list[_Line]]:
    """Lines in batches that a server takes, by count and by size."""
    batch: list[_Line] = []
    size = 0
    for line in _lines(events):
        if batch and (len(batch) == INGEST_LINES or size + len(line.data) > INGEST_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.data) + 1
    if batch:
        yield batch


def _error_of(response: httpx2.Response) -> EpistemeError:
    """The exception that a problem document names; Internal for an answer that is none."""
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
        row = PROBLEMS[problem.code]
    except (msgspec.DecodeError, KeyError):
        return Internal(f"HTTP {response.status_code} from {response.url.path}, and not a problem document")
    retry_after = response.headers.get("retry-after", "")
    return row.exception(
        problem.detail, errors=problem.errors, retry_after_s=int(retry_after) if retry_after.isdigit() else None
    )


def _read(data: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.DecodeError as error:
        raise Internal(f"the answer is not a {shape.__name__}: {error}") from error


def _present(**params: Any) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def _duration(wait_s: float) -> str:
    return f"{round(wait_s * 1000)}ms"
