"""One record of every type that the store keeps, with every field set."""

from typing import Any, Final, NamedTuple

from model import BooleanValue, NumberValue, ReferenceValue, Signature, TextValue
from stores import (
    AssertionRow,
    AssertionStore,
    AssertionWriter,
    EventRow,
    EventStore,
    EventWriter,
    GroupRow,
    LiveVote,
    MemoryEngine,
    Reader,
    Resolution,
    RowSignature,
    Staging,
    Tally,
    ViewRow,
    ViewStore,
    ViewWriter,
    VoteRow,
    VoteStore,
    VoteWriter,
)
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
GROUPS: Final = (
    GroupRow(TextValue("drei\nZeilen"), 0.4, 2, 0, 1_500_000, (DIGEST, OTHER), 2),
    GroupRow(NumberValue("96.70"), 0.3, 1, 3, -250_000, (OTHER,), 1),
    GroupRow(BooleanValue(True), 0.2, 1, 4, 0, (), 5),
    GroupRow(ReferenceValue("Zürich"), 0.1, 1, 5, 0, (DIGEST,), 1),
)
RESOLUTION: Final = Resolution("consensus", 1, "contested", DIGEST, 0.4, 0.923456, 0.1, 9, GROUPS)
VIEW_ROW: Final = ViewRow(RESOLUTION, 4, ASSERTION_ROW, 2**33, TIME)
EMPTY_VIEW_ROW: Final = ViewRow(Resolution("consensus", 1, "none", None, 0.0, 0.0, None, 0, ()), 0, None, 0, 0)
SMALL_ASSERTION_ROW: Final = AssertionRow(make_assertion(), (RowSignature(KEY_A.agent, SIGNATURE_A, 0),), 0, 0)

SUBJECT: Final = "Semaglutide"
HASH: Final = DIGEST.hex()


class Case(NamedTuple):
    """A record, how a typed store writes it, and how it reads it back."""

    record: Any
    put: Any
    get: Any


def _put_assertion(row: AssertionRow) -> Any:
    return lambda state: AssertionWriter(state).put(DIGEST, row)


def _get_assertion(row: AssertionRow) -> Any:
    return lambda reader: AssertionStore(reader).get(row.event.subject, DIGEST)


def _view_case(row: ViewRow) -> Case:
    def put(state: Staging) -> None:
        ViewWriter(state).put(SUBJECT, "p", row)

    def get(reader: Reader) -> ViewRow | None:
        return ViewStore(reader).get(SUBJECT, "p")

    return Case(row, put, get)


LIVE_VOTE: Final = LiveVote(1_767_225_600_000, 2**33, -250_000, DIGEST)
TALLY: Final = Tally(3, -125_000, 1_000_001)
EVENT_ROW: Final = EventRow(11, "key_revocation", (KEY_A.agent, KEY_B.agent))

CASES: Final[dict[str, Case]] = {
    "AssertionRow": Case(ASSERTION_ROW, _put_assertion(ASSERTION_ROW), _get_assertion(ASSERTION_ROW)),
    "AssertionRow, fewest fields": Case(
        SMALL_ASSERTION_ROW, _put_assertion(SMALL_ASSERTION_ROW), _get_assertion(SMALL_ASSERTION_ROW)
    ),
    "VoteRow": Case(
        VOTE_ROW,
        lambda state: VoteWriter(state).put(OTHER, VOTE_ROW),
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
}


def stored_rows(case: Case) -> dict[bytes, bytes]:
    """The rows that a typed store writes for the record."""
    with MemoryEngine().snapshot() as snapshot:
        state = Staging(snapshot)
        case.put(state)
    return {key: value for key, value in state.batch.rows.items() if value is not None}
