"""A worker's reads over its owner's state: the owner's answers, byte for byte, at positions that are readable."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from episteme.api import Answer
from episteme.audit.digest import what_is_said
from episteme.audit.event import FRAME_KIND_ANSWERED, decode_audit_frame
from episteme.audit.options import AuditOptions
from episteme.config import NodeConfig
from episteme.errors import NotFound, UnknownLens
from episteme.reading import AsOf
from episteme.server.workers.reading import FrontReads, PassOn
from tests.support.database_owner import CONFIG, question_of
from tests.support.events import KEY_A, NOW_MS
from tests.support.histories import PREDICATES, SUBJECTS
from tests.support.owners import Owner
from wal import Frame

QUESTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"full": True},
    {"lens": "consensus"},
    {"lens": "layered"},
    {"lens": "skeptic", "explain": True},
    {"include": ["superseded", "revoked"], "limit": 3},
    {"source_class": ["anecdotal"]},
    {"decay": "30d", "lens": "trust"},
)


@pytest.fixture(name="process", scope="module")
def _process() -> Iterator[Owner]:
    with Owner("database_owner") as process:
        yield process


@pytest.fixture(name="owner")
def _owner(process: Owner, tmp_path: Path) -> Iterator[Owner]:
    process.tell("open", str(tmp_path / "data"))
    yield process
    process.tell("close")


Opened = Callable[..., FrontReads]


@pytest.fixture(name="opened")
def _opened(owner: Owner, tmp_path: Path) -> Iterator[Opened]:
    """Opens the reads of a worker of the owner."""
    all_reads: list[FrontReads] = []

    def open_reads(
        *,
        config: NodeConfig = CONFIG,
        applied_end: Callable[[], int] = lambda: 0,
        outdated: Callable[[], bool] = lambda: False,
        send_audit: Callable[[bytes], bool] = lambda _: True,
    ) -> FrontReads:
        reads = FrontReads.open(
            *(tmp_path / "data", "0", config),
            applied_end=applied_end,
            outdated=outdated,
            send_audit=send_audit,
            clock_ms=lambda: NOW_MS,
            random_bytes=os.urandom,
        )
        all_reads.append(reads)
        return reads

    yield open_reads
    for reads in all_reads:
        reads.close()


def said(reads: FrontReads, question: dict[str, Any]) -> str:
    asked = question_of(question)
    return what_is_said(reads.ask_soon(asked) or reads.ask(asked)).decode()


def pairs() -> Iterator[dict[str, Any]]:
    for subject in (*SUBJECTS, "other", "unknown"):
        for predicate in PREDICATES:
            yield {"subject": subject, "predicate": predicate}


def check_all(owner: Owner, reads: FrontReads) -> None:
    for pair in pairs():
        for question in QUESTIONS:
            assert said(reads, pair | question) == owner.tell("ask", **pair, **question), pair | question
        reads.ask(question_of(pair | {"full": True}))  # from here on no view has to wait for anything
        view = reads.ask_soon(question_of(pair))
        assert (None if view is None else what_is_said(view).decode()) == owner.tell("ask_soon", **pair), pair


def test_answers_are_the_owners_over_random_histories_and_after_a_rebuild(owner: Owner, opened: Opened) -> None:
    end = owner.tell("write", 1, 100)
    reads = opened(applied_end=lambda: end)
    check_all(owner, reads)
    for seed in (2, 3):
        end = owner.tell("write", seed, 60)
        check_all(owner, reads)
    assert owner.tell("rebuild") == end
    reads.look()
    end = owner.tell("write", 4, 20)
    check_all(owner, reads)


def test_answers_while_the_owner_writes_are_what_it_answers_as_of_their_positions(owner: Owner, opened: Opened) -> None:
    owner.tell("write", 5, 20)
    reads = opened()
    owner.tell("begin", 6, 120)
    found: list[tuple[dict[str, Any], Answer]] = []
    while not found or found[-1][1].seq < 100:
        for pair in pairs():
            for question in (pair, pair | {"full": True}):
                asked = question_of(question)
                answer = reads.ask_soon(asked) or reads.ask(asked)
                found.append((question, answer))
    owner.tell("end")
    positions = [answer.seq for _, answer in found]
    assert positions == sorted(positions)
    for question, answer in found[:: max(1, len(found) // 300)]:
        then = owner.tell("ask_then", answer.seq, **question)
        assert what_is_said(answer).decode() == then, (question, answer.seq)


def test_what_the_owner_has_said_is_readable_is_read_or_passed_on(owner: Owner, opened: Opened) -> None:
    end = owner.tell("write", 7, 20)
    reads = opened(applied_end=lambda: end)
    asked = question_of({"subject": "Tesla", "predicate": "revenue", "full": True})
    assert reads.ask(asked).seq == end - 1
    end += 1
    with pytest.raises(PassOn):
        reads.ask(asked)
    assert reads.ask_soon(question_of({"subject": "Tesla", "predicate": "revenue"})) is None


def test_what_needs_the_log_and_a_state_of_other_folds_are_passed_on(owner: Owner, opened: Opened) -> None:
    owner.tell("write", 8, 20)
    outdated = False
    reads = opened(outdated=lambda: outdated)
    pair = {"subject": "Tesla", "predicate": "revenue"}
    past = msgspec.structs.replace(question_of(pair), as_of=AsOf(seq=3))
    assert reads.ask_soon(past) is None
    with pytest.raises(PassOn):
        reads.ask(past)
    outdated = True
    assert reads.ask_soon(question_of(pair)) is None
    with pytest.raises(PassOn):
        reads.ask(question_of(pair))


def test_a_pair_of_many_claims_is_passed_on(owner: Owner, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.tell("write", 9, 80)
    reads = opened()
    monkeypatch.setattr("episteme.server.workers.reading.PASSED_CANDIDATES_MIN", 1)
    asked = [question_of(pair | {"full": True}) for pair in pairs()]
    with pytest.raises(PassOn):
        list(map(reads.ask, asked))


def test_refusals_are_the_nodes(owner: Owner, opened: Opened) -> None:
    owner.tell("write", 10, 5)
    reads = opened()
    with pytest.raises(UnknownLens):
        reads.ask(question_of({"subject": "Tesla", "predicate": "revenue", "lens": "unheard"}))
    with pytest.raises(NotFound):
        reads.ask(question_of({"subject": "Tesla", "predicate": "revenue", "pack": "00" * 32}))


def test_an_audit_is_sent_with_the_answers_id_and_one_that_is_not_taken_is_counted(
    owner: Owner, opened: Opened
) -> None:
    owner.tell("write", 11, 30)
    sent: list[bytes] = []
    has_room = True

    def send(payload: bytes) -> bool:
        if has_room:
            sent.append(payload)
        return has_room

    reads = opened(config=NodeConfig(store=CONFIG.store, audit=AuditOptions(enabled=True)), send_audit=send)
    pair = {"subject": "Tesla", "predicate": "revenue"}
    answers = [reads.ask(question_of(pair)), reads.ask(question_of(pair | {"full": True}), agent=KEY_A.agent)]
    assert [answer.audit_id for answer in answers] == list(map(_id_of, sent))
    assert reads.sending.take_counts() == (0, 0)
    has_room = False
    assert reads.ask(question_of(pair)).audit_id is None
    assert reads.sending.take_counts() == (1, 0)
    assert reads.sending.take_counts() == (0, 0)


def _id_of(payload: bytes) -> str:
    event = decode_audit_frame(Frame(0, 0, FRAME_KIND_ANSWERED, 0, payload))
    return event.query_id  # type: ignore[union-attr]
