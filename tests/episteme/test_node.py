"""A node's life: it opens what is its own, refuses what is not, and says so when it is closed."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from episteme import Key, Node
from episteme.config import NodeConfig
from episteme.errors import CannotOpen, Damaged, EpistemeError, NotApplied, NotReady
from episteme.node import LOG_FOLDER, STATE_FOLDER
from tests.support.envelopes import claim
from tests.support.events import KEY_A, NOW_MS, make_assertion, signed
from tests.support.logs import flip_bit, segment_files
from tests.support.servers import Server
from wal import Interval, LogOptions, Retention

WAIT_S = 10.0


def test_new_folder_is_an_empty_database_that_is_ready(tmp_path: Path) -> None:
    with Node.open(tmp_path / "new" / "data") as node:
        report = node.status()
        assert report.ready
        assert report.reasons == []
        assert (report.log.seq, report.fold.applied_seq, report.fold.lag) == (-1, -1, 0)
        assert (node.end_seq, node.applied_seq) == (-1, -1)


def test_reopened_folder_is_the_same_database_with_all_that_was_written(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        receipt = node.assert_("kept", "p", "v")
        database = node.database
    with Node.open(str(tmp_path)) as again:
        assert again.database == database
        assert again.get(receipt.hash, min_seq=receipt.seq, wait_s=WAIT_S).seq == receipt.seq


def test_state_that_is_gone_is_made_anew_from_the_log(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        receipt = node.assert_("kept", "p", "v", wait_s=WAIT_S)
        answer = node.query("kept", "p")
    (tmp_path / STATE_FOLDER).rename(tmp_path / "gone")
    with Node.open(tmp_path) as again:
        assert again.query("kept", "p", min_seq=receipt.seq, wait_s=WAIT_S) == answer


def test_state_without_its_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A new log beside it would have another id, and stand in the way of the old one."""
    with Node.open(tmp_path, key=KEY_A) as node:
        node.assert_("kept", "p", "v", wait_s=WAIT_S)
    (tmp_path / LOG_FOLDER).rename(tmp_path / "elsewhere")
    with pytest.raises(CannotOpen, match="log is missing"):
        Node.open(tmp_path)
    assert not (tmp_path / LOG_FOLDER).exists()
    (tmp_path / "elsewhere").rename(tmp_path / LOG_FOLDER)
    with Node.open(tmp_path) as again:
        assert again.end_seq == 0


@pytest.mark.parametrize(
    "options", [LogOptions(durability="os"), LogOptions(durability=Interval(5)), LogOptions(retention=Retention(1))]
)
def test_log_options_that_break_the_promise_of_a_receipt_are_refused(options: LogOptions) -> None:
    with pytest.raises(ValueError, match="the database's log"):
        NodeConfig(log=options)


def test_folder_in_use_cannot_be_opened_and_its_user_is_unharmed(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        with pytest.raises(CannotOpen) as caught:
            Node.open(tmp_path)
        assert str(tmp_path) in caught.value.detail
        assert node.assert_("unharmed", "p", "v", wait_s=WAIT_S).status == "applied"
    Node.open(tmp_path).close()


def test_folder_that_a_server_has_cannot_be_opened(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        with pytest.raises(CannotOpen):
            Node.open(tmp_path / "data")
        server.signal(signal.SIGTERM)
        assert server.wait().code == 0
    Node.open(tmp_path / "data").close()


def test_state_of_another_log_is_refused_and_nothing_stays_locked(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with Node.open(tmp_path / name, key=KEY_A) as node:
            node.assert_(name, "p", "v", wait_s=WAIT_S)
    (tmp_path / "one" / STATE_FOLDER).rename(tmp_path / "gone")
    (tmp_path / "two" / STATE_FOLDER).rename(tmp_path / "one" / STATE_FOLDER)
    for _ in range(2):
        with pytest.raises(CannotOpen, match="fold of log"):
            Node.open(tmp_path / "one")


def test_damaged_log_is_told_with_file_and_place_and_nothing_is_cut(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        for number in range(3):
            node.assert_("damaged", "p", f"v{number}")
    (segment,) = segment_files(tmp_path / LOG_FOLDER)
    flip_bit(segment, (64 + 60) * 8)
    before = segment.read_bytes()
    with pytest.raises(Damaged, match=segment.name):
        Node.open(tmp_path)
    assert segment.read_bytes() == before


def test_folder_that_is_a_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(CannotOpen):
        Node.open(tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("query", lambda node: node.query("s", "p")),
        ("full query", lambda node: node.query("s", "p", full=True)),
        ("get", lambda node: node.get("0" * 64)),
        ("status", lambda node: node.status()),
        ("assert", lambda node: node.assert_("s", "p", "v")),
        ("ingest", lambda node: list(node.ingest([claim("s")]))),
        ("wait", lambda node: node.query("s", "p", min_seq=99, wait_s=WAIT_S)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_closed_node_says_that_it_is_closed_whatever_is_asked(
    tmp_path: Path, name: str, act: Callable[[Node], object]
) -> None:
    node = Node.open(tmp_path, key=Key.generate())
    node.close()
    node.close()
    with pytest.raises(EpistemeError) as caught:
        act(node)
    assert type(caught.value) is NotReady


def test_time_is_what_the_clock_says(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A, clock_ms=lambda: NOW_MS) as node:
        stored = node.get(node.assert_("timed", "p", "v", wait_s=WAIT_S).hash)
    assert stored.event.timestamp == stored.time_ms == NOW_MS


def test_envelope_may_be_bounded_by_the_configuration(tmp_path: Path) -> None:
    with Node.open(tmp_path, config=NodeConfig(event_bytes_max=100)) as node:
        (result,) = node.ingest([claim("larger than a hundred bytes")])
    assert result.code == "too-large"


def test_events_come_from_an_iterator_no_faster_than_they_are_written(tmp_path: Path) -> None:
    read = 0

    def events() -> Iterator[bytes]:
        nonlocal read
        for number in range(2500):
            read = number + 1
            yield claim("streamed", timestamp=number)

    with Node.open(tmp_path) as node:
        results = node.ingest(events())
        next(results)
        assert read < 2500
        assert node.end_seq + 1 == read
        assert sum(1 for _ in results) == 2499
        assert node.end_seq == 2499


def test_second_signature_counts_from_its_own_position_only(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        event = make_assertion(subject="signed later")
        first = node.submit(signed(event, KEY_A), wait_s=WAIT_S)
        assert node.query("signed later", "causes_muscle_loss").groups[0].support == 1
        node.submit(signed(event, Key(bytes(32))), wait_s=WAIT_S)
        answer = node.query("signed later", "causes_muscle_loss")
        assert answer.groups[0].support == 2
        assert answer.groups[0].hashes == [first.hash]


def test_waits_that_ran_out_leave_nothing_behind(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node:
        for _ in range(20):
            with pytest.raises(NotApplied):
                node.query("s", "p", min_seq=10**12, wait_s=0)
        assert node.state.watermark.waiting_count == 0
