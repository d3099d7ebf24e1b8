"""The state: how far it is, what it could not take, and whether it is still the fold of its log.

A sample of positions, evenly spread over the log, is held against the state:
each claim and vote must be there as it was said; the votes on each claim are
counted again; and the ready answer of each pair is held against a full read.
deep folds the whole log once more and compares the digests.
"""

from collections.abc import Callable, Sequence
from typing import Final

from cortex import FoldStopped
from cortex.folders import remove_tree
from episteme.doctor.check import Check, Look, fail, ok, warn
from episteme.doctor.patient import Folded, Patient
from episteme.errors import public_detail, translate
from episteme.moving.copying import OnProgress
from episteme.moving.folding import fold_log
from episteme.reading import Question, compute_view
from episteme.reading.views import view_of
from model import FRAME_KIND_EVENT, Assertion, ModelError, Vote, decode_record
from stores import AssertionStore, DeadLetterStore, EventStore, MetaStore, Reader, Tally, VoteStore, state_digest
from wal import Frame

SAMPLE_COUNT: Final = 200  # positions that are held against the state
VOTES_MAX: Final = 10_000  # live votes on one claim that are counted again
CANDIDATES_MAX: Final = 2_000  # of a pair whose ready answer is held against a full read: bounds the time
_LAG_MAX: Final = 10_000
_SCRATCH: Final = "doctor-scratch"

Pair = tuple[str, str]


def state_checks(patient: Patient, moved: OnProgress, *, deep: bool) -> list[Look]:
    """All of this file."""
    folded = patient.folded
    if folded is None:
        return []
    looks: list[Look] = [
        ("fold", lambda: progress(folded)),
        ("dead letters", lambda: dead_letters(folded)),
        ("folds", lambda: _with_sample(folded, folds)),
        ("views", lambda: _with_sample(folded, views)),
        ("recount", lambda: recount(patient, folded, moved)),
        ("snapshots", lambda: snapshots(patient, folded)),
    ]
    return [look for look in looks if deep or look[0] != "recount"]


def progress(folded: Folded) -> Check:
    """How far the fold is behind the log."""
    state = folded.state
    if isinstance(state.failure, FoldStopped):
        detail = public_detail(translate(state.failure))
        return fail("fold", detail, "see the server's log, mend the disk, restart; the log is whole")
    if state.outdated:
        return warn("fold", "the state is of another version of the folds", "wait: the server makes it anew")
    if state.lag > _LAG_MAX:
        return warn("fold", f"{state.lag:,} events behind the log", "wait, and see whether it shrinks; writes pause")
    return ok("fold", f"{state.watermark.seq:,} events folded, {state.lag:,} to go")


def dead_letters(folded: Folded) -> Check:
    """What no fold could take."""
    count = folded.state.dead_letter_count()
    if count:
        return warn(
            "dead letters",
            f"{count:,} events could not be folded",
            "`episteme state dead-letters` says why; `episteme rebuild` with a version that can",
        )
    return ok("dead letters", "none")


def folds(reader: Reader, sample: Sequence[Frame]) -> Check:
    """Whether the sampled claims and votes are in the state as they were said, and its sums are those of its votes."""
    counts = {"claims": 0, "votes": 0, "others": 0}
    for frame in sample:
        try:
            record = decode_record(frame.payload)
        except ModelError:
            continue  # a dead letter
        wrong = _difference(reader, frame, record.digest, record.event, counts)
        if wrong and not _is_dead(reader, frame.seq):
            return fail("folds", f"seq {frame.seq}: {wrong}", "`episteme rebuild` makes the state anew from the log")
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
    return ok("folds", f"{told} held against the log, their votes counted again")


def views(reader: Reader, sample: Sequence[Frame]) -> Check:
    """Whether ready answers are what a full read gives."""
    checked = large = 0
    for subject, predicate in _pairs(sample):
        question = Question(subject=subject, predicate=predicate)
        seen = view_of(reader, question)
        if seen is None:
            continue  # it is not used either: the claims are read
        row = seen.row
        if row.resolution.candidates_count > CANDIDATES_MAX:
            large += 1
            continue
        full = compute_view(reader, subject, predicate, row.seq, row.time)
        if (row.resolution, row.groups_count, row.winner) != (full.resolution, full.groups_count, full.winner):
            told = f"the ready answer of {subject!r:.80} {predicate!r:.80} is not what its claims give"
            return fail("views", told, "`episteme rebuild` makes the state anew from the log")
        checked += 1
    more = f"; {large} of more than {CANDIDATES_MAX:,} claims passed over" if large else ""
    return ok("views", f"{checked} ready answers are those of full reads{more}")


def recount(patient: Patient, folded: Folded, moved: OnProgress) -> Check:
    """Fold the whole log once more, beside, and compare."""
    scratch = patient.folder / _SCRATCH
    remove_tree(scratch)
    with folded.state.snapshot() as reader:
        position, digest = MetaStore(reader).cursor(), state_digest(reader)
    again = fold_log(folded.log, position, scratch, moved)
    if again.digest != digest:
        detail = f"the first {position:,} events come to {again.digest}, the state says {digest}"
        return fail("recount", detail, "`episteme rebuild` makes the state anew from the log")
    return ok("recount", f"{position:,} events folded once more come to the same digest, {digest[:16]}…")


def snapshots(patient: Patient, folded: Folded) -> Check:
    """How far back a state that is lost would begin."""
    listed = folded.state.snapshots()
    if not listed:
        return ok("snapshots", "none: a state that is lost is folded from the first event on")
    newest = listed[-1].manifest
    return ok("snapshots", f"{len(listed)}, the newest {patient.log.durable_end - newest.position:,} events ago")


def _with_sample(folded: Folded, look: Callable[[Reader, Sequence[Frame]], Check]) -> Check:
    sample = sample_of(folded)
    with folded.state.snapshot() as reader:
        return look(reader, sample)


def sample_of(folded: Folded) -> list[Frame]:
    """Frames of events that are folded, evenly spread, the last one among them."""
    log, end = folded.log, folded.state.watermark.seq
    count = min(SAMPLE_COUNT, end - log.first_seq)
    seqs = {log.first_seq + (end - log.first_seq - 1) * at // max(count - 1, 1) for at in range(count)}
    frames = (log.get(seq) for seq in sorted(seqs))
    return [frame for frame in frames if frame.kind == FRAME_KIND_EVENT]


def _pairs(sample: Sequence[Frame]) -> list[Pair]:
    found: dict[Pair, None] = {}
    for frame in sample:
        try:
            event = decode_record(frame.payload).event
        except ModelError:
            continue
        if isinstance(event, Assertion):
            found[event.subject, event.predicate] = None
    return list(found)


def _difference(reader: Reader, frame: Frame, digest: bytes, event: object, counts: dict[str, int]) -> str | None:
    """What the state has otherwise than this event says; None if it fits."""
    if isinstance(event, Assertion):
        counts["claims"] += 1
        row = AssertionStore(reader).get(event.subject, digest)
        if row is None:
            return "the state lacks this claim"
        if row.event != event or row.seq > frame.seq:
            return "the state has this claim otherwise"
        return _miscounted(reader, event.subject, digest.hex())
    if isinstance(event, Vote):
        counts["votes"] += 1
        if VoteStore(reader).get(event.subject, event.assertion, digest.hex()) is None:
            return "the state lacks this vote"
        return _miscounted(reader, event.subject, event.assertion)
    counts["others"] += 1
    return None if EventStore(reader).get(digest) is not None else "the state lacks this event"


def _is_dead(reader: Reader, seq: int) -> bool:
    """Whether the event is a dead letter, which another check tells."""
    return any(
        letter.seq == seq for letter in DeadLetterStore(reader).letters(after=seq - 1 if seq else None, count_max=1)
    )


def _miscounted(reader: Reader, subject: str, assertion_hex: str) -> str | None:
    votes = VoteStore(reader)
    live = list(votes.live_votes(subject, assertion_hex, count_max=VOTES_MAX))
    if len(live) == VOTES_MAX:
        return None  # too many to count again here
    expected = Tally(0, 0, 0)
    for _, vote in live:
        expected = expected.plus(vote.weight_micros)
    found = votes.tally(subject, assertion_hex)
    return None if found == expected else f"its votes come to {expected}, the state says {found}"
