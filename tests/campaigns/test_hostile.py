"""A little of the hostile campaign: attacks end as they should, and an honest client does not notice."""

from collections.abc import Iterator

import pytest

from tests.campaigns.hostile_campaign import ENVIRONMENT, Memory, attack
from tests.support.servers import Server

ENDS = {
    "large-headers": {"431×1, closed"},
    "pipelining": {"200×17, closed"},
    "malformed": {"400×1, closed"},
    "unread-bodies": {"413×1, closed"},
}


@pytest.mark.parametrize("name", ENDS)
def test_attack_is_refused_and_an_honest_client_goes_on(server_under_attack: Server, name: str) -> None:
    row = attack(server_under_attack, Memory(server_under_attack.pid), name, 0.02)
    assert set(row.outcomes) == ENDS[name]
    assert (row.honest.failures, row.honest.refused) == (0, 0)
    assert row.memory_mb < 1_000


@pytest.fixture(scope="module")
def server_under_attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hostile") / "data", environ=ENVIRONMENT) as server:
        server.wait_listening()
        yield server
        ended = server.stop()
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output, ended.output
