"""Signatures by bundle at the gate: what a bundle must be, and when, for its events to be taken."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from episteme import Receipt
from episteme.config import NodeConfig
from episteme.errors import DiskFull, EpistemeError, InvalidField
from episteme.gate import QuotaOptions, Submission, check_count
from episteme.gate.bundles import LoggedBundles
from episteme.gate.known import RecentEvents
from episteme.gate.meter import write_tokens
from episteme.node import Node
from model import (
    FRAME_KIND_EVENT,
    Bundle,
    Event,
    KeyRevocation,
    Signature,
    SignedEvent,
    SigningKey,
    Voucher,
    encode_envelope,
    encode_record,
    event_hash,
    sign_bundle,
    sign_event,
    voucher_of,
)
from model import Receipt as ReceiptFacts
from tests.support.events import HASH_1, KEY_A, KEY_B, NOW_MS, make_assertion, make_vote, signed
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.nodes import node_on


def claims(*names: str) -> list[Event]:
    return [make_assertion(subject=name) for name in names]


def by_bundle(event: Event, agent: bytes, bundle: bytes, *more: Signature) -> SignedEvent:
    return SignedEvent(event, event_hash(event), (Signature(agent, bundle), *more))


def told(outcomes: list[Receipt | EpistemeError]) -> list[str]:
    return [one.code if isinstance(one, EpistemeError) else one.status for one in outcomes]


def write(node: Node, *events: SignedEvent) -> list[str]:
    return told(node.submit_many(list(events), "test"))


def test_a_bundle_and_then_its_events_are_taken_and_are_duplicates_when_they_come_again(tmp_path: Path) -> None:
    bundle, events = sign_bundle([*claims("a", "b"), make_vote()], KEY_A, NOW_MS)
    with node_on(tmp_path) as node:
        assert write(node, bundle, *events) == ["accepted"] * 4
        assert write(node, bundle, *events) == ["duplicate"] * 4
        assert write(node, *events) == ["duplicate"] * 3
        assert node.wait_applied(3, WAIT_S)
        assert node.get(events[0].hash_hex).signatures[0].bundle == bundle.hash_hex
        assert write(node, *events) == ["duplicate"] * 3  # known from the state


def test_events_may_come_later_than_their_bundle_and_one_by_one(tmp_path: Path) -> None:
    bundle, events = sign_bundle(claims("a", "b", "c"), KEY_A, NOW_MS)
    with node_on(tmp_path) as node:
        node.submit(bundle, wait_s=WAIT_S)
        assert write(node, events[2]) == ["accepted"]
    with node_on(tmp_path) as node:  # nothing is in memory: the bundle is read from the log
        assert [node.submit(one).status for one in events] == ["accepted", "accepted", "duplicate"]


def test_events_before_their_bundle_are_refused_and_are_taken_behind_it(tmp_path: Path) -> None:
    bundle, (first, second) = sign_bundle(claims("a", "b"), KEY_A, NOW_MS)
    with node_on(tmp_path) as node:
        assert write(node, first, bundle, second) == ["unknown-bundle", "accepted", "accepted"]
        assert write(node, first) == ["accepted"]


def test_a_bundle_that_is_refused_takes_its_events_with_it(tmp_path: Path) -> None:
    bundle, events = sign_bundle(claims("a", "b"), KEY_A, NOW_MS)
    forged = SignedEvent(bundle.event, bundle.digest, (Signature(KEY_A.agent, bytes(64)),))
    with node_on(tmp_path) as node:
        assert write(node, forged, *events) == ["invalid-signature", "unknown-bundle", "unknown-bundle"]
        (refusal,) = node.submit_many(events[:1], "test")
        assert isinstance(refusal, EpistemeError)
        assert [problem.pointer for problem in refusal.errors] == ["/signatures/0/bundle"]
        assert node.end_seq == -1
        assert write(node, bundle, *events) == ["accepted"] * 3


@pytest.mark.parametrize("is_folded", [False, True])
def test_membership_is_exact(tmp_path: Path, is_folded: bool) -> None:
    (listed, unlisted) = claims("listed", "unlisted")
    bundle, (good,) = sign_bundle([listed], KEY_A, NOW_MS)
    bundle = SignedEvent(bundle.event, bundle.digest, (*bundle.signatures, KEY_B.sign(bundle.event)))
    with node_on(tmp_path) as node:
        node.submit(bundle, wait_s=WAIT_S if is_folded else None)
        bad = (
            by_bundle(unlisted, KEY_A.agent, bundle.digest),
            by_bundle(listed, KEY_B.agent, bundle.digest),  # who co-signs a bundle has not signed its events
            by_bundle(listed, KEY_A.agent, bundle.digest, Signature(KEY_B.agent, bundle.digest)),
            by_bundle(listed, KEY_A.agent, good.digest),
            by_bundle(listed, KEY_A.agent, bytes.fromhex(HASH_1)),
            by_bundle(listed, KEY_A.agent, bundle.digest, Signature(KEY_B.agent, bytes(64))),
        )
        expected = ["invalid-signature"] * 3 + ["unknown-bundle"] * 2 + ["invalid-signature"]
        assert write(node, *bad) == expected
        assert node.end_seq == 0
        assert write(node, good, *bad) == ["accepted", *expected]  # known by now, and refused all the same


def test_who_has_signed_an_event_says_nothing_new_by_a_bundle_and_the_other_way_round(tmp_path: Path) -> None:
    event = make_assertion(subject="twice")
    first, (one,) = sign_bundle([event], KEY_A, NOW_MS)
    second, (other,) = sign_bundle([event], KEY_A, NOW_MS + 1)
    by_b, (also,) = sign_bundle([event], KEY_B, NOW_MS)
    with node_on(tmp_path) as node:
        assert write(node, first, one, signed(event), second, other) == [
            *("accepted", "accepted", "duplicate", "accepted", "duplicate")
        ]
        both = SignedEvent(event, one.digest, (*one.signatures, *also.signatures))
        assert write(node, by_b, both, signed(event, KEY_B)) == ["accepted", "accepted", "duplicate"]
        assert node.wait_applied(node.end_seq, WAIT_S)
        shown = node.get(one.hash_hex).signatures
        assert [signature.bundle for signature in shown] == [first.hash_hex, by_b.hash_hex]


def test_a_bundle_is_never_signed_by_a_bundle(tmp_path: Path) -> None:
    inner, _ = sign_bundle(claims("a"), KEY_A, NOW_MS)
    outer = sign_event(Bundle(v=2, agent=KEY_A.agent_hex, timestamp=NOW_MS, events=[inner.hash_hex]), KEY_A)
    with node_on(tmp_path) as node:
        node.submit(outer)
        with pytest.raises(InvalidField) as refused:
            node.submit(by_bundle(inner.event, KEY_A.agent, outer.digest))
    assert refused.value.errors[0].pointer == "/signatures/0/bundle"


def test_a_revoked_key_is_judged_where_the_event_stands_and_not_where_its_bundle_does(tmp_path: Path) -> None:
    bundle, (before, after) = sign_bundle(claims("before", "after"), KEY_A, NOW_MS)
    revocation = KeyRevocation(v=2, agent=KEY_A.agent_hex, timestamp=NOW_MS, revoked=KEY_A.agent_hex, reason="lost")
    with node_on(tmp_path) as node:
        assert write(node, bundle, before, sign_event(revocation, KEY_A), after) == [
            *("accepted", "accepted", "accepted", "key-revoked")
        ]


def test_a_bundle_and_each_of_its_events_cost_what_such_events_cost(tmp_path: Path) -> None:
    quota = NodeConfig(quota=QuotaOptions(enabled=True, tokens_per_hour=30))
    bundle, events = sign_bundle(claims("a", "b", "c"), KEY_A, NOW_MS)
    costs = [write_tokens(one.event, len(encode_envelope(one))) for one in (bundle, *events)]
    assert costs == [2, 11, 11, 11]
    with node_on(tmp_path, config=quota) as node:
        assert write(node, bundle, *events) == ["accepted", "accepted", "accepted", "quota-exceeded"]
        assert write(node, bundle, *events[:2]) == ["duplicate"] * 3
        standing = node.standing(events[0])
        assert standing is not None
        assert standing.remaining == 30 - 24


def test_a_bundle_that_a_full_disk_refused_vouches_for_nothing(tmp_path: Path) -> None:
    files = FaultyFiles()
    bundle, events = sign_bundle(claims("a", "b"), KEY_A, NOW_MS)
    with node_on(tmp_path, files=files) as node:
        files.fail("write", error=28, written_bytes=50)
        with pytest.raises(DiskFull):
            node.submit_many([bundle, *events], "test")
        node.space.check = lambda: None  # type: ignore[method-assign]  # the test's disk has room again
        assert write(node, *events) == ["unknown-bundle"] * 2
        assert write(node, bundle, *events) == ["accepted"] * 3


def test_a_bundle_that_was_crowded_out_of_memory_is_read_from_the_log(tmp_path: Path) -> None:
    bundles = [sign_bundle(claims(f"{number} a", f"{number} b"), KEY_A, NOW_MS)[0] for number in range(4)]
    with node_on(tmp_path) as node:
        assert write(node, *bundles, signed(make_assertion())) == ["accepted"] * 5
        assert node.wait_applied(4, WAIT_S)
        logged = LoggedBundles(node.log, listed_count_max=3)
        with node.state.snapshot() as reader:
            for bundle in bundles * 2:
                assert isinstance(bundle.event, Bundle)
                assert logged.find(bundle.digest, reader, RecentEvents()) == voucher_of(bundle.event)
            assert logged.find(event_hash(make_assertion()), reader, RecentEvents()) is None


def test_a_bundle_that_is_not_durable_yet_is_waited_for(tmp_path: Path) -> None:
    bundle, _ = sign_bundle(claims("a"), KEY_A, NOW_MS)
    assert isinstance(bundle.event, Bundle)
    with node_on(tmp_path) as node, node.state.snapshot() as reader:
        recent = RecentEvents()
        ticket = node.log.append(encode_record(bundle, ReceiptFacts()), FRAME_KIND_EVENT)
        recent.add(ticket.first_seq, bundle, None)
        assert LoggedBundles(node.log).find(bundle.digest, reader, recent) == voucher_of(bundle.event)


def test_bundles_are_read_from_the_log_before_the_lock_on_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names a bundle needs no key for that, and the largest takes milliseconds."""
    bundle, (event,) = sign_bundle(claims("a"), KEY_A, NOW_MS)
    unlisted = make_assertion(subject="b")
    with node_on(tmp_path) as node:
        node.submit(bundle, wait_s=WAIT_S)
    read: list[bool] = []
    with node_on(tmp_path) as node:  # nothing is in memory
        appender, get = node.intake._appender, node.log.get
        monkeypatch.setattr(node.log, "get", lambda seq: (read.append(appender._lock.locked()), get(seq))[1])
        assert write(node, by_bundle(unlisted, KEY_A.agent, bundle.digest), event) == ["invalid-signature", "accepted"]
    assert read == [False]


def test_of_an_event_of_another_kind_that_is_named_as_a_bundle_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vote, event = signed(make_vote()), make_assertion()
    with node_on(tmp_path) as node:
        node.submit(vote, wait_s=WAIT_S)
        read: list[int] = []
        monkeypatch.setattr(node.log, "get", read.append)
        assert write(node, by_bundle(event, KEY_A.agent, vote.digest)) == ["unknown-bundle"]
        assert not read


def test_of_what_bundles_vouch_for_no_more_is_held_than_is_asked(tmp_path: Path) -> None:
    bundles, events = zip(
        *(sign_bundle(claims(f"{number} a", f"{number} b"), KEY_A, NOW_MS) for number in range(4)), strict=True
    )
    with node_on(tmp_path) as node:
        assert write(node, *bundles) == ["accepted"] * 4
        assert node.wait_applied(3, WAIT_S)
        logged = LoggedBundles(node.log, listed_count_max=3)
        asked = [Submission(listed[0], "test") for listed in events]
        named = logged.named([*asked, InvalidField("no event")], node.state.snapshot)
        assert named == {
            bundle.digest: Voucher(KEY_A.agent, frozenset({listed[0].digest}))
            for bundle, listed in zip(bundles, events, strict=True)
        }


def test_a_bundle_that_a_full_disk_refuses_after_it_was_looked_up_vouches_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FaultyFiles()
    bundle, events = sign_bundle(claims("a"), KEY_A, NOW_MS)
    with node_on(tmp_path, files=files) as node:
        bundles = node.intake._appender._bundles
        named = bundles.named

        def named_and_then_refused(*asked: Any) -> Mapping[bytes, Voucher]:
            monkeypatch.undo()
            bundles.add(bundle.digest, voucher_of(bundle.event))  # as it is while its write is on its way
            found = named(*asked)
            files.fail("write", error=28, written_bytes=50)
            with pytest.raises(DiskFull):
                node.submit(bundle)
            node.space.check = lambda: None  # type: ignore[method-assign]  # the test's disk has room again
            return found

        assert isinstance(bundle.event, Bundle)
        monkeypatch.setattr(bundles, "named", named_and_then_refused)
        assert write(node, *events) == ["unknown-bundle"]


def test_the_first_line_of_an_ingest_is_one_more_if_it_is_a_bundle() -> None:
    bundle, events = sign_bundle(claims("a", "b"), KEY_A, NOW_MS)
    lines = list(enumerate(map(encode_envelope, (bundle, *events)), 1))
    check_count(lines, 2)
    for too_many in (lines[::-1], [*lines, lines[1]], [(1, b"{}"), *lines[1:]], [(1, b"\xff"), *lines[1:]]):
        with pytest.raises(EpistemeError) as refused:
            check_count(too_many, 2)
        assert refused.value.code == "too-large"


_KEYS = st.sampled_from([KEY_A, KEY_B])
_BUNDLES = st.tuples(_KEYS, st.frozensets(st.integers(0, 5), min_size=1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(st.lists(_BUNDLES, min_size=1, max_size=4), st.integers(0, 2**32))
def test_no_event_passes_that_no_bundle_of_its_signer_before_it_lists(
    tmp_path_factory: pytest.TempPathFactory, listed: list[tuple[SigningKey, frozenset[int]]], seed: int
) -> None:
    """Random orders of bundles and claims by them, right and wrong, in batches, held against the rule in one line."""
    draw = random.Random(seed)
    pool = claims(*map(str, range(6)))
    bundles = [sign_bundle([pool[place] for place in sorted(places)], key, NOW_MS)[0] for key, places in listed]
    with node_on(tmp_path_factory.mktemp("random")) as node:
        logged: set[int] = set()
        said: set[tuple[int, bytes]] = set()
        for _ in range(6):
            batch, expected = [], []
            for _ in range(draw.randint(1, 6)):
                which = draw.randrange(len(bundles))
                if draw.random() < 0.3:
                    batch.append(bundles[which])
                    is_new = all(bundles[one].digest != bundles[which].digest for one in logged)
                    expected.append("accepted" if is_new else "duplicate")
                    logged.add(which)
                    continue
                place, agent = draw.randrange(6), draw.choice([KEY_A, KEY_B]).agent
                batch.append(by_bundle(pool[place], agent, bundles[which].digest))
                if all(bundles[one].digest != bundles[which].digest for one in logged):
                    expected.append("unknown-bundle")
                elif listed[which][0].agent != agent or place not in listed[which][1]:
                    expected.append("invalid-signature")
                else:
                    expected.append("duplicate" if (place, agent) in said else "accepted")
                    said.add((place, agent))
            assert write(node, *batch) == expected
