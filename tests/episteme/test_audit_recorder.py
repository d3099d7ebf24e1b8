"""The recorder: never in the way of who asks, and honest about what it could not keep."""

import errno
import logging
import shutil
from pathlib import Path

import pytest

from episteme.api import Answer
from episteme.audit.auditor import Auditor
from episteme.audit.ledger import LOG_FOLDER
from episteme.errors import CannotOpen, DiskFull, EpistemeError, NotReady
from episteme.parameters import make_question
from episteme.reading import Question, as_parameters
from tests.support.audits import ON, auditing, auditor_on, recorded_ids
from tests.support.faulty_files import FaultyFiles

AT_ONCE = ON._replace(retry_s=0.0, linger_ms=0)
LATER = ON._replace(retry_s=3600.0, linger_ms=0)
QUESTION = make_question("Moon", "p")


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    with auditing(tmp_path_factory.mktemp("node")) as node:
        return node.query("Moon", "p")


def ask(auditor: Auditor[Question], answer: Answer, count: int = 1) -> list[str | None]:
    return [auditor.record(QUESTION, answer, None, 0) for _ in range(count)]


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.message for one in caplog.records if one.levelno >= logging.ERROR and one.name.startswith("episteme")]


def test_what_finds_no_place_in_the_queue_is_dropped_and_counted_and_said_once(
    tmp_path: Path, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    files = FaultyFiles()
    files.hold("write")
    with auditor_on(tmp_path, LATER._replace(queue_count_max=5), files) as auditor:
        [first] = ask(auditor, answer)
        files.wait_held()  # the thread has it in hand, and waits for the disk
        kept = ask(auditor, answer, 5)
        assert ask(auditor, answer, 3) == [None, None, None]
        assert (auditor.status().dropped, auditor.status().waiting) == (3, 5)
        files.release("write")
        assert recorded_ids(auditor) == [first, *kept]
        assert ask(auditor, answer) != [None]
    status = auditor.status()
    assert (status.written, status.dropped, status.lost) == (7, 3, 0)
    assert sum("dropped" in one.message for one in caplog.records) == 1


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_costs_audits_and_nothing_else_and_is_said_once(
    tmp_path: Path, answer: Answer, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    files = FaultyFiles()
    with auditor_on(tmp_path, LATER, files) as auditor:
        before = ask(auditor, answer, 3)
        assert recorded_ids(auditor) == before
        files.fail("write", error=error)
        assert None not in ask(auditor, answer, 2)
        with pytest.raises(DiskFull if error == errno.ENOSPC else EpistemeError):
            recorded_ids(auditor)
        assert None not in ask(auditor, answer, 4)
        with pytest.raises(EpistemeError):
            recorded_ids(auditor)
        status = auditor.status()
        assert (status.written, status.lost) == (3, 6)
        assert status.failure == ("disk-full" if error == errno.ENOSPC else "log-failed")
        assert len([one for one in errors_in(caplog) if "without an audit" in one]) == 1
    with auditor_on(tmp_path) as auditor:
        assert recorded_ids(auditor) == before


def test_after_a_failure_the_folder_is_tried_again_and_recording_goes_on(tmp_path: Path, answer: Answer) -> None:
    files = FaultyFiles()
    with auditor_on(tmp_path, AT_ONCE, files) as auditor:
        before = ask(auditor, answer, 2)
        assert recorded_ids(auditor) == before
        files.fail("write", error=errno.ENOSPC)
        files.hold("write")
        ask(auditor, answer)  # lost
        files.wait_held()
        files.release("write")
        after = ask(auditor, answer, 2)
        assert recorded_ids(auditor)[:2] == before
        assert set(recorded_ids(auditor)) <= {*before, *after}
        last = ask(auditor, answer)
        assert recorded_ids(auditor)[-1:] == last
        assert auditor.status().failure is None
        assert auditor.status().lost >= 1


def test_a_folder_that_cannot_be_opened_fails_no_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with auditing(tmp_path, LATER) as node:
        (tmp_path / LOG_FOLDER).write_text("in the way")
        answers = [node.query("Moon", "p") for _ in range(3)]
        assert all(one.audit_id for one in answers)
        with pytest.raises(CannotOpen) as caught:
            node.audits()
        assert str(tmp_path) not in caught.value.detail
        told = node.status()
        assert told.ready
        assert told.audit.lost == 3
        assert told.audit.failure == "cannot-open"
        assert node.query("Moon", "p").status == "none"
    assert len([one for one in errors_in(caplog) if "without an audit" in one]) == 1


def test_a_folder_that_another_process_has_is_told_and_fails_no_read(tmp_path: Path) -> None:
    with auditing(tmp_path / "one", LATER) as one, auditing(tmp_path / "two", LATER) as two:
        one.query("Moon", "p")
        one.audits()
        (tmp_path / "two" / LOG_FOLDER).symlink_to(tmp_path / "one" / LOG_FOLDER)
        assert two.query("Moon", "p").status == "none"
        with pytest.raises(CannotOpen):
            two.audits()
        assert len(one.audits().items) == 1


def test_an_answer_that_cannot_be_put_into_an_audit_costs_only_itself(
    tmp_path: Path, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    with auditor_on(tmp_path, ON) as auditor:
        good = ask(auditor, answer)
        assert auditor.record(QUESTION, answer, None, object()) is None  # type: ignore[arg-type]
        assert auditor.record(None, answer, None, 0) is None  # type: ignore[arg-type]
        good += ask(auditor, answer)
        assert recorded_ids(auditor) == good
        assert auditor.status().lost == 2
    assert sum("could not be made" in one for one in errors_in(caplog)) == 1


def test_a_closed_auditor_takes_nothing_and_says_so(tmp_path: Path, answer: Answer) -> None:
    with auditor_on(tmp_path) as auditor:
        ask(auditor, answer)
    assert ask(auditor, answer) == [None]
    with pytest.raises(NotReady), auditor.reader():
        pass
    auditor.close()


def test_a_reader_who_waits_for_a_disk_that_hangs_is_told_after_its_time(tmp_path: Path, answer: Answer) -> None:
    files = FaultyFiles()
    with auditor_on(tmp_path, ON._replace(read_wait_s=0.01), files) as auditor:
        files.hold("write")
        ask(auditor, answer)
        with pytest.raises(NotReady), auditor.reader():
            pass
        files.release("write")


def test_a_state_that_fails_is_opened_anew_and_no_audit_is_lost(tmp_path: Path, answer: Answer) -> None:
    with auditor_on(tmp_path, AT_ONCE) as auditor:
        before = ask(auditor, answer, 3)
        assert recorded_ids(auditor) == before
        ledger = auditor._recorder.ledger
        assert ledger is not None
        ledger.state._live.store.close()  # its next commit fails
        after = ask(auditor, answer, 3)
        while ledger.state.failure is None:
            with pytest.raises(EpistemeError):
                recorded_ids(auditor)
        for _ in range(3):
            after += ask(auditor, answer)
            try:
                found = recorded_ids(auditor)
            except EpistemeError:
                continue
        assert found == [*before, *after]
        assert auditor.status().lost == 0


def test_a_state_that_is_gone_is_made_anew_from_the_log(tmp_path: Path, answer: Answer) -> None:
    with auditor_on(tmp_path) as auditor:
        before = ask(auditor, answer, 3)
    shutil.rmtree(tmp_path / "audit-state")
    with auditor_on(tmp_path) as auditor:
        assert recorded_ids(auditor) == before


def test_a_disk_without_room_costs_audits_and_the_ledger_that_met_it_goes_on(tmp_path: Path, answer: Answer) -> None:
    files = FaultyFiles()
    with auditor_on(tmp_path, AT_ONCE, files) as auditor:
        before = ask(auditor, answer, 2)
        assert recorded_ids(auditor) == before
        ledger = auditor._recorder.ledger
        for written_bytes in (0, 40):
            files.fail("write", error=errno.ENOSPC, written_bytes=written_bytes)
            ask(auditor, answer)
            assert recorded_ids(auditor) == before
        after = ask(auditor, answer, 3)
        assert recorded_ids(auditor) == [*before, *after]
        assert auditor._recorder.ledger is ledger
        assert (auditor.status().lost, auditor.status().failure) == (2, None)
    with auditor_on(tmp_path) as auditor:
        assert recorded_ids(auditor) == [*before, *after]


def test_nothing_is_recorded_in_the_room_that_is_kept_for_the_database(tmp_path: Path, answer: Answer) -> None:
    files, is_full = FaultyFiles(), True
    auditor = Auditor[Question](
        tmp_path,
        ON,
        as_parameters,
        clock_ms=lambda: 0,
        random_bytes=bytes,
        files=files,
        is_full=lambda: is_full,
    )
    assert ask(auditor, answer, 3) == [None] * 3
    assert (auditor.status().dropped, files.operations) == (3, [])
    is_full = False
    assert None not in ask(auditor, answer)
    auditor.close()
    assert auditor.status().written == 1
