"""Lists and records as tables: which columns, and what stands in a cell."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from episteme.api import StoredAssertion
from episteme.audit import AuditedQuery
from episteme.cli.answers import time_text, winner_text
from episteme.cli.output import Output, counted, print_fields, print_list, print_table, short, shown, value_text
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
    PredicateRecord,
    Relative,
    SourceReport,
    SourceSummary,
    SubjectReport,
)
from model import AnyValue

_RELATIVES: Final = ("steps", "is its", "of", "subject", "predicate", "value", "stage", "hash")
_IMPACTED: Final = ("seq", "subject", "predicate", "value", "stage", "hash")


class Table(NamedTuple):
    """How the items of a list are shown; cells: one for each column; right, whole: as print_table."""

    columns: Sequence[str]
    cells: Callable[[Any], Sequence[str]]
    right: Sequence[str] = ()
    whole: str | None = None


def print_items(table: Table, items: Sequence[Any], output: Output = Output.TABLE, *, first: bool = True) -> None:
    """Items as they were asked for; as a table, if there are any.  first: as print_list."""
    if output is not Output.TABLE:
        print_list(items, output, first=first)
    elif items:
        print_table(table.columns, [table.cells(item) for item in items], right=table.right, whole=table.whole)


def _assertion(one: StoredAssertion) -> Sequence[str]:
    event = one.event
    return (
        str(one.seq),
        shown(event.subject),
        shown(event.predicate),
        value_text(event.object),
        event.confidence,
        event.source_class if event.lifecycle == "approved" else f"{event.source_class}, {event.lifecycle}",
        f"{len(one.signatures):,}",
        short(one.hash),
    )


def _agent(one: AgentSummary) -> Sequence[str]:
    state = "revoked" if one.is_revoked else ""
    return one.agent, f"{one.trust:.2f}", str(one.right_count), str(one.wrong_count), state


def _epoch(one: EpochRecord) -> Sequence[str]:
    return (
        shown(one.name),
        time_text(one.start),
        "" if one.end is None else time_text(one.end),
        "" if one.supersedes is None else f"{one.supersession} of {short(one.supersedes)}",
        "" if one.superseded_by is None else f"by {short(one.superseded_by.epoch)}",
        one.epoch,
    )


def _source(one: SourceSummary) -> Sequence[str]:
    return one.status, shown(one.label), shown(one.url or ""), time_text(one.time_ms), one.source_hash


def _pack(one: PackSummary) -> Sequence[str]:
    return (
        shown(one.name),
        str(one.version),
        str(one.members_count),
        short(one.curator),
        shown(one.note or ""),
        one.pack,
    )


def _gold(one: GoldRecord) -> Sequence[str]:
    return shown(one.subject), shown(one.predicate), value_text(one.value), one.tolerance or "", short(one.hash)


def _escalation(one: EscalationRecord) -> Sequence[str]:
    return (
        one.status,
        one.level,
        one.rule,
        shown(one.subject),
        shown(one.predicate),
        shown(one.detail),
        time_text(one.raised.time_ms),
        one.id,
    )


def _predicate(one: PredicateRecord) -> Sequence[str]:
    separator = "" if one.separator is None else repr(shown(one.separator))
    return shown(one.predicate), one.cardinality, one.tolerance or "", separator, shown(one.default_lens or "")


def _alias(one: AliasRecord) -> Sequence[str]:
    return shown(one.subject), shown(one.same_as), shown(one.canonical), time_text(one.time_ms)


def _lens(one: LensRecord) -> Sequence[str]:
    takes = "pair" if one.takes_predicate else "subject"
    return one.name, str(one.version), "default" if one.is_default else "", takes, ", ".join(one.parameters)


def _subject(one: str) -> Sequence[str]:
    return (shown(one),)


def _audited(one: AuditedQuery) -> Sequence[str]:
    return (
        time_text(one.time_ms),
        shown(one.subject),
        shown(one.predicate or ""),
        f"{one.lens.name}/{one.lens.version}",
        one.status,
        str(one.seq),
        one.id,
    )


ASSERTIONS: Final = Table(
    ("seq", "subject", "predicate", "value", "confidence", "tier", "agents", "hash"),
    _assertion,
    ("seq", "confidence", "agents"),
)
SUBJECTS: Final = Table(("subject",), _subject)
AGENTS: Final = Table(("agent", "trust", "right", "wrong", "state"), _agent, ("trust", "right", "wrong"), "agent")
EPOCHS: Final = Table(("name", "from", "to", "supersedes", "superseded", "epoch"), _epoch, whole="epoch")
SOURCES: Final = Table(("status", "label", "address", "since", "source"), _source, whole="source")
PACKS: Final = Table(("name", "version", "members", "curator", "note", "pack"), _pack, ("version", "members"), "pack")
GOLD_STANDARDS: Final = Table(("subject", "predicate", "value", "tolerance", "hash"), _gold)
ESCALATIONS: Final = Table(
    ("status", "level", "rule", "subject", "predicate", "what", "raised", "escalation"),
    _escalation,
    whole="escalation",
)
PREDICATES: Final = Table(("predicate", "values", "tolerance", "separator", "lens"), _predicate)
ALIASES: Final = Table(("subject", "is the same as", "stands for both", "since"), _alias)
LENSES: Final = Table(("lens", "version", "", "takes a", "parameters"), _lens)
AUDITS: Final = Table(
    ("asked", "subject", "predicate", "lens", "status", "seq", "audit"), _audited, ("seq",), whole="audit"
)


def print_ballot(ballot: Ballot) -> None:
    """Totals, then votes."""
    print_fields(
        [("subject", shown(ballot.subject)), ("votes", str(ballot.count)), ("sum", ballot.sum), _as_of(ballot.seq)]
    )
    rows = [
        (one.weight, one.effect, short(one.agent), time_text(one.timestamp), shown(one.reason or ""), short(one.hash))
        for one in ballot.items
    ]
    if rows:
        print_table(("weight", "effect", "agent", "voted", "reason", "hash"), rows, right=("weight",))


def print_lineage(lineage: Lineage) -> None:
    """Ancestors, then descendants."""
    for title, relatives in (("comes from", lineage.ancestors), ("led to    ", lineage.descendants)):
        print_fields([(title, counted(len(relatives), "assertion"))])
        if relatives:
            print_table(_RELATIVES, [_relative(one) for one in relatives], right=("steps",))
    if lineage.truncated:
        print_fields([("", "there is more: --depth, --limit")])


def print_subject(report: SubjectReport) -> None:
    """A subject's pairs."""
    if report.same_as:
        print_fields([("same as", ", ".join(shown(name) for name in report.same_as))])
    rows = [
        (
            shown(one.predicate),
            winner_text(one.value),
            f"{one.confidence:.2f}",
            f"{one.conflict:.2f} ({one.status})",
            str(one.candidates_count),
            one.lens,
        )
        if one.status is not None
        else (shown(one.predicate), "too many claims", "", "", "", "")
        for one in report.items
    ]
    if rows:
        columns = ("predicate", "answer", "confidence", "conflict", "claims", "lens")
        print_table(columns, rows, right=("confidence", "claims"))


def print_agent(report: AgentReport) -> None:
    """Standing, then how trust moved."""
    more = " or more" if report.has_more_claims else ""
    fields = [
        ("agent", report.agent),
        ("did", report.did),
        ("trust", f"{report.trust:.3f}, {report.right_count} right, {report.wrong_count} wrong"),
        ("claims", f"{report.claims_count:,}{more}"),
        ("quota", f"{report.quota.used:,} of {report.quota.limit:,} tokens until {time_text(report.quota.resets_ms)}"),
        ("operator", "yes" if report.is_operator else "no"),
    ]
    if report.revoked is not None:
        told = f"since seq {report.revoked.seq}, by {short(report.revoked.by)}: {shown(report.revoked.reason)}"
        fields.append(("revoked", told))
    print_fields([*fields, _as_of(report.seq)])
    rows = [(str(one.seq), time_text(one.time_ms), f"{one.before:.3f}", f"{one.after:.3f}") for one in report.items]
    if rows:
        print_table(("seq", "time", "from", "to"), rows, right=("seq", "from", "to"))


def print_epoch(report: EpochReport) -> None:
    """An epoch and its chain."""
    print_items(EPOCHS, [report])
    if len(report.chain) > 1:
        print_fields([("hidden by", one) for one in report.chain[1:]])


def print_source(report: SourceReport) -> None:
    """A source and its statuses."""
    print_fields(
        [
            ("source", report.source_hash),
            ("label", shown(report.label)),
            *([("address", shown(report.url))] if report.url else []),
            *([("content", f"{report.content_bytes:,} bytes in the log")] if report.content_hash else []),
        ]
    )
    rows = [(str(one.seq), time_text(one.time_ms), one.status, short(one.agent)) for one in report.statuses]
    print_table(("seq", "since", "status", "set by"), rows, right=("seq",))


def print_impact(impact: Impact) -> None:
    """What rests on a source."""
    claims = [
        (str(one.seq), shown(one.subject), shown(one.predicate), value_text(one.value), one.lifecycle, one.hash)
        for one in impact.items
    ]
    print_fields([("rest on it", counted(len(claims), "assertion"))])
    if claims:
        print_table(_IMPACTED, claims, right=("seq",), whole="hash")
    print_fields([("came of those", counted(len(impact.descendants), "assertion"))])
    if impact.descendants:
        print_table(_RELATIVES, [_relative(one) for one in impact.descendants], right=("steps",))
    print_fields([("used by", counted(len(impact.answers), "audited answer"))])
    if impact.answers:
        rows = [
            (time_text(one.time_ms), ", ".join(short(used) for used in one.hashes), one.audit_id)
            for one in impact.answers
        ]
        print_table(("asked", "rests on", "audit"), rows, whole="audit")
    if impact.truncated:
        print_fields([("", "there is more: --limit")])


def print_pack(report: PackReport) -> None:
    """A pack and its members."""
    print_items(PACKS, [report])
    if report.members:
        rows = [(f"{one.weight:g}", one.agent) for one in report.members]
        print_table(("weight", "agent"), rows, right=("weight",), whole="agent")


def _relative(one: Relative) -> Sequence[str]:
    return (
        str(one.depth),
        one.relation,
        short(one.via),
        shown(one.subject or "not here"),
        shown(one.predicate or ""),
        _value(one.value),
        one.lifecycle or "",
        short(one.hash),
    )


def _value(value: AnyValue | None) -> str:
    return "" if value is None else value_text(value)


def _as_of(seq: int) -> tuple[str, str]:
    return "as of", f"seq {seq}"
