"""The commands that list: votes, lineage, assertions, subjects, agents, epochs, sources, packs, rules and so on."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from episteme.cli import tables
from episteme.cli.app import App
from episteme.cli.output import Output, chosen, nothing, print_json, talk
from episteme.cli.session import URL_DEFAULT, Data, MinSeq, OutputOption, Url, database, names, whole_agent, whole_hash
from episteme.client import Client
from episteme.lookups import Lookups, Paged
from episteme.node import Node
from episteme.shapes import Page

Shape = TypeVar("Shape")

_FOLLOW_WAIT_S: Final = 25.0  # of one request; proxies let go of what is silent for half a minute
_PAGE_MAX: Final = 1000

HashArgument = Annotated[
    str, typer.Argument(metavar="HASH", callback=whole_hash, help="The assertion's hash, 64 hex digits.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]
Prefix = Annotated[str, typer.Option("--prefix", help="Only those that begin with this.")]


class StatusName(StrEnum):
    """What became of an escalation."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class LevelName(StrEnum):
    """How urgent an escalation is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


def votes(
    assertion: HashArgument,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Show every vote on an assertion with its effect, and what the votes come to."""
    _show(
        lambda db: db.ballot(assertion, limit=min(limit, _PAGE_MAX), min_seq=min_seq),
        tables.print_ballot,
        url,
        data,
        output,
    )


def lineage(
    assertion: HashArgument,
    depth: Annotated[int, typer.Option("--depth", min=1, max=100, help="At most so many steps away.")] = 10,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many each way.")] = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Show where an assertion comes from and what it led to, by parent and by replacement."""
    _show(
        lambda db: db.lineage(assertion, depth=depth, limit=limit, min_seq=min_seq),
        tables.print_lineage,
        url,
        data,
        output,
    )


def assertions(
    subject: Annotated[str | None, typer.Option("--subject", help="About this subject.")] = None,
    predicate: Annotated[str | None, typer.Option("--predicate", help="About this predicate.")] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", callback=whole_agent, help="Signed by this agent, as hex or did:key.")
    ] = None,
    source_class: Annotated[
        list[str] | None, typer.Option("--source-class", help="Of these tiers; repeatable.")
    ] = None,
    lifecycle: Annotated[list[str] | None, typer.Option("--lifecycle", help="Of these stages; repeatable.")] = None,
    epoch: Annotated[str | None, typer.Option("--epoch", help="Of this epoch.")] = None,
    since_seq: Annotated[
        int | None, typer.Option("--since-seq", min=0, help="First written at this position or later.")
    ] = None,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List assertions as they were signed, in log order."""

    def read(db: Lookups, paged: Paged) -> Page[Any]:
        return db.assertions(
            subject=subject,
            predicate=predicate,
            agent=agent,
            source_class=names(source_class),
            lifecycle=names(lifecycle),
            epoch=epoch,
            since_seq=since_seq,
            **paged,
        )

    _list(read, tables.ASSERTIONS, limit, min_seq, url, data, output)


def subjects(
    subject: Annotated[str | None, typer.Argument(help="One of them, for what its pairs come to.")] = None,
    prefix: Prefix = "",
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List known subjects, or show one."""
    if subject is not None:
        page = min(limit, _PAGE_MAX)
        _show(lambda db: db.subject(subject, limit=page, min_seq=min_seq), tables.print_subject, url, data, output)
    else:
        _list(lambda db, paged: db.subjects(prefix, **paged), tables.SUBJECTS, limit, min_seq, url, data, output)


def agents(
    agent: Annotated[
        str | None, typer.Argument(callback=whole_agent, help="One of them, for its trust, quota and counts.")
    ] = None,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List agents that have signed a claim, or show one."""
    if agent is not None:
        page = min(limit, _PAGE_MAX)
        _show(lambda db: db.agent(agent, limit=page, min_seq=min_seq), tables.print_agent, url, data, output)
    else:
        _list(lambda db, paged: db.agents(**paged), tables.AGENTS, limit, min_seq, url, data, output)


def epochs(
    epoch: Annotated[
        str | None, typer.Argument(callback=whole_hash, help="One of them, by its id, for its chain.")
    ] = None,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List epochs, or show one."""
    if epoch is not None:
        _show(lambda db: db.get_epoch(epoch, min_seq=min_seq), tables.print_epoch, url, data, output)
    else:
        _list(lambda db, paged: db.epochs(**paged), tables.EPOCHS, limit, min_seq, url, data, output)


def sources(
    source: Annotated[
        str | None, typer.Argument(callback=whole_hash, help="One of them, by its hash, for its statuses.")
    ] = None,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List registered sources, or show one."""
    if source is not None:
        _show(lambda db: db.get_source(source, min_seq=min_seq), tables.print_source, url, data, output)
    else:
        _list(lambda db, paged: db.sources(**paged), tables.SOURCES, limit, min_seq, url, data, output)


def impact(
    source: Annotated[str, typer.Argument(metavar="HASH", callback=whole_hash, help="The hash of the source.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many of each kind.")] = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Show what rests on a source: assertions, what came of them, and the answers that used them."""
    _show(lambda db: db.impact(source, limit=limit, min_seq=min_seq), tables.print_impact, url, data, output)


def packs(
    pack: Annotated[
        str | None, typer.Argument(callback=whole_hash, help="One of them, by its id, for its members.")
    ] = None,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List trust packs, or show one."""
    if pack is not None:
        _show(lambda db: db.get_pack(pack, min_seq=min_seq), tables.print_pack, url, data, output)
    else:
        _list(lambda db, paged: db.packs(**paged), tables.PACKS, limit, min_seq, url, data, output)


def gold_standards(
    subject: Annotated[str | None, typer.Argument(help="Only those of this subject.")] = None,
    predicate: Annotated[str | None, typer.Argument(help="Only that of this predicate of the subject.")] = None,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List the known answers."""
    _list(
        lambda db, paged: db.gold_standards(subject, predicate, **paged),
        tables.GOLD_STANDARDS,
        limit,
        min_seq,
        url,
        data,
        output,
    )


def escalations(
    status: Annotated[list[StatusName] | None, typer.Option("--status", help="Of this status; repeatable.")] = None,
    level: Annotated[list[LevelName] | None, typer.Option("--level", help="Of this level; repeatable.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Raised by this rule.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="About this subject.")] = None,
    after: Annotated[
        int | None, typer.Option("--after", min=-1, help="Raised after this position; oldest first then.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those to come, until Ctrl-C; with a server.")
    ] = False,
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List what the rules have raised for people to look at, newest first."""

    def read(db: Lookups, paged: Paged, behind: int | None = after) -> Page[Any]:
        return db.escalations(
            status=[one.value for one in status or ()],
            level=[one.value for one in level or ()],
            rule=rule,
            subject=subject,
            after=behind,
            **paged,
        )

    if not follow:
        _list(read, tables.ESCALATIONS, limit, min_seq, url, data, output)
        return
    if data is not None:
        raise typer.BadParameter("needs a server: nobody else writes to a folder that is open", param_hint="--follow")
    with database(url, None) as db:
        _follow(db, read, after, chosen(output))


def predicates(
    prefix: Prefix = "",
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List how predicates' values are compared."""
    _list(lambda db, paged: db.predicates(prefix, **paged), tables.PREDICATES, limit, min_seq, url, data, output)


def aliases(
    prefix: Prefix = "",
    limit: Limit = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """List subjects that are another one."""
    _list(lambda db, paged: db.aliases(prefix, **paged), tables.ALIASES, limit, min_seq, url, data, output)


def lenses(url: Url = URL_DEFAULT, data: Data = None, output: OutputOption = None) -> None:
    """List the lenses with their parameters."""
    _list(lambda db, paged: db.lenses(**paged), tables.LENSES, _PAGE_MAX, None, url, data, output)


def add_listings(app: App) -> None:
    """Register the commands of this module."""
    commands: tuple[Callable[..., None], ...] = (
        votes,
        lineage,
        assertions,
        subjects,
        agents,
        epochs,
        sources,
        impact,
        packs,
        gold_standards,
        escalations,
        predicates,
        aliases,
        lenses,
    )
    app.add(*commands)


def _show(
    read: Callable[[Client | Node], Shape],
    print_table: Callable[[Shape], None],
    url: str,
    data: Path | None,
    output: Output | None,
) -> None:
    """One report; whether it goes on is said."""
    with database(url, data) as db:
        found = read(db)
    if chosen(output) is Output.TABLE:
        print_table(found)
    else:
        print_json(found, chosen(output))
    if getattr(found, "next", None) is not None:
        talk.print("there is more: --limit")


def _list(
    read: Callable[[Client | Node, Paged], Page[Any]],
    table: tables.Table,
    limit: int,
    min_seq: int | None,
    url: str,
    data: Path | None,
    output: Output | None,
) -> None:
    """So many items, from as many pages as it takes; exit code 3 if there are none."""
    items: list[Any] = []
    cursor: str | None = None
    is_one_document = chosen(output) is Output.JSON
    with database(url, data) as db:
        while True:
            page = read(db, Paged(limit=min(limit - len(items), _PAGE_MAX), cursor=cursor, min_seq=min_seq))
            if not is_one_document:
                tables.print_items(table, page.items, chosen(output), first=not items)
            items += page.items
            cursor = page.next
            if cursor is None or len(items) >= limit:
                break
    if is_one_document:
        tables.print_items(table, items, Output.JSON)
    if cursor is not None:
        talk.print("there is more: --limit")
    if not items:
        nothing()


def _follow(db: Client | Node, read: Callable[..., Page[Any]], after: int | None, output: Output) -> None:
    """Print what comes, page by page, until the process is interrupted."""
    behind = read(db, Paged(limit=1)).seq if after is None else after
    cursor: str | None = None
    first = True
    while True:
        page = read(db, Paged(cursor=cursor, wait_s=_FOLLOW_WAIT_S), behind)
        tables.print_items(tables.ESCALATIONS, page.items, output, first=first)
        first = first and not page.items
        cursor = page.next
        if cursor is None:
            behind = page.seq
