"""Audits that another process makes: they are the owner's as if it had made them."""

import os
from pathlib import Path

from episteme.audit.auditor import Recording
from episteme.audit.options import AuditOptions
from episteme.audit.sending import Sending
from episteme.reading import Question, as_parameters
from tests.support.audits import ON, auditor_on, recorded_ids
from tests.support.events import NOW_MS
from tests.support.nodes import node_on

ASKED = Question(subject="Tesla", predicate="revenue")


def _recording(sending: Sending, options: AuditOptions = ON) -> Recording[Question]:
    return Recording(options, as_parameters, sending, clock_ms=lambda: NOW_MS, random_bytes=os.urandom)


def test_what_is_sent_is_recorded_and_what_the_owner_has_no_room_for_is_counted(tmp_path: Path) -> None:
    with node_on(tmp_path / "node") as node, auditor_on(tmp_path) as auditor:
        recording = _recording(Sending(auditor.take))
        answer = node.ask(ASKED)
        ids = [recording.record(ASKED, answer, None, NOW_MS) for _ in range(3)]
        assert recorded_ids(auditor) == ids
        auditor.count_elsewhere(4, 5)
        status = auditor.status()
        assert (status.written, status.dropped, status.lost) == (3, 4, 5)
    assert auditor.take(b"late") is False
    assert auditor.status().dropped == 5


def test_a_reader_of_audits_first_gets_those_that_others_hold(tmp_path: Path) -> None:
    held: list[bytes] = []
    with node_on(tmp_path / "node") as node, auditor_on(tmp_path) as auditor:

        def send(payload: bytes) -> bool:
            held.append(payload)
            return True

        def collect() -> None:
            while held:
                auditor.take(held.pop(0))

        auditor.collect = collect
        ids = [_recording(Sending(send)).record(ASKED, node.ask(ASKED), None, NOW_MS)]
        assert len(held) == 1
        assert recorded_ids(auditor) == ids


def test_one_that_cannot_be_made_is_counted_and_the_answer_goes_on(tmp_path: Path) -> None:
    sending = Sending(lambda _: True)
    recording = _recording(sending)
    with node_on(tmp_path / "node") as node:
        assert recording.record("no question", node.ask(ASKED), None, NOW_MS) is None  # type: ignore[arg-type]
    assert sending.take_counts() == (0, 1)
