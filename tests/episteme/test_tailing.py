"""Node.tail: every line once and in order, to the end or beyond it, all of them or such as these."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.errors import AsOfBeyond, EventsGone, InvalidParameter, LogFailed, NotReady
from episteme.loglines import LogLine, line_of
from episteme.node import Node
from episteme.tailing import BEGINNING, LOOKED_COUNT_MAX, LogFilter, make_filter, read_page, tail_of
from model import FRAME_KIND_EVENT, FRAME_KIND_RULES, DatabaseRules, Receipt, did_of, encode_record, encode_rules
from tests.support.events import KEY_A, KEY_B, events, make_assertion, signed
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import LOG_ID, TIME_MS, open_log
from tests.support.nodes import node_on
from wal import Frame, LogOptions, MemoryLog, Retention
from wal.format import FLAG_LOST


def memory_log() -> MemoryLog:
    return MemoryLog(log_id=LOG_ID, clock_ms=lambda: TIME_MS)


def filled(count: int) -> MemoryLog:
    log = memory_log()
    log.append_many([(9, b"x")] * count).wait()
    return log


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_on(tmp_path) as opened:
        yield opened


def claim(node: Node, subject: str) -> int:
    return node.submit(signed(make_assertion(subject=subject))).seq


@pytest.mark.parametrize("count", [0, 1, LOOKED_COUNT_MAX, LOOKED_COUNT_MAX + 1, 2 * LOOKED_COUNT_MAX + 7])
def test_tail_that_does_not_follow_ends_at_the_end(count: int) -> None:
    log = filled(count)
    for after in {BEGINNING, count // 2 - 1, count - 1}:
        seqs = [line.seq for line in tail_of(log, after, LogFilter(), follow=False)]
        assert seqs == list(range(after + 1, count))


def test_tail_that_does_not_follow_ends_at_what_was_durable_at_the_call(node: Node) -> None:
    claim(node, "before")
    for seq, wanted in enumerate((None, "*")):
        lines = node.tail(follow=False, subject=wanted)
        claim(node, f"after {wanted}")
        assert [line.seq for line in lines] == list(range(seq + 1))


def test_tail_that_follows_gives_what_comes_without_gap_or_repeat(node: Node) -> None:
    writer = threading.Thread(target=lambda: [claim(node, f"live {number}") for number in range(50)])
    lines = node.tail()
    writer.start()
    assert [next(lines).seq for _ in range(50)] == list(range(50))
    writer.join(WAIT_S)


def test_tail_tells_that_the_database_was_closed(node: Node) -> None:
    claim(node, "one")
    lines = node.tail()
    assert next(lines).subject == "one"
    threading.Thread(target=node.close).start()
    with pytest.raises(NotReady):
        next(lines)


def test_tail_tells_of_a_log_that_failed_after_all_that_is_durable(tmp_path: Path) -> None:
    files = FaultyFiles()
    with node_on(tmp_path, files=files) as node:
        claim(node, "durable")
        files.fail("sync")
        node.log.append(b"x", 9)
        lines = node.tail()
        assert next(lines).subject == "durable"
        with pytest.raises(LogFailed):
            next(lines)


def test_position_that_the_log_cannot_go_on_from_is_refused_at_the_call(node: Node) -> None:
    with pytest.raises(AsOfBeyond, match=r"position 0 is beyond the end of this log, -1"):
        node.tail(0)
    with pytest.raises(InvalidParameter, match="after"):
        node.tail(-2)


def test_position_that_the_log_no_longer_has_is_refused_with_its_floor(tmp_path: Path) -> None:
    options = LogOptions(segment_bytes=200, reserve_bytes=0, retention=Retention(count_min=1))
    with open_log(tmp_path, options=options) as log:
        for number in range(30):
            log.append(b"%d" % number, 9).wait()
        floor = log.first_seq
        assert floor > 1
        with pytest.raises(EventsGone, match=f"begins at position {floor}"):
            tail_of(log, floor - 2, LogFilter(), follow=False)
        assert next(tail_of(log, floor - 1, LogFilter(), follow=False)).seq == floor


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "rumour"), ("subject", ""), ("predicate", "a\nb"), ("agent", "0" * 63)]
)
def test_filter_that_fits_nothing_ever_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidParameter, match=name):
        make_filter(**{name: value})


def test_agent_may_be_given_as_did_key() -> None:
    assert make_filter(agent=did_of(KEY_B.agent)) == make_filter(agent=KEY_B.agent_hex)


_payloads = st.one_of(
    st.tuples(
        st.just(FRAME_KIND_EVENT),
        st.builds(
            lambda event, keys: encode_record(signed(event, *keys), Receipt()),
            events(),
            st.sampled_from([(KEY_A,), (KEY_B,), (KEY_A, KEY_B)]),
        ),
    ),
    st.just((FRAME_KIND_RULES, encode_rules(DatabaseRules()))),
    st.tuples(st.sampled_from([FRAME_KIND_EVENT, FRAME_KIND_RULES, 9]), st.binary(max_size=8)),
)
_frames = st.builds(
    lambda told, lost: Frame(0, 0, *((0, FLAG_LOST, b"gone") if lost else (told[0], 0, told[1]))),
    _payloads,
    st.booleans(),
)


@st.composite
def _filters(draw: st.DrawFn, line: LogLine) -> LogFilter:
    """A filter of parts of this line and of others."""
    subject = line.subject or "Tesla"
    return LogFilter(
        draw(st.sampled_from([None, subject, f"{subject[:1]}*", "*", f"{subject}x"])),
        draw(st.sampled_from([None, line.predicate or "p", "other"])),
        draw(st.sampled_from([None, line.kind, "vote", "rules", "lost", "opaque"])),
        draw(st.sampled_from([None, KEY_A.agent, KEY_B.agent])),
    )


@given(_frames, st.data())
def test_filter_shows_a_frame_exactly_if_all_of_it_fits_the_line(frame: Frame, data: st.DataObject) -> None:
    line = line_of(frame)
    wanted = data.draw(_filters(line))
    fits = (
        (wanted.kind in (None, line.kind))
        and (wanted.predicate in (None, line.predicate or ""))
        and (wanted.agent is None or wanted.agent.hex() in line.agents)
        and (
            wanted.subject is None
            or (
                line.subject is not None and line.subject.startswith(wanted.subject[:-1])
                if wanted.subject.endswith("*")
                else line.subject == wanted.subject
            )
        )
    )
    assert wanted.line_of(frame) == (line if fits else None)


def test_page_of_a_narrow_filter_moves_on_without_lines() -> None:
    log = filled(2 * LOOKED_COUNT_MAX)
    page = read_page(log, BEGINNING, make_filter(kind="vote"), count_max=10, bytes_max=2**20)
    assert page == ([], LOOKED_COUNT_MAX - 1)
