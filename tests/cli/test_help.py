"""Help, examples, the page and completion: all of them are of the program that is there."""

from typing import Any

import pytest
from typer.main import get_command

from episteme.cli import app
from episteme.cli.examples import EXAMPLES, PANELS
from tests.support.cli_page import PAGE, with_reference
from tests.support.command import Command
from tests.test_docs import commands, problem_with

NAMES = sorted(name.removeprefix("episteme ") for name in commands())


def test_the_reference_of_the_page_is_what_the_program_says() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_reference(page), "run `python -m tests.support.cli_page`"


def test_every_command_has_a_heading_in_the_help_and_none_is_listed_that_is_not_there() -> None:
    listed = [name for names in PANELS.values() for name in names]
    assert sorted(listed) == sorted(get_command(app).commands)  # type: ignore[attr-defined]
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_an_example(name: str) -> None:
    assert EXAMPLES.get(name)


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_is_a_command_with_options_that_it_has(line: str) -> None:
    assert problem_with(f"episteme {line}") is None


def test_examples_are_of_commands_that_are_there() -> None:
    assert set(EXAMPLES) - {"", *NAMES} == set()


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_of_a_command_ends_with_its_examples(episteme: Command, name: str) -> None:
    ran = episteme.inside(*name.split(), "--help")
    assert (ran.code, ran.stderr) == (0, "")
    examples = "".join(f"  episteme {line}\n" for line in EXAMPLES.get(name, ()))
    assert ran.stdout.endswith(f"\nExamples:\n{examples}")


def test_first_line_of_help_of_a_command_fits_into_a_line_or_two(episteme: Command) -> None:
    long = {name: command.help.partition("\n\n")[0] for name, command in commands().items()}
    assert {name: text for name, text in long.items() if len(text) > 160} == {}
    assert "COMMAND" in episteme.inside("--help").stdout


def test_list_of_commands_says_of_each_a_whole_sentence(episteme: Command) -> None:
    for group in ("", *(name for name in PANELS["Keys and tokens"] if name != "keygen"), "state", "log", "config"):
        assert "..." not in episteme.inside(*group.split(), "--help").stdout.partition("\n\n")[2], group


def test_every_command_that_talks_to_a_server_takes_a_token(episteme: Command) -> None:
    def options(command: Any) -> set[str]:
        return {name for one in command.params for name in one.opts}

    talking = {name: options(command) for name, command in commands().items() if "--url" in options(command)}
    assert len(talking) > 30
    assert {name for name, found in talking.items() if "--token" not in found} == set()
    assert "eps_" not in episteme.inside("query", "--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_of_a_shell_is_shown_and_completes(
    episteme: Command, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))  # as if it had started us
    shown = episteme.inside("--show-completion")
    assert shown.code == 0, shown
    assert "_EPISTEME_COMPLETE" in shown.stdout


def test_completion_offers_commands_and_options(tmp_path: Any) -> None:
    ask = {"_EPISTEME_COMPLETE": "complete_bash", "COMP_WORDS": "episteme que", "COMP_CWORD": "1"}
    assert "query" in Command(tmp_path, **ask).inside().stdout.split()


@pytest.mark.parametrize(("typed", "meant"), [("qurey", "query"), ("asert", "assert"), ("staus", "status")])
def test_mistyped_command_is_told_with_the_nearest_one(episteme: Command, typed: str, meant: str) -> None:
    ran = episteme.inside(typed)
    assert (ran.code, ran.stdout) == (2, "")
    assert f"'{meant}'" in ran.stderr
