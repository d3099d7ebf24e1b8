"""One server for all the tests of this folder that need no server of their own."""

from collections.abc import Iterator

import pytest

from tests.support.servers import Server, shared


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Running, and shared: a test writes about subjects of its own."""
    with shared(tmp_path_factory.mktemp("server")) as running:
        yield running
