"""The models of a power cut themselves: what they must always keep, what they must be able to lose."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crash_model import SECTOR_BYTES, Image, crash_images, killed_images, put_image, reordered_images
from tests.support.faulty_files import FaultyFiles, RecordingFiles

OLD, NEW, NEWER = (bytes([letter]) * SECTOR_BYTES for letter in b"onN")
ZEROS = bytes(SECTOR_BYTES)


def reordered(files: RecordingFiles, seed: int = 0, per_cut: int = 200) -> Iterator[tuple[int, Image]]:
    return reordered_images(files, random.Random(seed), per_cut)


def last_images(files: RecordingFiles) -> list[Image]:
    """What the model without order allows behind the last operation."""
    return [image for count, image in reordered(files) if count == len(files.operations)]


def names_of(images: list[Image]) -> set[tuple[str, ...]]:
    return {tuple(image) for image in images}


def make_file(files: RecordingFiles, path: Path, content: bytes) -> int:
    """A file that is there for certain."""
    handle = files.create(path)
    files.write(handle, content, 0)
    files.sync(handle)
    files.sync_folder(path.parent)
    return handle


@pytest.fixture
def files() -> RecordingFiles:
    return RecordingFiles()


# Data


def test_synced_data_is_in_every_image(tmp_path: Path, files: RecordingFiles) -> None:
    handle = make_file(files, tmp_path / "a", OLD * 3)
    made = len(files.operations)
    files.write(handle, NEW * 2, 3 * SECTOR_BYTES)
    files.write(handle, NEWER, 5 * SECTOR_BYTES)
    images = [image for count, image in reordered(files) if count >= made]
    assert len(images) > 20
    assert all(image["a"].startswith(OLD * 3) for image in images)


def test_every_subset_of_the_unsynced_sectors_can_persist(tmp_path: Path, files: RecordingFiles) -> None:
    handle = make_file(files, tmp_path / "a", OLD)
    files.write(handle, NEW * 3, SECTOR_BYTES)
    whole = {image["a"] for image in last_images(files) if len(image["a"]) == 4 * SECTOR_BYTES}
    expected = {OLD + a + b + c for a in (NEW, ZEROS) for b in (NEW, ZEROS) for c in (NEW, ZEROS)}
    assert whole == expected


def test_a_sector_is_old_newest_or_any_version_between_and_never_a_mixture(
    tmp_path: Path, files: RecordingFiles
) -> None:
    handle = make_file(files, tmp_path / "a", OLD)
    files.write(handle, NEW, 0)
    files.write(handle, NEWER, 0)
    assert {image["a"] for image in last_images(files)} == {OLD, NEW, NEWER}


def test_sectors_are_aligned_to_the_file_not_to_the_write(tmp_path: Path, files: RecordingFiles) -> None:
    handle = make_file(files, tmp_path / "a", b"o" * 100)
    files.write(handle, b"n" * SECTOR_BYTES, 100)
    whole = {image["a"] for image in last_images(files) if len(image["a"]) == SECTOR_BYTES + 100}
    firsts = (b"o" * 100 + b"n" * (SECTOR_BYTES - 100), b"o" * 100 + bytes(SECTOR_BYTES - 100))
    assert whole == {first + second for first in firsts for second in (b"n" * 100, bytes(100))}


def test_the_length_is_anything_between_the_synced_and_the_written_one(tmp_path: Path, files: RecordingFiles) -> None:
    handle = make_file(files, tmp_path / "a", OLD)
    files.write(handle, NEW * 2, SECTOR_BYTES)
    lengths = {len(image["a"]) for image in last_images(files)}
    assert min(lengths) == SECTOR_BYTES
    assert max(lengths) == 3 * SECTOR_BYTES
    assert 2 * SECTOR_BYTES in lengths
    assert any(length % SECTOR_BYTES for length in lengths)


def test_an_unsynced_cut_may_not_have_happened_and_a_synced_one_has(tmp_path: Path, files: RecordingFiles) -> None:
    handle = make_file(files, tmp_path / "a", OLD * 3)
    files.truncate(handle, 100)
    lengths = {len(image["a"]) for image in last_images(files)}
    assert {100, 3 * SECTOR_BYTES} <= lengths
    assert min(lengths) == 100
    files.sync(handle)
    assert last_images(files) == [{"a": b"o" * 100}]


def test_the_nasty_states_are_there_without_luck(tmp_path: Path, files: RecordingFiles) -> None:
    handle = make_file(files, tmp_path / "a", OLD)
    files.write(handle, NEW * 3, SECTOR_BYTES)
    images = [image["a"] for count, image in reordered(files, per_cut=0) if count == len(files.operations)]
    assert images == [
        OLD,
        OLD + NEW * 3,
        OLD + ZEROS * 2 + NEW,
        OLD + ZEROS + NEW * 2,
        OLD + ZEROS * 3,
    ]


def test_an_emptied_file_is_the_same_file_under_its_durable_name(tmp_path: Path, files: RecordingFiles) -> None:
    """Unlike a new one, it needs no sync of the folder, and its old content is not safe."""
    make_file(files, tmp_path / "a", OLD)
    handle = files.create(tmp_path / "a")
    assert {OLD, b""} <= {image["a"] for image in last_images(files)}
    files.write(handle, NEW, 0)
    files.sync(handle)
    assert last_images(files) == [{"a": NEW}]


def test_reserved_and_published_bytes_are_writes_like_others(tmp_path: Path, files: RecordingFiles) -> None:
    handle = files.open_or_create(tmp_path / "a")
    files.sync_folder(tmp_path)
    files.reserve(handle, 0, SECTOR_BYTES)
    files.sync(handle)
    files.publish(handle, b"mark")
    assert last_images(files) == [{"a": ZEROS}, {"a": b"mark" + ZEROS[4:]}]


# Names


def test_a_created_file_may_be_missing_until_its_folder_is_synced(tmp_path: Path, files: RecordingFiles) -> None:
    handle = files.create(tmp_path / "a")
    files.write(handle, NEW, 0)
    files.sync(handle)
    assert names_of(last_images(files)) == {(), ("a",)}
    files.sync_folder(tmp_path)
    assert last_images(files) == [{"a": NEW}]


def test_files_made_together_persist_in_any_subset(tmp_path: Path, files: RecordingFiles) -> None:
    for name in "ab":
        files.create(tmp_path / name)
    assert names_of(last_images(files)) == {(), ("a",), ("b",), ("a", "b")}


def test_a_file_made_and_renamed_is_absent_or_under_one_of_its_names(tmp_path: Path, files: RecordingFiles) -> None:
    files.create(tmp_path / "a.new")
    files.rename(tmp_path / "a.new", tmp_path / "a")
    assert names_of(last_images(files)) == {(), ("a.new",), ("a",)}


def test_a_replaced_file_is_the_old_or_the_new_one(tmp_path: Path, files: RecordingFiles) -> None:
    make_file(files, tmp_path / "a", OLD)
    make_file(files, tmp_path / "a.new", NEW)
    files.rename(tmp_path / "a.new", tmp_path / "a")
    images = last_images(files)
    assert len(images) == 2
    assert {"a": OLD, "a.new": NEW} in images
    assert {"a": NEW} in images


def test_a_removed_file_may_be_there_until_its_folder_is_synced_and_never_again(
    tmp_path: Path, files: RecordingFiles
) -> None:
    make_file(files, tmp_path / "a", OLD)
    make_file(files, tmp_path / "b", OLD)
    files.remove(tmp_path / "a")
    files.remove_if_there(tmp_path / "a")
    assert names_of(last_images(files)) == {("a", "b"), ("b",)}
    files.remove_if_there(tmp_path / "b")
    assert names_of(last_images(files)) == {("a", "b"), ("a",), ("b",), ()}
    files.sync_folder(tmp_path)
    removed = len(files.operations)
    files.create(tmp_path / "c")
    assert all("a" not in image for count, image in reordered(files) if count >= removed)


def test_a_name_used_again_keeps_its_order(tmp_path: Path, files: RecordingFiles) -> None:
    make_file(files, tmp_path / "a", OLD)
    files.remove(tmp_path / "a")
    handle = files.create(tmp_path / "a")
    files.write(handle, NEW, 0)
    files.sync(handle)
    images = last_images(files)
    assert len(images) == 3
    assert all(image in images for image in ({"a": OLD}, {}, {"a": NEW}))


def test_a_sync_of_one_folder_says_nothing_of_another(tmp_path: Path, files: RecordingFiles) -> None:
    (tmp_path / "sub").mkdir()
    files.create(tmp_path / "a")
    files.create(tmp_path / "sub" / "b")
    files.sync_folder(tmp_path)
    assert names_of(last_images(files)) == {("a",), ("a", "sub/b")}
    files.sync_folder(tmp_path / "sub")
    assert names_of(last_images(files)) == {("a", "sub/b")}


def test_a_rename_across_folders_is_refused(tmp_path: Path, files: RecordingFiles) -> None:
    (tmp_path / "sub").mkdir()
    make_file(files, tmp_path / "a", OLD)
    files.rename(tmp_path / "a", tmp_path / "sub" / "a")
    files.sync_folder(tmp_path)
    with pytest.raises(AssertionError, match="across folders"):
        last_images(files)


# Both models


def test_files_that_were_there_before_are_in_the_images_though_nobody_opened_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(OLD)
    (tmp_path / "sub" / "b").write_bytes(NEW)
    files = RecordingFiles()
    assert files.lock(tmp_path / "LOCK") is not None
    files.sync_folder(tmp_path)
    expected = {"LOCK": b"", "a": OLD, "sub/b": NEW}
    assert last_images(files) == [expected]
    assert list(crash_images(files, lambda _: []))[-1] == (len(files.operations), expected)


def test_the_model_that_keeps_order_may_undo_a_removal_but_not_a_synced_one(
    tmp_path: Path, files: RecordingFiles
) -> None:
    make_file(files, tmp_path / "a", OLD)
    files.remove(tmp_path / "a")
    files.sync_folder(tmp_path)
    images = list(crash_images(files, lambda _: []))
    removed = len(files.operations) - 1
    assert [image for count, image in images if count == removed] == [{"a": OLD}, {}]
    assert [image for count, image in images if count > removed] == [{}]


def test_the_model_that_keeps_order_is_part_of_the_one_that_keeps_none(tmp_path: Path, files: RecordingFiles) -> None:
    handle = make_file(files, tmp_path / "a", OLD)
    files.write(handle, NEW * 2, SECTOR_BYTES)
    files.create(tmp_path / "b")
    of_order = [image for count, image in crash_images(files, lambda _: []) if count == len(files.operations)]
    assert len(of_order) == 4
    assert all(image in last_images(files) for image in of_order)


def test_the_model_that_keeps_order_tears_the_last_write_and_any_other_when_told_to_draw(
    tmp_path: Path, files: RecordingFiles
) -> None:
    first, second = make_file(files, tmp_path / "a", b""), make_file(files, tmp_path / "b", b"")
    files.write(first, b"1234", 0)
    files.write(second, b"5678", 0)

    def last(per_cut: int) -> set[tuple[bytes, bytes]]:
        images = crash_images(files, lambda data: [1, len(data) - 1], generator=random.Random(0), per_cut=per_cut)
        return {(image["a"], image["b"]) for count, image in images if count == len(files.operations)}

    assert last(0) == {(b"", b""), (b"1234", b"5678"), (b"1234", b"5"), (b"1234", b"567")}
    assert last(500) == {(b"1234"[:one], b"5678"[:two]) for one in range(5) for two in range(5)}


def test_a_killed_process_leaves_all_that_it_wrote(tmp_path: Path, files: RecordingFiles) -> None:
    handle = files.create(tmp_path / "a")
    files.write(handle, b"12", 0)
    files.remove(tmp_path / "a")
    assert [image for _, image in killed_images(files)] == [{}, {"a": b""}, {"a": b"12"}, {}]
    assert [count for count, _ in killed_images(files, {0, 2})] == [0, 2]


def test_a_replacement_that_fails_leaves_the_old_file_and_a_part_beside_it(tmp_path: Path) -> None:
    files = FaultyFiles()
    files.replace(tmp_path / "a", b"old")
    files.fail("replace", written_bytes=2)
    with pytest.raises(OSError, match="error"):
        files.replace(tmp_path / "a", b"new")
    assert list(killed_images(files))[-1][1] == {"a": b"old", "a.new": b"ne"}
    files.replace(tmp_path / "a", b"new")
    assert list(killed_images(files))[-1][1] == {"a": b"new"} == {"a": (tmp_path / "a").read_bytes()}


def test_a_reservation_that_fails_may_have_written_a_part(tmp_path: Path) -> None:
    files = FaultyFiles()
    handle = make_file(files, tmp_path / "a", b"x")
    files.fail("reserve", written_bytes=2)
    with pytest.raises(OSError, match="error"):
        files.reserve(handle, 1, 10)
    assert list(killed_images(files))[-1][1] == {"a": b"x\0\0"} == {"a": (tmp_path / "a").read_bytes()}


def test_the_same_seed_gives_the_same_images_each_once_and_another_seed_others(
    tmp_path: Path, files: RecordingFiles
) -> None:
    handle = make_file(files, tmp_path / "a", OLD)
    for index in range(4):
        files.write(handle, NEW * 4, (1 + 2 * index) * SECTOR_BYTES)
        files.create(tmp_path / f"b{index}")
    images = list(reordered(files, seed=1, per_cut=20))
    assert images == list(reordered(files, seed=1, per_cut=20))
    assert images != list(reordered(files, seed=2, per_cut=20))
    distinct = {(count, tuple(image.items())) for count, image in images}
    assert len(distinct) == len(images)


def test_an_image_can_be_put_on_the_disk_with_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    put_image(folder, {"gone": b"x", "old/gone": b"x"})
    put_image(folder, {"a": OLD, "sub/b": NEW})
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a": OLD, "sub/b": NEW}
    assert not (folder / "old").exists()
