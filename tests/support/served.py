"""A node behind its edge and its protocol, in this process: with the direct path, or without it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from episteme.config import NodeConfig, ServerConfig
from episteme.node import Node
from episteme.server.app import Application
from episteme.server.connections import Connections
from episteme.server.direct import Direct
from episteme.server.edge import edge_of
from episteme.server.journal import AccessLog
from episteme.server.metrics import Metrics
from episteme.server.protocol import GuardedProtocol, guarded
from episteme.server.shortcut import shortcut
from episteme.tokens import TOKENS_FILE, TokenScope, TokenStore
from tests.support.events import KEY_A, NOW_MS
from tests.support.guarded import Guarded
from tests.support.nodes import node_on
from wal import Files

# Tokens by what they are for; the same on every server of these.
SCOPES: Final[dict[str, tuple[TokenScope, ...]]] = {"reader": ("read",), "writer": ("write",), "agent": ("read",)}


class Served(Guarded):
    """What may be asked over a socket, and what it counted."""

    def __init__(self, node: Node, config: ServerConfig, *, is_direct: bool, tokens: dict[str, str]) -> None:
        self.node = node
        self.tokens = tokens
        self._application = Application(node, config)
        self._edge = edge = edge_of(node, self._application, config, "127.0.0.1")
        journal = AccessLog(edge) if config.access_log else None
        self.direct = Direct(edge, self._application.hot(), config.header_bytes_max, journal)

        def protocol(guards: Connections) -> type[GuardedProtocol]:
            if is_direct:
                return shortcut(guards, edge.refusal_headers, self.direct)
            return guarded(guards, edge.refusal_headers)

        super().__init__(journal or edge, config, protocol)

    @property
    def metrics(self) -> Metrics:
        return self._application.metrics

    def counted(self) -> Counter[tuple[str, ...]]:
        """How many exchanges of each route, method and status, and how many refusals of each code."""
        answered: Counter[tuple[str, ...]] = Counter()
        for family in self.metrics.collect():
            for sample in family.samples:
                if sample.name == "episteme_http_request_seconds_count":
                    answered[tuple(sample.labels.values())] += int(sample.value)
                elif sample.name in ("episteme_http_refusals_total", "episteme_http_in_flight"):
                    answered[(sample.name, *sample.labels.values())] += int(sample.value)
        return answered

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._edge.close()
        self._application.close()


@contextmanager
def served(
    folder: Path,
    config: ServerConfig = ServerConfig(),  # noqa: B008  (immutable)
    *,
    is_direct: bool = True,
    node_config: NodeConfig = NodeConfig(),  # noqa: B008  (immutable)
    files: Files | None = None,
) -> Iterator[Served]:
    """A server of its own on a folder; two of them answer alike, for they have one clock, one log id and one key."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = count(1)
    store = TokenStore(
        folder / TOKENS_FILE, clock_ms=lambda: NOW_MS, random_bytes=lambda size: next(numbers).to_bytes(size, "big")
    )
    tokens = {
        name: store.create(name, scopes, agent=KEY_A.agent if name == "agent" else None).token
        for name, scopes in SCOPES.items()
    }
    with (
        node_on(folder, config=node_config, files=files) as node,
        Served(node, config, is_direct=is_direct, tokens=tokens) as server,
    ):
        yield server
