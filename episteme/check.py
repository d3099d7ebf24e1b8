"""Verification of a log at the level of claims: hashes and signatures of every event, offline.

The database's own rules, which nobody signs, must be readable; frames of kinds that this program does not know
are the log's business alone.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from msgspec import Struct

from model import (
    FRAME_KIND_EVENT,
    FRAME_KIND_RULES,
    ModelError,
    SignedEvent,
    decode_record,
    decode_rules,
    event_hash,
)
from wal import Checked, Finding, Frame, check_log

_CHUNK = 256
_CHUNKS_AHEAD = 16


class ClaimCheck(Struct, frozen=True):
    """What a verification saw: the log's own findings, and events that are not as they were signed."""

    log: Checked
    event_count: int
    signature_count: int
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> bool:
        """Whether anything was found that is not as it was written.

        An unfinished tail is no damage, nor is a side file that is made anew; a frame that an earlier repair
        could not save was damage once: the log is whole again without it.
        """
        return any(finding.severity == "damage" for finding in self.findings)

    @property
    def lost_count(self) -> int:
        """Frames that a repair could not save."""
        return sum(finding.severity == "lost" for finding in self.findings)


class _Place(Struct, frozen=True):
    path: Path
    offset: int
    seq: int
    signed: SignedEvent


def check_claims(folder: Path, progress: Callable[[int, int], None]) -> ClaimCheck:
    """Walk a log; recompute every hash and verify every signature.  progress gets bytes done, and in all.

    Raises: LogError if the folder holds no log.
    """
    findings: list[Finding] = []
    counts = {"event": 0, "signature": 0}
    chunk: list[_Place] = []
    with ThreadPoolExecutor(cpu_count()) as threads:
        verifying: deque[Future[list[Finding]]] = deque()

        def flush() -> None:
            if chunk:
                verifying.append(threads.submit(_verify, tuple(chunk)))
                chunk.clear()
            if len(verifying) > _CHUNKS_AHEAD:  # reading must not run ahead of verifying
                findings.extend(verifying.popleft().result())

        def on_frame(path: Path, offset: int, frame: Frame) -> None:
            if frame.kind not in (FRAME_KIND_EVENT, FRAME_KIND_RULES):
                return
            try:
                if frame.kind == FRAME_KIND_RULES:
                    decode_rules(frame.payload)
                    return
                record = decode_record(frame.payload)
            except ModelError as error:
                findings.append(Finding("damage", path, offset, f"seq {frame.seq}: {error}"))
                return
            counts["event"] += 1
            counts["signature"] += len(record.signatures)
            chunk.append(_Place(path, offset, frame.seq, record.signed))
            if len(chunk) == _CHUNK:
                flush()

        checked = check_log(folder, on_frame, on_progress=progress)
        flush()
        for done in verifying:
            findings.extend(done.result())
    found = sorted([*checked.findings, *findings], key=lambda one: (str(one.path), one.offset))
    return ClaimCheck(checked, counts["event"], counts["signature"], tuple(found))


def _verify(places: tuple[_Place, ...]) -> list[Finding]:
    findings = []
    for place in places:
        signed = place.signed
        found = event_hash(signed.event)
        if found != signed.digest:
            detail = f"seq {place.seq}: hash {signed.digest.hex()}, its canonical bytes give {found.hex()}"
            findings.append(Finding("damage", place.path, place.offset, detail))
            continue
        try:
            signed.verify()
        except ModelError as error:
            findings.append(Finding("damage", place.path, place.offset, f"seq {place.seq}: {error}"))
    return findings
