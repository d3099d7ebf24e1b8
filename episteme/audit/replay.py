"""The same question asked again as of the same position: is the answer the same?

What cannot be asked again is told, not raised: a lens of another version, a position that
the log no longer has, a question that is refused today.

Source: docs/audit.md, "Replay".
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from msgspec import Struct

from episteme.api import Answer
from episteme.audit.digest import answer_digest
from episteme.audit.shapes import Replayed
from episteme.errors import NotFound, Refused
from stores import QueryAudit, Reader

_PAST: Final = "as_of"  # how the position was asked for; it is known now

# Parameters as a query string has them, the position, and from when ages are counted in milliseconds since 1970
AskAgain = Callable[[Mapping[str, str], int, int], Answer]


class AuditDesk(Struct, frozen=True):
    """What reads need of the audit: its newest state, and a way to ask again."""

    reading: Callable[[], AbstractContextManager[Reader]]
    ask: AskAgain


def replay(query_id: str, audit: QueryAudit, applied_seq: int, ask: AskAgain) -> Replayed:
    """Ask an audit's question again.

    applied_seq: the last position that can be asked for.
    Raises: what ask raises that says nothing about the question, such as NotReady.
    """
    then = audit.answer_digest
    if audit.position > applied_seq:
        detail = f"the answer was of position {audit.position}, and the log is folded up to {applied_seq} only"
        return _told(query_id, then, detail)
    try:
        answer = ask(parameters_of(audit), audit.position, audit.now_ms)
    except (Refused, NotFound) as error:
        return _told(query_id, then, f"the question is refused: {error.detail}")
    now = answer_digest(answer)
    return Replayed(
        id=query_id,
        same=now == then,
        detail=None if now == then else _difference(audit, answer),
        digest_then=then.hex(),
        digest_now=now.hex(),
        answer=answer,
    )


def parameters_of(audit: QueryAudit) -> dict[str, str]:
    """The parameters that ask an audit's question, but for the position."""
    found = {name: text for name, text in audit.parameters if name != _PAST} | {"subject": audit.subject}
    return found if audit.predicate is None else found | {"predicate": audit.predicate}


def _told(query_id: str, then: bytes, detail: str) -> Replayed:
    return Replayed(id=query_id, same=False, detail=detail, digest_then=then.hex(), digest_now=None, answer=None)


def _difference(audit: QueryAudit, answer: Answer) -> str:
    """What is another, as far as the audit tells."""
    found = [
        f"{name} was {before}, now {after}"
        for name, before, after in (
            ("lens", f"{audit.lens}/{audit.lens_version}", f"{answer.lens.name}/{answer.lens.version}"),
            ("status", audit.status, answer.status),
            ("winner", _hex(audit.winner), answer.winner.hash if answer.winner else "none"),
            ("confidence", audit.confidence, answer.confidence),
            ("conflict", audit.conflict, answer.conflict),
        )
        if before != after
    ]
    return "; ".join(found) or "the answers differ in what an audit keeps no copy of"


def _hex(digest: bytes | None) -> str:
    return "none" if digest is None else digest.hex()
