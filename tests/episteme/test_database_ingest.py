"""Many events at once, in process and over HTTP: one result each, in order."""

from collections.abc import Iterator

import pytest

from episteme.errors import InvalidSignature, Malformed, UnknownKind, WrongAudience
from model import SignedEvent, encode_envelope, event_hash
from tests.support.databases import KINDS, WAIT_S, Database, opened
from tests.support.envelopes import claim
from tests.support.events import make_assertion, signed

_OTHER = signed(make_assertion(subject="other content"))
_FORGED_EVENT = make_assertion(subject="forged")
FORGED = SignedEvent(_FORGED_EVENT, event_hash(_FORGED_EVENT), _OTHER.signatures)


@pytest.fixture(scope="module", params=KINDS)
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Each database in turn, shared by all tests here: each writes about subjects of its own."""
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as database:
        yield database


def test_ingest_gives_a_result_for_each_in_order_and_a_bad_one_spoils_only_itself(db: Database) -> None:
    fine = [signed(make_assertion(subject="ingested", timestamp=number)) for number in range(4)]
    unknown = claim("ingested").replace(b'"assertion"', b'"rumour"')
    lines: list[SignedEvent | bytes] = [
        fine[0],
        b"{",
        fine[1],
        FORGED,
        encode_envelope(fine[2]),
        unknown,
        fine[0],
        claim("x", audience="y"),
        fine[3],
    ]
    results = list(db.ingest(lines))
    assert [result.line for result in results] == list(range(1, 10))
    assert [(result.status, result.code) for result in results] == [
        ("accepted", None),
        ("refused", Malformed.code),
        ("accepted", None),
        ("refused", InvalidSignature.code),
        ("accepted", None),
        ("refused", UnknownKind.code),
        ("duplicate", None),
        ("refused", WrongAudience.code),
        ("accepted", None),
    ]
    taken = [result for result in results if result.status == "accepted"]
    assert [result.hash for result in taken] == [event.hash_hex for event in fine]
    assert [result.seq for result in taken] == list(range(taken[0].seq or 0, (taken[0].seq or 0) + 4))
    assert results[6].seq == results[0].seq
    assert all(result.detail for result in results if result.status == "refused")
    assert results[3].errors[0].pointer == "/signatures/0/signature"
    last = taken[-1].seq
    assert db.query("ingested", "causes_muscle_loss", min_seq=last, wait_s=WAIT_S).candidates_count == 4


def test_ingest_of_many_numbers_its_results_over_all_requests(db: Database) -> None:
    events = [signed(make_assertion(subject="ingested much", timestamp=number)) for number in range(2300)]
    results = list(db.ingest(iter(events)))
    assert [result.line for result in results] == list(range(1, len(events) + 1))
    assert [result.hash for result in results] == [event.hash_hex for event in events]
    assert {result.status for result in results} == {"accepted"}
    assert {result.status for result in db.ingest(events)} == {"duplicate"}


def test_lines_may_end_in_line_breaks_as_those_of_a_file_do(db: Database) -> None:
    lines = [claim("from a file", timestamp=number) + b"\n" for number in range(3)]
    results = list(db.ingest(lines))
    assert [(result.line, result.status) for result in results] == [(1, "accepted"), (2, "accepted"), (3, "accepted")]


def test_line_that_is_blank_or_broken_in_two_still_gets_one_result(db: Database) -> None:
    broken = claim("written on two lines").replace(b",", b",\n", 1)
    results = list(db.ingest([b"", claim("after a blank line"), broken, b"  "]))
    assert [(result.line, result.status) for result in results] == [
        (1, "refused"),
        (2, "accepted"),
        (3, "accepted"),
        (4, "refused"),
    ]


def test_ingest_of_nothing_gives_nothing(db: Database) -> None:
    assert list(db.ingest([])) == []
