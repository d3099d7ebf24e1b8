"""Signatures that other processes verify are judged as they are here, whatever becomes of those processes."""

import os
import signal
from collections.abc import Iterator

import pytest

from episteme.errors import EpistemeError
from episteme.gate import verify_all
from episteme.gate.helpers import HELPED_COUNT_MIN, Helpers
from model import Signature, SignedEvent, sign_bundle
from tests.support.events import KEY_A, KEY_B, make_assertion, signed


def forged(number: int) -> SignedEvent:
    claim = signed(make_assertion(timestamp=number), KEY_A, KEY_B)
    return SignedEvent(claim.event, claim.digest, (claim.signatures[0], Signature(KEY_B.agent, bytes(64))))


def batch() -> list[SignedEvent]:
    """Good ones, one of two signers whose second is forged, and one that a bundle vouches for."""
    bundle, vouched = sign_bundle([make_assertion(timestamp=9)], KEY_A, timestamp=1)
    good = [signed(make_assertion(timestamp=number), KEY_A, KEY_B) for number in range(3)]
    return [good[0], forged(5), bundle, *vouched, good[1], forged(6), good[2]]


def told(refusals: list[EpistemeError | None]) -> list[tuple[str, str] | None]:
    return [None if one is None else (one.code, one.detail) for one in refusals]


@pytest.fixture
def helpers() -> Iterator[Helpers]:
    started = Helpers(1)
    yield started
    started.close()


def test_they_say_what_this_process_would(helpers: Helpers) -> None:
    expected = told(verify_all(batch()))
    assert [one is None for one in expected].count(False) == 2
    for _ in range(3):
        assert told(helpers.verify_all(batch())) == expected


def test_one_that_was_killed_is_replaced_and_nothing_is_let_through(helpers: Helpers) -> None:
    assert told(helpers.verify_all(batch())) == told(verify_all(batch()))
    (helper,) = helpers._idle
    os.kill(helper.pid, signal.SIGKILL)
    assert told(helpers.verify_all(batch())) == told(verify_all(batch()))
    (other,) = helpers._idle
    assert other.pid != helper.pid
    assert told(helpers.verify_all(batch())) == told(verify_all(batch()))
    assert list(helpers._idle) == [other]


def test_one_that_stands_still_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("episteme.gate.helpers.ANSWER_WAIT_S", 0.05)
    helpers = Helpers(1)
    try:
        (helper,) = helpers._idle
        helper.has_answered = True
        os.kill(helper.pid, signal.SIGSTOP)
        large = batch() * 200  # more than a pipe holds
        assert told(helpers.verify_all(large)) == told(verify_all(large))
        assert helper not in helpers._idle
    finally:
        helpers.close()


def test_one_that_never_answered_is_not_tried_again(helpers: Helpers) -> None:
    (helper,) = helpers._idle
    os.kill(helper.pid, signal.SIGKILL)
    for _ in range(2):
        assert told(helpers.verify_all(batch())) == told(verify_all(batch()))
        assert not helpers._idle


def test_it_ends_with_whoever_asked_it(helpers: Helpers) -> None:
    (helper,) = helpers._idle
    assert helper.close() == 0


def test_after_the_close_this_process_verifies() -> None:
    helpers = Helpers(1)
    helpers.close()
    assert told(helpers.verify_all(batch())) == told(verify_all(batch()))


def test_a_few_are_verified_here() -> None:
    few = batch()[: HELPED_COUNT_MIN - 1]
    helpers = Helpers(1)
    (helper,) = helpers._idle
    helper.close()
    assert told(helpers.verify_all(few)) == told(verify_all(few))
    assert list(helpers._idle) == [helper]
    helpers.close()
