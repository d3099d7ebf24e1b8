"""Many envelopes in one body: a result a line, in order, and a summary that adds up."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from model import decode_envelope, encode_envelope, sign_bundle
from tests.server.test_refusals import check_problem
from tests.support.envelopes import BAD_ENVELOPES, claim
from tests.support.events import KEY_A, NOW_MS, make_assertion
from tests.support.http import Reply, call, log_seq
from tests.support.servers import Server

LINES_MAX = 10_000


def ingest(server: Server, body: bytes) -> Reply:
    return call(server.url, "POST", "/v1/ingest", body)


def claims(subject: str, count: int) -> list[bytes]:
    return [claim(subject, timestamp=number) for number in range(count)]


def status(result: dict[str, Any]) -> str:
    """What became of a line; whether "accepted" is spelled out is a promise with a test of its own."""
    told: str = result.get("status", "accepted")
    return told


def hash_of(envelope: bytes) -> str:
    return decode_envelope(envelope).hash_hex


def test_results_come_in_the_order_of_the_lines_with_consecutive_positions(server: Server) -> None:
    lines = claims("ingested in order", 100)
    reply = ingest(server, b"\n".join(lines))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-ndjson")
    *results, summary = reply.lines
    assert [result["line"] for result in results] == list(range(1, 101))
    assert [result["hash"] for result in results] == [hash_of(line) for line in lines]
    first = results[0]["seq"]
    assert [result["seq"] for result in results] == list(range(first, first + 100))
    assert {status(result) for result in results} == {"accepted"}
    assert summary == {"summary": {"lines": 100, "accepted": 100, "duplicate": 0, "refused": 0}}
    assert reply.log_seq == first + 99


def test_every_result_says_what_became_of_its_line(server: Server) -> None:
    line = claim("told in full")
    *results, _ = ingest(server, b"\n".join((line, line, b"x"))).lines
    assert [result.get("status") for result in results] == ["accepted", "duplicate", "refused"]


def test_the_same_body_again_is_all_duplicates_at_the_same_positions(server: Server) -> None:
    body = b"\n".join(claims("ingested again", 40))
    first, second = ingest(server, body), ingest(server, body)
    assert [line["seq"] for line in second.lines[:-1]] == [line["seq"] for line in first.lines[:-1]]
    assert second.lines[-1] == {"summary": {"lines": 40, "accepted": 0, "duplicate": 40, "refused": 0}}
    assert second.log_seq == first.log_seq


def test_line_that_came_before_in_the_same_body_is_a_duplicate(server: Server) -> None:
    line = claim("twice in one body")
    first, second, _ = ingest(server, line + b"\n" + line).lines
    assert (status(first), status(second)) == ("accepted", "duplicate")
    assert first["seq"] == second["seq"]


def test_bad_lines_are_refused_alone_each_with_its_reason(server: Server) -> None:
    bad = [one for one in BAD_ENVELOPES if one.body.strip() and b"\n" not in one.body]
    good = claims("among bad lines", len(bad))
    before = log_seq(server.url)
    body = b"\n".join(line for one, fine in zip(bad, good, strict=True) for line in (one.body, fine))
    *results, summary = ingest(server, body).lines
    for one, refused, accepted in zip(bad, results[::2], results[1::2], strict=True):
        assert (refused["status"], refused["code"]) == ("refused", one.code), one.name
        assert refused["detail"], one.name
        assert "seq" not in refused, one.name
        pointers = [problem["pointer"] for problem in refused.get("errors", [])]
        assert pointers == ([] if one.pointer is None else [one.pointer]), one.name
        assert status(accepted) == "accepted", one.name
    assert summary == {"summary": {"lines": 2 * len(bad), "accepted": len(good), "duplicate": 0, "refused": len(bad)}}
    assert log_seq(server.url) == before + len(good)


def test_blank_lines_say_nothing_but_count_as_lines_of_the_file(server: Server) -> None:
    one, two = claims("between blank lines", 2)
    *results, summary = ingest(server, b"\n\r\n" + one + b"\r\n   \n" + two + b"\n\n").lines
    assert [(result["line"], status(result)) for result in results] == [(3, "accepted"), (5, "accepted")]
    assert summary["summary"]["lines"] == 2


def test_empty_body_is_a_summary_of_nothing(server: Server) -> None:
    for body in (b"", b"\n\n", b"   "):
        reply = ingest(server, body)
        assert reply.status == 200
        assert reply.lines == [{"summary": {"lines": 0, "accepted": 0, "duplicate": 0, "refused": 0}}]


def test_line_over_the_bound_of_an_envelope_is_refused_alone(server: Server) -> None:
    large, fine, _ = ingest(server, b"x" * (7 * 1024 * 1024 + 1) + b"\n" + claim("beside a large line")).lines
    assert (large["status"], large["code"]) == ("refused", "too-large")
    assert status(fine) == "accepted"


def test_a_line_too_many_refuses_the_whole_body_and_writes_nothing(server: Server) -> None:
    before = log_seq(server.url)
    fine = claim("one of too many")
    reply = ingest(server, b"\n".join([fine] * (LINES_MAX + 1)))
    check_problem(reply, 413, "too-large", None)
    assert log_seq(server.url) == before


def test_as_many_lines_as_allowed_are_all_read(server: Server) -> None:
    fine = claim("one of just enough")
    *_, summary = ingest(server, fine + b"\n" + b"x\n" * (LINES_MAX - 1)).lines
    assert summary == {"summary": {"lines": LINES_MAX, "accepted": 1, "duplicate": 0, "refused": LINES_MAX - 1}}


def test_body_over_the_limit_is_refused_and_writes_nothing(server: Server) -> None:
    before = log_seq(server.url)
    fine = claim("in a body that is too large")
    check_problem(ingest(server, fine + b"\n" * (16 * 1024 * 1024)), 413, "too-large", None)
    assert log_seq(server.url) == before


def test_unknown_parameter_writes_nothing(server: Server) -> None:
    reply = call(server.url, "POST", "/v1/ingest?wait=1s", claim("ingested with a parameter"))
    check_problem(reply, 400, "unknown-parameter", "wait")


def test_the_same_lines_from_many_at_once_are_accepted_once(server: Server) -> None:
    lines = claims("ingested by many", 200)
    with ThreadPoolExecutor(3) as threads:
        bodies = [b"\n".join(lines), b"\n".join(reversed(lines)), b"\n".join(lines[100:] + lines[:100])]
        replies = list(threads.map(lambda body: ingest(server, body), bodies))
    results = [line for reply in replies for line in reply.lines[:-1]]
    statuses = Counter(status(result) for result in results)
    assert statuses == {"accepted": 200, "duplicate": 400}
    positions = {result["hash"]: result["seq"] for result in results}
    assert all(result["seq"] == positions[result["hash"]] for result in results)


def test_a_whole_bundle_with_all_its_events_fits_one_ingest(server: Server) -> None:
    events = [make_assertion(subject=f"whole bundle {number % 100}", timestamp=number) for number in range(LINES_MAX)]
    bundle, signed_events = sign_bundle(events, KEY_A, NOW_MS)
    lines = [encode_envelope(bundle), *map(encode_envelope, signed_events)]
    reply = ingest(server, b"\n".join([*lines, lines[-1]]))
    assert (reply.status, reply.json()["code"]) == (413, "too-large")
    assert ingest(server, b"\n".join(lines[::-1])).status == 413
    told = ingest(server, b"\n".join(lines)).lines
    assert told[-1] == {"summary": {"lines": LINES_MAX + 1, "accepted": LINES_MAX + 1, "duplicate": 0, "refused": 0}}
    again = ingest(server, b"\n".join(lines[1:101])).lines
    assert again[-1]["summary"]["duplicate"] == 100
