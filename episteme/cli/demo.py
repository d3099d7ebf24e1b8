"""episteme demo."""

import os
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import msgspec
import typer
from msgspec import Struct

from episteme.api import Answer, Comparison, Lever
from episteme.audit import AuditOptions
from episteme.cli.answers import winner_text
from episteme.cli.output import Output, chosen, counted, fail, print_json, print_table, short, shown, talk, value_text
from episteme.cli.serve import KEY_FOLDER, OPERATOR_NAME, serve_folder
from episteme.cli.session import OutputOption
from episteme.config import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_URL, NodeConfig, ServerConfig
from episteme.demo import PAIR, STORY, Claim, Loaded, demo_key, load_demo
from episteme.errors import EpistemeError
from episteme.keys import Key
from episteme.node import Node

_WAIT_S: Final = 10.0  # for fifty events to be folded
_QUESTION: Final = "Does semaglutide cause muscle loss?"
_THEN: Final = "2025-06-30T00:00:00Z"


class Voice(Struct, frozen=True):
    """One claim about the question, with who signed it."""

    agent: str
    value: str
    source_class: str
    confidence: str
    hash: str


class Opinion(Struct, frozen=True):
    """What a lens answers, and why."""

    lens: str
    answer: str
    confidence: float
    conflict: float
    why: str


class DemoReport(Struct, frozen=True):
    """What `demo` found once all was loaded; url: none if nothing is served."""

    url: str | None
    folder: str
    agents: int
    subjects: int
    claims: int
    votes: int
    seconds: float
    subject: str
    predicate: str
    voices: list[Voice]
    opinions: list[Opinion]
    lever: str
    next: list[str]


def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the data in this folder, which must be new.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show it and end, without a server.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help=f"[default: {DEFAULT_PORT} if that is free, else any free one]"),
    ] = None,
    output: OutputOption = None,
) -> None:
    """Serve made-up claims that contradict each other, and show what each lens makes of them.

    The data is in a temporary folder, which is removed at the end, unless it is kept. All of it is invented.
    """
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise typer.BadParameter(f"{keep} is there already, and not an empty folder", param_hint="--keep")
    try:
        with _folder(keep) as folder:
            operator = _operator(folder, is_kept=keep is not None)
            report = _told(folder, operator, keep)
            if once:
                _print(report, chosen(output))
            else:
                _serve(folder, operator, port, report, chosen(output))
    except EpistemeError as error:
        fail(error)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        talk.print(f"kept: episteme serve --data {shlex.quote(str(keep))}", markup=False)
        return
    with TemporaryDirectory(prefix="episteme-demo-") as folder:
        yield Path(folder)


def _operator(folder: Path, *, is_kept: bool) -> Key:
    """Who governs: a key that nobody else has if the data is kept, else one that gives the same hashes every time."""
    key = Key.generate() if is_kept else Key(demo_key(OPERATOR_NAME).seed)
    key.save(OPERATOR_NAME, folder / KEY_FOLDER)
    return key


def _told(folder: Path, operator: Key, keep: Path | None) -> DemoReport:
    """Load the story, and ask about it."""
    clock = [0]
    config = NodeConfig(operators=(operator.agent_hex,))
    with Node.open(folder, config=config, clock_ms=lambda: clock[0]) as node:
        started_s = time.perf_counter()
        loaded = load_demo(node, operator, lambda moment_ms: clock.__setitem__(0, moment_ms))
        seconds = time.perf_counter() - started_s
        node.wait_applied(loaded.last_seq, _WAIT_S)
        return _report(node, folder, loaded, seconds, keep)


def _report(node: Node, folder: Path, loaded: Loaded, seconds: float, keep: Path | None) -> DemoReport:
    compared = node.compare(*PAIR, [])
    answers = [node.query(*PAIR, lens=answer.lens.name, explain=True) for answer in compared.answers]
    return DemoReport(
        url=None,
        folder=str(folder),
        agents=loaded.agents,
        subjects=loaded.subjects,
        claims=loaded.claims,
        votes=loaded.votes,
        seconds=round(seconds, 3),
        subject=PAIR[0],
        predicate=PAIR[1],
        voices=_voices(node),
        opinions=[_opinion(answer) for answer in answers],
        lever=_lever_text(compared),
        next=["episteme demo"] if keep is None else _commands(f"--data {shlex.quote(str(keep))}"),
    )


def _voices(node: Node) -> list[Voice]:
    names = {demo_key(act.by).agent_hex: act.by for act in STORY if isinstance(act, Claim)}
    return [
        Voice(
            ", ".join(names[signature.agent] for signature in stored.signatures),
            value_text(stored.event.object),
            stored.event.source_class,
            stored.event.confidence,
            stored.hash,
        )
        for stored in node.assertions(subject=PAIR[0], predicate=PAIR[1]).items
    ]


def _opinion(answer: Answer) -> Opinion:
    assert answer.explain is not None, "it was asked for"
    return Opinion(
        answer.lens.name,
        "none" if answer.winner is None else winner_text(answer.winner.value),
        round(answer.confidence, 6),
        round(answer.conflict, 6),
        f"{answer.explain.why.partition('. ')[0].rstrip('.')}.",
    )


def _lever_text(compared: Comparison) -> str:
    """The claim that most lenses hang on."""
    by_claim: dict[str, list[Lever]] = {}
    for lever in compared.levers:
        by_claim.setdefault(lever.hash, []).append(lever)
    if not by_claim:
        return "No lens hangs on a single claim here."
    levers = max(by_claim.values(), key=len)
    lenses = ", ".join(lever.lens for lever in levers)
    first = levers[0]
    return (
        f"One claim carries {counted(len(levers), 'answer')}: without {short(first.hash)}, which says "
        f"{value_text(first.value)}, {lenses} would say {winner_text(first.winner_without)}."
    )


def _commands(place: str) -> list[str]:
    """What to type next; place: how a command finds the database, if it needs to be told."""
    pair = " ".join(PAIR)
    asked = (
        f"query {pair} --explain",
        f"query {pair} --as-of {_THEN}",
        f"history {pair}",
        "query Pluto is_a --include superseded_epochs",
        "query login --lens constraints",
        "compare Nile length_km",
        "tail --last 5",
        f"assert {pair} false --boolean --confidence 0.8",
    )
    return [f"episteme {command} {place}".rstrip() for command in asked]


def _serve(folder: Path, operator: Key, port: int | None, report: DemoReport, output: Output) -> None:
    def started(_node: Node, url: str) -> None:
        is_found = os.environ.get("EPISTEME_URL", DEFAULT_URL) == url and "EPISTEME_DATA" not in os.environ
        commands = _commands("" if is_found else f"--url {url}")
        query = f"subject={PAIR[0]}&predicate={PAIR[1]}&lens=authority"
        commands.append(f"curl -s '{url}/v1/query?{query}'")
        _print(msgspec.structs.replace(report, url=url, next=commands), output)
        talk.print("serving until Ctrl-C", markup=False)

    serve_folder(
        folder,
        lambda: NodeConfig(operators=(operator.agent_hex,), audit=AuditOptions(enabled=True)),
        ServerConfig(port=_free_port() if port is None else port),
        started,
    )


def _free_port() -> int:
    """The usual port, or 0 for any, if somebody has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((DEFAULT_HOST, DEFAULT_PORT))
        except OSError:
            return 0
    return DEFAULT_PORT


def _print(report: DemoReport, output: Output) -> None:
    if output is not Output.TABLE:
        print_json(report, output)
        return
    typer.echo(
        f"{counted(report.claims, 'claim')} of {counted(report.agents, 'agent')} about "
        f"{counted(report.subjects, 'subject')} and {counted(report.votes, 'vote')}, all invented; written in "
        f"{report.seconds:.2f} s, each on the disk before it was acknowledged"
    )
    typer.echo(
        f"in {report.folder}" + ("" if report.url is None else f", served at {report.url}, pages at {report.url}/docs")
    )
    typer.echo(f"\n{_QUESTION}  The agents disagree:\n")
    print_table(
        ("agent", "says", "tier", "confidence", "claim"),
        [(one.agent, one.value, one.source_class, one.confidence, short(one.hash)) for one in report.voices],
        right=("confidence",),
    )
    typer.echo("\nA reader picks the lens that decides:\n")
    print_table(
        ("lens", "answer", "confidence", "conflict", "why"),
        [
            (one.lens, shown(one.answer), f"{one.confidence:.2f}", f"{one.conflict:.2f}", one.why)
            for one in report.opinions
        ],
        right=("confidence", "conflict"),
    )
    typer.echo(f"\n{report.lever}\n")
    typer.echo("Try next" + ("" if report.url is None else ", in another terminal") + ":\n")
    for command in report.next:
        typer.echo(f"  {command}")
