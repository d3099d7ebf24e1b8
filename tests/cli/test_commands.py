"""The commands against a server: data on stdout, talk on stderr, an exit code for each way to end."""

import json
import stat
from pathlib import Path

import pytest

from episteme import Client, Key
from tests.support.command import Command
from tests.support.events import HASH_1
from tests.support.servers import Server

LOG_COMMANDS = ["log", "log verify", "log repair", "log dump"]
COMMANDS = ["", "serve", "keygen", "assert", "vote", "query", "get", "import", "status", *LOG_COMMANDS]
NO_TEXT = [["query", b"\xff", "p"], ["assert", b"\xff", "p", "v"], ["keygen", "--name", b"\xff"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_works(episteme: Command, command: str) -> None:
    ran = episteme.inside(*command.split(), "--help")
    assert (ran.code, ran.stderr) == (0, "")
    assert f"Usage: episteme {command}".rstrip() in ran.stdout
    assert "--help" in ran.stdout


def test_version_is_told(episteme: Command) -> None:
    ran = episteme("--version")
    assert (ran.code, ran.stdout) == (0, "episteme 0.1.0\n")


def test_first_assert_makes_a_key_and_says_so_and_the_second_uses_it(tmp_path: Path, server: Server) -> None:
    episteme = Command(tmp_path, EPISTEME_URL=server.url)
    first = episteme("assert", "first assert", "is", "heard", "--wait", "10")
    assert (first.code, first.line["status"]) == (0, "applied")
    (path,) = episteme.keys.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    agent = Key.load("default", path.parent).agent_hex
    assert agent in first.stderr
    assert str(path) in first.stderr
    assert path.read_text().split()[-1] not in first.stderr + first.stdout
    second = episteme("assert", "first assert", "is", "heard again")
    assert (second.code, second.stderr) == (0, "")
    with Client(server.url) as client:
        assert client.get(first.line["hash"]).signatures[0].agent == agent


def test_keygen_never_replaces_a_key(episteme: Command) -> None:
    made = episteme("keygen", "--name", "scout/../one")
    assert made.code == 0
    assert Path(made.line["path"]).is_relative_to(episteme.keys)
    again = episteme("keygen", "--name", "scout/../one")
    assert (again.code, again.stdout) == (1, "")
    assert "never replaced" in again.stderr


def test_missing_key_that_was_named_is_not_made(episteme: Command) -> None:
    ran = episteme("assert", "s", "p", "v", "--key", "nobody")
    assert (ran.code, ran.stdout) == (1, "")
    assert "code: key" in ran.stderr
    assert "episteme keygen" in ran.stderr


def test_claim_vote_query_and_get_work_together(episteme: Command) -> None:
    claim = episteme("assert", "spoken", "is", "1.50", "--type", "number", "--confidence", "0.8", "--wait", "10")
    assert (claim.code, claim.line["status"]) == (0, "applied")
    for weight in ("-0.5", "none", "up"):
        vote = episteme("vote", claim.line["hash"], weight, "--reason", f"weight {weight}", "--wait", "10")
        assert (vote.code, vote.line["status"], vote.stderr) == (0, "applied", "")
    answer = episteme("query", "spoken", "is", "--lens", "votes")
    assert (answer.code, answer.stderr) == (0, "")
    assert answer.line["winner"]["value"] == {"type": "number", "value": "1.50"}
    assert answer.line["groups"][0]["votes"] == 1.0
    stored = episteme("get", claim.line["hash"], "-o", "json")
    assert stored.code == 0
    assert json.loads(stored.stdout)["event"]["confidence"] == "0.8"
    assert len(stored.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("value_type", "text", "value"), [("boolean", "true", True), ("reference", "Tesla_Inc", "Tesla_Inc")]
)
def test_value_is_of_the_type_asked_for(episteme: Command, value_type: str, text: str, value: object) -> None:
    subject = f"typed {value_type}"
    assert episteme.inside("assert", subject, "is", text, "--type", value_type, "--wait", "10").code == 0
    answer = episteme.inside("query", subject, "is")
    assert answer.line["winner"]["value"] == {"type": value_type, "value": value}


def test_nothing_found_is_code_3_with_an_answer_or_a_reason(episteme: Command) -> None:
    answer = episteme("query", "nobody spoke", "of it")
    assert (answer.code, answer.line["winner"], answer.stderr) == (3, None, "")
    table = episteme.inside("query", "nobody spoke", "of it", "-o", "table")
    assert (table.code, table.stderr) == (3, "")
    assert "no claims" in table.stdout
    missing = episteme("get", HASH_1)
    assert (missing.code, missing.stdout) == (3, "")
    assert "code: not-found" in missing.stderr


def test_status_tells_that_all_is_well(episteme: Command) -> None:
    ran = episteme("status")
    assert (ran.code, ran.line["ready"], ran.stderr) == (0, True, "")
    table = episteme.inside("status", "-o", "table")
    assert table.code == 0
    assert "ready" in table.stdout
    assert ran.line["database"] in table.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["query", "s", "p", "--lens", "loudest"], 2, "code: unknown-lens"),
        (["query", "s", "p", "--limit", "0"], 2, "code: invalid-parameter"),
        (["query", "s", "p", "--source-class", "rumour"], 2, "code: invalid-parameter"),
        (["query", "s", "p", "--limt", "3"], 2, "--limt"),
        (["vote", HASH_1], 2, "'weight'"),
        (["vote", HASH_1, "1"], 3, "code: not-found"),
        (["assert", "a\nb", "p", "v"], 6, "code: invalid-field"),
        (["get", "xyz"], 2, "code: invalid-parameter"),
        (["query", "s"], 2, "predicate is missing"),
        (["shout"], 2, "shout"),
        (["vote", HASH_1, "1", "--reasn", "x"], 2, "--reasn"),
        (["assert", "s", "p", "v", "--confidence", "1.5"], 6, "code: invalid-field"),
        (["assert", "s", "p", "v", "--type", "number"], 6, "code: invalid-field"),
        (["status", "--url", "http://127.0.0.1:1"], 5, "code: unreachable"),
        (["status", "--data", "not-there"], 2, "not-there"),
        (["log", "verify", "not-there"], 1, "code: cannot-open"),
        (["log", "repair", "not-there", "--into", "new"], 1, "code: cannot-open"),
        (["log", "repair", "not-there"], 2, "--into"),
        (["log", "dump", "not-there"], 1, "code: cannot-open"),
        (["log", "dump", "--count", "0"], 2, "--count"),
        (["log", "dump", "--time-from", "yesterday"], 2, "--time-from"),
        (["log", "dump", "--time-from", "0", "--from", "0"], 2, "only one"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
)
def test_error_is_on_stderr_with_a_code_of_its_own(
    episteme: Command, arguments: list[str], code: int, said: str
) -> None:
    ran = episteme.inside(*arguments)
    assert (ran.code, ran.stdout) == (code, ""), ran
    assert said in ran.stderr
    if "code: " in said:
        assert "error: " in ran.stderr
        assert "hint: " in ran.stderr


@pytest.mark.parametrize("arguments", NO_TEXT, ids=str)
def test_argument_that_is_no_text_is_refused_without_a_traceback(
    episteme: Command, arguments: list[str | bytes]
) -> None:
    ran = episteme(*arguments)
    assert ran.code in (1, 2, 6)
    assert "code: " in ran.stderr


def test_another_agent_s_control_characters_and_markup_are_spelled_out_in_a_table(
    episteme: Command, server: Server
) -> None:
    evil = "\x1b[2J\x07[bold]x[/bold]\u202e\u200b\r\nend"
    with Client(server.url, key=Key.generate()) as client:
        receipt = client.assert_("evil [red]", "says", evil, narrative=evil, metadata={"note": evil}, wait_s=10)
    for arguments in (["query", "evil [red]", "says"], ["get", receipt.hash]):
        shown = episteme(*arguments, "-o", "table").stdout
        assert not set(shown) & {"\x1b", "\x07", "\u202e", "\r"}
        assert "\\u001b[2J\\u0007[bold]x[/bold]\\u202e" in shown
    raw = episteme("get", receipt.hash)
    assert raw.line["event"]["object"]["value"] == evil
    assert "\x1b" not in raw.stdout


def test_table_of_an_answer_shows_values_with_their_shares(episteme: Command, server: Server) -> None:
    for number in range(3):
        with Client(server.url, key=Key(bytes([number]) * 32)) as client:
            client.assert_("in a table", "is", number < 2, source_class="clinical", wait_s=10)
    shown = episteme("query", "in a table", "is", "-o", "table").stdout
    for text in ("true", "false", "0.67", "0.33", "consensus/1", "clinical", "3 with 2 values"):
        assert text in shown
