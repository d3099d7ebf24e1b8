"""What people type by mistake, the ways to end, and output for other programs."""

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from episteme import Key, Node
from episteme.cli.flat import columns_of, row_of
from episteme.errors import EXIT_UNREACHABLE
from tests.support.command import Command
from tests.support.events import HASH_1
from tests.support.servers import WAIT_S, Server, environment

DID = Key(b"\x07" * 32).did


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with claims whose values try a reader of CSV."""
    folder = tmp_path_factory.mktemp("wrong") / "data"
    with Node.open(folder, key=Key(b"\x07" * 32)) as node:
        node.assert_("s", "says", 'a "quoted", text\nof two lines')
        node.assert_("s", "says", "=1+1")
        node.assert_("s", "weighs", -89, wait_s=WAIT_S)
    return folder


@pytest.fixture
def alone(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["assert", "Tesla", "Motors", "founded", "2003"], 2, "2003"),
        (["assert", "Tesla", "founded"], 2, "value"),
        (["assert", "", "founded", "x"], 6, "is empty"),
        (["assert", "s", "p", "yes", "--bool"], 6, "true or false"),
        (["assert", "s", "p", "2,003", "--number"], 6, "decimal number"),
        (["assert", "s", "p", "1", "--number", "--bool"], 2, "one type"),
        (["assert", "s", "p", "1", "--number", "--type", "boolean"], 2, "one type"),
        (["assert", "s", "p", "x", "--confidence", "90%"], 6, "confidence"),
        (["assert", "s", "p", "x", "--source-class", "expret"], 2, "expert"),
        (["assert", "s", "p", "x", "--key", "./no.key"], 1, "no key file"),
        (["query"], 2, "subject"),
        (["query", "s", "p", "-o", "yaml"], 2, "csv"),
        (["query", "s" * 5000, "p"], 2, "at most 256"),
        (["query", "s", "p", "--min-seq", "9" * 30], 1, "not applied yet"),
        (["query", "s", "p", "--as-of", "yesterday"], 2, "2h"),
        (["get", "4b9a46fb2119"], 2, "12 of 64"),
        (["get", ""], 2, "64 lower-case hex"),
        (["vote", "up", HASH_1], 2, "64 lower-case hex"),
        (["agents", "did:key:z6Mkxxx"], 2, "did:key"),
        (["config", "set", "a", "b"], 2, "set"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_mistake_is_told_in_words_and_does_nothing(
    alone: Command, data: Path, arguments: list[str], code: int, said: str
) -> None:
    before = alone.inside("status", "--data", str(data)).line["log"]["seq"]
    place = [] if arguments[0] == "config" else ["--data", str(data)]
    ran = alone.inside(*arguments, *place)
    assert (ran.code, ran.stdout) == (code, ""), ran
    assert said in ran.stderr
    assert alone.inside("status", "--data", str(data)).line["log"]["seq"] == before


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("127.0.0.1:18180", 2),
        ("http://127.0.0.1:99999", 2),
        ("ftp://127.0.0.1", 2),
        ("", 2),
        ("http://127.0.0.1:1", EXIT_UNREACHABLE),
        ("http://nothing.invalid", EXIT_UNREACHABLE),
    ],
)
def test_address_that_is_none_is_usage_and_one_that_does_not_answer_is_unreachable(
    alone: Command, url: str, code: int
) -> None:
    ran = alone.inside("status", "--url", url)
    assert (ran.code, ran.stdout) == (code, "")
    assert "hint: " in ran.stderr


def test_https_to_a_server_that_speaks_http_is_unreachable(alone: Command, server: Server) -> None:
    ran = alone.inside("status", "--url", server.url.replace("http:", "https:"))
    assert (ran.code, "code: unreachable" in ran.stderr) == (EXIT_UNREACHABLE, True)


def test_folder_that_is_none_says_which_it_is(alone: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name, said in (("file", "is a file"), ("empty", "no folder log in it"), ("none", "does not exist")):
        ran = alone.inside("status", "--data", str(tmp_path / name))
        assert (ran.code, ran.stdout) == (2, "")
        assert said in " ".join(ran.stderr.split())
    assert list((tmp_path / "empty").iterdir()) == []


def test_bad_token_is_refused_and_never_shown(tmp_path: Path, server: Server) -> None:
    token = "eps_0123456789abcdef_secret_xx"
    episteme = Command(tmp_path, EPISTEME_URL=server.url, EPISTEME_TOKEN=token)
    for ran in (episteme.inside("status"), episteme.inside("--debug", "status", "--token", token)):
        assert (ran.code, ran.stdout) == (6, "")
        assert "code: invalid-token" in ran.stderr
        assert "secret" not in ran.stderr.replace("is_secret", "")
    assert "secret" not in episteme.inside("status", "--help").stdout


def test_agent_is_taken_as_did_key(alone: Command, data: Path) -> None:
    by_did = alone.inside("agents", DID, "--data", str(data))
    assert by_did.line["agent"] == Key(b"\x07" * 32).agent_hex
    assert len(alone.inside("assertions", "--agent", DID, "--data", str(data)).stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["-89.2", "--number"], {"type": "number", "value": "-89.2"}),
        (["--number", "-89.2"], {"type": "number", "value": "-89.2"}),
        (["True", "--bool"], {"type": "boolean", "value": True}),
        (["Elon_Musk", "--ref"], {"type": "reference", "value": "Elon_Musk"}),
        (["2003"], {"type": "text", "value": "2003"}),
    ],
)
def test_short_flags_say_what_a_value_is(
    alone: Command, data: Path, arguments: list[str], value: dict[str, object]
) -> None:
    ran = alone.inside("assert", "s", "p", *arguments, "--confidence", ".5", "--dry-run", "--data", str(data))
    assert ran.code == 0, ran
    event = json.loads(ran.line["canonical"])
    assert (event["object"], event["confidence"]) == (value, "0.5")


def test_list_is_one_array_as_json_and_lines_with_a_header_as_csv(alone: Command, data: Path) -> None:
    array = json.loads(alone.inside("assertions", "--data", str(data), "-o", "json").stdout)
    lines = [json.loads(line) for line in alone.inside("assertions", "--data", str(data)).stdout.splitlines()]
    assert array == lines
    text = alone.inside("assertions", "--data", str(data), "-o", "csv").stdout
    assert text.count("\n") == 4
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["hash"] for row in rows] == [one["hash"] for one in array]
    assert [row["event.object.value"] for row in rows] == ['a "quoted", text\\u000aof two lines', "'=1+1", "-89"]
    assert [row["event.object.type"] for row in rows] == ["text", "text", "number"]
    assert rows[0]["event.confidence"] == "1"
    assert json.loads(rows[0]["signatures"])[0]["agent"] == Key(b"\x07" * 32).agent_hex


def test_csv_of_any_report_has_as_many_cells_as_columns(alone: Command, data: Path) -> None:
    for command in (["query", "s", "says"], ["status"], ["compare", "s", "says"], ["agents"], ["lenses"]):
        header, *rows = csv.reader(io.StringIO(alone.inside(*command, "--data", str(data), "-o", "csv").stdout))
        assert rows
        assert all(len(row) == len(header) == len(set(header)) for row in rows), command
    assert columns_of({"a": 1, "b.c": None}) == ["a", "b.c"]
    assert row_of({"a": True, "b.c": None}, ["a", "b.c"]) == ["true", ""]


def test_no_color_leaves_no_colour_on_a_terminal(data: Path, tmp_path: Path) -> None:
    said = {}
    for name in ("", "1"):
        environ = environment(tmp_path, **({"NO_COLOR": name} if name else {}), TERM="xterm-256color")
        done = subprocess.run(
            ["script", "-qec", f"{sys.executable} -m episteme get {HASH_1} --data {data}", "/dev/null"],
            capture_output=True,
            text=True,
            env=environ,
            timeout=WAIT_S * 3,
            check=False,
        )
        said[name] = done.stdout
    assert "31m" in said[""]
    assert "31m" not in said["1"]
    assert "code: not-found" in said["1"]


def test_debug_shows_where_an_error_arose_and_else_nobody_sees_a_traceback(alone: Command, data: Path) -> None:
    plain = alone.inside("get", HASH_1, "--data", str(data))
    assert (plain.code, "Traceback" in plain.stderr) == (3, False)
    traced = alone.inside("--debug", "get", HASH_1, "--data", str(data))
    assert (traced.code, "Traceback" in traced.stderr) == (3, True)


def test_interrupt_ends_a_command_with_130(tmp_path: Path, server: Server) -> None:
    episteme = Command(tmp_path, EPISTEME_URL=server.url)
    assert episteme.inside("assert", "interrupted", "is", "so").code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "episteme", "tail", "--follow", "--url", server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path / "config"),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in said) == (130, False)


def test_interrupt_of_any_command_says_so(tmp_path: Path) -> None:
    program = """
from episteme.cli.app import App
from episteme.cli.running import run

app = App()

@app.command()
def wait() -> None:
    raise KeyboardInterrupt

run(app)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(tmp_path), check=False
    )
    assert (done.returncode, done.stdout, done.stderr.split()) == (130, "", ["interrupted"])


@pytest.mark.parametrize("command", ["epochs", "assertions", "escalations", "audit list", "history s p"])
def test_list_of_nothing_says_so(alone: Command, tmp_path: Path, command: str) -> None:
    with Node.open(tmp_path / "empty"):
        pass
    ran = alone.inside(*command.split(), "-o", "table", "--data", str(tmp_path / "empty"))
    assert (ran.code, "nothing found" in ran.stderr) == (3, True)


def test_csv_of_a_history_and_of_a_comparison_has_a_line_for_each_of_their_parts(alone: Command, data: Path) -> None:
    for command, column in (("history", "seq"), ("compare", "lens.name")):
        ran = alone.inside(command, "s", "says", "-o", "csv", "--data", str(data))
        rows = list(csv.DictReader(io.StringIO(ran.stdout)))
        assert len(rows) > 1
        assert len({row[column] for row in rows}) == len(rows)


def test_closed_stdout_is_no_fault_of_ours(tmp_path: Path, data: Path) -> None:
    line = f"{sys.executable} -m episteme status --data {data} >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment(tmp_path), check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_folder_that_cannot_be_made_is_told_by_its_own_name(alone: Command) -> None:
    ran = alone.inside("serve", "--data", "/proc/nowhere/data", "--port", "0")
    assert (ran.code, "code: cannot-open" in ran.stderr, "operator" in ran.stderr) == (1, True, False)


@pytest.mark.parametrize("command", ["list", "show"])
def test_setting_that_is_not_there_is_told(alone: Command, command: str) -> None:
    ran = alone.inside("config", command, "nosuch", "-o", "jsonl")
    assert (ran.code, ran.stdout, "'nosuch'" in ran.stderr) == (3, "", True)


def test_fault_of_ours_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    program = """
from episteme.cli.app import App
from episteme.cli.running import run
app = App(invoke_without_command=True, no_args_is_help=False)
@app.callback()
def broken():
    raise KeyError("odd")
run(app)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=WAIT_S * 3,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "KeyError: 'odd'" in done.stderr
    assert "code: internal" in done.stderr
    assert "Traceback" not in done.stderr
