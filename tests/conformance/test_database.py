"""The database's one API, in process and over HTTP: the same acts have the same outcomes."""

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from episteme import Answer, Client, Node, Receipt
from episteme.errors import (
    InvalidParameter,
    KeyProblem,
    NotApplied,
    NotFound,
)
from episteme.gate import envelope_line
from model import (
    AnyValue,
    BooleanValue,
    NumberValue,
    ReferenceValue,
    SigningKey,
    TextValue,
)
from tests.support.databases import KINDS, WAIT_S, Database, opened, write
from tests.support.events import HASH_1, KEY_A, KEY_B, NOW_MS, make_assertion, make_vote, signed

FAR = 10**12


@pytest.fixture(scope="module", params=KINDS)
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Each database in turn, shared by all tests here: each writes about subjects of its own."""
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as database:
        yield database


def test_write_is_accepted_under_the_hash_of_its_content_at_the_next_position(db: Database) -> None:
    event = signed(make_assertion(subject="accepted"))
    before = db.status().log.seq
    assert db.submit(event) == Receipt(event.hash_hex, before + 1, "accepted")
    assert db.status().log.seq == before + 1


def test_same_write_again_is_a_duplicate_at_its_first_position(db: Database) -> None:
    event = signed(make_assertion(subject="duplicate"))
    first = db.submit(event)
    db.submit(signed(make_assertion(subject="between")), wait_s=WAIT_S)
    assert db.submit(event) == Receipt(first.hash, first.seq, "duplicate")
    assert db.submit(event, wait_s=WAIT_S) == Receipt(first.hash, first.seq, "duplicate")


def test_write_that_waits_is_applied_and_readable_at_once(db: Database) -> None:
    receipt = write(db, "applied")
    assert receipt.status == "applied"
    assert db.get(receipt.hash).seq == receipt.seq
    assert db.query("applied", "causes_muscle_loss").seq >= receipt.seq


def test_write_with_a_wait_out_of_bounds_is_refused_and_writes_nothing(db: Database) -> None:
    before = db.status().log.seq
    for wait_s in (-1.0, 31.0):
        with pytest.raises(InvalidParameter):
            db.submit(signed(make_assertion(subject=f"waits {wait_s} s")), wait_s=wait_s)
    assert db.status().log.seq == before


def test_second_signer_of_the_same_content_joins_at_a_new_position(db: Database) -> None:
    first = write(db, "co-signed", KEY_A)
    second = write(db, "co-signed", KEY_B)
    assert (second.hash, second.status) == (first.hash, "applied")
    assert second.seq > first.seq
    stored = db.get(first.hash)
    assert {signature.agent for signature in stored.signatures} == {KEY_A.agent_hex, KEY_B.agent_hex}
    assert stored.seq == first.seq
    answer = db.query("co-signed", "causes_muscle_loss")
    assert answer.groups[0].support == 2
    assert answer.candidates_count == 1
    assert write(db, "co-signed", KEY_B) == Receipt(first.hash, first.seq, "duplicate")


def test_stored_assertion_is_as_it_was_signed(db: Database) -> None:
    event = make_assertion(subject="stored", narrative="a\nb", metadata={"page": "7"}, object=NumberValue("96.70"))
    receipt = db.submit(signed(event), wait_s=WAIT_S)
    stored = db.get(receipt.hash)
    assert stored.event == event
    assert (stored.hash, stored.seq) == (receipt.hash, receipt.seq)
    assert stored.time_ms > 0


def test_read_with_min_seq_sees_the_write(db: Database) -> None:
    for number in range(20):
        receipt = db.submit(signed(make_assertion(subject="own write", timestamp=number)))
        assert db.get(receipt.hash, min_seq=receipt.seq, wait_s=WAIT_S).seq == receipt.seq
        answer = db.query("own write", "causes_muscle_loss", min_seq=receipt.seq, wait_s=WAIT_S)
        assert answer.candidates_count == number + 1
        assert answer.seq >= receipt.seq


def test_position_far_ahead_is_not_applied_and_says_when_to_come_back(db: Database) -> None:
    started_s = time.monotonic()
    for read in (
        lambda: db.query("s", "p", min_seq=FAR, wait_s=0.01),
        lambda: db.get(HASH_1, min_seq=FAR, wait_s=0),
    ):
        with pytest.raises(NotApplied) as caught:
            read()
        assert caught.value.retry_after_s
    assert time.monotonic() - started_s < WAIT_S


def test_unknown_hash_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        db.get(HASH_1)
    with pytest.raises(NotFound):
        db.vote(HASH_1, 1)


def test_pair_without_claims_has_no_winner(db: Database) -> None:
    answer = db.query("never claimed", "p")
    assert (answer.winner, answer.value, answer.status, answer.groups) == (None, None, "none", [])


@pytest.mark.parametrize(
    ("value", "expected", "read"),
    [
        ("text", TextValue("text"), "text"),
        ("", TextValue(""), ""),
        (True, BooleanValue(True), True),
        (False, BooleanValue(False), False),
        (7, NumberValue("7"), Decimal(7)),
        (-0.1, NumberValue("-0.1"), Decimal("-0.1")),
        (1e300, NumberValue("1e+300"), Decimal("1e300")),
        (Decimal("96.70"), NumberValue("96.70"), Decimal("96.70")),
        (ReferenceValue("Tesla"), ReferenceValue("Tesla"), "Tesla"),
    ],
    ids=repr,
)
def test_python_value_becomes_an_object_of_its_type_and_comes_back(
    db: Database, value: object, expected: AnyValue, read: object
) -> None:
    subject = f"value {value!r}"
    receipt = db.assert_(subject, "is", value, wait_s=WAIT_S)  # type: ignore[arg-type]
    assert db.get(receipt.hash).event.object == expected
    found = db.query(subject, "is").value
    assert (found, type(found)) == (read, type(read))


def test_claim_carries_all_that_was_said_with_it(db: Database) -> None:
    parent = db.assert_("told in full", "p", "v", timestamp=1)
    receipt = db.assert_(
        "told in full",
        "p",
        "v",
        confidence=0.85,
        source_class="clinical",
        lifecycle="under_review",
        timestamp=NOW_MS,
        parent_hash=parent.hash,
        source_hash=HASH_1,
        narrative="why",
        metadata={"page": "7"},
        wait_s=WAIT_S,
    )
    assert db.get(receipt.hash).event == make_assertion(
        subject="told in full",
        predicate="p",
        object=TextValue("v"),
        lifecycle="under_review",
        parent_hash=parent.hash,
        source_hash=HASH_1,
        narrative="why",
        metadata={"page": "7"},
    )


def test_votes_decide_under_the_votes_lens(db: Database) -> None:
    one = db.assert_("voted", "is", "one", wait_s=WAIT_S)
    two = write(db, "voted", KEY_B, predicate="is", object=TextValue("two"), source_class="anecdotal", timestamp=0)
    db.vote(two.hash, 0.5, wait_s=WAIT_S)
    answer = db.query("voted", "is", lens="votes")
    assert (answer.value, answer.lens.name) == ("two", "votes")
    db.vote(one.hash, "1", reason="replicated", wait_s=WAIT_S)
    answer = db.query("voted", "is", lens="votes")
    assert (answer.value, answer.confidence) == ("one", 0.666667)
    db.vote(one.hash, 0, timestamp=NOW_MS * 2, wait_s=WAIT_S)
    assert db.query("voted", "is", lens="votes").value == "two"


@pytest.mark.parametrize("question", [{}, {"limit": 1}, {"source_class": ["clinical"]}, {"lifecycle": ["deprecated"]}])
def test_view_s_answer_is_that_of_the_full_read(db: Database, question: dict[str, Any]) -> None:
    subject = "viewed"
    for number in range(6):
        last = write(
            db,
            subject,
            (KEY_A, KEY_B)[number % 2],
            object=TextValue(f"value {number % 3}"),
            lifecycle=("approved", "approved", "deprecated")[number % 3],
            timestamp=number,
        )
    view = db.query(subject, "causes_muscle_loss", min_seq=last.seq, **question)
    assert view == db.query(subject, "causes_muscle_loss", full=True, **question)
    assert view.candidates_count


def test_event_for_this_database_is_taken(db: Database) -> None:
    receipt = write(db, "addressed", audience=db.status().database)
    assert db.get(receipt.hash).event.audience == db.status().database


def test_database_without_a_key_reads_but_does_not_sign(db: Database, tmp_path: Path) -> None:
    with Node.open(tmp_path) if isinstance(db, Node) else Client(db.url) as keyless:
        assert keyless.query("s", "p").winner is None
        with pytest.raises(KeyProblem):
            keyless.assert_("s", "p", "v")


def test_same_history_gives_the_same_answers_in_process_and_over_http(tmp_path: Path) -> None:
    events = [
        signed(
            make_assertion(
                subject=f"subject {number % 2}",
                object=(TextValue("a"), NumberValue("1.0"), NumberValue("1"), BooleanValue(False))[number % 4],
                source_class=("clinical", "expert", "anecdotal")[number % 3],
                confidence=f"0.{number + 1:02d}",
                timestamp=NOW_MS + number * 977 % 60_000,
            ),
            *((KEY_A,), (KEY_B,), (KEY_A, KEY_B))[number % 3],
        )
        for number in range(24)
    ]
    votes = [
        signed(
            make_vote(assertion=event.hash_hex, subject=f"subject {number % 2}", weight=("0.5", "-1", "1")[number % 3])
        )
        for number, event in enumerate(events[:9])
    ]
    questions: list[dict[str, Any]] = [
        {"lens": lens, "full": full, "limit": limit}
        for lens in ("consensus", "recency", "confidence", "votes")
        for full in (False, True)
        for limit in (None, 1)
    ]
    questions += [{"source_class": ["expert"]}, {"lifecycle": ["rejected", "approved"]}]

    def answers(db: Database) -> list[Answer]:
        results = list(db.ingest([*events, *votes]))
        assert {result.status for result in results} == {"accepted"}
        return [
            db.query(subject, "causes_muscle_loss", min_seq=results[-1].seq, wait_s=WAIT_S, **question)
            for subject in ("subject 0", "subject 1", "subject 2")
            for question in questions
        ]

    with opened("node", tmp_path / "node") as node:
        in_process = answers(node)
    with opened("client", tmp_path / "served") as client:
        over_http = answers(client)
    assert over_http == in_process
    assert msgspec.json.encode(over_http) == msgspec.json.encode(in_process)


def test_own_claim_can_be_voted_on_at_once(db: Database) -> None:
    for number in range(20):
        claim = db.assert_("voted on at once", "is", number)
        receipt = db.vote(claim.hash, 1)
    assert db.query("voted on at once", "is", min_seq=receipt.seq).groups[0].votes == 1.0


def test_ingest_takes_lines_as_text_too(db: Database) -> None:
    line = envelope_line(signed(make_assertion(subject="as text")))
    results = list(db.ingest([line.decode(), line, "no json", "\ud800", f"{line.decode()}\n"]))
    assert [result.status for result in results] == ["accepted", "duplicate", "refused", "refused", "duplicate"]


def test_ingest_keeps_the_order_of_what_it_is_given(db: Database) -> None:
    lines = [signed(make_assertion(subject="in order", timestamp=number)) for number in range(2500)]
    positions = [result.seq for result in db.ingest(lines)]
    assert positions == sorted(positions)
    assert len(set(positions)) == len(lines)


def test_answer_shows_as_many_signatures_as_an_envelope_holds_and_get_shows_all(db: Database) -> None:
    event = make_assertion(subject="signed by many")
    for number in range(20):
        receipt = db.submit(signed(event, SigningKey(bytes([200 + number]) * 32)))
    answer = db.query("signed by many", "causes_muscle_loss", min_seq=receipt.seq)
    assert answer.groups[0].support == 20
    assert answer.winner is not None
    assert len(answer.winner.assertion.signatures) == 16
    assert len(db.get(receipt.hash).signatures) == 20
