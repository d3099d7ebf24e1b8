"""What tests of this folder share: a server, the guarded protocol before an echo, and a node with a small log."""

from collections.abc import Iterator
from typing import Final

import pytest

from episteme.config import ServerConfig
from episteme.node import Node
from model import decode_envelope
from tests.support.echo import SHORT_S, Echo
from tests.support.envelopes import claim, vote_on
from tests.support.events import KEY_B
from tests.support.guarded import Guarded
from tests.support.nodes import node_on
from tests.support.servers import Server, shared

_SUBJECTS: Final = ("Semaglutide", "Sema", "Tesla", "Zürich")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Running, and shared: a test writes about subjects of its own."""
    with shared(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture
def patient(app: Echo) -> Iterator[Guarded]:
    """The limits of a server as it comes."""
    with Guarded(app, ServerConfig()) as running:
        yield running


@pytest.fixture
def hasty(app: Echo) -> Iterator[Guarded]:
    """A tenth of a second for everything."""
    with Guarded(
        app,
        ServerConfig(
            header_s_max=SHORT_S, idle_s_max=SHORT_S, body_s_max=SHORT_S, stream_write_s_max=SHORT_S, connections_max=3
        ),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Eight claims about four subjects, and a vote; nobody writes more."""
    with node_on(tmp_path_factory.mktemp("log")) as opened:
        for number in range(8):
            opened.submit(decode_envelope(claim(_SUBJECTS[number % 4], confidence=f"0.{number}1")))
        voted = opened.tail(follow=False, subject="Tesla")
        opened.submit(decode_envelope(vote_on("Tesla", str(next(voted).hash), KEY_B, agent=KEY_B.agent_hex)))
        yield opened
