"""Keys of this machine: listed, shown, written for other programs and read back; nothing secret by accident."""

import stat
from pathlib import Path

import pytest

from episteme import Key, Node
from tests.support.command import Command

SEED = "4c" * 32
KEY = Key.from_hex(SEED)


@pytest.fixture
def alone(tmp_path: Path) -> Command:
    """A home with no keys yet."""
    return Command(tmp_path)


def test_no_keys_is_code_3_with_what_to_do(alone: Command) -> None:
    ran = alone.inside("keys", "list")
    assert (ran.code, ran.stdout) == (3, "")
    assert "episteme keygen" in ran.stderr


@pytest.mark.parametrize("form", ["episteme", "openssh", "pkcs8", "hex"])
def test_key_goes_out_and_comes_back_in_every_form(alone: Command, tmp_path: Path, form: str) -> None:
    KEY.save("mine", alone.keys)
    file = tmp_path / "out.pem"
    out = alone.inside("keys", "export", "mine", "--format", form, "--to", str(file))
    assert (out.code, out.stdout) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SEED not in out.stderr
    back = alone.inside("keys", "import", str(file), "--name", "back")
    assert (back.code, back.line["agent"], back.line["did"]) == (0, KEY.agent_hex, KEY.did)
    assert Key.load("back", alone.keys).seed == KEY.seed
    assert alone.inside("keys", "import", str(file), "--name", "back").code == 1


def test_secret_is_printed_only_if_stdout_is_asked_for(alone: Command) -> None:
    KEY.save("mine", alone.keys)
    assert alone.inside("keys", "export", "mine", "--format", "hex").code == 2
    assert alone.inside("keys", "export", "mine", "--format", "hex", "--to", "-").stdout.strip() == SEED
    public = alone.inside("keys", "export", "mine", "--format", "public")
    assert public.stdout.startswith("ssh-ed25519 ")
    for output in ("table", "json", "jsonl", "csv"):
        for command in (["keys", "list"], ["keys", "show", "mine"]):
            ran = alone.inside(*command, "-o", output)
            assert (ran.code, KEY.agent_hex in ran.stdout, SEED in ran.stdout) == (0, True, False)


def test_key_that_others_can_read_is_listed_with_why_it_cannot_be_used(alone: Command) -> None:
    KEY.save("open", alone.keys).chmod(0o644)
    ran = alone.inside("keys", "list")
    assert (ran.code, ran.line["agent"]) == (0, None)
    assert "others can read it" in ran.line["problem"]
    shown = alone.inside("keys", "show", "open")
    assert (shown.code, "code: key" in shown.stderr) == (1, True)


def test_key_of_the_environment_signs_where_none_is_named(tmp_path: Path) -> None:
    episteme = Command(tmp_path, EPISTEME_KEY=SEED)
    data = tmp_path / "data"
    with Node.open(data):
        pass
    ran = episteme.inside("assert", "s", "p", "v", "--data", str(data), "--wait", "5")
    assert (ran.code, ran.stderr) == (0, "")
    with Node.open(data) as node:
        assert node.get(ran.line["hash"]).signatures[0].agent == KEY.agent_hex
    assert not episteme.keys.exists()


def test_what_is_wrong_with_a_key_is_told_with_what_helps(alone: Command, tmp_path: Path) -> None:
    KEY.save("mine", alone.keys)
    there = alone.inside("keygen", "--name", "mine")
    assert (there.code, "Name another." in there.stderr) == (1, True)
    public = tmp_path / "id.pub"
    public.write_text(f"{KEY.to_openssh_public()}\n")
    named = alone.inside("keys", "import", str(public), "--name", "other")
    assert (named.code, str(tmp_path / "id.") in named.stderr, "chmod" in named.stderr) == (1, True, False)
    file = tmp_path / "id"
    file.write_text("no key")
    file.chmod(0o644)
    assert "chmod 600" in alone.inside("keys", "import", str(file), "--name", "other").stderr
    file.chmod(0o600)
    assert "OpenSSH" in alone.inside("keys", "import", str(file), "--name", "other").stderr


@pytest.mark.parametrize("name", ["../x", "./x", "/x", "x.key", "x.pem"])
def test_no_key_is_kept_under_a_name_that_is_read_as_a_path(alone: Command, name: str) -> None:
    assert alone.inside("keygen", "--name", name).code == 2
    assert not list(alone.keys.rglob("*.key"))


@pytest.mark.parametrize("columns", ["80", "140"])
def test_list_of_keys_has_both_names_of_an_agent_where_there_is_room(tmp_path: Path, columns: str) -> None:
    command = Command(tmp_path, COLUMNS=columns)
    KEY.save("mine", command.keys)
    shown = command.inside("keys", "list", "-o", "table").stdout
    assert len(shown.splitlines()) == 2
    assert (KEY.agent_hex in shown, KEY.did in shown) == (True, columns == "140")
