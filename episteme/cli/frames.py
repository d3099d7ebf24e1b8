"""Frames of a log as the command line shows them."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from episteme.cli.output import Output, print_json, print_table, shown
from model import (
    FRAME_KIND_EVENT,
    FRAME_KIND_RULES,
    EnvelopeSignature,
    Event,
    ModelError,
    decode_record,
    decode_rules,
    to_envelope,
)
from wal import Corrupt, Frame
from wal.format import FLAG_LOST, FLAG_MORE, FLAG_SYNCED

_PAYLOAD_CELL_BYTES: Final = 60
_FLAG_NAMES: Final = ((FLAG_MORE, "more"), (FLAG_SYNCED, "synced"), (FLAG_LOST, "lost"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_MS_MAX: Final = 2**48 - 1


class DumpedEvent(msgspec.Struct, frozen=True):
    """An event frame's payload."""

    hash: str
    event: Event
    signatures: list[EnvelopeSignature]


class DumpedRules(msgspec.Struct, frozen=True):
    """A rules frame's payload, with every rule, defaults included."""

    operators: list[str]
    anecdotal_cluster_count: int
    regulatory_conflict_micros: int


class Dumped(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of `log dump`."""

    seq: int
    time_ms: int
    time: str | None  # none: beyond the year 9999
    kind: int
    flags: list[str]
    bytes: int
    payload_hex: str
    event: DumpedEvent | None = None
    rules: DumpedRules | None = None
    problem: str | None = None  # why an event or rules cannot be read, or what a lost one was


def print_frames(frames: Iterable[Frame], output: Output) -> Corrupt | None:
    """Print until the frames end; give the damage, if that ended them."""
    rows: list[tuple[str, ...]] = []
    damage: Corrupt | None = None
    try:
        for frame in frames:
            if output is Output.TABLE:
                rows.append(_cells(frame))
            else:
                print_json(_dumped(frame), output)
    except Corrupt as error:
        damage = error
    if rows:
        print_table(("seq", "time", "kind", "flags", "bytes", "payload"), rows, right=("seq", "kind", "bytes"))
    return damage


def parse_time(text: str) -> int:
    """Milliseconds since 1970, from those or from ISO 8601.

    Raises: ValueError.
    """
    if text.isdecimal():
        return min(int(text), _TIME_MS_MAX)
    time = datetime.fromisoformat(text)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return max(0, (time - _EPOCH) // timedelta(milliseconds=1))


def _cells(frame: Frame) -> tuple[str, ...]:
    flags = " ".join(_flag_names(frame))
    return (
        *(str(frame.seq), _time_text(frame.time_ms) or f"{frame.time_ms} ms", str(frame.kind), flags),
        *(str(len(frame.payload)), _payload_text(frame)),
    )


def _payload_text(frame: Frame) -> str:
    """The start of a payload: an event or rules as JSON, of a lost frame the reason, else its bytes, escaped."""
    if frame.lost:
        return shown(frame.payload.decode("utf-8", "replace"))
    with suppress(ModelError):
        if frame.kind == FRAME_KIND_EVENT:
            return shown(msgspec.json.encode(decode_record(frame.payload).event).decode())
        if frame.kind == FRAME_KIND_RULES:
            return shown(msgspec.json.encode(_dumped_rules(frame)).decode())
    start = frame.payload[:_PAYLOAD_CELL_BYTES]
    return repr(start)[2:-1] + ("…" if len(frame.payload) > len(start) else "")


def _dumped(frame: Frame) -> Dumped:
    event, rules, problem = None, None, None
    try:
        if frame.lost:
            problem = frame.payload.decode("utf-8", "replace")
        elif frame.kind == FRAME_KIND_EVENT:
            event = _dumped_event(frame)
        elif frame.kind == FRAME_KIND_RULES:
            rules = _dumped_rules(frame)
    except ModelError as error:
        problem = str(error)
    return Dumped(
        frame.seq,
        frame.time_ms,
        _time_text(frame.time_ms),
        frame.kind,
        _flag_names(frame),
        len(frame.payload),
        frame.payload.hex(),
        event,
        rules,
        problem,
    )


def _dumped_event(frame: Frame) -> DumpedEvent:
    record = decode_record(frame.payload)
    envelope = to_envelope(record.event, record.signatures)
    return DumpedEvent(record.digest.hex(), envelope.event, envelope.signatures)


def _dumped_rules(frame: Frame) -> DumpedRules:
    rules = decode_rules(frame.payload)
    operators = [operator.hex() for operator in rules.operators]
    return DumpedRules(operators, rules.anecdotal_cluster_count, rules.regulatory_conflict_micros)


def _flag_names(frame: Frame) -> list[str]:
    return [name for bit, name in _FLAG_NAMES if frame.flags & bit]


def _time_text(time_ms: int) -> str | None:
    """UTC, to the millisecond."""
    try:
        return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return None
