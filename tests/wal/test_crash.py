"""Power cuts at every moment of random work: what was acknowledged is there, what was not is whole or absent.

The model of the disk is in `crash_images`: what a file's sync did not cover persists in order, as a
prefix, torn at any byte; what a folder's sync did not cover may be missing, the latest first.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles, Image, crash_images, put_image
from tests.support.logs import open_log, read_all, segment_files
from wal import FileLog, Frame, LogFailed, Ticket, check_log

MANY, BATCH = 1, 2  # kinds, to tell how a frame was appended


class History:
    """What was asked of a log, and from which recorded operation on each frame must survive."""

    def __init__(self, files: FaultyFiles) -> None:
        self.files = files
        self.asked: dict[int, set[bytes]] = defaultdict(set)
        self.kept_from: dict[int, tuple[int, bytes]] = {}
        self.epochs: list[tuple[int, int]] = []
        self.append_count = 0

    def append(self, log: FileLog, generator: random.Random) -> tuple[Ticket, list[bytes]]:
        kind = generator.choice([MANY, BATCH])
        count = generator.choice([1, 1, 2, 5])
        self.append_count += 1
        payloads = [
            b"%d:%d:%d:" % (self.append_count, index, count) + bytes(generator.choice([0, 3, 40]))
            for index in range(count)
        ]
        append = log.append_many if kind == MANY else log.append_batch
        ticket = append([(kind, payload) for payload in payloads])
        for seq, payload in enumerate(payloads, ticket.first_seq):
            self.asked[seq].add(payload)
        return ticket, payloads

    def acknowledge(self, ticket: Ticket, payloads: list[bytes]) -> None:
        for seq, payload in enumerate(payloads, ticket.wait(WAIT_S)):
            self.kept_from[seq] = len(self.files.operations), payload

    def check(self, epoch: int, frames: list[Frame], operation_count: int) -> None:
        assert all(epoch > before for count, before in self.epochs if count <= operation_count)
        assert [frame.seq for frame in frames] == list(range(len(frames)))
        for frame in frames:
            assert frame.payload in self.asked[frame.seq]
        for seq, (kept_from, payload) in self.kept_from.items():
            if kept_from <= operation_count:
                assert seq < len(frames), f"seq {seq} was acknowledged and is lost"
                assert frames[seq].payload == payload
        if frames and frames[-1].kind == BATCH:
            _, index, count, _ = frames[-1].payload.split(b":", 3)
            assert int(index) == int(count) - 1, "half a batch"


def work(folder: Path, generator: random.Random, *, faults: bool) -> History:
    """Open, append, wait, fail and reopen at random."""
    history = History(FaultyFiles())
    for _ in range(4):
        with open_log(folder, files=history.files, segment_bytes=400) as log:
            history.epochs.append((len(history.files.operations), log.epoch))
            waiting = []
            try:
                for _ in range(generator.randrange(8)):
                    if faults and generator.random() < 0.1:
                        history.files.fail(generator.choice(["write", "sync"]), written_bytes=20)
                    waiting.append(history.append(log, generator))
                    if generator.random() < 0.6:
                        while waiting:
                            history.acknowledge(*waiting.pop(0))
                while waiting:
                    history.acknowledge(*waiting.pop(0))
            except LogFailed:
                pass  # those still waiting were appended in the same group or later
    return history


def torn_at(generator: random.Random, unsynced_bytes: int) -> Iterable[int]:
    """A few cuts, among them those that are likely to be off by one."""
    cuts = {1, 31, 32, 33, unsynced_bytes - 1, generator.randint(0, unsynced_bytes)}
    return (cut for cut in cuts if 0 < cut < unsynced_bytes)


def open_after_crash(folder: Path, image: Image) -> tuple[int, list[Frame]]:
    """Epoch and frames of a log after a crash, if opening and verifying it find nothing but torn tails."""
    put_image(folder, image)
    if segment_files(folder):
        checked = check_log(folder, lambda _path, _offset, _frame: None)
        assert {finding.severity for finding in checked.findings} <= {"tail"}
    with open_log(folder) as log:
        epoch, frames = log.epoch, read_all(log)
        log.append(b"after the crash", MANY).wait(WAIT_S)
    with open_log(folder) as log:
        assert log.torn_tail is None
        assert read_all(log)[:-1] == frames
    return epoch, frames


@pytest.mark.parametrize("faults", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_any_crash_keeps_what_was_acknowledged(tmp_path: Path, seed: int, faults: bool) -> None:
    generator = random.Random(seed)
    history = work(tmp_path / "log", generator, faults=faults)
    states = 0
    for count, image in crash_images(history.files, lambda size: torn_at(generator, size)):
        history.check(*open_after_crash(tmp_path / "after", image), count)
        states += 1
    assert states > 50, f"seed {seed} made only {states} states"


def test_any_crash_while_an_opening_cuts_a_torn_tail_is_harmless(tmp_path: Path) -> None:
    generator = random.Random(1)
    history = work(tmp_path / "log", generator, faults=False)
    images = list(crash_images(history.files, lambda size: torn_at(generator, size)))
    crashes = 0
    for count, image in images:
        if count % 7:
            continue
        put_image(tmp_path / "once", image)
        files = FaultyFiles()
        with open_log(tmp_path / "once", files=files) as log:
            found = read_all(log)
        for _, second in crash_images(files, lambda size: torn_at(generator, size)):
            epoch, frames = open_after_crash(tmp_path / "twice", second)
            history.check(epoch, frames, count)
            assert frames == found, "a second crash changes nothing"
            crashes += 1
    assert crashes > 100


def test_the_model_can_lose_what_was_not_synced(tmp_path: Path) -> None:
    """Guards the tests above: a log whose fsync does nothing must fail them."""

    class LyingFiles(FaultyFiles):
        def sync(self, handle: int) -> None:
            pass

    files = LyingFiles()
    with open_log(tmp_path / "log", files=files) as log:
        log.append(b"gone", MANY).wait(WAIT_S)
    images = [image for count, image in crash_images(files, lambda _: []) if count == len(files.operations)]
    assert any(len(content) <= 64 for image in images for name, content in image.items() if name != "LOCK")
