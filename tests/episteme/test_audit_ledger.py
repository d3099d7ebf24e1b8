"""The ledger: how much is kept, what a crash leaves, and a state that is the fold of what the log holds."""

import shutil
from pathlib import Path

import pytest

from episteme.audit.event import (
    FRAME_KIND_ANSWERED,
    Answered,
    Dropped,
    UnreadableAudit,
    decode_audit_frame,
    encode_dropped,
)
from episteme.audit.fold import DROP_COUNT_MAX
from episteme.audit.ledger import LOG_FOLDER, STATE_FOLDER, Ledger
from keycodec import meta_prefix
from stores import AuditStore, state_rows
from tests.support.audits import ON, ledger_on, made_up_id, payloads, settled_ids
from tests.support.faulty_files import WAIT_S
from tests.support.logs import open_log, read_all
from tests.support.stores import ALL
from wal import FileLog, Frame, LogOptions, Retention

SMALL = ON._replace(log_bytes_max=64 * 1024)


def ids_in(log: FileLog) -> list[str]:
    events = [decode_audit_frame(frame) for frame in read_all(log)]
    return [event.query_id for event in events if isinstance(event, Answered)]


def fill(ledger: Ledger, start: int, count: int) -> None:
    """Append and fold: what is folded later than the log keeps it would begin anew."""
    for first in range(start, start + count, 100):
        ledger.append(payloads(first, min(100, start + count - first)))
        settled_ids(ledger)


def drop_all(ledger: Ledger) -> int:
    """Let go of all that the log has let go of; how many steps that took."""
    steps = 0
    settled_ids(ledger)
    while ledger.drop_expired():
        steps += 1
        settled_ids(ledger)
    return steps


@pytest.mark.parametrize("sync_ms", [1000, None])
def test_the_log_keeps_within_its_bound_and_the_state_holds_what_the_log_holds(
    tmp_path: Path, sync_ms: int | None
) -> None:
    with ledger_on(tmp_path, SMALL._replace(sync_ms=sync_ms)) as ledger:
        for start in range(0, 1000, 50):
            ledger.append(payloads(start, 50))
            assert ledger.log.size_bytes <= SMALL.log_bytes_max
            drop_all(ledger)
            held = ids_in(ledger.log)
            assert settled_ids(ledger) == held
        assert 100 < len(held) < 300
        assert held[-1] == made_up_id(999)
        assert ledger.drop_expired() is False


def test_one_large_append_keeps_within_the_bound_too(tmp_path: Path) -> None:
    with ledger_on(tmp_path, SMALL) as ledger:
        ledger.append(payloads(0, 3000))
        assert ledger.log.size_bytes <= SMALL.log_bytes_max


def test_many_audits_leave_the_state_a_bounded_number_at_a_time(tmp_path: Path) -> None:
    with ledger_on(tmp_path, SMALL) as ledger:
        fill(ledger, 0, 2 * DROP_COUNT_MAX + 500)
        assert drop_all(ledger) == 3
        assert settled_ids(ledger) == ids_in(ledger.log)


def test_what_the_log_let_go_before_a_restart_leaves_the_state_after_it(tmp_path: Path) -> None:
    with ledger_on(tmp_path, SMALL) as ledger:
        fill(ledger, 0, 1000)
        assert len(settled_ids(ledger)) == 1000
    with ledger_on(tmp_path, SMALL) as ledger:
        drop_all(ledger)
        assert settled_ids(ledger) == ids_in(ledger.log)


def test_an_audit_that_goes_leaves_no_row_behind(tmp_path: Path) -> None:
    with ledger_on(tmp_path / "grown", SMALL) as grown:
        fill(grown, 0, 1000)
        drop_all(grown)
        held = ids_in(grown.log)
        with grown.snapshot() as reader:
            rows = {key for key, _ in state_rows(reader)}
    with ledger_on(tmp_path / "fresh", ON) as fresh:
        fresh.append(payloads(1000 - len(held), len(held)))
        settled_ids(fresh)
        with fresh.snapshot() as reader:
            assert {key for key, _ in state_rows(reader)} == rows


def test_after_a_clock_that_went_back_no_audit_leaves_that_the_log_holds(tmp_path: Path) -> None:
    with ledger_on(tmp_path, SMALL) as ledger:
        fill(ledger, 500_000, 1000)
        ledger.append(payloads(0, 20))
        drop_all(ledger)
        held = ids_in(ledger.log)
        assert held[-20:] == [made_up_id(number) for number in range(20)]
        assert set(held) <= set(settled_ids(ledger))


def test_a_state_without_its_log_begins_anew(tmp_path: Path) -> None:
    with ledger_on(tmp_path) as ledger:
        ledger.append(payloads(0, 10))
        settled_ids(ledger)
    shutil.rmtree(tmp_path / LOG_FOLDER)
    with ledger_on(tmp_path) as ledger:
        assert settled_ids(ledger) == []
        ledger.append(payloads(10, 2))
        assert settled_ids(ledger) == [made_up_id(10), made_up_id(11)]


def test_a_damaged_state_is_made_anew_from_what_the_log_holds(tmp_path: Path) -> None:
    with ledger_on(tmp_path, SMALL) as ledger:
        fill(ledger, 0, 1000)
        drop_all(ledger)
        held = settled_ids(ledger)
    for path in (tmp_path / STATE_FOLDER).rglob("FORMAT"):
        path.write_text("of another program")
    with ledger_on(tmp_path, SMALL) as ledger:
        assert settled_ids(ledger) == held


def test_a_state_that_lags_behind_what_the_log_holds_begins_where_the_log_does(tmp_path: Path) -> None:
    with ledger_on(tmp_path, SMALL) as ledger:
        ledger.append(payloads(0, 10))
        settled_ids(ledger)
    options = LogOptions(segment_bytes=8 * 1024, retention=Retention(bytes_min=48 * 1024))
    with open_log(tmp_path / LOG_FOLDER, options=options) as log:
        for payload in payloads(10, 1000):
            log.append(payload, FRAME_KIND_ANSWERED).wait(WAIT_S)
        assert log.first_seq > 10
        held = ids_in(log)
    with ledger_on(tmp_path, SMALL) as ledger:
        assert settled_ids(ledger) == held


def test_audits_that_a_power_cut_took_leave_the_state(tmp_path: Path) -> None:
    with ledger_on(tmp_path) as ledger:
        ledger.append(payloads(0, 3))
        settled_ids(ledger)
    shutil.copytree(tmp_path / LOG_FOLDER, tmp_path / "copy")
    with ledger_on(tmp_path) as ledger:
        ledger.append(payloads(3, 3))
        assert len(settled_ids(ledger)) == 6
    shutil.rmtree(tmp_path / LOG_FOLDER)
    shutil.move(tmp_path / "copy", tmp_path / LOG_FOLDER)
    with ledger_on(tmp_path) as ledger:
        assert settled_ids(ledger) == [made_up_id(number) for number in range(3)]


def test_a_frame_that_is_no_audit_is_a_dead_letter_and_keeps_no_other_back(tmp_path: Path) -> None:
    with ledger_on(tmp_path) as ledger:
        ledger.log.append(b"what is this", FRAME_KIND_ANSWERED)
        ledger.log.append(b"\x01\x90", 77)
        ledger.append(payloads(0, 2))
        assert settled_ids(ledger) == [made_up_id(0), made_up_id(1)]
        assert [letter.seq for letter in ledger.state.dead_letters()] == [0, 1]


def test_frames_are_read_back_and_others_are_refused() -> None:
    dropped = Dropped(7, made_up_id(3))
    assert decode_audit_frame(frame_of(2, encode_dropped(dropped))) == dropped
    [payload] = payloads(5, 1)
    answered = decode_audit_frame(frame_of(1, payload))
    assert isinstance(answered, Answered)
    assert (answered.query_id, answered.row.seq) == (made_up_id(5), 9)
    for kind, bad in ((1, b""), (1, b"\x02" + payload[1:]), (1, payload + b"\x00"), (1, payload[:-1]), (2, payload)):
        with pytest.raises(UnreadableAudit):
            decode_audit_frame(frame_of(kind, bad))


def frame_of(kind: int, payload: bytes) -> Frame:
    return Frame(9, 0, kind, 0, payload)


def test_a_state_made_anew_from_what_is_left_has_the_same_rows(tmp_path: Path) -> None:
    with ledger_on(tmp_path, SMALL) as ledger:
        for start in range(0, 600, 100):
            fill(ledger, start, 100)
            drop_all(ledger)
        live = rows_in(ledger)
        assert 100 < len(live) < 2000
    shutil.rmtree(tmp_path / STATE_FOLDER)
    with ledger_on(tmp_path, SMALL) as ledger:
        settled_ids(ledger)
        assert rows_in(ledger) == live


def rows_in(ledger: Ledger) -> list[tuple[bytes, bytes]]:
    """All rows but those that say what the state is of."""
    with ledger.snapshot() as reader:
        return [(key, value) for key, value in state_rows(reader) if not key.startswith(meta_prefix())]


def test_an_empty_ledger_has_nothing_to_let_go(tmp_path: Path) -> None:
    with ledger_on(tmp_path) as ledger:
        assert ledger.drop_expired() is False
        assert settled_ids(ledger) == []
        with ledger.snapshot() as reader:
            assert AuditStore(reader).everybodys().newest(count_max=ALL) == []
