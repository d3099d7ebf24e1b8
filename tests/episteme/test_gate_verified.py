"""Events that another process of ours has verified, and chunks that are admitted while others are appended."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from episteme import Receipt
from episteme.config import NodeConfig
from episteme.errors import EpistemeError, InvalidField, InvalidSignature, LogFailed, NotReady, Overloaded
from episteme.gate import IntakeOptions, Outcome, QuotaOptions, Submission
from episteme.gate.verification import Crew
from episteme.node import Node
from model import SignedEvent
from tests.support.events import KEY_A, KEY_B, make_assertion, signed
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.nodes import node_on

PAYING = NodeConfig(quota=QuotaOptions(enabled=True, tokens_per_hour=10_000))


def claims(name: str, count: int) -> list[SignedEvent]:
    return [signed(make_assertion(subject=f"{name} {number}")) for number in range(count)]


def verified(node: Node, batch: list[SignedEvent]) -> list[Outcome]:
    """What is told of a batch, once it is told."""
    told: Future[list[Outcome]] = Future()
    node.submit_verified(batch, "test", told.set_result)
    return told.result(WAIT_S)


def seqs(outcomes: list[Outcome]) -> list[int]:
    return [outcome.seq for outcome in outcomes if isinstance(outcome, Receipt)]


# Verified elsewhere


def test_verified_batch_is_told_in_its_order_and_a_repeated_event_takes_one_position(tmp_path: Path) -> None:
    first, second = claims("verified", 2)
    by_b = signed(first.event, KEY_B)
    with node_on(tmp_path) as node:
        assert verified(node, [first, second, first, by_b, by_b]) == [
            Receipt(first.hash_hex, 0),
            Receipt(second.hash_hex, 1),
            Receipt(first.hash_hex, 0, "duplicate"),
            Receipt(first.hash_hex, 2),
            Receipt(first.hash_hex, 0, "duplicate"),
        ]
        assert verified(node, []) == []
        assert node.wait_applied(2, WAIT_S)
        assert [one.agent for one in node.get(first.hash_hex).signatures] == [KEY_A.agent_hex, KEY_B.agent_hex]
        assert node.intake.signatures_good == 5


def test_verified_batch_is_told_only_after_its_fsync(tmp_path: Path) -> None:
    files = FaultyFiles()
    told: SimpleQueue[list[Outcome]] = SimpleQueue()
    with node_on(tmp_path, files=files) as node, ThreadPoolExecutor(2) as threads:
        files.hold("sync")
        leading = threads.submit(node.submit_verified, claims("first", 3), "test", told.put)
        files.wait_held()
        threads.submit(node.submit_verified, claims("second", 3), "test", told.put).result(WAIT_S)
        assert told.empty()
        assert not leading.done()
        files.release("sync")
        assert [seqs(told.get(timeout=WAIT_S)) for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]


def test_whole_verified_batch_is_told_of_a_failed_fsync_and_pays_nothing(tmp_path: Path) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files, config=PAYING) as node:
        event, *others = claims("lost", 4)
        before = node.standing(event)
        files.fail("sync")
        outcomes = verified(node, [event, *others])
        assert [type(outcome) for outcome in outcomes] == [LogFailed] * 4
        assert node.standing(event) == before
        assert [type(outcome) for outcome in verified(node, others)] == [LogFailed] * 3


@pytest.mark.parametrize("sizes", [(), (5_000, None)], ids=["no lines", "lines"])
def test_verified_batch_pays_for_the_bytes_that_brought_it(tmp_path: Path, sizes: tuple[int | None, ...]) -> None:
    event, other = claims("paid", 2)
    with node_on(tmp_path, config=PAYING) as node:
        told: Future[list[Outcome]] = Future()
        node.submit_verified([event, other], "test", told.set_result, sizes)
        assert seqs(told.result(WAIT_S)) == [0, 1]
        standing = node.standing(event)
        assert standing is not None
        assert standing.limit - standing.remaining == (11 + 11 if not sizes else 15 + 11)


@pytest.mark.parametrize("way", ["behind", "closed"])
def test_verified_batch_past_a_bound_is_refused_at_once_and_nobody_is_told(tmp_path: Path, way: str) -> None:
    options = IntakeOptions(lag_count_max=-1) if way == "behind" else IntakeOptions()
    told: list[list[Outcome]] = []
    with node_on(tmp_path, intake=options) as node:
        if way == "closed":
            node.close()
        with pytest.raises((Overloaded, NotReady)) as caught:
            node.submit_verified(claims("refused", 1), "test", told.append)
        assert caught.value.retry_after_s
    assert told == []


def test_batches_of_many_threads_keep_each_its_order_and_share_no_position(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, ThreadPoolExecutor(6) as threads:
        barrier = threading.Barrier(6)

        def write(number: int) -> list[list[int]]:
            events = claims(f"thread {number}", 120)
            barrier.wait(WAIT_S)
            if number % 2:
                return [seqs(node.submit_many(events, "test"))]
            return [seqs(verified(node, events[start : start + 10])) for start in range(0, 120, 10)]

        writing = [threads.submit(write, number) for number in range(6)]
        told = [batch for written in writing for batch in written.result(3 * WAIT_S)]
        assert all(batch == sorted(batch) for batch in told)
        assert sorted(seq for batch in told for seq in batch) == list(range(6 * 120))


# In chunks


def chunk_of(entries: list[SignedEvent | EpistemeError]) -> list[Submission | EpistemeError]:
    return [one if isinstance(one, EpistemeError) else Submission(one, "test") for one in entries]


def test_chunks_are_appended_in_their_order_whichever_is_ready_first(tmp_path: Path) -> None:
    first, second = claims("first", 3), claims("second", 3)
    second_is_done, refusal = threading.Event(), InvalidField("/event: is refused")
    forged = SignedEvent(first[0].event, first[0].digest, second[0].signatures)

    def slow() -> list[Submission | EpistemeError]:
        assert second_is_done.wait(WAIT_S)
        return chunk_of([first[0], refusal, forged, *first[1:]])

    def quick() -> list[Submission | EpistemeError]:
        second_is_done.set()
        return chunk_of([*second])

    with node_on(tmp_path, intake=IntakeOptions(threads=2)) as node:
        outcomes = node.intake.ingest_chunks([slow, quick])
        assert outcomes[1] is refusal
        assert isinstance(outcomes[2], InvalidSignature)
        assert seqs(outcomes) == [0, 1, 2, 3, 4, 5]
        assert (node.intake.signatures_good, node.intake.signatures_bad) == (6, 1)


def test_single_event_waits_for_the_chunks_that_an_ingest_has_under_way_and_for_no_more(tmp_path: Path) -> None:
    started, go_on, called = threading.Event(), threading.Event(), list[int]()

    def chunk(number: int) -> list[Submission | EpistemeError]:
        called.append(number)
        if number == 1:
            started.set()
            assert go_on.wait(WAIT_S)
        return chunk_of([*claims(f"chunk {number}", 1)])

    with node_on(tmp_path, intake=IntakeOptions(threads=1)) as node, ThreadPoolExecutor(1) as threads:
        chunks = [partial(chunk, number) for number in range(9)]
        ingesting = threads.submit(node.intake.ingest_chunks, chunks)
        assert started.wait(WAIT_S)
        told: Future[int] = Future()  # how many chunks had their turn before
        event = signed(make_assertion(subject="of somebody else"))
        node.submit_later(event, "test", lambda _: told.set_result(len(called)))
        go_on.set()
        assert told.result(WAIT_S) <= 5
        assert len(seqs(ingesting.result(WAIT_S))) == 9
        assert node.end_seq == 9


def test_large_ingest_commits_before_what_waits_for_the_disk_finds_no_room(tmp_path: Path) -> None:
    text = "x" * 8_000
    events = [signed(make_assertion(subject=f"large {number}", narrative=text)) for number in range(240)]
    with node_on(tmp_path, pending_bytes_max=1_500_000) as node, ThreadPoolExecutor(1) as threads:
        outcomes = threads.submit(node.submit_many, events, "test").result(WAIT_S)
        assert seqs(outcomes) == list(range(240))


# The threads


def test_crew_does_what_it_was_given_before_it_closed_and_nothing_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crew, done, held = Crew(2), list[int](), threading.Event()
    assert crew.give(lambda: held.wait(WAIT_S) and None)
    assert crew.give(lambda: held.wait(WAIT_S) and None)
    assert all(crew.give(lambda number=number: done.append(number)) for number in range(10))
    assert crew.give(lambda: 1 // 0 and None)
    assert crew.is_behind
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(crew.close)
        held.set()
        closing.result(WAIT_S)
    assert sorted(done) == list(range(10))
    assert not crew.give(lambda: done.append(-1))
    crew.close()
    assert -1 not in done
    assert "a job of verification failed" in caplog.text
