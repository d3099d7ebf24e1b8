"""The log over HTTP: pages that move on, long polls, and a stream that goes on right where it broke off."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote, urlencode

import pytest

from episteme.loglines import decode_line, frame_of
from episteme.node import Node
from episteme.server.access import token_store
from episteme.server.stream import EVENT_STREAM
from tests.server.test_refusals import check_problem
from tests.support.asgi import call_node
from tests.support.envelopes import claim
from tests.support.events import KEY_A, KEY_B
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.http import Reply, call, connect
from tests.support.log_pages import get, lines_of
from tests.support.nodes import node_on
from tests.support.servers import Server


class Sent(NamedTuple):
    """One event of a stream."""

    id: int | None
    name: str
    data: str

    @property
    def seq(self) -> int:
        return int(json.loads(self.data)["seq"])


class Stream:
    """A tail that is read as it comes, by the rules of the WHATWG page, as far as this server goes."""

    def __init__(self, url: str, query: str = "", headers: dict[str, str] | None = None) -> None:
        self._connection = connect(url)
        self._connection.request("GET", f"/v1/log/tail?{query}", headers=headers or {})
        self.response: http.client.HTTPResponse = self._connection.getresponse()
        assert self.response.status == 200, self.response.read()

    def blocks(self) -> Iterator[list[str]]:
        """Lines between blank ones."""
        block: list[str] = []
        for raw in iter(self.response.readline, b""):
            line = raw.decode().removesuffix("\n")
            if line:
                block.append(line)
            else:
                yield block
                block = []
        assert not block, "the stream ends within an event"

    def events(self) -> Iterator[Sent]:
        for block in self.blocks():
            fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
            if "data" in fields:
                yield Sent(int(fields["id"]) if "id" in fields else None, fields.get("event", ""), fields["data"])

    def until_caught_up(self) -> list[int]:
        """Positions of the lines before it, each of which is its event's id."""
        seqs: list[int] = []
        for event in self.events():
            if event.name == "caught-up":
                assert event.id == event.seq
                return seqs
            assert event.id == event.seq
            seqs.append(event.seq)
        raise AssertionError("the stream ended before it caught up")

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def post(url: str, body: bytes) -> int:
    return int(call(url, "POST", "/v1/events", body).json()["seq"])


def log_end(server: Server) -> int:
    return int(call(server.url, "GET", "/livez").headers["episteme-seq"])


# Pages


def test_page_is_the_log_itself_from_after_a_position_on(node: Node) -> None:
    for after in range(-1, 9):
        reply = get(node, f"after={after}")
        frames = [frame_of(line) for line in lines_of(reply)]
        assert frames == node.log.read_from(after + 1, count_max=100, bytes_max=2**20)
        assert reply.headers["episteme-next"] == "8"
        assert reply.headers["cache-control"] == "no-store"


def test_limit_ends_a_page_and_the_next_goes_on(node: Node) -> None:
    after, seqs = -1, []
    while after < 8:
        reply = get(node, f"after={after}&limit=2")
        page = lines_of(reply)
        assert 1 <= len(page) <= 2
        seqs += [line.seq for line in page]
        after = int(reply.headers["episteme-next"])
    assert seqs == list(range(9))


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        ({"subject": "Sema"}, [1, 5]),
        ({"subject": "Sema*"}, [0, 1, 4, 5]),
        ({"subject": "Zürich"}, [3, 7]),
        ({"subject": "*"}, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ({"kind": "vote"}, [8]),
        ({"kind": "rules"}, []),
        ({"predicate": "causes_muscle_loss", "subject": "Tesla"}, [2, 6]),
        ({"agent": KEY_B.agent_hex}, [8]),
        ({"agent": KEY_A.agent_hex, "kind": "vote"}, []),
    ],
)
def test_filter_shows_what_fits_and_the_position_moves_on(
    node: Node, wanted: dict[str, str], seqs: Sequence[int]
) -> None:
    reply = get(node, urlencode(wanted))
    assert [line.seq for line in lines_of(reply)] == seqs
    assert reply.headers["episteme-next"] == "8"


def test_filtered_pages_with_a_limit_miss_nothing(node: Node) -> None:
    after, seqs = -1, []
    while after < 8:
        reply = get(node, f"subject=Sema*&limit=1&after={after}")
        page = lines_of(reply)
        assert len(page) <= 1
        seqs += [line.seq for line in page]
        after = int(reply.headers["episteme-next"])
    assert seqs == [0, 1, 4, 5]


@pytest.mark.parametrize(
    ("query", "status", "code", "pointer"),
    [
        ("after=9", 409, "as-of-beyond", "after"),
        ("after=-2", 422, "invalid-parameter", "after"),
        ("after=x", 422, "invalid-parameter", "after"),
        ("limit=0", 422, "invalid-parameter", "limit"),
        ("limit=1001", 422, "invalid-parameter", "limit"),
        ("wait=31s", 422, "invalid-parameter", "wait"),
        ("kind=rumour", 422, "invalid-parameter", "kind"),
        ("subject=", 422, "invalid-parameter", "subject"),
        ("predicate=%0a", 422, "invalid-parameter", "predicate"),
        ("agent=0", 422, "invalid-parameter", "agent"),
        ("from=1", 400, "unknown-parameter", "from"),
    ],
)
def test_question_that_the_log_cannot_answer_is_refused(
    node: Node, query: str, status: int, code: str, pointer: str
) -> None:
    check_problem(get(node, query), status, code, pointer)
    if not query.startswith(("limit", "wait")):
        check_problem(call_node(node, "GET", f"/v1/log/tail?{query}"), status, code, pointer)


def test_long_poll_answers_with_what_comes_and_only_if_it_fits(server: Server) -> None:
    after = log_end(server)
    found: list[Reply] = []
    query = urlencode({"after": after, "wait": "10s", "subject": "long poll"})
    waiting = threading.Thread(target=lambda: found.append(call(server.url, "GET", f"/v1/log?{query}")))
    waiting.start()
    post(server.url, claim("another"))
    seq = post(server.url, claim("long poll"))
    waiting.join(WAIT_S)
    assert [line.seq for line in lines_of(found[0])] == [seq]
    assert int(found[0].headers["episteme-next"]) >= seq


def test_long_poll_whose_time_is_over_says_how_far_it_looked(server: Server) -> None:
    after = log_end(server)
    seq = post(server.url, claim("looked at"))
    reply = call(server.url, "GET", f"/v1/log?after={after}&wait=50ms&subject=nobody")
    assert lines_of(reply) == []
    assert int(reply.headers["episteme-next"]) >= seq


def test_long_poll_of_a_log_that_has_failed_is_told_so(tmp_path: Path) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node:
        files.fail("sync")
        node.log.append(b"x", 9)
        assert node.log.wait_past(0, WAIT_S) is False
        check_problem(get(node, "wait=10s"), 503, "log-failed", None)


# The stream


def test_stream_from_every_position_gives_each_later_event_once(server: Server) -> None:
    first = post(server.url, claim("resumed", confidence="0.5")) - 1
    for number in range(20):
        post(server.url, claim("resumed", confidence=f"0.5{number:02}"))
    for after in range(first, first + 22):
        for query, headers in [(f"after={after}", {}), ("after=-1", {"Last-Event-ID": str(after)})]:
            with Stream(server.url, query, headers) as stream:
                seqs = stream.until_caught_up()
            assert seqs == list(range(after + 1, first + 22))


def test_stream_that_is_cut_within_an_event_goes_on_without_gap_or_repeat(server: Server) -> None:
    """Read a few bytes, hang up wherever that is, come again with the last id that was whole."""
    start = log_end(server)
    for number in range(12):
        post(server.url, claim("cut", confidence=f"0.6{number:02}"))
    last, cut_bytes, seqs = start, 300, []
    while last < start + 12:
        with Stream(server.url, "", {"Last-Event-ID": str(last)}) as stream:
            data = b""
            while len(data) < cut_bytes and b"caught-up" not in data:
                data += stream.response.read1(cut_bytes - len(data))
        for block in data.split(b"\n\n")[:-1]:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
            if b"id" in fields and fields.get(b"event") is None:
                seqs.append(int(fields[b"id"]))
                last = seqs[-1]
        cut_bytes += 97
    assert seqs[:12] == list(range(start + 1, start + 13))


def test_event_reaches_the_reader_at_once_and_whole_whatever_encodings_it_takes(server: Server) -> None:
    after = log_end(server)
    with Stream(server.url, f"after={after}", {"Accept-Encoding": "gzip, zstd, br"}) as stream:
        assert stream.response.getheader("Content-Encoding") is None
        assert stream.response.getheader("Content-Type", "").startswith(EVENT_STREAM)
        assert stream.response.getheader("Cache-Control") == "no-store"
        assert stream.response.getheader("X-Accel-Buffering") == "no"
        events = stream.events()
        assert next(events).name == "caught-up"
        seq = post(server.url, claim("at once"))  # its answer has come, and the stream is still open
        event = next(events)
        assert (event.id, event.name) == (seq, "")
        signed = decode_line(event.data.encode()).signed
        assert signed is not None
        signed.verify()


def test_stream_with_a_filter_shows_only_what_fits(server: Server) -> None:
    after = log_end(server)
    with Stream(server.url, f"after={after}&subject={quote('Größe*')}") as stream:
        assert stream.until_caught_up() == []
        post(server.url, claim("another"))
        seq = post(server.url, claim("Größe:2"))
        assert next(stream.events()).seq == seq


@pytest.mark.parametrize("text", ["x", "-2", "1.5", ""])
def test_last_event_id_that_is_no_position_is_refused(server: Server, text: str) -> None:
    reply = call(server.url, "GET", "/v1/log/tail", headers={"Last-Event-ID": text})
    check_problem(reply, 422, "invalid-parameter", "Last-Event-ID")


def test_head_of_the_stream_has_no_body_and_ends(server: Server) -> None:
    reply = call(server.url, "HEAD", "/v1/log/tail")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"].startswith(EVENT_STREAM)


def test_stop_ends_a_stream_whole_and_the_server_well(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        with Stream(server.url) as stream:
            stream.until_caught_up()
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            assert stream.response.read() == b""  # IncompleteRead if the last chunk were missing
            stopping.join(WAIT_S)
        ended = server.wait()
    assert ended.code == 0
    assert "Traceback" not in ended.output


def test_stream_ends_soon_after_its_token_has(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--tokens-required", "--stream-idle-s", "50ms")
    with Server.start(tmp_path / "data", arguments) as server:
        tokens = token_store(tmp_path / "data")
        ended, other = tokens.create("ended", ["read"]), tokens.create("other", ["read"])
        streams = [Stream(server.url, headers={"Authorization": f"Bearer {made.token}"}) for made in (ended, other)]
        for stream in streams:
            stream.until_caught_up()
        tokens.revoke(ended.record.id)
        *_, last = islice(streams[0].blocks(), 200)  # ten seconds of saying that it is there
        assert last[0] == "event: problem"
        assert json.loads(last[1].removeprefix("data: "))["code"] == "invalid-token"
        assert [next(streams[1].blocks())[0] for _ in range(3)] == [": still here"] * 3
        for stream in streams:
            stream.close()
        assert server.stop().code == 0
