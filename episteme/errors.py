"""Every way to be refused: one table from code to HTTP status, exit code and exception.

Inner packages raise their own errors, each with a stable `code`; `translate`
turns any of them into the EpistemeError that Node raises, that the server
writes as a problem document, and that the client reads back from it.

Source: docs/http.md, "Errors".
"""

from typing import Final, NamedTuple

from msgspec import Struct


class FieldProblem(Struct, frozen=True):
    """One field that is wrong: a JSON pointer into what was sent, and why."""

    pointer: str
    detail: str


class EpistemeError(Exception):
    """The parent of all that a user of Episteme can be told."""

    code = "internal"

    def __init__(self, detail: str, *, errors: tuple[FieldProblem, ...] = (), retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s

    @property
    def hint(self) -> str:
        """What to do about it."""
        return PROBLEMS[self.code].hint


class Refused(EpistemeError):
    """The request is at fault; sending it again will not help."""


class Malformed(Refused):
    """The body is not what this endpoint reads at all."""

    code = "malformed"


class InvalidField(Refused):
    """A field breaks its rule."""

    code = "invalid-field"


class UnknownKind(Refused):
    """No such kind of event."""

    code = "unknown-kind"


class InvalidSignature(Refused):
    """A signature does not verify over this content."""

    code = "invalid-signature"


class WrongAudience(Refused):
    """The event is meant for another database."""

    code = "wrong-audience"


class UnknownParameter(Refused):
    """A query parameter that this endpoint does not have."""

    code = "unknown-parameter"


class InvalidParameter(Refused):
    """A query parameter with a value that it cannot have."""

    code = "invalid-parameter"


class UnknownLens(Refused):
    """No such lens."""

    code = "unknown-lens"


class AsOfBeyond(Refused):
    """The moment asked about has not been folded yet, or has not come."""

    code = "as-of-beyond"


class TooManyCandidates(Refused):
    """The pair has more claims than one full read may take."""

    code = "too-many-candidates"


class TooLarge(Refused):
    """The body, or a line of it, is over the bound."""

    code = "too-large"


class RequestTimeout(Refused):
    """The body did not come in time."""

    code = "request-timeout"


class UnsupportedMedia(Refused):
    """A content type or encoding that this endpoint does not read."""

    code = "unsupported-media"


class NotFound(EpistemeError):
    """No such thing here."""

    code = "not-found"


class NoSuchPath(NotFound):
    """No such endpoint."""

    code = "no-such-path"


class MethodNotAllowed(Refused):
    """The endpoint does not answer this method."""

    code = "method-not-allowed"


class KeyRevoked(Refused):
    """A signer's key was revoked: what it signs has no effect any more."""

    code = "key-revoked"


class QuotaExceeded(EpistemeError):
    """A signer has too few tokens left in this hour.

    limit: how many it has in an hour; remaining: how many are left until retry_after_s.
    """

    code = "quota-exceeded"

    def __init__(
        self,
        detail: str,
        *,
        errors: tuple[FieldProblem, ...] = (),
        retry_after_s: int | None = None,
        limit: int = 0,
        remaining: int = 0,
    ) -> None:
        super().__init__(detail, errors=errors, retry_after_s=retry_after_s)
        self.limit = limit
        self.remaining = remaining


class NotApplied(EpistemeError):
    """The position asked for was not folded within the time allowed."""

    code = "not-applied"


class Overloaded(EpistemeError):
    """Too much is waiting; the request was not looked at."""

    code = "overloaded"


class NotReady(EpistemeError):
    """The database is still catching up with its log, or closing."""

    code = "not-ready"


class LogFailed(EpistemeError):
    """The log cannot be written; nothing was acknowledged."""

    code = "log-failed"


class DiskFull(EpistemeError):
    """No space for the log; nothing was acknowledged."""

    code = "disk-full"


class FoldStopped(EpistemeError):
    """A fold failed; reads are as of where it stopped."""

    code = "fold-stopped"


class Damaged(EpistemeError):
    """Stored bytes are not as they were written."""

    code = "damaged"


class StateDamaged(EpistemeError):
    """The state cannot be opened, or does not fit its log; it can be made anew."""

    code = "state-damaged"


class CannotOpen(EpistemeError):
    """The data folder cannot be opened: in use, of another format, or not ours."""

    code = "cannot-open"


class KeyProblem(EpistemeError):
    """A key file is missing, unreadable, or readable by others."""

    code = "key"


class Unreachable(EpistemeError):
    """The server does not answer."""

    code = "unreachable"


class Internal(EpistemeError):
    """A fault of ours; the server's log has the rest."""

    code = "internal"


class ProblemType(NamedTuple):
    """One row of the table."""

    status: int
    exit_code: int
    exception: type[EpistemeError]
    title: str
    hint: str


EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOTHING: Final = 3
EXIT_VERIFICATION: Final = 4
EXIT_UNREACHABLE: Final = 5
EXIT_REFUSED: Final = 6
EXIT_PARTLY: Final = 7

_ROWS: Final[tuple[tuple[int, int, type[EpistemeError], str, str], ...]] = (
    (400, EXIT_REFUSED, Malformed, "Malformed", "Send one JSON object in UTF-8: {event, signatures}."),
    (422, EXIT_REFUSED, InvalidField, "Invalid field", "Mend the fields named in errors, sign again, send again."),
    (422, EXIT_REFUSED, UnknownKind, "Unknown kind", "The kinds are listed in docs/format-events.md."),
    (
        422,
        EXIT_REFUSED,
        InvalidSignature,
        "Invalid signature",
        "Sign 'episteme/{kind}/v2\\n' and the 32 bytes of the hash, over the canonical bytes of exactly this event.",
    ),
    (422, EXIT_REFUSED, WrongAudience, "Wrong audience", "Send it to the database that its audience names."),
    (403, EXIT_REFUSED, KeyRevoked, "Key revoked", "Sign with another key: this one speaks no more in this database."),
    (
        429,
        EXIT_REFUSED,
        QuotaExceeded,
        "Quota exceeded",
        "Send again after the time in Retry-After, or ask an operator for a higher limit.",
    ),
    (400, EXIT_USAGE, UnknownParameter, "Unknown parameter", "Check the spelling: an unknown name is never ignored."),
    (422, EXIT_USAGE, InvalidParameter, "Invalid parameter", "See docs/http.md, or --help, for what it takes."),
    (422, EXIT_USAGE, UnknownLens, "Unknown lens", "`episteme lenses` lists them, as does GET /v1/lenses."),
    (
        409,
        EXIT_REFUSED,
        AsOfBeyond,
        "As of a position that is not applied",
        "Ask as of the position that the detail names, or an earlier one, or wait with min_seq.",
    ),
    (
        422,
        EXIT_REFUSED,
        TooManyCandidates,
        "Too many candidates",
        "Narrow the question with source_class or lifecycle.",
    ),
    (413, EXIT_REFUSED, TooLarge, "Too large", "Send less at once, or raise the bound in the server's settings."),
    (408, EXIT_FAILED, RequestTimeout, "Request timeout", "Send the body faster, or less of it at once."),
    (415, EXIT_REFUSED, UnsupportedMedia, "Unsupported media", "Send JSON, or NDJSON to /v1/ingest, without encoding."),
    (404, EXIT_NOTHING, NotFound, "Not found", "It may not be folded yet: ask with min_seq of your receipt."),
    (404, EXIT_NOTHING, NoSuchPath, "No such path", "The endpoints are listed in docs/http.md."),
    (405, EXIT_REFUSED, MethodNotAllowed, "Method not allowed", "The Allow header names the methods."),
    (503, EXIT_FAILED, NotApplied, "Not applied yet", "Ask again, or with a longer wait."),
    (503, EXIT_FAILED, Overloaded, "Overloaded", "Send again after the time in Retry-After."),
    (503, EXIT_FAILED, NotReady, "Not ready", "Send again shortly; /readyz tells how far it is."),
    (503, EXIT_FAILED, LogFailed, "Log failed", "See the server's log, mend the disk, restart."),
    (507, EXIT_FAILED, DiskFull, "Disk full", "Make room, then restart the server."),
    (
        503,
        EXIT_FAILED,
        FoldStopped,
        "Fold stopped",
        "See the server's log; what was acknowledged is in the log and stays there.",
    ),
    (500, EXIT_FAILED, Damaged, "Damaged", "Run `episteme log verify` on the data folder."),
    (
        500,
        EXIT_FAILED,
        StateDamaged,
        "State damaged",
        "It is made of the log: look at that with `episteme log verify DIR`, then run `episteme rebuild DIR`.",
    ),
    (
        500,
        EXIT_FAILED,
        CannotOpen,
        "Cannot open",
        "Stop the process that has it, mend what is named, or name another.",
    ),
    (500, EXIT_FAILED, KeyProblem, "Key", "Make one with `episteme keygen`, or mend its mode with chmod 600."),
    (503, EXIT_UNREACHABLE, Unreachable, "Unreachable", "Start it with `episteme serve`, or name it with --url."),
    (500, EXIT_FAILED, Internal, "Internal error", "See the server's log for this request id."),
)

PROBLEMS: Final = {row[2].code: ProblemType(*row) for row in _ROWS}

# What the inner packages' codes mean to a user; a code not here and not in PROBLEMS is internal.
_INNER_CODES: Final = {
    "log-locked": "cannot-open",
    "store-locked": "cannot-open",
    "unsupported-format": "cannot-open",
    "wrong-log": "cannot-open",
    "fenced": "log-failed",
    "forked": "log-failed",
    "log-full": "log-failed",
    "fold-version": "cannot-open",
    "state-locked": "cannot-open",
    "bad-snapshot": "cannot-open",
    "events-gone": "cannot-open",
    "beyond-state": "not-applied",
    "too-many-watchers": "overloaded",
    "rebuilding": "not-ready",
    "log-closed": "not-ready",
    "store-closed": "not-ready",
    "fold-closed": "not-ready",
    "store-failed": "fold-stopped",
    "log-corrupt": "damaged",
    "unsupported-record": "damaged",
    "unsupported-value": "damaged",
}

# What a stranger is told of a fault on our side: never a path, an errno or a library's words.
_PUBLIC_DETAILS: Final = {
    "log-failed": "the log could not be written and takes no more until the server is restarted",
    "disk-full": "there was no room for the log or the state, and nothing more is taken until a restart",
    "fold-stopped": "the fold has stopped: reads are as of where it stopped",
    "damaged": "stored bytes are not as they were written",
    "state-damaged": "the state cannot be opened",
    "internal": "something went wrong inside the database",
}

RETRY_AFTER_S: Final = 1


def public_detail(error: EpistemeError) -> str:
    """The error's detail, without anything of the inside if the fault is ours."""
    return _PUBLIC_DETAILS.get(error.code, error.detail)


def translate(error: Exception) -> EpistemeError:
    """The EpistemeError that says what this error means to a user; one that is unknown becomes Internal."""
    if isinstance(error, EpistemeError):
        return error
    code = getattr(error, "code", "internal")
    code = _INNER_CODES.get(code, code)
    problem = PROBLEMS.get(code)
    if problem is None or code == "internal":
        return Internal("something went wrong inside the database")
    fields: tuple[FieldProblem, ...] = ()
    pointer, detail = getattr(error, "pointer", None), getattr(error, "detail", None)
    if isinstance(pointer, str) and isinstance(detail, str):
        fields = (FieldProblem(pointer, detail),)
    retry_after_s = RETRY_AFTER_S if code in ("overloaded", "not-ready") else None
    translated = problem.exception(str(error), errors=fields, retry_after_s=retry_after_s)
    translated.__cause__ = error
    return translated
