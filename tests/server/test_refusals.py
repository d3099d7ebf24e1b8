"""Everything that is wrong with a request is told with status, code, pointer and hint, and writes nothing."""

from collections.abc import Iterator

import pytest

from episteme.errors import PROBLEMS
from tests.support.envelopes import BAD_ENVELOPES, Bad, claim, vote_on
from tests.support.events import HASH_1
from tests.support.http import Reply, call, log_seq
from tests.support.servers import Server

LIMIT_BYTES = 256 * 1024
QUERY = "/v1/query?subject=s&predicate=p"
POINTERS_BY_QUERY = [
    ("invalid-parameter", "/v1/query", "subject"),
    ("invalid-parameter", "/v1/query?subject=s", "predicate"),
    ("invalid-parameter", "/v1/query?predicate=p", "subject"),
    ("invalid-parameter", "/v1/query?subject=&predicate=p", "subject"),
    ("invalid-parameter", "/v1/query?subject=a%00b&predicate=p", "subject"),
    ("invalid-parameter", f"/v1/query?subject={'x' * 257}&predicate=p", "subject"),
    ("invalid-parameter", f"/v1/query?subject=s&predicate={'x' * 129}", "predicate"),
    ("invalid-parameter", f"{QUERY}&subject=s", "subject"),
    ("invalid-parameter", f"{QUERY}&limit=0", "limit"),
    ("invalid-parameter", f"{QUERY}&limit=1001", "limit"),
    ("invalid-parameter", f"{QUERY}&limit=ten", "limit"),
    ("invalid-parameter", f"{QUERY}&limit=-1", "limit"),
    ("invalid-parameter", f"{QUERY}&limit=1.5", "limit"),
    ("invalid-parameter", f"{QUERY}&limit=%D9%A3", "limit"),
    ("invalid-parameter", f"{QUERY}&limit=", "limit"),
    ("invalid-parameter", f"{QUERY}&min_seq=-1", "min_seq"),
    ("invalid-parameter", f"{QUERY}&min_seq=1e3", "min_seq"),
    ("invalid-parameter", f"{QUERY}&min_seq={'9' * 30}", "min_seq"),
    ("invalid-parameter", f"{QUERY}&wait=soon", "wait"),
    ("invalid-parameter", f"{QUERY}&wait=-1s", "wait"),
    ("invalid-parameter", f"{QUERY}&wait=31s", "wait"),
    ("invalid-parameter", f"{QUERY}&wait=1h", "wait"),
    ("invalid-parameter", f"{QUERY}&wait=nan", "wait"),
    ("invalid-parameter", f"{QUERY}&max_age=old", "max_age"),
    ("invalid-parameter", f"{QUERY}&source_class=rumour", "source_class"),
    ("invalid-parameter", f"{QUERY}&source_class=clinical,", "source_class"),
    ("invalid-parameter", f"{QUERY}&lifecycle=done", "lifecycle"),
    ("unknown-lens", f"{QUERY}&lens=loudest", "lens"),
    ("unknown-lens", f"{QUERY}&lens=", "lens"),
    ("unknown-parameter", f"{QUERY}&limt=3", "limt"),
    ("unknown-parameter", f"{QUERY}&Limit=3", "Limit"),
    ("unknown-parameter", "/v1/status?verbose=1", "verbose"),
    ("unknown-parameter", "/livez?x=1", "x"),
    ("unknown-parameter", "/readyz?x=1", "x"),
    ("unknown-parameter", f"/v1/assertions/{HASH_1}?lens=votes", "lens"),
    ("invalid-parameter", f"/v1/assertions/{HASH_1[:-1]}", "hash"),
    ("invalid-parameter", f"/v1/assertions/{'A' * 64}", "hash"),
    ("invalid-parameter", f"/v1/assertions/{HASH_1}?min_seq=x", "min_seq"),
]


@pytest.fixture
def seq_before(server: Server) -> Iterator[int]:
    """The log's position, which must be the same when the test is over."""
    before = log_seq(server.url)
    yield before
    assert log_seq(server.url) == before


def check_problem(reply: Reply, status: int, code: str, pointer: str | None) -> None:
    """See that a refusal is a whole problem document."""
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["hint"]
    assert problem["detail"]
    assert problem["title"] == PROBLEMS[code].title
    pointers = [one["pointer"] for one in problem["errors"]]
    assert pointers == ([] if pointer is None else [pointer]), problem
    assert all(one["detail"] for one in problem["errors"])


@pytest.mark.parametrize("bad", BAD_ENVELOPES, ids=lambda bad: bad.name)
def test_bad_envelope_is_refused_with_its_reason_and_writes_nothing(server: Server, seq_before: int, bad: Bad) -> None:
    check_problem(call(server.url, "POST", "/v1/events", bad.body), bad.status, bad.code, bad.pointer)


@pytest.mark.parametrize(("code", "path", "pointer"), POINTERS_BY_QUERY, ids=lambda value: str(value)[:60])
def test_bad_parameter_is_named(server: Server, code: str, path: str, pointer: str) -> None:
    check_problem(call(server.url, "GET", path), PROBLEMS[code].status, code, pointer)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/votes", claim("refused")),
        ("/v1/vote", claim("refused")),
        ("/v1/epochs", claim("refused")),
        ("/v1/epoch", claim("refused")),
        ("/v1/assertions", vote_on("refused", HASH_1)),
        ("/v1/assert", vote_on("refused", HASH_1)),
    ],
)
def test_endpoint_refuses_an_event_of_another_kind(server: Server, seq_before: int, path: str, body: bytes) -> None:
    check_problem(call(server.url, "POST", path, body), 422, "invalid-field", "/event/kind")


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("wait=soon", "invalid-parameter", "wait"),
        ("wait=31s", "invalid-parameter", "wait"),
        ("wait=1s&wait=1s", "invalid-parameter", "wait"),
        ("Wait=1s", "unknown-parameter", "Wait"),
        ("min_seq=1", "unknown-parameter", "min_seq"),
    ],
)
def test_write_with_a_bad_parameter_writes_nothing(
    server: Server, seq_before: int, query: str, code: str, pointer: str
) -> None:
    reply = call(server.url, "POST", f"/v1/assertions?{query}", claim(f"refused for {query}"))
    check_problem(reply, PROBLEMS[code].status, code, pointer)


def test_body_over_the_limit_is_refused_by_its_length(server: Server, seq_before: int) -> None:
    check_problem(call(server.url, "POST", "/v1/assertions", b"x" * (LIMIT_BYTES + 1)), 413, "too-large", None)


def test_body_over_the_limit_is_refused_without_a_length_too(server: Server, seq_before: int) -> None:
    chunks = (b"x" * 16384 for _ in range(LIMIT_BYTES // 16384 + 1))
    check_problem(call(server.url, "POST", "/v1/assertions", chunks), 413, "too-large", None)


def test_body_of_just_the_limit_is_read(server: Server, seq_before: int) -> None:
    check_problem(call(server.url, "POST", "/v1/assertions", b"x" * LIMIT_BYTES), 400, "malformed", None)


def test_chunked_body_is_read_whole(server: Server) -> None:
    body = claim("came in pieces")
    reply = call(server.url, "POST", "/v1/assertions", (body[at : at + 7] for at in range(0, len(body), 7)))
    assert reply.status == 202


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, identity", "zstd, gzip"])
@pytest.mark.parametrize("path", ["/v1/assertions", "/v1/ingest"])
def test_body_in_an_encoding_that_is_not_read_is_refused(
    server: Server, seq_before: int, path: str, encoding: str
) -> None:
    reply = call(server.url, "POST", path, claim("refused"), {"Content-Encoding": encoding})
    check_problem(reply, 415, "unsupported-media", None)


def test_subject_that_is_not_utf_8_is_refused_not_replaced(server: Server) -> None:
    check_problem(call(server.url, "GET", "/v1/query?subject=%FF&predicate=p"), 422, "invalid-parameter", "subject")


def test_digits_of_other_scripts_are_no_duration(server: Server) -> None:
    check_problem(call(server.url, "GET", f"{QUERY}&wait=%D9%A3s"), 422, "invalid-parameter", "wait")


def test_server_still_answers_after_all_that(server: Server) -> None:
    assert call(server.url, "POST", "/v1/assertions?wait=5s", claim("after the refusals")).status in (200, 201)
