"""From the errors of inner packages, each with a code of its own, to what a user is told.

Node raises what comes of it, the server writes it as a problem document, the client reads it back from that.
"""

from typing import Final

from episteme.errors.kinds import EpistemeError, FieldProblem, Internal
from episteme.errors.table import PROBLEMS

# What the inner packages' codes mean to a user; a code not here and not in PROBLEMS is internal.
_INNER_CODES: Final = {
    "log-locked": "cannot-open",
    "store-locked": "cannot-open",
    "unsupported-format": "cannot-open",
    "wrong-log": "cannot-open",
    "fenced": "log-failed",
    "forked": "log-failed",
    "log-full": "log-failed",
    "out-of-handles": "overloaded",
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
    "store-torn": "state-damaged",
    "log-corrupt": "damaged",
    "unsupported-record": "damaged",
    "unsupported-value": "damaged",
}

# What a stranger is told of a fault on our side: never a path, an errno or a library's words.
_PUBLIC_DETAILS: Final = {
    "log-failed": "the log could not be written and takes no more until the server is restarted",
    "disk-full": "there is no room on the disk: nothing of it was written, and writes are taken again when there is",
    "fold-stopped": "the fold has stopped: reads are as of where it stopped",
    "damaged": "stored bytes are not as they were written",
    "state-damaged": "the state cannot be opened",
    "internal": "something went wrong inside the database",
}

RETRY_AFTER_S: Final = 1
_RETRY_AFTER_S: Final = {"overloaded": RETRY_AFTER_S, "not-ready": RETRY_AFTER_S, "disk-full": 5}  # people make room


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
    retry_after_s = _RETRY_AFTER_S.get(code)
    translated = problem.exception(str(error), errors=fields, retry_after_s=retry_after_s)
    translated.__cause__ = error
    return translated
