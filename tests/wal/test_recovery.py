from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S
from tests.support.logs import (
    ALL,
    LOG_ID,
    TIME_MS,
    flip_bit,
    open_log,
    read_all,
    read_payloads,
    segment_bytes_of,
    segment_files,
    write_log,
)
from wal import Corrupt, TornTail, UnsupportedFormat
from wal.format import (
    FLAG_SYNCED,
    FOOTER_BYTES,
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    LOGICAL_BITS,
    decode_header,
    encode_frame,
    encode_header,
)

PAYLOADS = [b"The sky is blue.", b"", b"The sky is grey, says another.", bytes(12), b"end"]


def frame_ends(payloads: Iterable[bytes]) -> list[int]:
    """Offsets at which 0, 1, 2, ... frames of a segment are whole."""
    ends = [HEADER_BYTES]
    for payload in payloads:
        ends.append(ends[-1] + FRAME_HEADER_BYTES + len(payload))
    return ends


def crc_at(content: bytes, offset: int) -> int:
    return int.from_bytes(content[offset + 4 : offset + 8], "little")


def test_every_prefix_opens_with_its_whole_frames_and_tells_what_was_cut(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    whole = path.read_bytes()
    ends = frame_ends(PAYLOADS)
    mark = (tmp_path / "DURABLE").read_bytes()
    for size in range(HEADER_BYTES, len(whole) + 1):
        path.write_bytes(whole[:size])
        (tmp_path / "DURABLE").write_bytes(mark)
        count = sum(end <= size for end in ends) - 1
        with open_log(tmp_path) as log:
            assert read_payloads(log) == PAYLOADS[:count]
            lost = len(PAYLOADS) - count
            if lost:
                assert log.torn_tail is not None
                assert log.torn_tail[:3] == (path, ends[count], size - ends[count])
                assert log.torn_tail.acknowledged_count == lost, "the mark knows what was acknowledged"
                kept = log.torn_tail.kept_in
                assert (kept.read_bytes() if kept else b"") == whole[ends[count] : size]
            else:
                assert log.torn_tail is None
        assert path.read_bytes() == whole[: ends[count]]
        with open_log(tmp_path) as log:
            assert log.torn_tail is None, "the second opening finds nothing to cut"
            assert read_payloads(log) == PAYLOADS[:count]
            assert log.append(b"new", 1).wait(WAIT_S) == count
        with open_log(tmp_path) as log:
            assert read_payloads(log) == [*PAYLOADS[:count], b"new"]


def test_prefix_that_ends_in_the_header_is_refused_as_it_is(tmp_path: Path) -> None:
    """A header is durable before its file has a name, so no crash leaves this."""
    (path,) = write_log(tmp_path, PAYLOADS)
    whole = path.read_bytes()
    for size in range(HEADER_BYTES):
        path.write_bytes(whole[:size])
        with pytest.raises(Corrupt) as caught:
            open_log(tmp_path)
        assert caught.value.path == path
        assert path.read_bytes() == whole[:size]


def test_any_flipped_bit_is_refused_unless_it_is_in_the_last_frame(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS[:4])
    whole = path.read_bytes()
    last = frame_ends(PAYLOADS[:3])[-1]
    for bit in range(len(whole) * 8):
        path.write_bytes(whole)
        flip_bit(path, bit)
        damaged = path.read_bytes()
        if bit // 8 < last:
            with pytest.raises((Corrupt, UnsupportedFormat), match=path.name):
                open_log(tmp_path)
            assert path.read_bytes() == damaged, "nothing is removed"
        else:
            with open_log(tmp_path) as log:
                assert read_payloads(log) == PAYLOADS[:3]
                assert log.torn_tail is not None
                assert log.torn_tail[:3] == (path, last, len(whole) - last)


def test_flipped_bit_under_an_open_log_never_reads_as_a_payload(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    with open_log(tmp_path) as log:
        for bit in range(HEADER_BYTES * 8, path.stat().st_size * 8):
            flip_bit(path, bit)
            with pytest.raises(Corrupt, match=path.name):
                read_all(log)
            flip_bit(path, bit)
        assert read_payloads(log) == PAYLOADS


@pytest.mark.parametrize("change", ["zeroed", "overwritten", "removed", "doubled"])
def test_damage_in_the_middle_is_refused_and_nothing_is_removed(tmp_path: Path, change: str) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    whole = path.read_bytes()
    start, end = frame_ends(PAYLOADS)[1:3]
    middle = {
        "zeroed": bytes(end - start),
        "overwritten": b"rubbish!" * 4,
        "removed": b"",
        "doubled": whole[start:end] * 2,
    }[change]
    path.write_bytes(whole[:start] + middle + whole[end:])
    damaged = path.read_bytes()
    for _ in range(2):
        with pytest.raises(Corrupt) as caught:
            open_log(tmp_path)
        assert caught.value.path == path
        assert caught.value.offset == (end if change == "doubled" else start)
        assert path.read_bytes() == damaged


def test_whole_frame_in_the_place_of_another_is_found_by_the_chain(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    whole, ends = path.read_bytes(), frame_ends(PAYLOADS)
    frame, _ = encode_frame(1, TIME_MS << LOGICAL_BITS | 1, 1, FLAG_SYNCED, crc_at(whole, ends[0]), PAYLOADS[1])
    assert frame == whole[ends[1] : ends[2]]
    other, _ = encode_frame(1, TIME_MS << LOGICAL_BITS | 1, 2, FLAG_SYNCED, crc_at(whole, ends[0]), PAYLOADS[1])
    path.write_bytes(whole.replace(frame, other))
    with pytest.raises(Corrupt, match="chain") as caught:
        open_log(tmp_path)
    assert caught.value.offset == ends[2]


@pytest.mark.parametrize("rubbish", [bytes(1), bytes(31), bytes(5000), b"\xff" * 100, b"rubbish " * 1000])
def test_rubbish_at_the_tail_is_cut(tmp_path: Path, rubbish: bytes) -> None:
    """Zeros are what a file system may show where a lost write would have been."""
    (path,) = write_log(tmp_path, PAYLOADS)
    whole = path.read_bytes()
    path.write_bytes(whole + rubbish)
    with open_log(tmp_path) as log:
        assert read_payloads(log) == PAYLOADS
        assert log.torn_tail is not None
        assert log.torn_tail[:3] == (path, len(whole), len(rubbish))
        assert log.torn_tail.reason
    assert path.read_bytes() == whole


@pytest.mark.parametrize("wrong", ["seq", "chain", "time", "flags"])
def test_whole_last_frame_that_does_not_fit_is_refused_not_cut(tmp_path: Path, wrong: str) -> None:
    """Its crc is right, so no crash tore it: it came from elsewhere or from a newer program."""
    (path,) = write_log(tmp_path, PAYLOADS)
    with open_log(tmp_path) as log:
        seq, time = log.durable_end, log.last_time + 1
    chain = crc_at(path.read_bytes(), frame_ends(PAYLOADS)[-2])
    fits = {"seq": seq, "time": time, "kind": 1, "flags": 0, "chain": chain, "payload": b"whole"}
    misfit = {"seq": seq + 1, "time": 0, "flags": 8, "chain": chain ^ 1}[wrong]
    frame, _ = encode_frame(**{**fits, wrong: misfit})  # type: ignore[arg-type]
    damaged = path.read_bytes() + frame
    path.write_bytes(damaged)
    with pytest.raises((Corrupt, UnsupportedFormat)):
        open_log(tmp_path)
    assert path.read_bytes() == damaged


def test_incomplete_batch_at_the_tail_is_cut_whole(tmp_path: Path) -> None:
    batch = [b"first of three", b"", b"third of three"]
    with open_log(tmp_path) as log:
        log.append(b"alone", 1).wait(WAIT_S)
        log.append_batch([(1, payload) for payload in batch]).wait(WAIT_S)
    (path,) = segment_files(tmp_path)
    whole = path.read_bytes()
    start = frame_ends([b"alone"])[-1]
    for size in range(start, len(whole)):
        path.write_bytes(whole[:size])
        with open_log(tmp_path) as log:
            assert read_payloads(log) == [b"alone"]
            cut = log.torn_tail[:3] if log.torn_tail else (path, start, 0)
            assert cut == (path, start, size - start)
            log.append_batch([(1, b"new"), (1, b"pair")]).wait(WAIT_S)
        with open_log(tmp_path) as log:
            assert read_payloads(log) == [b"alone", b"new", b"pair"]


def test_incomplete_append_many_keeps_its_whole_frames(tmp_path: Path) -> None:
    many = [b"first of three", b"", b"third of three"]
    with open_log(tmp_path) as log:
        log.append_many([(1, payload) for payload in many]).wait(WAIT_S)
    (path,) = segment_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with open_log(tmp_path) as log:
        assert read_payloads(log) == many[:2]


def test_torn_tail_behind_many_frames_is_cut_and_seeks_still_work(tmp_path: Path) -> None:
    """More frames than the sparse index steps over, the cut next to one of its places."""
    (path,) = write_log(tmp_path, [b"%03d" % seq for seq in range(130)])
    whole = path.read_bytes()
    for count in (127, 128, 129):
        path.write_bytes(whole[: HEADER_BYTES + 35 * count + 1])
        with open_log(tmp_path) as log:
            assert isinstance(log.torn_tail, TornTail)
            log.append_many([(1, b"new")] * 5).wait(WAIT_S)
            assert [frame.seq for frame in read_all(log)] == list(range(count + 5))
            assert log.read_from(count, count_max=1, bytes_max=1)[0].payload == b"new"


def test_damaged_sealed_segment_raises_at_its_read_and_spares_the_others(tmp_path: Path) -> None:
    paths = write_log(tmp_path, [b"%d" % seq for seq in range(9)], segment_bytes=64 + 3 * 33)
    assert len(paths) == 3
    offset = HEADER_BYTES + 33
    flip_bit(paths[0], offset * 8 + 150)
    before = segment_bytes_of(tmp_path)
    with open_log(tmp_path) as log:
        assert log.read_from(0, count_max=1, bytes_max=ALL)[0].payload == b"0"
        assert [frame.seq for frame in log.read_from(0, count_max=3, bytes_max=ALL)] == [0]
        for seq in (1, 2):
            with pytest.raises(Corrupt) as caught:
                log.read_from(seq, count_max=3, bytes_max=ALL)
            assert (caught.value.path, caught.value.offset) == (paths[0], offset)
        assert [frame.seq for frame in log.read_from(3, count_max=ALL, bytes_max=ALL)] == [3, 4, 5, 6, 7, 8]
        log.append(b"9", 1).wait(WAIT_S)
    after = segment_bytes_of(tmp_path)
    assert all(after[name].startswith(content) for name, content in before.items())


def test_damage_in_a_sealed_segment_without_a_whole_footer_is_refused(tmp_path: Path) -> None:
    paths = write_log(tmp_path, [b"0", b"1", b"2"], segment_bytes=1)
    flip_bit(paths[1], HEADER_BYTES * 8 + 77)
    flip_bit(paths[1], (HEADER_BYTES + 33) * 8 + 77)
    with pytest.raises(Corrupt) as caught:
        open_log(tmp_path)
    assert (caught.value.path, caught.value.offset) == (paths[1], HEADER_BYTES)


def test_flipped_bit_in_a_footer_harms_no_frame(tmp_path: Path) -> None:
    paths = write_log(tmp_path, [b"0", b"1", b"2"], segment_bytes=1)
    whole = paths[1].read_bytes()
    for bit in range((HEADER_BYTES + 33) * 8, len(whole) * 8):
        flip_bit(paths[1], bit)
        with open_log(tmp_path) as log:
            assert read_payloads(log) == [b"0", b"1", b"2"]
        flip_bit(paths[1], bit)
        assert paths[1].read_bytes() == whole, "nothing is mended in place"


@pytest.mark.parametrize("missing", ["a whole segment", "the last frame of a segment", "half a footer"])
def test_gap_between_segments_is_refused_at_open(tmp_path: Path, missing: str) -> None:
    paths = write_log(tmp_path, [b"%d" % seq for seq in range(12)], segment_bytes=64 + 3 * 33)
    if missing == "a whole segment":
        paths[1].unlink()
    else:
        cut = FOOTER_BYTES // 2 if missing == "half a footer" else FOOTER_BYTES + 33
        paths[1].write_bytes(paths[1].read_bytes()[:-cut])
    with pytest.raises(Corrupt) as caught:
        open_log(tmp_path)
    assert caught.value.path == (paths[1] if missing == "half a footer" else paths[2])


def test_missing_last_segment_is_refused_at_open(tmp_path: Path) -> None:
    """The mark names it: without it acknowledged frames are gone and their seqs would be used again."""
    paths = write_log(tmp_path, [b"0", b"1", b"2"], segment_bytes=1)
    for path in reversed(paths):
        path.unlink()
        with pytest.raises(Corrupt, match="DURABLE"):
            open_log(tmp_path)


def test_segment_of_another_log_is_refused(tmp_path: Path) -> None:
    paths = write_log(tmp_path, [b"0", b"1"], segment_bytes=1)
    header = decode_header(paths[1].read_bytes())
    changed = encode_header(header._replace(log_id=LOG_ID[::-1]))
    paths[1].write_bytes(changed + paths[1].read_bytes()[HEADER_BYTES:])
    with pytest.raises(Corrupt, match="log id") as caught:
        open_log(tmp_path)
    assert caught.value.path == paths[1]


def test_header_of_the_last_segment_that_breaks_the_chain_is_refused(tmp_path: Path) -> None:
    paths = write_log(tmp_path, [b"0", b"1"], segment_bytes=1)
    header = decode_header(paths[1].read_bytes())
    changed = encode_header(header._replace(chain=header.chain ^ 1))
    paths[1].write_bytes(changed + paths[1].read_bytes()[HEADER_BYTES:])
    with pytest.raises(Corrupt, match="chain"):
        open_log(tmp_path)


def test_leftovers_of_a_roll_are_harmless(tmp_path: Path) -> None:
    write_log(tmp_path, [b"0"], segment_bytes=1)
    leftover = tmp_path / f"{1:020d}.new"
    leftover.write_bytes(b"half a head")
    write_log(tmp_path, [b"1", b"2"], segment_bytes=1)
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"0", b"1", b"2"]
    assert not leftover.exists()
