"""Any event by its hash: an assertion from the state, any other kind from its place in the log."""

from typing import Final

from episteme.errors import NotFound
from episteme.listings.context import Context
from episteme.reading import make_stored
from episteme.stored import StoredBundle, StoredEvent
from model import FRAME_KIND_EVENT, Bundle, decode_record, kind_of, to_envelope
from stores import AssertionStore, EventRow, EventStore
from wal import wall_ms

_BUNDLE: Final = "bundle"


def stored_event(context: Context, *, hash: bytes) -> StoredEvent:  # noqa: A002  (the parameter's name in the path)
    """An event as it was signed.  Raises: NotFound."""
    row = EventStore(context.reader).get(hash)
    if row is not None:
        return _from_log(context, hash, row)
    assertion = AssertionStore(context.reader).find(hash)
    if assertion is None:
        raise NotFound(f"no event {hash.hex()} up to seq {context.seq}")
    told = make_stored(hash, assertion)
    return StoredEvent(
        told.hash,
        kind_of(told.event),
        told.seq,
        told.time_ms,
        told.event,
        told.signatures,
        [one.agent for one in told.signatures],
        None,
    )


def bundle(context: Context, *, hash: bytes) -> StoredBundle:  # noqa: A002  (the parameter's name in the path)
    """A bundle as it was signed.  Raises: NotFound."""
    row = EventStore(context.reader).get(hash)
    if row is None or row.kind != _BUNDLE:
        raise NotFound(f"no bundle {hash.hex()} up to seq {context.seq}")
    told = _from_log(context, hash, row)
    assert isinstance(told.event, Bundle), f"{told.hash} is listed as a bundle"
    return StoredBundle(told.hash, told.seq, told.time_ms, told.event, told.signatures, told.agents)


def _from_log(context: Context, digest: bytes, row: EventRow) -> StoredEvent:
    frame = context.log.get(row.seq)
    if frame.kind != FRAME_KIND_EVENT or frame.lost:
        raise NotFound(f"event {digest.hex()} stood at seq {row.seq}, where a repair of the log found nothing whole")
    record = decode_record(frame.payload)
    return StoredEvent(
        digest.hex(),
        row.kind,
        row.seq,
        wall_ms(frame.time),
        record.event,
        to_envelope(record.event, record.signatures).signatures,
        [agent.hex() for agent in row.agents],
        row.since,
    )
