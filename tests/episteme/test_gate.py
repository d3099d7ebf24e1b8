"""The gate: what is judged before the state, what is known already, and how much may wait."""

import threading
from pathlib import Path

import pytest

from episteme import Receipt
from episteme.errors import (
    EpistemeError,
    InvalidField,
    InvalidSignature,
    Malformed,
    NotReady,
    Overloaded,
    TooLarge,
    UnknownKind,
    WrongAudience,
)
from episteme.gate import IntakeOptions, admit, check_audience, split_lines
from episteme.gate.intake import Outcome
from episteme.gate.known import Known, RecentEvents, joined
from model import SignedEvent
from tests.support.envelopes import BAD_ENVELOPES, Bad, claim
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, make_assertion, signed
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.nodes import node_on

DATABASE = "d" * 32
LARGE = 256 * 1024
EVENT = signed(make_assertion(subject="event"))
BY_B = signed(make_assertion(subject="event"), KEY_B)
BY_BOTH = signed(make_assertion(subject="event"), KEY_A, KEY_B)
AGENT_A, AGENT_B = KEY_A.agent, KEY_B.agent


def forged(subject: str) -> SignedEvent:
    """A claim with the signature of another one."""
    event = signed(make_assertion(subject=subject))
    return SignedEvent(event.event, event.digest, EVENT.signatures)


# Admission.


def test_good_envelope_is_admitted_with_its_hash() -> None:
    assert admit(claim("event"), DATABASE, bytes_max=LARGE) == EVENT


@pytest.mark.parametrize(
    "bad",
    [bad for bad in BAD_ENVELOPES if bad.code not in ("invalid-signature", "unknown-bundle")],
    ids=lambda bad: bad.name,
)
def test_bad_envelope_is_refused_by_its_shape_alone(bad: Bad) -> None:
    with pytest.raises((Malformed, InvalidField, UnknownKind, WrongAudience)) as caught:
        admit(bad.body, DATABASE, bytes_max=LARGE)
    assert caught.value.code == bad.code


def test_envelope_is_measured_before_it_is_read() -> None:
    body = claim("event")
    assert admit(body, DATABASE, bytes_max=len(body)) == EVENT
    for data in (body, b"x" * len(body)):
        with pytest.raises(TooLarge):
            admit(data, DATABASE, bytes_max=len(body) - 1)


def test_audience_is_this_database_or_nobody_s() -> None:
    check_audience(signed(make_assertion(audience=DATABASE)), DATABASE)
    for event in (make_assertion(), *FULL_EVENTS[1:]):
        check_audience(signed(event), DATABASE)
    with pytest.raises(WrongAudience, match="elsewhere"):
        check_audience(signed(make_assertion(audience="elsewhere")), DATABASE)


def test_lines_keep_their_numbers_whatever_is_blank_between_them() -> None:
    assert list(split_lines(b"")) == []
    assert list(split_lines(b"a")) == [(1, b"a")]
    assert list(split_lines(b"\n a \r\n\r\n\t\nb\n\n")) == [(2, b"a"), (5, b"b")]


# What is known.


def test_signers_join_at_the_first_position() -> None:
    first = joined(None, 3, EVENT)
    assert first == Known(3, frozenset([AGENT_A]))
    assert joined(first, 7, BY_B) == Known(3, frozenset([AGENT_A, AGENT_B]))


def test_recent_event_is_found_until_the_state_knows_it() -> None:
    recent = RecentEvents()
    recent.add(3, EVENT, None)
    assert recent.find(EVENT.digest) == Known(3, frozenset([AGENT_A]))
    recent.forget_before(3)
    assert recent.find(EVENT.digest) is not None
    recent.forget_before(4)
    assert recent.find(EVENT.digest) is None
    assert len(recent) == 0


def test_event_with_two_positions_is_known_until_the_state_knows_both() -> None:
    recent = RecentEvents()
    recent.add(3, EVENT, None)
    recent.add(7, BY_B, recent.find(EVENT.digest))
    recent.forget_before(4)
    assert recent.find(EVENT.digest) == Known(3, frozenset([AGENT_A, AGENT_B]))
    recent.forget_before(7)
    assert recent.find(EVENT.digest) is not None
    recent.forget_before(8)
    assert recent.find(EVENT.digest) is None


def test_window_is_only_as_long_as_what_is_not_folded() -> None:
    recent = RecentEvents()
    for seq in range(100):
        recent.add(seq, signed(make_assertion(subject=f"event {seq}")), None)
        recent.forget_before(seq - 4)
    assert len(recent) == 5


def test_event_that_joins_one_which_the_state_knows_keeps_its_first_position() -> None:
    recent = RecentEvents()
    recent.add(9, BY_B, Known(2, frozenset([AGENT_A])))
    assert recent.find(EVENT.digest) == Known(2, frozenset([AGENT_A, AGENT_B]))


# The way in.


def test_batch_keeps_its_order_and_a_repeated_event_takes_one_position(tmp_path: Path) -> None:
    other = signed(make_assertion(subject="other"))
    with node_on(tmp_path) as node:
        outcomes = node.submit_many([EVENT, EVENT, other, BY_B, BY_BOTH, EVENT, other], "test")
        assert outcomes == [
            Receipt(EVENT.hash_hex, 0),
            Receipt(EVENT.hash_hex, 0, "duplicate"),
            Receipt(other.hash_hex, 1),
            Receipt(EVENT.hash_hex, 2),
            Receipt(EVENT.hash_hex, 0, "duplicate"),
            Receipt(EVENT.hash_hex, 0, "duplicate"),
            Receipt(other.hash_hex, 1, "duplicate"),
        ]
        assert node.end_seq == 2


def test_duplicates_are_known_before_and_after_the_fold_and_after_a_restart(tmp_path: Path) -> None:
    vote = signed(FULL_EVENTS[1])
    for restart in range(3):
        with node_on(tmp_path) as node:
            for event, seq in ((BY_BOTH, 0), (vote, 1)):
                outcome = node.submit(event, wait_s=WAIT_S)
                assert (outcome.seq, outcome.status == "duplicate") == (seq, restart > 0)
                assert node.submit(event) == Receipt(event.hash_hex, seq, "duplicate")
            assert node.submit(EVENT).status == "duplicate"
            assert node.end_seq == 1


def test_one_signature_that_does_not_verify_refuses_its_event_alone(tmp_path: Path) -> None:
    batch = [signed(make_assertion(subject=f"event {number}")) for number in range(70)]
    batch[33] = forged("forged")
    with node_on(tmp_path) as node:
        outcomes = node.submit_many(batch, "test")
        assert isinstance(outcomes[33], InvalidSignature)
        assert [one.seq for one in outcomes if isinstance(one, Receipt)] == list(range(69))
        assert node.end_seq == 68


def test_refused_signature_is_not_appended_and_does_not_make_the_event_known(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        with pytest.raises(InvalidSignature):
            node.submit(forged("later signed well"))
        assert node.end_seq == -1
        assert node.submit(signed(make_assertion(subject="later signed well"))).status == "accepted"


class Outcomes:
    """Where submit_later delivers."""

    def __init__(self) -> None:
        self.told: list[Outcome] = []
        self._each = threading.Semaphore(0)

    def deliver(self, outcome: Outcome) -> None:
        self.told.append(outcome)
        self._each.release()

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._each.acquire(timeout=WAIT_S), "an outcome was never told"


def test_outcomes_are_told_only_after_the_fsync_and_close_waits_for_them(tmp_path: Path) -> None:
    files, outcomes = FaultyFiles(), Outcomes()
    with node_on(tmp_path, files=files) as node:
        files.hold("sync")
        for number in range(50):
            node.submit_later(signed(make_assertion(subject=f"event {number}")), "test", outcomes.deliver)
        files.wait_held()
        assert outcomes.told == []
        files.release("sync")
    outcomes.wait(50)
    assert sorted(one.seq for one in outcomes.told if isinstance(one, Receipt)) == list(range(50))


def test_every_outcome_of_a_failed_commit_is_told(tmp_path: Path) -> None:
    files, outcomes = FaultyFiles(), Outcomes()
    with node_on(tmp_path, files=files) as node:
        files.fail("sync")
        for number in range(50):
            node.submit_later(signed(make_assertion(subject=f"event {number}")), "test", outcomes.deliver)
        outcomes.wait(50)
        assert {type(one).__name__ for one in outcomes.told} == {"LogFailed"}
        assert node.end_seq == -1


@pytest.mark.parametrize("options", [IntakeOptions(queue_count_max=0), IntakeOptions(lag_count_max=-1)])
def test_submission_over_a_bound_is_overloaded_at_once_and_told_when_to_come_back(
    tmp_path: Path, options: IntakeOptions
) -> None:
    outcomes = Outcomes()
    with node_on(tmp_path, intake=options) as node:
        with pytest.raises(Overloaded) as caught:
            node.submit_later(EVENT, "test", outcomes.deliver)
        assert caught.value.retry_after_s
        assert node.intake.waiting == 0
        assert node.end_seq == -1
    assert outcomes.told == []


def test_closed_intake_takes_nothing(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        node.submit(EVENT)
    for write in (
        lambda: node.submit(BY_B),
        lambda: node.submit_later(BY_B, "test", lambda _: None),
        lambda: list(node.ingest([BY_B])),
        lambda: node.intake.submit(BY_B, "test", lambda _: None),
        lambda: node.intake.ingest([BY_B], "test"),
    ):
        with pytest.raises(NotReady) as caught:
            write()
        assert isinstance(caught.value, EpistemeError)
