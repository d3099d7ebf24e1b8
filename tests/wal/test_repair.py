"""A sound log made from a damaged one: what is whole is kept, what is not keeps its position and says why."""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from tests.support.logs import (
    LOG_ID,
    TIME_MS,
    flip_bit,
    open_log,
    read_all,
    segment_bytes_of,
    segment_files,
    write_log,
)
from wal import Frame, LogError, LogLocked, Repaired, UnsupportedFormat, check_log, repair_log
from wal.format import (
    FLAG_LOST,
    FLAG_MORE,
    FOOTER_BYTES,
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    LOGICAL_BITS,
    decode_header,
    encode_frame,
    encode_header,
)
from wal.recovery import read_mark
from wal.repair import LOST_COUNT_MAX

FRAME_BYTES = FRAME_HEADER_BYTES + 1  # of one-byte payloads
THREE_FRAMES = HEADER_BYTES + 3 * FRAME_BYTES
PAYLOADS: Final = [b"%d" % seq for seq in range(9)]
TIME: Final = TIME_MS << LOGICAL_BITS


def repair(source: Path) -> tuple[Repaired, list[Frame]]:
    """Repair into a new folder beside; the source stays as it is, and the new log is sound and takes appends."""
    before = bytes_of(source)
    target = source.with_name("repaired")
    repaired = repair_log(source, target, files=UnsyncedFiles())
    assert bytes_of(source) == before
    assert repaired.end_seq == repaired.first_seq + repaired.kept_count + repaired.lost_count
    assert {finding.severity for finding in check(target)} <= {"lost"}
    with open_log(target, files=UnsyncedFiles()) as log:
        assert log.torn_tail is None
        frames = read_all(log)
        assert log.append(b"after the repair", 7).wait(WAIT_S) == repaired.end_seq
    assert {finding.severity for finding in check(target)} <= {"lost"}
    assert [frame.seq for frame in frames] == list(range(repaired.first_seq, repaired.end_seq))
    lost = [seq for first, last in repaired.lost for seq in range(first, last + 1)]
    assert [frame.seq for frame in frames if frame.lost] == lost
    return repaired, frames


def check(folder: Path) -> Sequence[object]:
    return check_log(folder, lambda _path, _offset, _frame: None).findings


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def texts(frames: list[Frame]) -> list[bytes | None]:
    """The payloads, None for what is lost."""
    return [None if frame.lost else frame.payload for frame in frames]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def frame_offset(index: int) -> int:
    return HEADER_BYTES + index * FRAME_BYTES


def test_sound_log_is_copied_byte_for_byte_but_for_the_epoch(folder: Path) -> None:
    write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    repaired, frames = repair(folder)
    assert repaired == Repaired(LOG_ID, 3, 9, (), 0, 0, 9, ())
    assert texts(frames) == PAYLOADS
    assert not (folder.with_name("repaired") / "quarantine").exists()
    for name, content in segment_bytes_of(folder).items():
        new = (folder.with_name("repaired") / name).read_bytes()
        assert new[HEADER_BYTES : frame_offset(3)] == content[HEADER_BYTES : frame_offset(3)]
        assert decode_header(new) == decode_header(content)._replace(epoch=2)


def test_damaged_frame_is_lost_and_all_others_are_kept(folder: Path) -> None:
    paths = write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    offset = frame_offset(1)
    with open_log(folder) as log:
        times = [frame.time for frame in read_all(log)]
    flip_bit(paths[1], (offset + 32) * 8)
    damaged = paths[1].read_bytes()[offset : offset + FRAME_BYTES]
    repaired, frames = repair(folder)
    assert (repaired.lost, repaired.kept_count, repaired.quarantined_bytes) == (((4, 4),), 8, FRAME_BYTES)
    assert texts(frames) == [*PAYLOADS[:4], None, *PAYLOADS[5:]]
    assert [frame.time for frame in frames] == times
    assert (frames[4].kind, frames[4].flags) == (0, FLAG_LOST)
    assert frames[4].payload.decode().startswith(f"{paths[1].name} at byte {offset}: expected crc")
    quarantine = folder.with_name("repaired") / "quarantine"
    name = f"{paths[1].stem}-{offset}-{FRAME_BYTES}.bytes"
    assert (quarantine / name).read_bytes() == damaged
    (line,) = (quarantine / "findings.jsonl").read_text().splitlines()
    finding = json.loads(line)
    assert finding.pop("reason").startswith("expected crc")
    assert finding == {
        "file": paths[1].name,
        "offset": offset,
        "length": FRAME_BYTES,
        "seq_from": 4,
        "seq_to": 4,
        "kept_in": name,
    }
    new = folder.with_name("repaired")
    assert (new / paths[0].name).read_bytes()[HEADER_BYTES:] == paths[0].read_bytes()[HEADER_BYTES:-FOOTER_BYTES] + (
        new / paths[0].name
    ).read_bytes()[-FOOTER_BYTES:]
    assert (new / paths[1].name).read_bytes()[HEADER_BYTES:offset] == paths[1].read_bytes()[HEADER_BYTES:offset]


@pytest.mark.parametrize("at", [0, 3, 33])
@pytest.mark.parametrize("count", [1, 2])
def test_forged_frame_in_a_damaged_payload_is_not_taken_for_the_next(folder: Path, at: int, count: int) -> None:
    forged = b"".join(encode_frame(2 + index, TIME + 3, 1, 0, 77, b"forged")[0] for index in range(count))
    payloads = [b"0", bytes(at) + forged, b"2", b"3"]
    (path,) = write_log(folder, payloads)
    for bit in (frame_offset(1) * 8, (frame_offset(1) + 4) * 8, (frame_offset(1) + 20) * 8):  # length, crc, time
        flip_bit(path, bit)
        _, frames = repair(folder)
        assert texts(frames) == [b"0", None, b"2", b"3"]
        shutil.rmtree(folder.with_name("repaired"))
        flip_bit(path, bit)


def test_forged_run_that_is_longer_than_the_true_one_loses(folder: Path) -> None:
    forged, crc = b"", 77
    for index in range(50):
        data, crc = encode_frame(2 + index, TIME + 3 + index, 1, 0, crc, b"forged")
        forged += data
    (path,) = write_log(folder, [b"0", forged, b"2", b"3"])
    path.write_bytes(path.read_bytes()[: frame_offset(1)] + bytes(32) + path.read_bytes()[frame_offset(1) + 32 :])
    _, frames = repair(folder)
    assert texts(frames) == [b"0", None, b"2", b"3"]


def test_forged_frame_within_what_a_damaged_one_claims_is_not_believed(folder: Path) -> None:
    forged = encode_frame(2, TIME + 3, 1, 0, 77, b"forged")[0]
    (path,) = write_log(folder, [b"0", forged + b"and more", b"2", b"3", b"4"])
    after = frame_offset(1) + 32 + len(forged) + 8
    content = bytearray(path.read_bytes())
    content[after - 1] ^= 1
    content[after : after + 40] = bytes(40)
    path.write_bytes(content)
    (folder / "DURABLE").unlink()
    shutil.rmtree(folder.with_name("repaired"), ignore_errors=True)
    _, frames = repair(folder)
    assert texts(frames) == [b"0", None, None, None, b"4"]


def test_forged_frame_that_ends_a_damaged_last_one_is_not_appended(folder: Path) -> None:
    forged = encode_frame(2, TIME + 3, 1, 0, 77, b"forged")[0]
    for has_mark in (True, False):
        (path,) = write_log(folder, [b"0", b"x" + forged])
        flip_bit(path, (frame_offset(1) + 32) * 8)
        if not has_mark:
            (folder / "DURABLE").unlink()
        _, frames = repair(folder)
        assert texts(frames) == ([b"0", None] if has_mark else [b"0"])
        shutil.rmtree(folder.with_name("repaired"))
        shutil.rmtree(folder)


def test_whole_frame_shields_what_its_payload_holds(folder: Path) -> None:
    inner = encode_frame(3, TIME + 9, 1, 0, 77, b"forged")[0]
    (path,) = write_log(folder, [b"0", b"1", inner, b"3", b"4"])
    flip_bit(path, (frame_offset(1) + 32) * 8)
    _, frames = repair(folder)
    assert texts(frames) == [b"0", None, inner, b"3", b"4"]


def test_damaged_header_costs_no_frame(folder: Path) -> None:
    paths = write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    for path in paths:
        before = path.read_bytes()
        flip_bit(path, 20 * 8)
        repaired, frames = repair(folder)
        assert (texts(frames), repaired.lost) == (PAYLOADS, ())
        assert [(one.file, one.offset, one.length) for one in repaired.findings] == [(path.name, 0, 64)]
        shutil.rmtree(folder.with_name("repaired"))
        path.write_bytes(before)


def test_only_header_damaged_the_mark_knows_the_log(folder: Path) -> None:
    (path,) = write_log(folder, PAYLOADS)
    flip_bit(path, 20 * 8)
    repaired, frames = repair(folder)
    assert (repaired.log_id, texts(frames)) == (LOG_ID, PAYLOADS)
    shutil.rmtree(folder.with_name("repaired"))
    (folder / "DURABLE").unlink()
    with pytest.raises(LogError, match="which log this was"):
        repair(folder)
    assert not folder.with_name("repaired").exists()


def test_damaged_footer_costs_no_frame(folder: Path) -> None:
    paths = write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    flip_bit(paths[1], (paths[1].stat().st_size - 5) * 8)
    repaired, frames = repair(folder)
    assert (texts(frames), repaired.lost) == (PAYLOADS, ())
    assert [(one.offset, one.length) for one in repaired.findings] == [(THREE_FRAMES, FOOTER_BYTES)]


def test_missing_segment_leaves_lost_frames(folder: Path) -> None:
    paths = write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    paths[1].unlink()
    repaired, frames = repair(folder)
    assert texts(frames) == [*PAYLOADS[:3], None, None, None, *PAYLOADS[6:]]
    assert repaired.lost == ((3, 5),)
    assert frames[3].payload.endswith(b"nothing is there")


def test_missing_last_segment_is_known_from_the_mark(folder: Path) -> None:
    paths = write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    paths[2].unlink()
    repaired, frames = repair(folder)
    assert texts(frames) == [*PAYLOADS[:6], None, None, None]
    assert repaired.lost == ((6, 8),)


def test_segment_of_another_log_is_set_aside(folder: Path) -> None:
    paths = write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    content = paths[1].read_bytes()
    paths[1].write_bytes(encode_header(decode_header(content)._replace(log_id=bytes(16))) + content[HEADER_BYTES:])
    repaired, frames = repair(folder)
    assert texts(frames) == [*PAYLOADS[:3], None, None, None, *PAYLOADS[6:]]
    assert repaired.quarantined_bytes == len(content)


def test_torn_tail_is_quarantined_and_its_seqs_are_free(folder: Path) -> None:
    (path,) = write_log(folder, PAYLOADS)
    path.write_bytes(path.read_bytes()[:-1])
    (folder / "DURABLE").unlink()
    repaired, frames = repair(folder)
    assert (texts(frames), repaired.lost) == (PAYLOADS[:8], ())
    assert repaired.quarantined_bytes == FRAME_BYTES - 1


def test_acknowledged_tail_is_lost_and_its_seqs_are_taken(folder: Path) -> None:
    (path,) = write_log(folder, PAYLOADS)
    path.write_bytes(path.read_bytes()[: -FRAME_BYTES - 1])
    repaired, frames = repair(folder)
    assert texts(frames) == [*PAYLOADS[:7], None, None]
    assert repaired.lost == ((7, 8),)


def test_batch_that_was_never_complete_is_left_out(folder: Path) -> None:
    with open_log(folder) as log:
        log.append(b"0", 1).wait(WAIT_S)
        mark = (folder / "DURABLE").read_bytes()
        log.append_batch([(1, b"1"), (1, b"2"), (1, b"3")]).wait(WAIT_S)
    (folder / "DURABLE").write_bytes(mark)
    (path,) = segment_files(folder)
    whole = path.read_bytes()
    for content in (whole[:-FRAME_BYTES], whole[: frame_offset(2)] + bytes(FRAME_BYTES) + whole[frame_offset(3) :]):
        path.write_bytes(content)
        repaired, frames = repair(folder)
        assert (texts(frames), repaired.lost) == ([b"0"], ())
        shutil.rmtree(folder.with_name("repaired"))


def test_acknowledged_batch_keeps_what_is_whole(folder: Path) -> None:
    with open_log(folder) as log:
        log.append_batch([(1, b"0"), (1, b"1"), (1, b"2")]).wait(WAIT_S)
    (path,) = segment_files(folder)
    path.write_bytes(path.read_bytes()[:-FRAME_BYTES])
    _, frames = repair(folder)
    assert texts(frames) == [b"0", b"1", None]
    assert [frame.flags & FLAG_MORE for frame in frames] == [1, 1, 0]


def test_lost_frames_of_an_earlier_repair_stay(folder: Path) -> None:
    (path,) = write_log(folder, PAYLOADS)
    flip_bit(path, (frame_offset(4) + 32) * 8)
    repair_log(folder, folder.with_name("once"), files=UnsyncedFiles())
    repaired, again = repair_log(folder.with_name("once"), folder.with_name("twice"), files=UnsyncedFiles()), []
    with open_log(folder.with_name("twice")) as log:
        again = read_all(log)
    assert (repaired.lost, repaired.kept_count) == ((), 9)
    assert [frame.seq for frame in again if frame.lost] == [4]


def test_log_of_version_1_becomes_one_of_the_newest(folder: Path) -> None:
    (path,) = write_log(folder, PAYLOADS)
    content = path.read_bytes()
    header = decode_header(content)._replace(version=1, created=TIME_MS)
    path.write_bytes(encode_header(header) + content[HEADER_BYTES:])
    (folder / "DURABLE").unlink()
    flip_bit(path, (frame_offset(0) + 32) * 8)
    _, frames = repair(folder)
    assert texts(frames) == [None, *PAYLOADS[1:]]
    assert frames[0].time == frames[1].time - 1
    assert decode_header((folder.with_name("repaired") / path.name).read_bytes()).version == 2


def test_damaged_folder_that_a_writer_has_is_refused(folder: Path) -> None:
    with open_log(folder), pytest.raises(LogLocked):
        repair_log(folder, folder.with_name("repaired"))
    assert not folder.with_name("repaired").exists()


def test_target_that_holds_something_is_refused_and_an_empty_one_is_not(folder: Path) -> None:
    write_log(folder, PAYLOADS)
    target = folder.with_name("repaired")
    with pytest.raises(LogError, match="not empty"):
        repair_log(folder, folder)
    target.mkdir()
    repair_log(folder, target, files=UnsyncedFiles())
    with pytest.raises(LogError, match="not empty"):
        repair_log(folder, target)
    with pytest.raises(LogError, match="holds no log"):
        repair_log(folder.with_name("nowhere"), folder.with_name("new"))


def test_gap_past_the_bound_is_refused_and_leaves_nothing(folder: Path) -> None:
    (path,) = write_log(folder, PAYLOADS)
    header = decode_header(path.read_bytes())
    far = header._replace(first_seq=LOST_COUNT_MAX + 10)
    (folder / f"{far.first_seq:020d}.redex").write_bytes(encode_header(far))
    with pytest.raises(LogError, match="1000001 frames are missing"):
        repair_log(folder, folder.with_name("repaired"), files=UnsyncedFiles())
    assert sorted(path.name for path in folder.parent.iterdir()) == ["log"]


def test_newer_format_is_refused(folder: Path) -> None:
    (path,) = write_log(folder, PAYLOADS)
    content = path.read_bytes()
    newer_flag = encode_frame(3, TIME + 3, 1, 8, 0, b"n")[0]
    path.write_bytes(content[: frame_offset(3)] + newer_flag + content[frame_offset(4) :])
    with pytest.raises(UnsupportedFormat, match="newer program"):
        repair_log(folder, folder.with_name("repaired"))
    path.write_bytes(encode_header(decode_header(content)._replace(version=3)) + content[HEADER_BYTES:])
    with pytest.raises(UnsupportedFormat):
        repair_log(folder, folder.with_name("repaired"))


def test_everything_is_durable_before_the_new_folder_has_its_name(folder: Path) -> None:
    class Watched(UnsyncedFiles):
        def __init__(self) -> None:
            self.unsynced: set[int] = set()

        def write(self, handle: int, data: bytes, offset: int) -> None:
            super().write(handle, data, offset)
            self.unsynced.add(handle)

        def sync(self, handle: int) -> None:
            self.unsynced.discard(handle)

        def rename(self, source: Path, target: Path) -> None:
            assert not self.unsynced
            super().rename(source, target)

    paths = write_log(folder, PAYLOADS, segment_bytes=THREE_FRAMES)
    flip_bit(paths[1], (frame_offset(1) + 32) * 8)
    repair_log(folder, folder.with_name("repaired"), files=Watched())
    with open_log(folder.with_name("repaired")) as log:
        mark = read_mark(UnsyncedFiles(), folder.with_name("repaired"), LOG_ID)
        assert (log.epoch, mark and mark.synced_seq) == (3, 9)


# Any damage


def nasty_payloads(generator: random.Random) -> list[bytes]:
    """Payloads of which half hold frames that could be the next ones, by seq and by time."""
    payloads = []
    for seq in range(14):
        payload = generator.randbytes(generator.choice([0, 1, 30]))
        if seq % 2:
            for ahead in range(1, generator.choice([2, 3, 5])):
                frame, _ = encode_frame(seq + ahead, TIME + seq + ahead, 1, 0, generator.randrange(2**32), b"forged")
                payload += frame
            payload += generator.randbytes(generator.choice([0, 0, 3]))
        payloads.append(payload)
    return payloads


Damage = Callable[[random.Random, bytes], bytes]


def flipped(generator: random.Random, content: bytes) -> bytes:
    bit, changed = generator.randrange(len(content) * 8), bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def zeroed(generator: random.Random, content: bytes) -> bytes:
    start = generator.randrange(len(content))
    size = min(generator.choice([1, 8, 40, 200]), len(content) - start)
    return content[:start] + bytes(size) + content[start + size :]


def shortened(generator: random.Random, content: bytes) -> bytes:
    return content[: generator.randrange(len(content))]


def test_whatever_is_damaged_no_whole_frame_is_lost_and_none_is_wrong(tmp_path: Path) -> None:
    for seed in range(6):
        generator = random.Random(seed)
        folder = tmp_path / f"{seed}" / "log"
        write_log(folder, nasty_payloads(generator), segment_bytes=400)
        originals = originals_of(folder)
        for turn in range(70):
            names = sorted(path.name for path in folder.iterdir())
            before = bytes_of(folder)
            count = 1 + turn % 3 // 2
            for name in generator.sample(names, count):
                damage: Damage = generator.choice([flipped, flipped, zeroed, shortened])
                (folder / name).write_bytes(damage(generator, before[name]))
            try:
                check_repair(folder, originals, strictly=count == 1)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, turn {turn}: {error}") from error
            shutil.rmtree(folder.with_name("repaired"), ignore_errors=True)
            for name, content in before.items():
                (folder / name).write_bytes(content)


Original = tuple[Frame, str, int, bytes]


def originals_of(folder: Path) -> list[Original]:
    """Every frame with its file, place and bytes."""
    found: list[Original] = []

    def note(path: Path, offset: int, frame: Frame) -> None:
        data = path.read_bytes()[offset : offset + FRAME_HEADER_BYTES + len(frame.payload)]
        found.append((frame, path.name, offset, data))

    assert check_log(folder, note).findings == ()
    return found


def check_repair(folder: Path, originals: list[Original], *, strictly: bool) -> None:
    """strictly: every frame whose bytes are as they were is kept, and every other is lost."""
    repaired, frames = repair(folder)
    content = bytes_of(folder)
    assert strictly or len(frames) <= len(originals)
    assert not strictly or len(frames) == len(originals)
    for found, (frame, name, offset, data) in zip(frames, originals, strict=strictly):
        if not found.lost:
            what = ("seq", "time", "kind", "flags", "payload")
            assert [getattr(found, one) for one in what] == [getattr(frame, one) for one in what]
        if strictly:
            is_whole = content[name][offset : offset + len(data)] == data
            assert found.lost is not is_whole, f"seq {frame.seq}: whole {is_whole}, lost {found.lost}"
    assert bool(repaired.lost) <= bool(repaired.findings)
