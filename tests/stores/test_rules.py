"""The rules in force: who is an operator, as of when."""

from model import DatabaseRules
from stores import MemoryEngine, OperatorStore, OperatorWriter, RevocationWriter, RulesRow, Staging
from tests.support.events import KEY_A, KEY_B
from tests.support.values import REVOCATION_ROW, RULES_ROW, changed


def test_database_without_rules_has_the_defaults_and_no_operator() -> None:
    store = OperatorStore(Staging(MemoryEngine().snapshot()))
    assert (store.row(), store.rules()) == (None, DatabaseRules())
    assert not store.is_operator(KEY_A.agent)


def test_operator_is_one_whom_the_rules_name_and_whose_key_is_not_revoked() -> None:
    state = Staging(MemoryEngine().snapshot())
    OperatorWriter(state).put(RULES_ROW)
    RevocationWriter(state).put(REVOCATION_ROW)  # of KEY_B, at 22
    store = OperatorStore(state)
    assert store.is_operator(KEY_A.agent)
    assert not store.is_operator(bytes(32))
    assert [store.is_operator(KEY_B.agent, at) for at in (21, 22, 23, None)] == [True, False, False, False]


def test_rules_that_come_late_do_not_replace_newer_ones() -> None:
    state = Staging(MemoryEngine().snapshot())
    writer = OperatorWriter(state)
    writer.put(RULES_ROW)
    writer.put(RulesRow(RULES_ROW.seq - 1, 0, DatabaseRules()))
    assert writer.row() == RULES_ROW
    newer = changed(RULES_ROW, seq=RULES_ROW.seq + 1, rules=DatabaseRules())
    writer.put(newer)
    assert writer.row() == newer
