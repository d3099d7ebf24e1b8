"""Server-Sent Events are the same however the bytes are cut, and none fills the memory."""

from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.client.sse import EventReader, ServerEvent
from episteme.errors import Internal

STREAM = (
    b"retry: 1000\n\n"
    b": still here\nid: 7\n\n"
    b"id: 8\ndata: {}\n\n"
    b"event: caught-up\nid: 8\ndata: a\ndata: b\n\n"
    b"data:no space\r\n\r\n"
    b": only a comment\n\n"
    b"\n\n"
    b"data\n\n"
    b"unknown: x\nid: \0\nretry: 1x\ndata: y\n\n"
    b"data: not whole\n"
)
EVENTS = [
    ServerEvent(retry_ms=1000),
    ServerEvent(id="7"),
    ServerEvent(id="8", data=b"{}"),
    ServerEvent("caught-up", b"a\nb", "8"),
    ServerEvent(data=b"no space"),
    ServerEvent(data=b""),
    ServerEvent(data=b"y"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40).map(sorted))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    reader = EventReader()
    edges = [0, *cuts, len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_stream_makes_anything_but_events_or_an_episteme_error(pieces: list[bytes]) -> None:
    reader = EventReader(bytes_max=40)
    try:
        for piece in pieces:
            for event in reader.feed(piece):
                assert isinstance(event, ServerEvent)
    except Internal as error:
        assert error.detail  # noqa: PT017


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 10, b"x" * 16, b"data: x\n", b": comment" + b"y" * 20])
def test_event_without_end_is_refused(piece: bytes) -> None:
    reader = EventReader(bytes_max=1000)
    with pytest.raises(Internal, match="1000 bytes"):
        list(chain.from_iterable(reader.feed(piece) for _ in range(1000)))


def test_event_of_the_largest_size_in_small_pieces_takes_no_longer_than_its_bytes() -> None:
    reader = EventReader()
    line = b"data: " + b"x" * 8_000_000 + b"\n\n"
    (event,) = [event for at in range(0, len(line), 4096) for event in reader.feed(line[at : at + 4096])]
    assert event.data is not None
    assert len(event.data) == 8_000_000
