"""episteme audit list, show, replay."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from episteme.audit import AuditContribution, AuditedQuery, AuditRecord, Replayed
from episteme.cli.answers import print_answer, time_text
from episteme.cli.app import App
from episteme.cli.output import Output, chosen, nothing, print_fields, print_json, print_table, shown, talk
from episteme.cli.session import URL_DEFAULT, Data, OutputOption, Url, database, whole_agent
from episteme.cli.tables import AUDITS, print_items
from episteme.errors import EXIT_VERIFICATION

audit_app = App(help="Queries that were answered, and what they were answered.")

_PAGE_MAX: Final = 1000

AuditId = Annotated[str, typer.Argument(metavar="AUDIT", help="The answer's audit_id, 32 hex digits.")]


class OrderName(StrEnum):
    """Which end of time comes first."""

    NEWEST = "newest"
    OLDEST = "oldest"


@audit_app.command("list")
def list_(
    agent: Annotated[
        str | None, typer.Option("--agent", callback=whole_agent, help="Asked by this agent, as hex or did:key.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="About this subject.")] = None,
    predicate: Annotated[str | None, typer.Option("--predicate", help="About this predicate.")] = None,
    from_time: Annotated[
        str | None, typer.Option("--from", help="Asked at this time or later, such as 2026-11-22T09:30:00Z.")
    ] = None,
    to_time: Annotated[str | None, typer.Option("--to", help="Asked before this time.")] = None,
    order: Annotated[OrderName, typer.Option("--order", help="Which come first.")] = OrderName.NEWEST,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List audited queries; exit code 3 if there are none."""
    items: list[AuditedQuery] = []
    cursor: str | None = None
    with database(url, data) as db:
        while len(items) < limit:
            page = db.audits(
                agent=agent,
                subject=subject,
                predicate=predicate,
                from_time=from_time,
                to_time=to_time,
                order=order.value,
                limit=min(limit - len(items), _PAGE_MAX),
                cursor=cursor,
            )
            items += page.items
            cursor = page.next
            if cursor is None:
                break
    print_items(AUDITS, items, chosen(output))
    if cursor is not None:
        talk.print("there is more: --limit")
    if not items:
        nothing()


@audit_app.command()
def show(audit_id: AuditId, url: Url = URL_DEFAULT, data: Data = None, output: OutputOption = None) -> None:
    """Show one audited query with what its answer rests on."""
    with database(url, data) as db:
        record = db.audit(audit_id)
    if chosen(output) is Output.TABLE:
        _print_record(record)
    else:
        print_json(record, chosen(output))


@audit_app.command()
def replay(audit_id: AuditId, url: Url = URL_DEFAULT, data: Data = None, output: OutputOption = None) -> None:
    """Ask an audited query again, as of the same position.

    Exit code 4 if the answer is not the same.
    """
    with database(url, data) as db:
        replayed = db.replay(audit_id)
    if chosen(output) is Output.TABLE:
        _print_replayed(replayed)
    else:
        print_json(replayed, chosen(output))
    if not replayed.same:
        raise typer.Exit(EXIT_VERIFICATION)


def _print_record(record: AuditRecord) -> None:
    print_fields(
        [
            ("audit", record.id),
            ("asked", time_text(record.time_ms)),
            ("by", record.agent or "not known"),
            ("subject", shown(record.subject)),
            *([("predicate", shown(record.predicate))] if record.predicate is not None else []),
            *((name, shown(text)) for name, text in record.parameters.items()),
            ("as of", f"seq {record.seq}"),
            ("lens", f"{record.lens.name}/{record.lens.version}"),
            ("status", record.status),
            ("winner", record.winner or "none"),
            ("confidence", f"{record.confidence:.2f}"),
            ("conflict", f"{record.conflict:.2f}"),
            ("digest", record.digest),
        ]
    )
    if record.contributions:
        print_table(("weight", "rests on"), [_contribution(one) for one in record.contributions], right=("weight",))


def _contribution(one: AuditContribution) -> tuple[str, str]:
    return f"{one.weight:.2f}", one.hash


def _print_replayed(replayed: Replayed) -> None:
    fields = [("same", "yes" if replayed.same else "no"), ("digest then", replayed.digest_then)]
    if not replayed.same:
        fields.append(("digest now", replayed.digest_now or "none"))
        fields.append(("why", shown(replayed.detail or "")))
    print_fields(fields)
    if replayed.answer is not None:
        print_answer(replayed.answer)
