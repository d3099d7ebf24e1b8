"""episteme query, get, status."""

from typing import Annotated

import typer

from episteme.api import Answer, AnswerGroup, StatusReport, StoredAssertion
from episteme.cli.output import Output, chosen, counted, print_fields, print_json, print_table, short, shown
from episteme.cli.session import URL_DEFAULT, Data, MinSeq, OutputOption, Url, database
from episteme.errors import EXIT_FAILED, EXIT_NOTHING
from episteme.lenses import DEFAULT_LENS, LENSES
from model import SOURCE_CLASSES, AnyValue

_BAR_CELLS = 20


def query(
    subject: Annotated[str, typer.Argument(help="What is asked about.")],
    predicate: Annotated[str, typer.Argument(help="Which of its properties.")],
    lens: Annotated[str, typer.Option("--lens", help=f"One of {', '.join(sorted(LENSES))}.")] = DEFAULT_LENS,
    source_class: Annotated[
        list[str] | None, typer.Option("--source-class", help="Only these tiers; repeatable.")
    ] = None,
    lifecycle: Annotated[list[str] | None, typer.Option("--lifecycle", help="Only these stages; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many values and hashes.")] = None,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Resolve what the claims about a subject's predicate come to."""
    with database(url, data) as db:
        answer = db.query(
            subject,
            predicate,
            lens=lens,
            source_class=source_class or (),
            lifecycle=lifecycle or (),
            limit=limit,
            min_seq=min_seq,
        )
    if chosen(output) is Output.TABLE:
        _print_answer(answer)
    else:
        print_json(answer, chosen(output))
    if answer.winner is None:
        raise typer.Exit(EXIT_NOTHING)


def get(
    hash_hex: Annotated[str, typer.Argument(metavar="HASH", help="The assertion's hash, 64 hex digits.")],
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Show one assertion as it was signed."""
    with database(url, data) as db:
        stored = db.get(hash_hex, min_seq=min_seq)
    if chosen(output) is Output.TABLE:
        _print_stored(stored)
    else:
        print_json(stored, chosen(output))


def status(url: Url = URL_DEFAULT, data: Data = None, output: OutputOption = None) -> None:
    """Show positions, lag, sizes and versions.

    Exit code 1 if the database is not ready.
    """
    with database(url, data) as db:
        report = db.status()
    if chosen(output) is Output.TABLE:
        _print_status(report)
    else:
        print_json(report, chosen(output))
    if not report.ready:
        raise typer.Exit(EXIT_FAILED)


def _print_answer(answer: Answer) -> None:
    if answer.winner is None:
        print_fields([("answer", "none: no claims"), ("as of", f"seq {answer.seq}")])
        return
    print_fields(
        [
            ("answer", value_text(answer.winner.value)),
            ("lens", f"{answer.lens.name}/{answer.lens.version}"),
            ("confidence", f"{answer.confidence:.2f}"),
            ("conflict", f"{answer.conflict:.2f} ({answer.status})"),
            ("claims", f"{answer.candidates_count:,} with {counted(answer.groups_count, 'value')}"),
            ("as of", f"seq {answer.seq}"),
            ("assertion", answer.winner.hash),
        ]
    )
    print_table(
        ("share", "", "agents", "votes", "best tier", "value", "hash"),
        [_group_cells(group) for group in answer.groups],
        right=("share", "agents", "votes"),
    )
    hidden = answer.groups_count - len(answer.groups)
    if hidden:
        print_fields([("", f"{hidden} more values: --limit")])


def _group_cells(group: AnswerGroup) -> tuple[str, ...]:
    return (
        f"{group.share:.2f}",
        "█" * round(group.share * _BAR_CELLS),
        str(group.support),
        f"{group.votes:g}",
        SOURCE_CLASSES[group.best_tier],
        value_text(group.value),
        short(group.hashes[0]) if group.hashes else "",
    )


def _print_stored(stored: StoredAssertion) -> None:
    event = stored.event
    fields = [
        ("hash", stored.hash),
        ("seq", str(stored.seq)),
        ("subject", shown(event.subject)),
        ("predicate", shown(event.predicate)),
        ("value", f"{value_text(event.object)} ({event.object.__struct_config__.tag})"),
        ("confidence", event.confidence),
        ("source class", event.source_class),
        ("lifecycle", event.lifecycle),
        ("timestamp", str(event.timestamp)),
    ]
    if isinstance(event.parent_hash, str):
        fields.append(("parent", event.parent_hash))
    if isinstance(event.narrative, str):
        fields.append(("narrative", shown(event.narrative)))
    if isinstance(event.metadata, dict):
        fields.extend((f"metadata {name}", shown(value)) for name, value in sorted(event.metadata.items()))
    fields.extend(("signed by", signature.agent) for signature in stored.signatures)
    print_fields(fields)


def _print_status(report: StatusReport) -> None:
    letters = report.fold.dead_letters
    print_fields(
        [
            ("ready", "yes" if report.ready else "no: " + "; ".join(report.reasons)),
            ("version", report.version),
            ("database", report.database),
            ("log", f"seq {report.log.seq}, {report.log.size_bytes / 1e6:.1f} MB"),
            ("fold", f"seq {report.fold.applied_seq}, lag {report.fold.lag}"),
            *([("dead letters", f"{letters}: see `episteme state dead-letters`")] if letters else []),
            ("store", f"{report.store_bytes / 1e6:.1f} MB"),
            ("up", f"{report.uptime_s:.0f} s"),
        ]
    )


def value_text(value: AnyValue) -> str:
    """A value for a terminal."""
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return shown(value.value)
