"""Lines of the log for a person: when, who, what, one line each."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from episteme.cli.answers import time_text
from episteme.cli.output import Output, counted, print_json, short, shown, value_text
from episteme.loglines import LogLine
from model import (
    EVENT_TYPES,
    Alias,
    Assertion,
    Bundle,
    Epoch,
    EscalationAck,
    Event,
    GoldStandard,
    KeyRevocation,
    PredicateRule,
    QuotaLimit,
    Source,
    Supersession,
    TrustPack,
    Vote,
)

_KIND_CHARS: Final = 14  # of the longest
_SEQ_CHARS: Final = 8
_AGENT_CHARS: Final = 12


class LineRow(Struct, frozen=True):
    """A line as CSV has it."""

    seq: int
    time: str
    kind: str
    agents: str
    text: str
    hash: str


class LinePrinter:
    """Prints line by line, each at once: a table on a terminal has no end to wait for."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._console = Console(highlight=False, soft_wrap=True)
        self._first = True

    def __call__(self, line: LogLine) -> None:
        """Print one."""
        if self._output is Output.TABLE:
            self._console.print(_row(line))
        elif self._output is Output.CSV:
            print_json(_csv_row(line), self._output, first=self._first)
        else:
            print_json(line, self._output)
        self._first = False


def line_text(line: LogLine) -> str:
    """What a line says, in words."""
    if line.event is not None:
        return _TEXTS[type(line.event)](line.event)
    if line.rules is not None:
        return counted(len(line.rules.operators), "operator")
    if line.lost is not None:
        return shown(line.lost)
    return f"{counted(len(line.payload or b''), 'byte')} of kind {line.frame_kind}"


def _row(line: LogLine) -> Text:
    return Text.assemble(
        (f"{line.seq:>{_SEQ_CHARS}}  {time_text(line.time_ms)}  ", "dim"),
        (f"{line.kind:<{_KIND_CHARS}}  ", "bold"),
        f"{_who(line):<{_AGENT_CHARS}}  ",
        line_text(line),
        (f"  {short(line.hash)}" if line.hash else "", "dim"),
    )


def _csv_row(line: LogLine) -> LineRow:
    return LineRow(
        line.seq, time_text(line.time_ms), line.kind, " ".join(line.agents), line_text(line), line.hash or ""
    )


def _who(line: LogLine) -> str:
    """The first signer, and how many more there are."""
    more = len(line.agents) - 1
    return "" if not line.agents else f"{short(line.agents[0])}{f' +{more}' if more else ''}"


def _claim(event: Assertion) -> str:
    pair = f"{shown(event.subject)} {shown(event.predicate)} = {value_text(event.object)}"
    return f"{pair} ({event.source_class}, {event.confidence})"


def _gold(event: GoldStandard) -> str:
    text = f"{shown(event.subject)} {shown(event.predicate)} = {value_text(event.object)}"
    return f"{text} no more" if event.removed is True else text


def _supersession(event: Supersession) -> str:
    by = f" by {short(event.replacement)}" if isinstance(event.replacement, str) else ""
    return f"{event.mode} {short(event.assertion)}{by}: {shown(event.reason)}"


_TEXTS: Final[dict[type[Event], Callable[[Any], str]]] = {
    Assertion: _claim,
    Vote: lambda event: f"{event.weight} on {short(event.assertion)} about {shown(event.subject)}",
    Epoch: lambda event: shown(event.name),
    Supersession: _supersession,
    Source: lambda event: f"{short(event.source_hash)} is {event.status}: {shown(event.label)}",
    GoldStandard: _gold,
    TrustPack: lambda event: f"{shown(event.name)}, version {event.version}, {counted(len(event.members), 'member')}",
    QuotaLimit: lambda event: f"{event.tokens:,} tokens an hour for {short(event.for_agent)}",
    PredicateRule: lambda event: f"{shown(event.predicate)} has {event.cardinality}",
    Alias: lambda event: f"{shown(event.subject)} is {shown(event.same_as)}",
    KeyRevocation: lambda event: f"{short(event.revoked)}: {shown(event.reason)}",
    EscalationAck: lambda event: f"{shown(event.escalation)}: {shown(event.verdict)}",
    Bundle: lambda event: counted(len(event.events), "event"),
}

assert set(_TEXTS) == set(EVENT_TYPES), "a kind has no text"
