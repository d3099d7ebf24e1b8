"""Random work on a log whose disk is recorded, and now and then fails; a `History` remembers what was promised.

Everything follows from the generator, also which appends share a commit group:
a group gathers while the one before it is held at the disk, and an action ends
when the disk is at rest.
"""

import errno
import random
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.log_histories import BATCH, MANY, SMALL, WIDE, History, Kind, Sizes, Source
from tests.support.logs import TIME_MS, open_log, read_all
from wal import Durability, FileLog, Interval, LogFailed, LogOptions, Retention, Ticket

# An interval that no history lasts: what falls due is synced by a barrier, a durable append, or the end.
INTERVAL: Final = Interval(3_600_000)
RESERVES: Final = (0, 100, 5000)
RETENTIONS: Final = (
    Retention(),
    Retention(),
    Retention(count_min=4),
    Retention(count_min=20),
    Retention(bytes_min=600),
    Retention(bytes_min=6000),
    Retention(age_ms=60),
    Retention(count_min=15, age_ms=200),
)
ROLL_APPENDS_MAX: Final = 10  # that many appends fill a segment, all but surely
SOURCE_APPENDS: Final = 80  # a replica that has copied all of them has nothing more to do
CLOSE_FAULTS: Final = ("truncate", "sync", "replace", "publish")
ERRORS: Final = (errno.EIO, errno.ENOSPC, errno.ENOSPC)  # of a write: the end of the log, or a refusal
OPEN_FAULTS: Final = ("write", "sync", "create", "rename", "sync_folder", "truncate", "open_or_create", "publish")


def draw_kind(generator: random.Random, number: int) -> Kind:
    """The kind of a campaign's history; each durability in turn, so that a few histories have them all."""
    durabilities: tuple[Durability, ...] = ("durable", "os", INTERVAL)
    return Kind(
        durabilities[number % 3],
        generator.choice(RETENTIONS),
        generator.choice([SMALL, WIDE]),
        faults=generator.random() < 0.5,
        replica=number % 4 == 0,
    )


class Work(NamedTuple):
    """What an action works on."""

    history: History
    log: FileLog
    generator: random.Random

    @property
    def files(self) -> FaultyFiles:
        return self.history.files

    def append(self, *, held: bool = False) -> Ticket:
        """Append one frame, a few, or a batch, with any promise; or copy a few frames.

        held: a commit waits at the disk; else none begins before the ticket is noted.
        """
        with nullcontext() if held else self.log._committer._turn:
            return self._copy() if self.history.source is not None else self._append()

    def _append(self) -> Ticket:
        durabilities: list[Durability | None] = [None, None, "durable", "os", INTERVAL]
        durability = self.generator.choice(durabilities)
        kind = self.generator.choice([MANY, BATCH])
        self.history.append_count += 1
        payloads = random_payloads(self.generator, self.history.kind.sizes, self.history.append_count)
        items = [(kind, payload) for payload in payloads]
        if kind == MANY:
            ticket = self.log.append_many(items, durability=durability)
        elif self.generator.random() < 0.5:
            ticket = self.log.append_batch(items, durability=durability)
        else:
            ticket = self.log.append_if_next_seq(self.log.next_seq, items, durability=durability)
        durable = (durability or self.history.kind.durability) == "durable"
        self.history.note_asked(ticket, payloads, self.history.now_ms, durable=durable)
        return ticket

    def _copy(self) -> Ticket:
        assert self.history.source is not None
        frames = self.history.source.batches(self.log.next_seq, self.generator.choice([1, 1, 3, 6]))
        ticket = self.log.copy_frames(frames)
        time_ms = frames[0].time_ms if frames else 0
        self.history.note_asked(ticket, [frame.payload for frame in frames], time_ms, durable=True)
        return ticket

    def rest(self) -> None:
        """Wait until the commit thread has done all that follows from the tickets that are resolved."""
        with self.log._committer._turn:
            pass


def random_payloads(generator: random.Random, sizes: Sizes, number: int) -> list[bytes]:
    """Those of one append; each tells which, and its place among how many."""
    count = generator.choice([1, 1, 2, 5])
    return [
        b"%d:%d:%d:" % (number, index, count) + generator.randbytes(generator.choice(sizes.payload_bytes))
        for index in range(count)
    ]


# An action ends with its tickets resolved, or with LogFailed; then the log is resumed, or closed and opened again.
Action = Callable[[Work], None]


def append_and_wait(work: Work) -> None:
    work.append().wait(WAIT_S)


def append_in_two_groups(work: Work) -> None:
    """What comes while the first append is at the disk makes the second group."""
    wait_all(append_held(work))


def wait_for_all(work: Work) -> None:
    """A barrier covers all that was appended, whatever its own tickets promised."""
    durability: Durability = work.generator.choice(["durable", "durable", "os"])
    seqs = range(work.log.first_seq, work.log.next_seq)
    with work.log._committer._turn:
        ticket = work.log.barrier(durability=durability)
        work.history.note_ticket(ticket, seqs, durable=durability == "durable")
    ticket.wait(WAIT_S)


def pass_time(work: Work) -> None:
    work.history.pass_time(work.generator.choice([1, 30, 100]))


def append_in_groups_that_fail(work: Work) -> None:
    """One of the next calls fails, which is in the first group, the second, a roll between, or nowhere."""
    operation = work.generator.choice(["write", "sync"])
    if operation == "write":
        error, written_bytes = work.generator.choice(ERRORS), work.generator.choice([0, 20, 600])
        work.files.fail("write", at=work.generator.choice([1, 2]), error=error, written_bytes=written_bytes)
    wait_all(append_held(work, fail=None if operation == "write" else operation))


def append_until_a_roll_fails(work: Work) -> None:
    """The new segment stays half made, or whole under a name that is not durable."""
    operation = work.generator.choice(["create", "rename", "sync_folder"])
    work.files.fail(operation, error=work.generator.choice(ERRORS))
    for _ in range(ROLL_APPENDS_MAX):
        work.append().wait(WAIT_S)


def append_and_fail_to_cut(work: Work) -> None:
    """The write is torn, and so is the attempt to tidy up: the next opening finds the tail."""
    error, written_bytes = work.generator.choice(ERRORS), work.generator.choice([20, 100, 600])
    work.files.fail("write", error=error, written_bytes=written_bytes)
    work.files.fail("truncate")
    work.append().wait(WAIT_S)


def append_beside_what_fails(work: Work) -> None:
    """Zeros ahead, mark, index and removal are no part of any promise: the log goes on without."""
    for operation in ("reserve", "publish", "replace", "remove"):
        if work.generator.random() < 0.5:
            work.files.fail(
                operation, at=work.generator.choice([1, 2]), written_bytes=work.generator.choice([0, 20, 600])
            )
    if work.generator.random() < 0.3:
        work.files.fail("sync_folder", at=2)  # behind a removal, if the roll before it has removed one
    for _ in range(ROLL_APPENDS_MAX):
        work.append().wait(WAIT_S)


def append_held(work: Work, fail: str | None = None) -> list[Ticket]:
    """Append while a first group is held at its write; let a call behind that fail, then let go."""
    work.files.hold("write")
    tickets = [work.append()]
    if tickets[0].done:  # a replica with nothing left to copy
        work.files.release("write")
        return tickets
    work.files.wait_held()
    tickets += [work.append(held=True) for _ in range(work.generator.choice([1, 2, 4]))]
    if fail is not None:
        work.files.fail(fail, at=work.generator.choice([1, 1, 2]))
    work.files.release("write")
    return tickets


def wait_all(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        ticket.wait(WAIT_S)


ACTIONS: Final[list[tuple[int, Action]]] = [  # with weights
    (6, append_and_wait),
    (4, append_in_two_groups),
    (1, wait_for_all),
    (2, pass_time),
]
FAULTY_ACTIONS: Final[list[tuple[int, Action]]] = [
    *ACTIONS,
    (1, append_in_groups_that_fail),
    (1, append_until_a_roll_fails),
    (1, append_and_fail_to_cut),
    (1, append_beside_what_fails),
]


def work(
    folder: Path,
    generator: random.Random,
    kind: Kind,
    *,
    files: FaultyFiles | None = None,
    opening_count: int = 4,
    action_count_max: int = 7,
) -> History:
    """Open, act, fail and reopen at random."""
    source = make_source(folder.with_name(f"{folder.name}-source"), generator, kind.sizes) if kind.replica else None
    history = History(kind, files or FaultyFiles(), source)
    for _ in range(opening_count):
        if kind.faults and generator.random() < 0.2:
            history.files.fail(generator.choice(OPEN_FAULTS))
        options = LogOptions(
            kind.sizes.segment_bytes,
            reserve_bytes=generator.choice(RESERVES),
            durability=kind.durability,
            retention=kind.retention,
        )
        try:
            log = history.open(folder, history.files, options)
        except OSError:
            continue
        finally:
            history.files.forgive()
        with log:
            history.note_opened(log)
            act(Work(history, log, generator), generator.randint(0, action_count_max))
            if kind.faults and generator.random() < 0.3:
                history.files.fail(generator.choice(CLOSE_FAULTS))
            closed_from = len(history.files.operations)
        history.files.forgive()
        if log.failure is not None:
            history.note_failure(closed_from)
    return history


def act(work: Work, count: int) -> None:
    """Some actions, up to the first that ends the log; one that it refuses is not the last."""
    actions = FAULTY_ACTIONS if work.history.kind.faults else ACTIONS
    for _, action in work.generator.choices(actions, [weight for weight, _ in actions], k=count):
        since_count = len(work.files.operations)
        try:
            action(work)
        except LogFailed:
            pass
        finally:
            work.rest()
            work.files.forgive()
        work.history.note_rest(work.log)
        work.log.resume()
        if work.log.failure is not None:
            work.history.note_failure(since_count)
            return


def make_source(folder: Path, generator: random.Random, sizes: Sizes) -> Source:
    """Frames of another log; a later part of them, if a replica is to begin in the midst."""
    now_ms = TIME_MS
    with open_log(folder, clock_ms=lambda: now_ms) as log:
        for number in range(SOURCE_APPENDS):
            now_ms += generator.choice([0, 0, 1, 30])
            kind = generator.choice([MANY, BATCH])
            append = log.append_many if kind == MANY else log.append_batch
            append([(kind, payload) for payload in random_payloads(generator, sizes, number)])
            if generator.random() < 0.5:
                log.barrier().wait(WAIT_S)
        log.barrier().wait(WAIT_S)
        frames = read_all(log)
    firsts = [0] + [index + 1 for index, frame in enumerate(frames[:60]) if not frame.flags & 1]
    return Source(frames[generator.choice([0, generator.choice(firsts)]) :])
