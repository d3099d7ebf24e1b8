"""One server for the commands of this folder, and a home for their keys."""

from collections.abc import Iterator

import pytest

from tests.support.command import Command
from tests.support.servers import Server, shared


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Running, and shared: a test writes about subjects of its own."""
    with shared(tmp_path_factory.mktemp("cli")) as running:
        yield running


@pytest.fixture(scope="session")
def episteme(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command line, talking to the shared server, with a key of its own."""
    command = Command(tmp_path_factory.mktemp("home"), EPISTEME_URL=server.url)
    assert command("keygen").code == 0
    return command
