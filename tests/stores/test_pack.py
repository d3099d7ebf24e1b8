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
