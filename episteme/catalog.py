"""Every list and record that can be read: its path, its parameters, its shape, and what reads it.

The one table behind Node, Client and server: a Node parses what it is given
as the server parses a query string, so that both refuse the same, and a Client
needs no more than the path and the shape.

Source: docs/http.md, "Lists and records".
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct

from episteme import listings
from episteme.api import StoredAssertion
from episteme.audit import ORDERS, AuditedQuery, AuditRecord, Replayed
from episteme.audit import reads as audit
from episteme.described import (
    LIMIT,
    PAGE,
    SEQ_MAX,
    SOURCE_CLASS,
    Parameter,
    agent,
    agent_text,
    count,
    digest,
    hex_of,
    identity,
    moment,
    names,
    one_of,
    predicate,
    subject,
)
from episteme.errors import UnknownParameter
from episteme.listings import Context, Paging
from episteme.parameters import invalid_parameter
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
from episteme.status import FoldsReport
from episteme.stored import StoredBundle, StoredEvent
from keycodec import escalation_prefix
from model import LIFECYCLES

Shape = TypeVar("Shape")

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_ESCALATION_DIGITS: Final = 32
_AUDIT_DIGITS: Final = 32


class Listing(Struct, Generic[Shape], frozen=True):
    """One list or record.

    summary: one sentence.
    read: called with the context, with the paging if cursor is among the parameters, and with what was asked.
    watched: a prefix of keys; where after is asked for and nothing is found, a reader may wait until one is touched.
    never_changes: what was once read there is what will be read.
    """

    path: str
    summary: str
    shape: type[Shape]
    read: Callable[..., Shape]
    parameters: Mapping[str, Parameter]
    watched: bytes = b""
    never_changes: bool = False

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


_SUBJECT: Final = subject("Only what is about this subject.")
_PREDICATE: Final = predicate("Only what is about this predicate.")

BALLOT: Final = Listing(
    "/v1/assertions/{hash}/votes",
    "Show the votes on an assertion.",
    Ballot,
    listings.ballot,
    {"hash": digest("The assertion."), **PAGE},
)
LINEAGE: Final = Listing(
    "/v1/assertions/{hash}/lineage",
    "Show where an assertion comes from, and what it led to.",
    Lineage,
    listings.lineage_of,
    {
        "hash": digest("The assertion."),
        "depth": count(1, listings.DEPTH_MAX, "How many steps to go, each way.", listings.DEPTH_DEFAULT),
        "limit": LIMIT,
    },
)
ASSERTIONS: Final = Listing(
    "/v1/assertions",
    "List assertions.",
    Page[StoredAssertion],
    listings.assertions,
    {
        "subject": _SUBJECT,
        "predicate": _PREDICATE,
        "agent": agent("Only what this agent signed: its key in hex, or as did:key."),
        "source_class": SOURCE_CLASS,
        "lifecycle": names(LIFECYCLES, "Only claims in these stages."),
        "epoch": identity("Only claims of this epoch."),
        "since_seq": count(0, SEQ_MAX, "Only what was first written at this position or later."),
        **PAGE,
    },
)
EVENT: Final = Listing(
    "/v1/events/{hash}",
    "Show an event of any kind as it was signed.",
    StoredEvent,
    listings.stored_event,
    {"hash": digest("The event.")},
)
BUNDLE: Final = Listing(
    "/v1/bundles/{hash}",
    "Show a bundle: the hashes of the events that its agent signed by it.",
    StoredBundle,
    listings.bundle,
    {"hash": digest("The bundle.")},
)
SUBJECTS: Final = Listing(
    "/v1/subjects",
    "List subjects.",
    Page[str],
    listings.subjects,
    {"prefix": subject("Only those that begin with this.", may_be_empty=True), **PAGE},
)
SUBJECT: Final = Listing(
    "/v1/subjects/{subject}",
    "Show a subject's pairs, each with its winner and its conflict.",
    SubjectReport,
    listings.subject_report,
    {"subject": subject("The subject; a slash in it is spelled %2F."), **PAGE},
)
AGENTS: Final = Listing("/v1/agents", "List agents.", Page[AgentSummary], listings.agents, PAGE)
AGENT: Final = Listing(
    "/v1/agents/{agent}",
    "Show an agent's trust, counts and quota.",
    AgentReport,
    listings.agent_report,
    {"agent": agent_text("The agent: its key in hex, or as did:key."), **PAGE},
)
EPOCHS: Final = Listing("/v1/epochs", "List epochs.", Page[EpochRecord], listings.epochs, PAGE)
EPOCH: Final = Listing(
    "/v1/epochs/{epoch}", "Show an epoch.", EpochReport, listings.epoch_report, {"epoch": identity("The epoch.")}
)
SOURCES: Final = Listing("/v1/sources", "List sources.", Page[SourceSummary], listings.sources, PAGE)
SOURCE: Final = Listing(
    "/v1/sources/{source}",
    "Show a source, and how its status moved.",
    SourceReport,
    listings.source_report,
    {"source": identity("The source.")},
)
IMPACT: Final = Listing(
    "/v1/sources/{source}/impact",
    "Show what rests on a source.",
    Impact,
    listings.impact,
    {"source": identity("The source."), **PAGE},
)
PACKS: Final = Listing("/v1/trust-packs", "List trust packs.", Page[PackSummary], listings.packs, PAGE)
PACK: Final = Listing(
    "/v1/trust-packs/{pack}", "Show a trust pack.", PackReport, listings.pack_report, {"pack": identity("The pack.")}
)
GOLD_STANDARDS: Final = Listing(
    "/v1/gold-standards",
    "List gold standards.",
    Page[GoldRecord],
    listings.gold_standards,
    {"subject": _SUBJECT, "predicate": predicate("Only this predicate; it goes with its subject."), **PAGE},
)
ESCALATIONS: Final = Listing(
    "/v1/escalations",
    "List what the rules have raised; with after and wait, wait for more.",
    Page[EscalationRecord],
    listings.escalations,
    {
        "status": names(listings.STATUSES, "Only those of these statuses."),
        "level": names(listings.LEVELS, "Only those of these levels."),
        "rule": subject("Only those that this rule raised."),
        "subject": _SUBJECT,
        "order": one_of(listings.ORDERS, "Which come first; with after it is the oldest."),
        "after": count(-1, SEQ_MAX, "Only what an event after this position raised; with wait, wait for it."),
        **PAGE,
    },
    watched=escalation_prefix(),
)
ESCALATION: Final = Listing(
    "/v1/escalations/{id}",
    "Show an escalation.",
    EscalationRecord,
    listings.escalation_record,
    {"id": hex_of(_ESCALATION_DIGITS, "The escalation.")},
)
PREDICATES: Final = Listing(
    "/v1/predicates",
    "List how predicates are compared.",
    Page[PredicateRecord],
    listings.predicates,
    {"prefix": predicate("Only those that begin with this.", may_be_empty=True), **PAGE},
)
ALIASES: Final = Listing(
    "/v1/aliases",
    "List which subjects are one.",
    Page[AliasRecord],
    listings.aliases,
    {"prefix": subject("Only those that begin with this.", may_be_empty=True), **PAGE},
)
AUDITS: Final = Listing(
    "/v1/audit/queries",
    "List audited queries.",
    Page[AuditedQuery],
    audit.audits,
    {
        "agent": agent_text("Only what this agent asked: its key in hex, or as did:key."),
        "subject": _SUBJECT,
        "predicate": _PREDICATE,
        "from": moment("Only what was asked at this moment or later: a time, or milliseconds since 1970."),
        "to": moment("Only what was asked before this moment: a time, or milliseconds since 1970."),
        "order": one_of(ORDERS, "Which come first.", ORDERS[0]),
        **PAGE,
    },
)
AUDIT: Final = Listing(
    "/v1/audit/queries/{id}",
    "Show an audited query, with what its answer rests on.",
    AuditRecord,
    audit.audit_record,
    {"id": hex_of(_AUDIT_DIGITS, "The audited query: audit_id of an answer.")},
    never_changes=True,
)
REPLAY: Final = Listing(
    "/v1/audit/queries/{id}/replay",
    "Ask an audited query again, and tell whether the answer is the same.",
    Replayed,
    audit.audit_replay,
    {"id": hex_of(_AUDIT_DIGITS, "The audited query: audit_id of an answer.")},
)
FOLDS: Final = Listing(
    "/v1/folds", "Tell how far the folds are, and what they could not take.", FoldsReport, listings.folds_report, PAGE
)
LENSES: Final = Listing("/v1/lenses", "List the lenses.", Page[LensRecord], listings.lenses, PAGE)

LISTINGS: Final[tuple[Listing[Any], ...]] = (
    BALLOT,
    LINEAGE,
    ASSERTIONS,
    EVENT,
    BUNDLE,
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
    FOLDS,
    LENSES,
)
