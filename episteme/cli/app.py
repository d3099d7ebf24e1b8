"""What all commands have in common: how they are registered, and how their help reads.

Help is plain text, so that it reads the same in a terminal, in a pipe and in docs/cli.md: arguments, options under
the headings of their panels, examples.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from episteme.cli.examples import EXAMPLES, PANELS
from episteme.cli.extra import completed

_SENTENCE_CHARS_MAX: Final = 200  # of a command, in the list of all: its first sentence, folded and never cut

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command whose help groups options by panel and ends with examples."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """As its parent, without the words that the library puts before an error of a choice."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options, each under its heading."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx)
            if record is not None:
                is_argument = one.param_type_name == "argument"
                panel = "Arguments" if is_argument else getattr(one, "rich_help_panel", None) or "Options"
                sections.setdefault(panel, []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, a line each, as they are typed."""
        write_examples(ctx, formatter)


class Group(TyperGroup):
    """A group whose help lists commands by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Commands under the headings of PANELS; a group that has none of them lists its own."""
        names = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        panels = {title: [name for name in listed if name in names] for title, listed in PANELS.items()}
        shown = {name for listed in panels.values() for name in listed}
        if not ctx.parent and shown:
            panels["More"] = [name for name in names if name not in shown]
        else:
            panels = {"Commands": names}
        for title, listed in panels.items():
            if listed:
                with formatter.section(title):
                    formatter.write_dl(
                        [(name, self.commands[name].get_short_help_str(_SENTENCE_CHARS_MAX)) for name in listed]
                    )

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples of the group itself."""
        write_examples(ctx, formatter)


class App(typer.Typer):
    """A group of commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            **{
                "cls": Group,
                "no_args_is_help": True,
                "rich_markup_mode": None,
                "pretty_exceptions_enable": False,
                **settings,
            }
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Register a command, with the options that go with those that it has."""
        register = super().command(name, **{"cls": Command, **settings})

        def registering(function: Function) -> Function:
            register(completed(function))
            return function

        return registering

    def add(self, *functions: Callable[..., Any]) -> None:
        """Register each under its own name."""
        for function in functions:
            self.command(function.__name__.replace("_", "-"))(function)

    def add_groups(self, **groups: "App") -> None:
        """Register each group under the name that it is given by."""
        for name, group in groups.items():
            self.add_typer(group, name=name)


def write_examples(ctx: Any, formatter: Any) -> None:
    """The examples of a command, if there are any."""
    lines = EXAMPLES.get(ctx.command_path.removeprefix(ctx.find_root().command_path).strip())
    if lines:
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}episteme {line}\n")
