"""ETags: the same for as long as an answer says the same, whatever position it says it for.

All are weak but that of one assertion: two bodies of one tag may differ in the
position that they are true for, and in the id of their audit.

Source: RFC 9110, sections 8.8 and 13.1.2; docs/http.md, "Caching".
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from blake3 import blake3
from starlette.requests import Request
from starlette.responses import Response

from episteme.api import Answer, Comparison, History
from episteme.node import Node
from episteme.server.endpoints import JSON
from episteme.server.wire import positions, raw_answer
from episteme.shapes import AgentReport, Ballot, Impact, Lineage, Page, SubjectReport
from episteme.status import FoldsReport

REVALIDATED: Final = "no-cache"  # keep it, and ask before each use
NEVER_CHANGES: Final = "private, max-age=31536000, immutable"
NEVER_KEPT: Final = "no-store"

_DIGEST_BYTES: Final = 16
_WITH_POSITION: Final = (AgentReport, Ballot, FoldsReport, History, Impact, Lineage, Page, SubjectReport)
_encode = msgspec.json.Encoder().encode


def etag_of(told: Any) -> str:
    """The weak tag of an answer."""
    return weak_tag(_encode(_content_of(told)))


def tag_of_answer(answer: Answer, body: bytes) -> str:
    """The weak tag of an answer that is at hand as JSON: of all but its position and its audit's id.

    No claim can hold the bytes that are looked for: a quotation mark
    inside a text is escaped, and what is inside a claim has no field of these names with a number or null.
    """
    head, _, rest = body.partition(b'"seq":%d,"as_of":' % answer.seq)
    audit_id = b"null" if answer.audit_id is None else b'"%s"' % answer.audit_id.encode()
    middle, _, tail = rest.partition(b'"audit_id":' + audit_id)
    return weak_tag(b"\0".join((head, middle, tail)))


def weak_tag(content: bytes) -> str:
    """The weak tag of what is sent as these bytes."""
    return f'W/"{blake3(content).digest(_DIGEST_BYTES).hex()}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether If-None-Match names this tag, or any; weak and strong are one there."""
    named = [tag.strip().removeprefix("W/") for tag in ",".join(request.headers.getlist("if-none-match")).split(",")]
    return "*" in named or etag.removeprefix("W/") in named


def tagged(
    node: Node, request: Request, body: bytes, etag: str, *, cache: str = REVALIDATED, media_type: str = JSON
) -> Response:
    """The body with its tag; or 304 without it for who has it already."""
    headers = {"ETag": etag, "Cache-Control": cache}
    if is_known(request, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers | positions(node, read=True))
    return raw_answer(node, body, read=True, headers=headers, media_type=media_type)


def _content_of(told: Any) -> Any:
    """What two answers that say the same have in common."""
    if isinstance(told, Answer):
        return msgspec.structs.replace(told, seq=0, audit_id=None)
    if isinstance(told, Comparison):
        return msgspec.structs.replace(told, seq=0, answers=[_content_of(one) for one in told.answers])
    if isinstance(told, _WITH_POSITION):
        return msgspec.structs.replace(told, seq=0)
    return told
