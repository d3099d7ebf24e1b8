"""episteme query, compare, history."""

from collections.abc import Iterable
from typing import Annotated

import typer

from episteme.api import QueryOptions
from episteme.cli.answers import print_answer, print_comparison, print_history
from episteme.cli.output import Output, chosen, nothing, print_json, print_list
from episteme.cli.session import URL_DEFAULT, Data, MinSeq, OutputOption, Url, database, names
from episteme.errors import EXIT_NOTHING
from episteme.lenses import DEFAULT_LENS, LENSES


def _lens_names(incomplete: str) -> list[str]:
    """Lenses, for the Tab key."""
    return [name for name in sorted(LENSES) if name.startswith(incomplete)]


_WITHOUT_PREDICATE = sorted(name for name, lens in LENSES.items() if not lens.takes_predicate)

Predicate = Annotated[str, typer.Argument(help="Which of its properties.")]
Subject = Annotated[str, typer.Argument(help="What is asked about.")]
SourceClasses = Annotated[list[str] | None, typer.Option("--source-class", help="Only these tiers; repeatable.")]
Lifecycles = Annotated[list[str] | None, typer.Option("--lifecycle", help="Only these stages; repeatable.")]
EpochId = Annotated[str | None, typer.Option("--epoch", help="Only claims of this epoch, superseded or not.")]
Included = Annotated[
    list[str] | None,
    typer.Option("--include", help="superseded, superseded_epochs or revoked: what is left out else; repeatable."),
]
Decaying = Annotated[
    str | None, typer.Option("--decay", help="Let confidence fade: 'tiers', or a half-life such as 30d.")
]
PackId = Annotated[str | None, typer.Option("--pack", help="Only what members of this trust pack say.")]
AsOfText = Annotated[
    str | None, typer.Option("--as-of", help="As of seq:123, a time such as 2026-11-22T09:30:00Z, or 2h ago.")
]
ValidAt = Annotated[str | None, typer.Option("--valid-at", help="Only claims whose span of time holds this moment.")]
Params = Annotated[list[str] | None, typer.Option("--param", help="A parameter of the lens, NAME=VALUE; repeatable.")]
Limit = Annotated[int | None, typer.Option("--limit", help="At most so many values and hashes.")]


def query(
    subject: Subject,
    predicate: Annotated[
        str | None, typer.Argument(help=f"Which of its properties; not with {', '.join(_WITHOUT_PREDICATE)}.")
    ] = None,
    lens: Annotated[
        str | None,
        typer.Option(
            "--lens",
            autocompletion=_lens_names,
            help=f"One of {', '.join(sorted(LENSES))}; else the predicate's own, else {DEFAULT_LENS}.",
        ),
    ] = None,
    param: Params = None,
    source_class: SourceClasses = None,
    lifecycle: Lifecycles = None,
    epoch: EpochId = None,
    include: Included = None,
    decay: Decaying = None,
    pack: PackId = None,
    as_of: AsOfText = None,
    valid_at: ValidAt = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why: every claim, and those left out.")] = False,
    limit: Limit = None,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Resolve what the claims about a subject's predicate come to."""
    options = _options(param, source_class, lifecycle, epoch, include, decay, pack, as_of, valid_at, limit, min_seq)
    options["lens"], options["explain"] = lens, explain
    with database(url, data) as db:
        answer = db.query(subject, predicate, **options)
    if chosen(output) is Output.TABLE:
        print_answer(answer)
    else:
        print_json(answer, chosen(output))
    if not answer.candidates_count:
        raise typer.Exit(EXIT_NOTHING)


def compare(
    subject: Subject,
    predicate: Predicate,
    lens: Annotated[
        list[str] | None,
        typer.Option(
            "--lens", autocompletion=_lens_names, help="Which lenses; repeatable. Else all that name a winner."
        ),
    ] = None,
    param: Params = None,
    source_class: SourceClasses = None,
    lifecycle: Lifecycles = None,
    epoch: EpochId = None,
    include: Included = None,
    decay: Decaying = None,
    pack: PackId = None,
    as_of: AsOfText = None,
    valid_at: ValidAt = None,
    limit: Limit = None,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Resolve the same claims under several lenses, and name the claims that hold each answer up."""
    options = _options(param, source_class, lifecycle, epoch, include, decay, pack, as_of, valid_at, limit, min_seq)
    with database(url, data) as db:
        found = db.compare(subject, predicate, names(lens), **options)
    if chosen(output) is Output.TABLE:
        print_comparison(found)
    elif chosen(output) is Output.CSV:
        print_list(found.answers, Output.CSV)
    else:
        print_json(found, chosen(output))
    if not any(answer.candidates_count for answer in found.answers):
        raise typer.Exit(EXIT_NOTHING)


def history(
    subject: Subject,
    predicate: Predicate,
    lens: Annotated[
        str | None, typer.Option("--lens", autocompletion=_lens_names, help="Else the predicate's own, as of then.")
    ] = None,
    param: Params = None,
    source_class: SourceClasses = None,
    lifecycle: Lifecycles = None,
    epoch: EpochId = None,
    include: Included = None,
    decay: Decaying = None,
    pack: PackId = None,
    valid_at: ValidAt = None,
    after: Annotated[int, typer.Option("--after", help="Only turns after this position.")] = -1,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many turns.")] = 100,
    min_seq: MinSeq = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Show how the answer of a pair moved, oldest first."""
    options = _options(param, source_class, lifecycle, epoch, include, decay, pack, None, valid_at, None, min_seq)
    options["lens"] = lens
    with database(url, data) as db:
        found = db.history(subject, predicate, after=after, turns=limit, **options)
        while not found.turns and found.next is not None:  # a page looks at so many positions
            found = db.history(subject, predicate, after=found.next, turns=limit, **options)
    if chosen(output) is Output.TABLE:
        print_history(found)
    elif chosen(output) is Output.CSV:
        print_list(found.turns, Output.CSV)
    else:
        print_json(found, chosen(output))
    if not found.turns:
        nothing()


def _options(
    param: list[str] | None,
    source_class: list[str] | None,
    lifecycle: list[str] | None,
    epoch: str | None,
    include: list[str] | None,
    decay: str | None,
    pack: str | None,
    as_of: str | None,
    valid_at: str | None,
    limit: int | None,
    min_seq: int | None,
) -> QueryOptions:
    return QueryOptions(
        params=_params(param or ()),
        source_class=names(source_class),
        lifecycle=names(lifecycle),
        epoch=epoch,
        include=names(include),
        decay=decay,
        pack=pack,
        as_of=as_of,
        valid_at=valid_at,
        limit=limit,
        min_seq=min_seq,
    )


def _params(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or name in found:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE, or its name is given twice", param_hint="--param")
        found[name] = value
    return found
