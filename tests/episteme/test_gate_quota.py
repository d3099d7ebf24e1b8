"""Who may write at a node: keys that speak, and signers who can pay."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from episteme import Receipt
from episteme.config import NodeConfig
from episteme.errors import InvalidSignature, KeyRevoked, LogFailed, QuotaExceeded
from episteme.folds import decode_frame
from episteme.gate import IntakeOptions, Outcome, QuotaOptions
from episteme.gate.revoked import RevokedKeys
from episteme.node import Node
from model import KeyRevocation, SignedEvent, SigningKey, encode_envelope
from stores import QuotaStore, window_of
from tests.episteme.test_gate import Outcomes
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, NOW_MS, make_assertion, signed
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import ALL
from tests.support.meaning import KEYS
from tests.support.nodes import node_on

OPERATOR, ANN, BOB, CY = KEYS[:4]
COST = 11  # an assertion of less than a kibibyte


@contextmanager
def paying(folder: Path, tokens_per_hour: int = 100, **options: Any) -> Iterator[Node]:
    config = NodeConfig(
        quota=QuotaOptions(enabled=True, tokens_per_hour=tokens_per_hour), operators=(OPERATOR.agent_hex,)
    )
    with node_on(folder, config=config, **options) as node:
        yield node


def claim(subject: str, *keys: SigningKey, **fields: Any) -> SignedEvent:
    return signed(make_assertion(subject=subject, **fields), *(keys or (ANN,)))


def forged(subject: str, key: SigningKey) -> SignedEvent:
    """A claim in the name of a key that has not signed it."""
    event = claim(subject, key)
    return SignedEvent(event.event, event.digest, claim("something else", key).signatures)


def left(node: Node, *keys: SigningKey) -> int:
    standing = node.intake.standing([key.agent for key in keys])
    assert standing is not None
    return standing.remaining


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return [one.status if isinstance(one, Receipt) else one.code for one in outcomes]


# Who pays.


def test_write_costs_its_signer_and_nobody_else(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        node.submit(claim("one"))
        assert (left(node, ANN), left(node, BOB)) == (100 - COST, 100)
        node.submit(signed(FULL_EVENTS[1], KEY_A))
        assert left(node, KEY_A) == 100 - 2


def test_signer_without_tokens_is_refused_until_it_has_some_and_others_are_not(tmp_path: Path) -> None:
    batch = [claim(f"claim {number}") for number in range(12)]
    with paying(tmp_path) as node:
        outcomes = node.submit_many([*batch, claim("claim 0", BOB), claim("other", BOB)], "test")
        assert kinds(outcomes) == ["accepted"] * 9 + ["quota-exceeded"] * 3 + ["accepted"] * 2
        refused = outcomes[9]
        assert isinstance(refused, QuotaExceeded)
        assert (refused.limit, refused.remaining, refused.retry_after_s) == (100, 1, 3600)
        with pytest.raises(QuotaExceeded):
            node.submit(batch[9])
        assert node.end_seq == 11, "the rules of the database, and eleven claims"


def test_pitfall_28_quota_is_not_charged_before_the_signature_verifies(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        outcomes = node.submit_many([forged(f"forged {number}", ANN) for number in range(50)], "test")
        assert {type(one) for one in outcomes} == {InvalidSignature}
        half = claim("half", ANN, BOB)
        bad = SignedEvent(half.event, half.digest, (half.signatures[0], forged("half", BOB).signatures[0]))
        with pytest.raises(InvalidSignature):
            node.submit(bad)
        assert (left(node, ANN), left(node, BOB)) == (100, 100)


@pytest.mark.parametrize("chunk_count", [1, 32])
def test_pitfall_28_replaying_another_agents_event_costs_it_nothing(tmp_path: Path, chunk_count: int) -> None:
    event = claim("replayed")
    with paying(tmp_path, intake=IntakeOptions(chunk_count=chunk_count)) as node:
        assert kinds(node.submit_many([event] * 50, "test")) == ["accepted"] + ["duplicate"] * 49
        assert node.submit(event, wait_s=WAIT_S).status == "duplicate"
        assert kinds(node.submit_many([event] * 50, "test")) == ["duplicate"] * 50
        assert left(node, ANN) == 100 - COST


def test_who_joins_a_known_event_pays_alone_and_may_bring_known_signatures_along(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        node.submit(claim("joined", ANN))
        node.submit(claim("joined", ANN, BOB), wait_s=WAIT_S)
        node.submit(claim("joined", CY, ANN, BOB), wait_s=WAIT_S)
        assert [left(node, key) for key in (ANN, BOB, CY)] == [100 - COST] * 3


def test_each_new_signer_of_an_event_pays_for_all_of_it_or_it_is_refused_whole(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        node.submit(claim("together", ANN, BOB))
        assert left(node, ANN) == left(node, BOB) == 100 - COST
        for number in range(8):
            node.submit(claim(f"claim {number}", BOB))
        assert left(node, BOB) == 1
        refused = claim("too dear for one", ANN, BOB, CY)
        for _ in range(3):
            with pytest.raises(QuotaExceeded, match=BOB.agent_hex):
                node.submit(refused)
        assert (left(node, ANN), left(node, CY)) == (100 - COST, 100)
        assert node.submit(claim("too dear for one", ANN, CY)).status == "accepted", "it has not become known"


def test_known_event_is_taken_from_who_has_no_tokens_left(tmp_path: Path) -> None:
    with paying(tmp_path, tokens_per_hour=COST) as node:
        first = node.submit(claim("only one"), wait_s=WAIT_S)
        assert node.submit(claim("only one")) == Receipt(first.hash, first.seq, "duplicate")
        with pytest.raises(QuotaExceeded):
            node.submit(claim("one more"))


# What is paid.


def test_body_is_paid_for_as_it_was_sent(tmp_path: Path) -> None:
    outcomes = Outcomes()
    with paying(tmp_path, tokens_per_hour=1000) as node:
        node.submit_later(claim("padded"), "test", outcomes.deliver, body_bytes=100 * 1024)
        outcomes.wait(1)
        assert left(node, ANN) == 1000 - 110


def test_line_of_an_ingest_is_a_body_of_its_own(tmp_path: Path) -> None:
    lines = [encode_envelope(claim(f"line {number}")) for number in range(4)]
    lines[3] += b" " * 4096
    with paying(tmp_path) as node:
        results = list(node.ingest([*lines, claim("no line", BOB)]))
        assert [one.status for one in results] == ["accepted"] * 5
        assert (left(node, ANN), left(node, BOB)) == (100 - 3 * COST - 15, 100 - COST)


def test_line_that_cannot_be_paid_is_refused_alone(tmp_path: Path) -> None:
    with paying(tmp_path, tokens_per_hour=2 * COST + 1) as node:
        results = list(node.ingest(encode_envelope(claim(f"line {number}")) for number in range(3)))
        assert [(one.line, one.status, one.code) for one in results] == [
            (1, "accepted", None),
            (2, "accepted", None),
            (3, "refused", "quota-exceeded"),
        ]


def test_cost_is_in_the_log_with_whom_it_did_not_fall_on_so_the_fold_counts_what_was_charged(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        node.submit(claim("one", ANN))
        node.submit(claim("one", BOB, ANN, CY), wait_s=WAIT_S)
        frames = node.log.read_from(1, count_max=ALL, bytes_max=ALL)
        assert [(one.tokens, one.known) for one in map(decode_frame, frames)] == [(COST, ()), (COST, (1,))]
        with node.state.snapshot() as snapshot:
            window = window_of(NOW_MS << 16)
            used = [QuotaStore(snapshot).used(key.agent_hex, window).tokens for key in (ANN, BOB, CY)]
        assert used == [COST] * 3


def test_restart_gives_nobody_tokens_back(tmp_path: Path) -> None:
    for count in range(1, 4):
        with paying(tmp_path) as node:
            node.submit(claim(f"start {count}"))
            assert left(node, ANN) == 100 - count * COST


@pytest.mark.parametrize("way", ["one", "many"])
def test_what_could_not_be_written_is_given_back(tmp_path: Path, way: str) -> None:
    files, outcomes = FaultyFiles(), Outcomes()
    with paying(tmp_path, files=files) as node:
        node.submit(claim("written"), wait_s=WAIT_S)
        files.fail("sync")
        if way == "one":
            node.submit_later(claim("lost", ANN, BOB), "test", outcomes.deliver)
            outcomes.wait(1)
            assert isinstance(outcomes.told[0], LogFailed)
        else:
            with pytest.raises(LogFailed):
                node.submit_many([claim(f"lost {number}", ANN, BOB) for number in range(3)], "test")
        assert (left(node, ANN), left(node, BOB)) == (100 - COST, 100)
        with pytest.raises(LogFailed):
            node.submit(claim("lost again"))
        assert left(node, ANN) == 100 - COST


def test_without_quotas_nothing_costs_and_nothing_is_logged(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        node.submit(claim("free"))
        assert node.intake.standing([ANN.agent]) is None
        assert decode_frame(node.log.get(0)).tokens == 0


# Who speaks.


def revocation(revoked: SigningKey, *keys: SigningKey, timestamp: int = NOW_MS) -> SignedEvent:
    keys = keys or (revoked,)
    event = KeyRevocation(v=2, agent=keys[0].agent_hex, timestamp=timestamp, revoked=revoked.agent_hex, reason="lost")
    return signed(event, *keys)


@pytest.mark.parametrize("by", [ANN, OPERATOR])
def test_revoked_key_is_refused_by_name_and_what_it_said_before_is_known(tmp_path: Path, by: SigningKey) -> None:
    with paying(tmp_path) as node:
        before = node.submit(claim("before"))
        node.submit(revocation(ANN, by), wait_s=WAIT_S)
        with pytest.raises(KeyRevoked, match=ANN.agent_hex) as caught:
            node.submit(claim("after"))
        assert [problem.pointer for problem in caught.value.errors] == ["/signatures/0/agent"]
        assert node.submit(claim("before")) == Receipt(before.hash, before.seq, "duplicate")
        assert node.submit(claim("after", BOB)).status == "accepted"


def test_event_with_one_revoked_signer_is_refused_whole_and_nobody_pays(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        node.submit(revocation(ANN), wait_s=WAIT_S)
        with pytest.raises(KeyRevoked) as caught:
            node.submit(claim("together", BOB, CY, ANN))
        assert caught.value.errors[0].pointer == "/signatures/2/agent"
        assert left(node, BOB) == left(node, CY) == 100


def test_revocation_that_does_not_count_refuses_nobody(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        node.submit(revocation(ANN, BOB), wait_s=WAIT_S)
        assert node.submit(claim("still here")).status == "accepted"


@pytest.mark.parametrize("chunk_count", [1, 32])
def test_key_is_refused_from_its_revocation_on_before_that_is_folded(tmp_path: Path, chunk_count: int) -> None:
    stranger = revocation(BOB, CY)
    steps = [
        claim("before", ANN),
        revocation(ANN),
        claim("after", ANN),
        claim("before", ANN),
        revocation(ANN, timestamp=1),
        stranger,
        claim("of bob", BOB),
        signed(stranger.event, CY, OPERATOR),
        claim("of bob again", BOB),
        claim("of cy", CY),
    ]
    with paying(tmp_path, intake=IntakeOptions(chunk_count=chunk_count)) as node:
        node.wait_applied(0, WAIT_S)  # the rules that name the operator
        assert kinds(node.submit_many(steps, "test")) == [
            "accepted",
            "accepted",
            "key-revoked",
            "duplicate",
            "key-revoked",
            "accepted",
            "accepted",
            "accepted",
            "key-revoked",
            "accepted",
        ]


def test_revoked_keys_are_remembered_until_the_state_knows_them() -> None:
    keys = RevokedKeys()
    keys.add(ANN.agent, 5)
    keys.add(BOB.agent, 7)
    keys.add(ANN.agent, 9)
    assert [keys.find([CY.agent, key.agent]) for key in (ANN, BOB, CY)] == [ANN.agent, BOB.agent, None]
    keys.forget_before(5)
    assert keys.find([ANN.agent]) == ANN.agent
    keys.forget_before(6)
    assert (keys.find([ANN.agent]), keys.find([BOB.agent])) == (None, BOB.agent)
    keys.forget_before(8)
    assert keys.find([BOB.agent]) is None


def test_revoked_key_is_told_so_and_not_that_it_cannot_pay(tmp_path: Path) -> None:
    with paying(tmp_path, tokens_per_hour=COST) as node:
        node.submit(claim("all that it has", ANN))
        node.submit(revocation(ANN, OPERATOR), wait_s=WAIT_S)
        with pytest.raises(KeyRevoked):
            node.submit(claim("more", ANN))


def test_forged_event_of_a_revoked_key_is_told_no_more_than_any_other(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        node.submit(revocation(KEY_B), wait_s=WAIT_S)
        with pytest.raises(InvalidSignature):
            node.submit(forged("forged", KEY_B))
