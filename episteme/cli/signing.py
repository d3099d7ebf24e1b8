"""What all signing commands share: sign with a key, then send; or with --dry-run only show what would be sent."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec import Struct

from episteme.api import StoredAssertion
from episteme.catalog import Listing
from episteme.cli.output import Output, chosen, print_fields, print_json, shown_lines, talk
from episteme.cli.session import database, signing_key
from episteme.client import Client
from episteme.errors import EpistemeError, translate
from episteme.gate import envelope_line
from episteme.govern import Governing
from episteme.node import Node
from episteme.receipts import Receipt
from model import SignedEvent, canonical_bytes, decode_envelope

Shape = TypeVar("Shape")

_NO_EFFECT = "note: {agent} is no operator of this database{besides}, so the event is kept and has no effect"


class Rehearsed(Struct, frozen=True):
    """What --dry-run prints."""

    hash: str
    canonical: str


class Unless(NamedTuple):
    """Agents who may do what else only operators may; is_not: what is said of one who is none of them."""

    holds: Callable[[Client | Node, str], bool]
    is_not: str


class Rehearsal(Governing):
    """Signs, and keeps what would be sent; it reads from a database, and writes nothing to it."""

    def __init__(self, database: Client | Node) -> None:
        self.key = database.key
        self.clock_ms = database.clock_ms
        self.signed: SignedEvent | None = None
        self._database = database

    def submit(self, signed: SignedEvent, *, wait_s: float | None = None) -> Receipt:  # noqa: ARG002
        """Keep it, if it is one that a database would take.  Raises: InvalidField."""
        try:
            decode_envelope(envelope_line(signed))
        except ValueError as error:
            raise translate(error) from error
        self.signed = signed
        return Receipt(signed.hash_hex, -1)

    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> StoredAssertion:
        """As Database.get."""
        return self._database.get(hash_hex, min_seq=min_seq, wait_s=wait_s)

    def look(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Shape:
        """As Lookups.look."""
        return self._database.look(listing, asked)


def sign_and_send(
    act: Callable[[Governing], Receipt],
    *,
    key: str,
    dry_run: bool,
    url: str,
    data: Path | None,
    output: Output | None,
    for_operators: bool = False,
    unless: Unless | None = None,
) -> None:
    """Do what a command does to a database, and print the receipt.

    for_operators: say so if the key is not that of an operator; unless: who else may.
    """
    signer = signing_key(key)
    agent = signer.agent_hex
    with database(url, data, signer) as db:
        if dry_run:
            rehearsal = Rehearsal(db)
            act(rehearsal)
            assert rehearsal.signed is not None, "every command signs one event"
            _print_rehearsed(rehearsal.signed, chosen(output))
            return
        receipt = act(db)
        print_receipt(receipt, chosen(output))
        may = unless is not None and unless.holds(db, agent)
        if for_operators and not may and not _is_operator(db, agent):
            besides = "" if unless is None else f", and {unless.is_not}"
            talk.print(_NO_EFFECT.format(agent=agent, besides=besides), markup=False)


def print_receipt(receipt: Receipt, output: Output) -> None:
    """What a write was answered."""
    if output is Output.TABLE:
        print_fields([(receipt.status, receipt.hash), ("seq", str(receipt.seq))])
        if receipt.status == "duplicate":
            talk.print("nothing new was said: the same content was there already, at this position")
    else:
        print_json(receipt, output)


def _print_rehearsed(signed: SignedEvent, output: Output) -> None:
    rehearsed = Rehearsed(signed.hash_hex, canonical_bytes(signed.event).decode("utf-8"))
    if output is Output.TABLE:
        print_fields([("hash", rehearsed.hash), ("canonical", shown_lines(rehearsed.canonical))])
        talk.print("nothing was sent")
    else:
        print_json(rehearsed, output)


def _is_operator(db: Client | Node, agent: str) -> bool:
    """Whether the database has this operator; if that cannot be read now, nothing is said of it."""
    try:
        return db.agent(agent, limit=1).is_operator
    except EpistemeError:
        return True
