"""Fixtures of the tests of readers beside a writer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.log_writers import Asked, Child, MakeWriter, Writer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(params=["this process", "another process"])
def make_writer(request: pytest.FixtureRequest, folder: Path) -> Iterator[MakeWriter]:
    here: list[Writer] = []
    children: list[Child] = []

    def make(segment_bytes: int = 2**20, kept_min: int = 0, durability: str = "durable") -> Asked:
        if request.param == "this process":
            here.append(Writer(folder, segment_bytes, kept_min, durability))
            return here[-1]
        children.append(Child("tests.support.log_writers.serve", folder, segment_bytes, kept_min, durability))
        assert children[-1].line() == "ready"
        return children[-1]

    yield make
    for writer in here:
        writer.close()
    for child in children:
        child.end()
