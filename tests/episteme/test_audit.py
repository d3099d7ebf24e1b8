"""What is recorded of answers: every one, what it rests on, and a digest that no way to the answer changes."""

from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from episteme.api import Answer
from episteme.audit import AuditOptions, answer_digest
from episteme.audit.digest import what_is_said
from episteme.audit.ledger import LOG_FOLDER, STATE_FOLDER
from episteme.audit.options import check_options
from episteme.audit.summary import CONTEXT_PREDICATES, make_audit
from episteme.errors import InvalidParameter, NotFound
from episteme.parameters import make_question
from episteme.reading.resolve import CONSTRAINT_PREDICATES
from model import SigningKey
from tests.support.audits import ON, auditing, auditor_on, recorded_ids
from tests.support.databases import write
from tests.support.events import KEY_A, KEY_B


class Small(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer of a few fields."""

    value: str
    seq: int = 7
    audit_id: str | None = None
    as_of: str | None = None
    explain: str | None = None
    added_later: list[str] | None = None


def answer_about(folder: Path, **options: object) -> Answer:
    with auditing(folder) as node:
        write(node, "Moon", KEY_A, predicate="p")
        write(node, "Moon", KEY_B, predicate="p", confidence="0.2")
        return node.query("Moon", "p", **options)  # type: ignore[arg-type]


# The digest


def test_the_digest_is_of_sorted_json_without_what_differs_between_two_askings() -> None:
    said = b'{"seq":8,"value":"\xc3\xa9"}'
    assert what_is_said(Small("é", 8, "1" * 32, "seq:1", "because")) == said
    assert answer_digest(Small("é", 8)) == blake3(said).digest()
    assert answer_digest(Small("e")) != answer_digest(Small("é"))
    assert answer_digest(Small("é", added_later=["x"])) != answer_digest(Small("é"))


def test_a_view_a_full_read_and_an_explained_answer_have_one_digest(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        write(node, "Moon", KEY_A, predicate="p")
        seq = write(node, "Moon", KEY_B, predicate="p").seq
        by_view = node.query("Moon", "p")
        others = [
            node.query("Moon", "p", full=True),
            node.query("Moon", "p", explain=True),
            node.query("Moon", "p", as_of=f"seq:{seq}"),
        ]
        assert {answer_digest(one) for one in others} == {answer_digest(by_view)}
        again = msgspec.json.decode(msgspec.json.encode(by_view), type=Answer)
        assert answer_digest(again) == answer_digest(by_view)
        write(node, "Moon", KEY_B, predicate="p", confidence="0.1")
        assert answer_digest(node.query("Moon", "p")) != answer_digest(by_view)


# What is recorded


def test_every_answer_is_recorded_with_its_question_and_what_it_rests_on(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        one = write(node, "Moon", KEY_A, predicate="p")
        other = write(node, "Moon", KEY_B, predicate="p", confidence="0.2")
        answer = node.query("Moon", "p", decay="30d", source_class=["clinical"])
        assert answer.audit_id is not None
        record = node.audit(answer.audit_id)
        assert (record.subject, record.predicate) == ("Moon", "p")
        assert record.parameters == {"decay": "30d", "source_class": "clinical"}
        assert (record.agent, record.seq, record.status) == (None, answer.seq, answer.status)
        assert answer.winner is not None
        assert record.winner == answer.winner.hash
        assert (record.confidence, record.conflict) == (answer.confidence, answer.conflict)
        assert record.digest == answer_digest(answer).hex()
        assert {c.hash: c.weight for c in record.contributions} == {one.hash: 1.0, other.hash: 1.0}


def test_who_asked_is_recorded_where_it_is_known(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        question = node.query("Moon", "p")
        auditor = node.auditor
        audit_id = auditor.record(make_question("Moon", "p"), question, KEY_B.agent, 7)
        assert audit_id is not None
        assert node.audit(audit_id).agent == KEY_B.agent_hex
        assert [line.id for line in node.audits(agent=KEY_B.agent_hex).items] == [audit_id]
        assert node.audits(agent=KEY_A.agent_hex).items == []


def test_contributions_are_bounded_and_the_first_are_those_of_the_first_values(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        for number in range(5):
            write(node, "Moon", SigningKey(bytes([number + 1]) * 32), predicate="p", confidence=f"0.{number}")
        answer = node.query("Moon", "p")
    hashes = [one for group in answer.groups for one in group.hashes]
    assert len(hashes) == 5
    for count_max in (0, 1, 3, 5, 9):
        audit = make_audit(answer, {}, None, 0, contributions_max=count_max)
        kept = [contribution.digest.hex() for contribution in audit.contributions]
        assert kept == hashes[:count_max]


def test_an_answer_about_a_context_is_recorded_under_the_predicates_that_it_reads(tmp_path: Path) -> None:
    assert CONTEXT_PREDICATES == CONSTRAINT_PREDICATES
    with auditing(tmp_path) as node:
        claim = write(node, "Lab", KEY_A, predicate="must_use")
        answer = node.query("Lab", lens="constraints")
        assert answer.audit_id is not None
        record = node.audit(answer.audit_id)
        assert record.predicate is None
        assert [one.hash for one in record.contributions] == [claim.hash]
        for predicate in CONTEXT_PREDICATES:
            assert [line.id for line in node.audits(subject="Lab", predicate=predicate).items] == [answer.audit_id]


def test_the_layers_of_an_answer_count_and_each_claim_once(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        best = write(node, "Moon", KEY_A, predicate="p", source_class="regulatory")
        other = write(node, "Moon", KEY_B, predicate="p", source_class="expert")
        answer = node.query("Moon", "p", lens="layered")
        assert answer.audit_id is not None
        assert [one.hash for one in node.audit(answer.audit_id).contributions] == [best.hash, other.hash]


def test_each_answer_of_a_comparison_is_recorded_by_itself(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        write(node, "Moon", KEY_A, predicate="p")
        found = node.compare("Moon", "p", ["recency", "votes"])
        ids = [one.audit_id for one in found.answers]
        assert None not in ids
        assert {line.id: line.parameters for line in node.audits().items} == {
            ids[0]: {"lens": "recency"},
            ids[1]: {"lens": "votes"},
        }


# Off, and not begun


def test_nothing_is_opened_before_the_first_answer_and_nothing_at_all_when_it_is_off(tmp_path: Path) -> None:
    for options in (ON, AuditOptions()):
        with auditing(tmp_path, options) as node:
            write(node, "Moon", KEY_A, predicate="p")
            assert node.audits().items == []
            with pytest.raises(NotFound):
                node.audit("0" * 32)
            assert not (tmp_path / LOG_FOLDER).exists()
            assert not (tmp_path / STATE_FOLDER).exists()
    with auditing(tmp_path, AuditOptions()) as node:
        assert node.query("Moon", "p").audit_id is None
        assert node.status().audit.enabled is False
        assert not (tmp_path / LOG_FOLDER).exists()


def test_what_was_recorded_is_read_when_nothing_more_is(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        audit_id = node.query("Moon", "p").audit_id
    with auditing(tmp_path, AuditOptions()) as node:
        assert [line.id for line in node.audits().items] == [audit_id]


# Nothing is lost


def test_nothing_is_lost_on_a_close_and_ids_go_on_after_it(tmp_path: Path) -> None:
    answer = answer_about(tmp_path / "node")
    asked = []
    for _ in range(2):
        with auditor_on(tmp_path) as auditor:
            question = make_question("Moon", "p")
            asked += [auditor.record(question, answer, None, 0) for _ in range(500)]
    assert None not in asked
    assert len(set(asked)) == 1000
    with auditor_on(tmp_path) as auditor:
        assert sorted(recorded_ids(auditor)) == sorted(one for one in asked if one is not None)


def test_a_list_shows_all_that_was_answered_before_it(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        for count in range(1, 20):
            audit_id = node.query("Moon", "p").audit_id
            assert node.audits(limit=1).items[0].id == audit_id
            assert len(node.audits().items) == count


def test_status_counts_what_became_of_audits(tmp_path: Path) -> None:
    with auditing(tmp_path) as node:
        node.query("Moon", "p")
        node.audits()
        told = node.status().audit
        assert (told.written, told.waiting, told.dropped, told.lost, told.lag) == (1, 0, 0, 0, 0)
        assert told.log_bytes
        assert told.failure is None


@pytest.mark.parametrize(
    "options",
    [
        {"queue_count_max": 0},
        {"linger_ms": -1},
        {"sync_ms": 0},
        {"sync_ms": 3_600_001},
        {"contributions_max": -1},
        {"log_bytes_max": 1000},
        {"memory_bytes": 1},
        {"retry_s": -1.0},
        {"close_wait_s": -1.0},
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"audit.{next(iter(options))} is"):
        check_options(AuditOptions()._replace(**options))  # type: ignore[arg-type]


def test_an_id_that_is_none_is_refused(tmp_path: Path) -> None:
    with auditing(tmp_path) as node, pytest.raises(InvalidParameter):
        node.audit("xyz")
