"""The load generator: it reads answers whole, counts statuses, and measures what it says."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.wire import get, hash_in, is_whole, last_seq, post, read_requests, write_requests

ACCEPTED = b'{"hash":"%s","seq":%d,"status":"accepted"}'


def answer(body: bytes, status: bytes = b"202 Accepted") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    "whole",
    [
        answer(b"{}"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n",
    ],
)
def test_an_answer_is_whole_with_its_last_byte_and_not_before(whole: bytes) -> None:
    assert [is_whole(whole[:end]) for end in range(len(whole) + 1)] == [False] * len(whole) + [True]


def test_the_last_position_of_an_answer_is_found() -> None:
    assert last_seq(b'{"seq":4,"x":1}\n{"seq":17}\n{"summary":{}}') == 17
    assert last_seq(b"{}") == -1
    assert hash_in(ACCEPTED % (b"ab" * 32, 4)) == b"ab" * 32


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    requests = [get("/a"), post("/b", b"{}"), post("/c", bytes(70_000))]
    assert read_requests(write_requests(tmp_path / "file", requests)) == requests


def test_every_status_is_counted_and_what_warms_up_is_not(tmp_path: Path) -> None:
    file = write_requests(tmp_path / "file", (post("/v1/assertions", b"%d" % number) for number in range(30)))
    with server() as port:
        found = run(port, 4, file, "--warm", "10")
    assert found["statuses"] == {"202": 16, "503": 4}  # of 10 to 29 those that divide by five
    assert found["count"] == 20
    assert 0 < found["p50_us"] <= found["p99_us"]
    assert found["load_us"] > 0


def test_an_answer_without_the_expected_text_ends_it(tmp_path: Path) -> None:
    file = write_requests(tmp_path / "file", [post("/v1/assertions", b"1")])
    with server() as port, pytest.raises(subprocess.CalledProcessError) as failed:
        run(port, 1, file, "--expect", "candidates")
    assert "an answer without candidates" in failed.value.stderr


def test_the_clock_goes_on_until_the_last_position_is_readable(tmp_path: Path) -> None:
    file = write_requests(tmp_path / "file", (post("/v1/assertions", b"%d" % number) for number in range(1, 4)))
    with server() as port:
        found = run(port, 1, file, "--until-readable", "/v1/query?subject=a&predicate=b")
    assert found["until_readable_s"] > found["seconds"]
    with server() as port, pytest.raises(subprocess.CalledProcessError) as failed:
        run(port, 1, file, "--until-readable", "/nothing?")
    assert "the last one is not readable" in failed.value.stderr


def test_the_open_loop_keeps_its_rate_and_asks_for_what_was_written(tmp_path: Path) -> None:
    numbers = [number for number in range(1, 400) if number % 5]
    file = write_requests(tmp_path / "file", (post("/v1/assertions", b"%d" % number) for number in numbers))
    questions = (get("/v1/query?subject=a&predicate=b&min_seq=") for _ in numbers[::20])
    probes = write_requests(tmp_path / "probes", questions)
    options = ("--rate", "1000", "--first", "100", "--probes", str(probes), "--every", "20")
    with server() as port:
        found = run(port, 8, file, *options)
    assert found["statuses"] == {"202": 100}
    assert found["readable_count"] == 5
    assert found["readable_p50_us"] > 0
    assert found["seconds"] > 0.05  # a hundred at a thousand a second, with this seed
    assert "late_p99_us" in found


def test_a_question_that_does_not_name_the_claim_ends_it(tmp_path: Path) -> None:
    file = write_requests(tmp_path / "file", [post("/v1/assertions", b"1")])
    probes = write_requests(tmp_path / "probes", [get("/v1/query?subject=unseen&predicate=b&min_seq=")])
    with server() as port, pytest.raises(subprocess.CalledProcessError) as failed:
        run(port, 1, file, "--rate", "1000", "--probes", str(probes), "--every", "1")
    assert "the question does not see the claim" in failed.value.stderr


def run(port: int, connections: int, file: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", str(port), str(connections), str(file), *options],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def server() -> Iterator[int]:
    """Answers POSTs of a number with 202, with 503 if it divides by five; and the question about a position."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_accept, args=(listener,), daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def _accept(listener: socket.socket) -> None:
    threads = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        threads.append(threading.Thread(target=_serve, args=(connection,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(connection: socket.socket) -> None:
    with connection:
        while request := connection.recv(65_536):
            connection.sendall(_answer_to(request))


def _answer_to(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    if request.startswith(b"POST /v1/assertions "):
        number = int(body)
        return answer(ACCEPTED % (b"%064x" % number, number), b"202 Accepted" if number % 5 else b"503 Busy")
    if b"&min_seq=" in head and head.startswith(b"GET /v1/query?"):
        seq = int(head.split(b"&min_seq=")[1].split(b" ")[0])
        assert b"&wait=" in head
        return answer(b'{"hashes":["%064x"]}' % (0 if b"unseen" in head else seq), b"200 OK")
    return answer(b"{}", b"404 Not Found")
