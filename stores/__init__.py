"""Atomic state: KV engines, the hybrid store, typed stores.  Source: docs/format-keys.md."""

from stores.assertion import AssertionRow, AssertionStore, AssertionWriter, RowSignature
from stores.digest import state_digest, state_postings, state_rows
from stores.engines.hybrid import HybridSnapshot, HybridStore, StoreOptions
from stores.engines.memory import MemoryEngine
from stores.errors import (
    StoreClosed,
    StoreError,
    StoreFailed,
    StoreLocked,
    UnsupportedStore,
    UnsupportedValue,
)
from stores.event import EventRow, EventStore, EventWriter
from stores.index import IndexStore, IndexWriter, Posting
from stores.kv import KV, SCAN_COUNT_MAX, Batch, Reader, Snapshot
from stores.meta import MetaStore, MetaWriter
from stores.staging import Staging
from stores.view import GroupRow, Resolution, Status, ViewRow, ViewStore, ViewWriter
from stores.vote import MICROS, NO_VOTES, LiveVote, Tally, VoteRow, VoteStore, VoteWriter

__all__ = [
    "KV",
    "MICROS",
    "NO_VOTES",
    "SCAN_COUNT_MAX",
    "AssertionRow",
    "AssertionStore",
    "AssertionWriter",
    "Batch",
    "EventRow",
    "EventStore",
    "EventWriter",
    "GroupRow",
    "HybridSnapshot",
    "HybridStore",
    "IndexStore",
    "IndexWriter",
    "LiveVote",
    "MemoryEngine",
    "MetaStore",
    "MetaWriter",
    "Posting",
    "Reader",
    "Resolution",
    "RowSignature",
    "Snapshot",
    "Staging",
    "Status",
    "StoreClosed",
    "StoreError",
    "StoreFailed",
    "StoreLocked",
    "StoreOptions",
    "Tally",
    "UnsupportedStore",
    "UnsupportedValue",
    "ViewRow",
    "ViewStore",
    "ViewWriter",
    "VoteRow",
    "VoteStore",
    "VoteWriter",
    "state_digest",
    "state_postings",
    "state_rows",
]
