"""Every setting, with its unit, its default and the reason for it.

Source: docs/operations.md, "Settings".
"""

import re
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from cortex import RunnerOptions, StateOptions
from episteme.audit.options import AuditOptions
from episteme.gate import ENVELOPE_BYTES_MAX, EVENT_BYTES_MAX, IntakeOptions, QuotaOptions
from stores import StoreOptions
from wal import LogOptions, Retention

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 18180
DEFAULT_DATA: Final = Path("episteme-data")
DEFAULT_URL: Final = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"

_AGENT: Final = re.compile(r"[0-9a-f]{64}")


class NodeConfig(Struct, frozen=True, kw_only=True):
    """The database itself, without its edge."""

    log: LogOptions = LogOptions()
    store: StoreOptions = StoreOptions()
    # One event that cannot be folded must not keep all others from their readers: it is listed, and shows.
    state: StateOptions = StateOptions(fold=RunnerOptions(on_error="dead-letter"))
    intake: IntakeOptions = IntakeOptions()
    quota: QuotaOptions = QuotaOptions()
    audit: AuditOptions = AuditOptions()
    # Rules of the database, written into its log where they differ from what it says (docs/governance.md).
    operators: tuple[str, ...] = ()  # public keys in hex that govern; none: those that the log names go on
    # None: as the log says, which at first is 500 and 800,000.
    anecdotal_cluster_count: int | None = None  # anecdotal claims on a pair, and none better, that raise an escalation
    regulatory_conflict_micros: int | None = None  # conflict among a pair's regulatory claims that does, in millionths
    envelope_bytes_max: int = ENVELOPE_BYTES_MAX  # on the paths of assertions, votes and epochs
    event_bytes_max: int = EVENT_BYTES_MAX  # where any kind is taken
    wait_s_max: float = 30.0  # how long a read or a write may ask to wait for the fold
    catch_up_wait_s: float = 5.0  # how long opening waits for the fold; after that writes are told to come back
    read_wait_s: float = 2.0  # how long min_seq waits when the reader does not say

    def __post_init__(self) -> None:
        """Refuse what would break the promise of a receipt: the log is the truth, all of it, on the disk."""
        if self.log.durability != "durable":
            raise ValueError(f"log.durability is {self.log.durability!r}; the database's log is always 'durable'")
        if self.log.retention != Retention():
            raise ValueError("log.retention is set; the database's log keeps everything")
        for operator in self.operators:
            if not _AGENT.fullmatch(operator):
                raise ValueError(f"operators has {operator[:80]!r}; a public key is 64 lower-case hex digits")


class ServerConfig(Struct, frozen=True, kw_only=True):
    """The HTTP edge."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT  # 0: any free one, printed at the start
    # Who may ask.  Writes prove themselves by their signatures besides.
    tokens_required: bool | None = None  # whether everybody needs an API token; None: only if not on loopback
    public: bool = False  # an address that is not loopback is refused without it while there are no tokens
    allowed_hosts: tuple[str, ...] = ()  # names in Host besides loopback ones; on another address none given: any
    cors_origins: tuple[str, ...] = ()  # whose pages may read answers; "*": anybody's
    quotas: bool | None = None  # whether writers pay tokens; None: only if the address is not loopback
    # What one connection may take, and how long.
    header_bytes_max: int = 32 * 1024  # request line and headers
    header_s_max: float = 10.0  # from the first byte, or from the connection, to the end of the headers
    idle_s_max: float = 75.0  # between two requests of one connection
    body_s_max: float = 30.0  # how long a body may take: a slow one must not keep its place
    connections_max: int = 4096
    connections_per_address_max: int | None = None  # None: as many as connections_max
    streams_max: int = 1024  # tails and long polls at a time
    stream_idle_s: float = 15.0  # a tail that has nothing to say says so, so that both ends know
    stream_write_s_max: float = 60.0  # how long a reader of a tail may take nothing
    ingest_bytes_max: int = 16 * 1024 * 1024  # decoded, if it came compressed
    ingest_lines_max: int = 10_000
    ingest_bodies_max: int = 16  # read or waiting at a time: each holds up to its whole body in memory
    ingest_threads: int = 4
    compress_bytes_min: int = 1024  # smaller answers cost more to compress than to send
    read_threads: int = 4  # full reads run off the event loop
    drain_s: int = 10  # how long SIGTERM waits for requests in flight
    # What the process says of itself on stderr.
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    access_log: bool = False  # a line for each request
