"""The reference part of docs/cli.md, made of the command line itself: `python -m tests.support.cli_page` writes it."""

import inspect
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from episteme.cli import app
from episteme.cli.examples import EXAMPLES, PANELS

PAGE: Final = Path(__file__).parents[2] / "docs" / "cli.md"
HEADING: Final = "## Reference"
_NOTE: Final = "This part is made of the program itself: `python -m tests.support.cli_page` writes it anew."

# Said once at the top of the reference, and only named by the commands that take them.
COMMON: Final = ("--url", "--token", "--data", "--output", "--key", "--wait", "--dry-run", "--min-seq")
_SHELL_OPTIONS: Final = ("--install-completion", "--show-completion")


def reference() -> str:
    """The whole part, from its heading on."""
    commands = dict(_commands())
    blocks = [HEADING, _NOTE, _index(commands), "### Common options", _common(commands)]
    for name in _ordered(commands):
        blocks += _command(name, commands[name], _usual(commands))
    return "\n\n".join(blocks) + "\n"


def with_reference(page: str) -> str:
    """The page with the reference as it ought to be."""
    return page.partition(f"{HEADING}\n")[0] + reference()


def _commands() -> Iterator[tuple[str, Any]]:
    def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(f"{path} {name}".strip(), below)
        if not hasattr(command, "commands"):
            yield path, command

    return walk("", get_command(app))


def _ordered(commands: dict[str, Any]) -> list[str]:
    """As help lists them: by panel; what belongs to a group stays together."""
    first = [name for listed in PANELS.values() for name in listed]
    return sorted(commands, key=lambda name: (first.index(name.split()[0]), list(commands).index(name)))


def _index(commands: dict[str, Any]) -> str:
    rows = ["| | |", "| --- | --- |"]
    for panel, listed in PANELS.items():
        names = [name for name in _ordered(commands) if name.split()[0] in listed]
        links = ", ".join(f"[{name}](#episteme-{name.replace(' ', '-')})" for name in names)
        rows.append(f"| {panel} | {links} |")
    return "\n".join(rows)


def _common(commands: dict[str, Any]) -> str:
    """Each of them, as the first command that has it describes it."""
    usual = _usual(commands)
    return _table([_row(*usual[name]) for name in COMMON])


def _usual(commands: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Each common option with a command that has it as most have it."""
    return {
        one.opts[0]: (one, commands[name])
        for name in ("query", "assert")
        for one in commands[name].params
        if one.param_type_name == "option" and one.opts[0] in COMMON
    }


def _command(name: str, command: Any, usual: dict[str, tuple[Any, Any]]) -> list[str]:
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(command.help).split("\n\n")]
    blocks = [f"### `episteme {name}`", *paragraphs, _shell(name)]
    panels: dict[str, list[Any]] = {"": []}
    common = []
    for one in command.params:
        if one.param_type_name == "option" and one.opts[0] in usual and one.help == usual[one.opts[0]][0].help:
            common.append(f"`{one.opts[0]}`")
        elif one.param_type_name == "argument" or one.opts[0] not in _SHELL_OPTIONS:
            panels.setdefault(getattr(one, "rich_help_panel", None) or "", []).append(one)
    for panel, params in panels.items():
        if params:
            blocks += [f"{panel}:"] if panel else []
            blocks.append(_table([_row(one, command) for one in params]))
    if common:
        blocks.append(f"And {', '.join(common)}.")
    return blocks


def _shell(name: str) -> str:
    lines = "\n".join(f"episteme {line}" for line in EXAMPLES[name])
    return f"```sh\n{lines}\n```"


def _table(rows: list[str]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _row(one: Any, command: Any) -> str:
    parameter = inspect.signature(command.callback).parameters[one.name]
    if one.param_type_name == "argument":
        spelled = f"`{one.name.upper()}`" + ("" if one.required else ", if wanted")
    else:
        spelled = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
    choices = _choices(parameter.annotation)
    text = " ".join((one.help or "").split()).replace("|", "\\|").replace("*", "\\*")
    text += "." if text and text[-1] not in ".])" else ""
    text += f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    return f"| {spelled} | {text}{_default(one, parameter)} |"


def _choices(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return [choice for inner in typing.get_args(annotation) for choice in _choices(inner)]


def _default(one: Any, parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default in (None, False, "", parameter.empty) or "[default:" in (one.help or ""):
        return ""
    told = default.value if isinstance(default, Enum) else "yes" if default is True else default
    return f" [default: {told}]"


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text("utf-8")), "utf-8")
