"""episteme config show, check, list, example."""

import os
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from episteme.cli.app import App
from episteme.cli.output import Output, chosen, counted, fail, nothing, print_list, print_table, shown, talk
from episteme.cli.serve import ConfigFile, DataFolder
from episteme.cli.session import OutputOption
from episteme.errors import EpistemeError
from episteme.settings import SETTINGS, Origin, Settings, example_file, read_settings, shown_value, takes
from episteme.settings.table import Value

config_app = App(help="Settings of a server: what is in force, where it was said, what there is.")

Path_ = Annotated[str, typer.Argument(metavar="[NAME]", help="Only settings whose name begins with this.")]


class ShownSetting(Struct, frozen=True):
    """One line of `config show`."""

    name: str
    value: Value
    origin: Origin
    where: str
    default: Value


class ListedSetting(Struct, frozen=True):
    """One line of `config list`."""

    name: str
    description: str
    takes: str
    default: str
    flag: str
    variable: str


@config_app.command()
def show(name: Path_ = "", data: DataFolder = None, config: ConfigFile = None, output: OutputOption = None) -> None:
    """Show the value of every setting and where it was said: flag, environment, file or default.

    What `episteme serve` would go by with the same environment and the same --data and --config.
    """
    settings = _read(data, config)
    shown_ones = [
        ShownSetting(one.name, *settings.values[one.name], one.default)
        for one in SETTINGS.values()
        if one.name.startswith(name)
    ]
    if not shown_ones:
        nothing(f"no setting begins with {shown(name)!r}; `episteme config list` shows all")
    if chosen(output) is Output.TABLE:
        rows = [
            (
                one.name,
                shown(shown_value(SETTINGS[one.name], one.value)),
                "" if one.origin is Origin.DEFAULT else one.where,
            )
            for one in shown_ones
        ]
        print_table(("setting", "value", "said by"), rows)
        talk.print(f"data folder {settings.data} · file of settings {settings.file or 'none'}", markup=False)
    else:
        print_list(shown_ones, chosen(output))


@config_app.command()
def check(data: DataFolder = None, config: ConfigFile = None) -> None:
    """Check the file of settings and the environment; exit code 2 if something is wrong."""
    settings = _read(data, config)
    try:
        settings.server()
        settings.node()
    except EpistemeError as error:
        fail(error)
    said = [one for one in settings.values.values() if one.origin is not Origin.DEFAULT]
    talk.print(
        f"file of settings: {settings.file or 'none'}; {counted(len(said), 'setting')} said, all is well", markup=False
    )


@config_app.command("list")
def list_(name: Path_ = "", output: OutputOption = None) -> None:
    """List all settings: what each is for, what it takes, its default, its flag and its variable."""
    listed = [
        ListedSetting(one.name, one.description, takes(one), shown_value(one, one.default), one.flag, one.variable)
        for one in SETTINGS.values()
        if one.name.startswith(name)
    ]
    if not listed:
        nothing(f"no setting begins with {shown(name)!r}; `episteme config list` shows all")
    if chosen(output) is Output.TABLE:
        print_table(
            ("setting", "default", "takes", "what it is for"),
            [(one.name, one.default, one.takes, one.description) for one in listed],
            whole="setting",
        )
    else:
        print_list(listed, chosen(output))


@config_app.command()
def example() -> None:
    """Print a file of settings with every default, commented out."""
    typer.echo(example_file(), nl=False)


def _read(data: Path | None, config: Path | None) -> Settings:
    try:
        settings = read_settings(environ=os.environ, data=data, file=config)
    except EpistemeError as error:
        fail(error)
    for warning in settings.warnings:
        talk.print(f"warning: {shown(warning)}", style="yellow", markup=False)
    return settings
