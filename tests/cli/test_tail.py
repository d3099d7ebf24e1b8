"""`episteme tail`, `log info` and `log read`: the log for a person and for a pipe, live and from a folder."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from episteme.cli.lines import line_text
from episteme.loglines import decode_line, line_of
from episteme.node import LOG_FOLDER
from model import FRAME_KIND_EVENT, Receipt, encode_record, kind_of
from tests.support.command import Command, Ran
from tests.support.envelopes import claim
from tests.support.events import FULL_EVENTS, KEY_A, make_assertion, signed
from tests.support.http import call
from tests.support.logs import open_log
from tests.support.servers import WAIT_S, Server, environment
from wal import Frame


def seqs(ran: Ran) -> list[int]:
    assert ran.code == 0, ran.stderr
    return [json.loads(line)["seq"] for line in ran.stdout.splitlines()]


def post(server: Server, subject: str) -> int:
    return int(call(server.url, "POST", "/v1/assertions", claim(subject)).json()["seq"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 30 claims about three subjects, in several segments, that nobody has open."""
    data = tmp_path_factory.mktemp("tail") / "data"
    with open_log(data / LOG_FOLDER, segment_bytes=4096) as log:
        for number in range(30):
            event = signed(make_assertion(subject=f"subject {number % 3}", confidence=f"0.{number:02}"))
            log.append(encode_record(event, Receipt("test")), FRAME_KIND_EVENT).wait(WAIT_S)
    return data


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    return Command(tmp_path, EPISTEME_URL="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), range(20, 30)),
        (("-n", "3"), range(27, 30)),
        (("--last", "0"), range(0)),
        (("--after", "-1"), range(30)),
        (("--after", "25"), range(26, 30)),
        (("--from", "25"), range(25, 30)),
        (("--from", "3", "--limit", "4"), range(3, 7)),
        (("--after", "-1", "--subject", "subject 1"), range(1, 30, 3)),
        (("--after", "-1", "--subject", "sub*", "--limit", "2"), range(2)),
        (("--after", "-1", "--kind", "vote"), range(0)),
        (("--after", "-1", "--agent", KEY_A.agent_hex, "--predicate", "causes_muscle_loss"), range(30)),
    ],
)
def test_tail_of_a_folder_shows_what_was_asked_for(
    offline: Command, folder: Path, options: tuple[str, ...], expected: range
) -> None:
    assert seqs(offline.inside("tail", "--data", str(folder), *options)) == list(expected)


def test_tail_of_a_server_shows_the_same(episteme: Command, server: Server) -> None:
    first = post(server, "tailed once")
    second = post(server, "tailed twice")
    assert seqs(episteme.inside("tail", "-n", "2")) == [first, second]
    assert seqs(episteme.inside("tail", "--after", str(first - 1), "--subject", "tailed tw*")) == [second]
    line = episteme.inside("tail", "-n", "1").stdout
    assert decode_line(line.encode()).subject == "tailed twice"


def test_log_of_a_running_server_is_tailed_from_its_folder_too(offline: Command, server: Server) -> None:
    seq = post(server, "beside a server")
    assert seqs(offline.inside("tail", "-n", "1", "--data", str(server.data))) == [seq]


@pytest.mark.parametrize("by_url", [True, False])
def test_ctrl_c_ends_a_tail_with_the_command_that_goes_on(server: Server, tmp_path: Path, by_url: bool) -> None:
    subject = f"followed, by_url is {by_url}"
    seq = post(server, subject)
    place = ("--url", server.url) if by_url else ("--data", str(server.data))
    command = [sys.executable, "-m", "episteme", "tail", "-f", "-n", "1", "--subject", f"{subject}*", *place]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["seq"] == seq
            live = post(server, f"{subject}: live")
            assert json.loads(process.stdout.readline())["seq"] == live
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(WAIT_S) == 130
        finally:
            process.kill()
    rest = f"--after {live} {' '.join(place)} --subject '{subject}*'"
    assert said == f"last seq {live}, continue with: episteme tail -f {rest}\n"


def test_terminal_shows_a_line_an_event(offline: Command, folder: Path) -> None:
    shown = offline.inside("tail", "-n", "1", "--data", str(folder), "-o", "table").stdout
    line = shown.split()
    assert (line[0], line[3]) == ("29", "assertion")
    assert "subject 2 causes_muscle_loss = true (clinical, 0.29)" in shown
    assert shown.count("\n") == 1


def test_csv_has_a_row_an_event_under_one_head(offline: Command, folder: Path) -> None:
    head, *rows = offline.inside("tail", "-n", "2", "--data", str(folder), "-o", "csv").stdout.splitlines()
    assert head == "seq,time,kind,agents,text,hash"
    assert [row.split(",")[0] for row in rows] == ["28", "29"]


@pytest.mark.parametrize("event", FULL_EVENTS, ids=kind_of)
def test_every_kind_of_event_has_a_line_that_obeys_no_terminal(event: object) -> None:
    payload = encode_record(signed(event, KEY_A), Receipt())  # type: ignore[arg-type]
    text = line_text(line_of(Frame(0, 0, FRAME_KIND_EVENT, 0, payload)))
    assert text
    assert text.isprintable()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--after", "1", "--from", "2"), 2, "only one of them"),
        (("--after", "30"), 6, "beyond the end of this log, 29"),
        (("--after", "-1", "--kind", "rumour"), 2, "the kinds are"),
        (("--after", "-1", "--agent", "x"), 2, "agent"),
    ],
)
def test_question_that_the_log_cannot_answer_is_refused(
    offline: Command, folder: Path, options: tuple[str, ...], code: int, says: str
) -> None:
    refused = offline.inside("tail", "--data", str(folder), *options)
    assert refused.code == code
    assert says in refused.stderr
    assert refused.stdout == ""


def test_folder_without_a_log_is_refused(offline: Command, tmp_path: Path) -> None:
    refused = offline.inside("tail", "--data", str(tmp_path))
    assert refused.code == 2
    assert "is not a data folder" in refused.stderr


def test_log_info_says_which_log_it_is_and_what_its_files_hold(offline: Command, folder: Path) -> None:
    info = offline.inside("log", "info", str(folder)).line
    assert (info["first_seq"], info["seq"], info["count"], info["epoch"]) == (0, 29, 30, 1)
    segments = info["segments"]
    assert len(segments) > 2
    assert [one["sealed"] for one in segments] == [True] * (len(segments) - 1) + [False]
    assert sum(one["count"] for one in segments) == 30
    assert {one["file"] for one in segments} == {path.name for path in (folder / LOG_FOLDER).glob("*.redex")}
    assert (info["first_time_ms"], info["last_time_ms"]) == (
        segments[0]["first_time_ms"],
        segments[-1]["last_time_ms"] or segments[-2]["last_time_ms"],
    )
    table = offline.inside("log", "info", str(folder), "-o", "table").stdout
    assert info["log_id"] in table
    assert "0 to 29" in table


def test_log_info_of_an_empty_log_and_beside_a_server(offline: Command, server: Server, tmp_path: Path) -> None:
    with open_log(tmp_path / "empty"):
        pass
    info = offline.inside("log", "info", str(tmp_path / "empty")).line
    assert (info["seq"], info["count"], info["first_time_ms"]) == (-1, 0, None)
    assert "none yet" in offline.inside("log", "info", str(tmp_path / "empty"), "-o", "table").stdout
    seq = post(server, "info")
    assert offline.inside("log", "info", str(server.data)).line["seq"] == seq


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), range(20)),
        (("--from", "4", "--count", "3"), range(4, 7)),
        (("--after", "4", "--count", "3"), range(5, 8)),
        (("--from", "28"), range(28, 30)),
        (("--from", "30"), range(0)),
    ],
)
def test_log_read_shows_lines_of_a_folder(
    offline: Command, folder: Path, options: tuple[str, ...], expected: range
) -> None:
    assert seqs(offline.inside("log", "read", str(folder), *options)) == list(expected)


@pytest.mark.parametrize(("options", "code"), [(("--from", "31"), 6), (("--from", "1", "--after", "1"), 2)])
def test_log_read_refuses_what_is_not_there(
    offline: Command, folder: Path, options: tuple[str, ...], code: int
) -> None:
    assert offline.inside("log", "read", str(folder), *options).code == code


def test_damaged_log_is_told_apart_from_its_end(offline: Command, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in (folder / LOG_FOLDER).iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    first = min(broken.glob("*.redex"))
    with first.open("r+b") as file:
        file.seek(first.stat().st_size // 2)
        file.write(b"\xff\xff\xff\xff")
    ran = offline.inside("log", "read", str(broken), "--count", "30")
    assert ran.code == 1
    assert "code: damaged" in ran.stderr
    assert "episteme log verify" in ran.stderr
