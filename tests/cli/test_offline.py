"""Commands on a data folder itself: reading after the server has stopped, and verifying its log."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from episteme import Client, Key, Node
from episteme.node import LOG_FOLDER
from tests.support.command import Command
from tests.support.events import KEY_A, KEY_B, make_assertion, signed
from tests.support.logs import flip_bit, segment_files
from tests.support.servers import Server

WAIT_S = 10.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a program has left: three events, four signatures."""
    folder = tmp_path_factory.mktemp("stopped") / "data"
    with Node.open(folder, key=KEY_A) as node:
        receipt = node.submit(signed(make_assertion(subject="left behind"), KEY_A, KEY_B), wait_s=WAIT_S)
        node.assert_("left behind", "is", "a value")
        node.vote(receipt.hash, "0.5", wait_s=WAIT_S)
    return folder


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    """The command line without a server to talk to."""
    return Command(tmp_path, EPISTEME_URL="http://127.0.0.1:1")


def test_folder_is_read_and_written_without_a_server(offline: Command, data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    answer = offline("query", "left behind", "is", "--data", str(copy))
    assert (answer.code, answer.line["winner"]["value"]["value"], answer.stderr) == (0, "a value", "")
    status = offline("status", "--data", str(copy))
    assert (status.code, status.line["log"]["seq"]) == (0, 2)
    written = offline("assert", "left behind", "is", "another", "--data", str(copy), "--wait", "10")
    assert (written.code, written.line["seq"], written.line["status"]) == (0, 3, "applied")


def test_claim_that_breaks_a_rule_is_refused_offline_too_and_does_no_harm(
    offline: Command, data: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    refused = offline("assert", "s", "p", "v", "--confidence", "7", "--data", str(copy))
    assert refused.code == 6
    assert "code: invalid-field" in refused.stderr
    assert offline.inside("status", "--data", str(copy)).line["log"]["seq"] == 2


def test_mistyped_option_of_a_vote_is_not_taken_for_its_weight(offline: Command, data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    claim = offline.inside("query", "left behind", "is", "--data", str(copy)).line["winner"]["hash"]
    refused = offline("vote", claim, "--wieght", "--data", str(copy))
    assert refused.code in (2, 6)
    assert offline.inside("status", "--data", str(copy)).line["log"]["seq"] == 2


def test_folder_that_a_server_has_is_told(tmp_path: Path, offline: Command) -> None:
    with Server.start(tmp_path / "data"):
        ran = offline("query", "s", "p", "--data", str(tmp_path / "data"))
    assert (ran.code, ran.stdout) == (1, "")
    assert "code: cannot-open" in ran.stderr


def test_sound_log_is_verified_down_to_every_signature(offline: Command, data: Path) -> None:
    for folder in (data, data / LOG_FOLDER):
        ran = offline("log", "verify", str(folder))
        assert (ran.code, ran.stderr) == (0, "")
        assert ran.line["ok"] is True
        assert (ran.line["frames"], ran.line["events"], ran.line["signatures"]) == (3, 3, 4)
        assert ran.line["findings"] == []
    table = offline.inside("log", "verify", str(data), "-o", "table")
    assert table.code == 0
    assert "ok" in table.stdout


def test_flipped_bit_is_found_and_told_with_file_and_place(offline: Command, data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    (segment,) = segment_files(copy / LOG_FOLDER)
    flip_bit(segment, (64 + 100) * 8)
    before = segment.read_bytes()
    ran = offline("log", "verify", str(copy))
    assert (ran.code, ran.line["ok"], ran.stderr) == (4, False, "")
    assert ran.line["findings"][0]["path"] == str(segment)
    assert ran.line["findings"][0]["offset"] >= 64
    table = offline.inside("log", "verify", str(copy), "-o", "table")
    assert table.code == 4
    assert "damaged" in table.stdout
    assert segment.read_bytes() == before
    opened = offline.inside("status", "--data", str(copy))
    assert (opened.code, opened.stdout) == (1, "")
    assert "code: damaged" in opened.stderr


def test_damaged_log_is_repaired_into_a_new_folder_that_is_whole(offline: Command, data: Path, tmp_path: Path) -> None:
    copy, new = shutil.copytree(data, tmp_path / "copy"), tmp_path / "new"
    (segment,) = segment_files(copy / LOG_FOLDER)
    flip_bit(segment, (64 + 100) * 8)
    before = segment.read_bytes()
    ran = offline("log", "repair", str(copy), "--into", str(new))
    assert (ran.code, ran.line["ok"], ran.line["kept"], ran.line["lost"]) == (4, False, 2, 1)
    assert ran.line["lost_seqs"] == [[0, 0]]
    assert ran.line["findings"][0]["file"] == segment.name
    assert f"episteme log verify {new}" in ran.stderr
    assert segment.read_bytes() == before
    verified = offline.inside("log", "verify", str(new))
    assert (verified.code, verified.line["ok"], verified.line["lost"]) == (0, True, 1)
    assert (verified.line["frames"], verified.line["events"]) == (3, 2)
    assert [one["severity"] for one in verified.line["findings"]] == ["lost"]
    table = offline.inside("log", "verify", str(new), "-o", "table")
    assert "ok; 1 frame lost in an earlier repair" in table.stdout
    again = offline.inside("log", "repair", str(copy), "--into", str(new))
    assert (again.code, again.stdout) == (1, "")
    assert "not empty" in again.stderr


def test_repair_of_a_sound_log_loses_nothing(offline: Command, data: Path, tmp_path: Path) -> None:
    ran = offline.inside("log", "repair", str(data / LOG_FOLDER), "--into", str(tmp_path / "new"), "-o", "table")
    assert ran.code == 0
    assert "3 frames in 1 segment" in ran.stdout
    assert not (tmp_path / "new" / "quarantine").exists()


def test_log_that_a_server_writes_is_not_repaired(tmp_path: Path, offline: Command) -> None:
    with Server.start(tmp_path / "data"):
        ran = offline("log", "repair", str(tmp_path / "data"), "--into", str(tmp_path / "new"))
    assert (ran.code, ran.stdout) == (1, "")
    assert "code: cannot-open" in ran.stderr
    assert not (tmp_path / "new").exists()


def dumped(offline: Command, *arguments: str) -> tuple[int, list[Any], str]:
    ran = offline.inside("log", "dump", *arguments)
    return ran.code, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


def test_frames_are_shown_with_their_events(offline: Command, data: Path) -> None:
    code, lines, talk = dumped(offline, str(data))
    assert (code, [line["seq"] for line in lines], talk) == (0, [0, 1, 2], "")
    first = lines[0]
    assert first["event"]["event"]["subject"] == "left behind"
    assert len(first["event"]["signatures"]) == 2
    assert (first["kind"], first["flags"], len(first["payload_hex"])) == (1, ["synced"], 2 * first["bytes"])
    assert first["time"].endswith("Z")
    assert dumped(offline, str(data), "--from", "1", "--count", "1")[1] == lines[1:2]
    assert dumped(offline, str(data), "--time-from", lines[2]["time"])[1][-1] == lines[2]
    assert dumped(offline, str(data), "--time-from", str(lines[2]["time_ms"] + 1))[:2] == (0, [])
    table = offline.inside("log", "dump", str(data), "-o", "table")
    assert table.code == 0
    assert "left behind" in table.stdout


def test_damaged_log_is_shown_up_to_the_damage(offline: Command, data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    (segment,) = segment_files(copy / LOG_FOLDER)
    second = 72 + int.from_bytes(segment.read_bytes()[64:68], "little")
    flip_bit(segment, (second + 40) * 8)
    code, lines, talk = dumped(offline, str(copy))
    assert (code, [line["seq"] for line in lines]) == (4, [0])
    assert f"{segment} at byte {second}" in talk


def test_lost_frame_is_shown_with_its_reason(offline: Command, data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "copy")
    (segment,) = segment_files(copy / LOG_FOLDER)
    flip_bit(segment, (64 + 100) * 8)
    offline.inside("log", "repair", str(copy), "--into", str(tmp_path / "new"))
    _, lines, _ = dumped(offline, str(tmp_path / "new"))
    assert (lines[0]["flags"], lines[0]["kind"]) == (["lost"], 0)
    assert "at byte 64: expected crc" in lines[0]["problem"]


def test_log_may_be_verified_beside_a_running_server(tmp_path: Path, offline: Command) -> None:
    with Server.start(tmp_path / "data") as server:
        with Client(server.url, key=Key.generate()) as client:
            client.assert_("s", "p", "v")
        ran = offline("log", "verify", str(tmp_path / "data"))
        assert (ran.code, ran.line["events"]) == (0, 1)
        assert dumped(offline, str(tmp_path / "data"))[0] == 0
        assert server.stop().code == 0


def test_data_folder_that_is_a_file_is_told(tmp_path: Path, offline: Command) -> None:
    (tmp_path / "data").write_text("")
    with Server(tmp_path / "data") as server:
        ended = server.wait()
    assert ended.code == 1
    assert "code: cannot-open" in ended.output
    assert "Traceback" not in ended.output
