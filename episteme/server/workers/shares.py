"""What each process of a server with workers may take of what the settings bound for the whole server.

Numbers of things at a time are divided among the workers, rounded up; times and
sizes of one thing are the same for each.  How connections are spread is the
system's to decide: one worker may be full while another has room.
"""

from operator import attrgetter
from typing import Final

import msgspec

from episteme.config import NodeConfig, ServerConfig
from episteme.settings import SETTINGS, Value

_DIVIDED: Final = (
    "connections_max",
    "connections_per_address_max",
    "ingest_bodies_max",
    "bodies_bytes_max",
    "ingest_threads",
    "read_threads",
    "reads_waiting_max",
)
_FOREVER_S: Final = 365 * 86_400.0


def settings_of_one(server: ServerConfig, node: NodeConfig) -> dict[str, Value]:
    """All settings of one worker, by name."""
    holders = {"server": of_one(server), "node": node_of_one(node, server.workers)}
    return {name: attrgetter(name)(holders[setting.part]) for name, setting in SETTINGS.items()}


def of_one(config: ServerConfig) -> ServerConfig:
    """The settings of one worker."""
    found = {name: getattr(config, name) for name in _DIVIDED}
    divided = {name: _part(most, config.workers) for name, most in found.items() if most is not None}
    return msgspec.structs.replace(config, **divided)


def node_of_one(config: NodeConfig, workers: int) -> NodeConfig:
    """Those of the part of a node that is in a worker."""
    return msgspec.structs.replace(config, intake=config.intake._replace(threads=_part(config.intake.threads, workers)))


def for_workers(config: ServerConfig) -> ServerConfig:
    """Those of the connections that workers hand over: they are bounded, and timed, where they come from."""
    return msgspec.structs.replace(
        config,
        connections_max=2 * config.connections_max,
        connections_per_address_max=None,
        idle_s_max=_FOREVER_S,
        header_s_max=_FOREVER_S,
        stream_write_s_max=2 * config.stream_write_s_max,
    )


def _part(whole: int, count: int) -> int:
    return -(-whole // count)
