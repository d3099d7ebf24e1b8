"""Logs with signatures by bundle: copied exactly, proven whole, and found out where a bundle is missing or wrong."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from episteme.check import ClaimCheck, check_claims
from episteme.errors import BadCopy
from episteme.loglines import decode_line, encode_line, frame_of, line_of
from episteme.moving import ExportHeader, check_backup, check_export, import_exactly, restore, write_lines, written
from episteme.node import LOG_FOLDER, Node
from model import FRAME_KIND_EVENT, Receipt, Signature, SignedEvent, encode_record, sign_bundle
from tests.support.events import KEY_A, NOW_MS, make_assertion
from tests.support.faulty_files import UnsyncedFiles
from tests.support.logs import LOG_ID, open_log
from tests.support.meaning import Step, histories, history, in_bundles
from tests.support.moving import back_up, digest_of, frames_in, now_ms, quiet, write_history
from wal import repair_log


def export(data: Path, file: Path) -> Path:
    header = ExportHeader(episteme_export=1, database=LOG_ID.hex(), whole=True, version="test")
    with written(file) as out:
        write_lines(map(line_of, frames_in(data / LOG_FOLDER)), header, out)
    return file


def checked(data: Path) -> ClaimCheck:
    return check_claims(data / LOG_FOLDER, lambda done, total: None)


def write_events(data: Path, *events: SignedEvent) -> Path:
    with open_log(data / LOG_FOLDER) as log:
        for event in events:
            log.append(encode_record(event, Receipt("test", 10)), FRAME_KIND_EVENT).wait()
    return data


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(histories(30))
def test_any_history_in_bundles_is_proven_and_comes_back_from_export_and_backup_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    data = write_history(folder / "data", in_bundles(steps))
    frames = frames_in(data / LOG_FOLDER)
    assert not checked(data).findings
    for frame in frames:
        assert frame_of(decode_line(encode_line(line_of(frame)))) == frame
    file = export(data, folder / "export")
    made = import_exactly(file, folder / "new", quiet, clock_ms=now_ms, files=UnsyncedFiles())
    assert frames_in(folder / "new" / LOG_FOLDER) == frames
    assert made.folded.digest == digest_of(data)
    back_up(data, folder / "backup", signatures=True)
    restore(folder / "backup", folder / "restored", quiet, clock_ms=now_ms, signatures=True, files=UnsyncedFiles())
    assert frames_in(folder / "restored" / LOG_FOLDER) == frames


def test_what_is_signed_by_bundle_weighs_what_it_weighs_signed_by_itself(tmp_path: Path) -> None:
    """The state of both is the same but for positions and times: every answer has the same values and shares."""
    steps = history(4, 60)
    answers = []
    for name, said in (("own", steps), ("bundled", in_bundles(steps, events_max=len(steps)))):
        data = write_history(tmp_path / name, said)
        with Node.open(data) as node:
            assert node.wait_applied(node.end_seq, 10)
            pairs = [(s, one.predicate) for s in node.subjects().items for one in node.subject(s).items]
            answers.append([(pair, [group.value for group in node.query(*pair).groups]) for pair in pairs])
    assert answers[0]
    assert sorted(map(str, answers[0])) == sorted(map(str, answers[1]))


BUNDLE, (FIRST, SECOND) = sign_bundle([make_assertion(subject=name) for name in ("first", "second")], KEY_A, NOW_MS)
OTHER, (THIRD,) = sign_bundle([make_assertion(subject="third")], KEY_A, NOW_MS)
MOVED = SignedEvent(THIRD.event, THIRD.digest, (Signature(KEY_A.agent, BUNDLE.digest),))


@pytest.mark.parametrize(
    ("events", "seq"),
    [
        pytest.param((FIRST, BUNDLE, SECOND), 0, id="the bundle comes behind"),
        pytest.param((BUNDLE, FIRST, THIRD), 2, id="the bundle is missing"),
        pytest.param((BUNDLE, OTHER, MOVED), 2, id="another bundle lists it"),
    ],
)
def test_an_event_that_its_bundle_does_not_vouch_for_is_damage(
    tmp_path: Path, events: tuple[SignedEvent, ...], seq: int
) -> None:
    data = write_events(tmp_path / "data", *events)
    (finding,) = checked(data).findings
    assert (finding.severity, finding.detail.partition(":")[0]) == ("damage", f"seq {seq}")
    assert "/signatures/0/bundle" in finding.detail
    file = export(data, tmp_path / "export")
    with pytest.raises(BadCopy, match=f"line {seq + 2}: /signatures/0/bundle"):
        check_export(file, quiet)
    back_up(data, tmp_path / "backup")
    with pytest.raises(BadCopy, match="/signatures/0/bundle"):
        check_backup(tmp_path / "backup", quiet, signatures=True)


def test_a_bundle_that_is_forged_is_damage(tmp_path: Path) -> None:
    forged = SignedEvent(BUNDLE.event, BUNDLE.digest, (Signature(KEY_A.agent, bytes(64)),))
    findings = checked(write_events(tmp_path / "data", forged, FIRST)).findings
    assert [(finding.severity, finding.detail[:6]) for finding in findings] == [("damage", "seq 0:")]


def test_events_of_a_bundle_that_a_repair_lost_are_told_of_and_are_no_damage(tmp_path: Path) -> None:
    data = write_events(tmp_path / "data", BUNDLE, FIRST, SECOND)
    (segment,) = (data / LOG_FOLDER).glob("*.redex")
    rotten = bytearray(segment.read_bytes())
    rotten[64 + 32 + 20] ^= 1  # in the payload of the first frame
    segment.write_bytes(rotten)
    assert checked(data).damaged
    repaired = tmp_path / "repaired"
    repaired.mkdir()
    repair_log(data / LOG_FOLDER, repaired / LOG_FOLDER)
    found = checked(repaired)
    assert not found.damaged
    assert [finding.detail for finding in found.findings][1:] == [
        f"seq {seq}: the bundle by which it was signed" for seq in (1, 2)
    ]
    import_exactly(
        export(repaired, tmp_path / "export"), tmp_path / "new", quiet, clock_ms=now_ms, files=UnsyncedFiles()
    )
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == frames_in(repaired / LOG_FOLDER)
