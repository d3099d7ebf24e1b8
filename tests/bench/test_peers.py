"""The services of peers do the same work as ours: the same hashes, the same answers, the same refusals."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from bench.measured import Unavailable
from bench.peers import environment
from bench.peers.cluster import cluster
from bench.peers.environment import peer_env
from bench.peers.postgres import postgres_service
from bench.peers.sqlite import sqlite_service
from bench.work import Server
from episteme import Node, Receipt
from episteme.parameters import make_question
from model import (
    LIFECYCLES,
    SOURCE_CLASSES,
    AnyValue,
    BooleanValue,
    NumberValue,
    ReferenceValue,
    SignedEvent,
    SigningKey,
    TextValue,
    encode_envelope,
    sign_event,
)
from tests.support.events import KEY_A, KEY_B, NOW_MS, make_assertion

PREDICATE = "causes_muscle_loss"
KEYS = [SigningKey(bytes([number]) * 32) for number in range(1, 8)]
SAYINGS: list[AnyValue] = [
    NumberValue("96.7"),
    NumberValue("96.70"),
    NumberValue("967e-1"),
    NumberValue("-0"),
    NumberValue("0"),
    TextValue("true"),
    TextValue(" true "),
    BooleanValue(True),
    ReferenceValue("true"),
]
PAIRS = [f"disputed {number}" for number in range(12)]
# What a service has no part in: where the fold stands, and the audit.
OURS_ALONE = ("seq", "audit_id")

Fresh = Callable[[bool], AbstractContextManager[Server]]


@contextmanager
def postgres() -> Iterator[Fresh]:
    """A cluster for all services of a test; skips where it cannot be had."""
    try:
        env = peer_env("psycopg", "psycopg_pool")
        with cluster(Path(gettempdir())) as running:
            yield lambda grouped: postgres_service(running, env, grouped)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    if request.param == "sqlite":
        yield lambda grouped: sqlite_service(tmp_path_factory.mktemp("sqlite"), grouped)
        return
    with postgres() as services:
        yield services


@pytest.fixture(scope="module", params=[False, True], ids=["a transaction a claim", "grouped"])
def ask(request: pytest.FixtureRequest, fresh: Fresh) -> Iterator[Callable[..., tuple[int, bytes]]]:
    """Ask a running service: method, path, body; its status and what it answered."""
    with fresh(request.param) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)

        def asked(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()

        yield asked
        connection.close()


def disputed(subject: str) -> list[SignedEvent]:
    """Twenty claims of seven agents who change their minds, in equal times, tiers and spellings."""
    chosen = random.Random(subject)
    return [
        sign_event(
            make_assertion(
                subject=subject,
                object=chosen.choice(SAYINGS),
                source_class=chosen.choice(SOURCE_CLASSES[:3]),
                lifecycle=chosen.choice(LIFECYCLES),
                confidence=f"0.{number + 10}",
                timestamp=NOW_MS + chosen.randrange(5),
            ),
            chosen.choice(KEYS),
        )
        for number in range(20)
    ]


def lines(claims: Sequence[SignedEvent]) -> bytes:
    return b"\n".join(map(encode_envelope, claims))


def compared(answer: bytes) -> dict[str, Any]:
    return {name: value for name, value in msgspec.json.decode(answer).items() if name not in OURS_ALONE}


def test_a_claim_is_answered_with_its_hash_and_position_and_found_again(ask: Callable[..., tuple[int, bytes]]) -> None:
    signed = sign_event(make_assertion(subject="one claim"), KEY_A)
    status, body = ask("POST", "/v1/assertions", encode_envelope(signed))
    receipt = msgspec.json.decode(body)
    assert (status, receipt["hash"], receipt["status"]) == (202, signed.hash_hex, "accepted")
    again = ask("POST", "/v1/assertions", encode_envelope(signed))
    assert again == (200, msgspec.json.encode(receipt | {"status": "duplicate"}))
    answer = msgspec.json.decode(ask("GET", f"/v1/query?subject=one%20claim&predicate={PREDICATE}")[1])
    assert answer["winner"]["assertion"] == msgspec.json.decode(encode_envelope(signed))
    assert answer["candidates_count"] == 1


def test_a_claim_whose_signature_is_anothers_is_refused_and_not_kept(ask: Callable[..., tuple[int, bytes]]) -> None:
    event = make_assertion(subject="forged")
    forged = encode_envelope(sign_event(event, KEY_A)).replace(KEY_A.agent.hex().encode(), KEY_B.agent.hex().encode())
    status, body = ask("POST", "/v1/assertions", forged)
    assert (status, msgspec.json.decode(body)["code"]) == (422, "invalid-signature")
    told = msgspec.json.Decoder().decode_lines(ask("POST", "/v1/ingest", forged)[1])
    assert told[-1] == {"summary": {"lines": 1, "accepted": 0, "duplicate": 0, "refused": 1}}
    assert b'"candidates_count":0' in ask("GET", f"/v1/query?subject=forged&predicate={PREDICATE}")[1]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What Episteme answers about each disputed subject, and one that nobody speaks of, from a full read."""
    with Node.open(tmp_path_factory.mktemp("ours"), key=KEY_A) as node:
        last = node.submit_many([signed for subject in PAIRS for signed in disputed(subject)], "http")[-1]
        assert isinstance(last, Receipt), last
        assert node.wait_applied(last.seq, 10.0)
        answers = {
            subject: node.ask(make_question(subject, PREDICATE, full=True)) for subject in [*PAIRS, "unheard of"]
        }
    return {subject: compared(msgspec.json.encode(answer)) for subject, answer in answers.items()}


def test_answers_are_those_of_episteme_for_the_same_claims(
    ask: Callable[..., tuple[int, bytes]], ours: dict[str, dict[str, Any]]
) -> None:
    for subject in PAIRS:
        claims = disputed(subject)
        told = msgspec.json.Decoder().decode_lines(ask("POST", "/v1/ingest", lines(claims))[1])
        assert [result["hash"] for result in told[:-1]] == [signed.hash_hex for signed in claims]
        assert told[-1]["summary"] == {"lines": 20, "accepted": 20, "duplicate": 0, "refused": 0}
    for subject, expected in ours.items():
        _, theirs = ask("GET", f"/v1/query?subject={quote(subject)}&predicate={PREDICATE}&max_age=0s")
        assert compared(theirs) == expected, subject


def test_a_peer_whose_packages_are_not_there_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "FOLDER", tmp_path / ".bench-peer")
    with pytest.raises(Unavailable, match=r"\.bench-peer has no packages for python3"):
        peer_env("psycopg")
