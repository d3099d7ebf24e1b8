"""Every listing of every typed store: whole, bounded, and the same when it is read page by page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from stores import (
    AliasRow,
    AliasStore,
    AliasWriter,
    AuditStore,
    AuditWriter,
    EpochRow,
    EpochStore,
    EpochWriter,
    EscalationPlace,
    EscalationStore,
    EscalationWriter,
    GoldRow,
    GoldStore,
    GoldWriter,
    HybridStore,
    IndexStore,
    IndexWriter,
    JudgementId,
    LineageStore,
    LineageWriter,
    LiveVote,
    LogPlace,
    MemoryEngine,
    PackMemberRow,
    Posting,
    PredicateRow,
    PredicateStore,
    PredicateWriter,
    QuotaLimitRow,
    QuotaStore,
    QuotaUse,
    QuotaWriter,
    Reader,
    RevocationRow,
    RevocationStore,
    RevocationWriter,
    SourceStore,
    SourceWriter,
    Staging,
    SupersessionRow,
    SupersessionStore,
    SupersessionWriter,
    TrustPackRow,
    TrustPackStore,
    TrustPackWriter,
    TrustRank,
    TrustRankStore,
    TrustRankWriter,
    VoteRow,
    VoteStore,
    VoteWriter,
    pack_posting,
)
from tests.support.events import FULL_EVENTS, KEY_A, make_vote
from tests.support.stores import ALL, SMALL, hash_hex
from tests.support.values import (
    AUDIT,
    EPOCH_ROW,
    ESCALATION,
    JUDGEMENT,
    SOURCE_RECORD,
    changed,
)

A: Final = hash_hex(10)
NUMBERS: Final = (0, 1, 9, 10, 15, 16, 255, 256, 2**32, 2**40)
SUBJECTS: Final = ("A", "Zug", "Zug:p", "Zürich", "a", "日本")


class Listing(NamedTuple):
    """What fills a store, how a page of it is read, what the next page is asked after, and what it should all give."""

    fill: Callable[[Staging], None]
    page: Callable[[Reader, Any, int], Any]
    place_of: Callable[[Any], Any]
    places: Sequence[Any]


def digest(number: int) -> bytes:
    return bytes.fromhex(hash_hex(number))


def made_up(number: int) -> str:
    return f"{number:032x}"


def each(items: Sequence[Any], write: Callable[[Any, Any], None]) -> Callable[[Any], None]:
    """Write the items in an order that is not theirs."""

    def fill(state: Any) -> None:
        for item in (*items[1::2], *items[::2]):
            write(state, item)

    return fill


def in_order(items: Sequence[Any], write: Callable[[Any, Any], None]) -> Callable[[Any], None]:
    def fill(state: Any) -> None:
        for item in items:
            write(state, item)

    return fill


def asked(number: int) -> str:
    """The id of an audit, two at every time, so that a page may end between them."""
    return f"{number // 2:012x}{number:020x}"


def _audit(state: Staging, number: int) -> None:
    AuditWriter(state).put(asked(number), AUDIT)


def _escalation(state: Staging, number: int) -> None:
    EscalationWriter(state).put(made_up(number), changed(ESCALATION, raised=LogPlace(number, number // 2)))


def _vote(state: Staging, number: int) -> None:
    VoteWriter(state).put(digest(number), VoteRow(make_vote(assertion=A), (), number, 0))


def _gold(state: Staging, pair: tuple[str, str]) -> None:
    GoldWriter(state).put(GoldRow(changed(FULL_EVENTS[5], subject=pair[0], predicate=pair[1]), digest(1), 0, 0))


def _limit(state: Staging, number: int) -> None:
    QuotaWriter(state).put_limit(QuotaLimitRow(changed(FULL_EVENTS[7], for_agent=hash_hex(number)), digest(1), 0, 0))


def _said(state: Staging, number: int) -> None:
    event = changed(FULL_EVENTS[3], assertion=A)
    SupersessionWriter(state).put_said(SupersessionRow(event, digest(number), (), number, 0, -1))


def _trust(state: Staging, number: int) -> None:
    TrustRankWriter(state).put(A, TrustRank(number, 0, 0, number, 0))


PAIRS: Final = tuple((subject, predicate) for subject in SUBJECTS for predicate in ("p", "p:q", "é"))
HASHES: Final = tuple(map(hash_hex, range(7)))
ASKED: Final = [asked(number) for number in range(9)]
PLACES: Final = [(number // 2, made_up(number)) for number in range(9)]

LISTINGS: Final[dict[str, Listing]] = {
    "assertions of a subject": Listing(
        each(NUMBERS, lambda state, n: IndexWriter(state).add("Zug", f"p{n}", Posting(n, digest(99)))),
        lambda reader, after, n: IndexStore(reader).of_subject("Zug", after=after, count_max=n),
        lambda posting: posting,
        [Posting(n, digest(99)) for n in NUMBERS],
    ),
    "assertions of a pair": Listing(
        each(NUMBERS, lambda state, n: IndexWriter(state).add("Zug", "p", Posting(n, digest(99)))),
        lambda reader, after, n: IndexStore(reader).of_pair("Zug", "p", after=after, count_max=n),
        lambda posting: posting,
        [Posting(n, digest(99)) for n in NUMBERS],
    ),
    "predicates": Listing(
        each(SUBJECTS, lambda state, text: IndexWriter(state).add("Zug", text, Posting(1, digest(1)))),
        lambda reader, after, n: IndexStore(reader).predicates("Zug", after=after, count_max=n),
        lambda predicate: predicate,
        SUBJECTS,
    ),
    "subjects": Listing(
        each(SUBJECTS, lambda state, text: IndexWriter(state).add(text, "p", Posting(1, digest(1)))),
        lambda reader, after, n: IndexStore(reader).subjects(after=after, count_max=n),
        lambda subject: subject,
        SUBJECTS,
    ),
    "votes": Listing(
        each(range(7), _vote),
        lambda reader, after, n: VoteStore(reader).votes("Semaglutide", A, after=after, count_max=n),
        lambda row: hash_hex(row.seq),
        HASHES,
    ),
    "live votes": Listing(
        each(HASHES, lambda state, agent: VoteWriter(state).put_live("Zug", A, agent, LiveVote(0, 0, 0, b""))),
        lambda reader, after, n: VoteStore(reader).live_votes("Zug", A, after=after, count_max=n),
        lambda line: line[0],
        HASHES,
    ),
    "gold standards of a subject": Listing(
        each(SUBJECTS, lambda state, text: _gold(state, ("Zug", text))),
        lambda reader, after, n: GoldStore(reader).of_subject("Zug", after=after, count_max=n),
        lambda row: row.event.predicate,
        SUBJECTS,
    ),
    "pairs with a gold standard": Listing(
        each(PAIRS, _gold),
        lambda reader, after, n: GoldStore(reader).pairs(after=after, count_max=n),
        lambda pair: pair,
        PAIRS,
    ),
    "judgements": Listing(
        each(
            [(gold, agent) for gold in HASHES[:3] for agent in HASHES[3:]],
            lambda state, which: GoldWriter(state).put_judgement("Zug", A, JudgementId(*which), JUDGEMENT),
        ),
        lambda reader, after, n: GoldStore(reader).judgements("Zug", A, after=after, count_max=n),
        lambda line: line[0],
        [(gold, agent) for gold in HASHES[:3] for agent in HASHES[3:]],
    ),
    "changes of trust": Listing(
        in_order(NUMBERS, _trust),
        lambda reader, after, n: TrustRankStore(reader).changes(A, after=after, count_max=n),
        lambda change: change.after.seq,
        NUMBERS,
    ),
    "trust ranks": Listing(
        each(HASHES, lambda state, agent: TrustRankWriter(state).put(agent, TrustRank(1, 0, 0, 0, 0))),
        lambda reader, after, n: TrustRankStore(reader).ranks(after=after, count_max=n),
        lambda line: line[0],
        HASHES,
    ),
    "trust packs": Listing(
        each(
            range(6),
            lambda state, n: TrustPackWriter(state).put(
                TrustPackRow(KEY_A.agent, f"pack {n}", 1, (PackMemberRow(digest(n), 1),), None, digest(n), n, 0)
            ),
        ),
        lambda reader, after, n: TrustPackStore(reader).packs(after=after, count_max=n),
        lambda line: line[0],
        (),  # ids are hashes: what matters is that they ascend
    ),
    "hours of use": Listing(
        each(NUMBERS[:8], lambda state, n: QuotaWriter(state).put(A, n, QuotaUse(n, 0, 0))),
        lambda reader, after, n: QuotaStore(reader).windows(A, after=after, count_max=n),
        lambda line: line[0],
        NUMBERS[:8],
    ),
    "limits": Listing(
        each(range(7), _limit),
        lambda reader, after, n: QuotaStore(reader).limits(after=after, count_max=n),
        lambda row: row.event.for_agent,
        HASHES,
    ),
    "epochs": Listing(
        each(range(7), lambda state, n: EpochWriter(state).put(hash_hex(n), EpochRow(EPOCH_ROW.event, n, 0))),
        lambda reader, after, n: EpochStore(reader).epochs(after=after, count_max=n),
        lambda line: line[0],
        HASHES,
    ),
    "supersessions that were said": Listing(
        each(NUMBERS, _said),
        lambda reader, after, n: SupersessionStore(reader).said(A, after=after, count_max=n),
        lambda row: row.seq,
        NUMBERS,
    ),
    "sources": Listing(
        each(HASHES, lambda state, source: SourceWriter(state).put(source, SOURCE_RECORD)),
        lambda reader, after, n: SourceStore(reader).sources(after=after, count_max=n),
        lambda line: line[0],
        HASHES,
    ),
    "aliases": Listing(
        each(
            SUBJECTS,
            lambda state, text: AliasWriter(state).put(
                AliasRow(changed(FULL_EVENTS[9], subject=text), digest(1), 0, 0)
            ),
        ),
        lambda reader, after, n: AliasStore(reader).aliases(after=after, count_max=n),
        lambda row: row.event.subject,
        SUBJECTS,
    ),
    "predicate rules": Listing(
        each(
            SUBJECTS,
            lambda state, text: PredicateWriter(state).put(
                PredicateRow(changed(FULL_EVENTS[8], predicate=text), digest(1), 0, 0)
            ),
        ),
        lambda reader, after, n: PredicateStore(reader).predicates(after=after, count_max=n),
        lambda row: row.event.predicate,
        SUBJECTS,
    ),
    "revocations": Listing(
        each(
            HASHES,
            lambda state, agent: RevocationWriter(state).put(
                RevocationRow(changed(FULL_EVENTS[10], revoked=agent), digest(1), 0, 0)
            ),
        ),
        lambda reader, after, n: RevocationStore(reader).revocations(after=after, count_max=n),
        lambda row: row.event.revoked,
        HASHES,
    ),
    "audits": Listing(
        each(range(9), _audit),
        lambda reader, after, n: AuditStore(reader).everybodys().oldest(after=after, count_max=n),
        lambda query_id: query_id,
        ASKED,
    ),
    "audits of an agent, oldest first": Listing(
        each(range(9), _audit),
        lambda reader, after, n: AuditStore(reader).of_agent(KEY_A.agent_hex).oldest(after=after, count_max=n),
        lambda query_id: query_id,
        ASKED,
    ),
    "audits of an agent, newest first": Listing(
        each(range(9), _audit),
        lambda reader, after, n: AuditStore(reader).of_agent(KEY_A.agent_hex).newest(before=after, count_max=n),
        lambda query_id: query_id,
        ASKED[::-1],
    ),
    "audits of a pair, oldest first": Listing(
        each(range(9), _audit),
        lambda reader, after, n: AuditStore(reader).of_pair("Semaglutide", "p").oldest(after=after, count_max=n),
        lambda query_id: query_id,
        ASKED,
    ),
    "audits of a pair, newest first": Listing(
        each(range(9), _audit),
        lambda reader, after, n: AuditStore(reader).of_pair("Semaglutide", "p").newest(before=after, count_max=n),
        lambda query_id: query_id,
        ASKED[::-1],
    ),
    "escalations, oldest first": Listing(
        each(range(9), _escalation),
        lambda reader, after, n: EscalationStore(reader).oldest(after=after, count_max=n),
        lambda line: line[0],
        [EscalationPlace(*place) for place in PLACES],
    ),
    "escalations, newest first": Listing(
        each(range(9), _escalation),
        lambda reader, after, n: EscalationStore(reader).newest(before=after, count_max=n),
        lambda line: line[0],
        PLACES[::-1],
    ),
    "children": Listing(
        each(NUMBERS, lambda state, n: LineageWriter(state).add_children(A, [pack_posting(n, digest(99))])),
        lambda reader, after, n: LineageStore(reader).children(A, after=after, count_max=n),
        lambda posting: posting.seq,
        NUMBERS,
    ),
    "assertions of a source": Listing(
        each(NUMBERS, lambda state, n: LineageWriter(state).add_to_source(A, [pack_posting(n, digest(99))])),
        lambda reader, after, n: LineageStore(reader).of_source(A, after=after, count_max=n),
        lambda posting: posting.seq,
        NUMBERS,
    ),
    "assertions of an epoch": Listing(
        each(NUMBERS, lambda state, n: LineageWriter(state).add_to_epoch(A, [pack_posting(n, digest(99))])),
        lambda reader, after, n: LineageStore(reader).of_epoch(A, after=after, count_max=n),
        lambda posting: posting.seq,
        NUMBERS,
    ),
    "assertions of an agent": Listing(
        each(
            NUMBERS, lambda state, n: LineageWriter(state).add_to_agent(bytes.fromhex(A), [pack_posting(n, digest(99))])
        ),
        lambda reader, after, n: LineageStore(reader).of_agent(A, after=after, count_max=n),
        lambda posting: posting.seq,
        NUMBERS,
    ),
    "assertions of a replacement": Listing(
        each(NUMBERS, lambda state, n: LineageWriter(state).add_replaced(A, Posting(n, digest(99)))),
        lambda reader, after, n: LineageStore(reader).replaced_by(A, after=after, count_max=n),
        lambda posting: posting.seq,
        NUMBERS,
    ),
}
each_listing = pytest.mark.parametrize("name", LISTINGS)


def filled(name: str) -> Staging:
    state = Staging(MemoryEngine().snapshot())
    LISTINGS[name].fill(state)
    return state


@each_listing
def test_a_listing_gives_all_in_its_order(name: str) -> None:
    listing = LISTINGS[name]
    places = [listing.place_of(item) for item in listing.page(filled(name), None, ALL)]
    assert places == list(listing.places or sorted(set(places)))
    assert len(places) > 5


@each_listing
@pytest.mark.parametrize("count_max", [1, 2, 3, 4])
def test_a_listing_read_page_by_page_is_the_whole_without_gap_or_repeat(name: str, count_max: int) -> None:
    listing, state = LISTINGS[name], filled(name)
    whole = list(listing.page(state, None, ALL))
    read: list[Any] = []
    while page := list(listing.page(state, listing.place_of(read[-1]) if read else None, count_max)):
        assert len(page) <= count_max
        read += page
    assert read == whole


@each_listing
def test_a_listing_holds_nothing_of_its_neighbours(name: str) -> None:
    """All stores filled at once: what shares a prefix with a list, or lies beside it, stays out of it."""
    state = Staging(MemoryEngine().snapshot())
    alone = LISTINGS[name].page(filled(name), None, ALL)
    crowded = [listing for other, listing in LISTINGS.items() if not shares_a_list(other, name)]
    for listing in crowded:
        listing.fill(state)
    LISTINGS[name].fill(state)
    assert list(LISTINGS[name].page(state, None, ALL)) == list(alone)


def shares_a_list(one: str, other: str) -> bool:
    """Whether filling one also fills the other."""
    groups = (
        {"assertions of a subject", "assertions of a pair", "predicates", "subjects"},
        {"gold standards of a subject", "pairs with a gold standard"},
        {"changes of trust", "trust ranks"},
        {name for name in LISTINGS if name.startswith("audits")},
        {name for name in LISTINGS if name.startswith("escalations")},
    )
    return one == other or any({one, other} <= group for group in groups)


def test_the_pair_of_engines_lists_what_memory_lists(tmp_path: Path) -> None:
    state = Staging(MemoryEngine().snapshot())
    for listing in LISTINGS.values():
        listing.fill(state)
    store = HybridStore.open(tmp_path, SMALL)
    store.commit(state.batch)
    with store.snapshot() as snapshot:
        for name, listing in LISTINGS.items():
            whole = list(listing.page(state, None, ALL))
            assert list(listing.page(snapshot, None, ALL)) == whole, name
            middle = listing.place_of(whole[len(whole) // 2])
            assert list(listing.page(snapshot, middle, 2)) == list(listing.page(state, middle, 2)), name
    store.close()
