"""The ballot of an assertion: every vote on it with its effect, and the totals."""

from decimal import Decimal

from msgspec import UNSET

from episteme.errors import NotFound
from episteme.listings.context import Context
from episteme.listings.paging import Paging, text_place
from episteme.shapes import Ballot, VoteRecord
from stores import MICROS, AssertionStore, CastVote, VoteStore
from wal import wall_ms


def ballot(context: Context, paging: Paging, *, hash: bytes) -> Ballot:  # noqa: A002
    """Votes by hash, those without effect too.  Raises: NotFound."""
    subject = AssertionStore(context.reader).subject_of(hash)
    if subject is None:
        raise NotFound(f"no assertion {hash.hex()} up to seq {context.seq}")
    votes = VoteStore(context.reader)
    found = votes.ballot(subject, hash.hex(), after=paging.after(text_place), count_max=paging.limit + 1)
    shown, more = paging.cut(found, lambda one: one.digest.hex())
    tally = votes.tally(subject, hash.hex())
    return Ballot(
        hash=hash.hex(),
        subject=subject,
        count=tally.count,
        sum=_decimal(tally.sum_micros),
        weight=votes.weight(subject, hash.hex()),
        items=[_record(one) for one in shown],
        next=more,
        seq=context.seq,
    )


def _record(cast: CastVote) -> VoteRecord:
    event = cast.row.event
    return VoteRecord(
        hash=cast.digest.hex(),
        agent=event.agent,
        weight=event.weight,
        timestamp=event.timestamp,
        reason=None if event.reason is UNSET else event.reason,
        seq=cast.row.seq,
        time_ms=wall_ms(cast.row.time),
        effect=cast.effect,
        replaced_by=None if cast.replaced_by is None else cast.replaced_by.hex(),
    )


def _decimal(micros: int) -> str:
    """Millionths as an exact decimal without needless zeros."""
    text = f"{Decimal(micros) / MICROS:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
