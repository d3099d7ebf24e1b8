"""episteme config, and serve going by it: flags, environment, file; what is wrong is told and nothing is served."""

import json
import tomllib
from pathlib import Path

import pytest

from episteme import Key, Node
from episteme.settings import SETTINGS
from tests.support.command import Command
from tests.support.http import call
from tests.support.servers import Server


@pytest.fixture
def alone(tmp_path: Path) -> Command:
    """The command line without anything said in the environment."""
    return Command(tmp_path)


def lines(text: str) -> dict[str, dict[str, object]]:
    return {line["name"]: line for line in map(json.loads, text.splitlines())}


def test_every_value_is_shown_with_where_it_was_said_and_nothing_secret(tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text("port = 7\n[store]\nmemory_bytes = '2MiB'\n")
    episteme = Command(tmp_path, EPISTEME_PORT="9", EPISTEME_TOKEN="eps_secret", EPISTEME_KEY="ab" * 32)
    ran = episteme.inside("config", "show", "--config", str(file))
    shown = lines(ran.stdout)
    assert (ran.code, ran.stderr, set(shown)) == (0, "", set(SETTINGS))
    assert shown["port"] == {
        "name": "port",
        "value": 9,
        "origin": "environment",
        "where": "EPISTEME_PORT",
        "default": 18180,
    }
    assert (shown["store.memory_bytes"]["value"], shown["store.memory_bytes"]["where"]) == (2 * 2**20, str(file))
    assert (shown["host"]["value"], shown["host"]["origin"]) == ("127.0.0.1", "default")
    assert "eps_secret" not in ran.stdout
    assert "ab" * 32 not in ran.stdout
    table = episteme.inside("config", "show", "store", "--config", str(file), "-o", "table")
    assert table.stdout.splitlines()[1].split() == ["store.memory_bytes", "2MiB", str(file)]
    assert "port" not in table.stdout


def test_settings_are_listed_with_what_they_take(alone: Command) -> None:
    listed = lines(alone.inside("config", "list").stdout)
    assert listed.keys() == SETTINGS.keys()
    assert listed["audit.enabled"]["flag"] == "--audit"
    assert listed["log_format"]["takes"] == "human or json"
    assert alone.inside("config", "list", "nothing").code == 3


def test_example_is_a_file_that_config_check_takes(alone: Command) -> None:
    text = alone.inside("config", "example").stdout
    assert tomllib.loads(text).keys() == {"audit", "intake", "log", "quota", "state", "store"}
    (Path(alone.folder) / "e.toml").write_text(text.replace("#port = 18180", "port = 1"))
    checked = alone.inside("config", "check", "--config", f"{alone.folder}/e.toml")
    assert (checked.code, checked.stdout) == (0, "")
    assert "1 setting said" in checked.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [("prot = 1", "did you mean port?"), ("port = 'x'", "0 to 65535"), ("[audit]\nsync_ms = 0", "audit.sync_ms")],
)
def test_mistake_in_the_file_ends_check_show_and_serve_with_code_2(alone: Command, text: str, said: str) -> None:
    file = Path(alone.folder) / "e.toml"
    file.write_text(text)
    for command in ("check", "serve") if "sync_ms" in text else ("check", "show", "serve"):
        arguments = ["serve", "--data", f"{alone.folder}/data"] if command == "serve" else ["config", command]
        ran = alone.inside(*arguments, "--config", str(file))
        assert (ran.code, ran.stdout) == (2, ""), ran
        assert said in ran.stderr
        assert "code: invalid-setting" in ran.stderr
    assert not (Path(alone.folder) / "data").exists()


def test_variable_that_is_no_setting_is_a_warning(tmp_path: Path) -> None:
    ran = Command(tmp_path, EPISTEME_PROT="1").inside("config", "check")
    assert ran.code == 0
    assert "EPISTEME_PROT is no setting; did you mean EPISTEME_PORT?" in ran.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "99999"], "--port is '99999'; it takes a whole number, 0 to 65535"),
        (["--store-memory-bytes", "much"], "a size such as 64MiB"),
        (["--log-format", "xml"], "human or json"),
        (["--operator", "me"], "operators has 'me'"),
        (["--no-such-setting", "1"], "--no-such-setting"),
    ],
)
def test_bad_flag_of_serve_is_told_before_anything_is_made(alone: Command, flags: list[str], said: str) -> None:
    ran = alone.inside("serve", "--data", f"{alone.folder}/data", *flags)
    assert (ran.code, ran.stdout) == (2, ""), ran
    assert said in ran.stderr
    assert not (Path(alone.folder) / "data").exists()


def test_server_goes_by_the_file_of_its_data_folder_and_a_flag_wins(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "episteme.toml").write_text("port = 1\nwait_s_max = '1s'\n[audit]\nenabled = false\n")
    with Server.start(data) as server:
        status = call(server.url, "GET", "/v1/status").json()
        assert status["audit"]["enabled"] is False
        too_long = call(server.url, "GET", "/v1/query?subject=s&predicate=p&min_seq=0&wait=2s")
        assert (too_long.status, "0 to 1 s" in too_long.json()["detail"]) == (422, True)
        ended = server.stop()
    assert f"settings of {data / 'episteme.toml'}" in ended.output


def test_folder_opened_without_a_server_goes_by_its_file_but_keeps_its_rules(tmp_path: Path) -> None:
    data, operator, other = tmp_path / "data", Key(b"\x01" * 32), Key(b"\x02" * 32)
    with Node.open(data, key=operator):
        pass
    (data / "episteme.toml").write_text(
        f"operators = ['{other.agent_hex}']\nwait_s_max = 1\nanecdotal_cluster_count = 7\n"
    )
    episteme = Command(tmp_path)
    assert episteme.inside("subjects", "--data", str(data)).code == 3
    told = episteme.inside("query", "s", "p", "--min-seq", "99", "--data", str(data))
    assert told.code != 0
    with Node.open(data) as node:
        assert (node.end_seq, node.agent(other.agent_hex).is_operator) == (-1, False)
    (data / "episteme.toml").write_text("wiat_s_max = 1")
    wrong = episteme.inside("subjects", "--data", str(data))
    assert (wrong.code, "did you mean wait_s_max?" in wrong.stderr) == (2, True)
