"""Epochs: whether one is hidden takes one get; a chain is walked with a bound, round no loop twice."""

from stores import EpochStore, EpochWriter, MemoryEngine, Staging, SupersededEpoch
from tests.support.stores import ALL, hash_hex


def hidden(*links: tuple[int, int]) -> Staging:
    """Each link: an older epoch, and the one that hides it."""
    state = Staging(MemoryEngine().snapshot())
    for older, newer in links:
        marker = SupersededEpoch(bytes.fromhex(hash_hex(newer)), "temporal", newer, 0)
        EpochWriter(state).put_superseded(hash_hex(older), marker)
    return state


def chain(state: Staging, start: int, count_max: int = ALL) -> list[int]:
    return [int(epoch_hex, 16) for epoch_hex in EpochStore(state).chain(hash_hex(start), count_max=count_max)]


def test_an_epoch_is_hidden_by_its_own_marker_whether_or_not_it_is_known() -> None:
    store = EpochStore(hidden((1, 2), (2, 3)))
    assert [store.is_superseded(hash_hex(number)) for number in (1, 2, 3)] == [True, True, False]
    assert [store.superseded(hash_hex(number)) is None for number in (1, 2, 3)] == [False, False, True]
    assert store.get(hash_hex(1)) is None


class CountingState(Staging):
    """Counts gets; an epoch needs no other read."""

    get_count = 0

    def get(self, key: bytes) -> bytes | None:
        self.get_count += 1
        return super().get(key)


def test_whether_an_epoch_is_hidden_takes_one_get_however_long_its_chain() -> None:
    engine = MemoryEngine()
    engine.commit(hidden(*((number, number + 1) for number in range(50))).batch)
    state = CountingState(engine.snapshot())
    assert EpochStore(state).is_superseded(hash_hex(0))
    assert state.get_count == 1


def test_a_chain_leads_to_what_hides_and_stops_at_its_bound() -> None:
    state = hidden((1, 2), (2, 3), (3, 4))
    assert chain(state, 1) == [1, 2, 3, 4]
    assert chain(state, 3) == [3, 4]
    assert chain(state, 9) == [9]
    assert chain(state, 1, count_max=2) == [1, 2]


def test_epochs_that_hide_each_other_are_walked_once() -> None:
    assert chain(hidden((1, 1)), 1) == [1]
    assert chain(hidden((1, 2), (2, 1)), 2) == [2, 1]
    assert chain(hidden((1, 2), (2, 3), (3, 2)), 1) == [1, 2, 3]


def test_an_epoch_is_hidden_from_the_position_of_its_marker_on() -> None:
    store = EpochStore(hidden((1, 2), (2, 3)))  # each at the position of the newer one's number
    assert [store.is_superseded(hash_hex(1), at) for at in (1, 2, None)] == [False, True, True]
    assert [len(store.chain(hash_hex(1), at=at, count_max=ALL)) for at in (1, 2, 3, None)] == [1, 2, 3, 3]


def test_what_hides_several_comes_in_the_order_asked() -> None:
    store = EpochStore(hidden((1, 2), (2, 3)))
    found = store.superseded_many([hash_hex(number) for number in (2, 9, 1)])
    assert found == [store.superseded(hash_hex(2)), None, store.superseded(hash_hex(1))]
