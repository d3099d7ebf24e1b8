"""Trust packs: whom curators vouch for."""

import msgspec

from episteme.errors import NotFound
from episteme.listings.context import Context
from episteme.listings.paging import Paging, text_place
from episteme.shapes import PackReport, PackSummary, PackWeight, Page
from stores import MICROS, TrustPackRow, TrustPackStore
from wal import wall_ms


def packs(context: Context, paging: Paging) -> Page[PackSummary]:
    """Packs in the order of their ids, each in the version that counts."""
    found = list(TrustPackStore(context.reader).packs(after=paging.after(text_place), count_max=paging.limit + 1))
    shown, more = paging.cut(found, lambda one: one[0])
    return Page([_summary(pack, row) for pack, row in shown], more, context.seq)


def pack_report(context: Context, *, pack: str) -> PackReport:
    """One pack with its members.  Raises: NotFound."""
    row = TrustPackStore(context.reader).get(pack)
    if row is None:
        raise NotFound(f"no trust pack {pack} up to seq {context.seq}")
    members = [PackWeight(member.agent.hex(), member.weight_micros / MICROS) for member in row.members]
    return PackReport(**msgspec.structs.asdict(_summary(pack, row)), members=members)


def _summary(pack: str, row: TrustPackRow) -> PackSummary:
    return PackSummary(
        pack=pack,
        name=row.name,
        curator=row.curator.hex(),
        version=row.version,
        members_count=len(row.members),
        note=row.note,
        hash=row.digest.hex(),
        seq=row.seq,
        time_ms=wall_ms(row.time),
    )
