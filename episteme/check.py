"""Verification of a log at the level of claims: hashes and signatures of every event, offline.

The database's own rules, which nobody signs, must be readable; frames of kinds that this program does not know
are the log's business alone.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Literal

from msgspec import Struct

from episteme.vouchers import AllVouchers
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


def check_claims(
    folder: Path,
    progress: Callable[[int, int], None],
    *,
    signatures: bool = True,
    on_frame: Callable[[Frame], None] | None = None,
) -> ClaimCheck:
    """Walk a log; recompute every hash and verify every signature.  progress gets bytes done, and in all.

    signatures: whether they are verified, which is most of the work.  on_frame: told of every whole frame, in order.
    Raises: LogError if the folder holds no log.
    """
    findings: list[Finding] = []
    counts = {"event": 0, "signature": 0}
    chunk: list[_Place] = []
    with ThreadPoolExecutor(cpu_count()) as threads, AllVouchers() as bundles:
        verifying: deque[Future[list[Finding]]] = deque()

        def flush() -> None:
            if chunk:
                verifying.append(threads.submit(_verify, tuple(chunk), signatures=signatures))
                chunk.clear()
            if len(verifying) > _CHUNKS_AHEAD:  # reading must not run ahead of verifying
                findings.extend(verifying.popleft().result())

        def look_at(path: Path, offset: int, frame: Frame) -> None:
            if on_frame is not None:
                on_frame(frame)
            signed, wrong = _judged(frame, bundles if signatures else None)
            if wrong is not None:
                findings.append(Finding(wrong[0], path, offset, f"seq {frame.seq}: {wrong[1]}"))
            if signed is not None:
                counts["event"] += 1
                counts["signature"] += len(signed.signatures) if signatures else 0
                chunk.append(_Place(path, offset, frame.seq, signed))
                if len(chunk) == _CHUNK:
                    flush()

        checked = check_log(folder, look_at, on_progress=progress)
        flush()
        for done in verifying:
            findings.extend(done.result())
    found = sorted([*checked.findings, *findings], key=lambda one: (str(one.path), one.offset))
    return ClaimCheck(checked, counts["event"], counts["signature"], tuple(found))


def _judged(
    frame: Frame, bundles: AllVouchers | None
) -> tuple[SignedEvent | None, tuple[Literal["damage", "lost"], str] | None]:
    """The event of a frame, if it holds one that can be read, and what is wrong with the frame or with its bundles.

    bundles: those before it; None: nobody is to look at signatures.
    """
    try:
        if frame.kind == FRAME_KIND_RULES:
            decode_rules(frame.payload)
        signed = decode_record(frame.payload).signed if frame.kind == FRAME_KIND_EVENT else None
        if bundles is None:
            return signed, None
        if frame.lost:
            bundles.lose()
        if signed is not None and not bundles.check(signed):
            return signed, ("lost", "the bundle by which it was signed")
    except ModelError as error:
        return None, ("damage", str(error))
    return signed, None


def _verify(places: tuple[_Place, ...], *, signatures: bool) -> list[Finding]:
    findings = []
    for place in places:
        signed = place.signed
        found = event_hash(signed.event)
        if found != signed.digest:
            detail = f"seq {place.seq}: hash {signed.digest.hex()}, its canonical bytes give {found.hex()}"
            findings.append(Finding("damage", place.path, place.offset, detail))
            continue
        try:
            if signatures:
                signed.verify_own()  # those by bundle were judged in the order of the log
        except ModelError as error:
            findings.append(Finding("damage", place.path, place.offset, f"seq {place.seq}: {error}"))
    return findings
