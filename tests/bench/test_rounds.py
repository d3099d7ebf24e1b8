"""The rounds: everything is measured once in each, what fails is told in its place, and the table has it all."""

import json
import socket
import threading
from pathlib import Path

import pytest

from bench import limits
from bench.inputs import Counts, make_seed, make_work
from bench.measured import BARE, OURS, POST_MANY, QUERY, READABLE, Key, Measured
from bench.ours import variants
from bench.peer import Inputs
from bench.rounds import Failure, Figures, Measurement, Round, in_order, plan, run_rounds, selected
from bench.stores import make_stores, send_all
from bench.table import Report, as_json, as_text, failures, show
from bench.targets import POSTGRESQL, VERIFY
from bench.work import last_words

TAKEN = b'HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{"seq":%d,"a":{"refused":0}}'
TINY = Counts(
    pairs=2,
    warm=2,
    many=70,
    one=5,
    ingest=10,
    bundles=10,
    queries=70,
    full=5,
    readable=20,
    readable_s=0.1,
    held=0,
    rows=5,
)


def test_a_round_measures_limits_a_peer_and_ours_and_one_that_fails_stops_nobody(tmp_path: Path) -> None:
    def peer(_inputs: Inputs) -> Measured:
        return Measured(10.0, note="of a peer")

    def broken(_inputs: Inputs) -> Measured:
        raise OSError("no such host")

    seed = make_seed(tmp_path / "seed", TINY.pairs)
    stores = make_stores(tmp_path, seed, TINY.held)
    peers = {Key(POST_MANY, POSTGRESQL): peer, Key(QUERY, "Broken"): broken}
    measurements = plan({POST_MANY, QUERY, READABLE}, variants(large=False)[:1], peers, tmp_path)
    figures = run_rounds(tmp_path, 1, make_work(tmp_path / "work", 0, TINY, seed), stores, measurements)
    assert [key for key, (one,) in figures.items() if isinstance(one, Measured)] == [
        Key(POST_MANY, BARE),
        Key(POST_MANY, OURS),
        Key(POST_MANY, POSTGRESQL),
        Key(QUERY, BARE),
        Key(QUERY, OURS),
        Key(READABLE, OURS),
    ], figures
    assert failures(figures) == ["query, Broken: OSError: no such host"]
    report = Report({"commit": "abc"}, {}, figures, 1.0)
    text = as_text(report)
    assert "x the bare POST" in text
    assert "FAILED, OSError: no such host" in text
    assert json.loads(json.dumps(as_json(report)))["commit"] == "abc"
    assert not list(tmp_path.glob("round*"))  # nothing is left of a round


def test_limits_of_the_disk_and_the_processor_are_measured_and_leave_no_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for found in (
        limits.fdatasync(file, 400, count=3),
        limits.fdatasync(file, 400, count=3, laid_out=True),
        limits.sequential_write(file, 2**20),
        limits.verifications(20, processes=1),
    ):
        assert found.value > 0
    assert not file.exists()


def test_an_ingest_that_the_server_has_no_time_for_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.stores.RETRY_S", 0.0)
    answers = [b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", TAKEN % 7, TAKEN % 3]
    taken: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connections = []
            while len(taken) < len(answers):
                connections.append(listener.accept()[0])
                if request := connections[-1].recv(1000):
                    taken.append(request)
                    connections[-1].sendall(answers[len(taken) - 1])
                    connections[-1].close()

        monkeypatch.setattr("bench.stores.IN_FLIGHT", 1)
        serving = threading.Thread(target=serve)
        serving.start()
        assert send_all(listener.getsockname()[1], [b"first"]) == 7
        assert taken == [b"first", b"first"]
        assert send_all(listener.getsockname()[1], [b"second"]) == 3
        serving.join()


def test_a_row_comes_with_what_it_is_held_against() -> None:
    assert selected(["bundles"]) == {"bundles", "ingest", VERIFY}
    assert selected([READABLE]) == {READABLE, POST_MANY}


def test_every_other_round_goes_through_a_rows_figures_backwards() -> None:
    keys = [Key("a", "1"), Key("a", "2"), Key("b", "1"), Key("b", "2")]
    measurements = [Measurement(key, _refuse) for key in keys]
    assert [one.key for one in in_order(measurements, 0)] == keys
    assert [one.key for one in in_order(measurements, 1)] == [keys[1], keys[0], keys[3], keys[2]]


def test_what_is_not_there_is_no_failure() -> None:
    figures: Figures = {Key(POST_MANY, OURS): [Failure("serve has no --workers", True)]}
    assert failures(figures) == []
    assert "missing, serve has no --workers" in as_text(Report({}, {}, figures, 1.0))


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(1234.6, "/s", "1,235 /s"), (0.000123, "s", "123 us"), (0.0042, "s", "4.20 ms"), (2**21, "B/s", "2 MiB/s")],
)
def test_values_are_shown_in_the_unit_that_reads_best(value: float, unit: str, shown: str) -> None:
    assert show(value, unit) == shown


def test_the_last_words_of_a_process_are_those_in_a_frame_too() -> None:
    framed = "Usage: x\n╭─ Error ──╮\n│ No such option: --workers │\n╰──────────╯\n"
    assert last_words(framed) == "Error; No such option: --workers"
    assert last_words("error: the disk is full\ncode: disk-full\n") == "error: the disk is full; code: disk-full"
    assert last_words("") == "it said nothing"


def _refuse(_found: Round) -> Measured:
    raise AssertionError
