"""episteme keygen, assert, vote."""

import re
from enum import StrEnum
from typing import Annotated

import typer

from episteme.authoring import object_of
from episteme.cli.output import Output, chosen, fail, print_fields, print_json
from episteme.cli.session import (
    KEY_DEFAULT,
    URL_DEFAULT,
    Data,
    DryRun,
    KeyName,
    OutputOption,
    Url,
    Wait,
    new_name,
    whole_hash,
)
from episteme.cli.signing import sign_and_send
from episteme.errors import EpistemeError, InvalidField
from episteme.keys import DEFAULT_NAME, Key
from episteme.parameters import parse_time
from model import AnyValue, BooleanValue, FieldRule, NumberValue, ReferenceValue

_WITHOUT_ZERO = re.compile(r"^(-?)(?=\.[0-9])")
_WEIGHTS = {"up": "1", "down": "-1", "none": "0"}


class ValueType(StrEnum):
    """The four types of a claim's value."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    REFERENCE = "reference"


class SourceClassName(StrEnum):
    """Tiers 0 to 5."""

    REGULATORY = "regulatory"
    CLINICAL = "clinical"
    OBSERVATIONAL = "observational"
    EXPERT = "expert"
    COMMUNITY = "community"
    ANECDOTAL = "anecdotal"


class LifecycleName(StrEnum):
    """The stages of a claim."""

    PROPOSED = "proposed"
    UNDER_REVIEW = "under_review"
    APPROVED = "approved"
    DEPRECATED = "deprecated"
    REJECTED = "rejected"


def keygen(
    name: Annotated[str, typer.Option("--name", callback=new_name, help="The key's name.")] = DEFAULT_NAME,
    output: OutputOption = None,
) -> None:
    """Make an Ed25519 key and keep it in a file that only you can read."""
    key = Key.generate()
    try:
        path = key.save(name)
    except EpistemeError as error:
        fail(error)
    if chosen(output) is Output.TABLE:
        print_fields([("agent", key.agent_hex), ("did:key", key.did), ("kept in", str(path))])
    else:
        print_json({"agent": key.agent_hex, "did": key.did, "path": str(path)}, chosen(output))


def assert_claim(
    subject: Annotated[str, typer.Argument(help="What the claim is about.")],
    predicate: Annotated[str, typer.Argument(help="Which of its properties.")],
    value: Annotated[str, typer.Argument(help="What the claim says.")],
    value_type: Annotated[ValueType, typer.Option("--type", help="How to read VALUE.")] = ValueType.TEXT,
    confidence: Annotated[str, typer.Option("--confidence", help="0 to 1, at most 6 digits.")] = "1",
    source_class: Annotated[
        SourceClassName, typer.Option("--source-class", help="The tier of the evidence.")
    ] = SourceClassName.ANECDOTAL,
    lifecycle: Annotated[
        LifecycleName, typer.Option("--lifecycle", help="The claim's stage.")
    ] = LifecycleName.APPROVED,
    parent: Annotated[
        str | None, typer.Option("--parent", help="The hash of the assertion that this one follows.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="The hash of the source that the claim rests on.")
    ] = None,
    valid_from: Annotated[
        str | None, typer.Option("--valid-from", help="From when on it holds: RFC 3339, or milliseconds since 1970.")
    ] = None,
    valid_to: Annotated[str | None, typer.Option("--valid-to", help="Until when, that moment left out.")] = None,
    epoch: Annotated[str | None, typer.Option("--epoch", help="The id of the epoch that it belongs to.")] = None,
    narrative: Annotated[str | None, typer.Option("--narrative", help="Up to 8 KiB of explanation.")] = None,
    audience: Annotated[
        str | None, typer.Option("--audience", help="The id of the only database that may take it.")
    ] = None,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Sign a claim and write it."""
    sign_and_send(
        lambda db: db.assert_(
            subject,
            predicate,
            object_from(value_type, value),
            confidence=with_zero(confidence),
            source_class=source_class.value,
            lifecycle=lifecycle.value,
            parent_hash=parent,
            source_hash=source,
            valid_from=None if valid_from is None else parse_time("--valid-from", valid_from),
            valid_to=None if valid_to is None else parse_time("--valid-to", valid_to),
            epoch=epoch,
            narrative=narrative,
            audience=audience,
            wait_s=wait,
        ),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
    )


def vote(
    assertion: Annotated[str, typer.Argument(callback=whole_hash, help="The hash of the assertion.")],
    weight: Annotated[str, typer.Argument(help="-1 to 1, or up, down; 0 or none takes the vote back.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why.")] = None,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    dry_run: DryRun = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Sign a vote on an assertion and write it."""
    sign_and_send(
        lambda db: db.vote(assertion, _WEIGHTS.get(weight, with_zero(weight)), reason=reason, wait_s=wait),
        key=key,
        dry_run=dry_run,
        url=url,
        data=data,
        output=output,
    )


def with_zero(text: str) -> str:
    """A decimal as events spell it: .5 is 0.5."""
    return _WITHOUT_ZERO.sub(r"\g<1>0", text)


def object_from(value_type: ValueType, text: str) -> AnyValue:
    """The value that a text stands for.  Raises: InvalidField."""
    try:
        match value_type:
            case ValueType.TEXT:
                return object_of(text)
            case ValueType.NUMBER:
                return NumberValue(text)
            case ValueType.REFERENCE:
                return ReferenceValue(text)
            case ValueType.BOOLEAN:
                if text.lower() not in ("true", "false"):
                    raise FieldRule("value", "is true or false with --type boolean")
                return BooleanValue(text.lower() == "true")
    except FieldRule as rule:
        raise InvalidField(f"VALUE {rule.detail}") from rule
