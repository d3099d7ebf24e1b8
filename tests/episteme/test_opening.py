"""A data folder that cannot be opened: what it is, why not, and what to do, in one line."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from episteme.errors import CannotOpen, DiskFull, EpistemeError
from episteme.node import LOG_FOLDER, Node
from episteme.opening import cannot_open, in_use
from tests.support.command import Command
from tests.support.disks import MIB, make_read_only, small_disk
from tests.support.events import KEY_A
from tests.support.servers import Server


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A disk that cannot be written any more, with a database in its folder data."""
    with small_disk(tmp_path, 32 * MIB, 0) as disk:
        with Node.open(disk / "data", key=KEY_A) as node:
            node.assert_("s", "p", "v", wait_s=5)
        make_read_only(disk)
        yield disk


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOSPC, DiskFull, "make room"),
        (errno.EDQUOT, DiskFull, "make room"),
        (errno.EROFS, CannotOpen, "make its file system writable"),
        (errno.EACCES, CannotOpen, f"give it to user {os.geteuid()}"),
        (errno.EMFILE, CannotOpen, "ulimit -n"),
        (errno.EIO, CannotOpen, "Input/output error"),
    ],
)
def test_what_the_system_refuses_comes_with_what_to_do(number: int, kind: type[EpistemeError], advice: str) -> None:
    found = cannot_open(Path("/srv/data"), OSError(number, os.strerror(number), "/srv/data/log"))
    assert type(found) is kind
    assert found.detail.startswith("/srv/data cannot be opened")
    assert advice in found.detail


def test_folder_that_is_a_file_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(CannotOpen, match="is a file"):
        Node.open(tmp_path / "data")
    assert (tmp_path / "data").read_text() == "not a folder"


def test_folder_that_this_process_has_open_says_so(tmp_path: Path) -> None:
    with Node.open(tmp_path), pytest.raises(CannotOpen, match="open in this process") as caught:
        Node.open(tmp_path)
    assert caught.value.detail.startswith(str(tmp_path))


def test_lock_of_which_nobody_knows_the_holder_is_another_process(tmp_path: Path) -> None:
    assert "another process;" in in_use(tmp_path, tmp_path / "no such lock").detail


def test_second_server_and_a_command_beside_a_server_name_the_folder_and_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Server.start(folder) as server:
        command = Command(tmp_path)
        pid = server.process_id
        for arguments in (("serve", "--port", "0"), ("query", "s", "p")):
            ran = command(*arguments, "--data", str(folder))
            assert ran.code == 1
            assert str(folder) in ran.stderr
            assert f"pid {pid}" in ran.stderr
            assert "code: cannot-open" in ran.stderr
        assert server.stop().code == 0


def test_folder_on_a_read_only_disk_is_refused_with_what_to_do_and_left_alone(read_only: Path, tmp_path: Path) -> None:
    folder = read_only / "data"
    for missing in (folder, read_only / "new"):
        with pytest.raises(CannotOpen, match="make its file system writable"):
            Node.open(missing)
    ran = Command(tmp_path)("serve", "--port", "0", "--data", str(folder))
    assert ran.code == 1
    assert str(folder) in ran.stderr
    assert "Read-only file system" in ran.stderr


def test_log_beside_which_there_is_a_state_and_no_segment_is_damage_and_begins_nothing(tmp_path: Path) -> None:
    Node.open(tmp_path).close()
    for path in (tmp_path / LOG_FOLDER).glob("*.redex"):
        path.unlink()
    with pytest.raises(EpistemeError) as caught:
        Node.open(tmp_path)
    assert caught.value.code == "damaged"
    assert not list((tmp_path / LOG_FOLDER).glob("*.redex"))


def test_state_of_a_newer_format_is_refused_and_what_to_do_is_said(tmp_path: Path) -> None:
    Node.open(tmp_path).close()
    (mark,) = (tmp_path / "state").glob("gen-*/FORMAT")
    mark.write_bytes(b"episteme hybrid store 9\n")
    with pytest.raises(EpistemeError, match="store 9") as caught:
        Node.open(tmp_path)
    assert caught.value.code in ("state-damaged", "cannot-open")
    assert "made anew from the log" in caught.value.detail
