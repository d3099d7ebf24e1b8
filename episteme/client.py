"""The Database API over HTTP: requests built and answers read, on one httpx2 client.

Every error is an EpistemeError of the class that the server's code names, so
that a program need not know whether it talks to a Node or to a Client.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from episteme.api import Answer, IngestResult, Receipt, StatusReport, StoredAssertion
from episteme.authoring import Authoring
from episteme.config import DEFAULT_URL
from episteme.errors import PROBLEMS, EpistemeError, FieldProblem, Internal, InvalidParameter, Unreachable
from model import SignedEvent, SigningKey, encode_envelope, kind_of

INGEST_LINES: Final = 500  # a request of a few hundred kilobytes: the server verifies it in about 20 ms
INGEST_BYTES_MAX: Final = 8 * 1024 * 1024
INGEST_IN_FLIGHT: Final = 4  # while one is on the disk and one is verified, two are on the way
TIMEOUT_S: Final = 60.0
CONNECT_TIMEOUT_S: Final = 5.0

Shape = TypeVar("Shape")


class _Problem(msgspec.Struct, frozen=True):
    """What is read of a problem document; a server may say more."""

    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()


class _IngestLine(IngestResult, frozen=True, omit_defaults=True):
    """A result line, or the summary that ends the answer."""

    line: int = 0
    summary: msgspec.Raw = msgspec.Raw(b"")


class Client(Authoring):
    """A server, by its address.  Thread-safe.  Offers the Database API."""

    def __init__(self, url: str = DEFAULT_URL, *, key: SigningKey | None = None, timeout_s: float = TIMEOUT_S) -> None:
        """Nothing is sent yet; timeout_s bounds each request.

        Raises: InvalidParameter if url is not an http address.
        """
        self.key = key
        self.url = url.rstrip("/")
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
        return _read(self._send("POST", path, params, encode_envelope(signed)), Receipt)

    def ingest(self, events: Iterable[SignedEvent | bytes]) -> Iterator[IngestResult]:
        """As Database.ingest; a few batches are in flight, and no more of the iterable is held than that."""
        done = 0
        with ThreadPoolExecutor(INGEST_IN_FLIGHT, thread_name_prefix="ingest") as threads:
            sent: deque[tuple[int, Future[list[IngestResult]]]] = deque()
            for batch in _batches(events):
                sent.append((done, threads.submit(self._send_batch, batch)))
                done += len(batch)
                if len(sent) > INGEST_IN_FLIGHT:
                    yield from _numbered(*sent.popleft())
            while sent:
                yield from _numbered(*sent.popleft())

    def query(
        self,
        subject: str,
        predicate: str,
        *,
        lens: str | None = None,
        source_class: Iterable[str] = (),
        lifecycle: Iterable[str] = (),
        min_seq: int | None = None,
        wait_s: float | None = None,
        full: bool = False,
        limit: int | None = None,
    ) -> Answer:
        """As Database.query."""
        params = _present(
            subject=subject,
            predicate=predicate,
            lens=lens,
            source_class=",".join(source_class) or None,
            lifecycle=",".join(lifecycle) or None,
            min_seq=min_seq,
            wait=None if wait_s is None else _duration(wait_s),
            max_age="0" if full else None,
            limit=limit,
        )
        return _read(self._send("GET", "/v1/query", params), Answer)

    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> StoredAssertion:
        """As Database.get."""
        params = _present(min_seq=min_seq, wait=None if wait_s is None else _duration(wait_s))
        # Quoted whole: whatever was typed is one path segment, and the server judges it.
        return _read(self._send("GET", f"/v1/assertions/{quote(hash_hex, safe='')}", params), StoredAssertion)

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
        """One request; the body of a good answer.  Raises: EpistemeError."""
        try:
            response = self._http.request(method, path, params=params, content=body)
        except httpx2.TransportError as error:
            raise Unreachable(f"{self.url} does not answer: {error or type(error).__name__}") from error
        if response.status_code >= httpx2.codes.BAD_REQUEST:
            raise _error_of(response)
        return response.content

    def _send_batch(self, batch: list[bytes]) -> list[IngestResult]:
        lines = self._send("POST", "/v1/ingest", {}, b"\n".join(batch)).splitlines()
        return [_read(line, _IngestLine) for line in lines[:-1]]


def _batches(events: Iterable[SignedEvent | bytes]) -> Iterator[list[bytes]]:
    """Lines in batches that a server takes, by count and by size."""
    lines = iter(event if isinstance(event, bytes) else encode_envelope(event) for event in events)
    while batch := list(islice(lines, INGEST_LINES)):
        size, start = 0, 0
        for index, line in enumerate(batch):
            if size + len(line) > INGEST_BYTES_MAX and index > start:
                yield batch[start:index]
                size, start = 0, index
            size += len(line) + 1
        yield batch[start:]


def _numbered(before: int, sent: "Future[list[IngestResult]]") -> Iterator[IngestResult]:
    """A batch's results, with their lines counted over the whole iterable."""
    for line in sent.result():
        yield IngestResult(before + line.line, line.hash, line.seq, line.status, line.code, line.detail, line.errors)


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
