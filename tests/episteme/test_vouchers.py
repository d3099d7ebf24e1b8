"""Vouchers in memory and on the disk: bounded, and none is lost where all are wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.vouchers import AllVouchers, Vouchers
from model import InvalidSignature, Signature, SignedEvent, UnknownBundle, Voucher, sign_bundle
from tests.support.events import KEY_A, KEY_B, NOW_MS, make_assertion


def voucher(count: int) -> Voucher:
    return Voucher(KEY_A.agent, frozenset(bytes([count, at]) * 16 for at in range(count)))


def test_the_voucher_used_least_recently_goes_when_there_are_too_many_hashes() -> None:
    held = Vouchers(listed_count_max=10)
    assert held.put(b"a", voucher(4)) == held.put(b"b", voucher(5)) == []
    assert held.find(b"a") == voucher(4)
    assert held.put(b"c", voucher(3)) == [(b"b", voucher(5))]
    assert [held.find(name) is None for name in (b"a", b"b", b"c")] == [False, True, False]
    assert held.put(b"c", voucher(3)) == []
    assert held.put(b"d", voucher(200)) == [(b"a", voucher(4)), (b"c", voucher(3))]
    assert len(held) == 1
    held.clear()
    assert (len(held), b"d" in held) == (0, False)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(1, 12), st.data())
def test_every_bundle_of_a_log_is_found_however_little_is_held_in_memory(
    sizes: list[int], listed_count_max: int, data: st.DataObject
) -> None:
    made = [
        sign_bundle([make_assertion(subject=f"{number}.{at}") for at in range(size)], KEY_A, NOW_MS)
        for number, size in enumerate(sizes)
    ]
    with AllVouchers(listed_count_max) as bundles:
        for place, (bundle, _) in enumerate(made):
            assert bundles.check(bundle)
            _, events = made[data.draw(st.integers(0, place))]
            one = data.draw(st.sampled_from(events))
            assert bundles.check(one)
            other = made[data.draw(st.integers(0, len(made) - 1))][0]
            moved = SignedEvent(one.event, one.digest, (Signature(KEY_A.agent, other.digest),))
            if other.digest != one.signatures[0].signature:
                with pytest.raises((InvalidSignature, UnknownBundle)):
                    bundles.check(moved)
            with pytest.raises(InvalidSignature):
                bundles.check(SignedEvent(one.event, one.digest, (Signature(KEY_B.agent, bundle.digest),)))


def test_an_event_whose_bundle_may_have_been_lost_is_told_of_and_one_that_is_wrong_is_refused() -> None:
    bundle, (one,) = sign_bundle([make_assertion()], KEY_A, NOW_MS)
    with AllVouchers() as bundles:
        with pytest.raises(UnknownBundle):
            bundles.check(one)
        bundles.lose()
        assert not bundles.check(one)
        assert bundles.check(bundle)
        assert bundles.check(one)
        with pytest.raises(UnknownBundle):
            bundles.check(SignedEvent(bundle.event, bundle.digest, (Signature(KEY_A.agent, bundle.digest),)))
