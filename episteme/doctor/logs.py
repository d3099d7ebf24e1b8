"""The log: whether its clock goes on, and whether what was written last is as it was written."""

import platform
from importlib.metadata import version
from typing import Final

from episteme.check import check_claims
from episteme.doctor.check import Check, Look, fail, ok, warn
from episteme.doctor.patient import Patient
from episteme.folds import FOLDS
from episteme.moving.copying import OnProgress
from episteme.vouchers import Vouchers, read_voucher
from model import (
    FRAME_KIND_EVENT,
    ModelError,
    SignedEvent,
    Voucher,
    check_vouched,
    decode_record,
    event_hash,
    is_any_by_bundle,
)
from wal import LogError, wall_ms
from wal.format import VERSION, frame_crc

RECENT_COUNT: Final = 10_000  # frames whose chain is walked
SIGNED_COUNT: Final = 500  # of them, how many have their hashes and signatures verified
_RECENT_BYTES: Final = 16 * 1024 * 1024
_CLOCK_MS_MAX: Final = 1000


def log_checks(patient: Patient, moved: OnProgress, *, deep: bool) -> list[Look]:
    """All of this file; deep: the whole log, every signature."""
    return [
        ("versions", versions),
        ("clock", lambda: clock(patient)),
        ("log", lambda: whole(patient, moved) if deep else recent(patient)),
    ]


def versions() -> Check:
    """What this program is."""
    folds = " ".join(f"{fold.name}={fold.version}" for fold in FOLDS)
    program = f"episteme {version('episteme-db')}, Python {platform.python_version()}"
    return ok("versions", f"{program}, log format {VERSION}, folds {folds}")


def clock(patient: Patient) -> Check:
    """Whether this machine's clock is behind what the log has seen."""
    log = patient.log
    if log.durable_end <= log.first_seq:
        return ok("clock", "nothing was written yet")
    behind_ms = wall_ms(log.get(log.durable_end - 1).time) - patient.clock_ms()
    if behind_ms > _CLOCK_MS_MAX:
        return warn(
            "clock",
            f"this machine's clock is {behind_ms / 1000:,.1f} s behind the last event: positions go on in order, and "
            "their times stand still until it has caught up",
            "set the clock (NTP), and see why it went back",
        )
    return ok("clock", "ahead of the last event")


def recent(patient: Patient) -> Check:
    """The last frames: checksums, chain, and of some the hashes and signatures."""
    log, bundles = patient.log, _Bundles(patient)
    start = max(log.first_seq, log.durable_end - RECENT_COUNT)
    try:
        count, signed_count, unproven_count = 0, 0, 0
        crc: int | None = None
        while start < log.durable_end:
            for frame in log.read_from(start, count_max=RECENT_COUNT, bytes_max=_RECENT_BYTES):
                if crc is not None and frame.chain != crc:
                    return _damaged(f"seq {frame.seq}: the chain does not go on")
                crc, start, count = frame_crc(frame), frame.seq + 1, count + 1
                if frame.kind == FRAME_KIND_EVENT and frame.seq >= log.durable_end - SIGNED_COUNT:
                    signed = decode_record(frame.payload).signed
                    if event_hash(signed.event) != signed.digest:
                        return _damaged(f"seq {frame.seq}: the event's hash is another")
                    signed.verify_own()
                    unproven_count += not bundles.vouch(signed)
                    signed_count += 1
    except (LogError, ModelError) as error:
        return _damaged(str(error))
    told = f"the last {count:,} frames are whole, as are {signed_count:,} hashes with their signatures"
    if unproven_count:
        told += f"; the bundles of {unproven_count:,} were not looked at: `episteme log verify` does that"
    return ok("log", told)


class _Bundles:
    """The bundles by which the events that are looked at were signed, where a state tells their places."""

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._vouchers = Vouchers()

    def vouch(self, signed: SignedEvent) -> bool:
        """Whether the bundles vouch for an event; False where there is no state.  Raises: ModelError; LogError."""
        if not is_any_by_bundle(signed.signatures):
            return True
        if self._patient.folded is None:
            return False
        check_vouched(signed.digest, signed.signatures, self._find)
        return True

    def _find(self, bundle: bytes) -> Voucher | None:
        voucher, folded = self._vouchers.find(bundle), self._patient.folded
        if voucher is None and folded is not None:
            with folded.state.snapshot() as reader:
                voucher = read_voucher(bundle, reader, self._patient.log)
            if voucher is not None:
                self._vouchers.put(bundle, voucher)
        return voucher


def whole(patient: Patient, moved: OnProgress) -> Check:
    """Every frame, every hash, every signature."""
    try:
        found = check_claims(patient.folder / "log", moved)
    except LogError as error:
        return _damaged(str(error))
    damage = [one for one in found.findings if one.severity == "damage"]
    if damage:
        return _damaged(f"{len(damage)} damaged places, the first in {damage[0].path.name}: {damage[0].detail}")
    told = f"{found.log.frame_count:,} frames, {found.event_count:,} hashes, {found.signature_count:,} signatures"
    if found.lost_count:
        return warn("log", f"{told}; {found.lost_count} were lost in an earlier repair", "look for them in a backup")
    return ok("log", f"{told}, all as they were written")


def _damaged(detail: str) -> Check:
    return fail(
        "log", detail, "`episteme log verify` lists all damage; restore a backup, or `episteme log repair --into NEW`"
    )
