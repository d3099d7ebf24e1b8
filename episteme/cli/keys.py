"""episteme keys list, show, export, import."""

import sys
from enum import StrEnum
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated, Final

import typer
from msgspec import Struct

from episteme.cli.app import App
from episteme.cli.output import Output, chosen, fail, print_fields, print_json, print_list, print_table, shown, talk
from episteme.cli.session import OutputOption, named_key, new_name
from episteme.errors import EXIT_NOTHING, EpistemeError, KeyProblem
from episteme.keys import DEFAULT_NAME, Key, key_folder, list_keys
from episteme.keys.forms import key_file_text
from episteme.keys.places import write_private

keys_app = App(help="The keys that are kept on this machine; `episteme keygen` makes one.")

_STDIO: Final = "-"
_WIDE: Final = 64 + 56 + 4  # an agent in both its spellings, and what is between columns
_KEY_BYTES_MAX: Final = 64 * 1024  # a key file is half a kilobyte

Name = Annotated[str, typer.Argument(metavar="[NAME]", help="The key's name, or the path of a key file.")]


class Form(StrEnum):
    """How a key is written for other programs."""

    EPISTEME = "episteme"
    OPENSSH = "openssh"
    PKCS8 = "pkcs8"
    HEX = "hex"
    PUBLIC = "public"


class KeyReport(Struct, frozen=True):
    """What `keys show` prints: nothing secret."""

    agent: str
    did: str
    openssh_public: str


class ImportedKey(Struct, frozen=True):
    """What `keys import` prints."""

    agent: str
    did: str
    path: str


@keys_app.command("list")
def list_(output: OutputOption = None) -> None:
    """List the keys there are, those that cannot be used too, with why; never what is secret."""
    entries = list_keys()
    if chosen(output) is not Output.TABLE:
        print_list(entries, chosen(output))
    elif entries:
        rows = [
            (shown(one.name), one.agent or f"cannot be used: {shown(one.problem or '')}", one.did or "")
            for one in entries
        ]
        named = get_terminal_size().columns >= _WIDE + max(len(name) for name, *_ in rows)
        columns = ("name", "agent", "did:key") if named else ("name", "agent")  # `keys show` has both
        print_table(columns, [row[: len(columns)] for row in rows], whole="agent")
    if not entries:
        talk.print(
            f"no keys in {key_folder()}; the first `episteme assert` makes one, or `episteme keygen`", markup=False
        )
        raise typer.Exit(EXIT_NOTHING)


@keys_app.command()
def show(name: Name = DEFAULT_NAME, output: OutputOption = None) -> None:
    """Show whose key it is: the agent in hex and as did:key, and the line for authorized_keys."""
    key = named_key(name)
    report = KeyReport(key.agent_hex, key.did, key.to_openssh_public())
    if chosen(output) is Output.TABLE:
        print_fields([("agent", report.agent), ("did:key", report.did), ("openssh", report.openssh_public)])
    else:
        print_json(report, chosen(output))


@keys_app.command()
def export(
    name: Name = DEFAULT_NAME,
    form: Annotated[Form, typer.Option("--format", help="public is not secret; all others are the key itself.")] = (
        Form.OPENSSH
    ),
    to: Annotated[
        str | None, typer.Option("--to", metavar="FILE", help="A new file, made with mode 0600; - is stdout.")
    ] = None,
) -> None:
    """Write a key for other programs. What is secret goes to a file, or to stdout if that is asked for by --to -."""
    key = named_key(name)
    text = _written(key, form)
    if to == _STDIO or (to is None and form is Form.PUBLIC):
        typer.echo(text.rstrip("\n"))
        return
    if to is None:
        raise typer.BadParameter("say where: a file, or - for stdout", param_hint="--to")
    try:
        write_private(Path(to), text if text.endswith("\n") else f"{text}\n")
    except EpistemeError as error:
        fail(error)
    talk.print(
        f"key of agent {key.agent_hex}, as {form.value}, kept in {to}: whoever reads it can sign as you", markup=False
    )


@keys_app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The private key, without passphrase; - is stdin.")],
    name: Annotated[str, typer.Option("--name", callback=new_name, help="The name to keep it under.")] = DEFAULT_NAME,
    output: OutputOption = None,
) -> None:
    """Keep a copy of an Ed25519 key: OpenSSH, PKCS#8, hex, or a key file of ours. An existing one is never replaced."""
    try:
        key = _from_stdin() if file == _STDIO else Key.read(Path(file))
        path = key.save(name)
    except EpistemeError as error:
        fail(error)
    report = ImportedKey(key.agent_hex, key.did, str(path))
    if chosen(output) is Output.TABLE:
        print_fields([("agent", report.agent), ("did:key", report.did), ("kept in", report.path)])
    else:
        print_json(report, chosen(output))


def _written(key: Key, form: Form) -> str:
    match form:
        case Form.EPISTEME:
            return key_file_text(key)
        case Form.OPENSSH:
            return key.to_openssh()
        case Form.PKCS8:
            return key.to_pkcs8()
        case Form.HEX:
            return key.to_hex()
        case Form.PUBLIC:
            return key.to_openssh_public()


def _from_stdin() -> Key:
    data = sys.stdin.buffer.read(_KEY_BYTES_MAX)
    try:
        return Key.from_text(data.decode("ascii"))
    except UnicodeDecodeError:
        raise KeyProblem("stdin is not the text of a key") from None
