"""Rules of the database: written when they are given and differ, and by nobody who says nothing of them."""

from pathlib import Path

import pytest

from episteme import Node
from episteme.config import NodeConfig
from episteme.errors import EpistemeError
from episteme.rules import declare_rules
from model import DatabaseRules
from stores import OperatorStore
from tests.support.events import KEY_A, KEY_B, make_assertion, signed


def rules_in(folder: Path, **fields: object) -> tuple[DatabaseRules, int]:
    """The rules after an opening with these settings, and where the log ends."""
    with Node.open(folder, config=NodeConfig(**fields)) as node:  # type: ignore[arg-type]
        if node.end_seq >= 0:
            assert node.wait_applied(node.end_seq, 10)
        with node.reading() as reader:
            return OperatorStore(reader).rules(), node.end_seq


def test_an_opening_that_says_nothing_of_rules_leaves_them_and_the_log_alone(tmp_path: Path) -> None:
    assert rules_in(tmp_path) == (DatabaseRules(), -1)
    given = DatabaseRules(operators=(KEY_A.agent,), anecdotal_cluster_count=100, regulatory_conflict_micros=500_000)
    set_once = rules_in(
        tmp_path, operators=(KEY_A.agent_hex,), anecdotal_cluster_count=100, regulatory_conflict_micros=500_000
    )
    assert set_once == (given, 0)
    assert rules_in(tmp_path) == (given, 0)
    assert rules_in(tmp_path, operators=(KEY_A.agent_hex,)) == (given, 0)


def test_one_rule_that_is_given_leaves_the_others(tmp_path: Path) -> None:
    rules_in(tmp_path, operators=(KEY_A.agent_hex,), anecdotal_cluster_count=100)
    changed, end_seq = rules_in(tmp_path, operators=(KEY_B.agent_hex,))
    assert (changed, end_seq) == (DatabaseRules(operators=(KEY_B.agent,), anecdotal_cluster_count=100), 1)


def test_a_log_that_cannot_take_the_rules_is_told_as_any_other_failure(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node:
        node.log.close()
        with pytest.raises(EpistemeError):
            declare_rules(node.log, node.state, NodeConfig(operators=(KEY_A.agent_hex,)))
        with pytest.raises(EpistemeError):
            node.submit(signed(make_assertion()))
