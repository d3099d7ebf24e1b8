"""episteme audit list, show, replay."""

import json
from pathlib import Path
from typing import Any

import pytest

from episteme.audit.event import encode_answered
from tests.support.audits import auditing, ledger_on, made_up_id, settled_ids
from tests.support.command import Command, Ran
from tests.support.databases import write
from tests.support.events import KEY_A
from tests.support.values import AUDIT, changed

COLUMNS = {"id", "time_ms", "agent", "subject", "predicate", "parameters", "lens", "seq", "status", "winner"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed database with three audited answers."""
    folder = tmp_path_factory.mktemp("audited") / "data"
    with auditing(folder) as node:
        write(node, "Moon", KEY_A, predicate="p")
        node.query("Moon", "p", decay="30d")
        node.query("Moon", "q")
        node.query("Mars", "p")
    return folder


@pytest.fixture(scope="module")
def offline(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("home"), EPISTEME_URL="http://127.0.0.1:1", EPISTEME_DATA=str(data))


def lines(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_audits_are_listed_as_lines(offline: Command) -> None:
    ran = offline.inside("audit", "list")
    assert ran.code == 0
    assert [(line["subject"], line["predicate"]) for line in lines(ran)] == [
        ("Mars", "p"),
        ("Moon", "q"),
        ("Moon", "p"),
    ]
    assert set(lines(ran)[0]) > COLUMNS
    oldest = offline.inside("audit", "list", "--order", "oldest", "--subject", "Moon", "--limit", "1")
    assert [line["predicate"] for line in lines(oldest)] == ["p"]
    assert "there is more" in oldest.stderr


def test_none_found_is_exit_code_three(offline: Command) -> None:
    assert offline.inside("audit", "list", "--subject", "Pluto").code == 3
    assert offline.inside("audit", "list", "--to", "2001-01-01T00:00:00Z").code == 3
    assert offline.inside("audit", "show", "0" * 32).code == 3


def test_one_is_shown_with_what_it_rests_on_and_replayed(offline: Command) -> None:
    line = offline.inside("audit", "list", "--subject", "Moon", "--predicate", "p").line
    shown = offline.inside("audit", "show", line["id"]).line
    assert shown["parameters"] == {"decay": "30d"}
    assert [one["hash"] for one in shown["contributions"]] == [line["winner"]]
    replayed = offline.inside("audit", "replay", line["id"])
    assert (replayed.code, replayed.line["same"]) == (0, True)


@pytest.mark.parametrize("arguments", [("list",), ("show",), ("replay",)])
def test_tables_name_the_audit_s_question(offline: Command, arguments: tuple[str, ...]) -> None:
    line = offline.inside("audit", "list", "--subject", "Moon", "--predicate", "p").line
    more = () if arguments == ("list",) else (line["id"],)
    ran = offline.inside("audit", *arguments, *more, "-o", "table")
    assert ran.code == 0
    expected = {"list": line["id"], "show": "30d", "replay": "same"}[arguments[0]]
    assert expected in ran.stdout


def test_an_answer_that_is_not_the_same_is_exit_code_four(offline: Command, tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        write(node, "Moon", KEY_A, predicate="p")
    with ledger_on(tmp_path) as ledger:
        audit = changed(AUDIT.audit, subject="Moon", parameters=(), position=0)
        ledger.append([encode_answered(made_up_id(1), audit)])
        settled_ids(ledger)
    ran = offline.inside("audit", "replay", made_up_id(1), "--data", str(tmp_path), "-o", "table")
    assert ran.code == 4
    assert "lens was trust/2" in ran.stdout
