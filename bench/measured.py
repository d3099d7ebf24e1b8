"""What a measurement gives, and the names of rows and columns; shared by limits, rows of ours and peers."""

from typing import Final, NamedTuple

POST_MANY: Final = "post-64"  # single POSTs over 64 connections: /s
POST_ONE: Final = "post-1"  # single POSTs over one connection: median seconds
INGEST: Final = "ingest"  # individually signed claims, until the last one is readable: claims/s
BUNDLES: Final = "bundles"  # claims signed in bundles, until the last one is readable: claims/s
QUERY: Final = "query"  # GET /v1/query answered by the view, 64 connections: /s
FULL: Final = "full"  # GET /v1/query by a full read of 20 candidates, 64 connections: /s, with p99
READABLE: Final = "readable"  # from the answer to a POST until a query sees it, under half load: median seconds
IMPORT: Final = "import"  # rows of a CSV file, until readable: claims/s
# Of peers alone, bench/peers/README.md:
GROUPED: Final = "post-64-grouped"  # single POSTs to a peer with a group commit of its own: /s
APPEND_ONE: Final = "append-1"  # durable appends without HTTP, one after another: /s
APPEND_MANY: Final = "append-64"  # the same with 64 under way, or 64 at a time: /s
FOLDED: Final = "tasks-folded"  # tasks created in bursts of 100, the last of each waited for: /s

LIMIT: Final = "limit"  # whose a figure is, if not software's
BARE: Final = "bare Starlette"
OURS: Final = "ours"
HELD: Final = "ours, large store"  # the same, while the store holds many claims


class Key(NamedTuple):
    """Which figure: the work, and who did it."""

    row: str
    who: str


class Measured(NamedTuple):
    """One value of one row in one round."""

    value: float  # operations a second, or seconds, as the row says
    p99_s: float | None = None
    cpu_us: float | None = None  # processor time of the server for one operation, where it was measured
    load_us: float | None = None  # processor time of the load generator for one operation
    note: str = ""  # a short remark for the table: "10 claims a commit"


class Unavailable(Exception):
    """A row or a peer that cannot be measured here; its text is the reason, in one line."""
