"""Options that a command gets without knowing of them: --token with --url, --data with DIR, --number with --type."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from episteme.cli.session import use_token
from episteme.cli.write import ValueType

Function = Callable[..., Any]

_TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="EPISTEME_TOKEN",
        show_default=False,
        help="The API token to send to --url; the variable keeps it out of the list of processes.",
    ),
]
_DataOption = Annotated[
    Path | None, typer.Option("--data", show_default=False, help="The same as DIR, as other commands name it.")
]
_SPELLINGS: Final[Mapping[ValueType, Sequence[str]]] = {
    ValueType.NUMBER: ("--number",),
    ValueType.BOOLEAN: ("--boolean", "--bool"),
    ValueType.REFERENCE: ("--reference", "--ref"),
}


def completed(function: Function) -> Function:
    """The command with the options that go with those that it has."""
    names = signature(function).parameters
    if "value_type" in names:
        function = _with_value_flags(function)
    if "folder" in names:
        function = _with_data(function)
    return _with_token(function) if "url" in names else function


def _with_token(function: Function) -> Function:
    @wraps(function)
    def with_token(**given: Any) -> Any:
        use_token(given.pop("token"))
        return function(**given)

    return _with_options(with_token, function, "url", {"token": (_TokenOption, None)})


def _with_data(function: Function) -> Function:
    @wraps(function)
    def with_data(**given: Any) -> Any:
        data = given.pop("data")
        return function(**given if data is None else {**given, "folder": data})

    return _with_options(with_data, function, "folder", {"data": (_DataOption, None)})


def _with_value_flags(function: Function) -> Function:
    flags = {f"is_{kind.value}": kind for kind in _SPELLINGS}

    @wraps(function)
    def with_value_flags(**given: Any) -> Any:
        asked = {kind for name, kind in flags.items() if given.pop(name)}
        said = given["value_type"]
        if len(asked) > 1 or (asked and said not in (ValueType.TEXT, *asked)):
            raise typer.BadParameter("a value has one type", param_hint="--type")
        return function(**{**given, "value_type": asked.pop() if asked else said})

    options = {
        name: (Annotated[bool, typer.Option(*_SPELLINGS[kind], help=f"Short for --type {kind.value}.")], False)
        for name, kind in flags.items()
    }
    return _with_options(with_value_flags, function, "value_type", options)


def _with_options(outer: Function, inner: Function, after: str, options: Mapping[str, tuple[Any, object]]) -> Function:
    """Give outer the parameters of inner, and the options after the one of that name."""
    own = signature(inner)
    parameters: list[Parameter] = []
    for one in own.parameters.values():
        parameters.append(one.replace(kind=Parameter.KEYWORD_ONLY))
        if one.name == after:
            parameters += [
                Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
                for name, (annotation, default) in options.items()
            ]
    outer.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return outer
