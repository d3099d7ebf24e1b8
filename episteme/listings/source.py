"""Sources, and what rests on them."""

from episteme.errors import NotFound
from episteme.listings.context import ClaimPlace, Context
from episteme.listings.lineage import descendants_of
from episteme.listings.paging import Paging, number_place, text_place
from episteme.shapes import (
    Impact,
    ImpactedAnswer,
    ImpactedClaim,
    Page,
    Relative,
    SourceReport,
    SourceStep,
    SourceSummary,
)
from stores import AliasStore, AssertionStore, LineageStore, SourceRecord, SourceStatus, SourceStore
from wal import wall_ms


def sources(context: Context, paging: Paging) -> Page[SourceSummary]:
    """Sources in the order of their hashes."""
    found = list(SourceStore(context.reader).sources(after=paging.after(text_place), count_max=paging.limit + 1))
    shown, more = paging.cut(found, lambda one: one[0])
    return Page([_summary(source, record) for source, record in shown], more, context.seq)


def source_report(context: Context, *, source: str) -> SourceReport:
    """One source with all its statuses.  Raises: NotFound for one that nobody has registered."""
    record = SourceStore(context.reader).get(source)
    if record is None:
        raise NotFound(f"no source {source} is registered up to seq {context.seq}")
    return SourceReport(
        source_hash=source,
        label=record.label,
        url=record.url,
        status=record.statuses[-1].status,
        content_hash=None if record.content_hash is None else record.content_hash.hex(),
        content_bytes=record.content_bytes,
        statuses=[_step(status) for status in record.statuses],
    )


def impact(context: Context, paging: Paging, *, source: str) -> Impact:
    """What rests on a source, registered or not: a page of assertions in log order, and what followed from those.

    Descendants and answers are each at most as many as the page may have items.
    """
    reader = context.reader
    postings = LineageStore(reader).of_source(source, after=paging.after(number_place), count_max=paging.limit + 1)
    shown, more = paging.cut(postings, lambda posting: posting.seq)
    digests = [posting.digest for posting in shown]
    claims = _claims(context, digests)
    descendants, is_cut = descendants_of(reader, digests, count_max=paging.limit)
    answers, is_whole = _answers(context, claims, descendants, paging.limit)
    return Impact(
        source_hash=source,
        items=claims,
        next=more,
        descendants=descendants,
        answers=answers,
        truncated=is_cut or not is_whole,
        seq=context.seq,
    )


def _claims(context: Context, digests: list[bytes]) -> list[ImpactedClaim]:
    found = []
    for digest, row in zip(digests, AssertionStore(context.reader).find_many(digests), strict=True):
        assert row is not None, f"{digest.hex()} is listed but not there"
        event = row.event
        found.append(
            ImpactedClaim(digest.hex(), row.seq, event.subject, event.predicate, event.object, event.lifecycle)
        )
    return found


def _answers(
    context: Context, claims: list[ImpactedClaim], descendants: list[Relative], count_max: int
) -> tuple[list[ImpactedAnswer], bool]:
    """Audited answers that rest on any of them, whichever alias was asked about, and whether these are all."""
    named: list[tuple[str | None, str | None, str]] = [(one.subject, one.predicate, one.hash) for one in claims]
    named += [(one.subject, one.predicate, one.hash) for one in descendants]
    places = [
        ClaimPlace(name, predicate, bytes.fromhex(hash_hex))
        for subject, predicate, hash_hex in named
        if subject is not None and predicate is not None
        for name in AliasStore(context.reader).same(subject)
    ]
    return context.answers.using(places, count_max=count_max)


def _summary(source: str, record: SourceRecord) -> SourceSummary:
    newest = record.statuses[-1]
    return SourceSummary(source, record.label, record.url, newest.status, newest.seq, wall_ms(newest.time))


def _step(status: SourceStatus) -> SourceStep:
    return SourceStep(status.status, status.agent.hex(), status.digest.hex(), status.seq, wall_ms(status.time))
