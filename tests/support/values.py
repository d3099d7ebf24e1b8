"""One record of every type that the store keeps, with every field set."""

from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from model import BooleanValue, DatabaseRules, NumberValue, ReferenceValue, Signature, TextValue
from stores import (
    Acknowledgement,
    AliasRow,
    AliasStore,
    AliasWriter,
    AssertionRow,
    AssertionStore,
    AssertionWriter,
    AuditRow,
    AuditStore,
    AuditWriter,
    EpochRow,
    EpochStore,
    EpochWriter,
    EscalationRow,
    EscalationStore,
    EscalationWriter,
    EventRow,
    EventStore,
    EventWriter,
    GoldRow,
    GoldStore,
    GoldWriter,
    GroupRow,
    Judgement,
    JudgementId,
    LiveVote,
    LogPlace,
    MemoryEngine,
    OperatorStore,
    OperatorWriter,
    PackMemberRow,
    PairNumbers,
    PredicateRow,
    PredicateStore,
    PredicateWriter,
    QueryAudit,
    QuotaLimitRow,
    QuotaStore,
    QuotaUse,
    QuotaWriter,
    Reader,
    Resolution,
    RevocationRow,
    RevocationStore,
    RevocationWriter,
    RowSignature,
    RulesRow,
    Rulings,
    RulingsStore,
    RulingsWriter,
    SourceRecord,
    SourceStatus,
    SourceStore,
    SourceWriter,
    Staging,
    SupersededEpoch,
    SupersessionRow,
    SupersessionStore,
    SupersessionWriter,
    Tally,
    TrustChange,
    TrustPackRow,
    TrustPackStore,
    TrustPackWriter,
    TrustRank,
    TrustRankStore,
    TrustRankWriter,
    ViewGround,
    ViewRow,
    ViewStore,
    ViewWriter,
    VoteRow,
    VoteStore,
    VoteWriter,
    make_escalation_id,
    pack_id,
)
from stores.view import RawGroup, RawResolution, RawView
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, make_assertion, make_vote

DIGEST: Final = bytes(range(32))
OTHER: Final = bytes(range(32, 64))
SIGNATURE_A: Final = bytes(range(64))
SIGNATURE_B: Final = bytes(range(64, 128))
TIME: Final = 1_767_225_600_000 << 16 | 3

ASSERTION_ROW: Final = AssertionRow(
    FULL_EVENTS[0],  # type: ignore[arg-type]
    (RowSignature(KEY_A.agent, SIGNATURE_A, 7), RowSignature(KEY_B.agent, SIGNATURE_B, 2**40)),
    7,
    TIME,
)
VOTE_ROW: Final = VoteRow(
    make_vote(assertion=DIGEST.hex(), weight="-0.25", reason="nicht bestätigt"),
    (Signature(KEY_A.agent, SIGNATURE_A),),
    9,
    TIME,
)
BUNDLED_VOTE_ROW: Final = msgspec.structs.replace(VOTE_ROW, signatures=(Signature(KEY_A.agent, OTHER),))
GROUPS: Final = (
    GroupRow(TextValue("drei\nZeilen"), 0.4, 2, 0, 1_500_000, (DIGEST, OTHER), 2),
    GroupRow(NumberValue("96.70"), 0.3, 1, 3, -250_000, (OTHER,), 1),
    GroupRow(BooleanValue(True), 0.2, 1, 4, 0, (), 5),
    GroupRow(ReferenceValue("Zürich"), 0.1, 1, 5, 0, (DIGEST,), 1),
)
RESOLUTION: Final = Resolution("consensus", 1, "contested", DIGEST, 0.4, 0.923456, 0.1, 9, GROUPS)
VIEW_GROUND: Final = ViewGround(DIGEST, (DIGEST, OTHER), (OTHER,), None, references=True, governed=False)
VIEW_ROW: Final = ViewRow(RESOLUTION, 4, ASSERTION_ROW, 2**33, TIME, VIEW_GROUND)
EMPTY_VIEW_ROW: Final = ViewRow(Resolution("consensus", 1, "none", None, 0.0, 0.0, None, 0, ()), 0, None, 0, 0)
BUNDLED_ASSERTION_ROW: Final = AssertionRow(
    make_assertion(),
    (RowSignature(KEY_A.agent, SIGNATURE_A, 5), RowSignature(KEY_B.agent, b"", 2**33, OTHER)),
    5,
    TIME,
)
SMALL_ASSERTION_ROW: Final = AssertionRow(make_assertion(), (RowSignature(KEY_A.agent, SIGNATURE_A, 0),), 0, 0)

SUBJECT: Final = "Semaglutide"
HASH: Final = DIGEST.hex()


class Case(NamedTuple):
    """A record, how a typed store writes it, and how it reads it back."""

    record: Any
    put: Any
    get: Any


def changed(record: Any, **fields: Any) -> Any:
    """The record with other values in some fields."""
    return msgspec.structs.replace(record, **fields)


def _put_assertion(row: AssertionRow) -> Any:
    return lambda state: AssertionWriter(state).put(DIGEST, row)


def _get_assertion(row: AssertionRow) -> Any:
    return lambda reader: AssertionStore(reader).get(row.event.subject, DIGEST)


def raw_view(row: ViewRow) -> RawView:
    """A view as it is written: values and winner as msgpack."""
    resolution = row.resolution
    groups = [
        RawGroup(
            Raw(msgspec.msgpack.encode(group.value)),
            group.share,
            group.support,
            group.best_tier,
            group.votes_micros,
            group.hashes,
            group.hashes_count,
        )
        for group in resolution.groups
    ]
    winner = None
    if row.winner is not None:
        [winner, _] = stored_rows(Case(row.winner, _put_assertion(row.winner), None)).values()
    return RawView(
        RawResolution(
            resolution.lens,
            resolution.lens_version,
            resolution.status,
            resolution.winner,
            resolution.confidence,
            resolution.conflict,
            resolution.margin,
            resolution.candidates_count,
            groups,
        ),
        row.groups_count,
        winner,
        row.seq,
        row.time,
        row.ground,
    )


def _view_case(row: ViewRow) -> Case:
    def put(state: Staging) -> None:
        ViewWriter(state).put(SUBJECT, "p", raw_view(row))

    def get(reader: Reader) -> ViewRow | None:
        return ViewStore(reader).get(SUBJECT, "p")

    return Case(row, put, get)


def stored_rows(case: Case) -> dict[bytes, bytes]:
    """The rows that a typed store writes for the record."""
    with MemoryEngine().snapshot() as snapshot:
        state = Staging(snapshot)
        case.put(state)
    return {key: value for key, value in state.batch.rows.items() if value is not None}


LIVE_VOTE: Final = LiveVote(1_767_225_600_000, 2**33, -250_000, DIGEST)
TALLY: Final = Tally(3, -125_000, 1_000_001)
EVENT_ROW: Final = EventRow(11, "alias", (KEY_A.agent, KEY_B.agent), 2**33)

EPOCH_ROW: Final = EpochRow(FULL_EVENTS[2], 12, TIME)  # type: ignore[arg-type]
SUPERSEDED: Final = SupersededEpoch(OTHER, "invalidation", 13, TIME)
SUPERSESSION_ROW: Final = SupersessionRow(FULL_EVENTS[3], DIGEST, (KEY_A.agent, KEY_B.agent), 14, TIME, 2**33)  # type: ignore[arg-type]
GOLD_ROW: Final = GoldRow(FULL_EVENTS[5], DIGEST, 15, TIME)  # type: ignore[arg-type]
JUDGEMENT: Final = Judgement(False, -100_000, 16, TIME)
WHICH: Final = JudgementId(OTHER.hex(), KEY_B.agent_hex)
PACK_ROW: Final = TrustPackRow(
    KEY_A.agent,
    "curated",
    3,
    (PackMemberRow(KEY_A.agent, 500_000), PackMemberRow(KEY_B.agent, 1_000_000)),
    "by hand",
    DIGEST,
    17,
    TIME,
)
QUOTA_USE: Final = QuotaUse(9_990, 18, TIME)
LIMIT_ROW: Final = QuotaLimitRow(FULL_EVENTS[7], DIGEST, 19, TIME)  # type: ignore[arg-type]
PREDICATE_ROW: Final = PredicateRow(FULL_EVENTS[8], DIGEST, 20, TIME)  # type: ignore[arg-type]
ALIAS_ROW: Final = AliasRow(FULL_EVENTS[9], DIGEST, 21, TIME)  # type: ignore[arg-type]
REVOCATION_ROW: Final = RevocationRow(FULL_EVENTS[10], DIGEST, 22, TIME)  # type: ignore[arg-type]
RULES_ROW: Final = RulesRow(28, TIME, DatabaseRules((KEY_A.agent, KEY_B.agent), 7, 900_000))
SOURCE_RECORD: Final = SourceRecord(
    "STEP 1",
    "https://example.org/1",
    DIGEST,
    3,
    (
        SourceStatus("active", KEY_A.agent, DIGEST, 23, TIME),
        SourceStatus("retracted", KEY_B.agent, OTHER, 2**33, TIME + 1),
    ),
)
BARE_SOURCE_RECORD: Final = SourceRecord("STEP 1", None, None, 0, ())
TRUST_BEFORE: Final = TrustRank(500_000, 0, 0, 0, 0)
TRUST_RANK: Final = TrustRank(399_999, 1, 2, 24, TIME)
AUDIT_ID: Final = "0123456789abcdef0123456789abcdef"
AUDIT: Final = AuditRow(
    25,
    QueryAudit(
        KEY_A.agent,
        SUBJECT,
        ("p",),
        (("decay", "30d"), ("include", "revoked")),
        1_767_225_600_000,
        2**33,
        "trust",
        2,
        "contested",
        DIGEST,
        0.625,
        0.9375,
        DIGEST + OTHER[::-1] + OTHER,
        ((0.625, 2), (0.375, 1)),
        OTHER,
    ),
)
BARE_AUDIT: Final = AuditRow(
    0, QueryAudit(None, SUBJECT, (), (), 0, -1, "constraints", 1, "none", None, 0.0, 0.0, b"", (), DIGEST)
)
ESCALATION_ID: Final = make_escalation_id("regulatory_conflict", SUBJECT, "p", 26)
ESCALATION: Final = EscalationRow(
    "regulatory_conflict",
    "critical",
    "acknowledged",
    SUBJECT,
    "p",
    "conflict 0.91 within tier 0",
    LogPlace(26, TIME),
    Acknowledgement(KEY_B.agent, "both stand", OTHER, 27, TIME + 1),
    None,
)
PAIR_NUMBERS: Final = PairNumbers(499, 2, True, True)
RESOLVED_ESCALATION: Final = EscalationRow(
    "anecdotal_cluster", "warning", "resolved", SUBJECT, "p", "", LogPlace(26, TIME), None, LogPlace(2**33, TIME + 9)
)


def _get_escalation(reader: Reader) -> Any:
    unresolved = EscalationStore(reader).unresolved(SUBJECT, "p")
    row = EscalationStore(reader).get(ESCALATION_ID)
    assert unresolved == ([] if row is None or row.status == "resolved" else [(ESCALATION_ID, row)])
    return row


CASES: Final[dict[str, Case]] = {
    "AssertionRow": Case(ASSERTION_ROW, _put_assertion(ASSERTION_ROW), _get_assertion(ASSERTION_ROW)),
    "AssertionRow, fewest fields": Case(
        SMALL_ASSERTION_ROW, _put_assertion(SMALL_ASSERTION_ROW), _get_assertion(SMALL_ASSERTION_ROW)
    ),
    "AssertionRow, signed in a bundle": Case(
        BUNDLED_ASSERTION_ROW, _put_assertion(BUNDLED_ASSERTION_ROW), _get_assertion(BUNDLED_ASSERTION_ROW)
    ),
    "VoteRow": Case(
        VOTE_ROW,
        lambda state: VoteWriter(state).put(OTHER, VOTE_ROW),
        lambda reader: VoteStore(reader).get(SUBJECT, HASH, OTHER.hex()),
    ),
    "VoteRow, signed in a bundle": Case(
        BUNDLED_VOTE_ROW,
        lambda state: VoteWriter(state).put(OTHER, BUNDLED_VOTE_ROW),
        lambda reader: VoteStore(reader).get(SUBJECT, HASH, OTHER.hex()),
    ),
    "LiveVote": Case(
        LIVE_VOTE,
        lambda state: VoteWriter(state).put_live(SUBJECT, HASH, KEY_A.agent_hex, LIVE_VOTE),
        lambda reader: VoteStore(reader).live(SUBJECT, HASH, KEY_A.agent_hex),
    ),
    "Tally": Case(
        TALLY,
        lambda state: VoteWriter(state).put_tally(SUBJECT, HASH, TALLY),
        lambda reader: VoteStore(reader).tally(SUBJECT, HASH),
    ),
    "EventRow": Case(
        EVENT_ROW,
        lambda state: EventWriter(state).put(DIGEST, EVENT_ROW),
        lambda reader: EventStore(reader).get(DIGEST),
    ),
    "ViewRow": _view_case(VIEW_ROW),
    "ViewRow, nothing there": _view_case(EMPTY_VIEW_ROW),
    "EpochRow": Case(
        EPOCH_ROW,
        lambda state: EpochWriter(state).put(HASH, EPOCH_ROW),
        lambda reader: EpochStore(reader).get(HASH),
    ),
    "SupersededEpoch": Case(
        SUPERSEDED,
        lambda state: EpochWriter(state).put_superseded(HASH, SUPERSEDED),
        lambda reader: EpochStore(reader).superseded(HASH),
    ),
    "SupersessionRow": Case(
        SUPERSESSION_ROW,
        lambda state: SupersessionWriter(state).put(SUPERSESSION_ROW),
        lambda reader: SupersessionStore(reader).get(SUPERSESSION_ROW.event.assertion),
    ),
    "SupersessionRow, said": Case(
        [SUPERSESSION_ROW],
        lambda state: SupersessionWriter(state).put_said(SUPERSESSION_ROW),
        lambda reader: list(SupersessionStore(reader).said(SUPERSESSION_ROW.event.assertion, count_max=2)),
    ),
    "GoldRow": Case(
        GOLD_ROW, lambda state: GoldWriter(state).put(GOLD_ROW), lambda reader: GoldStore(reader).get("Earth", "age")
    ),
    "Judgement": Case(
        JUDGEMENT,
        lambda state: GoldWriter(state).put_judgement(SUBJECT, HASH, WHICH, JUDGEMENT),
        lambda reader: GoldStore(reader).judgement(SUBJECT, HASH, WHICH),
    ),
    "TrustRank and TrustChange": Case(
        (TRUST_RANK, [TrustChange(TRUST_BEFORE, TRUST_RANK)]),
        lambda state: TrustRankWriter(state).put(KEY_A.agent_hex, TRUST_RANK),
        lambda reader: (
            TrustRankStore(reader).get(KEY_A.agent_hex),
            list(TrustRankStore(reader).changes(KEY_A.agent_hex, count_max=2)),
        ),
    ),
    "TrustPackRow": Case(
        PACK_ROW,
        lambda state: TrustPackWriter(state).put(PACK_ROW),
        lambda reader: TrustPackStore(reader).get(pack_id(KEY_A.agent, "curated")),
    ),
    "TrustPackRow, with an earlier version": Case(
        (changed(PACK_ROW, version=4, seq=2**33), PACK_ROW),
        lambda state: [TrustPackWriter(state).put(row) for row in (PACK_ROW, changed(PACK_ROW, version=4, seq=2**33))],
        lambda reader: tuple(
            TrustPackStore(reader).as_of(pack_id(KEY_A.agent, "curated"), at) for at in (None, 2**33 - 1)
        ),
    ),
    "QuotaUse": Case(
        QUOTA_USE,
        lambda state: QuotaWriter(state).put(KEY_A.agent_hex, 490_896, QUOTA_USE),
        lambda reader: QuotaStore(reader).used(KEY_A.agent_hex, 490_896),
    ),
    "QuotaLimitRow": Case(
        LIMIT_ROW,
        lambda state: QuotaWriter(state).put_limit(LIMIT_ROW),
        lambda reader: QuotaStore(reader).limit(KEY_B.agent_hex),
    ),
    "PredicateRow": Case(
        PREDICATE_ROW,
        lambda state: PredicateWriter(state).put(PREDICATE_ROW),
        lambda reader: PredicateStore(reader).get("authors"),
    ),
    "PredicateRow, with an earlier one": Case(
        (changed(PREDICATE_ROW, seq=2**33), PREDICATE_ROW),
        lambda state: [PredicateWriter(state).put(row) for row in (PREDICATE_ROW, changed(PREDICATE_ROW, seq=2**33))],
        lambda reader: tuple(PredicateStore(reader).as_of("authors", at) for at in (None, 2**33 - 1)),
    ),
    "AliasRow": Case(
        ALIAS_ROW, lambda state: AliasWriter(state).put(ALIAS_ROW), lambda reader: AliasStore(reader).get("Tesla")
    ),
    "AliasRow, with an earlier one": Case(
        (changed(ALIAS_ROW, seq=2**33), ALIAS_ROW),
        lambda state: [AliasWriter(state).put(row) for row in (ALIAS_ROW, changed(ALIAS_ROW, seq=2**33))],
        lambda reader: tuple(AliasStore(reader).as_of("Tesla", at) for at in (None, 2**33 - 1)),
    ),
    "RevocationRow": Case(
        REVOCATION_ROW,
        lambda state: RevocationWriter(state).put(REVOCATION_ROW),
        lambda reader: RevocationStore(reader).get(KEY_B.agent_hex),
    ),
    "RulesRow": Case(
        RULES_ROW, lambda state: OperatorWriter(state).put(RULES_ROW), lambda reader: OperatorStore(reader).row()
    ),
    "Rulings": Case(
        Rulings(-1, 29, -1, -1, -1, 2**33, -1),
        lambda state: [RulingsWriter(state).note(*one) for one in (("supersession", 29), ("source", 2**33))],
        lambda reader: RulingsStore(reader).get(),
    ),
    "SourceRecord": Case(
        SOURCE_RECORD,
        lambda state: SourceWriter(state).put(HASH, SOURCE_RECORD),
        lambda reader: SourceStore(reader).get(HASH),
    ),
    "SourceRecord, fewest fields": Case(
        BARE_SOURCE_RECORD,
        lambda state: SourceWriter(state).put(HASH, BARE_SOURCE_RECORD),
        lambda reader: SourceStore(reader).get(HASH),
    ),
    "AuditRow": Case(
        AUDIT, lambda state: AuditWriter(state).put(AUDIT_ID, AUDIT), lambda reader: AuditStore(reader).get(AUDIT_ID)
    ),
    "AuditRow, fewest fields": Case(
        BARE_AUDIT,
        lambda state: AuditWriter(state).put(AUDIT_ID, BARE_AUDIT),
        lambda reader: AuditStore(reader).get(AUDIT_ID),
    ),
    "EscalationRow": Case(
        ESCALATION, lambda state: EscalationWriter(state).put(ESCALATION_ID, ESCALATION), _get_escalation
    ),
    "EscalationRow, resolved": Case(
        RESOLVED_ESCALATION,
        lambda state: EscalationWriter(state).put(ESCALATION_ID, RESOLVED_ESCALATION),
        _get_escalation,
    ),
    "PairNumbers": Case(
        PAIR_NUMBERS,
        lambda state: EscalationWriter(state).put_numbers(SUBJECT, "p", PAIR_NUMBERS),
        lambda reader: EscalationStore(reader).numbers(SUBJECT, "p"),
    ),
}
