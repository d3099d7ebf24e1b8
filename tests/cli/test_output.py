"""What is printed: ids whole at any width, text of agents as data in tables and in JSON, and output that fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from episteme import Key, Node
from episteme.cli.output import Output, print_json, print_table, shown
from tests.support.command import Command
from tests.support.events import HASH_1

COLUMNS = ("name", "said", "when", "id")
ROWS = [("one", "a few words that may well be folded", "2026-11-22 09:30:00", HASH_1), ("two", "", "", "f" * 64)]
UNSEEN = "\x7f\x9b\xad\u061c\u200b\u200e\u2028\u202e\u2066\ufeff\U000e0041"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a claim that not every locale can show."""
    folder = tmp_path_factory.mktemp("printed") / "data"
    with Node.open(folder, key=Key(b"\x21" * 32)) as node:
        node.assert_("snow", "is_called", f"雪{UNSEEN}", wait_s=10)
    return folder


@pytest.mark.parametrize("columns", [80, 100, 120, 140, 300])
def test_id_is_never_folded_however_narrow_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table(COLUMNS, ROWS, whole="id")
    printed = capsys.readouterr().out
    assert HASH_1 in printed
    assert "f" * 64 in printed
    assert "a few words" in printed
    assert max(map(len, printed.splitlines())) <= columns


def test_row_is_shown_as_fields_where_a_table_would_be_too_narrow_to_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(COLUMNS, ROWS, whole="id")
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
        *COLUMNS,
        "",
        "name",
        "id  " if len("id") > len("name") else "id",
    ]
    monkeypatch.setenv("COLUMNS", "120")
    print_table(COLUMNS, ROWS, whole="id")
    assert capsys.readouterr().out.splitlines()[0].split() == [*COLUMNS]


def test_character_that_a_terminal_obeys_or_hides_is_spelled_out_in_json_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {"text": f"雪\n{UNSEEN}\x1b[2J"}
    for output in (Output.JSON, Output.JSONL):
        print_json(told, output)
        printed = capsys.readouterr().out
        assert not set(printed) & set(UNSEEN + "\x1b")
        assert "雪" in printed
        assert json.loads(printed) == told
    assert shown(f"雪{UNSEEN}\n") == (
        "雪\\u007f\\u009b\\u00ad\\u061c\\u200b\\u200e\\u2028\\u202e\\u2066\\ufeff\\udb40\\udc41\\u000a"
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_locale_without_the_characters_loses_nothing(tmp_path: Path, data: Path, encoding: str) -> None:
    episteme = Command(tmp_path, EPISTEME_DATA=str(data), PYTHONIOENCODING=encoding)
    ran = episteme("query", "snow", "is_called")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.line["winner"]["value"]["value"] == f"雪{UNSEEN}"
    table = episteme("query", "snow", "is_called", "-o", "table")
    assert table.code == 0
    assert ("雪" if encoding == "utf-8" else "\\u96ea") in table.stdout
    assert ("█" if encoding == "utf-8" else "#") * 16 in table.stdout


@pytest.mark.parametrize("output", ["json", "jsonl", "table"])
def test_output_that_cannot_be_written_is_an_error_and_no_traceback(data: Path, output: str) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "episteme", "assertions", "--data", str(data), "-o", output],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert ran.stderr.startswith("error: ")
    assert "No space left" in ran.stderr
