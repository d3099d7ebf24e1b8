"""The short version of the campaign of workers."""

from pathlib import Path

from tests.campaigns.workers_campaign import campaign


def test_no_receipt_is_lost_or_moved_whoever_of_a_server_is_killed(tmp_path: Path) -> None:
    found = campaign(tmp_path, seconds=3.0, seed=3)
    assert found["receipts"] > 0
    assert any(name.startswith("workers ended") for name in found)
