import struct
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faulty_files import WAIT_S
from tests.support.logs import LOG_ID, TIME_MS, open_log, read_all, read_payloads, segment_files
from wal import check_log
from wal.format import (
    BODY_BYTES_MIN,
    FLAG_MORE,
    FLAG_NONE,
    FLAG_SYNCED,
    FOOTER_BYTES,
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    LOGICAL_BITS,
    PAYLOAD_BYTES_MAX,
    SEQ_MAX,
    BadBytes,
    Footer,
    Frame,
    SegmentHeader,
    WrongVersion,
    decode_footer,
    decode_frame,
    decode_header,
    encode_footer,
    encode_frame,
    encode_header,
    frame_crc,
    frame_length,
)

REPOSITORY = Path(__file__).parents[2]
GOLDEN = REPOSITORY / "tests/golden/log-v2.hex"
GOLDEN_V1 = REPOSITORY / "tests/golden/log-v1.hex"
PAGE = REPOSITORY / "docs/format-log.md"
GOLDEN_NAME = "00000000000000000000.redex"
GOLDEN_TIME = TIME_MS << LOGICAL_BITS
GOLDEN_FRAMES = [
    Frame(0, GOLDEN_TIME, 1, FLAG_SYNCED, b"The sky is blue.", 0),
    Frame(1, GOLDEN_TIME + 1, 2, FLAG_SYNCED | FLAG_MORE, b"The sky is grey.", 0xA061B2DA),
    Frame(2, GOLDEN_TIME + 2, 3, FLAG_NONE, b"", 0x673ABE12),
]
GOLDEN_FRAMES_V1 = [
    Frame(0, GOLDEN_TIME, 1, FLAG_NONE, b"The sky is blue.", 0),
    Frame(1, GOLDEN_TIME + 1, 2, FLAG_MORE, b"The sky is grey.", 0x184A6FB2),
    Frame(2, GOLDEN_TIME + 2, 3, FLAG_NONE, b"", 0x3D5218AB),
]

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
seqs = st.integers(0, SEQ_MAX)
headers = st.builds(SegmentHeader, st.binary(min_size=16, max_size=16), u64, seqs, u64, u32, st.sampled_from([1, 2]))
footers = st.builds(Footer, u64, u64, u64, u64, st.binary(min_size=32, max_size=32), u32)


@given(headers)
def test_header_round_trips(header: SegmentHeader) -> None:
    data = encode_header(header)
    assert len(data) == HEADER_BYTES
    assert decode_header(data) == header


@given(headers, st.integers(0, HEADER_BYTES * 8 - 1))
def test_header_with_any_flipped_bit_is_refused(header: SegmentHeader, bit: int) -> None:
    data = bytearray(encode_header(header))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadBytes) as caught:
        decode_header(bytes(data))
    assert not isinstance(caught.value, WrongVersion), "a flipped bit is damage, not a newer format"


@given(footers)
def test_footer_round_trips(footer: Footer) -> None:
    data = encode_footer(footer)
    assert len(data) == FOOTER_BYTES
    assert decode_footer(data) == footer


@given(footers, st.integers(0, FOOTER_BYTES * 8 - 1))
def test_footer_with_any_flipped_bit_is_refused(footer: Footer, bit: int) -> None:
    data = bytearray(encode_footer(footer))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadBytes):
        decode_footer(bytes(data))


@given(headers, st.integers(0, HEADER_BYTES - 1))
def test_short_header_is_refused(header: SegmentHeader, size: int) -> None:
    with pytest.raises(BadBytes):
        decode_header(encode_header(header)[:size])


def test_whole_header_of_another_version_is_told_apart_from_damage() -> None:
    body = bytearray(encode_header(SegmentHeader(LOG_ID, 1, 0, GOLDEN_TIME, 0))[:-4])
    body[8] = 3
    with pytest.raises(WrongVersion):
        decode_header(bytes(body) + struct.pack("<I", google_crc32c.value(bytes(body))))


@given(seqs, u64, u16, st.sampled_from([FLAG_NONE, FLAG_MORE]), u32, st.binary(max_size=300), st.binary())
def test_frame_round_trips_wherever_it_lies(
    seq: int, time: int, kind: int, flags: int, chain: int, payload: bytes, before: bytes
) -> None:
    data, crc = encode_frame(seq, time, kind, flags, chain, payload)
    offset = len(before)
    around = before + data + b"whatever follows"
    assert len(data) == FRAME_HEADER_BYTES + len(payload)
    assert frame_length(around, offset) == len(data)
    assert decode_frame(around, offset, len(data)) == (Frame(seq, time, kind, flags, payload, chain), crc)
    assert frame_crc(Frame(seq, time, kind, flags, payload, chain)) == crc


@given(st.binary(max_size=40), st.data())
def test_frame_with_any_flipped_bit_behind_its_length_is_refused(payload: bytes, data: st.DataObject) -> None:
    frame = bytearray(encode_frame(7, GOLDEN_TIME, 1, FLAG_NONE, 9, payload)[0])
    bit = data.draw(st.integers(4 * 8, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadBytes):
        decode_frame(bytes(frame), 0, len(frame))


@pytest.mark.parametrize("flags", [8, 9, 0x8000])
def test_unknown_flags_are_refused(flags: int) -> None:
    data, _ = encode_frame(0, 0, 0, flags, 0, b"")
    with pytest.raises(BadBytes, match="flags"):
        decode_frame(data, 0, len(data))


@pytest.mark.parametrize("length", [0, BODY_BYTES_MIN - 1, BODY_BYTES_MIN + PAYLOAD_BYTES_MAX + 1, 2**32 - 1])
def test_length_that_no_frame_has_is_refused(length: int) -> None:
    with pytest.raises(BadBytes, match="length"):
        frame_length(struct.pack("<I", length) + bytes(28), 0)


@pytest.mark.parametrize("length", [BODY_BYTES_MIN, BODY_BYTES_MIN + PAYLOAD_BYTES_MAX])
def test_length_at_the_bounds_is_taken(length: int) -> None:
    assert frame_length(struct.pack("<I", length) + bytes(28), 0) == length + 8


def test_time_ms_is_the_clock_without_its_counter() -> None:
    assert Frame(0, GOLDEN_TIME + 5, 0, 0, b"").time_ms == TIME_MS


def test_log_writes_the_golden_bytes(tmp_path: Path) -> None:
    """A change here is a new format version, with a reader for this one."""
    with open_log(tmp_path) as log:
        log.append(GOLDEN_FRAMES[0].payload, GOLDEN_FRAMES[0].kind).wait(WAIT_S)
        log.append_batch([(frame.kind, frame.payload) for frame in GOLDEN_FRAMES[1:]]).wait(WAIT_S)
    (path,) = segment_files(tmp_path)
    assert path.name == GOLDEN_NAME
    assert path.read_bytes().hex() == golden().hex()


def test_golden_bytes_are_read_back(tmp_path: Path) -> None:
    (tmp_path / GOLDEN_NAME).write_bytes(golden())
    with open_log(tmp_path) as log:
        assert log.torn_tail is None
        assert log.log_id == LOG_ID
        assert read_all(log) == GOLDEN_FRAMES


def test_log_of_version_1_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / GOLDEN_NAME
    path.write_bytes(golden(GOLDEN_V1))
    with open_log(tmp_path) as log:
        assert read_all(log) == GOLDEN_FRAMES_V1
        assert log.append(b"new", 1).wait(WAIT_S) == 3
    assert path.read_bytes().hex() == golden(GOLDEN_V1).hex(), "old segments stay as they were"
    for _ in range(2):
        with open_log(tmp_path) as log:
            assert read_payloads(log) == [*(frame.payload for frame in GOLDEN_FRAMES_V1), b"new"]
            assert log.append_many([]).done
    checked = check_log(tmp_path, lambda _path, _offset, _frame: None)
    assert (checked.end_seq, checked.findings) == (4, ())


def test_page_shows_the_golden_bytes() -> None:
    example = PAGE.read_text().split("```hex\n")[1].split("```")[0]
    shown = [line.split("  ")[0] for line in example.splitlines() if line and line[0] != "#"]
    assert bytes.fromhex(" ".join(shown)).hex() == golden().hex()


def golden(path: Path = GOLDEN) -> bytes:
    return bytes.fromhex(path.read_text())
