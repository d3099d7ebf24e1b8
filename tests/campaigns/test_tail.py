"""The short version of the tail campaign."""

from pathlib import Path

from tests.campaigns.tail_campaign import campaign


def test_readers_that_read_hang_up_or_stop_miss_nothing_and_see_nothing_twice(tmp_path: Path) -> None:
    found = campaign(tmp_path, readers=24, rate=1500, seconds=1.5, seed=7, stopped=0)
    assert (found["gaps"], found["repeats"]) == (0, 0)
    assert found["connections"] > found["readers"]
    assert found["lines"] == found["readers"] * (found["written"] + 1)  # and the rules of the database
    assert found["stopped_at_most_at"] < found["written"] / 2
