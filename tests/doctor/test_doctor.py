"""The doctor finds nothing wrong with a sound database, and each thing that is wrong by name."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from episteme.config import NodeConfig
from episteme.doctor import Check, Patient, backup_check, examine
from episteme.doctor import folder as folder_module
from episteme.doctor.folder import fsync, open_files, space
from episteme.doctor.logs import clock
from episteme.node import LOG_FOLDER, Node
from keycodec import assertion_key, view_key, vote_tally_key
from model import FRAME_KIND_EVENT, Receipt, SignedEvent, encode_record, sign_bundle
from stores import Batch
from tests.support.events import KEY_A, NOW_MS, make_assertion, make_vote, signed
from tests.support.logs import LOG_ID, flip_bit, open_log, segment_files
from tests.support.meaning import history
from tests.support.moving import back_up, write_history
from tests.support.nodes import node_on
from wal import ReadOnlyLog

DAY_MS = 86_400_000
WAIT_S = 10.0


def checked(node: Node, *, deep: bool = False) -> dict[str, Check]:
    return {check.name: check for check in examine(Patient.of_node(node), lambda done, total: None, deep=deep)}


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_wrong_with_any_history(tmp_path: Path, seed: int) -> None:
    write_history(tmp_path / "data", history(seed, 120))
    with Node.open(tmp_path / "data") as node:
        assert node.wait_applied(node.end_seq, WAIT_S)
        found = checked(node, deep=True)
    assert {name: check for name, check in found.items() if check.level not in ("ok", "warn")} == {}
    assert {"views", "folds", "recount", "log"} <= {name for name, check in found.items() if check.level == "ok"}


def test_signatures_by_bundle_are_looked_at_where_the_state_tells_of_the_bundles(tmp_path: Path) -> None:
    bundle, events = sign_bundle([make_assertion(subject=f"s{number}") for number in range(3)], KEY_A, NOW_MS)
    with node_on(tmp_path) as node:
        node.submit_many([bundle, *events], "test")
        assert node.wait_applied(3, WAIT_S)
        assert checked(node)["log"].level == checked(node, deep=True)["log"].level == "ok"
        unlisted = signed(make_assertion(subject="unlisted"))
        forged = SignedEvent(unlisted.event, unlisted.digest, events[0].signatures)
        node.log.append(encode_record(forged, Receipt()), FRAME_KIND_EVENT).wait()
        for deep in (False, True):
            found = checked(node, deep=deep)["log"]
            assert found.level == "fail"
            assert "/signatures/0/bundle" in found.detail
        alone = Patient.of_node(node)._replace(folded=None)
        found = next(one for one in examine(alone, lambda done, total: None, deep=False) if one.name == "log")
        assert found.level == "ok"
        assert "the bundles of 4 were not looked at" in found.detail


def test_empty_database_is_well(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        assert {check.level for check in checked(node, deep=True).values()} <= {"ok", "warn"}


Spoil = Callable[[Batch], None]
CLAIM = signed(make_assertion(subject="s", predicate="p"))
OTHER = signed(make_assertion(subject="t", predicate="p"))
VOTE = signed(make_vote(subject="s", assertion=CLAIM.hash_hex))


def spoiled(tmp_path: Path, spoil: Callable[[Node, Batch], None]) -> dict[str, Check]:
    with node_on(tmp_path) as node:
        for one in (CLAIM, OTHER, VOTE):
            node.submit(one, wait_s=WAIT_S)
        assert {check.level for check in checked(node).values()} <= {"ok", "warn"}
        batch = Batch()
        spoil(node, batch)
        node.state._live.store.commit(batch)
        return checked(node, deep=True)


def lose_claim(node: Node, batch: Batch) -> None:
    batch.delete(assertion_key("s", CLAIM.hash_hex))


def swap_claim(node: Node, batch: Batch) -> None:
    with node.state.snapshot() as reader:
        row = reader.get(assertion_key("t", OTHER.hash_hex))
    assert row is not None
    batch.put(assertion_key("s", CLAIM.hash_hex), row)


def miscount(node: Node, batch: Batch) -> None:
    with node.state.snapshot() as reader:
        key = vote_tally_key("s", CLAIM.hash_hex)
        row = bytearray(reader.get(key) or b"")
    row[-1] ^= 1
    batch.put(key, bytes(row))


def answer_otherwise(node: Node, batch: Batch) -> None:
    with node.state.snapshot() as reader:
        row = reader.get(view_key("t", "p"))
    assert row is not None
    batch.put(view_key("s", "p"), row)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [(lose_claim, "folds"), (swap_claim, "folds"), (miscount, "folds"), (answer_otherwise, "views")],
)
def test_state_that_is_not_the_fold_of_its_log_is_found_by_sample_and_by_recount(
    tmp_path: Path, spoil: Callable[[Node, Batch], None], name: str
) -> None:
    found = spoiled(tmp_path, spoil)
    assert (found[name].level, found["recount"].level) == ("fail", "fail")
    assert "episteme rebuild" in found[name].fix


def test_event_that_cannot_be_folded_is_told_once_and_not_taken_for_damage(tmp_path: Path) -> None:
    with open_log(tmp_path / LOG_FOLDER) as log:
        log.append(b"\x01 no event", FRAME_KIND_EVENT).wait(WAIT_S)
    with Node.open(tmp_path, key=KEY_A) as node:
        node.assert_("s", "p", "v", wait_s=WAIT_S)
        found = checked(node)
    assert (found["dead letters"].level, found["folds"].level) == ("warn", "ok")


def test_damaged_log_is_found(tmp_path: Path) -> None:
    write_history(tmp_path, history(3))
    flip_bit(segment_files(tmp_path / LOG_FOLDER)[0], (64 + 200) * 8)
    with ReadOnlyLog.open(tmp_path / LOG_FOLDER) as log:
        patient = Patient(tmp_path, log, log.size_bytes, None, NodeConfig(), lambda: NOW_MS)
        for deep in (False, True):
            found = {check.name: check for check in examine(patient, lambda done, total: None, deep=deep)}
            assert found["log"].level == "fail"
            assert "episteme log verify" in found["log"].fix


def test_clock_behind_the_log_is_told(tmp_path: Path) -> None:
    with node_on(tmp_path, clock_ms=lambda: NOW_MS) as node:
        node.assert_("s", "p", "v")
        patient = Patient.of_node(node)
        assert clock(patient).level == "ok"
        assert clock(patient._replace(clock_ms=lambda: NOW_MS - 500)).level == "ok"
        behind = clock(patient._replace(clock_ms=lambda: NOW_MS - DAY_MS))
    assert behind.level == "warn"
    assert "86,400.0 s behind" in behind.detail


def test_fsync_that_costs_nothing_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "_FSYNC_S_MIN", 60.0)
    assert "too quick" in fsync(tmp_path).detail
    monkeypatch.setattr(folder_module, "_FSYNC_S_MIN", 0.0)
    monkeypatch.setattr(folder_module, "_FSYNC_S_SLOW", 0.0)
    assert fsync(tmp_path).level == "warn"
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_no_room_to_measure_fsync_and_that_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("wal.files.os.pwrite", no_room)
    found = fsync(tmp_path)
    assert (found.level, "room" in found.detail) == ("skipped", True)
    assert list(tmp_path.iterdir()) == []


def test_disk_with_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with node_on(tmp_path) as node:
        monkeypatch.setattr(folder_module, "_FREE_BYTES_MIN", 2**62)
        found = space(Patient.of_node(node))
    assert found.level == "warn"
    assert "make room" in found.fix


def test_disk_on_which_writes_are_refused_fails(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        patient = Patient.of_node(node)
        config = msgspec.structs.replace(patient.config, disk_reserve_bytes=2**62)
        found = space(patient._replace(config=config))
    assert (found.level, "507" in found.detail) == ("fail", True)


def test_growth_is_taken_from_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = NOW_MS
    with node_on(tmp_path, clock_ms=lambda: now_ms) as node:
        node.assert_("s", "p", "v", wait_s=WAIT_S)
        now_ms += 4 * DAY_MS
        node.assert_("s", "p", "w", wait_s=WAIT_S)
        assert "days at the pace so far" in space(Patient.of_node(node)).detail
        monkeypatch.setattr(folder_module, "_DAYS_MIN", float("inf"))
        assert space(Patient.of_node(node)).level == "warn"


def test_few_open_files_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "_FILES_MIN", 2**62)
    assert open_files().level == "warn"


@pytest.mark.parametrize(("mode", "level"), [(0o700, "ok"), (0o750, "warn"), (0o720, "fail"), (0o702, "fail")])
def test_who_else_may_use_the_folder_is_told(tmp_path: Path, mode: int, level: str) -> None:
    tmp_path.chmod(mode)
    assert folder_module.owner(tmp_path).level == level


def test_key_that_others_can_read_is_told(tmp_path: Path) -> None:
    assert folder_module.secrets(tmp_path).level == "ok"
    (tmp_path / "keys").mkdir()
    for name, mode in (("a.key", 0o600), ("tokens.json", 0o640)):
        (tmp_path / "keys" / name).write_text("")
        (tmp_path / "keys" / name).chmod(mode)
    found = folder_module.secrets(tmp_path)
    assert (found.level, found.fix) == ("fail", f"chmod 600 {tmp_path / 'keys' / 'tokens.json'}")


def test_backup_is_looked_at_for_its_database_and_its_age(tmp_path: Path) -> None:
    manifest = back_up(write_history(tmp_path / "data", history(3, 20)), tmp_path / "backup").manifest
    frames, database = manifest.frames, LOG_ID.hex()
    assert backup_check(None, database, frames, NOW_MS).level == "skipped"
    assert backup_check(tmp_path / "backup", database, frames + 9, NOW_MS).level == "ok"
    assert backup_check(tmp_path / "backup", database, frames + 9, NOW_MS + 3 * DAY_MS).level == "warn"
    assert backup_check(tmp_path / "backup", database, frames, NOW_MS + 3 * DAY_MS).level == "ok"
    assert backup_check(tmp_path / "backup", "0" * 32, frames, NOW_MS).level == "fail"
    assert backup_check(tmp_path / "data", database, frames, NOW_MS).level == "fail"
