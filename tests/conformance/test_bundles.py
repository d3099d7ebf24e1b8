"""Signatures by bundle through the one API, in process and over HTTP, where clients verify all that they are told."""

from collections.abc import Iterator

import pytest

from episteme.errors import InvalidField, InvalidParameter, InvalidSignature, NotFound, UnknownBundle
from model import Bundle, Event, Signature, SignedEvent, bundles_at_hand, encode_envelope, sign_bundle
from tests.support.databases import WAIT_S, Database
from tests.support.events import HASH_1, KEY_A, KEY_B, NOW_MS, make_assertion, make_vote, signed

PREDICATE = "causes_muscle_loss"


def claims(subject: str, count: int) -> list[Event]:
    return [make_assertion(subject=subject, timestamp=number) for number in range(count)]


def test_events_that_are_signed_by_a_bundle_are_claims_like_any_other(db: Database) -> None:
    bundle, events = sign_bundle([*claims("by bundle", 3), make_vote(subject="by bundle")], KEY_A, NOW_MS)
    results = list(db.ingest([encode_envelope(bundle), *events]))
    assert [one.status for one in results] == ["accepted"] * 5
    last = results[-1].seq
    answer = db.query("by bundle", PREDICATE, min_seq=last, wait_s=WAIT_S)
    assert (answer.candidates_count, answer.groups[0].support) == (3, 1)
    assert answer.winner is not None
    assert answer.winner.assertion.signatures[0].bundle == bundle.hash_hex
    stored = db.get(events[0].hash_hex)
    assert [(one.agent, one.bundle) for one in stored.signatures] == [(KEY_A.agent_hex, bundle.hash_hex)]
    page = db.assertions(subject="by bundle")
    assert [one.hash for one in page.items] == [one.hash_hex for one in events[:3]]
    assert db.get_event(events[3].hash_hex).signatures[0].bundle == bundle.hash_hex
    lines = [line for line in db.tail(follow=False, subject="by bundle") if line.event is not None]
    assert [line.hash for line in lines] == [one.hash_hex for one in events]


def test_a_bundle_can_be_read_and_proves_each_of_its_events_alone(db: Database) -> None:
    bundle, events = sign_bundle(claims("proven", 2), KEY_A, NOW_MS)
    receipt = db.submit(bundle, wait_s=WAIT_S)
    written = db.submit(events[1], wait_s=WAIT_S)
    found = db.get_bundle(bundle.hash_hex)
    assert (found.hash, found.seq, found.agents) == (bundle.hash_hex, receipt.seq, [KEY_A.agent_hex])
    assert found.event == bundle.event == db.get_event(bundle.hash_hex).event
    at_hand = bundles_at_hand([SignedEvent(found.event, bytes.fromhex(found.hash), bundle.signatures)])
    stored = db.get(written.hash)
    SignedEvent(stored.event, events[1].digest, events[1].signatures).verify(at_hand)
    for missing in (HASH_1, written.hash):
        with pytest.raises(NotFound):
            db.get_bundle(missing)


def test_an_event_without_its_bundle_and_one_that_it_does_not_list_are_refused(db: Database) -> None:
    bundle, (listed,) = sign_bundle(claims("refused by bundle", 1), KEY_A, NOW_MS)
    other = signed(make_assertion(subject="refused by bundle"))
    unlisted = SignedEvent(other.event, other.digest, (Signature(KEY_A.agent, bundle.digest),))
    with pytest.raises(UnknownBundle) as unknown:
        db.submit(listed)
    results = list(db.ingest([listed, bundle, unlisted, listed]))
    assert [one.code or one.status for one in results] == [
        "unknown-bundle",
        "accepted",
        "invalid-signature",
        "accepted",
    ]
    with pytest.raises(InvalidSignature) as wrong:
        db.submit(unlisted)
    for refused in (unknown.value, wrong.value):
        assert [problem.pointer for problem in refused.errors] == ["/signatures/0/bundle"]


def test_an_iterable_is_signed_in_bundles_and_has_one_result_for_each_event(db: Database) -> None:
    events = claims("in bundles", 7)
    before = db.status().log.seq
    results = list(db.ingest_bundled(iter([*events, events[0]]), bundle_size=3))
    assert [(one.line, one.status) for one in results[:7]] == [(number, "accepted") for number in range(1, 8)]
    assert (results[7].line, results[7].status, results[7].seq) == (8, "duplicate", results[0].seq)
    lines = [line for line in db.tail(before, follow=False) if isinstance(line.event, Bundle)]
    assert [len(line.event.events) for line in lines if isinstance(line.event, Bundle)] == [3, 3, 2]
    again = list(db.ingest_bundled(events))
    assert [one.status for one in again] == ["duplicate"] * 7
    assert list(db.ingest_bundled([])) == []
    (alone,) = db.ingest_bundled(claims("alone", 1))
    assert alone.seq is not None
    stored = db.get(alone.hash or "", min_seq=alone.seq, wait_s=WAIT_S)
    assert isinstance(stored.signatures[0].signature, str)  # a bundle of one is not made


def test_an_iterable_of_what_this_key_cannot_sign_is_refused(db: Database) -> None:
    bundle, _ = sign_bundle(claims("x", 1), KEY_A, NOW_MS)
    foreign = make_vote(agent=KEY_B.agent_hex)
    unsigned: tuple[list[Event], ...] = ([make_assertion(), foreign], [foreign], [bundle.event] * 2, [bundle.event])
    for events in (*unsigned, [bundle]):
        with pytest.raises(InvalidField):
            list(db.ingest_bundled(events))  # type: ignore[arg-type]
    for size in (0, 10_001):
        with pytest.raises(InvalidParameter):
            list(db.ingest_bundled([make_assertion()], bundle_size=size))


def test_claims_of_two_agents_in_bundles_of_their_own_join(db: Database) -> None:
    event = make_assertion(subject="joined by bundles")
    by_a, (one,) = sign_bundle([event], KEY_A, NOW_MS)
    by_b, (two,) = sign_bundle([event], KEY_B, NOW_MS)
    both = SignedEvent(event, one.digest, (*one.signatures, *two.signatures))
    *_, last = db.ingest([by_a, by_b, both])
    assert last.seq is not None
    stored = db.get(both.hash_hex, min_seq=last.seq, wait_s=WAIT_S)
    assert [signature.bundle for signature in stored.signatures] == [by_a.hash_hex, by_b.hash_hex]
    assert db.query(event.subject, PREDICATE).groups[0].support == 2


def _lazily(events: list[Event], pulled: list[int]) -> Iterator[Event]:
    for number, event in enumerate(events):
        pulled.append(number)
        yield event


def test_bundles_of_an_iterable_are_sent_as_it_is_read(db: Database) -> None:
    pulled: list[int] = []
    results = db.ingest_bundled(_lazily(claims("lazily", 5000), pulled), bundle_size=500)
    assert next(iter(results)).status == "accepted"
    assert len(pulled) < 5000
    assert sum(1 for _ in results) == 4999
