"""Every setting, with its unit, its default and the reason for it.

The text beside a type is what `episteme serve --help` and `episteme config list` say of the setting: both, the
variables of the environment and the keys of the file are made of these structs (episteme/settings).

Source: docs/operations.md, "Settings".
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from cortex import RunnerOptions, StateOptions
from episteme.audit.options import AuditOptions
from episteme.gate import ENVELOPE_BYTES_MAX, EVENT_BYTES_MAX, IntakeOptions, QuotaOptions
from model import FieldRule, agent_of
from stores import StoreOptions
from wal import LogOptions, Retention

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 18180
DEFAULT_DATA: Final = Path("episteme-data")
DEFAULT_URL: Final = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"


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
    operators: Annotated[
        tuple[str, ...], "keys that govern, as hex or did:key; none given: those that the log names go on"
    ] = ()
    # None: as the log says, which at first is 500 and 800,000.
    anecdotal_cluster_count: Annotated[
        int | None,
        Meta(ge=1),
        "anecdotal claims on a pair, and none better, that raise an escalation; none: as the log says",
    ] = None
    regulatory_conflict_micros: Annotated[
        int | None,
        Meta(ge=0, le=1_000_000),
        "conflict among a pair's regulatory claims that raises one, in millionths; none: as the log says",
    ] = None
    envelope_bytes_max: Annotated[int, Meta(ge=1), "one event on the paths of assertions, votes and epochs"] = (
        ENVELOPE_BYTES_MAX
    )
    event_bytes_max: Annotated[int, Meta(ge=1), "one event where any kind is taken"] = EVENT_BYTES_MAX
    wait_s_max: Annotated[float, "how long a read or a write may ask to wait for the fold"] = 30.0
    catch_up_wait_s: Annotated[
        float, "how long opening waits for the fold; after that writes are told to come back"
    ] = 5.0
    read_wait_s: Annotated[float, "how long min_seq waits when the reader does not say"] = 2.0
    disk_reserve_bytes: Annotated[
        int | None,
        Meta(ge=0),
        "room that writes leave free for the fold, snapshots and the next start; none: an eighth of the file system, "
        "256 MiB at most",
    ] = None
    ready_lag_count_max: Annotated[
        int, Meta(ge=0), "events not folded beyond which /readyz says so: some two seconds' work of the fold"
    ] = 50_000
    ready_lag_s_max: Annotated[float, "how long an event may wait for the fold until /readyz says so"] = 30.0

    def __post_init__(self) -> None:
        """Refuse what would break the promise of a receipt: the log is the truth, all of it, on the disk."""
        if self.log.durability != "durable":
            raise ValueError(f"log.durability is {self.log.durability!r}; the database's log is always 'durable'")
        if self.log.retention != Retention():
            raise ValueError("log.retention is set; the database's log keeps everything")
        force_setattr(self, "operators", tuple(map(_operator, self.operators)))
        force_setattr(self, "read_wait_s", min(self.read_wait_s, self.wait_s_max))  # nobody may wait for longer


class ServerConfig(Struct, frozen=True, kw_only=True):
    """The HTTP edge."""

    host: Annotated[str, "the address to listen on"] = DEFAULT_HOST
    port: Annotated[int, Meta(ge=0, le=65_535), "0: any free one, printed at the start"] = DEFAULT_PORT
    workers: Annotated[
        int,
        Meta(ge=1, le=64),
        "processes that take connections and verify; 1: the one that keeps the log does it all",
    ] = 1
    # Who may ask.  Writes prove themselves by their signatures besides.
    tokens_required: Annotated[
        bool | None, "whether everybody needs an API token; none: only if the address is not loopback"
    ] = None
    public: Annotated[
        bool, "serve an address that others can reach, tokens or not; without it, not while there are no tokens"
    ] = False
    allowed_hosts: Annotated[
        tuple[str, ...], "names in Host besides loopback ones; on another address none given: any"
    ] = ()
    cors_origins: Annotated[tuple[str, ...], "whose web pages may read answers; *: anybody's"] = ()
    quotas: Annotated[bool | None, "whether writers pay tokens; none: only if the address is not loopback"] = None
    # What one connection may take, and how long.
    header_bytes_max: Annotated[int, Meta(ge=1024), "request line and headers"] = 32 * 1024
    header_s_max: Annotated[
        float, Meta(ge=0.01), "from the first byte, or from the connection, to the end of the headers"
    ] = 10.0
    idle_s_max: Annotated[float, Meta(ge=0.01), "between two requests of one connection"] = 75.0
    body_s_max: Annotated[float, Meta(ge=0.01), "how long a body may take: a slow one must not keep its place"] = 30.0
    connections_max: Annotated[int, Meta(ge=1), "connections at a time; fewer if the limit of open files is lower"] = (
        4096
    )
    connections_per_address_max: Annotated[
        int | None, Meta(ge=1), "of one address; none: as many as connections_max"
    ] = None
    streams_max: Annotated[int, Meta(ge=1), "tails and long polls at a time"] = 1024
    stream_idle_s: Annotated[float, Meta(ge=0.01), "a tail that has nothing to say says so, so that both ends know"] = (
        15.0
    )
    stream_write_s_max: Annotated[float, Meta(ge=0.01), "how long a reader of a tail may take nothing"] = 60.0
    ingest_bytes_max: Annotated[int, Meta(ge=1), "one ingest, decoded, if it came compressed"] = 16 * 1024 * 1024
    ingest_lines_max: Annotated[
        int, Meta(ge=1), "lines of one ingest, without a bundle on the first one that signs the others"
    ] = 10_000
    ingest_bodies_max: Annotated[
        int, Meta(ge=1), "ingests read or waiting at a time: each holds up to its whole body in memory"
    ] = 16
    bodies_bytes_max: Annotated[
        int, Meta(ge=0), "what bodies of single events may hold in memory at a time, beyond 64 KiB each, unpacked"
    ] = 256 * 1024 * 1024
    ingest_threads: Annotated[int, Meta(ge=1), "ingests at work at a time"] = 4
    compress_bytes_min: Annotated[int, "smaller answers cost more to compress than to send"] = 1024
    read_threads: Annotated[int, Meta(ge=1), "full reads at a time, off the event loop"] = 4
    reads_waiting_max: Annotated[
        int, Meta(ge=0), "full reads that wait for a thread, of each kind: some seconds' work"
    ] = 256
    drain_s: Annotated[int, "how long SIGTERM waits for requests in flight"] = 10
    # What the process says of itself on stderr.
    log_format: Annotated[Literal["human", "json"], "how lines of the process's own log look"] = "human"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], "the least that is worth a line"] = "warning"
    access_log: Annotated[bool, "a line for each request"] = False


def _operator(text: str) -> str:
    try:
        return agent_of(text).hex()
    except FieldRule as rule:
        raise ValueError(f"operators has {text[:80]!r}, which {rule.detail}") from rule
