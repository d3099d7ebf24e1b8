"""Trust packs: a pack is a curator's name for a list."""

from stores import MemoryEngine, Staging, TrustPackStore, TrustPackWriter, pack_id
from tests.support.events import KEY_A, KEY_B
from tests.support.stores import ALL
from tests.support.values import PACK_ROW, changed


def test_versions_of_a_pack_share_an_id_and_the_last_one_kept_is_read() -> None:
    state = Staging(MemoryEngine().snapshot())
    TrustPackWriter(state).put(PACK_ROW)
    TrustPackWriter(state).put(changed(PACK_ROW, version=4, members=()))
    [(pack_hex, row)] = TrustPackStore(state).packs(count_max=ALL)
    assert pack_hex == pack_id(PACK_ROW.curator, PACK_ROW.name)
    assert (row.version, row.members) == (4, ())


def test_curators_and_names_make_different_packs() -> None:
    ids = {pack_id(key.agent, name) for key in (KEY_A, KEY_B) for name in ("curated", "curated ", "größe")}
    assert len(ids) == 6
    assert all(len(one) == 64 for one in ids)


def test_the_id_of_a_pack_never_changes() -> None:
    assert pack_id(KEY_A.agent, "curated") == "5995eb3d77514c99ad3a8e02cc65f583a1ddb83be1e7da80c19041f7a83e5748"


def test_version_as_of_a_position_is_the_highest_by_then() -> None:
    state = Staging(MemoryEngine().snapshot())
    versions = [changed(PACK_ROW, version=version, seq=seq) for version, seq in ((1, 3), (2, 7), (9, 2**40))]
    for row in versions:
        TrustPackWriter(state).put(row)
    store, pack_hex = TrustPackStore(state), pack_id(PACK_ROW.curator, PACK_ROW.name)
    found = [store.as_of(pack_hex, at) for at in (2, 3, 6, 7, 2**40 - 1, 2**40, None)]
    assert [row and row.version for row in found] == [None, 1, 1, 2, 2, 9, 9]
    assert store.positions(pack_hex, count_max=ALL) == [3, 7, 2**40]
    TrustPackWriter(state).put(changed(versions[-1], seq=2**50))
    assert store.get(pack_hex) == versions[-1], "of equal versions the first stays"


def test_version_that_comes_late_holds_until_the_next_and_after_it_only_if_it_is_the_highest() -> None:
    for late, expected in ((2, [2, 5, 5]), (9, [9, 9, 9])):
        state = Staging(MemoryEngine().snapshot())
        for version, seq in ((5, 7), (late, 3)):
            TrustPackWriter(state).put(changed(PACK_ROW, version=version, seq=seq))
        found = [TrustPackStore(state).as_of(pack_id(PACK_ROW.curator, PACK_ROW.name), at) for at in (3, 7, None)]
        assert [row and row.version for row in found] == expected
