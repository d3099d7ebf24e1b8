"""What may be asked: parameters from the outside, checked and turned into a question."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from episteme.errors import FieldProblem, InvalidParameter
from episteme.lenses import DEFAULT_LENS, lens_named
from episteme.query import LIMIT_DEFAULT, LIMIT_MAX, Question
from model import LIFECYCLES, PREDICATE_BYTES_MAX, SOURCE_CLASSES, SUBJECT_BYTES_MAX, FieldRule, check_form, check_label

Name = TypeVar("Name", bound=str)

_HASH = re.compile(r"[0-9a-f]{64}")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m)?")
_SECONDS_BY_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def make_question(
    subject: str,
    predicate: str,
    *,
    lens: str | None = None,
    source_class: Iterable[str] = (),
    lifecycle: Iterable[str] = (),
    full: bool = False,
    limit: int | None = None,
) -> Question:
    """A question with every part checked.

    Raises: InvalidParameter, naming the part; UnknownLens.
    """
    check_pair(subject, predicate)
    if limit is not None and not 1 <= limit <= LIMIT_MAX:
        raise invalid_parameter("limit", f"is {limit}; it is 1 to {LIMIT_MAX}")
    return Question(
        subject=subject,
        predicate=predicate,
        lens=lens_named(DEFAULT_LENS if lens is None else lens).name,
        source_class=_chosen("source_class", source_class, SOURCE_CLASSES),
        lifecycle=_chosen("lifecycle", lifecycle, LIFECYCLES),
        full=full,
        limit=LIMIT_DEFAULT if limit is None else limit,
    )


def check_pair(subject: str, predicate: str) -> None:
    """Refuse a subject or a predicate that no claim can have.  Raises: InvalidParameter."""
    _check_label("subject", subject, SUBJECT_BYTES_MAX)
    _check_label("predicate", predicate, PREDICATE_BYTES_MAX)


def parse_hash(text: str) -> bytes:
    """A hash from its hex digits.  Raises: InvalidParameter."""
    if not _HASH.fullmatch(text):
        raise invalid_parameter("hash", "is not 64 lower-case hex digits")
    return bytes.fromhex(text)


def parse_duration_s(name: str, text: str) -> float:
    """Seconds from '2s', '500ms', '1m' or '2'.  Raises: InvalidParameter."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise invalid_parameter(name, f"is {text[:40]!r}; write 2s, 500ms or 1m")
    return float(match[1]) * _SECONDS_BY_UNIT[match[2]]


def parse_count(name: str, text: str) -> int:
    """A whole number of 0 or more.  Raises: InvalidParameter."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid_parameter(name, f"is {text[:40]!r}; it is a whole number of 0 or more")
    return int(text)


def check_wait(wait_s: float, wait_s_max: float) -> None:
    """Refuse a wait that is negative or over the bound.  Raises: InvalidParameter."""
    if not 0 <= wait_s <= wait_s_max:
        raise invalid_parameter("wait", f"is {wait_s} s; it is 0 to {wait_s_max:g} s")


def invalid_parameter(name: str, detail: str) -> InvalidParameter:
    """The error for one parameter."""
    return InvalidParameter(f"{name} {detail}", errors=(FieldProblem(name, detail),))


def _check_label(name: str, text: str, bytes_max: int) -> None:
    try:
        check_label(name, text, bytes_max)
        check_form(name, text)
    except FieldRule as rule:
        raise invalid_parameter(name, rule.detail) from rule


def _chosen(name: str, asked: Iterable[str], known: Sequence[Name]) -> tuple[Name, ...]:
    """The known names that were asked for, in their own order."""
    wanted = set(asked)
    unknown = wanted.difference(known)
    if unknown:
        raise invalid_parameter(name, f"has {min(unknown)[:40]!r}; there are {', '.join(known)}")
    return tuple(one for one in known if one in wanted)
