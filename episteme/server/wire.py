"""Between HTTP and the node: bodies with a bound, strict parameters, answers with positions."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope

from episteme.errors import (
    FieldProblem,
    InvalidParameter,
    Malformed,
    NotApplied,
    RequestTimeout,
    TooLarge,
    UnknownParameter,
    UnsupportedMedia,
)
from episteme.node import Node
from episteme.parameters import check_wait, parse_count, parse_duration_s
from episteme.server.compression import Unpacker, sent_coding
from episteme.server.mailbox import post
from episteme.server.room import Share

PARAMETERS_MAX: Final = 64  # of a query string, twice what any path takes: 32 KiB of them would take 18 ms to split
BODY_BEGAN: Final = "episteme.body-began"  # under this name in the scope: when the head was there, by the loop's clock
_encode = msgspec.json.Encoder().encode


async def read_body(
    scope: Scope, receive: Receive, bytes_max: int, timeout_s: float, share: Share | None = None
) -> bytes:
    """The whole body, unpacked.

    bytes_max: as it was sent, and unpacked.  share: of the memory for bodies.
    Raises: TooLarge as soon as that is known; Overloaded; RequestTimeout; UnsupportedMedia; Malformed.
    """
    unpacker: Unpacker | None = None
    for name, value in scope["headers"]:
        if name == b"content-length" and _length(value) > bytes_max:
            raise TooLarge(f"the body has {_length(value)} bytes; at most {bytes_max} are taken")
        if name == b"content-encoding" and (coding := sent_coding(value)) is not None:
            if unpacker is not None:
                raise UnsupportedMedia("the body has two content encodings; one is read")
            unpacker = Unpacker(coding, bytes_max)
    try:
        began_s = scope.get(BODY_BEGAN) or asyncio.get_running_loop().time()
        async with asyncio.timeout_at(began_s + timeout_s):
            return await _read_chunks(receive, bytes_max, unpacker, share)
    except TimeoutError as error:
        raise RequestTimeout(f"the body was not whole after {timeout_s:g} s") from error


def _length(content_length: bytes) -> int:
    """What a Content-Length says, which the protocol has read before: digits, as many as somebody likes."""
    digits = content_length.lstrip(b"0")
    return int(digits) if digits.isdigit() else 0


async def _read_chunks(receive: Receive, bytes_max: int, unpacker: Unpacker | None, share: Share | None) -> bytes:
    chunks: list[bytes] = []
    size = held = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("the connection was closed before the body was whole")
        data = message.get("body", b"")
        size += len(data)
        if size > bytes_max:
            raise TooLarge(f"the body has more than {bytes_max} bytes")
        for piece in (data,) if unpacker is None else unpacker.feed(data):
            held += len(piece)
            if share is not None:
                share.hold(held)
            chunks.append(piece)
            if unpacker is not None:
                await asyncio.sleep(0)  # let others have their turn between two pieces
        if not message.get("more_body", False):
            break
    if unpacker is not None:
        unpacker.finish()
    return b"".join(chunks)


def parameters(scope: Scope, allowed: Sequence[str]) -> dict[str, str]:
    """The query parameters.  Raises: UnknownParameter; InvalidParameter for one given twice."""
    query = scope["query_string"]
    return parameters_of(query, allowed, scope["path"]) if query else {}


def parameters_of(query: bytes, allowed: Collection[str], path: str) -> dict[str, str]:
    """As parameters, of a query string.  path: to be named in refusals."""
    found: dict[str, str] = {}
    pairs = query.decode("latin-1").split("&")
    if len(pairs) > PARAMETERS_MAX:
        raise InvalidParameter(f"there are more than {PARAMETERS_MAX} parameters")
    is_escaped = b"%" in query or b"+" in query or not query.isascii()
    for pair in pairs:
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if is_escaped:
            name, value = _unescaped(name), _unescaped(value)
        if is_escaped and not _is_text(name + value):
            shown = name if _is_text(name) else "the query string"
            raise InvalidParameter(f"{shown} is not UTF-8", errors=(FieldProblem(shown, "is not UTF-8"),))
        if name not in allowed:
            detail = f"{name[:80]!r} is not a parameter of {path}; there are {', '.join(allowed) or 'none'}"
            raise UnknownParameter(detail, errors=(FieldProblem(name[:80], "is not a parameter here"),))
        if name in found:
            raise InvalidParameter(f"{name} is given twice", errors=(FieldProblem(name, "is given twice"),))
        found[name] = value
    return found


def _unescaped(text: str) -> str:
    """A name or a value as a form would have it; bytes that are no UTF-8 become lone surrogates."""
    text = text.replace("+", " ")
    return unquote(text, errors="surrogateescape") if "%" in text else text


def _is_text(text: str) -> bool:
    """Whether the text came from whole UTF-8, with nothing escaped."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def wait_of(found: dict[str, str], node: Node) -> float | None:
    """The wait parameter in seconds, checked against its bound."""
    if "wait" not in found:
        return None
    wait_s = parse_duration_s("wait", found["wait"])
    check_wait(wait_s, node.config.wait_s_max)
    return wait_s


async def await_seq(node: Node, found: dict[str, str]) -> None:
    """Wait as min_seq and wait ask for.  Raises: NotApplied; InvalidParameter; FoldStopped and the like."""
    wait_s = wait_of(found, node)
    if "min_seq" not in found:
        return
    min_seq = parse_count("min_seq", found["min_seq"])
    if node.applied_seq >= min_seq:
        return
    if not await applied(node, min_seq, node.config.read_wait_s if wait_s is None else wait_s):
        detail = f"seq {min_seq} is not applied yet; the fold is at {node.applied_seq}"
        raise NotApplied(detail, retry_after_s=1)


async def applied(node: Node, seq: int, timeout_s: float) -> bool:
    """Wait, without a thread, until event seq is readable.  Raises: FoldStopped and the like."""
    loop = asyncio.get_running_loop()
    reached: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        post(loop, lambda: _settle(reached, error))

    cancel = node.state.watermark.on_applied(seq, tell)
    try:
        done, _ = await asyncio.wait([reached], timeout=timeout_s)
    finally:
        cancel()
    if not done:
        return False
    reached.result()
    return True


def answer(
    node: Node, body: Any, status: int = 200, *, read: bool = False, headers: dict[str, str] | None = None
) -> Response:
    """A JSON answer with the log's position, and for reads the fold's."""
    return raw_answer(node, _encode(body), status, read=read, headers=headers)


def raw_answer(
    node: Node,
    body: bytes,
    status: int = 200,
    *,
    read: bool = False,
    headers: dict[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """As answer, for a body that is bytes already."""
    return Response(body, status, {**(headers or {}), **positions(node, read=read)}, media_type)


def positions(node: Node, *, read: bool) -> dict[str, str]:
    """The log's end, and for reads how far the fold is."""
    found = {"Episteme-Seq": str(node.end_seq)}
    if read:
        found["Episteme-Applied"] = str(node.applied_seq)
    return found


def _settle(future: "asyncio.Future[None]", error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
