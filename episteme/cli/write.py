"""episteme keygen, assert, vote."""

from enum import StrEnum
from typing import Annotated

import typer

from episteme.api import Receipt
from episteme.authoring import object_of
from episteme.cli.output import Output, chosen, fail, print_fields, print_json, talk
from episteme.cli.session import KEY_DEFAULT, URL_DEFAULT, Data, KeyName, OutputOption, Url, database, signing_key
from episteme.errors import EpistemeError, InvalidField
from episteme.keys import DEFAULT_NAME, Key
from model import AnyValue, BooleanValue, FieldRule, NumberValue, ReferenceValue

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


Wait = Annotated[float | None, typer.Option("--wait", min=0, help="Seconds to wait until the write is readable.")]


def keygen(
    name: Annotated[str, typer.Option("--name", help="The key's name.")] = DEFAULT_NAME, output: OutputOption = None
) -> None:
    """Make an Ed25519 key and keep it in a file that only you can read."""
    key = Key.generate()
    try:
        path = key.save(name)
    except EpistemeError as error:
        fail(error)
    if chosen(output) is Output.TABLE:
        print_fields([("agent", key.agent_hex), ("kept in", str(path))])
    else:
        print_json({"agent": key.agent_hex, "path": str(path)}, chosen(output))


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
    narrative: Annotated[str | None, typer.Option("--narrative", help="Up to 8 KiB of explanation.")] = None,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Sign a claim and write it."""
    with database(url, data, signing_key(key)) as db:
        receipt = db.assert_(
            subject,
            predicate,
            _object(value_type, value),
            confidence=confidence,
            source_class=source_class.value,
            lifecycle=lifecycle.value,
            parent_hash=parent,
            narrative=narrative,
            wait_s=wait,
        )
    _print_receipt(receipt, chosen(output))


def vote(
    assertion: Annotated[str, typer.Argument(help="The hash of the assertion.")],
    weight: Annotated[str, typer.Argument(help="-1 to 1, or up, down; 0 or none takes the vote back.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why.")] = None,
    key: KeyName = KEY_DEFAULT,
    wait: Wait = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Sign a vote on an assertion and write it."""
    with database(url, data, signing_key(key)) as db:
        receipt = db.vote(assertion, _WEIGHTS.get(weight, weight), reason=reason, wait_s=wait)
    _print_receipt(receipt, chosen(output))


def _object(value_type: ValueType, text: str) -> AnyValue:
    try:
        match value_type:
            case ValueType.TEXT:
                return object_of(text)
            case ValueType.NUMBER:
                return NumberValue(text)
            case ValueType.REFERENCE:
                return ReferenceValue(text)
            case ValueType.BOOLEAN:
                if text not in ("true", "false"):
                    raise FieldRule("value", "is true or false with --type boolean")
                return BooleanValue(text == "true")
    except FieldRule as rule:
        raise InvalidField(f"VALUE {rule.detail}") from rule


def _print_receipt(receipt: Receipt, output: Output) -> None:
    if output is Output.TABLE:
        print_fields([(receipt.status, receipt.hash), ("seq", str(receipt.seq))])
        if receipt.status == "duplicate":
            talk.print("nothing new was said: the same content was there already, at this position")
    else:
        print_json(receipt, output)
