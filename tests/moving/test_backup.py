"""Backups: exact, incremental, verified, and never a half one that looks whole."""

import errno
import shutil
from pathlib import Path

import pytest

from episteme.errors import BadCopy, CannotOpen, InvalidParameter
from episteme.moving import check_backup, read_manifest, restore
from episteme.moving.backup import FRAMES, MANIFEST
from episteme.node import LOG_FOLDER, Node
from tests.support.events import KEY_A, NOW_MS
from tests.support.faulty_files import FaultyFiles, UnsyncedFiles
from tests.support.logs import flip_bit, segment_files
from tests.support.meaning import history
from tests.support.moving import back_up, digest_of, frames_in, now_ms, quiet, write_forgery, write_history
from wal import LogFailed

SEEDS = (1, 2, 3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_history(tmp_path / "data", history(5))


def restored(backup: Path, data: Path, **options: int) -> str:
    """Restore on a disk without waits; the digest."""
    return restore(backup, data, quiet, clock_ms=now_ms, files=UnsyncedFiles(), **options).folded.digest  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_restored_database_has_the_same_frames_and_the_same_state(tmp_path: Path, seed: int) -> None:
    data = write_history(tmp_path / "data", history(seed))
    taken = back_up(data, tmp_path / "backup", signatures=True)
    digest = restored(tmp_path / "backup", tmp_path / "new")
    assert taken.new_frames == taken.manifest.frames == len(frames_in(data / LOG_FOLDER))
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == frames_in(data / LOG_FOLDER)
    assert digest == digest_of(data)


def test_restored_database_takes_writes_and_the_backup_does_not(tmp_path: Path, data: Path) -> None:
    back_up(data, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "new")
    with Node.open(tmp_path / "new", key=KEY_A) as node:
        assert node.assert_("a", "b", "c", wait_s=10).status == "applied"
    with Node.open(data) as node:
        database = node.database
    assert read_manifest(tmp_path / "backup").database == database
    assert not (tmp_path / "backup" / LOG_FOLDER).exists()


def test_second_run_copies_only_what_is_new(tmp_path: Path, data: Path) -> None:
    first = back_up(data, tmp_path / "backup")
    assert back_up(data, tmp_path / "backup").new_frames == 0
    write_history(data, history(6, 20))
    again = back_up(data, tmp_path / "backup")
    assert 0 < again.new_frames == again.manifest.frames - first.manifest.frames
    assert check_backup(tmp_path / "backup", quiet, signatures=True).frames == again.manifest.frames
    assert restored(tmp_path / "backup", tmp_path / "new") == digest_of(data)


def test_backup_beside_a_writer_holds_what_was_acknowledged(tmp_path: Path) -> None:
    with Node.open(tmp_path / "data", key=KEY_A) as node:
        node.assert_("a", "b", "c")
        last_seq = node.assert_("a", "b", "d").seq
        assert back_up(tmp_path / "data", tmp_path / "backup").manifest.frames == last_seq + 1
        node.assert_("a", "b", "e", wait_s=10)
        assert back_up(tmp_path / "data", tmp_path / "backup").new_frames == 1


def test_backup_of_an_empty_database_restores_to_an_empty_one(tmp_path: Path) -> None:
    write_history(tmp_path / "data", [])
    manifest = back_up(tmp_path / "data", tmp_path / "backup").manifest
    assert (manifest.frames, manifest.last_time_ms) == (0, None)
    restored(tmp_path / "backup", tmp_path / "new")
    with Node.open(tmp_path / "new", key=KEY_A) as node:
        assert (node.database, node.end_seq) == (manifest.database, -1)
        node.assert_("a", "b", "c")


def test_position_of_the_past_is_restored(tmp_path: Path, data: Path) -> None:
    back_up(data, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "new", to_seq=9)
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == frames_in(data / LOG_FOLDER)[:10]
    count = read_manifest(tmp_path / "backup").frames
    with pytest.raises(InvalidParameter, match=f"ends at seq {count - 1}"):
        restored(tmp_path / "backup", tmp_path / "other", to_seq=count)


def test_folder_of_another_database_is_refused_and_left_alone(tmp_path: Path, data: Path) -> None:
    back_up(data, tmp_path / "backup")
    before = (tmp_path / "backup" / MANIFEST).read_bytes()
    with Node.open(tmp_path / "other", key=KEY_A) as node:
        node.assert_("a", "b", "c")
    with pytest.raises(CannotOpen, match="something else"):
        back_up(tmp_path / "other", tmp_path / "backup")
    assert (tmp_path / "backup" / MANIFEST).read_bytes() == before
    assert check_backup(tmp_path / "backup", quiet).frames


def test_database_that_went_another_way_is_refused(tmp_path: Path, data: Path) -> None:
    shutil.copytree(data, tmp_path / "fork")
    write_history(data, history(6, 10))
    back_up(data, tmp_path / "backup")
    with pytest.raises(CannotOpen, match="the source ends"):
        back_up(tmp_path / "fork", tmp_path / "backup")
    write_history(tmp_path / "fork", history(7, 30))
    with pytest.raises(CannotOpen, match="not the one that was copied"):
        back_up(tmp_path / "fork", tmp_path / "backup")


@pytest.mark.parametrize("what", ["file", "folder with things", "data folder"])
def test_place_that_is_something_else_is_refused(tmp_path: Path, data: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "file":
        place.write_text("")
    elif what == "data folder":
        place = data
    else:
        (place / "things").mkdir(parents=True)
    with pytest.raises(CannotOpen):
        back_up(data, place)


@pytest.mark.parametrize("there", ["database", "file", "one file in it"])
def test_nothing_is_ever_restored_over_something(tmp_path: Path, data: Path, there: str) -> None:
    back_up(data, tmp_path / "backup")
    target = tmp_path / "target"
    if there == "database":
        write_history(target, history(9, 5))
    elif there == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "note").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(CannotOpen, match="never written over"):
        restored(tmp_path / "backup", target)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_empty_folder_is_a_place_for_a_restore(tmp_path: Path, data: Path) -> None:
    back_up(data, tmp_path / "backup")
    (tmp_path / "new").mkdir()
    assert restored(tmp_path / "backup", tmp_path / "new") == digest_of(data)


@pytest.mark.parametrize("place", range(0, 100, 9))
def test_damaged_backup_is_refused_before_anything_is_made(tmp_path: Path, data: Path, place: int) -> None:
    back_up(data, tmp_path / "backup")
    segment = segment_files(tmp_path / "backup" / FRAMES)[0]
    flip_bit(segment, (64 + (segment.stat().st_size - 64) * place // 100) * 8 + 1)
    with pytest.raises(BadCopy, match="damaged"):
        check_backup(tmp_path / "backup", quiet)
    with pytest.raises(BadCopy, match="damaged"):
        restored(tmp_path / "backup", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data"]


@pytest.mark.parametrize("missing", ["first segment", "last segment", "all", "manifest"])
def test_backup_with_a_file_missing_is_refused(tmp_path: Path, data: Path, missing: str) -> None:
    back_up(data, tmp_path / "backup")
    segments = segment_files(tmp_path / "backup" / FRAMES)
    if missing == "manifest":
        (tmp_path / "backup" / MANIFEST).unlink()
    elif missing == "all":
        shutil.rmtree(tmp_path / "backup" / FRAMES)
    else:
        segments[0 if missing == "first segment" else -1].unlink()
    with pytest.raises(BadCopy):
        check_backup(tmp_path / "backup", quiet)
    with pytest.raises(BadCopy):
        restored(tmp_path / "backup", tmp_path / "new")


def test_frames_of_another_database_under_the_manifest_are_found(tmp_path: Path, data: Path) -> None:
    """Every frame is sound, and it is not what was backed up."""
    back_up(data, tmp_path / "backup")
    other = write_history(tmp_path / "other", history(6))
    back_up(other, tmp_path / "backup of other")
    shutil.rmtree(tmp_path / "backup" / FRAMES)
    shutil.copytree(tmp_path / "backup of other" / FRAMES, tmp_path / "backup" / FRAMES)
    with pytest.raises(BadCopy, match="digest is"):
        check_backup(tmp_path / "backup", quiet)


def test_signature_that_does_not_verify_is_found_by_those_who_ask(tmp_path: Path) -> None:
    back_up(write_forgery(tmp_path / "data", 3), tmp_path / "backup")
    assert check_backup(tmp_path / "backup", quiet).signatures is False
    with pytest.raises(BadCopy, match="seq 3"):
        check_backup(tmp_path / "backup", quiet, signatures=True)


@pytest.mark.parametrize("at", range(1, 30, 4))
def test_backup_that_is_broken_off_is_never_taken_for_a_good_one(tmp_path: Path, data: Path, at: int) -> None:
    """Whatever write fails: no manifest, or one of a whole earlier run; and the next run finishes."""
    first = back_up(data, tmp_path / "backup", files=UnsyncedFiles()).manifest if at % 8 == 1 else None
    write_history(data, history(6, 20))
    files = FaultyFiles()
    files.fail("write", at=at, error=errno.EIO, written_bytes=11)
    try:
        back_up(data, tmp_path / "backup", files=files)
    except (LogFailed, OSError):
        if first is None:
            with pytest.raises((BadCopy, CannotOpen)):
                read_manifest(tmp_path / "backup")
        else:
            assert check_backup(tmp_path / "backup", quiet) == first
    again = back_up(data, tmp_path / "backup", files=UnsyncedFiles())
    assert again.manifest.frames == len(frames_in(data / LOG_FOLDER))
    assert restored(tmp_path / "backup", tmp_path / "new") == digest_of(data)


def test_restore_that_fails_leaves_nothing_and_can_be_run_again(tmp_path: Path, data: Path) -> None:
    back_up(data, tmp_path / "backup")
    files = FaultyFiles()
    files.fail("write", at=3, error=errno.ENOSPC)
    with pytest.raises((LogFailed, OSError)):
        restore(tmp_path / "backup", tmp_path / "new", quiet, clock_ms=now_ms, files=files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data"]
    assert restored(tmp_path / "backup", tmp_path / "new") == digest_of(data)


def test_what_a_killed_restore_left_goes_at_the_next(tmp_path: Path, data: Path) -> None:
    back_up(data, tmp_path / "backup")
    (tmp_path / "new.unfinished" / LOG_FOLDER).mkdir(parents=True)
    (tmp_path / "new.unfinished" / LOG_FOLDER / "00000000000000000000.redex").write_bytes(b"half")
    assert restored(tmp_path / "backup", tmp_path / "new") == digest_of(data)
    assert not (tmp_path / "new.unfinished").exists()


@pytest.mark.parametrize(
    "written", [b"", b"[" * 100_000, b'{"x":' * 100_000, b'{"database":"\xff"}', b" " * 1_000_000], ids=range(5)
)
def test_manifest_that_is_none_is_a_bad_copy(tmp_path: Path, data: Path, written: bytes) -> None:
    back_up(data, tmp_path / "backup")
    (tmp_path / "backup" / MANIFEST).write_bytes(written)
    with pytest.raises(BadCopy):
        read_manifest(tmp_path / "backup")


def test_manifest_tells_when_and_of_what(tmp_path: Path, data: Path) -> None:
    manifest = back_up(data, tmp_path / "backup").manifest
    last = frames_in(data / LOG_FOLDER)[-1]
    assert (manifest.made_ms, manifest.last_time_ms) == (NOW_MS, last.time_ms)
    assert manifest == read_manifest(tmp_path / "backup")


def test_frames_behind_the_manifest_count_for_nothing_until_the_next_run(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run was killed after it had copied and before it could say so."""
    first = back_up(data, tmp_path / "backup").manifest
    write_history(data, history(6, 20))
    with monkeypatch.context() as patched:
        patched.setattr("episteme.moving.backup.put_durably", killed)
        with pytest.raises(KeyboardInterrupt):
            back_up(data, tmp_path / "backup")
    assert len(frames_in(tmp_path / "backup" / FRAMES)) > first.frames
    assert check_backup(tmp_path / "backup", quiet) == first
    restored(tmp_path / "backup", tmp_path / "new")
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == frames_in(data / LOG_FOLDER)[: first.frames]
    assert back_up(data, tmp_path / "backup").manifest.frames == len(frames_in(data / LOG_FOLDER))


def killed(*_: object) -> None:
    raise KeyboardInterrupt
