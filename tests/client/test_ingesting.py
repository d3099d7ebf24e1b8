"""An iterable becomes batches that a server takes, and their answers results in its order."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.client.ingesting import (
    BATCH_BYTES_MAX,
    COMPRESSED_BYTES_MIN,
    Batch,
    Batcher,
    ingest_call,
    read_results,
    zstd,
)
from episteme.client.wire import Incomplete, Response
from episteme.errors import Internal
from episteme.receipts import IngestResult, IngestSummary, IngestTotal
from episteme.server.writes import summarize
from tests.support.events import KEY_A, make_assertion, signed

LINE = b'{"event": 1}'


def batches_of(batcher: Batcher, events: list[bytes]) -> list[Batch]:
    found = [batch for event in events if (batch := batcher.add(event)) is not None]
    rest = batcher.rest()
    return [*found, *([] if rest is None else [rest])]


def answer_to(lines: int) -> bytes:
    results = [IngestResult(number, "accepted", "00", number) for number in range(1, lines + 1)]
    return msgspec.json.Encoder().encode_lines([*results, IngestTotal(summarize(results))])


@given(st.lists(st.binary(max_size=40), max_size=60), st.integers(1, 7), st.integers(1, 90))
def test_every_item_is_in_one_batch_in_order_and_no_batch_is_over_its_bounds(
    events: list[bytes], lines_max: int, bytes_max: int
) -> None:
    batches = batches_of(Batcher(lines_max, bytes_max), events)
    assert [line.number for batch in batches for line in batch.lines] == list(range(1, len(events) + 1))
    for batch in batches:
        assert 1 <= len(batch.lines) <= lines_max
        assert len(batch.body) <= bytes_max + len(batch.lines)
        assert batch.body.count(b"\n") == max(0, sum(1 for line in batch.lines if line.data) - 1)
    for line, event in zip((line for batch in batches for line in batch.lines), events, strict=True):
        if line.refusal is None:
            assert line.data == event.strip().replace(b"\n", b" ")
        else:
            assert line.refusal.code == ("malformed" if not event.strip() else "too-large")


def test_item_that_cannot_be_sent_is_refused_in_its_place() -> None:
    wrong = signed(make_assertion(), KEY_A, KEY_A)
    events = [LINE, b"  ", wrong, b"x" * (BATCH_BYTES_MAX + 1), LINE]
    batcher = Batcher()
    found = [batch for event in events if (batch := batcher.add(event)) is not None]  # type: ignore[arg-type]
    rest = batcher.rest()
    assert rest is not None
    assert found == []
    assert rest.body == LINE + b"\n" + LINE
    call = ingest_call(rest, compressed=False)
    results = call.read(Response(200, {}, answer_to(2)))
    assert [(one.line, one.status, one.code) for one in results] == [
        (1, "accepted", None),
        (2, "refused", "malformed"),
        (3, "refused", "invalid-field"),
        (4, "refused", "too-large"),
        (5, "accepted", None),
    ]
    assert rest.refusals == results[1:4]


@given(st.integers(0, 5), st.data())
def test_answer_that_ends_early_is_known_for_it(lines: int, data: st.DataObject) -> None:
    whole = answer_to(lines)
    cut = whole[: data.draw(st.integers(0, len(whole) - 2))]
    with pytest.raises((Incomplete, Internal)):
        read_results(cut, lines)
    assert len(read_results(whole, lines)) == lines


def test_answer_with_too_many_or_too_few_results_is_an_error() -> None:
    for lines in (1, 3):
        with pytest.raises(Internal, match="results for 2 lines"):
            read_results(answer_to(lines), 2)
    lying = msgspec.json.Encoder().encode_lines([1, 2, IngestTotal(IngestSummary(2, 2, 0, 0))])
    with pytest.raises(Internal):
        read_results(lying, 2)


def test_large_batch_is_compressed_and_a_small_one_is_not() -> None:
    batcher = Batcher()
    batcher.add(LINE + b" " * COMPRESSED_BYTES_MIN + LINE)
    large = batcher.rest()
    batcher.add(LINE)
    small = batcher.rest()
    assert large is not None
    assert small is not None
    request = ingest_call(large, compressed=True).request
    assert request.headers["Content-Encoding"] == "zstd"
    assert request.body is not None
    assert len(request.body) < 1000
    assert zstd.decompress(request.body) == large.body
    for call in (ingest_call(large, compressed=False), ingest_call(small, compressed=True)):
        assert "Content-Encoding" not in call.request.headers
