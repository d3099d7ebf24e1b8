"""What may be asked: parameters from the outside, checked and turned into a question."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, Unpack, cast

from episteme.api import Asked, QueryOptions
from episteme.decay import Decay
from episteme.errors import FieldProblem, InvalidParameter
from episteme.lenses import LENSES, PLAIN, lens_named, make_terms
from episteme.reading.question import INCLUDES, LIMIT_DEFAULT, LIMIT_MAX, AsOf, Question, as_parameters
from model import (
    LIFECYCLES,
    PREDICATE_BYTES_MAX,
    SOURCE_CLASSES,
    SUBJECT_BYTES_MAX,
    FieldRule,
    agent_of,
    check_form,
    check_label,
)

Name = TypeVar("Name", bound=str)

LENS_PARAMETERS: Final = tuple(sorted({name for lens in LENSES.values() for name in lens.parameters}))

_HASH = re.compile(r"[0-9a-f]{64}")
DURATION_PATTERN: Final = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m)?"
_DURATION = re.compile(DURATION_PATTERN)
TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}
_SPAN = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_SPAN_MS_MAX: Final = 10**15 - 1  # as many digits as are read, so that a span in milliseconds can be asked again
_SPAN_MS_BY_UNIT: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}")  # since 1970; until the year 33658
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SECONDS_BY_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def make_question(subject: str, predicate: str | None, **asked: Unpack[Asked]) -> Question:
    """A question with every part checked; one without a lens gets the pair's default when it is asked.

    Raises: InvalidParameter, naming the part; UnknownLens.
    """
    check_subject(subject)
    if predicate is not None:
        check_predicate(predicate)
    limit, decay, params = asked.get("limit"), asked.get("decay"), dict(asked.get("params") or {})
    check_limit(limit, LIMIT_MAX)
    if decay is not None:
        Decay.parse(decay)
    lens = _checked_lens(asked.get("lens"), params)
    as_of, valid_at = asked.get("as_of"), asked.get("valid_at")
    return Question(
        subject=subject,
        predicate=predicate,
        lens=lens,
        params=tuple(sorted(params.items())),
        source_class=_chosen("source_class", asked.get("source_class", ()), SOURCE_CLASSES),
        lifecycle=_chosen("lifecycle", asked.get("lifecycle", ()), LIFECYCLES),
        epoch=_checked_hash("epoch", asked.get("epoch")),
        include=_chosen("include", asked.get("include", ()), INCLUDES),
        decay=decay,
        pack=_checked_hash("pack", asked.get("pack")),
        as_of=None if as_of is None else parse_as_of(as_of),
        valid_at=None if valid_at is None else parse_time("valid_at", valid_at),
        explain=asked.get("explain", False),
        full=asked.get("full", False),
        limit=LIMIT_DEFAULT if limit is None else limit,
    )


def asked_of(options: QueryOptions) -> Asked:
    """What of the options is part of the question."""
    return cast("Asked", {name: value for name, value in options.items() if name not in ("min_seq", "wait_s")})


def question_of(found: Mapping[str, str], lens: str | None = None) -> Question:
    """A question from parameters as a query string has them; lens: one that is not among them.

    Raises: InvalidParameter; UnknownLens.
    """
    lens = found.get("lens", lens)
    required = ("subject",) if lens is not None and not _takes_predicate(lens) else ("subject", "predicate")
    for name in required:
        if name not in found:
            raise InvalidParameter(f"{name} is missing", errors=(FieldProblem(name, "is missing"),))
    return make_question(
        found["subject"],
        found.get("predicate"),
        lens=lens,
        params={name: found[name] for name in LENS_PARAMETERS if name in found},
        source_class=names_in(found, "source_class"),
        lifecycle=names_in(found, "lifecycle"),
        epoch=found.get("epoch"),
        include=names_in(found, "include"),
        decay=found.get("decay"),
        pack=found.get("pack"),
        as_of=found.get("as_of"),
        valid_at=found.get("valid_at"),
        explain="explain" in found and parse_truth("explain", found["explain"]),
        # A view is exact whatever its age, so only an age of 0 changes what is read.
        full="max_age" in found and parse_duration_s("max_age", found["max_age"]) == 0,
        limit=parse_count("limit", found["limit"]) if "limit" in found else None,
    )


def asked_over_http(subject: str, predicate: str | None, options: QueryOptions) -> dict[str, str]:
    """The parameters of a query string that ask what these options ask.

    Raises: InvalidParameter; UnknownLens.
    """
    question = make_question(subject, predicate, **asked_of(options))
    found = as_parameters(question)
    if question.explain:
        found["explain"] = "1"
    if question.full:
        found["max_age"] = "0"
    min_seq, wait_s = options.get("min_seq"), options.get("wait_s")
    if min_seq is not None:
        found["min_seq"] = str(min_seq)
    if wait_s is not None:
        found["wait"] = f"{round(wait_s * 1000)}ms"
    return found


def names_in(found: Mapping[str, str], name: str) -> Sequence[str]:
    """A list of names that a parameter holds, between commas."""
    return found[name].split(",") if name in found else ()


def check_pair(subject: str, predicate: str) -> None:
    """Refuse a subject or a predicate that no claim can have.  Raises: InvalidParameter."""
    check_subject(subject)
    check_predicate(predicate)


def check_subject(subject: str) -> None:
    """Refuse a subject that no claim can have.  Raises: InvalidParameter."""
    _check_label("subject", subject, SUBJECT_BYTES_MAX)


def check_predicate(predicate: str) -> None:
    """Refuse a predicate that no claim can have.  Raises: InvalidParameter."""
    _check_label("predicate", predicate, PREDICATE_BYTES_MAX)


def check_limit(limit: int | None, limit_max: int) -> None:
    """Refuse a limit that is not in 1..limit_max.  Raises: InvalidParameter."""
    if limit is not None and not 1 <= limit <= limit_max:
        raise invalid_parameter("limit", f"is {limit}; it is 1 to {limit_max}")


def parse_as_of(text: str) -> AsOf:
    """A moment in the past: 'seq:123', an RFC 3339 time, or a span back from now such as '2h'.

    Raises: InvalidParameter.
    """
    if text.startswith("seq:"):
        return AsOf(seq=parse_count("as_of", text.removeprefix("seq:")))
    span_ms = _span_ms(text)
    if span_ms is not None:
        return AsOf(span_ms=span_ms)
    try:
        return AsOf(time_ms=_time_ms(text))
    except ValueError as error:
        detail = f"is {text[:40]!r}; write seq:123, a time such as 2026-11-22T09:30:00Z, or a span such as 2h"
        raise invalid_parameter("as_of", detail) from error


def parse_time(name: str, text: str) -> int:
    """Milliseconds since 1970, from an RFC 3339 time or from those.  Raises: InvalidParameter."""
    try:
        return _time_ms(text)
    except ValueError as error:
        detail = f"is {text[:40]!r}; write a time such as 2026-11-22T09:30:00Z, or milliseconds since 1970"
        raise invalid_parameter(name, detail) from error


def parse_hash(text: str) -> bytes:
    """A hash from its hex digits.  Raises: InvalidParameter."""
    _checked_hash("hash", text)
    return bytes.fromhex(text)


def parse_agent(name: str, text: str) -> bytes:
    """A public key, 32 bytes, from its hex digits or its did:key.  Raises: InvalidParameter."""
    try:
        return agent_of(text)
    except FieldRule as rule:
        raise invalid_parameter(name, rule.detail) from rule


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


def _checked_lens(name: str | None, params: Mapping[str, str]) -> str | None:
    if name is None:
        for param in sorted(params):
            if param not in LENS_PARAMETERS:
                raise invalid_parameter(param[:80], "is not known: no lens has it")
        return None
    lens = lens_named(name)
    make_terms(lens, params, PLAIN)
    return lens.name


def _checked_hash(name: str, text: str | None) -> str | None:
    if text is not None and not _HASH.fullmatch(text):
        raise invalid_parameter(name, "is not 64 lower-case hex digits")
    return text


def _span_ms(text: str) -> int | None:
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    span_ms = int(match[1]) * _SPAN_MS_BY_UNIT[match[2]]
    return span_ms if span_ms <= _SPAN_MS_MAX else None


def _time_ms(text: str) -> int:
    """Raises: ValueError for what is no time, or one without its offset from UTC."""
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("no offset from UTC")
    return (found - _EPOCH) // _MILLISECOND


def _check_label(name: str, text: str, bytes_max: int) -> None:
    try:
        check_label(name, text, bytes_max)
        check_form(name, text)
    except FieldRule as rule:
        raise invalid_parameter(name, rule.detail) from rule


def _chosen(name: str, asked: Iterable[str], known: Sequence[Name]) -> tuple[Name, ...]:
    """The known names that were asked for, in their own order; a text is one name."""
    wanted = {asked} if isinstance(asked, str) else set(asked)
    unknown = wanted.difference(known)
    if unknown:
        raise invalid_parameter(name, f"has {min(unknown)[:40]!r}; there are {', '.join(known)}")
    return tuple(one for one in known if one in wanted)


def _takes_predicate(lens: str) -> bool:
    return lens not in LENSES or LENSES[lens].takes_predicate


def parse_truth(name: str, text: str) -> bool:
    """1, true, 0 or false.  Raises: InvalidParameter."""
    if text not in TRUTHS:
        raise invalid_parameter(name, f"is {text[:40]!r}; it is 1, true, 0 or false")
    return TRUTHS[text]
