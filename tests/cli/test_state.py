"""episteme rebuild and episteme state, on a folder that nobody has open."""

import json
import shutil
from pathlib import Path

import pytest

from episteme import Node
from episteme.config import NodeConfig
from episteme.node import LOG_FOLDER, STATE_FOLDER
from keycodec import view_key
from model import FRAME_KIND_EVENT
from stores import Batch, HybridStore
from tests.support.command import Command
from tests.support.events import KEY_A
from tests.support.logs import open_log

WAIT_S = 10.0
CLAIMS = 5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A closed database of a few claims."""
    with Node.open(tmp_path / "data", key=KEY_A) as node:
        for number in range(CLAIMS):
            node.assert_("subject", "p", number, wait_s=WAIT_S)
    return tmp_path / "data"


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    return Command(tmp_path, EPISTEME_URL="http://127.0.0.1:1")


def test_rebuilt_state_is_the_same_and_in_its_place(offline: Command, data: Path) -> None:
    digest = offline("state", "digest", str(data)).line
    ran = offline("rebuild", str(data), "--digest")
    assert (ran.code, ran.stderr) == (0, "")
    assert (ran.line["events"], ran.line["same"]) == (CLAIMS, True)
    assert ran.line["digest_after"] == digest["digest"]
    assert offline.inside("state", "digest", str(data)).line == digest
    assert offline.inside("query", "subject", "p", "--data", str(data)).line["candidates_count"] == CLAIMS


def test_rebuild_finds_that_the_old_state_was_wrong_and_mends_it(offline: Command, data: Path) -> None:
    digest = offline.inside("state", "digest", str(data)).line["digest"]
    live = (data / STATE_FOLDER / "CURRENT").read_text().strip()
    store = HybridStore.open(data / STATE_FOLDER / live)
    batch = Batch()
    batch.delete(view_key("subject", "p"))
    store.commit(batch)
    store.close()
    ran = offline.inside("rebuild", str(data), "--digest")
    assert (ran.code, ran.line["same"], ran.line["digest_after"]) == (4, False, digest)
    assert offline.inside("state", "digest", str(data)).line["digest"] == digest


def test_lost_state_begins_at_a_snapshot_that_the_command_has_made(offline: Command, data: Path) -> None:
    made = offline.inside("state", "snapshot", str(data)).line
    assert (made["events"], made["digest"]) == (CLAIMS, offline.inside("state", "digest", str(data)).line["digest"])
    assert offline.inside("state", "snapshots", str(data)).line == made
    for path in (data / STATE_FOLDER).glob("gen-*"):
        shutil.rmtree(path)
    (data / STATE_FOLDER / "CURRENT").unlink()
    assert offline.inside("state", "digest", str(data)).line == {"events": CLAIMS, "digest": made["digest"]}


def test_dead_letters_are_listed_and_one_that_stays_dead_is_no_success(offline: Command, data: Path) -> None:
    assert offline.inside("state", "dead-letters", str(data)).stdout == ""
    with open_log(data / LOG_FOLDER) as log:
        log.append(b"\x01 no event", FRAME_KIND_EVENT).wait(WAIT_S)
    listed = offline.inside("state", "dead-letters", str(data))
    assert (listed.code, listed.line["seq"], listed.line["attempts"]) == (0, CLAIMS, 1)
    tried = offline.inside("state", "dead-letters", str(data), "--retry")
    assert (tried.code, tried.line["attempts"]) == (7, 2)
    assert "retried 1 event: 0 applied" in tried.stderr


def test_tables_are_for_people(offline: Command, data: Path) -> None:
    assert "5 in" in offline.inside("rebuild", str(data), "-o", "table").stdout
    assert "digest" in offline.inside("state", "digest", str(data), "-o", "table").stdout
    assert "events" in offline.inside("state", "snapshot", str(data), "-o", "table").stdout
    assert "reason" in offline.inside("state", "dead-letters", str(data), "-o", "table").stdout


@pytest.mark.parametrize("command", [("rebuild",), ("state", "digest"), ("state", "snapshot"), ("state", "snapshots")])
def test_what_is_no_data_folder_is_refused_and_left_alone(
    offline: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    ran = offline.inside(*command, str(tmp_path / "empty"))
    assert ran.code == 2
    assert "is not a data folder" in ran.stderr
    assert list((tmp_path / "empty").iterdir()) == []


def test_folder_that_somebody_has_open_is_refused(offline: Command, data: Path) -> None:
    with Node.open(data):
        ran = offline("rebuild", str(data))
    assert ran.code == 1
    assert "code: cannot-open" in ran.stderr
    assert "--url" in ran.stderr
    assert json.loads(offline("state", "digest", str(data)).stdout)["events"] == CLAIMS


def test_state_that_lost_what_a_power_cut_may_take_is_made_anew_by_itself(offline: Command, data: Path) -> None:
    digest = offline.inside("state", "digest", str(data)).line["digest"]
    live = data / STATE_FOLDER / (data / STATE_FOLDER / "CURRENT").read_text().strip()
    (live / "read" / "data.mdb").write_bytes(b"")
    assert offline.inside("query", "subject", "p", "--data", str(data)).line["candidates_count"] == CLAIMS
    assert offline.inside("state", "digest", str(data)).line["digest"] == digest


@pytest.mark.parametrize("damaged", ["write", "read", "read/data.mdb", "FORMAT", "write/MANIFEST-*", "garbage"])
def test_state_that_cannot_be_opened_is_told_and_made_anew(offline: Command, data: Path, damaged: str) -> None:
    digest = offline.inside("state", "digest", str(data)).line["digest"]
    live = data / STATE_FOLDER / (data / STATE_FOLDER / "CURRENT").read_text().strip()
    if damaged == "garbage":
        (live / "read" / "data.mdb").write_bytes(bytes(range(256)) * 64)
    else:
        for path in live.glob(damaged):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused = offline.inside("state", "digest", str(data))
    assert refused.code == 1
    assert "code: state-damaged" in refused.stderr
    assert "episteme rebuild DIR" in refused.stderr
    assert "code: state-damaged" in offline.inside("status", "--data", str(data)).stderr
    rebuilt = offline.inside("rebuild", str(data), "--digest")
    assert (rebuilt.code, rebuilt.line["events"], rebuilt.line["digest_after"]) == (0, CLAIMS, digest)
    assert "cannot be used" in rebuilt.stderr
    assert offline.inside("query", "subject", "p", "--data", str(data)).line["candidates_count"] == CLAIMS


def test_dead_letters_are_listed_even_when_they_have_stopped_the_fold(
    offline: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = NodeConfig().state
    stopping = NodeConfig(state=options._replace(fold=options.fold._replace(dead_letters_max=1)))
    monkeypatch.setattr("episteme.cli.state.NodeConfig", lambda: stopping)
    with open_log(data / LOG_FOLDER) as log:
        log.append_many([(FRAME_KIND_EVENT, b"\x01 no event")] * 3).wait(WAIT_S)
    listed = offline.inside("state", "dead-letters", str(data))
    assert (listed.code, listed.line["seq"]) == (0, CLAIMS)
    assert "code: fold-stopped" in offline.inside("state", "digest", str(data)).stderr


def test_folder_may_be_named_as_other_commands_name_it(offline: Command, data: Path) -> None:
    assert offline.inside("state", "digest", "--data", str(data)).line["events"] == CLAIMS
    assert offline.inside("log", "info", "--data", str(data)).line["count"] == CLAIMS


def test_folder_may_be_named_by_the_environment(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    command = Command(tmp_path / "elsewhere", EPISTEME_DATA=str(data))
    assert command.inside("state", "digest").line["events"] == CLAIMS
