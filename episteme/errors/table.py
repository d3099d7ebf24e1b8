"""The one table from code to HTTP status, exit code, exception and title.

Source: docs/http.md, "Errors"; docs/cli.md, "Exit codes".
"""

from typing import Final, NamedTuple

from episteme.errors import kinds

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOTHING: Final = 3
EXIT_VERIFICATION: Final = 4
EXIT_UNREACHABLE: Final = 5
EXIT_REFUSED: Final = 6
EXIT_PARTLY: Final = 7


class ProblemType(NamedTuple):
    """One row of the table."""

    status: int
    exit_code: int
    exception: type[kinds.EpistemeError]
    title: str

    @property
    def hint(self) -> str:
        """What to do about it."""
        return self.exception.hint


_ROWS: Final = (
    (400, EXIT_REFUSED, kinds.Malformed, "Malformed"),
    (400, EXIT_REFUSED, kinds.MalformedRequest, "Malformed request"),
    (422, EXIT_REFUSED, kinds.InvalidField, "Invalid field"),
    (422, EXIT_REFUSED, kinds.UnknownKind, "Unknown kind"),
    (422, EXIT_REFUSED, kinds.InvalidSignature, "Invalid signature"),
    (422, EXIT_REFUSED, kinds.UnknownBundle, "Unknown bundle"),
    (422, EXIT_REFUSED, kinds.WrongAudience, "Wrong audience"),
    (403, EXIT_REFUSED, kinds.KeyRevoked, "Key revoked"),
    (401, EXIT_REFUSED, kinds.TokenRequired, "Token required"),
    (401, EXIT_REFUSED, kinds.InvalidToken, "Invalid token"),
    (403, EXIT_REFUSED, kinds.ScopeMissing, "Scope missing"),
    (421, EXIT_REFUSED, kinds.WrongHost, "Wrong host"),
    (403, EXIT_REFUSED, kinds.WrongOrigin, "Wrong origin"),
    (431, EXIT_REFUSED, kinds.HeadersTooLarge, "Headers too large"),
    (410, EXIT_NOTHING, kinds.EventsGone, "Events gone"),
    (500, EXIT_VERIFICATION, kinds.VerificationFailed, "Verification failed"),
    (500, EXIT_VERIFICATION, kinds.BadCopy, "Bad copy"),
    (429, EXIT_REFUSED, kinds.QuotaExceeded, "Quota exceeded"),
    (400, EXIT_USAGE, kinds.UnknownParameter, "Unknown parameter"),
    (422, EXIT_USAGE, kinds.InvalidParameter, "Invalid parameter"),
    (422, EXIT_USAGE, kinds.UnknownLens, "Unknown lens"),
    (409, EXIT_REFUSED, kinds.AsOfBeyond, "As of a position that is not applied"),
    (422, EXIT_REFUSED, kinds.TooManyCandidates, "Too many candidates"),
    (413, EXIT_REFUSED, kinds.TooLarge, "Too large"),
    (408, EXIT_FAILED, kinds.RequestTimeout, "Request timeout"),
    (415, EXIT_REFUSED, kinds.UnsupportedMedia, "Unsupported media"),
    (404, EXIT_NOTHING, kinds.NotFound, "Not found"),
    (404, EXIT_NOTHING, kinds.NoSuchPath, "No such path"),
    (405, EXIT_REFUSED, kinds.MethodNotAllowed, "Method not allowed"),
    (409, EXIT_REFUSED, kinds.OperationRunning, "Operation running"),
    (503, EXIT_FAILED, kinds.NotApplied, "Not applied yet"),
    (503, EXIT_FAILED, kinds.Overloaded, "Overloaded"),
    (503, EXIT_FAILED, kinds.NotReady, "Not ready"),
    (503, EXIT_FAILED, kinds.LogFailed, "Log failed"),
    (507, EXIT_FAILED, kinds.DiskFull, "Disk full"),
    (503, EXIT_FAILED, kinds.FoldStopped, "Fold stopped"),
    (500, EXIT_FAILED, kinds.Damaged, "Damaged"),
    (500, EXIT_FAILED, kinds.StateDamaged, "State damaged"),
    (500, EXIT_FAILED, kinds.CannotOpen, "Cannot open"),
    (500, EXIT_FAILED, kinds.KeyProblem, "Key"),
    (500, EXIT_USAGE, kinds.InvalidSetting, "Invalid setting"),
    (503, EXIT_UNREACHABLE, kinds.Unreachable, "Unreachable"),
    (500, EXIT_FAILED, kinds.Internal, "Internal error"),
)

PROBLEMS: Final = {row[2].code: ProblemType(*row) for row in _ROWS}
