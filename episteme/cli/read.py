"""episteme get, bundle, status."""

from typing import Annotated

import typer

from episteme.api import StoredAssertion
from episteme.cli.answers import time_text
from episteme.cli.output import (
    Output,
    chosen,
    counted,
    print_fields,
    print_json,
    shown,
    size_text,
    span_text,
    talk,
    value_text,
)
from episteme.cli.session import URL_DEFAULT, Data, MinSeq, OutputOption, Url, database, whole_hash
from episteme.errors import EXIT_FAILED
from episteme.status import AuditStatus, DiskStatus, StatusReport
from episteme.stored import StoredBundle


def get(
    hash_hex: Annotated[
        str, typer.Argument(metavar="HASH", callback=whole_hash, help="The assertion's hash, 64 hex digits.")
    ],
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


def bundle(
    bundle_hash: Annotated[
        str, typer.Argument(metavar="HASH", callback=whole_hash, help="The bundle's hash, 64 hex digits.")
    ],
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many hashes, in a table.")] = 20,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Show a bundle: which events its agent signed by it."""
    with database(url, data) as db:
        stored = db.get_bundle(bundle_hash, min_seq=min_seq)
    if chosen(output) is Output.TABLE:
        _print_bundle(stored, limit)
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
        ("said", time_text(event.timestamp)),
        ("written", time_text(stored.time_ms)),
    ]
    if isinstance(event.valid_from, int):
        fields.append(("valid from", time_text(event.valid_from)))
    if isinstance(event.valid_to, int):
        fields.append(("valid to", time_text(event.valid_to)))
    for name, hash_hex in (("parent", event.parent_hash), ("source", event.source_hash), ("epoch", event.epoch)):
        if isinstance(hash_hex, str):
            fields.append((name, hash_hex))
    if isinstance(event.audience, str):
        fields.append(("audience", shown(event.audience)))
    if isinstance(event.narrative, str):
        fields.append(("narrative", shown(event.narrative)))
    if isinstance(event.metadata, dict):
        fields.extend((f"metadata {name}", shown(value)) for name, value in sorted(event.metadata.items()))
    for one in stored.signatures:
        fields.append(("signed by", one.agent))
        if isinstance(one.bundle, str):
            fields.append(("in bundle", one.bundle))
    print_fields(fields)


def _print_bundle(stored: StoredBundle, limit: int) -> None:
    event = stored.event
    print_fields(
        [
            ("hash", stored.hash),
            ("seq", str(stored.seq)),
            ("agent", event.agent),
            ("said", time_text(event.timestamp)),
            ("written", time_text(stored.time_ms)),
            ("signs", counted(len(event.events), "event")),
            *(("", digest) for digest in event.events[:limit]),
        ]
    )
    if len(event.events) > limit:
        talk.print("there is more: --limit")


def _audit_text(audit: AuditStatus) -> str:
    if audit.failure is not None:
        return f"cannot be written: {audit.failure}; {audit.lost:,} lost"
    text = f"{audit.written:,} written" if audit.enabled else "off"
    return (
        text
        + (f", {audit.dropped:,} dropped" if audit.dropped else "")
        + (f", {audit.lost:,} lost" if audit.lost else "")
    )


def _disk_fields(disk: DiskStatus) -> list[tuple[str, str]]:
    if disk.free_bytes is None:
        return []
    full = f", and {size_text(disk.reserve_bytes)} are left free: full, no writes are taken" if disk.full else ""
    return [("disk", f"{size_text(disk.free_bytes)} free{full}")]


def _print_status(report: StatusReport) -> None:
    letters = report.fold.dead_letters
    print_fields(
        [
            ("ready", "yes" if report.ready else "no: " + "; ".join(report.reasons)),
            ("version", report.version),
            ("database", report.database),
            ("log", f"seq {report.log.seq}, {size_text(report.log.size_bytes)}"),
            ("fold", f"seq {report.fold.applied_seq}, lag {report.fold.lag}"),
            *([("dead letters", f"{letters}: see `episteme state dead-letters`")] if letters else []),
            ("store", size_text(report.store_bytes)),
            *_disk_fields(report.disk),
            ("audit", _audit_text(report.audit)),
            ("up", span_text(report.uptime_s)),
        ]
    )
