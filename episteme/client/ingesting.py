"""Many events in batches: lines made of an iterable, one request for each batch, results in its order.  Pure.

A batch whose answer was lost is sent again whole: what the first sending
wrote is then answered `duplicate`, with the position that it got.

Source: docs/http.md, "Writes"; docs/python.md, "Many at once".
"""

import sys
from typing import Final, NamedTuple

import msgspec

from episteme.client.wire import Call, Incomplete, Request, Response
from episteme.errors import EpistemeError, Internal, Malformed, TooLarge
from episteme.gate import envelope_line
from episteme.parameters import invalid_parameter
from episteme.receipts import IngestResult, IngestTotal
from model import Bundle, SignedEvent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BATCH_LINES: Final = 1000  # half a megabyte: the server verifies it in about 40 ms
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024  # half of what a server takes, for it may be set to less
IN_FLIGHT: Final = 4  # batches: enough to hide the way there and back, and no more than a server reads at once
IN_FLIGHT_MAX: Final = 16  # as many as a server takes by default: more would be told to come back
COMPRESSED_BYTES_MIN: Final = 16 * 1024  # a batch smaller than that is on its way sooner as it is


class Line(NamedTuple):
    """One item: its number from 1, and what is sent for it, or why nothing is."""

    number: int
    data: bytes
    refusal: IngestResult | None


class Batch(NamedTuple):
    """Lines that go in one request.  needs_earlier: one of them is signed by a bundle that went before, if at all."""

    lines: list[Line]
    needs_earlier: bool = False

    @property
    def body(self) -> bytes:
        """What is sent; empty if every line was refused here."""
        return b"\n".join([line.data for line in self.lines if line.data])

    @property
    def refusals(self) -> list[IngestResult]:
        """What was refused here already."""
        return [line.refusal for line in self.lines if line.refusal is not None]


class Batcher:
    """Takes items one by one, and gives a batch whenever one is full.  Not thread-safe.

    A bundle and the events behind it go in one batch, be it a larger one, if they are not too many bytes.
    """

    def __init__(self, lines_max: int = BATCH_LINES, bytes_max: int = BATCH_BYTES_MAX) -> None:
        self._lines_max = lines_max
        self._room = lines_max  # of this batch: more where it begins with a large bundle
        self._bytes_max = bytes_max
        self._count = 0
        self._begin()

    def add(self, event: SignedEvent | bytes | str) -> Batch | None:
        """Take one; the batch before it, if it found no room there, or the one that it fills."""
        self._count += 1
        line = _line_of(self._count, event, self._bytes_max)
        full = None
        listed_count = _listed_count(event)
        whole_count = len(self._lines) + 1 + listed_count  # lines, once the events of a bundle are here too
        is_too_long = listed_count > 0 and whole_count > self._lines_max
        if self._lines and (is_too_long or self._bytes + len(line.data) > self._bytes_max):
            full = self.rest()
            whole_count = 1 + listed_count
        self._room = max(self._room, whole_count)
        self._note_bundles(event)
        self._lines.append(line)
        self._bytes += len(line.data) + 1
        if full is None and len(self._lines) >= self._room:
            full = self.rest()
        return full

    def rest(self) -> Batch | None:
        """What is left; None: nothing."""
        if not self._lines:
            return None
        batch = Batch(self._lines, self._needs_earlier)
        self._begin()
        return batch

    def _begin(self) -> None:
        self._lines: list[Line] = []
        self._bytes = 0
        self._room = self._lines_max
        self._bundles: set[bytes] = set()  # in this batch
        self._needs_earlier = False

    def _note_bundles(self, event: SignedEvent | bytes | str) -> None:
        if isinstance(event, SignedEvent):
            if isinstance(event.event, Bundle):
                self._bundles.add(event.digest)
            if any(one.bundle is not None and one.bundle not in self._bundles for one in event.signatures):
                self._needs_earlier = True


def check_in_flight(in_flight: int) -> None:
    """Refuse a number of batches that cannot be.  Raises: InvalidParameter."""
    if not 1 <= in_flight <= IN_FLIGHT_MAX:
        raise invalid_parameter("in_flight", f"is {in_flight}; it is 1 to {IN_FLIGHT_MAX}")


def ingest_call(batch: Batch, *, compressed: bool) -> Call[list[IngestResult]]:
    """The request for a batch, whose answer is one result for each line, numbered as the caller counts."""
    body, headers = batch.body, {"Content-Type": "application/x-ndjson"}
    if compressed and len(body) >= COMPRESSED_BYTES_MIN:
        body, headers = zstd.compress(body), headers | {"Content-Encoding": "zstd"}

    def read(response: Response) -> list[IngestResult]:
        return merge(batch, read_results(response.body, sum(1 for line in batch.lines if line.data)))

    return Call(request=Request("POST", "/v1/ingest", {}, body, headers), read=read)


def read_results(body: bytes, count: int) -> list[IngestResult]:
    """The results of so many lines.  Raises: Incomplete if the end is missing; Internal."""
    *lines, last = body.splitlines() or [b""]
    try:
        total = msgspec.json.decode(last, type=IngestTotal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Incomplete(f"the answer ended after {len(lines)} of {count} results") from error
    if len(lines) != count or total.summary.lines != count:
        raise Internal(f"the answer has {len(lines)} results for {count} lines")
    try:
        return [msgspec.json.decode(line, type=IngestResult) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Internal(f"the answer is not results line by line: {error}") from error


def merge(batch: Batch, answered: list[IngestResult]) -> list[IngestResult]:
    """A result for each line, those refused here in their places."""
    results = iter(answered)
    return [msgspec.structs.replace(line.refusal or next(results), line=line.number) for line in batch.lines]


def _listed_count(event: SignedEvent | bytes | str) -> int:
    """How many events a bundle signs; 0 for anything else."""
    return len(event.event.events) if isinstance(event, SignedEvent) and isinstance(event.event, Bundle) else 0


def _line_of(number: int, event: SignedEvent | bytes | str, bytes_max: int) -> Line:
    try:
        if isinstance(event, str):
            event = event.encode("utf-8", "surrogatepass")  # half a pair is refused with its line, as other bytes are
        # A line break within JSON is white space: an envelope on two lines is still one.
        data = event.strip().replace(b"\n", b" ") if isinstance(event, bytes) else envelope_line(event)
        if not data:
            raise Malformed("the line is blank")
        if len(data) > bytes_max:
            raise TooLarge(f"the line has {len(data)} bytes; at most {bytes_max} are sent at once")
    except EpistemeError as error:
        refusal = IngestResult(number, "refused", code=error.code, detail=error.detail, errors=error.errors)
        return Line(number, b"", refusal)
    return Line(number, data, None)
