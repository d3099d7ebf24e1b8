"""What a list can be asked, in process and over HTTP: limits, cursors, filters, positions, and how long to wait."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from episteme.catalog import LISTINGS
from episteme.errors import EpistemeError, InvalidParameter, NotApplied
from model import BooleanValue
from tests.support.databases import WAIT_S, Database, opened, write
from tests.support.events import HASH_1, make_assertion, signed
from tests.support.paged import FAR, key_of

READS: list[Callable[..., Any]] = [
    lambda db, **asked: db.ballot(HASH_1, **asked),
    lambda db, **asked: db.assertions(**asked),
    lambda db, **asked: db.subjects(**asked),
    lambda db, **asked: db.subject("s", **asked),
    lambda db, **asked: db.agents(**asked),
    lambda db, **asked: db.agent(HASH_1, **asked),
    lambda db, **asked: db.epochs(**asked),
    lambda db, **asked: db.sources(**asked),
    lambda db, **asked: db.impact(HASH_1, **asked),
    lambda db, **asked: db.packs(**asked),
    lambda db, **asked: db.gold_standards(**asked),
    lambda db, **asked: db.escalations(**asked),
    lambda db, **asked: db.predicates(**asked),
    lambda db, **asked: db.aliases(**asked),
    lambda db, **asked: db.folds(**asked),
    lambda db, **asked: db.lenses(**asked),
]


def test_every_list_of_the_catalogue_is_among_those_tried_here() -> None:
    paged = [one.path for one in LISTINGS if "cursor" in one.parameters and not one.path.startswith("/v1/audit/")]
    assert len(READS) == len(paged)


@pytest.mark.parametrize("read", READS)
def test_list_refuses_a_bad_limit_a_foreign_cursor_and_a_position_far_ahead(
    db: Database, read: Callable[..., Any]
) -> None:
    write(db, "cursors")
    foreign = db.assertions(subject="cursors", limit=1).next or db.lenses(limit=1).next
    for asked in (
        {"limit": 0},
        {"limit": 1001},
        {"cursor": "x"},
        {"cursor": ""},
        {"cursor": "é"},
        {"cursor": "A" * 2000},
    ):
        with pytest.raises(InvalidParameter) as caught:
            read(db, **asked)
        assert caught.value.errors[0].pointer == next(iter(asked))
    if read is not READS[-1]:
        with pytest.raises(InvalidParameter):
            read(db, cursor=foreign)
    with pytest.raises(NotApplied):
        read(db, min_seq=FAR, wait_s=0)


@pytest.mark.parametrize(
    ("read", "pointer"),
    [
        (lambda db: db.ballot("abc"), "hash"),
        (lambda db: db.lineage(HASH_1, depth=0), "depth"),
        (lambda db: db.lineage(HASH_1, depth=101), "depth"),
        (lambda db: db.assertions(subject=""), "subject"),
        (lambda db: db.assertions(subject="a\n"), "subject"),
        (lambda db: db.assertions(predicate="x" * 129), "predicate"),
        (lambda db: db.assertions(agent=HASH_1[1:]), "agent"),
        (lambda db: db.assertions(source_class=["rumour"]), "source_class"),
        (lambda db: db.assertions(lifecycle=["done"]), "lifecycle"),
        (lambda db: db.assertions(epoch=HASH_1.upper().replace("1", "A")), "epoch"),
        (lambda db: db.assertions(since_seq=-1), "since_seq"),
        (lambda db: db.subjects("a\n"), "prefix"),
        (lambda db: db.subjects("x" * 257), "prefix"),
        (lambda db: db.subject("x" * 257), "subject"),
        (lambda db: db.agent("nobody"), "agent"),
        (lambda db: db.get_epoch("none"), "epoch"),
        (lambda db: db.get_source("none"), "source"),
        (lambda db: db.impact("none"), "source"),
        (lambda db: db.get_pack("none"), "pack"),
        (lambda db: db.gold_standards(predicate="p"), "predicate"),
        (lambda db: db.escalations(status=["closed"]), "status"),
        (lambda db: db.escalations(level=["loud"]), "level"),
        (lambda db: db.escalations(order="sideways"), "order"),
        (lambda db: db.escalations(after=-2), "after"),
        (lambda db: db.escalations(after=1, order="newest"), "after"),
        (lambda db: db.get_escalation(HASH_1), "id"),
        (lambda db: db.lenses(min_seq=-1), "min_seq"),
        (lambda db: db.lenses(wait_s=31), "wait"),
    ],
)
def test_bad_parameter_is_refused_with_its_name(db: Database, read: Callable[[Database], object], pointer: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        read(db)
    assert [problem.pointer for problem in caught.value.errors] == [pointer]


def test_cursor_of_another_question_is_refused(db: Database) -> None:
    for number in range(3):
        write(db, "two questions", timestamp=number, source_class=("clinical", "expert")[number % 2])
    page = db.assertions(subject="two questions", limit=1)
    assert page.next is not None
    assert len(db.assertions(subject="two questions", limit=5, cursor=page.next).items) == 2
    with pytest.raises(InvalidParameter):
        db.assertions(subject="two questions", source_class=["expert"], cursor=page.next)


def test_list_with_min_seq_sees_the_write(db: Database) -> None:
    for number in range(10):
        receipt = db.submit(signed(make_assertion(subject="list sees it", timestamp=number)))
        page = db.assertions(subject="list sees it", min_seq=receipt.seq, wait_s=WAIT_S)
        assert len(page.items) == number + 1
        assert page.seq >= receipt.seq


def test_wait_for_escalations_ends_when_there_is_one_and_when_the_time_is_over(db: Database) -> None:
    behind = db.status().fold.applied_seq
    assert db.escalations(after=behind, wait_s=0.05).items == []

    def raise_one() -> None:
        for number, value in enumerate((True, False)):
            write(
                db,
                "raised while one waits",
                key_of(110 + number),
                object=BooleanValue(value),
                source_class="regulatory",
            )

    thread = Thread(target=raise_one)
    thread.start()
    try:
        page = db.escalations(after=behind, wait_s=WAIT_S, subject="raised while one waits")
        assert [one.subject for one in page.items] == ["raised while one waits"]
    finally:
        thread.join()


def test_what_is_wrong_is_told_the_same_in_process_and_over_http(tmp_path: Any) -> None:
    def told(db: Database) -> list[tuple[str, str]]:
        write(db, "first")
        found = []
        for read in (
            lambda: db.assertions(limit=0),
            lambda: db.assertions(cursor="nonsense"),
            lambda: db.assertions(lifecycle=["done"]),
            lambda: db.get_epoch(HASH_1),
            lambda: db.escalations(after=1, order="newest"),
            lambda: db.epoch("of nothing", 0, supersedes=HASH_1),
        ):
            with pytest.raises(EpistemeError) as caught:
                read()
            found.append((caught.value.code, caught.value.detail))
        return found

    with opened("node", tmp_path / "node") as node:
        in_process = told(node)
    with opened("client", tmp_path / "served") as client:
        assert told(client) == in_process
