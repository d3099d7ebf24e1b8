"""Claims are kept once, with every signature that has joined and the place where each stood first."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from episteme.folds import LoggedEvent, decode_frame
from model import (
    FRAME_KIND_EVENT,
    Alias,
    BooleanValue,
    Receipt,
    SignedEvent,
    UnsupportedRecord,
    bundles_at_hand,
    encode_record,
    sign_bundle,
)
from stores import (
    AssertionStore,
    EventStore,
    IndexStore,
    MemoryEngine,
    Posting,
    Reader,
    ViewStore,
    VoteStore,
)
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, NOW_MS, make_assertion, make_vote, signed
from tests.support.histories import KEYS, fold, logged
from tests.support.stores import ALL
from wal import Frame

CLAIM = make_assertion()
DIGEST = signed(CLAIM).digest
PAIR = ("Semaglutide", "causes_muscle_loss")


def folded(folder: Path, events: Sequence[SignedEvent], cuts: Sequence[int] = ()) -> tuple[Reader, list[LoggedEvent]]:
    log_id, read_back = logged(folder, events)
    engine = MemoryEngine()
    fold(engine, log_id, read_back, cuts)
    return engine.snapshot(), read_back


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 3]])
def test_signatures_join_the_claim_that_has_the_same_hash(tmp_path: Path, cuts: list[int]) -> None:
    said = [signed(CLAIM, KEY_B), signed(make_vote(assertion=DIGEST.hex())), signed(CLAIM, KEY_A, KEY_B, KEYS[0])]
    reader, events = folded(tmp_path, [*said, signed(CLAIM, KEYS[1]), signed(CLAIM, KEY_A)], cuts)
    row = AssertionStore(reader).find(DIGEST)
    assert row is not None
    expected = [(KEY_B.agent, 0), (KEY_A.agent, 2), (KEYS[0].agent, 2), (KEYS[1].agent, 3)]
    assert [(one.agent, one.seq) for one in row.signatures] == expected
    assert (row.seq, row.time) == (0, events[0].time)
    row.signed(DIGEST).verify()


def test_duplicate_changes_nothing_but_the_cursor_and_the_place_of_the_view(tmp_path: Path) -> None:
    reader, events = folded(tmp_path, [signed(CLAIM), signed(CLAIM), signed(CLAIM)])
    assert IndexStore(reader).of_pair(*PAIR, count_max=ALL) == [Posting(0, DIGEST)]
    assert IndexStore(reader).of_subject(PAIR[0], count_max=ALL) == [Posting(0, DIGEST)]
    row, view = AssertionStore(reader).find(DIGEST), ViewStore(reader).get(*PAIR)
    assert row is not None
    assert view is not None
    assert ([one.seq for one in row.signatures], row.seq) == ([0], 0)
    assert (view.seq, view.time) == (2, events[2].time)


def test_claims_are_listed_in_log_order_whatever_their_timestamps(tmp_path: Path) -> None:
    claims = [make_assertion(timestamp=NOW_MS - number, object=BooleanValue(number % 2 == 0)) for number in range(20)]
    reader, _ = folded(tmp_path, [signed(claim) for claim in claims], [3, 9])
    expected = [Posting(seq, signed(claim).digest) for seq, claim in enumerate(claims)]
    assert IndexStore(reader).of_pair(*PAIR, count_max=ALL) == expected


def test_full_claim_is_read_back_as_it_was_signed(tmp_path: Path) -> None:
    full = signed(FULL_EVENTS[0], KEY_A, KEY_B)
    reader, _ = folded(tmp_path, [full])
    row = AssertionStore(reader).find(full.digest)
    assert row is not None
    assert row.signed(full.digest) == full


def test_who_signed_by_a_bundle_is_kept_with_its_hash_in_place_of_a_signature(tmp_path: Path) -> None:
    bundle, (claim, vote) = sign_bundle([CLAIM, make_vote(assertion=DIGEST.hex())], KEY_A, NOW_MS)
    reader, _ = folded(tmp_path, [bundle, claim, vote, signed(CLAIM, KEY_B), signed(CLAIM)])
    row = AssertionStore(reader).find(DIGEST)
    assert row is not None
    own = signed(CLAIM, KEY_B).signatures[0].signature
    assert [(one.signature, one.seq, one.bundle) for one in row.signatures] == [(b"", 1, bundle.digest), (own, 3, None)]
    row.signed(DIGEST).verify(bundles_at_hand([bundle]))
    kept = VoteStore(reader).get(CLAIM.subject, DIGEST.hex(), vote.hash_hex)
    assert kept is not None
    assert kept.signatures == vote.signatures
    found = EventStore(reader).get(bundle.digest)
    assert found is not None
    assert (found.kind, found.seq, found.agents) == ("bundle", 0, (KEY_A.agent,))


def test_every_other_kind_is_kept_with_its_first_place_and_its_signers(tmp_path: Path) -> None:
    others = [signed(event) for event in FULL_EVENTS[1:]]
    joined = [signed(one.event, KEY_B, KEY_A) for one in others]
    reader, _ = folded(tmp_path, [*others, *joined], [5])
    for seq, one in enumerate(others):
        row = EventStore(reader).get(one.digest)
        assert row is not None
        assert (row.seq, row.agents) == (seq, (KEY_A.agent, KEY_B.agent))
        assert row.kind == one.event.__struct_config__.tag
    assert list(IndexStore(reader).subjects(count_max=ALL)) == []


def test_parent_that_is_missing_or_elsewhere_is_no_obstacle(tmp_path: Path) -> None:
    lost = make_assertion(parent_hash="9" * 64)
    elsewhere = make_assertion(subject="Ozempic", parent_hash=signed(lost).hash_hex)
    reader, _ = folded(tmp_path, [signed(elsewhere), signed(lost)])
    for claim in (lost, elsewhere):
        view = ViewStore(reader).get(claim.subject, claim.predicate)
        assert view is not None
        assert view.resolution.winner == signed(claim).digest


def test_child_that_comes_before_its_parent_still_takes_its_place(tmp_path: Path) -> None:
    parent = make_assertion(lifecycle="under_review", timestamp=NOW_MS + 5)
    child = make_assertion(lifecycle="approved", parent_hash=signed(parent).hash_hex)
    winners = set()
    for number, order in enumerate([[child, parent], [parent, child]]):
        reader, _ = folded(tmp_path / str(number), [signed(claim) for claim in order])
        view = ViewStore(reader).get(*PAIR)
        assert view is not None
        winners.add((view.resolution.winner, view.resolution.candidates_count))
    assert winners == {(signed(child).digest, 1)}


def test_claim_that_is_moved_to_deprecated_leaves_the_view_empty(tmp_path: Path) -> None:
    gone = make_assertion(lifecycle="deprecated", parent_hash=signed(CLAIM).hash_hex, timestamp=NOW_MS + 1)
    reader, _ = folded(tmp_path, [signed(CLAIM), signed(gone)], [1])
    view = ViewStore(reader).get(*PAIR)
    assert view is not None
    assert (view.resolution.status, view.resolution.winner, view.winner) == ("none", None, None)


def test_view_does_not_change_with_events_of_other_pairs(tmp_path: Path) -> None:
    other = make_assertion(predicate="other")
    alias = Alias(v=2, agent=KEY_A.agent_hex, timestamp=NOW_MS, subject=PAIR[0], same_as="other")
    lone, _ = folded(tmp_path / "1", [signed(CLAIM)])
    crowd, _ = folded(tmp_path / "2", [signed(CLAIM), signed(other), signed(alias)])
    assert ViewStore(lone).get(*PAIR) == ViewStore(crowd).get(*PAIR)


def test_frame_of_another_kind_or_a_damaged_record_is_refused() -> None:
    payload = encode_record(signed(CLAIM), Receipt("test"))
    frame = Frame(seq=3, time=1, kind=FRAME_KIND_EVENT, flags=0, payload=payload)
    event = decode_frame(frame)
    assert (event.seq, event.time, event.digest, event.signatures) == (3, 1, DIGEST, signed(CLAIM).signatures)
    assert (event.kind, event.subject, event.predicate, event.assertion) == ("assertion", *PAIR, "")
    assert event.event == CLAIM
    for broken in (
        replace(frame, kind=3),
        replace(frame, payload=payload[:-1]),
        replace(frame, payload=payload + b"x"),
    ):
        with pytest.raises(UnsupportedRecord):
            decode_frame(broken)
