"""A clock that is stepped back by hours: order holds, nothing breaks, and it is said once."""

import logging
from pathlib import Path

import pytest

from episteme.audit import AuditOptions
from episteme.config import NodeConfig
from episteme.gate import QuotaOptions
from episteme.node import Node
from tests.support.clocks import Clock
from tests.support.events import KEY_A
from tests.support.faulty_files import WAIT_S

HOUR_MS = 3_600_000
CONFIG = NodeConfig(
    quota=QuotaOptions(enabled=True, tokens_per_hour=10_000), audit=AuditOptions(enabled=True, linger_ms=0)
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def open_node(folder: Path, clock: Clock) -> Node:
    return Node.open(folder, key=KEY_A, config=CONFIG, clock_ms=clock)


def times_of(node: Node) -> list[int]:
    return [frame.time for frame in node.log.read_from(0, count_max=100, bytes_max=10**6)]


def write(node: Node, *values: str) -> None:
    for value in values:
        assert node.assert_("s", "p", value, wait_s=WAIT_S).status == "applied"


def test_times_grow_and_reads_quotas_decay_and_audits_go_on_while_the_clock_is_hours_behind(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with open_node(tmp_path, clock) as node:
        write(node, "one", "two")
        asked = [node.query("s", "p").audit_id]
        clock.now_ms -= 5 * HOUR_MS
        write(node, "three", "four")
        answer = node.query("s", "p", decay="12h")
        assert answer.candidates_count == 4
        asked.append(answer.audit_id)
        assert [line.id for line in node.audits(order="oldest").items] == sorted(filter(None, asked))
        standing = node.intake.standing([KEY_A.agent])
        assert standing is not None
        assert 0 < standing.remaining < standing.limit - 4 * 10, "what was spent before the step counts on"
        assert 0 < standing.reset_s <= 3600
        assert (node.status().ready, node.fold_lag_s) == (True, 0)
    with open_node(tmp_path, clock) as node:
        write(node, "five")
        times = times_of(node)
        assert times == sorted(set(times))
        assert node.query("s", "p").candidates_count == 5
        clock.now_ms += 6 * HOUR_MS
        write(node, "six")
        assert times_of(node)[-1] >> 16 == clock.now_ms
    said = [record for record in caplog.records if "the clock is" in record.getMessage()]
    assert len([one for one in said if "audit" not in one.getMessage()]) == 2, "once for each opening"
