"""What is printed: ids whole at any width, text of agents as data in tables and in JSON, and output that fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from episteme import Key, Node
from episteme.cli.output import Output, print_json, print_table, shown, size_text, span_text
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


@pytest.mark.parametrize("columns", [72, 80, 100])
def test_long_words_are_broken_before_hashes_and_names_of_columns_are(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    names = ("seq", "subject", "predicate", "value", "confidence", "tier", "hash")
    rows = [("2", "Semaglutide", "causes_muscle_loss_in_patients", "true", "0.85", "regulatory", HASH_1[:12])] * 2
    print_table(names, rows)
    first, *others = capsys.readouterr().out.splitlines()
    assert first.split() == [*names]
    assert sum(HASH_1[:12] in line for line in others) == len(rows)
    assert max(map(len, [first, *others])) <= columns


def test_table_that_would_break_every_word_is_shown_as_fields(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(("lens", "", "confidence", "conflict", "status"), [("consensus", "###", "0.5", "1.0", "contested")])
    assert capsys.readouterr().out.splitlines()[0].split() == ["lens", "consensus"]


def test_sizes_and_spans_are_in_units_that_people_read() -> None:
    sizes = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 3_766: "3.8 kB", 10_383_307: "10.4 MB", 80_872_550_400: "80.9 GB"}
    assert {size: size_text(size) for size in sizes} == sizes
    spans = {0.03: "0 s", 59.9: "59 s", 502: "8 min 22 s", 7_260: "2 h 1 min", 180_000: "2 d 2 h"}
    assert {span: span_text(span) for span in spans} == spans


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
