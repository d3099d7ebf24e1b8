"""The parts of a server with workers, each alone: messages, the page, who waits, what is sent, what each may take."""

import socket
import threading
import time
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex import CortexError, FoldStopped
from episteme.config import NodeConfig, ServerConfig
from episteme.errors import PROBLEMS, EpistemeError, FieldProblem, QuotaExceeded
from episteme.gate import Standing
from episteme.receipts import Receipt
from episteme.server.problems import problem_response
from episteme.server.workers.audits import Collecting
from episteme.server.workers.awaited import Awaited
from episteme.server.workers.desk import Desk, Outbox
from episteme.server.workers.messages import (
    Await,
    Events,
    Outcomes,
    Reached,
    Ready,
    Refusal,
    Splitter,
    Start,
    ToOwner,
    ToWorker,
    framed,
    read_message,
)
from episteme.server.workers.page import Page
from episteme.server.workers.parts import PART_BYTES, outcome_of, parts
from episteme.server.workers.proxy import head_of
from episteme.server.workers.shares import of_one, settings_of_one
from episteme.server.workers.supervise import name_for
from episteme.settings import settings_of
from episteme.settings.table import SERVED_NODE
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, make_assertion, signed
from tests.support.nodes import node_on

EVENTS = Events(7, "ingest", [signed(make_assertion(subject="one"), KEY_A, KEY_B)], [512])
TO_OWNER = (Ready(), EVENTS, Await(3), Events(8, "http", [], []), Ready())
TO_WORKER = (
    Start({"port": 1, "operators": ("a",), "quotas": None}, "d" * 32, "/data", "127.0.0.1", "0"),
    Outcomes(7, [3, -4, Refusal("disk-full", "no room")], [Standing(1, 2, 3), None, None]),
    Reached(5, "the fold failed", stopped=True),
)


@pytest.mark.parametrize(("messages", "kind"), [(TO_OWNER, ToOwner), (TO_WORKER, ToWorker)])
@given(cuts=st.lists(st.integers(1, 400), max_size=40))
def test_messages_come_out_as_they_went_in_wherever_the_bytes_are_cut(
    messages: tuple[Any, ...], kind: Any, cuts: list[int]
) -> None:
    data = b"".join(map(framed, messages))
    splitter: Splitter[Any] = Splitter(kind)
    found = []
    for cut in (*cuts, len(data)):
        piece, data = data[:cut], data[cut:]
        found += splitter.feed(piece)
    assert tuple(found) == messages


def test_every_kind_of_event_reaches_the_owner_as_it_was_signed() -> None:
    events = [signed(event, KEY_A) for event in FULL_EVENTS]
    (found,) = Splitter[Any](ToOwner).feed(framed(Events(0, "http", events, [None] * len(events))))
    assert found.events == events


def test_first_message_is_read_without_a_byte_of_the_next() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.sendall(framed(TO_WORKER[0]) + b"next")
        assert read_message(theirs, Start) == TO_WORKER[0]
        assert theirs.recv(16) == b"next"
        mine.close()
        with pytest.raises(EOFError):
            read_message(theirs, Start)


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_refusal_gives_the_problem_document_that_its_error_would_have_given(code: str) -> None:
    error = PROBLEMS[code].exception(
        "why it is so", errors=(FieldProblem("/event/subject", "is empty"),), retry_after_s=3
    )
    if isinstance(error, QuotaExceeded):
        error.limit, error.remaining = 100, 7
    for hint in (error.hint, "another hint"):
        error.hint = hint
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(Refusal.of(error)), type=Refusal)
        again = sent.error()
        assert type(again) is type(error)
        before, after = problem_response(error), problem_response(again)
        assert (before.status_code, before.raw_headers, before.body) == (
            *(after.status_code, after.raw_headers, after.body),
        )


def test_outcome_is_told_by_its_position_alone() -> None:
    (event,) = EVENTS.events
    assert outcome_of(event, 0) == Receipt(event.hash_hex, 0)
    assert outcome_of(event, 9) == Receipt(event.hash_hex, 9)
    assert outcome_of(event, -1) == Receipt(event.hash_hex, 0, "duplicate")
    assert outcome_of(event, -10) == Receipt(event.hash_hex, 9, "duplicate")
    assert isinstance(outcome_of(event, Refusal("key-revoked", "x")), EpistemeError)


@given(sizes=st.lists(st.integers(0, 2 * PART_BYTES), max_size=30), count_max=st.integers(1, 9))
def test_parts_hold_all_in_order_and_no_more_than_they_may(sizes: list[int], count_max: int) -> None:
    found = list(parts(sizes, count_max))
    assert [index for start, end in found for index in range(start, end)] == list(range(len(sizes)))
    for start, end in found:
        assert 0 < end - start <= count_max
        assert end - start == 1 or sum(sizes[start:end]) <= PART_BYTES


def test_page_is_shared_by_all_who_have_its_descriptor_and_its_positions_only_grow() -> None:
    page = Page.make()
    other = Page(page.file)
    page.show_durable(2**40)
    page.show_durable(7)
    page.show_applied(5)
    page.show_writable(True)
    page.show_outdated(True)
    assert (other.durable_end, other.applied_end, other.writable, other.outdated) == (2**40, 5, True, True)
    page.show_writable(False)
    assert not other.writable


class Waiter:
    """Somebody who waits, and what he was told."""

    def __init__(self) -> None:
        self.told: list[CortexError | None] = []


@pytest.fixture(name="page")
def _page() -> Iterator[Page]:
    return Page.make()


def test_owner_is_asked_for_the_first_position_that_is_waited_for_and_for_no_other(page: Page) -> None:
    asked: list[int] = []
    awaited, one, other = Awaited(page, asked.append), Waiter(), Waiter()
    awaited.on_applied(9, other.told.append)
    awaited.on_applied(4, one.told.append)
    awaited.on_applied(6, one.told.append)
    assert asked == [9, 4]
    awaited.told(Reached(4))
    assert (one.told, other.told, asked, awaited.seq) == ([None], [], [9, 4, 6], 5)
    page.show_applied(10)
    awaited.told(Reached(6))
    assert (one.told, other.told, asked) == ([None, None], [None], [9, 4, 6])


def test_position_that_is_folded_already_is_told_at_once(page: Page) -> None:
    page.show_applied(3)
    asked: list[int] = []
    waiter = Waiter()
    Awaited(page, asked.append).on_applied(2, waiter.told.append)
    assert (waiter.told, asked) == ([None], [])


def test_fold_that_has_stopped_is_told_to_all_who_wait(page: Page) -> None:
    waiter = Waiter()
    awaited = Awaited(page, lambda _: None)
    awaited.on_applied(5, waiter.told.append)
    awaited.on_applied(9, waiter.told.append)
    awaited.told(Reached(5, "event 4 cannot be folded", stopped=True))
    assert [(type(error), str(error)) for error in waiter.told] == [(FoldStopped, "event 4 cannot be folded")] * 2
    assert awaited.waiting_count == 0


def test_who_waits_no_more_is_not_told_and_leaves_nothing_behind(page: Page) -> None:
    asked: list[int] = []
    waiter = Waiter()
    awaited = Awaited(page, asked.append)
    for seq in range(1000, 3000):
        awaited.on_applied(seq, waiter.told.append)()
    awaited.on_applied(5000, waiter.told.append)
    awaited.told(Reached(1000))
    assert (waiter.told, awaited.waiting_count) == ([], 1)
    assert len(awaited._waiting) < 100
    assert asked[-1] == 5000


def test_outbox_keeps_nobody_waiting_for_a_reader_who_does_not_read_and_loses_nothing() -> None:
    mine, theirs = socket.socketpair()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    outbox = Outbox(mine)
    sent = [bytes([number % 256]) * (number % 3000) for number in range(400)]
    for data in sent:
        outbox.put(data)
    found = b""
    with theirs:
        while len(found) < sum(map(len, sent)):
            found += theirs.recv(65536)
    assert found == b"".join(sent)
    outbox.close()
    mine.close()


def test_outbox_of_a_worker_that_has_ended_takes_all_and_ends() -> None:
    mine, theirs = socket.socketpair()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    outbox = Outbox(mine)
    for _ in range(100):
        outbox.put(b"x" * 1000)
    theirs.close()
    outbox.put(b"x" * 1_000_000)
    outbox.close()
    mine.close()


def test_what_the_owner_takes_long_over_is_no_silence_of_the_worker(tmp_path: Path) -> None:
    mine, theirs = socket.socketpair()
    since_s: list[float] = []
    with node_on(tmp_path) as node:
        desk = Desk(node, Page.make(), mine, lambda _: since_s.append(desk.waits_since_s))
        thread = threading.Thread(target=desk.run)
        with theirs:
            began_s = time.monotonic()
            theirs.sendall(framed(Ready()) * 2)
            thread.start()
            while desk.waits_since_s == inf or len(since_s) < 2:
                pass
            assert desk.waits_since_s >= began_s
        thread.join()
    assert since_s == [inf, inf]


def test_collecting_waits_for_all_workers_that_are_there_and_for_none_that_has_ended() -> None:
    asked: list[int] = []

    def ask(message: Any) -> list[int]:
        asked.append(message.number)
        threading.Thread(target=answer, args=(message.number,)).start()
        return [1, 2, 3]

    def answer(number: int) -> None:
        collecting.collected(1, number)
        collecting.ended(2)
        collecting.collected(3, number)

    collecting = Collecting(ask)
    collecting.collect()
    collecting.collect()
    assert asked == [0, 1]
    assert not collecting._waiting


def test_worker_has_a_name_that_none_has_who_still_leaves_its_place() -> None:
    assert name_for(1, ()) == "1-0"
    assert name_for(1, {"0-0", "1-0", "11-1"}) == "1-1"
    assert name_for(1, {"1-0", "1-1"}) == "1-2"
    assert name_for(1, {"1-1"}) == "1-0"


def test_settings_of_a_worker_are_those_of_the_server_but_for_its_part() -> None:
    server = ServerConfig(workers=3, connections_max=100, cors_origins=("https://a",), public=True)
    node = msgspec.structs.replace(SERVED_NODE, read_wait_s=1.5)
    told = msgspec.msgpack.decode(framed(Start(settings_of_one(server, node), "", "", "", ""))[4:], type=Start)
    settings = settings_of(told.settings)
    assert settings.server() == of_one(server)
    assert (settings.server().connections_max, settings.server().idle_s_max) == (34, server.idle_s_max)
    assert settings.node().intake.threads == -(-node.intake.threads // 3)
    assert settings.node() == msgspec.structs.replace(node, intake=settings.node().intake)
    assert isinstance(settings.node(), NodeConfig)


def test_head_that_is_passed_on_leaves_out_what_belongs_to_the_connection() -> None:
    scope = {
        "method": "POST",
        "raw_path": b"/v1/admin/tokens",
        "query_string": b"a=%20b",
        "http_version": "1.1",
        "headers": [
            (b"host", b"h"),
            (b"connection", b"keep-alive, x-own"),
            (b"transfer-encoding", b"chunked"),
            (b"expect", b"100-continue"),
            (b"x-twice", b"1"),
            (b"x-twice", b"2"),
        ],
    }
    assert head_of(scope, chunked=True) == (
        b"POST /v1/admin/tokens?a=%20b HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\nx-twice: 1\r\nx-twice: 2\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
