"""Audits read back: lists by who, what and when, page by page, and questions asked again."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from episteme.audit import Filters, get_audit, list_audits, replay
from episteme.audit.event import encode_answered
from episteme.errors import EpistemeError, InvalidParameter, NotFound, NotReady, UnknownLens
from episteme.listings import Paging
from episteme.lookups import Lookups
from episteme.node import Node
from model import DatabaseRules
from stores import QueryAudit
from tests.support.audits import auditing, ledger_on, made_up_id, settled_ids
from tests.support.databases import WAIT_S, write
from tests.support.events import KEY_A, KEY_B
from tests.support.meaning import OPERATORS, PREDICATES, SUBJECTS, history
from tests.support.values import AUDIT, changed

LENSES = (None, "recency", "consensus", "votes", "trust", "authority", "skeptic", "layered")
ASKED = [
    # when, who, subject, predicates
    (
        number // 2,
        (None, KEY_A.agent, KEY_B.agent)[number % 3],
        ("Moon", "Mars")[number % 2],
        (("p",), ("q",))[number % 5 > 2],
    )
    for number in range(30)
]


def audit_of(agent: bytes | None, subject: str, predicates: tuple[str, ...]) -> QueryAudit:
    found: QueryAudit = changed(AUDIT.audit, agent=agent, subject=subject, predicates=predicates)
    return found


def asked_id(number: int) -> str:
    return f"{ASKED[number][0]:012x}{number:020x}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("audits")
    with ledger_on(folder) as ledger:
        ledger.append([encode_answered(asked_id(n), audit_of(*one[1:])) for n, one in enumerate(ASKED)])
        settled_ids(ledger)
    with auditing(folder) as opened:
        yield opened


def all_pages(db: Lookups, limit: int, **filters: Any) -> list[str]:
    cursor, found = None, list[str]()
    while True:
        page = db.audits(limit=limit, cursor=cursor, **filters)
        found += [line.id for line in page.items]
        cursor = page.next
        if cursor is None:
            return found


FILTERS: list[dict[str, Any]] = [
    {},
    {"agent": KEY_A.agent_hex},
    {"agent": "1" * 64},
    {"subject": "Moon", "predicate": "p"},
    {"subject": "Moon"},
    {"predicate": "q"},
    {"agent": KEY_B.agent_hex, "subject": "Mars", "predicate": "q"},
    {"from_time": 4},
    {"to_time": 11},
    {"from_time": 4, "to_time": "1970-01-01T00:00:00.011Z"},
    {"from_time": 4, "to_time": 11, "agent": KEY_A.agent_hex},
    {"from_time": 3, "to_time": 9, "subject": "Moon", "predicate": "p"},
    {"from_time": 9, "to_time": 9},
    {"from_time": "1969-01-01T00:00:00Z", "to_time": 2**49},
    {"to_time": "1969-01-01T00:00:00Z"},
    {"from_time": 2**49},
]


BOUNDS = (("from_time", 0), ("to_time", 99))
MS = {"1970-01-01T00:00:00.011Z": 11, "1969-01-01T00:00:00Z": -31_536_000_000}


def expected(
    agent: str | None = None, subject: str | None = None, predicate: str | None = None, **span: Any
) -> list[str]:
    from_ms, to_ms = (MS.get(span.get(name, default), span.get(name, default)) for name, default in BOUNDS)
    return [
        asked_id(number)
        for number, (ms, who, about, predicates) in enumerate(ASKED)
        if (agent is None or (who is not None and who.hex() == agent))
        and subject in (None, about)
        and (predicate is None or predicate in predicates)
        and from_ms <= ms < to_ms
    ]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_every_filter_gives_what_it_admits_in_both_orders_whatever_the_pages(
    node: Node, filters: dict[str, Any], limit: int
) -> None:
    assert all_pages(node, limit, order="oldest", **filters) == expected(**filters)
    assert all_pages(node, limit, **filters) == expected(**filters)[::-1]


def test_a_line_says_who_asked_what_and_what_it_was_answered(node: Node) -> None:
    [line] = node.audits(limit=1, order="oldest", agent=KEY_A.agent_hex).items
    assert (line.id, line.time_ms, line.agent) == (asked_id(1), 0, KEY_A.agent_hex)
    assert (line.subject, line.predicate, line.parameters) == ("Mars", "p", dict(AUDIT.audit.parameters))
    record = node.audit(line.id)
    assert {name: getattr(record, name) for name in line.__struct_fields__} == msgspec.structs.asdict(line)
    assert len(record.contributions) == 3


def test_a_page_looks_at_a_bounded_number_and_goes_on_where_it_ended(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("episteme.audit.listing._LOOKED_AT_MAX", 4)
    with node.auditor.reader() as reader:
        page = list_audits(reader, Paging(limit=2), Filters(agent=None, subject="Pluto"), "newest")
    assert page.items == []
    assert page.next is not None
    found = all_pages(node, 2, subject="Mars", predicate="q")
    assert found == expected(subject="Mars", predicate="q")[::-1]


@pytest.mark.parametrize(
    "bad",
    [
        {"agent": "x"},
        {"subject": ""},
        {"predicate": "p" * 200},
        {"from_time": "yesterday"},
        {"to_time": "2026-11-22"},
        {"order": "sideways"},
        {"limit": 0},
        {"limit": 1001},
        {"cursor": "abc"},
    ],
)
def test_a_bad_filter_is_refused(node: Node, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        node.audits(**bad)


def test_a_cursor_of_another_question_is_refused(node: Node) -> None:
    cursor = node.audits(limit=1).next
    assert cursor is not None
    with pytest.raises(InvalidParameter, match="cursor"):
        node.audits(subject="Moon", cursor=cursor)
    with pytest.raises(InvalidParameter, match="cursor"):
        node.audits(order="oldest", cursor=cursor)


def test_an_audit_that_is_not_there_is_told(node: Node) -> None:
    for read in (node.audit, node.replay):
        with pytest.raises(NotFound):
            read(made_up_id(77))


# Replay


def test_a_replay_is_the_same_after_later_claims_have_changed_the_newest_answer(tmp_path: Path) -> None:
    questions: list[dict[str, Any]] = [
        {},
        {"full": True},
        {"lens": "recency"},
        {"lens": "layered", "limit": 1},
        {"lens": "confidence", "decay": "1000d"},
        {"source_class": ["clinical"], "explain": True},
        {"as_of": "seq:0"},
        {"as_of": "1ms"},
    ]
    with auditing(tmp_path) as node:
        write(node, "Moon", KEY_A, predicate="p")
        write(node, "Moon", KEY_A, predicate="p", confidence="0.3")
        asked = [node.query("Moon", "p", **question) for question in questions]
        for confidence in ("0.9", "0.8"):
            for question, answer in zip(questions, asked, strict=True):
                assert answer.audit_id is not None
                replayed = node.replay(answer.audit_id)
                assert replayed.same, (question, replayed.detail)
                assert (replayed.detail, replayed.digest_now) == (None, replayed.digest_then)
                assert replayed.answer is not None
                assert replayed.answer.winner == answer.winner
            write(node, "Moon", KEY_B, predicate="p", confidence=confidence, source_class="regulatory")
        assert node.query("Moon", "p").seq == 3
    with auditing(tmp_path) as node:
        for answer in asked:
            assert answer.audit_id is not None
            assert node.replay(answer.audit_id).same


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_every_answer_in_a_random_history_is_the_same_when_all_has_happened(tmp_path: Path, seed: int) -> None:
    random, asked = Random(seed), list[str]()
    with auditing(tmp_path, operators=tuple(one.agent_hex for one in OPERATORS)) as node:
        for step in history(seed, 120):
            if not isinstance(step, DatabaseRules):
                with suppress(EpistemeError):  # what a revoked key signs, and what is known
                    node.submit(step, wait_s=WAIT_S)
            lens, decay = random.choice(LENSES), random.choice([None, "1d"])
            audit_id = node.query(random.choice(SUBJECTS), random.choice(PREDICATES), lens=lens, decay=decay).audit_id
            assert audit_id is not None
            asked.append(audit_id)
        differing = [(one, replayed.detail) for one in asked if not (replayed := node.replay(one)).same]
    assert differing == []


def test_an_answer_of_an_empty_log_is_the_same_later(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        audit_id = node.query("Moon", "p").audit_id
        assert audit_id is not None
        write(node, "Moon", KEY_A, predicate="p")
        assert node.replay(audit_id).same


def recorded(node: Node, **changes: Any) -> str:
    """An audit of a real answer, put into the log with some fields changed."""
    answer = node.query("Moon", "p")
    assert answer.audit_id is not None
    with node.auditor.reader() as reader:
        audit = get_audit(reader, answer.audit_id)
    ledger = node.auditor._recorder.ledger
    assert ledger is not None
    ledger.append([encode_answered(made_up_id(1), changed(audit, **changes))])
    return made_up_id(1)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"answer_digest": bytes(32)}, "no copy"),
        ({"lens_version": 99, "answer_digest": bytes(32)}, "lens was consensus/99, now consensus/"),
        ({"confidence": 0.125, "answer_digest": bytes(32)}, "confidence was 0.125"),
        ({"winner": None, "answer_digest": bytes(32)}, "winner was none"),
        ({"parameters": (("lens", "majority"),)}, "refused"),
        ({"parameters": (("decay", "sometimes"),)}, "refused"),
        ({"parameters": (("pack", "1" * 64),)}, "refused"),
        ({"position": 99}, "position 99"),
    ],
)
def test_what_cannot_be_the_same_is_told_with_its_reason(tmp_path: Path, changes: dict[str, Any], detail: str) -> None:
    with auditing(tmp_path) as node:
        write(node, "Moon", KEY_A, predicate="p")
        replayed = node.replay(recorded(node, **changes))
        assert replayed.same is False
        assert replayed.detail is not None
        assert detail in replayed.detail
        assert (replayed.answer is None) is (replayed.digest_now is None)


def test_what_says_nothing_about_the_question_is_raised() -> None:
    def ask(*_: Any) -> Any:
        raise NotReady("closing")

    with pytest.raises(NotReady):
        replay(made_up_id(1), AUDIT.audit, 2**40, ask)

    def refuse(*_: Any) -> Any:
        raise UnknownLens("no lens trust")

    assert replay(made_up_id(1), AUDIT.audit, 2**40, refuse).detail == "the question is refused: no lens trust"
    assert issubclass(UnknownLens, EpistemeError)
