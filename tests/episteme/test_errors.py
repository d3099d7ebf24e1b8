"""The table of problems: one class a code, and every inner error comes out as something a user can act on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import cortex.errors
import keycodec.errors
import model.errors
import stores.errors
import wal.errors
from episteme.errors import (
    EXIT_PARTLY,
    EXIT_VERIFICATION,
    PROBLEMS,
    EpistemeError,
    FieldProblem,
    Internal,
    Refused,
    translate,
)

PACKAGES = (cortex.errors, keycodec.errors, model.errors, stores.errors, wal.errors)
# Parents that nobody raises, and errors that only a fault of ours can let out: a user is told no more than that.
INTERNAL_CODES = {
    *("bad-key", "fold-error", "store-error", "store-map-full"),
    *("log-error", "future-seq", "truncated", "seq-conflict", "not-owner", "diverged"),
    *("bad-log-name", "unknown-log", "options-conflict", "invalid-batch"),
    # Of the domain models, which the database does not use.
    *("invalid-command", "key-conflict", "commands-busy", "invalid-query", "query-too-wide", "unsupported-event"),
    *("task-not-found", "task-conflict", "memory-not-found", "memory-conflict"),
}


def subclasses(cls: type[EpistemeError]) -> Iterator[type[EpistemeError]]:
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


def inner_errors() -> Iterator[type[Exception]]:
    """Every error class with a code of the packages below."""
    for package in PACKAGES:
        for thing in vars(package).values():
            if isinstance(thing, type) and issubclass(thing, Exception) and hasattr(thing, "code"):
                yield thing


def made(cls: type[Exception]) -> Exception:
    """An instance with a message that is easy to find again."""
    if issubclass(cls, wal.errors.Corrupt):
        return cls(Path("secret"), 0, "secret", "secret")
    if issubclass(cls, model.errors.InvalidField):
        return cls("/event/secret", "secret")
    if issubclass(cls, wal.errors.WrongLog):
        return cls(b"secret", b"another")
    if issubclass(cls, wal.errors.Diverged):
        return cls(7, "secret")
    if issubclass(cls, wal.errors.SeqConflict | wal.errors.FutureSeq | wal.errors.Truncated):
        return cls(7, 8)
    return cls("secret")


def test_every_code_stands_for_exactly_one_class_and_every_class_for_one_code() -> None:
    assert all(problem.exception.code == code for code, problem in PROBLEMS.items())
    listed = [problem.exception for problem in PROBLEMS.values()]
    assert len(set(listed)) == len(listed)
    with_own_code = {cls for cls in subclasses(EpistemeError) if "code" in vars(cls)}
    assert set(listed) == with_own_code
    assert set(subclasses(EpistemeError)) - with_own_code == {Refused}


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_every_row_says_what_to_do_and_fits_its_status(code: str) -> None:
    problem = PROBLEMS[code]
    assert problem.title
    assert problem.hint.endswith(".")
    assert 400 <= problem.status < 600
    assert problem.exit_code != EXIT_PARTLY  # what a whole command came to
    assert (problem.exit_code == EXIT_VERIFICATION) == (code in {"verification-failed", "bad-copy"})
    helps_to_send_again = problem.status in {404, 429} or problem.status >= 500
    assert issubclass(problem.exception, Refused) is not helps_to_send_again
    error = problem.exception("detail")
    assert (error.hint, str(error), error.detail, error.errors) == (problem.hint, "detail", "detail", ())


@pytest.mark.parametrize("cls", sorted(inner_errors(), key=repr), ids=repr)
def test_every_inner_error_is_in_the_table_or_known_to_be_internal(cls: type[Exception]) -> None:
    error = made(cls)
    translated = translate(error)
    if getattr(cls, "code", "") in INTERNAL_CODES:
        assert type(translated) is Internal
        assert "secret" not in str(translated)
        assert translated.errors == ()
        return
    assert type(translated) is not Internal
    assert PROBLEMS[translated.code].exception is type(translated)
    assert translated.__cause__ is error
    assert str(error) == translated.detail


def test_error_of_ours_is_left_as_it_is() -> None:
    error = Internal("as it is")
    assert translate(error) is error


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), OSError(5, "secret"), MemoryError()])
def test_unknown_error_is_internal_and_says_nothing_of_the_inside(error: Exception) -> None:
    translated = translate(error)
    assert type(translated) is Internal
    assert "secret" not in translated.detail + translated.hint
    assert translated.errors == ()


def test_error_that_calls_itself_internal_is_not_shown_either() -> None:
    class Odd(Exception):
        code = "internal"

    assert "secret" not in translate(Odd("secret")).detail


def test_pointer_of_an_invalid_field_is_kept() -> None:
    translated = translate(model.errors.InvalidField("/event/subject", "is empty"))
    assert translated.errors == (FieldProblem("/event/subject", "is empty"),)


@pytest.mark.parametrize("error", [wal.errors.LogBusy("full"), wal.errors.LogClosed("closing")])
def test_what_passes_by_itself_says_when_to_come_back(error: Exception) -> None:
    assert translate(error).retry_after_s


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (wal.errors.DiskFull("no space"), 507),
        (wal.errors.LogFailed("bad disk"), 503),
        (wal.errors.LogBusy("too much"), 503),
        (wal.errors.PayloadTooLarge("large"), 413),
        (wal.errors.Corrupt(Path("x"), 0, "a", "b"), 500),
        (stores.errors.StoreLocked("locked"), 500),
        (stores.errors.StoreFailed("failed"), 503),
        (cortex.errors.FoldStopped("stopped"), 503),
        (cortex.errors.WrongLog("other log"), 500),
    ],
)
def test_status_of_what_can_happen_on_a_disk(error: Exception, status: int) -> None:
    assert PROBLEMS[translate(error).code].status == status
