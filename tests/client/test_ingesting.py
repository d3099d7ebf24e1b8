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
from model import SignedEvent, encode_envelope, sign_bundle
from tests.support.events import KEY_A, NOW_MS, make_assertion, signed

LINE = b'{"event": 1}'


def batches_of(batcher: Batcher, events: list[bytes]) -> list[Batch]:
    found = [batch for event in events if (batch := batcher.add(event)) is not None]
    rest = batcher.rest()
    return [*found, *([] if rest is None else [rest])]


def signed_batches(batcher: Batcher, events: list[SignedEvent]) -> list[Batch]:
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


# Bundles


def bundled(subject: str, count: int) -> list[SignedEvent]:
    bundle, events = sign_bundle([make_assertion(subject=f"{subject} {at}") for at in range(count)], KEY_A, NOW_MS)
    return [bundle, *events]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 8), st.integers(2000, 9000))
def test_a_bundle_is_in_one_batch_with_its_events_or_they_say_that_they_need_it(
    sizes: list[int], lines_max: int, bytes_max: int
) -> None:
    groups = [bundled(str(number), size) for number, size in enumerate(sizes)]
    batches = signed_batches(Batcher(lines_max, bytes_max), [one for group in groups for one in group])
    assert [line.number for batch in batches for line in batch.lines] == list(range(1, sum(sizes) + len(sizes) + 1))
    place = {line.number: at for at, batch in enumerate(batches) for line in batch.lines}
    number = 1
    for group in groups:
        at = {place[number + one] for one in range(len(group))}
        assert all(batches[one].needs_earlier for one in at - {place[number]})
        size_bytes = sum(len(encode_envelope(one)) + 1 for one in group)
        assert len(at) == 1 or size_bytes > bytes_max - 2000  # a line of the batch before is all that may be in the way
        number += len(group)
    for batch in batches:
        assert len(batch.body) <= bytes_max + len(batch.lines)
        if batch.needs_earlier:
            assert b'"bundle"' in batch.lines[0].data


def test_small_bundles_share_a_batch_and_the_largest_has_one_of_its_own() -> None:
    small = [one for number in range(10) for one in bundled(str(number), 4)]
    assert [len(batch.lines) for batch in signed_batches(Batcher(lines_max=25), small)] == [25, 25]
    large = [signed(make_assertion()), *bundled("large", 60), signed(make_assertion())]
    found = signed_batches(Batcher(lines_max=25), large)
    assert [len(batch.lines) for batch in found] == [1, 61, 1]
    assert not any(batch.needs_earlier for batch in found)


def test_an_event_whose_bundle_went_before_says_so() -> None:
    bundle, first, second = bundled("apart", 2)
    (batch,) = signed_batches(Batcher(), [second])
    assert batch.needs_earlier
    assert [one.needs_earlier for one in signed_batches(Batcher(lines_max=1), [bundle, first, second, second])] == [
        *(False, True)
    ]
