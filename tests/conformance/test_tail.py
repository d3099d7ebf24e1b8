"""The log as each database tells it: in order, once, filtered alike, and going on with what is written next."""

from collections.abc import Iterator
from itertools import islice

import pytest

from episteme.errors import AsOfBeyond, InvalidParameter
from episteme.loglines import LogLine, frame_of
from model import SigningKey, did_of
from tests.support.databases import KINDS, WAIT_S, Database, opened, write
from tests.support.events import KEY_A, KEY_B, make_assertion, make_vote, signed

SUBJECTS = ("Semaglutide", "Sema", "Tesla", "Zürich")


@pytest.fixture(scope="module", params=KINDS)
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Each database in turn, with some events in it; tests only add to them."""
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as database:
        events = [
            signed(make_assertion(subject=SUBJECTS[number % 4], timestamp=number), (KEY_A, KEY_B)[number % 2])
            for number in range(1500)
        ]
        votes = [signed(make_vote(assertion=event.hash_hex, subject="Semaglutide")) for event in events[:4:4]]
        assert {result.status for result in database.ingest([*events, *votes])} == {"accepted"}
        yield database


def read(db: Database, after: int = -1, **wanted: str) -> list[LogLine]:
    return list(db.tail(after, follow=False, **wanted))  # type: ignore[arg-type]


def test_log_is_told_from_its_beginning_to_its_end_without_gap_or_repeat(db: Database) -> None:
    end = db.status().log.seq
    lines = read(db)
    assert [line.seq for line in lines] == list(range(end + 1))
    assert (lines[0].kind, lines[1].kind) == ("rules", "assertion")
    for line in lines[:20]:
        assert frame_of(line).seq == line.seq
    assert [line.seq for line in read(db, end - 3)] == [end - 2, end - 1, end]
    assert read(db, end) == []


def test_event_of_the_log_is_as_it_was_signed(db: Database) -> None:
    event = signed(make_assertion(subject="as signed", narrative="a\nb", metadata={"page": "7"}), KEY_A, KEY_B)
    receipt = db.submit(event)
    (line,) = read(db, receipt.seq - 1, subject="as signed")
    assert line.signed == event
    assert (line.hash, line.seq) == (receipt.hash, receipt.seq)


def test_filters_leave_out_the_rest(db: Database) -> None:
    lines = read(db)
    for wanted, takes in (
        ({"kind": "vote"}, lambda line: line.kind == "vote"),
        ({"kind": "rules"}, lambda line: line.kind == "rules"),
        ({"subject": "Sema"}, lambda line: line.subject == "Sema"),
        ({"subject": "Sema*"}, lambda line: (line.subject or "").startswith("Sema")),
        ({"predicate": "causes_muscle_loss"}, lambda line: line.predicate == "causes_muscle_loss"),
        ({"agent": KEY_B.agent_hex}, lambda line: KEY_B.agent_hex in line.agents),
        ({"agent": did_of(KEY_B.agent), "subject": "Zürich"}, lambda line: line.subject == "Zürich"),
    ):
        assert [line.seq for line in read(db, **wanted)] == [line.seq for line in lines if takes(line)], wanted
    assert read(db, agent=SigningKey(b"x" * 32).agent_hex) == []


def test_tail_goes_on_with_what_is_written_next(db: Database) -> None:
    end = db.status().log.seq
    lines = db.tail(end - 1)
    assert next(lines).seq == end
    for number in range(3):
        receipt = write(db, "next", timestamp=number)
        assert next(lines).seq == receipt.seq
    filtered = db.tail(end, subject="next", kind="assertion")
    assert [line.event.timestamp for line in islice(filtered, 3) if line.event] == [0, 1, 2]
    for tail in (lines, filtered):
        tail.close()  # type: ignore[attr-defined]


def test_what_cannot_be_asked_is_refused(db: Database) -> None:
    for after, wanted in ((-2, {}), (-1, {"kind": "claim"}), (-1, {"agent": "x"}), (-1, {"subject": ""})):
        with pytest.raises(InvalidParameter):
            read(db, after, **wanted)
    with pytest.raises(AsOfBeyond):
        read(db, 10**9)
    with pytest.raises(AsOfBeyond):
        next(iter(db.tail(10**9)))


def test_position_is_waited_for(db: Database) -> None:
    receipt = db.submit(signed(make_assertion(subject="waited for")))
    assert db.wait_applied(receipt.seq, WAIT_S)
    assert db.get(receipt.hash).seq == receipt.seq
    assert not db.wait_applied(10**9, 0.01)
    with pytest.raises(InvalidParameter):
        db.wait_applied(receipt.seq, 31)
