"""The short version of the kill campaign."""

from pathlib import Path

from tests.crash.kill_campaign import campaign


def test_nothing_acknowledged_is_lost_and_nothing_counts_twice_after_kills(tmp_path: Path) -> None:
    found = campaign(tmp_path, kills=3, writers=16, seed=7, alive_s=(0.1, 0.5))
    assert found["acknowledged"] > 100
