"""Parameters as they stand in a path or a query string: what each means, what its text may be, and what reads it.

The one table behind the parsers of the catalogue and the OpenAPI document: a
bound or a list of names is written once, here or where it is imported from.

Source: docs/http.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from episteme.errors import FieldProblem, InvalidParameter
from episteme.lenses import LENSES
from episteme.listings import CURSOR_CHARS_MAX, PAGE_DEFAULT, PAGE_MAX
from episteme.parameters import (
    DURATION_PATTERN,
    TRUTHS,
    check_predicate,
    check_subject,
    invalid_parameter,
    parse_agent,
    parse_count,
    parse_duration_s,
    parse_time,
    parse_truth,
)
from episteme.reading.question import INCLUDES, LIMIT_DEFAULT, LIMIT_MAX
from model import LIFECYCLES, PREDICATE_BYTES_MAX, SOURCE_CLASSES, SUBJECT_BYTES_MAX

Parse = Callable[[str, str], Any]  # from a parameter's name and text; raises InvalidParameter
Schema = dict[str, Any]

SEQ_MAX: Final = (1 << 63) - 1
_COUNT_MAX: Final = 10**18 - 1  # as many digits as parse_count reads
_DIGITS_OF_HASH: Final = 64
_HEX: Final = re.compile(r"[0-9a-f]+")
_LABEL: Final = r"^[^\x00-\x1f\x7f-\x9f]+$"


class Parameter(Struct, frozen=True):
    """One parameter: a sentence on what it means, the JSON schema of its text, and its parser."""

    what: str
    schema: Schema
    parse: Parse

    def __call__(self, name: str, text: str) -> Any:
        """What the text says.  Raises: InvalidParameter."""
        return self.parse(name, text)


def hex_of(digits: int, what: str) -> Parameter:
    """An id of so many hex digits, as text."""

    def parse(name: str, text: str) -> str:
        if len(text) != digits or not _HEX.fullmatch(text):
            raise invalid_parameter(name, f"is not {digits} lower-case hex digits")
        return text

    return Parameter(what, {"type": "string", "pattern": f"^[0-9a-f]{{{digits}}}$"}, parse)


def digest(what: str) -> Parameter:
    """A hash, as bytes."""
    text = hex_of(_DIGITS_OF_HASH, what)
    return Parameter(what, text.schema, lambda name, given: bytes.fromhex(text(name, given)))


def identity(what: str) -> Parameter:
    """A hash, as text."""
    return hex_of(_DIGITS_OF_HASH, what)


def count(least: int, most: int, what: str, default: int | None = None) -> Parameter:
    """A whole number within bounds, both included."""

    def parse(name: str, text: str) -> int:
        number = int(text) if text == "-1" and least < 0 else parse_count(name, text)
        if not least <= number <= most:
            raise invalid_parameter(name, f"is {number}; it is {least} to {most}")
        return number

    schema: Schema = {"type": "integer", "minimum": least, "maximum": min(most, _COUNT_MAX)}
    return Parameter(what, schema if default is None else {**schema, "default": default}, parse)


def names(known: Sequence[str], what: str) -> Parameter:
    """Some of the known names, between commas; in their own order."""

    def parse(name: str, text: str) -> tuple[str, ...]:
        wanted = text.split(",")
        unknown = sorted(set(wanted).difference(known))
        if unknown:
            raise invalid_parameter(name, f"has {unknown[0][:40]!r}; there are {', '.join(known)}")
        return tuple(one for one in known if one in wanted)

    return Parameter(what, {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(known)}}, parse)


def one_of(known: Sequence[str], what: str, default: str | None = None) -> Parameter:
    """One of the known names."""

    def parse(name: str, text: str) -> str:
        if text not in known:
            raise invalid_parameter(name, f"is {text[:40]!r}; it is {' or '.join(known)}")
        return text

    schema: Schema = {"type": "string", "enum": list(known)}
    return Parameter(what, schema if default is None else {**schema, "default": default}, parse)


def subject(what: str, *, may_be_empty: bool = False) -> Parameter:
    """A subject, or the start of one."""
    return _label(what, check_subject, SUBJECT_BYTES_MAX, may_be_empty)


def predicate(what: str, *, may_be_empty: bool = False) -> Parameter:
    """A predicate, or the start of one."""
    return _label(what, check_predicate, PREDICATE_BYTES_MAX, may_be_empty)


def agent(what: str) -> Parameter:
    """A public key, as bytes."""
    return Parameter(what, _AGENT_SCHEMA, parse_agent)


def agent_text(what: str) -> Parameter:
    """A public key, as text in hex."""
    return Parameter(what, _AGENT_SCHEMA, lambda name, text: parse_agent(name, text).hex())


def moment(what: str) -> Parameter:
    """A time, as milliseconds since 1970."""
    return Parameter(what, {"type": "string", "examples": ["2026-11-22T09:30:00Z"]}, parse_time)


def duration(what: str) -> Parameter:
    """A span, as seconds."""
    return Parameter(what, {"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": ["2s"]}, parse_duration_s)


def flag(what: str) -> Parameter:
    """Yes or no."""
    return Parameter(what, {"type": "string", "enum": sorted(TRUTHS)}, parse_truth)


def text(what: str, **schema: Any) -> Parameter:
    """A text that is read elsewhere."""
    return Parameter(what, {"type": "string", **schema}, lambda _name, text: text)


_AGENT_SCHEMA: Final[Schema] = {
    "type": "string",
    "pattern": "^([0-9a-f]{64}|did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44})$",
}


def _label(what: str, check: Callable[[str], None], bytes_max: int, may_be_empty: bool) -> Parameter:
    def parse(name: str, text: str) -> str:
        if text or not may_be_empty:
            try:
                check(text)
            except InvalidParameter as error:  # told under this name, whatever it is a start of
                detail = error.errors[0].detail
                raise InvalidParameter(f"{name} {detail}", errors=(FieldProblem(name, detail),)) from error
        return text

    pattern = _LABEL.replace("+$", "*$") if may_be_empty else _LABEL
    return Parameter(what, {"type": "string", "maxLength": bytes_max, "pattern": pattern}, parse)


def _cursor(name: str, text: str) -> str:
    if len(text) > CURSOR_CHARS_MAX:
        raise invalid_parameter(name, f"has {len(text)} characters; no cursor has more than {CURSOR_CHARS_MAX}")
    return text


LIMIT: Final = count(1, PAGE_MAX, "How many at most.", PAGE_DEFAULT)
PAGE: Final[Mapping[str, Parameter]] = {
    "limit": LIMIT,
    "cursor": Parameter(
        "Where to go on: `next` of the page before, with the same other parameters.",
        {"type": "string", "maxLength": CURSOR_CHARS_MAX},
        _cursor,
    ),
}
SOURCE_CLASS: Final = names(SOURCE_CLASSES, "Only claims of these classes of sources.")
LIFECYCLE: Final = names(LIFECYCLES, "Only claims in these stages; without it all but deprecated and rejected ones.")
# What every read of folded state takes.
WAIT: Final[Mapping[str, Parameter]] = {
    "min_seq": count(0, _COUNT_MAX, "A log position that must be readable first, such as the `seq` of your receipt."),
    "wait": duration("How long to wait for that at most; 2s if it is left out, 30s at most."),
}
# What may be said of a question; episteme.parameters.question_of reads them all at once.
QUESTION: Final[Mapping[str, Parameter]] = {
    "subject": subject("What the claims are about."),
    "predicate": predicate("Which property of it."),
    "lens": one_of(sorted(LENSES), "The rule that decides; without it the predicate's own, else consensus."),
    "lenses": names(sorted(LENSES), "The rules to compare; without it all that name a winner."),
    "threshold": text(
        "From which share on a value of a many-valued predicate passes: above 0, at most 1.",
        pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$",
        examples=["0.5"],
    ),
    "source_class": SOURCE_CLASS,
    "lifecycle": LIFECYCLE,
    "epoch": identity("Only claims of this epoch, superseded or not."),
    "include": names(INCLUDES, "What is left out unless it is asked for."),
    "decay": text(
        "How confidence fades with age: by tier, or by one half-life for all claims, such as 30d, 12h or 90m.",
        pattern="^(tiers|[0-9]{1,9}[mhd])$",
        examples=["tiers", "30d"],
    ),
    "pack": identity("Only what members of this trust pack signed, with the weights of the pack."),
    "as_of": text(
        "What was answered then: a position, a time, or a span back from now.",
        examples=["seq:123", "2026-11-22T09:30:00Z", "2h"],
    ),
    "valid_at": moment("Only claims that speak about this moment: a time, or milliseconds since 1970."),
    "limit": count(1, LIMIT_MAX, "How many groups at most, and hashes in all of them together.", LIMIT_DEFAULT),
    "max_age": duration("0 makes the server read the claims even where the ready answer is exact."),
    "explain": flag("Whether to say why, candidate by candidate."),
    "after": count(0, _COUNT_MAX, "Go on after this position: `next` of the page before."),
    **WAIT,
}
