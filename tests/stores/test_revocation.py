"""Revocations: from their position in the log on."""

from stores import MemoryEngine, RevocationStore, RevocationWriter, Staging
from tests.support.events import KEY_A, KEY_B
from tests.support.values import REVOCATION_ROW


def test_a_key_speaks_until_its_revocation_and_not_at_it_nor_after() -> None:
    state = Staging(MemoryEngine().snapshot())
    RevocationWriter(state).put(REVOCATION_ROW)
    store = RevocationStore(state)
    assert [store.is_revoked(KEY_B.agent_hex, seq) for seq in (0, 21, 22, 23, 2**40)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert not store.is_revoked(KEY_A.agent_hex, 2**40)
    assert store.get_many([KEY_A.agent, KEY_B.agent]) == [None, REVOCATION_ROW]
