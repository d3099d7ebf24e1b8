"""Counting again from the log, two ways: a rebuild by the folds, and a plain count that knows none of them."""

import struct
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from cortex import Runner, RunnerOptions
from episteme.config import NodeConfig
from episteme.folds import FOLDS, decode_frame
from episteme.node import LOG_FOLDER
from episteme.state import open_state
from keycodec import FAMILY_BY_TAG, parse
from model import FRAME_KIND_RULES, Assertion, Vote, decode_record, to_micros
from stores import HybridStore, MetaStore, state_digest, state_postings, state_rows
from wal import FileLog


class Recount(NamedTuple):
    """What a data folder holds after its server has stopped."""

    position_by_hash: dict[str, int]
    cursor: int
    state_digest: str
    rebuilt_digest: str


def recount(data: Path, scratch: Path) -> Recount:
    """Open a stopped data folder, check its counts against the log, and rebuild its state in scratch."""
    log = FileLog.open(data / LOG_FOLDER, clock_ms=lambda: 0, new_log_id=_no_new_log)
    state = open_state(data, log, NodeConfig())
    try:
        positions = {}
        state.start()
        while state.lag:
            assert state.watermark.wait(log.durable_end - 1, timeout_s=10)
        assertions: dict[str, Assertion] = {}
        votes: dict[tuple[str, str, str], tuple[int, int, int]] = {}
        seq = 0
        while seq < log.durable_end:
            for frame in log.read_from(seq, count_max=1000, bytes_max=1 << 20):
                seq = frame.seq + 1
                if frame.kind == FRAME_KIND_RULES:
                    continue
                record = decode_record(frame.payload)
                positions.setdefault(record.digest.hex(), frame.seq)
                match record.event:
                    case Assertion() as event:
                        assertions.setdefault(record.digest.hex(), event)
                    case Vote() as event:
                        key = (event.subject, event.assertion, event.agent)
                        vote = (event.timestamp, frame.seq, to_micros(event.weight))
                        votes[key] = max(votes.get(key, vote), vote)
        with state.snapshot() as snapshot:
            _check_postings(snapshot, assertions, positions)
            _check_votes(snapshot, votes)
            found = state_digest(snapshot)
            cursor = MetaStore(snapshot).cursor()
        return Recount(positions, cursor, found, _rebuild(log, scratch))
    finally:
        state.close()
        log.close()


def _rebuild(log: FileLog, scratch: Path) -> str:
    store = HybridStore.open(scratch)
    try:
        runner = Runner(log, store, FOLDS, decode_frame, RunnerOptions(batch_count_max=4096))
        while runner.run_once():
            pass
        with store.snapshot() as snapshot:
            return state_digest(snapshot)
    finally:
        store.close()


def _check_postings(snapshot, assertions: dict[str, Assertion], positions: dict[str, int]) -> None:  # type: ignore[no-untyped-def]
    expected = defaultdict(list)
    for hash_hex, event in assertions.items():
        entry = struct.pack(">Q", positions[hash_hex]) + bytes.fromhex(hash_hex)
        expected["S", event.subject, None].append(entry)
        expected["SP", event.subject, event.predicate].append(entry)
    found = defaultdict(list)
    for key, entry in state_postings(snapshot):
        parsed = parse(key)
        found[parsed.family.tag, parsed.subject, parsed.parts[0] if parsed.parts else None].append(entry)
    assert {key: sorted(entries) for key, entries in expected.items()} == dict(found)


def _check_votes(snapshot, votes: dict[tuple[str, str, str], tuple[int, int, int]]) -> None:  # type: ignore[no-untyped-def]
    counts: dict[tuple[str, str], int] = defaultdict(int)
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for (subject, assertion, _), (_, _, weight) in votes.items():
        counts[subject, assertion] += weight != 0
        sums[subject, assertion] += weight
    found_counts, found_weights = {}, {}
    for key, value in state_rows(snapshot):
        parsed = parse(key)
        if parsed.family is FAMILY_BY_TAG["VC"]:
            found_counts[parsed.subject, parsed.parts[0]] = struct.unpack("<Q", value)[0]
        if parsed.family is FAMILY_BY_TAG["VW"]:
            found_weights[parsed.subject, parsed.parts[0]] = value
    assert dict(counts) == found_counts
    assert {key: struct.pack("<f", micros / 1_000_000) for key, micros in sums.items()} == found_weights


def _no_new_log() -> bytes:
    raise AssertionError("the log is there already")
