"""Every list and record that can be read: its path, its parameters, its shape, and what reads it.

The one table behind Node, Client and server: a Node parses what it is given
as the server parses a query string, so that both refuse the same, and a Client
needs no more than the path and the shape.

Source: docs/http.md, "Lists and records".
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct

from episteme import listings
from episteme.api import StoredAssertion
from episteme.audit import ORDERS, AuditedQuery, AuditRecord, Replayed
from episteme.audit import reads as audit
from episteme.errors import FieldProblem, InvalidParameter, UnknownParameter
from episteme.listings import Context, Paging
from episteme.parameters import check_predicate, check_subject, invalid_parameter, parse_count, parse_time
from episteme.shapes import (
    AgentReport,
    AgentSummary,
    AliasRecord,
    Ballot,
    EpochRecord,
    EpochReport,
    EscalationRecord,
    GoldRecord,
    Impact,
    LensRecord,
    Lineage,
    PackReport,
    PackSummary,
    Page,
    PredicateRecord,
    SourceReport,
    SourceSummary,
    SubjectReport,
)
from keycodec import escalation_prefix
from model import LIFECYCLES, SOURCE_CLASSES

Shape = TypeVar("Shape")
Parse = Callable[[str, str], Any]  # from a parameter's name and text; raises InvalidParameter

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_HEX = re.compile(r"[0-9a-f]+")
_HASH_DIGITS: Final = 64
_ESCALATION_DIGITS: Final = 32
_AUDIT_DIGITS: Final = 32
_SEQ_MAX: Final = (1 << 63) - 1


class Listing(Struct, Generic[Shape], frozen=True):
    """One list or record.

    summary: one sentence.
    read: called with the context, with the paging if cursor is among the parameters, and with what was asked.
    watched: a prefix of keys; where after is asked for and nothing is found, a reader may wait until one is touched.
    """

    path: str
    summary: str
    shape: type[Shape]
    read: Callable[..., Shape]
    parameters: Mapping[str, Parse]
    watched: bytes = b""

    @property
    def in_path(self) -> tuple[str, ...]:
        """The parameters that are part of the path."""
        return tuple(_PLACEHOLDER.findall(self.path))

    @property
    def in_query(self) -> tuple[str, ...]:
        """The others."""
        return tuple(name for name in self.parameters if name not in self.in_path)

    def ask(self, asked: Mapping[str, str]) -> Callable[[Context], Shape]:
        """What reads this, for parameters as they stand in a path and a query string.

        Raises: UnknownParameter; InvalidParameter.
        """
        parsed: dict[str, Any] = {}
        for name, text in asked.items():
            parse = self.parameters.get(name)
            if parse is None:
                raise UnknownParameter(f"{name[:80]!r} is no parameter of {self.path}")
            parsed[name] = parse(name, text)
        if "cursor" in self.parameters:
            limit, cursor = parsed.pop("limit", listings.PAGE_DEFAULT), parsed.pop("cursor", None)
            seal = listings.seal_of(self.path, asked)
            paging = Paging(limit, None if cursor is None else listings.open_cursor(cursor, seal), seal)
            return lambda context: self.read(context, paging, **parsed)
        return lambda context: self.read(context, **parsed)

    def waits(self, asked: Mapping[str, str]) -> bool:
        """Whether a reader who finds nothing may wait for something."""
        return bool(self.watched) and "after" in asked

    @staticmethod
    def is_empty(found: object) -> bool:
        """Whether a page has no items, and none follows."""
        return isinstance(found, Page) and not found.items and found.next is None

    def request(self, asked: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """The path and the query for parameters.  Raises: InvalidParameter for one of the path."""
        path = self.path
        for name in self.in_path:
            self.parameters[name](name, asked[name])
            path = path.replace(f"{{{name}}}", path_part(asked[name]))
        return path, {name: text for name, text in asked.items() if name not in self.in_path}


def path_part(text: str) -> str:
    """A text as one part of a path; one of dots alone is spelled out, or a client takes it for a step up."""
    return quote(text, safe="") if text.strip(".") else "%2E" * len(text)


def spelled(given: Mapping[str, object]) -> dict[str, str]:
    """Parameters as a path and a query string have them; those that are None are left out, as are empty lists."""
    found = {}
    for name, value in given.items():
        text = value if isinstance(value, str) else _spelling(name, value)
        if text is not None:
            found[name] = text
    return found


def _spelling(name: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Iterable):
        return ",".join(map(str, value)) or None
    raise invalid_parameter(name, f"is of type {type(value).__name__}")


def _hash(name: str, text: str) -> bytes:
    return bytes.fromhex(_id(_HASH_DIGITS)(name, text))


def _id(digits: int) -> Parse:
    def parse(name: str, text: str) -> str:
        if len(text) != digits or not _HEX.fullmatch(text):
            raise invalid_parameter(name, f"is not {digits} lower-case hex digits")
        return text

    return parse


def _count(least: int, most: int) -> Parse:
    def parse(name: str, text: str) -> int:
        number = int(text) if text == "-1" and least < 0 else parse_count(name, text)
        if not least <= number <= most:
            raise invalid_parameter(name, f"is {number}; it is {least} to {most}")
        return number

    return parse


def _names(known: Sequence[str]) -> Parse:
    def parse(name: str, text: str) -> tuple[str, ...]:
        wanted = text.split(",")
        unknown = sorted(set(wanted).difference(known))
        if unknown:
            raise invalid_parameter(name, f"has {unknown[0][:40]!r}; there are {', '.join(known)}")
        return tuple(one for one in known if one in wanted)

    return parse


def _one_of(known: Sequence[str]) -> Parse:
    def parse(name: str, text: str) -> str:
        if text not in known:
            raise invalid_parameter(name, f"is {text[:40]!r}; it is {' or '.join(known)}")
        return text

    return parse


def _subject(name: str, text: str) -> str:
    return _as(name, check_subject, text)


def _predicate(name: str, text: str) -> str:
    return _as(name, check_predicate, text)


def _subject_start(name: str, text: str) -> str:
    return _as(name, check_subject, text) if text else text


def _predicate_start(name: str, text: str) -> str:
    return _as(name, check_predicate, text) if text else text


def _as(name: str, check: Callable[[str], None], text: str) -> str:
    """The text, checked; what is wrong with it is told under this name."""
    try:
        check(text)
    except InvalidParameter as error:
        detail = error.errors[0].detail
        raise InvalidParameter(f"{name} {detail}", errors=(FieldProblem(name, detail),)) from error
    return text


def _cursor(name: str, text: str) -> str:
    if len(text) > listings.CURSOR_CHARS_MAX:
        raise invalid_parameter(
            name, f"has {len(text)} characters; no cursor has more than {listings.CURSOR_CHARS_MAX}"
        )
    return text


_PAGE: Final[Mapping[str, Parse]] = {"limit": _count(1, listings.PAGE_MAX), "cursor": _cursor}
_ID: Final = _id(_HASH_DIGITS)

BALLOT: Final = Listing(
    "/v1/assertions/{hash}/votes", "Show the votes on an assertion.", Ballot, listings.ballot, {"hash": _hash, **_PAGE}
)
LINEAGE: Final = Listing(
    "/v1/assertions/{hash}/lineage",
    "Show where an assertion comes from, and what it led to.",
    Lineage,
    listings.lineage_of,
    {"hash": _hash, "depth": _count(1, listings.DEPTH_MAX), "limit": _count(1, listings.PAGE_MAX)},
)
ASSERTIONS: Final = Listing(
    "/v1/assertions",
    "List assertions.",
    Page[StoredAssertion],
    listings.assertions,
    {
        "subject": _subject,
        "predicate": _predicate,
        "agent": _hash,
        "source_class": _names(SOURCE_CLASSES),
        "lifecycle": _names(LIFECYCLES),
        "epoch": _ID,
        "since_seq": _count(0, _SEQ_MAX),
        **_PAGE,
    },
)
SUBJECTS: Final = Listing(
    "/v1/subjects", "List subjects.", Page[str], listings.subjects, {"prefix": _subject_start, **_PAGE}
)
SUBJECT: Final = Listing(
    "/v1/subjects/{subject}",
    "Show a subject's pairs, each with its winner and its conflict.",
    SubjectReport,
    listings.subject_report,
    {"subject": _subject, **_PAGE},
)
AGENTS: Final = Listing("/v1/agents", "List agents.", Page[AgentSummary], listings.agents, _PAGE)
AGENT: Final = Listing(
    "/v1/agents/{agent}",
    "Show an agent's trust, counts and quota.",
    AgentReport,
    listings.agent_report,
    {"agent": _ID, **_PAGE},
)
EPOCHS: Final = Listing("/v1/epochs", "List epochs.", Page[EpochRecord], listings.epochs, _PAGE)
EPOCH: Final = Listing("/v1/epochs/{epoch}", "Show an epoch.", EpochReport, listings.epoch_report, {"epoch": _ID})
SOURCES: Final = Listing("/v1/sources", "List sources.", Page[SourceSummary], listings.sources, _PAGE)
SOURCE: Final = Listing(
    "/v1/sources/{source}",
    "Show a source, and how its status moved.",
    SourceReport,
    listings.source_report,
    {"source": _ID},
)
IMPACT: Final = Listing(
    "/v1/sources/{source}/impact", "Show what rests on a source.", Impact, listings.impact, {"source": _ID, **_PAGE}
)
PACKS: Final = Listing("/v1/trust-packs", "List trust packs.", Page[PackSummary], listings.packs, _PAGE)
PACK: Final = Listing("/v1/trust-packs/{pack}", "Show a trust pack.", PackReport, listings.pack_report, {"pack": _ID})
GOLD_STANDARDS: Final = Listing(
    "/v1/gold-standards",
    "List gold standards.",
    Page[GoldRecord],
    listings.gold_standards,
    {"subject": _subject, "predicate": _predicate, **_PAGE},
)
ESCALATIONS: Final = Listing(
    "/v1/escalations",
    "List what the rules have raised; with after and wait, wait for more.",
    Page[EscalationRecord],
    listings.escalations,
    {
        "status": _names(listings.STATUSES),
        "level": _names(listings.LEVELS),
        "rule": _subject_start,
        "subject": _subject,
        "order": _one_of(listings.ORDERS),
        "after": _count(-1, _SEQ_MAX),
        **_PAGE,
    },
    watched=escalation_prefix(),
)
ESCALATION: Final = Listing(
    "/v1/escalations/{id}",
    "Show an escalation.",
    EscalationRecord,
    listings.escalation_record,
    {"id": _id(_ESCALATION_DIGITS)},
)
PREDICATES: Final = Listing(
    "/v1/predicates",
    "List how predicates are compared.",
    Page[PredicateRecord],
    listings.predicates,
    {"prefix": _predicate_start, **_PAGE},
)
ALIASES: Final = Listing(
    "/v1/aliases",
    "List which subjects are one.",
    Page[AliasRecord],
    listings.aliases,
    {"prefix": _subject_start, **_PAGE},
)
AUDITS: Final = Listing(
    "/v1/audit/queries",
    "List audited queries.",
    Page[AuditedQuery],
    audit.audits,
    {
        "agent": _ID,
        "subject": _subject,
        "predicate": _predicate,
        "from": parse_time,
        "to": parse_time,
        "order": _one_of(ORDERS),
        **_PAGE,
    },
)
AUDIT: Final = Listing(
    "/v1/audit/queries/{id}",
    "Show an audited query, with what its answer rests on.",
    AuditRecord,
    audit.audit_record,
    {"id": _id(_AUDIT_DIGITS)},
)
REPLAY: Final = Listing(
    "/v1/audit/queries/{id}/replay",
    "Ask an audited query again, and tell whether the answer is the same.",
    Replayed,
    audit.audit_replay,
    {"id": _id(_AUDIT_DIGITS)},
)
LENSES: Final = Listing("/v1/lenses", "List the lenses.", Page[LensRecord], listings.lenses, _PAGE)

LISTINGS: Final[tuple[Listing[Any], ...]] = (
    BALLOT,
    LINEAGE,
    ASSERTIONS,
    SUBJECTS,
    SUBJECT,
    AGENTS,
    AGENT,
    EPOCHS,
    EPOCH,
    SOURCES,
    SOURCE,
    IMPACT,
    PACKS,
    PACK,
    GOLD_STANDARDS,
    ESCALATIONS,
    ESCALATION,
    PREDICATES,
    ALIASES,
    AUDITS,
    AUDIT,
    REPLAY,
    LENSES,
)
