"""What a pair's folder says of itself: new, half made, whole, damaged, or not ours; what is refused is not touched."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from keycodec import known_subject_key, vote_count_key
from stores import Batch, HybridStore, StoreFailed, StoreLocked, UnsupportedStore
from stores.engines.pair_folder import opening
from tests.support.faulty_files import WAIT_S
from tests.support.stores import SMALL, hash_hex


def one_row(number: int) -> Batch:
    batch = Batch()
    batch.put(vote_count_key("Tesla", hash_hex(number)), b"x")
    batch.put(known_subject_key(f"subject {number}"), b"")
    return batch


def make_store(folder: Path, commit_count: int) -> None:
    store = HybridStore.open(folder, SMALL)
    for number in range(commit_count):
        store.commit(one_row(number))
    store.close()


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def check_refused(folder: Path, error: type[Exception], match: str) -> None:
    """Twice, as nothing may be left locked, and nothing written."""
    before = contents(folder)
    for _ in range(2):
        with pytest.raises(error, match=match):
            HybridStore.open(folder, SMALL)
    assert contents(folder) == before


@pytest.mark.parametrize("commit_count", [0, 1, 2])
@pytest.mark.parametrize("lost", ["write", "read", "write/CURRENT", "read/data.mdb"])
def test_pair_that_lost_an_engine_is_refused(tmp_path: Path, lost: str, commit_count: int) -> None:
    make_store(tmp_path / "store", commit_count)
    (tmp_path / "store" / lost).rename(tmp_path / "lost")
    check_refused(tmp_path / "store", StoreFailed, "half of the pair is gone")


@pytest.mark.parametrize("commit_count", [0, 1, 2])
def test_pair_that_lost_both_engines_is_refused(tmp_path: Path, commit_count: int) -> None:
    make_store(tmp_path, commit_count)
    for name in ("write", "read"):
        shutil.rmtree(tmp_path / name)
    check_refused(tmp_path, StoreFailed, "half of the pair is gone")


@pytest.mark.parametrize(
    "names", [("notes.txt",), ("00000000.seg", "LOCK"), ("write", "read"), ("write",), ("FORMAT.new", "x")]
)
def test_folder_of_something_else_is_refused_and_not_touched(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"precious")
    check_refused(tmp_path, UnsupportedStore, names[0])


def test_file_in_place_of_the_folder_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"precious")
    with pytest.raises(StoreFailed, match="state"):
        HybridStore.open(path, SMALL)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "line", [b"episteme hybrid store 2\n", b"", b"episteme hybrid store 1\nand more", b"\xff" * 5000]
)
def test_store_of_another_format_is_refused_and_not_touched(tmp_path: Path, line: bytes) -> None:
    make_store(tmp_path, 1)
    (tmp_path / "FORMAT").write_bytes(line)
    check_refused(tmp_path, UnsupportedStore, "FORMAT says")


@pytest.mark.parametrize("made", [(), ("write",), ("write", "read")])
def test_pair_whose_making_was_cut_short_is_made_again(tmp_path: Path, made: tuple[str, ...]) -> None:
    make_store(tmp_path / "whole", 0)
    half = tmp_path / "half"
    half.mkdir()
    (half / "FORMAT.new").write_bytes(b"")
    for name in made:
        shutil.copytree(tmp_path / "whole" / name, half / name)
    make_store(half, 2)
    assert sorted(path.name for path in half.iterdir()) == ["FORMAT", "read", "write"]


def test_pair_that_is_being_opened_elsewhere_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path, 1)
    with opening(tmp_path), pytest.raises(StoreLocked):
        HybridStore.open(tmp_path, SMALL)
    HybridStore.open(tmp_path, SMALL).close()


def test_copies_and_failures_do_not_give_the_lock_up(tmp_path: Path) -> None:
    """The system drops a process's locks on a file as soon as it closes any handle of it."""
    program = """
        import sys
        from pathlib import Path
        from stores.engines.rocks import RocksEngine
        from stores import StoreLocked
        try:
            RocksEngine(Path(sys.argv[1]), memory_bytes=2**20)
        except StoreLocked:
            print("locked")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "state" / "write")]
    store = HybridStore.open(tmp_path / "state", SMALL)
    store.commit(one_row(0))
    store.checkpoint(tmp_path / "copy")
    with pytest.raises(StoreLocked):
        HybridStore.open(tmp_path / "state", SMALL)
    assert subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True).stdout == "locked\n"
    store.close()
