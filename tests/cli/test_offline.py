"""Commands on a data folder itself: reading after the server has stopped, and verifying its log."""

import shutil
from pathlib import Path

import pytest

from episteme import Client, Key
from episteme.node import LOG_FOLDER
from tests.support.command import Command
from tests.support.events import KEY_A, KEY_B, make_assertion, signed
from tests.support.logs import flip_bit, segment_files
from tests.support.servers import Server

WAIT_S = 10.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a server has left: three events, four signatures."""
    folder = tmp_path_factory.mktemp("stopped") / "data"
    with Server.start(folder) as server:
        with Client(server.url, key=KEY_A) as client:
            receipt = client.submit(signed(make_assertion(subject="left behind"), KEY_A, KEY_B))
            client.assert_("left behind", "is", "a value")
            client.vote(receipt.hash, "0.5", wait_s=WAIT_S)
        assert server.stop().code == 0
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


def test_log_may_be_verified_beside_a_running_server(tmp_path: Path, offline: Command) -> None:
    with Server.start(tmp_path / "data") as server:
        with Client(server.url, key=Key.generate()) as client:
            client.assert_("s", "p", "v")
        ran = offline("log", "verify", str(tmp_path / "data"))
        assert (ran.code, ran.line["events"]) == (0, 1)
        assert server.stop().code == 0


def test_data_folder_that_is_a_file_is_told(tmp_path: Path, offline: Command) -> None:
    (tmp_path / "data").write_text("")
    with Server(tmp_path / "data") as server:
        ended = server.wait()
    assert ended.code == 1
    assert "code: cannot-open" in ended.output
    assert "Traceback" not in ended.output
