"""episteme epoch, supersede, source, gold, pack, quota, predicate, alias, revoke, ack."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from blake3 import blake3

from episteme.cli.app import App
from episteme.cli.negative import NegativeNumbers
from episteme.cli.session import (
    KEY_DEFAULT,
    URL_DEFAULT,
    Data,
    DryRun,
    KeyName,
    OutputOption,
    Url,
    Wait,
    whole_agent,
    whole_hash,
)
from episteme.cli.signing import Unless, sign_and_send
from episteme.cli.write import ValueType, assert_claim, keygen, object_from, vote
from episteme.errors import InvalidField
from episteme.lenses import LENSES
from episteme.node import system_clock_ms
from episteme.parameters import parse_time

_TIMES: Final = "RFC 3339, or milliseconds since 1970"
_OF_PAIRS: Final = sorted(name for name, lens in LENSES.items() if lens.takes_predicate)


class SupersessionName(StrEnum):
    """What an epoch does to the one that it supersedes."""

    TEMPORAL = "temporal"
    INVALIDATION = "invalidation"
    ADDITIVE = "additive"


class SourceStatusName(StrEnum):
    """What is thought of a source."""

    ACTIVE = "active"
    SUSPECT = "suspect"
    RETRACTED = "retracted"


def epoch(
    name: Annotated[str, typer.Argument(help="What the epoch is called.")],
    start: Annotated[str | None, typer.Option("--start", help=f"When it begins: {_TIMES}. [default: now]")] = None,
    end: Annotated[str | None, typer.Option("--end", help="When it ends.")] = None,
    supersedes: Annotated[str | None, typer.Option("--supersedes", help="The id of an older epoch.")] = None,
    supersession: Annotated[
        SupersessionName | None,
        typer.Option("--supersession", help="With --supersedes: all but additive hide the older one's claims."),
    ] = None,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Register an epoch, the paradigm that claims belong to; its hash is its id. For operators."""
    sign_and_send(
        lambda db: db.epoch(
            name,
            system_clock_ms() if start is None else parse_time("--start", start),
            end=None if end is None else parse_time("--end", end),
            supersedes=supersedes,
            supersession=None if supersession is None else supersession.value,
            wait_s=wait,
        ),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
    )


def supersede(
    assertion: Annotated[str, typer.Argument(callback=whole_hash, help="The hash of the assertion to hide.")],
    replacement: Annotated[
        str | None,
        typer.Argument(callback=whole_hash, help="The hash of the one that takes its place; without it, none does."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Hide an assertion in favour of another, or of nothing. For its signers and for operators."""
    sign_and_send(
        lambda db: db.supersede(assertion, replacement, reason=reason, wait_s=wait),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
        unless=Unless(
            lambda db, agent: agent in [one.agent for one in db.get(assertion).signatures],
            "did not sign the assertion",
        ),
    )


def source(
    source_hash: Annotated[
        str | None, typer.Argument(metavar="[HASH]", callback=whole_hash, help="BLAKE3 of the evidence.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="What it is called; without it, label and address stay as they are registered."),
    ] = None,
    status: Annotated[
        SourceStatusName, typer.Option("--status", help="Only operators change it.")
    ] = SourceStatusName.ACTIVE,
    address: Annotated[str | None, typer.Option("--address", help="Where it can be read, a URL.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="The evidence, for its hash.", exists=True, dir_okay=False)
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the text of --file in the log, up to 1 MiB, for good.")
    ] = False,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Register a piece of evidence, or change its status."""
    content = None if file is None else _read(file)
    if keep and content is None:
        raise typer.BadParameter("there is nothing to keep without --file", param_hint="--keep")
    made = None if content is None else blake3(content).hexdigest()
    if source_hash is not None and made not in (None, source_hash):
        raise typer.BadParameter(f"is not the hash of --file, which is {made}", param_hint="HASH")
    sign_and_send(
        lambda db: db.source(
            source_hash or made,
            label=label,
            status=status.value,
            url=address,
            content=_text(content) if keep and content is not None else None,
            wait_s=wait,
        ),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=status is not SourceStatusName.ACTIVE,
    )


def gold(
    subject: Annotated[str, typer.Argument(help="What the answer is about.")],
    predicate: Annotated[str, typer.Argument(help="Which of its properties.")],
    value: Annotated[str | None, typer.Argument(help="The known answer.")] = None,
    value_type: Annotated[ValueType, typer.Option("--type", help="How to read VALUE.")] = ValueType.TEXT,
    tolerance: Annotated[
        str | None, typer.Option("--tolerance", help="How far from it a number may be and still be right.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the pair's gold standard away.")] = False,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Set the known answer of a pair, against which its signers are judged. For operators."""
    if value is None and not remove:
        raise typer.BadParameter("is missing, and so is --remove", param_hint="VALUE")
    sign_and_send(
        lambda db: db.gold(
            subject,
            predicate,
            None if value is None else object_from(value_type, value),
            tolerance=tolerance,
            removed=remove,
            wait_s=wait,
        ),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
    )


def pack(
    name: Annotated[str, typer.Argument(help="What the list is called; it is this key's.")],
    version: Annotated[int, typer.Argument(min=0, help="A higher one replaces a lower one.")],
    members: Annotated[
        list[str] | None, typer.Argument(help="Agents, each with a weight of 0 to 1 if wanted: AGENT=0.5.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="What there is to say of it.")] = None,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Publish a version of a trust pack: a list of agents that this key vouches for."""
    sign_and_send(
        lambda db: db.pack(name, version, _weights(members or ()), note=note, wait_s=wait),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
    )


def quota(
    agent: Annotated[str, typer.Argument(callback=whole_agent, help="The agent, as 64 hex digits or did:key.")],
    tokens: Annotated[int, typer.Argument(min=0, help="What it may spend in an hour.")],
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Set an agent's limit of tokens an hour. For operators."""
    sign_and_send(
        lambda db: db.quota_limit(agent, tokens, wait_s=wait),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
    )


def predicate(
    name: Annotated[str, typer.Argument(metavar="PREDICATE", help="The predicate.")],
    many: Annotated[bool, typer.Option("--many/--one", help="Whether it has many values or one.")] = False,
    tolerance: Annotated[
        str | None, typer.Option("--tolerance", help="How far apart numbers may be and still be one value.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option("--separator", help="With --many: where a text is taken apart.")
    ] = None,
    lens: Annotated[str | None, typer.Option("--lens", help="The lens of queries that name none.")] = None,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Say how a predicate's values are compared: all of it, nothing is kept from before. For operators."""
    if separator is not None and not many:
        raise typer.BadParameter("goes with --many", param_hint="--separator")
    if lens is not None and lens not in _OF_PAIRS:
        raise typer.BadParameter(f"{lens!r} is none of {', '.join(_OF_PAIRS)}", param_hint="--lens")
    sign_and_send(
        lambda db: db.predicate(
            name,
            cardinality="many" if many else "one",
            tolerance=tolerance,
            separator=separator,
            default_lens=lens,
            wait_s=wait,
        ),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
    )


def alias(
    subject: Annotated[str, typer.Argument(help="The one name.")],
    same_as: Annotated[str, typer.Argument(help="The other; SUBJECT itself takes the alias back.")],
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Say that two subjects are one. For operators."""
    sign_and_send(
        lambda db: db.alias(subject, same_as, wait_s=wait),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
    )


def revoke(
    agent: Annotated[
        str, typer.Argument(callback=whole_agent, help="The agent whose key is revoked, as 64 hex digits or did:key.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Revoke a key for good: from here on it has no voice. For the key itself and for operators."""
    sign_and_send(
        lambda db: db.revoke(agent, reason, wait_s=wait),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
        unless=Unless(lambda _, signer: signer == agent, "the key is not its own"),
    )


def ack(
    escalation: Annotated[str, typer.Argument(help="The id of the escalation.")],
    verdict: Annotated[str, typer.Argument(help="What came of the look at it.")] = "",
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Acknowledge an escalation. For operators."""
    sign_and_send(
        lambda db: db.acknowledge(escalation, verdict, wait_s=wait),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
        for_operators=True,
    )


def add_signing(app: App) -> None:
    """Register the command that makes a key, and all that sign with one."""
    app.command()(keygen)
    app.command("assert", cls=NegativeNumbers)(assert_claim)
    for measured in (vote, gold):
        app.command(cls=NegativeNumbers)(measured)
    app.add(epoch, supersede, source, pack, quota, predicate, alias, revoke, ack)


def _weights(members: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for member in members:
        named, equals, weight = member.partition("=")
        agent = whole_agent(named) or named
        if agent in found:
            raise typer.BadParameter(f"{agent!r} is given twice", param_hint="MEMBERS")
        found[agent] = weight if equals else None
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="--file") from error


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidField(f"--file is not UTF-8 at byte {error.start}, so it cannot be kept") from error
