"""What a server answers becomes what its code says, with all that it told."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.client.wire import Response, is_good, reads, refusal_of
from episteme.errors import (
    PROBLEMS,
    EpistemeError,
    FieldProblem,
    Internal,
    NotApplied,
    QuotaExceeded,
    Refused,
    Unreachable,
)
from episteme.receipts import Receipt
from episteme.server.problems import problem_of


def problem(code: str, status: int = 422, **headers: str) -> Response:
    body = {"code": code, "detail": "why", "hint": "do this", "errors": [{"pointer": "/a", "detail": "is wrong"}]}
    return Response(status, {name.replace("_", "-"): text for name, text in headers.items()}, msgspec.json.encode(body))


@pytest.mark.parametrize("code", [code for code in PROBLEMS if code != "verification-failed"])
def test_refusal_of_a_server_comes_back_as_its_own_class_with_all_its_data(code: str) -> None:
    row = PROBLEMS[code]
    error = row.exception("what is wrong", errors=(FieldProblem("/a", "is wrong"),), retry_after_s=3)
    told = msgspec.json.encode(problem_of(error))
    found = refusal_of(Response(row.status, {"retry-after": "3", "x-request-id": "r-1"}, told), "/v1/x")
    assert type(found) is row.exception
    assert (found.code, found.hint, found.errors) == (code, row.hint, error.errors)
    assert (found.retry_after_s, found.request_id) == (3, "r-1")


def test_quota_says_how_much_there_is_and_what_is_left() -> None:
    found = refusal_of(
        problem("quota-exceeded", 429, retry_after="1200", ratelimit_limit="1000", ratelimit_remaining="7"), "/"
    )
    assert isinstance(found, QuotaExceeded)
    assert (found.limit, found.remaining, found.retry_after_s) == (1000, 7, 1200)


@pytest.mark.parametrize(("status", "kind"), [(409, Refused), (422, Refused), (500, EpistemeError)])
def test_code_of_a_newer_server_keeps_its_name_and_hint(status: int, kind: type[EpistemeError]) -> None:
    found = refusal_of(problem("from-the-future", status), "/")
    assert type(found) is kind
    assert (found.code, found.hint, found.detail) == ("from-the-future", "do this", "why")
    assert kind.code == EpistemeError.code  # of the class nothing changed


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"code": 1}', b"\xff", b"null"])
def test_what_is_no_problem_document_did_not_come_from_a_database(body: bytes) -> None:
    assert isinstance(refusal_of(Response(500, {}, body), "/v1/x"), Internal)
    for status in (429, 502, 503, 504, 301, 307):
        assert isinstance(refusal_of(Response(status, {}, body), "/v1/x"), Unreachable)


@pytest.mark.parametrize("status", [100, 301, 302, 304, 307, 308, 400, 500])
def test_only_2xx_is_an_answer(status: int) -> None:
    assert not is_good(Response(status, {}, b"{}"))
    assert is_good(Response(202, {}, b"{}"))


@pytest.mark.parametrize("text", ["-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "٣", "9" * 30, ""])
def test_retry_after_that_is_no_number_of_seconds_is_passed_over(text: str) -> None:
    assert refusal_of(problem("not-applied", 503, retry_after=text), "/").retry_after_s is None


@given(st.binary(max_size=300))
def test_no_answer_makes_anything_but_an_episteme_error(body: bytes) -> None:
    assert isinstance(refusal_of(Response(503, {}, body), "/"), EpistemeError)
    with suppress(Internal):
        reads(Receipt)(Response(200, {}, body))


def test_field_of_a_newer_server_is_passed_over() -> None:
    body = b'{"hash": "00", "seq": 1, "status": "accepted", "new": {}}'
    assert reads(Receipt)(Response(200, {}, body)) == Receipt("00", 1)


def test_detail_is_cut() -> None:
    body = msgspec.json.encode({"code": "not-applied", "detail": "x" * 100_000})
    found = refusal_of(Response(503, {}, body), "/")
    assert isinstance(found, NotApplied)
    assert len(found.detail) == 2000
