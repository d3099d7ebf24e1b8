"""POST handlers: parse, call the node, render."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from cortex import CortexError
from episteme.config import ServerConfig
from episteme.described import duration
from episteme.errors import EpistemeError, FieldProblem, InvalidField, Overloaded
from episteme.gate import Outcome, check_count, split_lines
from episteme.node import Node
from episteme.receipts import IngestResult, IngestSummary, IngestTotal, Receipt
from episteme.server.direct import BODY_BYTES_MAX, Hot, Turn, header_lines
from episteme.server.endpoints import NDJSON, Body, Endpoint, Handle, Link, Reply
from episteme.server.mailbox import Mailbox
from episteme.server.problems import rate_limit
from episteme.server.room import Room, Share
from episteme.server.wire import answer, applied, raw_answer, read_body, wait_of
from model import EVENT_TYPES, SIGNATURES_MAX, Envelope, EnvelopeSignature, SignedEvent, kind_of

# The endpoints that take one envelope, and the kind of event that each is for.
ENVELOPE_KINDS = {
    "/v1/assertions": "assertion",
    "/v1/assert": "assertion",
    "/v1/votes": "vote",
    "/v1/vote": "vote",
    "/v1/epochs": "epoch",
    "/v1/epoch": "epoch",
    "/v1/events": None,
}
_STATUS_BY_RECEIPT = {
    "accepted": HTTPStatus.ACCEPTED,
    "duplicate": HTTPStatus.OK,
    "applied": HTTPStatus.CREATED,
}
_WRITE_CODES: Final = (
    "malformed",
    "invalid-field",
    "unknown-kind",
    "invalid-signature",
    "unknown-bundle",
    "wrong-audience",
    "key-revoked",
    "quota-exceeded",
    "too-large",
    "unsupported-media",
    "request-timeout",
    "overloaded",
    "not-ready",
    "log-failed",
    "disk-full",
)
_WAIT: Final = duration("How long to wait until it is readable, 30s at most.")

Kind = TypeVar("Kind")
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


class EnvelopeOf(Struct, Generic[Kind], forbid_unknown_fields=True):
    """An event with 1 to 16 signatures, no signer twice."""

    event: Kind
    signatures: Annotated[list[EnvelopeSignature], Meta(min_length=1, max_length=SIGNATURES_MAX)]


class Writes:
    """The write endpoints of one node."""

    def __init__(self, node: Node, config: ServerConfig) -> None:
        self._node = node
        self._config = config
        self._ingesting = 0
        self._room = Room(config.bodies_bytes_max)
        self._mailbox = Mailbox()
        self._threads = ThreadPoolExecutor(config.ingest_threads, thread_name_prefix="ingest")

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            *(
                _envelope_endpoint(path, kind, partial(self.envelope, kind=kind))
                for path, kind in ENVELOPE_KINDS.items()
            ),
            Endpoint(
                path="/v1/ingest",
                method=HTTPMethod.POST,
                handle=self.ingest,
                summary="Write many envelopes of any kind, a line each.",
                replies=(Reply(IngestResult | IngestTotal, "A result for each line, then the totals.", 200, NDJSON),),
                scope="write",
                body=Body(Envelope, NDJSON),
                codes=_WRITE_CODES,
            ),
        ]

    def hot(self) -> list[Hot]:
        """What may be answered directly: one envelope, without wait."""
        return [
            _HotEnvelope(endpoint, ENVELOPE_KINDS[endpoint.path], self._node, self._mailbox)
            for endpoint in self.endpoints()
            if endpoint.path in ENVELOPE_KINDS
        ]

    def close(self) -> None:
        """Wait for ingests in flight."""
        self._threads.shutdown(wait=True)

    async def envelope(self, request: Request, found: dict[str, str], kind: str | None) -> Response:
        """One envelope, of any kind if none is named: answered after the fsync, or with wait once it is readable."""
        wait_s = wait_of(found, self._node)
        self._node.check_writable()
        with self._room.share() as share:
            signed, outcome = await self._written(request, kind, share)
        if isinstance(outcome, EpistemeError):
            raise outcome
        if wait_s is not None and outcome.status == "accepted" and await self._readable(outcome.seq, wait_s):
            outcome = Receipt(outcome.hash, outcome.seq, "applied")
        standing = self._node.standing(signed)
        headers = None if standing is None else rate_limit(*standing)
        return answer(self._node, outcome, _STATUS_BY_RECEIPT[outcome.status], headers=headers)

    async def _written(self, request: Request, kind: str | None, share: Share) -> tuple[SignedEvent, Outcome]:
        """The envelope in the body, and what became of it once it is on the disk."""
        limits = self._node.config
        bytes_max = limits.event_bytes_max if kind is None else limits.envelope_bytes_max
        body = await read_body(request.scope, request.receive, bytes_max, self._config.body_s_max, share)
        signed = self._node.admit(body, any_kind=kind is None)
        _check_kind(signed, kind)
        told, deliver = self._mailbox.expect()
        self._node.submit_later(signed, "http", deliver, body_bytes=len(body))
        return signed, await told

    async def _readable(self, seq: int, wait_s: float) -> bool:
        """Whether a durable event became readable in time; a fold that stops does not undo the write."""
        try:
            return await applied(self._node, seq, wait_s)
        except CortexError:
            return False

    async def ingest(self, request: Request, _found: dict[str, str]) -> Response:
        """Many envelopes, a line each; the whole body is read before the first answer."""
        self._node.check_writable()
        if self._ingesting >= self._config.ingest_bodies_max:
            raise Overloaded(f"{self._ingesting} ingests are running", retry_after_s=1)
        self._ingesting += 1
        try:
            config = self._config
            body = await read_body(request.scope, request.receive, config.ingest_bytes_max, config.body_s_max)
            loop = asyncio.get_running_loop()
            answered = await loop.run_in_executor(self._threads, self._ingest_body, body)
        finally:
            self._ingesting -= 1
        return raw_answer(self._node, answered, media_type=NDJSON)

    def _ingest_body(self, body: bytes) -> bytes:
        lines = list(split_lines(body))
        check_count(lines, self._config.ingest_lines_max)
        results = self._node.ingest_lines(lines, "ingest")
        return _encode_lines([*results, IngestTotal(summarize(results))])


class _HotEnvelope:
    """As Writes.envelope, of one path."""

    def __init__(self, endpoint: Endpoint, kind: str | None, node: Node, mailbox: Mailbox) -> None:
        self.endpoint = endpoint
        self.body_bytes_max = min(
            BODY_BYTES_MAX, node.config.event_bytes_max if kind is None else node.config.envelope_bytes_max
        )
        self._kind = kind
        self._node = node
        self._mailbox = mailbox

    def check_ready(self) -> None:
        """As Hot."""
        self._node.check_writable()

    def take(self, turn: Turn, _query: bytes, body: bytes, _agent: bytes | None) -> bool:
        """As Hot."""
        node, kind = self._node, self._kind
        node.check_writable()
        signed = node.admit(body, any_kind=kind is None)
        _check_kind(signed, kind)
        tell = partial(self._tell, turn, signed)
        deliver = partial(self._mailbox.put, asyncio.get_running_loop(), tell)
        node.submit_later(signed, "http", deliver, body_bytes=len(body))
        turn.wait()
        return True

    def _tell(self, turn: Turn, signed: SignedEvent, outcome: Outcome) -> None:
        try:
            if isinstance(outcome, EpistemeError):
                raise outcome
            standing = self._node.standing(signed)
        except Exception as error:
            turn.refuse(error)
            return
        own = b"" if standing is None else header_lines(rate_limit(*standing))
        own += b"episteme-seq: %d\r\n" % self._node.end_seq
        turn.tell(_STATUS_BY_RECEIPT[outcome.status], own, _encode(outcome))


def summarize(results: Sequence[IngestResult]) -> IngestSummary:
    """How many lines ended how."""
    statuses = [result.status for result in results]
    return IngestSummary(
        lines=len(results),
        accepted=statuses.count("accepted"),
        duplicate=statuses.count("duplicate"),
        refused=statuses.count("refused"),
    )


def _envelope_endpoint(path: str, kind: str | None, handle: Handle) -> Endpoint:
    return Endpoint(
        path=path,
        method=HTTPMethod.POST,
        handle=handle,
        summary=f"Write one {kind or 'event of any kind'}.",
        replies=(
            Reply(Receipt, "It is on the disk.", HTTPStatus.ACCEPTED, links=_links(kind)),
            Reply(Receipt, "Nothing new was said; seq is where it stood first.", HTTPStatus.OK, links=_links(kind)),
            Reply(Receipt, "With wait: it is on the disk and readable.", HTTPStatus.CREATED, links=_links(kind)),
        ),
        scope="write",
        parameters=("wait",),
        described={"wait": _WAIT},
        body=Body(_shape_of(kind)),
        codes=_WRITE_CODES,
    )


def _check_kind(signed: SignedEvent, kind: str | None) -> None:
    found = kind_of(signed.event)
    if kind is not None and found != kind:
        problem = FieldProblem("/event/kind", f"is {found!r}; this endpoint takes {kind!r}")
        raise InvalidField(f"{problem.pointer}: {problem.detail}", errors=(problem,))


def _links(kind: str | None) -> tuple[Link, ...]:
    """How to read back what was written."""
    paths = ["/v1/events/{hash}", *(["/v1/assertions/{hash}"] if kind == "assertion" else [])]
    return tuple(Link(path, {"hash": "hash", "min_seq": "seq"}) for path in paths)


def _shape_of(kind: str | None) -> type[Struct]:
    """An envelope that holds an event of that kind, as far as a shape can say so."""
    if kind is None:
        return Envelope
    event = next(one for one in EVENT_TYPES if one.__struct_config__.tag == kind)
    return EnvelopeOf[event]  # type: ignore[valid-type]
