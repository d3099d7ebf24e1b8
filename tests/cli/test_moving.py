"""episteme backup, restore, export, import, doctor and rebuild, on a running server and on folders."""

import csv
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from episteme import Client, Key, Node
from episteme.node import LOG_FOLDER, STATE_FOLDER
from episteme.server.access import token_store
from keycodec import view_key
from model import sign_bundle
from stores import Batch, HybridStore
from tests.support.command import Command
from tests.support.events import KEY_A, KEY_B, make_assertion, signed
from tests.support.logs import flip_bit, segment_files
from tests.support.moving import frames_in
from tests.support.servers import WAIT_S, Server, environment

CLAIMS = 40


class Live(NamedTuple):
    """A server with a few claims, an admin token for it, and a command line that has it."""

    server: Server
    episteme: Command


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    with Server.start(folder / "data") as server:
        token = token_store(folder / "data").create("tests", ["admin"]).token
        with Client(server.url, key=KEY_A) as client:
            receipts = [client.assert_(f"subject {number % 7}", "p", number) for number in range(CLAIMS)]
            client.vote(receipts[3].hash, "0.5", wait_s=10)
        yield Live(server, Command(folder, EPISTEME_URL=server.url, EPISTEME_TOKEN=token))


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    return Command(tmp_path, EPISTEME_URL="http://127.0.0.1:1")


def folder_of(path: Path, subjects: int = 3) -> Path:
    with Node.open(path, key=KEY_A) as node:
        for number in range(subjects):
            node.assert_(f"s{number}", "p", number, wait_s=10)
    return path


def test_running_server_is_backed_up_over_http_and_the_restored_database_is_the_same(
    live: Live, offline: Command, tmp_path: Path
) -> None:
    ran = live.episteme("backup", str(tmp_path / "backup"), "--deep", "--signatures")
    assert (ran.code, ran.line["signatures"], len(ran.line["state_digest"])) == (0, True, 64), ran.stderr
    assert ran.line["new_frames"] == ran.line["frames"] > CLAIMS
    assert live.episteme.inside("backup", str(tmp_path / "backup")).line["new_frames"] == 0
    made = offline.inside("restore", str(tmp_path / "backup"), "--data", str(tmp_path / "new"))
    assert (made.code, made.line["state_digest"]) == (0, ran.line["state_digest"])
    live_frames = frames_in(live.server.data / LOG_FOLDER)
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == live_frames[: ran.line["frames"]]


def test_folder_is_backed_up_beside_its_writing_server(live: Live, offline: Command, tmp_path: Path) -> None:
    stop = threading.Event()
    wrote: list[int] = []

    def write() -> None:
        with Client(live.server.url, key=Key.generate()) as client:
            while not stop.is_set():
                wrote.append(client.assert_("busy", "p", len(wrote)).seq)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        first = offline.inside("backup", str(tmp_path / "backup"), "--data", str(live.server.data))
        seen = len(wrote)
        second = offline.inside("backup", str(tmp_path / "backup"), "--data", str(live.server.data))
    finally:
        stop.set()
        writer.join()
    assert (first.code, second.code) == (0, 0)
    assert second.line["last_seq"] >= first.line["last_seq"]
    assert len(wrote) >= seen  # it never stopped for the backup
    assert offline.inside("backup", str(tmp_path / "backup"), "--check", "--signatures").code == 0
    assert "keys/" in offline.inside("backup", str(tmp_path / "backup"), "--check", "-o", "table").stderr


def test_damaged_backup_is_told_with_exit_code_4_and_not_restored(offline: Command, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data")
    assert offline.inside("backup", str(tmp_path / "b"), "--data", str(data)).code == 0
    flip_bit(segment_files(tmp_path / "b" / "frames")[0], (64 + 50) * 8)
    for command in (["backup", str(tmp_path / "b"), "--check"], ["restore", str(tmp_path / "b"), "--data", "new"]):
        ran = offline.inside(*command)
        assert (ran.code, ran.stdout) == (4, "")
        assert "damaged" in ran.stderr
    assert not (tmp_path / "new").exists()


def test_restore_over_data_is_refused_and_leaves_it_alone(offline: Command, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data")
    offline.inside("backup", str(tmp_path / "b"), "--data", str(data))
    before = frames_in(data / LOG_FOLDER)
    ran = offline.inside("restore", str(tmp_path / "b"), "--data", str(data))
    assert (ran.code, ran.stdout) == (1, "")
    assert "never written over" in ran.stderr
    assert frames_in(data / LOG_FOLDER) == before


def test_deep_backup_finds_a_state_that_is_not_the_fold_of_its_log(offline: Command, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data")
    assert offline.inside("backup", str(tmp_path / "b"), "--data", str(data), "--deep").code == 0
    spoil_view(data, "s0")
    ran = offline.inside("backup", str(tmp_path / "b"), "--data", str(data), "--deep")
    assert (ran.code, ran.stdout) == (4, "")
    assert "the state that is wrong" in ran.stderr
    assert not (tmp_path / "b" / "scratch").exists()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_export_of_a_server_imported_into_an_empty_folder_is_the_same_database(
    live: Live, offline: Command, tmp_path: Path, suffix: str
) -> None:
    file = str(tmp_path / f"log.jsonl{suffix}")
    assert live.episteme.inside("export", "-O", file).code == 0
    digest = live.episteme.inside("state", "digest", "--url", live.server.url)
    checked = offline.inside("import", file, "--data", str(tmp_path / "new"), "--dry-run")
    assert (checked.code, checked.line["data"]) == (0, None)
    assert not (tmp_path / "new").exists()
    made = offline.inside("import", file, "--data", str(tmp_path / "new"))
    assert (made.code, made.line["state_digest"]) == (0, digest.line["digest"]), made.stderr
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == frames_in(live.server.data / LOG_FOLDER)
    assert made.line["signatures"] == checked.line["signatures"] > CLAIMS


def test_export_to_a_pipe_is_the_same_as_to_a_file(live: Live, offline: Command, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    assert live.episteme.inside("export", "-O", str(file)).code == 0
    beside = offline("export", "--data", str(live.server.data))
    assert (beside.code, beside.stderr) == (0, "")
    assert beside.stdout == file.read_text("utf-8")


def test_export_whose_reader_has_read_enough_ends_without_a_word(offline: Command, tmp_path: Path) -> None:
    with Node.open(tmp_path / "much", key=Key(b"\x31" * 32)) as node:
        lines = [signed(make_assertion(narrative="much " * 1600, timestamp=number)) for number in range(100)]
        assert {result.status for result in node.ingest(lines)} == {"accepted"}
    process = subprocess.Popen(
        [sys.executable, "-m", "episteme", "export", "--data", str(tmp_path / "much")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(WAIT_S) == 1


def test_export_into_another_database_writes_its_events_and_lists_what_that_refuses(
    offline: Command, tmp_path: Path
) -> None:
    with Node.open(tmp_path / "data", key=KEY_A) as node:
        node.assert_("s", "p", "one")
        elsewhere = make_assertion(subject="s", audience=node.database)
        node.submit(signed(elsewhere, KEY_B), wait_s=10)
    folder_of(tmp_path / "other")
    file = str(tmp_path / "log.jsonl")
    offline.inside("export", "-O", file, "--data", str(tmp_path / "data"))
    ran = offline.inside("import", file, "--data", str(tmp_path / "other"))
    assert (ran.code, ran.line["accepted"], ran.line["refusals"]) == (7, 1, {"wrong-audience": 1})
    (rejected,) = (tmp_path / "log.jsonl.rejected").read_text().splitlines()
    assert json.loads(rejected)["line"] == 3
    again = offline.inside("import", file, "--data", str(tmp_path / "other"))
    assert (again.line["accepted"], again.line["duplicate"]) == (0, 1)


def test_part_of_a_log_is_exported_and_imported_elsewhere(offline: Command, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", subjects=6)
    folder_of(tmp_path / "other", subjects=1)
    file = str(tmp_path / "part.jsonl")
    offline.inside("export", "-O", file, "--data", str(data), "--subject", "s3", "--after", "1")
    refused = offline.inside("import", file, "--data", str(tmp_path / "new"))
    assert refused.code == 2
    assert "part of a log" in refused.stderr
    ran = offline.inside("import", file, "--data", str(tmp_path / "other"))
    assert (ran.code, ran.line["rows"], ran.line["accepted"]) == (0, 1, 1)


def test_signed_envelopes_and_plain_json_are_imported(offline: Command, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", subjects=1)
    with Node.open(tmp_path / "source", key=KEY_B) as node:
        stored = node.get(node.assert_("enveloped", "p", "v", wait_s=10).hash)
    envelope = msgspec.json.encode({"event": stored.event, "signatures": stored.signatures})
    (tmp_path / "envelopes.jsonl").write_bytes(envelope + b'\n{"event":{},"signatures":[]}\n')
    ran = offline.inside("import", str(tmp_path / "envelopes.jsonl"), "--data", str(data))
    assert (ran.code, ran.line["accepted"], ran.line["refused"]) == (7, 1, 1)
    (tmp_path / "plain.jsonl").write_text('{"isbn":17,"price":1.50}\n{"isbn":18,"price":null}\n')
    plan = ["--subject", "isbn:{isbn}", "--predicate", "price", "--object", "{price}", "--type", "number"]
    dry = offline.inside("import", str(tmp_path / "plain.jsonl"), *plan, "--data", str(data), "--dry-run")
    assert (dry.code, dry.line["accepted"], dry.line["skipped"]) == (0, 1, {"says nothing: empty": 1})
    assert not offline.keys.exists()
    ran = offline.inside("import", str(tmp_path / "plain.jsonl"), *plan, "--data", str(data))
    assert (ran.code, ran.line["accepted"]) == (0, 1)
    answer = offline.inside("query", "isbn:17", "price", "--data", str(data)).line
    assert answer["winner"]["value"] == {"type": "number", "value": "1.50"}


def test_csv_that_says_nothing_of_its_columns_needs_templates(offline: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    ran = offline.inside("import", str(tmp_path / "a.csv"))
    assert ran.code == 2
    assert "--subject" in ran.stderr


def test_table_of_claims_is_written_as_csv(live: Live, tmp_path: Path) -> None:
    ran = live.episteme("export", "--format", "csv", "--subject", "subject *")
    rows = list(csv.DictReader(ran.stdout.splitlines()))
    assert (ran.code, len(rows)) == (0, CLAIMS)
    assert {row["agents"] for row in rows} == {KEY_A.agent_hex}
    assert live.episteme.inside("export", "-O", str(tmp_path / "claims.csv"), "--subject", "subject 1").code == 0
    assert (tmp_path / "claims.csv").read_text().count("\n") == 1 + len(rows) // 7 + 1


def test_server_looks_itself_over_and_says_that_all_is_well(live: Live, tmp_path: Path) -> None:
    live.episteme.inside("backup", str(tmp_path / "backup"))
    ran = live.episteme("doctor", "--deep", "--backup", str(tmp_path / "backup"))
    levels = {check["name"]: check["level"] for check in map(json.loads, ran.stdout.splitlines())}
    assert (ran.code, ran.stderr) == (0, "")
    assert {"folder", "keys", "fsync", "log", "fold", "folds", "views", "recount", "address", "backup"} <= set(levels)
    assert set(levels.values()) <= {"ok", "warn"}
    table = live.episteme.inside("doctor", "-o", "table")
    assert table.code == 0
    assert "--backup DIR" in table.stderr


def test_folder_is_looked_over_beside_its_server_as_far_as_that_goes(live: Live, offline: Command) -> None:
    ran = offline.inside("doctor", "--data", str(live.server.data))
    levels = {check["name"]: check["level"] for check in map(json.loads, ran.stdout.splitlines())}
    assert (ran.code, levels["state"], levels["log"]) == (0, "skipped", "ok")


def test_doctor_finds_what_is_wrong_with_a_folder_and_ends_in_code_1(offline: Command, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data")
    keys = data / "keys"
    keys.mkdir()
    (keys / "operator.key").write_text("")
    (keys / "operator.key").chmod(0o644)
    spoil_view(data, "s1")
    ran = offline.inside("doctor", "--data", str(data))
    found = {check["name"]: check for check in map(json.loads, ran.stdout.splitlines())}
    assert (ran.code, found["keys"]["level"], found["views"]["level"]) == (1, "fail", "fail")
    assert "chmod 600" in found["keys"]["fix"]
    assert "episteme rebuild" in found["views"]["fix"]
    assert found["folds"]["level"] == found["log"]["level"] == "ok"


def test_doctor_needs_an_admin_token(live: Live, tmp_path: Path) -> None:
    ran = Command(tmp_path, EPISTEME_URL=live.server.url).inside("doctor")
    assert ran.code == 6
    assert "code: token-required" in ran.stderr


def test_state_of_a_running_server_is_made_anew_while_it_answers(live: Live) -> None:
    asked, stop = [], threading.Event()

    def ask() -> None:
        with Client(live.server.url) as client:
            while not stop.is_set():
                asked.append(client.query("subject 3", "p").candidates_count)

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        ran = live.episteme("rebuild", "--url", live.server.url, "--digest")
    finally:
        stop.set()
        reader.join()
    assert (ran.code, ran.line["same"]) == (0, True), ran.stderr
    assert ran.line["events"] > CLAIMS
    assert asked
    assert set(asked) == {asked[0]}
    made = live.episteme.inside("state", "snapshot", "--url", live.server.url)
    assert (made.code, made.line["digest"]) == (0, ran.line["digest_after"])


def spoil_view(data: Path, subject: str) -> None:
    """Let the state of a closed folder answer with another pair's answer."""
    live = (data / STATE_FOLDER / "CURRENT").read_text().strip()
    store = HybridStore.open(data / STATE_FOLDER / live)
    with store.snapshot() as reader:
        other = reader.get(view_key("s2", "p"))
    assert other is not None
    batch = Batch()
    batch.put(view_key(subject, "p"), other)
    store.commit(batch)
    store.close()


def test_lines_that_are_no_objects_are_put_beside_the_file_and_the_others_are_imported(
    offline: Command, tmp_path: Path
) -> None:
    data = str(folder_of(tmp_path / "data"))
    file = tmp_path / "claims.jsonl"
    file.write_bytes(b'{"isbn":17,"price":2}\nnot json\n[1]\n{"isbn":"\xff"}\n{"isbn":18,"price":3}\n')
    plan = ("--subject", "isbn:{isbn}", "--predicate", "price", "--object", "{price}", "--number")
    ran = offline.inside("import", str(file), *plan, "--data", data)
    assert (ran.code, ran.line["rows"], ran.line["accepted"]) == (7, 5, 2), ran.stderr
    refused = [json.loads(line) for line in (tmp_path / "claims.jsonl.rejected").read_text().splitlines()]
    assert [(one["line"], one["reason"]) for one in refused] == [(number, "no JSON object") for number in (2, 3, 4)]


def test_a_part_of_a_log_is_exported_with_the_bundles_that_sign_it_and_is_imported_alone(
    live: Live, offline: Command, tmp_path: Path
) -> None:
    first, wanted = sign_bundle([make_assertion(subject=f"part {at % 2}", timestamp=at) for at in range(6)], KEY_B, 1)
    second, others = sign_bundle([make_assertion(subject="elsewhere", timestamp=at) for at in range(2)], KEY_B, 1)
    with Client(live.server.url) as client:
        *_, last = client.ingest([second, *others, first, *wanted])
        assert client.wait_applied(last.seq or 0, 10)
    parts = (("--subject", "part 0"), ("--after", str((last.seq or 0) - 1)))
    for number, (source, part) in enumerate(
        (source, part) for source in (("--url", live.server.url), ("--data", str(live.server.data))) for part in parts
    ):
        file = str(tmp_path / f"{number}.jsonl")
        assert live.episteme.inside("export", "-O", file, *source, *part).code == 0
        ran = offline.inside("import", file, "--data", str(folder_of(tmp_path / f"{number}")))
        assert (ran.code, ran.line["refused"]) == (0, 0), ran.stderr
        assert ran.line["accepted"] == (4 if part[0] == "--subject" else 2)
