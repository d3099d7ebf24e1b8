"""A line of the log is its frame, whole; what is no frame's line is refused."""

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from episteme.errors import InvalidField, Malformed, VerificationFailed
from episteme.loglines import LogLine, decode_line, encode_line, frame_of, line_of
from model import (
    FRAME_KIND_EVENT,
    FRAME_KIND_RULES,
    DatabaseRules,
    Receipt,
    SignedEvent,
    decode_record,
    encode_record,
    encode_rules,
    kind_of,
    sign_bundle,
)
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, NOW_MS, events, make_assertion, signed
from wal import Frame
from wal.format import FLAG_LOST, FLAG_MORE, FLAG_SYNCED

EVENT: Final = (FRAME_KIND_EVENT, encode_record(signed(make_assertion(), KEY_A, KEY_B), Receipt("http", 4, (1,))))
RULES: Final = (FRAME_KIND_RULES, encode_rules(DatabaseRules(operators=(KEY_A.agent,), anecdotal_cluster_count=7)))

receipts = st.builds(
    Receipt, st.sampled_from(["", "http", "node"]), st.integers(0, 2**53 - 1), st.sampled_from([(), (0,), (0, 1)])
)
event_payloads = st.builds(
    lambda event, keys, receipt: encode_record(signed(event, *keys), receipt),
    events(),
    st.sampled_from([(KEY_A,), (KEY_B, KEY_A)]),
    receipts,
)
rules_payloads = st.builds(
    DatabaseRules,
    operators=st.sets(st.binary(min_size=32, max_size=32), max_size=3).map(sorted).map(tuple),
    anecdotal_cluster_count=st.integers(1, 2**63),
    regulatory_conflict_micros=st.integers(0, 1_000_000),
).map(encode_rules)


def frames() -> st.SearchStrategy[Frame]:
    """Events, rules, lost frames, and bytes that this program cannot read; also under the wrong kind."""
    payload = st.one_of(
        st.tuples(st.just(FRAME_KIND_EVENT), event_payloads),
        st.tuples(st.just(FRAME_KIND_RULES), rules_payloads),
        st.tuples(st.integers(0, 3), st.binary(max_size=40)),
        st.tuples(st.just(0), st.text(max_size=20).map(lambda text: text.encode(errors="replace"))),
        st.tuples(st.integers(0, 2**16 - 1), event_payloads),
    )
    return st.builds(
        lambda told, seq, time, flags, chain: Frame(seq, time, *(told[0], flags, told[1]), chain),
        payload,
        st.integers(0, 2**53 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, FLAG_MORE | FLAG_SYNCED | FLAG_LOST),
        st.integers(0, 2**32 - 1),
    )


@given(frames())
def test_every_frame_comes_back_whole_from_its_line_and_from_the_line_as_json(frame: Frame) -> None:
    line = line_of(frame)
    assert frame_of(line) == frame
    assert frame_of(decode_line(encode_line(line))) == frame


@given(frames())
def test_no_number_of_a_line_is_beyond_what_json_readers_hold(frame: Frame) -> None:
    def numbers(value: Any) -> Any:
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from numbers(inner)
        elif not isinstance(value, bool) and isinstance(value, int | float):
            yield value

    assert all(isinstance(one, int) and abs(one) < 2**53 for one in numbers(json.loads(encode_line(line_of(frame)))))


@pytest.mark.parametrize("event", FULL_EVENTS, ids=kind_of)
def test_line_of_an_event_shows_it_as_it_was_signed(event: Any) -> None:
    said = signed(event, KEY_A)
    line = line_of(Frame(7, 5 << 16 | 3, FRAME_KIND_EVENT, FLAG_SYNCED, encode_record(said, Receipt("http", 2)), 9))
    shown = json.loads(encode_line(line))
    assert (shown["seq"], shown["time_ms"], shown["counter"], shown["flags"]) == (7, 5, 3, ["synced"])
    assert shown["hash"] == said.hash_hex
    assert shown["event"] == msgspec.to_builtins(event)
    assert [one["agent"] for one in shown["signatures"]] == [KEY_A.agent_hex]
    assert shown["receipt"] == {"via": "http", "tokens": 2}
    assert line.kind == kind_of(event)
    assert line.subject == shown["event"].get("subject")
    assert line.predicate == shown["event"].get("predicate")
    assert line.signed == said


def test_rules_and_lost_frames_say_what_they_are() -> None:
    rules = line_of(Frame(0, 0, *(RULES[0], 0, RULES[1])))
    assert rules.kind == "rules"
    assert rules.rules is not None
    assert rules.rules.operators == (KEY_A.agent_hex,)
    lost = line_of(Frame(1, 1, 0, FLAG_LOST, b"crc differs"))
    assert (lost.kind, lost.lost, lost.payload, lost.signed) == ("lost", "crc differs", None, None)
    opaque = line_of(Frame(2, 2, 9, 0, b"\xff"))
    assert (opaque.kind, opaque.frame_kind, opaque.payload) == ("opaque", 9, b"\xff")


def test_record_that_this_program_would_write_otherwise_travels_as_bytes() -> None:
    said = signed(make_assertion(), KEY_A)
    signatures = [[one.agent, one.signature] for one in said.signatures]
    other = msgspec.msgpack.encode([said.digest, msgspec.to_builtins(said.event), signatures, {"tokens": 0}])
    payload = EVENT[1][:1] + other
    assert decode_record(payload).event == said.event
    frame = Frame(0, 0, FRAME_KIND_EVENT, 0, payload)
    assert line_of(frame).kind == "opaque"
    assert frame_of(decode_line(encode_line(line_of(frame)))) == frame


def changed(told: tuple[int, bytes], /, **changes: Any) -> LogLine:
    line = line_of(Frame(3, 4 << 16, told[0], 0, told[1]))
    return msgspec.structs.replace(line, **changes)


@pytest.mark.parametrize(
    "line",
    [
        changed(EVENT, hash="0" * 64),
        changed(EVENT, hash=None),
        changed(EVENT, event=make_assertion(confidence="0.850")),
    ],
)
def test_event_that_is_not_what_its_hash_says_is_refused(line: LogLine) -> None:
    with pytest.raises(VerificationFailed, match="seq 3: the event's hash is"):
        frame_of(line)


@pytest.mark.parametrize(
    ("line", "pointer"),
    [
        (changed(EVENT, receipt=None), "/receipt"),
        (changed(EVENT, rules=changed(RULES).rules), ""),
        (changed(EVENT, event=None), ""),
        (changed(EVENT, event=None, lost="why"), "/event"),
        (changed(EVENT, flags=("synced", "more")), "/flags"),
        (changed(EVENT, flags=("lost",)), "/payload"),
        (changed(EVENT, frame_kind=1), "/frame_kind"),
        (changed(RULES, hash="0" * 64), "/event"),
        (changed(RULES, rules=None, payload=RULES[1], frame_kind=FRAME_KIND_RULES), "/payload"),
        (changed((9, b"x"), frame_kind=None), "/frame_kind"),
        (changed((9, b"x"), payload=EVENT[1], frame_kind=FRAME_KIND_EVENT), "/payload"),
        (changed((9, b"x"), payload=None, frame_kind=None, lost="why"), "/payload"),
    ],
)
def test_line_of_no_frame_is_refused_and_the_field_named(line: LogLine, pointer: str) -> None:
    with pytest.raises(InvalidField, match="seq 3: ") as caught:
        frame_of(line)
    assert [one.pointer for one in caught.value.errors] == [pointer]


def test_signature_by_bundle_is_shown_by_the_hash_of_the_bundle_and_comes_back() -> None:
    bundle, (one,) = sign_bundle([make_assertion()], KEY_A, NOW_MS)
    both = SignedEvent(one.event, one.digest, (*one.signatures, KEY_B.sign(one.event)))
    for signed_event in (bundle, one, both):
        frame = Frame(3, 1 << 16, FRAME_KIND_EVENT, 0, encode_record(signed_event, Receipt("test", 10)), 7)
        line = decode_line(encode_line(line_of(frame)))
        assert frame_of(line) == frame
        assert line.signed == signed_event
    assert [(one.agent, one.bundle) for one in line.signatures] == [
        (KEY_A.agent_hex, bundle.hash_hex),
        (KEY_B.agent_hex, UNSET),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"seq": -1},
        {"seq": 2**53},
        {"counter": 2**16},
        {"hash": "A" * 64},
        {"flags": ["odd"]},
        {"chain": 2**32},
        {"extra": 1},
        {"payload": "not base64!"},
        {"event": {"kind": "assertion"}},
    ],
)
def test_json_that_is_no_line_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        decode_line(json.dumps(json.loads(encode_line(changed(EVENT))) | change).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"seq": 1} {}'])
def test_bytes_that_are_no_json_object_are_refused(data: bytes) -> None:
    with pytest.raises((Malformed, InvalidField)):
        decode_line(data)
