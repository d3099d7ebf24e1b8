"""Bodies that come in gzip or zstd: read whole, refused when they are not, and bombs cost next to nothing."""

import asyncio
import gzip
import sys
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.config import NodeConfig
from episteme.errors import Malformed, RequestTimeout, TooLarge, UnsupportedMedia
from episteme.server.compression import FRAMES_MAX, STEP_BYTES, WINDOW_LOG_MAX, Coding, Unpacker, compress
from episteme.server.wire import read_body
from tests.support.asgi import call_node, edged
from tests.support.envelopes import claim
from tests.support.nodes import node_on

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS: tuple[Coding, ...] = ("gzip", "zstd")
MIB = 1024 * 1024
each_coding = pytest.mark.parametrize("coding", CODINGS)


def unpack(coding: Coding, pieces: Sequence[bytes], bytes_max: int = 16 * MIB) -> bytes:
    unpacker = Unpacker(coding, bytes_max)
    out = b"".join(piece for data in pieces for piece in unpacker.feed(data))
    unpacker.finish()
    return out


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@each_coding
@given(members=st.lists(st.binary(max_size=3000), min_size=1, max_size=5), size=st.integers(1, 500))
def test_what_was_packed_comes_back_however_it_is_cut_and_in_however_many_members(
    coding: Coding, members: list[bytes], size: int
) -> None:
    packed = b"".join(compress(member, coding) for member in members)
    assert unpack(coding, cut(packed, size)) == b"".join(members)


@each_coding
@pytest.mark.parametrize("size", [STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES, 1_000_003])
def test_pieces_are_never_larger_than_a_step(coding: Coding, size: int) -> None:
    data = bytes(size)
    pieces = list(Unpacker(coding, size).feed(compress(data, coding)))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= STEP_BYTES


@each_coding
def test_bound_is_exact(coding: Coding) -> None:
    packed = compress(bytes(100_000), coding)
    assert len(unpack(coding, [packed], 100_000)) == 100_000
    with pytest.raises(TooLarge, match="99999"):
        unpack(coding, [packed], 99_999)


@each_coding
@given(data=st.binary(max_size=2000), size=st.integers(0, 40))
def test_body_that_is_cut_off_is_refused(coding: Coding, data: bytes, size: int) -> None:
    packed = compress(data, coding)
    with pytest.raises(Malformed):
        unpack(coding, [packed[: max(0, len(packed) - 1 - size)]])


@each_coding
@pytest.mark.parametrize("garbage", [b"x", b"\0", b"\0" * 600, b"{}", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_body_that_is_followed_by_something_else_is_refused(coding: Coding, garbage: bytes) -> None:
    with pytest.raises(Malformed):
        unpack(coding, [compress(b"whole", coding) + garbage])


@each_coding
@given(st.binary(max_size=200), st.integers(0, 100))
def test_no_bytes_make_a_fault(coding: Coding, noise: bytes, start: int) -> None:
    for data in (noise, compress(b"x" * 100, coding)[: start % 40] + noise):
        with suppress(Malformed, TooLarge):
            unpack(coding, [data], 10_000)


def test_gzip_with_a_wrong_checksum_is_refused() -> None:
    packed = bytearray(compress(b"whole" * 100, "gzip"))
    packed[-8] ^= 1
    with pytest.raises(Malformed):
        unpack("gzip", [bytes(packed)])


@each_coding
def test_members_without_end_are_refused(coding: Coding) -> None:
    empty = compress(b"", coding)
    assert unpack(coding, [empty * FRAMES_MAX]) == b""
    with pytest.raises(TooLarge, match="members"):
        unpack(coding, [empty * (FRAMES_MAX + 1)])


def test_zstd_that_asks_for_a_large_window_is_refused_before_the_memory_is_taken() -> None:
    options = {
        zstd.CompressionParameter.window_log: WINDOW_LOG_MAX + 4,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    greedy = zstd.ZstdCompressor(options=options)
    packed = greedy.compress(bytes(32 * MIB)) + greedy.flush()
    with pytest.raises(Malformed, match="window"):
        unpack("zstd", [packed], 64 * MIB)


@each_coding
def test_bomb_is_known_for_one_with_little_memory_and_few_steps(coding: Coding) -> None:
    bomb = cut(compress(bytes(64 * MIB), coding) * 8, STEP_BYTES)
    unpacker, steps = Unpacker(coding, MIB), 0
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):  # noqa: PT012  (whichever step it is)
            for data in bomb:
                for _ in unpacker.feed(data):
                    steps += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert steps <= MIB // STEP_BYTES + 1
    assert peak < MIB // 2


# Over HTTP


@each_coding
@pytest.mark.parametrize("path", ["/v1/assertions", "/v1/events", "/v1/ingest"])
def test_every_write_takes_both_codings(tmp_path: Path, coding: Coding, path: str) -> None:
    with node_on(tmp_path) as node:
        reply = call_node(node, "POST", path, compress(claim("packed"), coding), headers={"Content-Encoding": coding})
        assert reply.status in (200, 202)
        assert node.end_seq == 0
        again = call_node(node, "POST", "/v1/assertions", claim("packed"))
        assert again.json()["status"] == "duplicate"


def test_upload_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    """As log shippers and `cat a.gz b.gz` make them."""
    parts = [gzip.compress(claim(f"member {number}") + b"\n") for number in range(3)]
    with node_on(tmp_path) as node:
        reply = call_node(node, "POST", "/v1/ingest", b"".join(parts), headers={"Content-Encoding": "gzip"})
        assert reply.lines[-1]["summary"]["accepted"] == 3


@pytest.mark.parametrize(
    ("encoding", "body", "status", "code"),
    [
        ("gzip", b"{}", 400, "malformed"),
        ("zstd", b"{}", 400, "malformed"),
        ("gzip", b"", 400, "malformed"),
        ("gzip", gzip.compress(claim("x"))[:-3], 400, "malformed"),
        ("br", b"{}", 415, "unsupported-media"),
        ("deflate", b"{}", 415, "unsupported-media"),
        ("gzip, gzip", b"{}", 415, "unsupported-media"),
        ("gzip", gzip.compress(bytes(300 * 1024)), 413, "too-large"),
    ],
)
def test_body_that_cannot_be_unpacked_is_refused_with_why(
    tmp_path: Path, encoding: str, body: bytes, status: int, code: str
) -> None:
    with node_on(tmp_path) as node:
        reply = call_node(node, "POST", "/v1/assertions", body, headers={"Content-Encoding": encoding})
        assert (reply.status, reply.json()["code"]) == (status, code)
        assert node.end_seq == -1


def test_pitfall_33_small_body_that_unpacks_to_gigabytes_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    bomb = compress(bytes(64 * MIB), "gzip") * 64
    assert len(bomb) < 5 * MIB
    with node_on(tmp_path) as node, edged(node) as served:
        for path in ("/v1/ingest", "/v1/assertions", "/v1/events"):
            reply = served("POST", path, bomb, {"Content-Encoding": "gzip"})
            assert (reply.status, reply.json()["code"]) == (413, "too-large")
        assert served("POST", "/v1/assertions", claim("after the bomb")).status == 202


def read(pieces: Sequence[bytes], *encodings: bytes, bytes_max: int = 16 * MIB, timeout_s: float = 5.0) -> bytes:
    """read_body of a request that comes in these pieces."""
    scope: dict[str, Any] = {"headers": [(b"content-encoding", encoding) for encoding in encodings]}
    messages = iter([{"type": "http.request", "body": piece, "more_body": True} for piece in pieces])

    async def receive() -> Any:
        return next(messages, {"type": "http.request", "body": b"", "more_body": False})

    return asyncio.run(read_body(scope, receive, bytes_max, timeout_s))


def test_body_of_two_codings_is_refused() -> None:
    with pytest.raises(UnsupportedMedia):
        read([compress(b"x", "gzip")], b"gzip", b"gzip")


def test_others_have_their_turn_while_a_large_body_is_unpacked() -> None:
    packed = compress(bytes(4 * MIB), "gzip")
    turns = 0

    async def run() -> None:
        nonlocal turns
        messages = iter([{"type": "http.request", "body": packed, "more_body": False}])

        async def receive() -> Any:
            return next(messages)

        scope = {"headers": [(b"content-encoding", b"gzip")]}
        reading = asyncio.ensure_future(read_body(scope, receive, 16 * MIB, 60.0))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        assert len(await reading) == 4 * MIB

    asyncio.run(run())
    assert turns >= 4 * MIB // STEP_BYTES


def test_time_to_unpack_counts_as_time_to_send() -> None:
    with pytest.raises(RequestTimeout):
        read([compress(bytes(16 * MIB), "gzip")], b"gzip", timeout_s=0.001)


def test_bound_of_an_envelope_is_that_of_what_comes_out(tmp_path: Path) -> None:
    config = NodeConfig(envelope_bytes_max=600)
    body = claim("bounded", narrative="x" * 1000)
    with node_on(tmp_path, config=config) as node:
        packed = compress(body, "zstd")
        assert len(packed) < 600 < len(body)
        reply = call_node(node, "POST", "/v1/assertions", packed, headers={"Content-Encoding": "zstd"})
        assert reply.status == 413
