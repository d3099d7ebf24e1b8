"""episteme token: beside a running server, and without one."""

from pathlib import Path

import pytest

from episteme.tokens import TOKENS_FILE
from model import did_of
from tests.support.command import Command
from tests.support.events import KEY_A
from tests.support.http import call
from tests.support.servers import Server


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    return Command(tmp_path, EPISTEME_DATA=str(tmp_path / "data"), EPISTEME_URL="http://127.0.0.1:1")


def test_running_server_takes_a_token_as_soon_as_it_is_made_and_refuses_it_as_soon_as_it_is_revoked(
    server: Server, offline: Command
) -> None:
    data = str(server.data)
    made = offline.inside("token", "create", "ops", "--scope", "admin", "--data", data).line
    sent = {"Authorization": f"Bearer {made['token']}"}
    assert call(server.url, "GET", "/v1/admin/tokens", headers=sent).status == 200
    assert offline.inside("token", "revoke", made["record"]["id"], "--data", data).code == 0
    reply = call(server.url, "GET", "/v1/admin/tokens", headers=sent)
    assert (reply.status, reply.json()["code"]) == (401, "invalid-token")


def test_first_token_makes_a_folder_that_only_its_owner_can_read(offline: Command, tmp_path: Path) -> None:
    assert offline.inside("token", "create", "ops").code == 0
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_token_is_printed_once_and_never_again(offline: Command, tmp_path: Path) -> None:
    ran = offline.inside("token", "create", "grafana", "--expires-days", "90", "--agent", did_of(KEY_A.agent))
    token, record = ran.line["token"], ran.line["record"]
    assert (record["label"], record["scopes"], record["agent"]) == ("grafana", ["read"], KEY_A.agent_hex)
    assert record["expires_ms"] - record["created_ms"] == 90 * 86_400_000
    assert "shown this once" in ran.stderr
    assert token not in ran.stderr
    assert "no database" in ran.stderr
    listed = offline.inside("token", "list")
    assert listed.line == record
    assert token.split("_")[2] not in listed.stdout + (tmp_path / "data" / TOKENS_FILE).read_text()
    assert offline.inside("token", "revoke", record["id"]).code == 0
    assert offline.inside("token", "list").line["status"] == "revoked"


def test_token_alone_is_printed_for_a_variable_of_a_shell(offline: Command) -> None:
    ran = offline.inside("token", "create", "me", "-o", "table")
    assert ran.stdout.startswith("eps_")
    assert len(ran.stdout.split()) == 1


def test_scopes_are_named_one_by_one(offline: Command) -> None:
    made = offline.inside("token", "create", "both", "--scope", "write", "--scope", "read").line
    assert made["record"]["scopes"] == ["read", "write"]
    assert offline.inside("token", "create", "none", "--scope", "root").code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", ""), 2),
        (("create", "a\nb"), 2),
        (("create", "x", "--agent", "nobody"), 2),
        (("create", "x", "--expires-days", "0"), 2),
        (("revoke", "nobody"), 3),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_hint(offline: Command, arguments: tuple[str, ...], code: int) -> None:
    ran = offline.inside("token", *arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert ran.stderr


def test_token_that_is_not_there_is_looked_for_in_the_list(offline: Command) -> None:
    assert "episteme token list" in offline.inside("token", "revoke", "nobody").stderr
    empty = offline.inside("token", "list")
    assert (empty.code, empty.stdout, "episteme token create" in empty.stderr) == (3, "", True)


def test_labels_are_shown_as_data(offline: Command) -> None:
    offline.inside("token", "create", "[red]x[/red] \u202egnp.exe")
    ran = offline.inside("token", "list", "-o", "table")
    assert "[red]x[/red]" in ran.stdout
    assert "\u202e" not in ran.stdout


def test_tokens_that_others_can_read_are_refused_with_what_to_do(offline: Command, tmp_path: Path) -> None:
    offline.inside("token", "create", "x")
    (tmp_path / "data" / TOKENS_FILE).chmod(0o644)
    for arguments in (("list",), ("create", "y")):
        ran = offline.inside("token", *arguments)
        assert ran.code == 1
        assert "0644" in ran.stderr
        assert "chmod 600" in ran.stderr
