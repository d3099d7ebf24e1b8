"""From rows of a CSV file, or lines of JSON, to signed claims: templates, one key a source, what says nothing.

Deterministic: the same file, plan and keys give the same events, so an import
that was broken off is simply run again; what is there already answers
`duplicate`.
"""

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from episteme.bundling import Bundler
from episteme.errors import InvalidParameter
from episteme.keys import Key, quoted_part
from episteme.moving import UNREADABLE, ExportEnd, FileKind, numbered_lines, opened, read_export, read_header, read_line
from model import (
    AnyValue,
    Assertion,
    BooleanValue,
    FieldRule,
    Lifecycle,
    NumberValue,
    ReferenceValue,
    SignedEvent,
    SourceClass,
    TextValue,
    sign_event,
)

# What people type for "nothing", in lower case.
SAYS_NOTHING = ("", "n/a", "not available", "null")

HELD_COUNT_MAX: Final = 20_000  # claims that wait for others of their keys: some 20 MB

_NO_FAULTS: Final = ("says nothing", "no event")
_BOM: Final = b"\xef\xbb\xbf"
_decode_object: Final = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode
_encode_envelope: Final = msgspec.json.Encoder().encode
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class Plan(Struct, frozen=True, kw_only=True):
    """How a row becomes a claim.  The templates name columns in braces."""

    subject: str
    predicate: str
    object: str
    object_type: str = "text"
    confidence: str = "1"
    source_class: SourceClass = "community"
    lifecycle: Lifecycle = "approved"
    timestamp_ms: int
    metadata: Mapping[str, str] = {}
    says_nothing: tuple[str, ...] = SAYS_NOTHING
    sign_per: str | None = None  # a column: one key for each of its values


class Skipped(Struct, frozen=True):
    """A row that became no claim."""

    line: int
    reason: str
    detail: str

    @property
    def is_fault(self) -> bool:
        """Whether something of it is wrong; a row that says nothing, and a line of a log that is no event, are not."""
        return self.reason not in _NO_FAULTS


class Keyring:
    """The keys that an import signs with: one, or one a source, made when first needed."""

    def __init__(self, plan: Plan, single: Callable[[], Key], folder: Path | None = None) -> None:
        self._plan = plan
        self._single = single
        self._folder = folder
        self._keys: dict[str, Key] = {}
        self.made_count = 0

    def __len__(self) -> int:
        return len(self._keys)

    def key_for(self, row: Mapping[str, str]) -> Key:
        """The key that signs a row.  Raises: KeyProblem."""
        source = "" if self._plan.sign_per is None else row[self._plan.sign_per].strip()
        key = self._keys.get(source)
        if key is None:
            key = self._keys[source] = self._load(source)
        return key

    def _load(self, source: str) -> Key:
        if self._plan.sign_per is None:
            return self._single()
        key, made = Key.load_or_create(f"{self._plan.sign_per}/{quoted_part(source)}", self._folder)
        self.made_count += made
        return key


def check_columns(plan: Plan, columns: list[str]) -> None:
    """Refuse a plan that names a column which the file does not have.  Raises: InvalidParameter."""
    templates = [plan.subject, plan.predicate, plan.object, *plan.metadata.values()]
    named = {name for template in templates for name in _PLACEHOLDER.findall(template)}
    if plan.sign_per is not None:
        named.add(plan.sign_per)
    missing = sorted(named.difference(columns))
    if missing:
        there = f"it has {', '.join(columns)}" if any(columns) else "it has none at all"
        raise InvalidParameter(f"the file has no column {missing[0]!r}; {there}")


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, with the line on which each ends.

    Raises: InvalidParameter for a file that is not UTF-8 or not CSV; OSError.
    """
    with opened(path) as packed:
        text = TextIOWrapper(packed.file, encoding="utf-8-sig", newline="")
        reader = csv.DictReader(text, restval="", restkey="", strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except (csv.Error, UnicodeDecodeError, *UNREADABLE) as error:
            raise InvalidParameter(f"{path} line {reader.line_num + 1}: {error}") from error


def read_columns(path: Path) -> list[str]:
    """The header of a CSV file.  Raises: InvalidParameter; OSError."""
    try:
        with opened(path) as packed:
            text = TextIOWrapper(packed.file, encoding="utf-8-sig", newline="")
            return next(csv.reader(text, strict=True), [])
    except (csv.Error, UnicodeDecodeError, *UNREADABLE) as error:
        raise InvalidParameter(f"{path}: {error}") from error


def read_objects(path: Path, skip: Callable[[Skipped], None]) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a file of JSON objects as rows, with their numbers; a number keeps its spelling.

    A list or an object within one is its JSON; null and a column that is not there are empty.  skip is told of a
    line that is no JSON object.
    Raises: OSError.
    """
    for number, line in numbered_lines(path):
        if line.strip():
            try:
                found = _decode_object(line.removeprefix(_BOM))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                skip(Skipped(number, "no JSON object", str(error)))
                continue
            yield number, defaultdict(str, {name: _spelled(value) for name, value in found.items()})


def claims(
    rows: Iterator[tuple[int, dict[str, str]]], plan: Plan, keyring: Keyring, skip: Callable[[Skipped], None]
) -> Iterator[tuple[int, SignedEvent]]:
    """The claims of rows, each signed by itself, with its line; skip is told of every row that became none."""
    for line, row, event in unsigned(rows, plan, skip):
        yield line, sign_event(event, keyring.key_for(row))


def bundled_claims(
    rows: Iterator[tuple[int, dict[str, str]]], plan: Plan, keyring: Keyring, skip: Callable[[Skipped], None]
) -> Iterator[tuple[int | None, SignedEvent]]:
    """The same, signed by bundles for each key, a bundle in front of its claims and without a line.

    Claims of many keys wait for more of theirs, HELD_COUNT_MAX of them at most.
    """
    bundlers: dict[bytes, tuple[Bundler, list[int]]] = {}
    held_count = 0
    for line, row, event in unsigned(rows, plan, skip):
        key = keyring.key_for(row)
        if key.agent not in bundlers:
            bundlers[key.agent] = (Bundler(key, lambda: plan.timestamp_ms), [])
        bundler, lines = bundlers[key.agent]
        lines.append(line)
        held_count += 1
        signed = bundler.add(event)
        held_count -= len(lines) if signed else 0
        yield from _with_lines(signed, lines)
        if held_count >= HELD_COUNT_MAX:
            yield from _all_of(bundlers)
            held_count = 0
    yield from _all_of(bundlers)


def _all_of(bundlers: dict[bytes, tuple[Bundler, list[int]]]) -> Iterator[tuple[int | None, SignedEvent]]:
    for bundler, lines in bundlers.values():
        yield from _with_lines(bundler.rest(), lines)
    bundlers.clear()


def _with_lines(signed: list[SignedEvent], lines: list[int]) -> Iterator[tuple[int | None, SignedEvent]]:
    """What a bundler gave, with the lines of the claims, which are done then."""
    if signed:
        yield from zip([*[None] * (len(signed) - len(lines)), *lines], signed, strict=True)
        lines.clear()


def unsigned(
    rows: Iterator[tuple[int, dict[str, str]]], plan: Plan, skip: Callable[[Skipped], None]
) -> Iterator[tuple[int, dict[str, str], Assertion]]:
    """The same, and nobody has signed: line, row and claim."""
    for line, row in rows:
        says_nothing = _says_nothing(row, plan)
        if says_nothing is not None:
            skip(Skipped(line, "says nothing", says_nothing))
            continue
        try:
            event = _event(row, plan)
        except FieldRule as rule:
            skip(Skipped(line, f"invalid {rule.field}", rule.detail))
        else:
            yield line, row, event


def events_in(path: Path, kind: FileKind, skip: Callable[[Skipped], None]) -> Iterator[tuple[int, bytes]]:
    """The envelopes of a file that holds such, or a log, with their lines; skip is told of what is no event.

    Raises: BadCopy for a line of a log that is none, or an export without its end; OSError.
    """
    lines = numbered_lines(path)
    if kind == "envelopes":
        yield from ((number, line) for number, line in lines if line.strip())
        return
    if kind == "export":
        read_header(next(lines)[1])
        logged = read_export(lines)
    else:
        logged = ((number, read_line(number, line)) for number, line in lines if line.strip())
    for number, line in logged:
        if isinstance(line, ExportEnd):
            continue
        if line.event is None:
            skip(Skipped(number, "no event", line.kind))
        else:
            yield number, _encode_envelope({"event": line.event, "signatures": line.signatures})


def summarize_skipped(skipped: list[Skipped]) -> dict[str, int]:
    """How many rows were skipped for each reason, the commonest first."""
    counts = Counter(f"{one.reason}: {one.detail}" if one.reason == "says nothing" else one.reason for one in skipped)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _says_nothing(row: Mapping[str, str], plan: Plan) -> str | None:
    """The words in which the row's object says nothing, if it does."""
    text = _fill(plan.object, row)
    if text.casefold() in plan.says_nothing:
        return text or "empty"
    if plan.sign_per is not None and not row[plan.sign_per].strip():
        return f"no {plan.sign_per}"
    return None


def _event(row: Mapping[str, str], plan: Plan) -> Assertion:
    metadata = {name: _fill(template, row) for name, template in plan.metadata.items()}
    return Assertion(
        v=2,
        subject=_fill(plan.subject, row),
        predicate=_fill(plan.predicate, row),
        object=_object(plan.object_type, _fill(plan.object, row)),
        confidence=plan.confidence,
        source_class=plan.source_class,
        lifecycle=plan.lifecycle,
        timestamp=plan.timestamp_ms,
        metadata=metadata or UNSET,
    )


def _spelled(value: Any) -> str:
    """A JSON value as a cell of a table has it."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _fill(template: str, row: Mapping[str, str]) -> str:
    """A template with the row's values in it, in NFC, without white space at the ends."""
    text = _PLACEHOLDER.sub(lambda found: row[found[1]].strip(), template)
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def _object(object_type: str, text: str) -> AnyValue:
    match object_type:
        case "number":
            return NumberValue(text)
        case "reference":
            return ReferenceValue(text)
        case "boolean":
            if text.casefold() not in ("true", "false"):
                raise FieldRule("object", f"is {text[:40]!r}, not true or false")
            return BooleanValue(text.casefold() == "true")
        case _:
            return TextValue(text)
