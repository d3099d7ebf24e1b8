"""Every way to be refused: a class for each stable code, with what to do about it.

Source: docs/http.md, "Errors".
"""

from msgspec import Struct


class FieldProblem(Struct, frozen=True):
    """One field that is wrong: a JSON pointer into what was sent, and why."""

    pointer: str
    detail: str


class EpistemeError(Exception):
    """The parent of all that a user of Episteme can be told."""

    code = "internal"
    hint = "See the server's log for this request id."
    request_id: str | None = None  # of a server's refusal, where it said one

    def __init__(
        self,
        detail: str,
        *,
        errors: tuple[FieldProblem, ...] = (),
        retry_after_s: int | None = None,
        hint: str | None = None,
    ) -> None:
        """hint: where the one of the class is not what helps here."""
        super().__init__(detail)
        self.detail = detail
        if hint is not None:
            self.hint = hint
        self.errors = errors
        self.retry_after_s = retry_after_s


class Refused(EpistemeError):
    """The request is at fault; sending it again will not help."""


class Malformed(Refused):
    """The body is not what this endpoint reads at all."""

    code = "malformed"
    hint = "Send one JSON object in UTF-8: {event, signatures}."


class MalformedRequest(Refused):
    """What came is no request of HTTP/1.1, or one that two servers may read in two ways."""

    code = "malformed-request"
    hint = "Speak HTTP/1.1, without TLS, with one Host, and with one length or chunks."


class InvalidField(Refused):
    """A field breaks its rule."""

    code = "invalid-field"
    hint = "Mend the fields named in errors, sign again, send again."


class UnknownKind(Refused):
    """No such kind of event."""

    code = "unknown-kind"
    hint = "The kinds are listed in docs/format-events.md."


class InvalidSignature(Refused):
    """A signature does not verify over this content."""

    code = "invalid-signature"
    hint = "Sign 'episteme/{kind}/v2\\n' and the 32 bytes of the hash, over the canonical bytes of exactly this event."


class UnknownBundle(Refused):
    """A signature by a bundle that does not stand before the event."""

    code = "unknown-bundle"
    hint = "Write the bundle first, or in the same ingest on an earlier line; if it was refused, its reason says why."


class WrongAudience(Refused):
    """The event is meant for another database."""

    code = "wrong-audience"
    hint = "Send it to the database that its audience names."


class UnknownParameter(Refused):
    """A query parameter that this endpoint does not have."""

    code = "unknown-parameter"
    hint = "Check the spelling: an unknown name is never ignored."


class InvalidParameter(Refused):
    """A query parameter with a value that it cannot have."""

    code = "invalid-parameter"
    hint = "See docs/http.md, or --help, for what it takes."


class UnknownLens(Refused):
    """No such lens."""

    code = "unknown-lens"
    hint = "`episteme lenses` lists them, as does GET /v1/lenses."


class AsOfBeyond(Refused):
    """The moment asked about has not been folded yet, or has not come."""

    code = "as-of-beyond"
    hint = "Ask as of the position that the detail names, or an earlier one, or wait with min_seq."


class TooManyCandidates(Refused):
    """The pair has more claims than one full read may take."""

    code = "too-many-candidates"
    hint = "Narrow the question with source_class or lifecycle."


class TooLarge(Refused):
    """The body, or a line of it, is over the bound."""

    code = "too-large"
    hint = "Send less at once, or raise the bound in the server's settings."


class RequestTimeout(Refused):
    """The body did not come in time."""

    code = "request-timeout"
    hint = "Send the request faster, or less of it at once."


class UnsupportedMedia(Refused):
    """A content type or encoding that this endpoint does not read."""

    code = "unsupported-media"
    hint = "Send JSON, or NDJSON to /v1/ingest, plain or in gzip or zstd."


class NotFound(EpistemeError):
    """No such thing here."""

    code = "not-found"
    hint = "It may not be folded yet: ask with min_seq of your receipt."


class NoSuchPath(NotFound):
    """No such endpoint."""

    code = "no-such-path"
    hint = "The endpoints are listed in docs/http.md."


class MethodNotAllowed(Refused):
    """The endpoint does not answer this method."""

    code = "method-not-allowed"
    hint = "The Allow header names the methods."


class KeyRevoked(Refused):
    """A signer's key was revoked: what it signs has no effect any more."""

    code = "key-revoked"
    hint = "Sign with another key: this one speaks no more in this database."


class QuotaExceeded(EpistemeError):
    """A signer has too few tokens left in this hour.

    limit: how many it has in an hour; remaining: how many are left until retry_after_s.
    """

    code = "quota-exceeded"
    hint = "Send again after the time in Retry-After, or ask an operator for a higher limit."

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


class TokenRequired(Refused):
    """The server answers nobody without an API token."""

    code = "token-required"
    hint = (
        "Make one with `episteme token create LABEL --scope read`, write or admin, and send it as "
        "`Authorization: Bearer ...` (EPISTEME_TOKEN)."
    )


class InvalidToken(Refused):
    """The API token is unknown, revoked or expired."""

    code = "invalid-token"
    hint = "Check that it is whole; `episteme token list` tells what became of it."


class ScopeMissing(Refused):
    """The API token is good, and not for this."""

    code = "scope-missing"
    hint = "Use a token with the scope that the detail names, or make one: `episteme token create LABEL --scope ...`."


class WrongHost(Refused):
    """The request names a host that this server does not go by."""

    code = "wrong-host"
    hint = "Ask by the address that the server printed, or list the name in its setting allowed_hosts."


class WrongOrigin(Refused):
    """A web page of another origin makes a browser send what is more than a read."""

    code = "wrong-origin"
    hint = "List the page's origin in the server's setting cors_origins, if it may."


class HeadersTooLarge(Refused):
    """The request line and the headers are over the bound."""

    code = "headers-too-large"
    hint = "Send fewer or shorter headers, or a shorter query string."


class VerificationFailed(EpistemeError):
    """What was received is not what its hash or its signatures say."""

    code = "verification-failed"
    hint = "Do not rely on it: ask another way, and tell whoever runs the server."


class BadCopy(EpistemeError):
    """A backup or an export that is not as it was written."""

    code = "bad-copy"
    hint = "Do not rely on it: take another one, or make it anew; of an import or a restore nothing was made."


class EventsGone(Refused):
    """The log no longer has the position asked for."""

    code = "events-gone"
    hint = "Begin at the first position that the detail names, or at a backup."


class OperationRunning(Refused):
    """Work on the whole state is under way, and there is one such at a time."""

    code = "operation-running"
    hint = "Wait until it is done: GET /v1/admin/operations tells how far it is."


class NotApplied(EpistemeError):
    """The position asked for was not folded within the time allowed."""

    code = "not-applied"
    hint = "Ask again, or with a longer wait."


class Overloaded(EpistemeError):
    """Too much is waiting; the request was not looked at."""

    code = "overloaded"
    hint = "Send again after the time in Retry-After."


class NotReady(EpistemeError):
    """The database is still catching up with its log, or closing."""

    code = "not-ready"
    hint = "Send again shortly; /readyz tells how far it is."


class LogFailed(EpistemeError):
    """The log cannot be written; nothing was acknowledged."""

    code = "log-failed"
    hint = "See the server's log, mend the disk, restart."


class DiskFull(EpistemeError):
    """No room on the disk; nothing was acknowledged."""

    code = "disk-full"
    hint = "Make room on the disk of the data folder, then try again; a server that runs takes writes again by itself."


class FoldStopped(EpistemeError):
    """A fold failed; reads are as of where it stopped."""

    code = "fold-stopped"
    hint = "See the server's log; what was acknowledged is in the log and stays there."


class Damaged(EpistemeError):
    """Stored bytes are not as they were written."""

    code = "damaged"
    hint = "Run `episteme log verify` on the data folder."


class StateDamaged(EpistemeError):
    """The state cannot be opened, or does not fit its log; it can be made anew."""

    code = "state-damaged"
    hint = "It is made of the log: look at that with `episteme log verify DIR`, then run `episteme rebuild DIR`."


class CannotOpen(EpistemeError):
    """The data folder cannot be opened: in use, of another format, or not ours."""

    code = "cannot-open"
    hint = "Stop the process that has it, mend what is named, or name another."


class KeyProblem(EpistemeError):
    """A key file is missing, unreadable, or readable by others."""

    code = "key"
    hint = "`episteme keys list` shows the keys there are; `episteme keygen` makes one."


class InvalidSetting(EpistemeError):
    """A setting that does not exist, or with a value that it cannot have."""

    code = "invalid-setting"
    hint = "`episteme config list` says what there is and what each takes."


class Unreachable(EpistemeError):
    """The server does not answer."""

    code = "unreachable"
    hint = "Start it with `episteme serve`, or name it with --url."


class Internal(EpistemeError):
    """A fault of ours; the server's log has the rest."""

    code = "internal"
