"""Kill stores at many moments of random histories, open them again, and compare with what they report.

    python -m tests.crash.state_campaign --states 5000 --kills 50 [--seed N]

States are made in this process, through the seam between the pair and its
engines: a crash or an engine's error at a call, a full disk after which a commit
is resumed, a commit of RocksDB whose log was cut in the middle of the last
write, a commit of LMDB whose pages were written and whose meta page was not;
while the map grows, while a checkpoint is made, while a redo is applied.  A power
cut is made of what both engines have synced: RocksDB's log is cut anywhere behind
it, and of LMDB's pages that were written since any are lost, meta pages among
them.  Kills are real: a process that commits is sent SIGKILL.  Each time the
store must hold exactly the batches that it reports, all that were acknowledged
among them, after a power cut all that were synced, and so must every checkpoint
that is under its name.  The suite runs a short version.
"""

import argparse
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from stores import HybridStore, StoreError, StoreFailed, StoreFull, StoreOptions
from tests.support.faulty_engines import Call, Crash, Faults, Killed, When, engine_numbers, open_faulty
from tests.support.state_histories import History, commit_next

STATES_PER_HISTORY: Final = 40
KILLS_PER_HISTORY: Final = 10
COMMITS_PER_KILL_MAX: Final = 60
OPTIONS: Final = StoreOptions(
    memory_bytes=1024 * 1024,  # so that a few commits fill a buffer, and RocksDB begins another log
    map_bytes=64 * 1024,
    grow_wait_s=0.05,
)
SYNC_COMMITS_MAX: Final = (2, 8)  # within what a state commits, and beyond
SEED_STRIDE: Final = 1_000_003  # from one history's seed to the next

_CALLS: Final[tuple[Call, ...]] = (
    *("write.commit", "read.commit", "write.commit", "read.commit", "read.grow"),
    *(
        "write.sync",
        "read.sync",
        "write.snapshot",
        "read.snapshot",
        "write.flush",
        "write.copy",
        "read.pages",
        "read.copy",
    ),
)
_WHENS: Final[tuple[When, ...]] = ("before", "after")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_META_BYTES: Final = 2 * _PAGE_BYTES

Report = Callable[[str], None]


class Torn:
    """What the engines' files held just before their last commits, to undo a part of these afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log_bytes: dict[str, int] = {}
        self.meta = b""
        self.synced_log_bytes: dict[str, int] = {}
        self.synced_pages = b""

    def before(self, call: Call) -> None:
        """Remember how it was before a call."""
        if call == "write.commit":
            self.log_bytes = {path.name: path.stat().st_size for path in self._logs()}
        elif call == "read.commit":
            with (self._folder / "read" / "data.mdb").open("rb") as file:
                self.meta = file.read(_META_BYTES)

    def after(self, call: Call) -> None:
        """Remember what a sync has brought onto the disk."""
        if call in ("write.sync", "write.flush"):
            self.synced_log_bytes = {path.name: path.stat().st_size for path in self._logs()}
        elif call == "read.sync":
            self.synced_pages = (self._folder / "read" / "data.mdb").read_bytes()

    def cut_log(self, chance: random.Random) -> bool:
        """Cut RocksDB's log within its last write; False if there is none of it in the log."""
        return self._cut_newest(self.log_bytes, chance)

    def cut_power(self, chance: random.Random) -> None:
        """Lose some of what was not synced, of all of RocksDB's logs: one that another follows is synced."""
        for path in self._logs():
            self._cut(path, self.synced_log_bytes, chance)
        path = self._folder / "read" / "data.mdb"
        pages = path.read_bytes()
        old = self.synced_pages.ljust(len(pages), b"\x00")
        with path.open("r+b") as file:
            for place in range(0, len(pages), _PAGE_BYTES):
                if chance.random() < 0.5:
                    file.seek(place)
                    file.write(old[place : place + _PAGE_BYTES])

    def _cut_newest(self, least: dict[str, int], chance: random.Random) -> bool:
        newest = max(self._logs(), key=lambda path: int(path.stem), default=None)
        return newest is not None and self._cut(newest, least, chance)

    def _cut(self, path: Path, least: dict[str, int], chance: random.Random) -> bool:
        start, end = least.get(path.name, 0), path.stat().st_size
        if end <= start:
            return False
        os.truncate(path, chance.randrange(start, end))
        return True

    def put_meta_back(self) -> None:
        """Take LMDB's last commit back, but for the pages that it wrote."""
        with (self._folder / "read" / "data.mdb").open("r+b") as file:
            file.write(self.meta)

    def _logs(self) -> list[Path]:
        return list((self._folder / "write").glob("*.log"))


class Run:
    """One history in one folder, crashed again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.state = folder / "state"
        self._killed = folder / "killed"
        self.history = History(seed)
        self.chance = random.Random(seed)
        self.options = OPTIONS._replace(sync_commits_max=self.chance.choice(SYNC_COMMITS_MAX))
        self.faults = Faults()
        self.torn = Torn(self.state)
        self.faults.on_before = self.torn.before
        self.faults.on_after = self._note_sync
        self.acknowledged = 0
        self.synced = 0  # of those; what follows a power cut may take back
        self.lowest = 0  # what the next opening must find
        self.kinds: Counter[str] = Counter()

    def next_state(self) -> None:
        """Open, check, commit until a fault, and leave what it left."""
        try:
            store = open_faulty(self.state, self.faults, self.options)
        except (StoreError, Killed):  # a fault that was left over met the mending of the one before
            self.kinds["fault while opening"] += 1
            return
        try:
            self._check(store)
            self.faults.add(self._fault())
            where = self._work(store)
            if where:
                self._keep_files()
        finally:
            with suppress(Killed):  # a fault that was left over met the last sync
                store.close()
        if where:
            shutil.rmtree(self.state)
            self._killed.rename(self.state)
            if self.chance.random() < 0.6:
                self._tear(where)

    def finish(self) -> None:
        """Without faults all is as it should be, and both engines agree."""
        self.faults.clear()
        store = open_faulty(self.state, self.faults, self.options)
        self._check(store)
        store.close()
        numbers = engine_numbers(self.state)
        assert numbers[0] == numbers[1], numbers
        shutil.rmtree(self.folder)

    def _check(self, store: HybridStore) -> None:
        with store.snapshot() as snapshot:
            position = snapshot.position
            assert self.lowest <= position <= self.acknowledged + 1, (self.lowest, self.acknowledged, position)
            self.history.check(snapshot, position)
        found = ("one more than" if position > self.acknowledged else "as") + " acknowledged"
        self.kinds[found if position >= self.acknowledged else "some lost that were not synced"] += 1
        self.acknowledged = self.lowest = position

    def _note_sync(self, call: Call) -> None:
        self.torn.after(call)
        if call == "read.sync":
            self.synced = self.lowest  # what is acknowledged, but behind a power cut what is sure to be there

    def _fault(self) -> Crash:
        error = self.chance.choice([StoreFailed, StoreFull, Killed, Killed, Killed])
        return Crash(
            self.chance.choice(_CALLS), self.chance.choice(_WHENS), self.chance.choice([1, 1, 2, 3, 4, 5]), error
        )

    def _work(self, store: HybridStore) -> str:
        """Commit until a fault; where it was killed, if it was."""
        copy, killed = self.folder / "copy", ""
        try:
            for _ in range(self.chance.randrange(1, 8)):
                if self.chance.random() < 0.15 and not copy.exists():
                    store.checkpoint(copy)
                try:
                    self.acknowledged = self.lowest = commit_next(store, self.history.seed)
                except StoreFull:
                    self._resume(store)
        except (StoreError, Killed) as error:
            self.kinds[f"{type(error).__name__} at a call"] += 1
            killed = str(error) if isinstance(error, Killed) else ""
        if copy.exists():
            self._check_copy(copy)
        return killed

    def _resume(self, store: HybridStore) -> None:
        """A commit found no room, perhaps more than once: readers keep what was there until it is finished."""
        while True:
            with store.snapshot() as snapshot:
                self.history.check(snapshot, self.acknowledged)
            if self.chance.random() < 0.5:
                self.faults.add(Crash(self.chance.choice(_CALLS), "before", 1, self.chance.choice([StoreFull, Killed])))
            try:
                resumed = store.resume()
            except StoreFull:
                self.kinds["full again"] += 1
            else:
                assert resumed is not None, "a commit was given up"
                self.acknowledged = self.lowest = self.acknowledged + 1
                self.kinds["resumed"] += 1
                return

    def _check_copy(self, copy: Path) -> None:
        store = HybridStore.open(copy, OPTIONS)
        with store.snapshot() as snapshot:
            self.history.check(snapshot, snapshot.position)
        store.close()
        shutil.rmtree(copy)
        self.kinds["copies"] += 1

    def _keep_files(self) -> None:
        """Copy the files as a kill leaves them: closing a store writes what its log would have given back."""
        self.faults.freeze()
        shutil.copytree(self.state, self._killed)

    def _tear(self, where: str) -> None:
        """Where a commit was cut behind one engine's part, cut it inside that part instead."""
        if self.chance.random() < 0.5:
            self.torn.cut_power(self.chance)
            self.lowest = self.synced
            self.kinds["power cut"] += 1
        elif where == "after write.commit" and self.torn.cut_log(self.chance):
            self.kinds["log cut"] += 1
        elif where == "after read.commit":
            self.torn.put_meta_back()
            self.kinds["meta page lost"] += 1


def make_states(folder: Path, *, states: int, seed: int, report: Report) -> Counter[str]:
    """AssertionError, with its seed, at the first state that is not what it reports."""
    kinds: Counter[str] = Counter()
    done = 0
    while done < states:
        run = Run(folder / f"history {seed}", seed)
        try:
            for _ in range(min(STATES_PER_HISTORY, states - done)):
                run.next_state()
                done += 1
            run.finish()
        except Exception as error:
            error.add_note(f"states of seed {seed}, after {done}")
            raise
        kinds += run.kinds
        seed += SEED_STRIDE
        report(f"{done} of {states} states")
    return kinds


def work(folder: Path, seed: int) -> None:
    """What is killed: commit, say each time how far, and now and then make a checkpoint."""
    store = HybridStore.open(folder / "state", OPTIONS)
    while True:
        position = commit_next(store, seed)
        print(position, flush=True)
        if position % 20 == 0:
            store.checkpoint(folder / f"copy {position}")


def kill(folder: Path, *, kills: int, seed: int, report: Report) -> Counter[str]:
    """Kill a process that commits, open what it leaves, and let the next one go on."""
    chance, history, found = random.Random(seed), History(seed), Counter[str]()
    for number in range(kills):
        if number % KILLS_PER_HISTORY == 0:
            seed += SEED_STRIDE
            history, home, position = History(seed), folder / f"killed {seed}", 0
        acknowledged = max(position, _work_until_killed(home, seed, chance.randrange(1, COMMITS_PER_KILL_MAX)))
        began = time.monotonic()
        store = HybridStore.open(home / "state", OPTIONS)
        found["reopening, ms"] = max(found["reopening, ms"], int((time.monotonic() - began) * 1000))
        with store.snapshot() as snapshot:
            position = snapshot.position
            assert acknowledged <= position, f"seed {seed}: {acknowledged} acknowledged, {position} found"
            history.check(snapshot, position)
        store.close()
        for copy in home.glob("copy *[0-9]"):
            store = HybridStore.open(copy, OPTIONS)
            with store.snapshot() as snapshot:
                assert snapshot.position == int(copy.name.split()[1])
                history.check(snapshot, snapshot.position)
            store.close()
            shutil.rmtree(copy)
            found["copies of killed stores"] += 1
        found["kills"] += 1
        report(f"{number + 1} of {kills} kills")
    return found


def _work_until_killed(home: Path, seed: int, commits: int) -> int:
    """The last position that was acknowledged before the kill, which comes at once after so many commits."""
    program = (
        f"from pathlib import Path; from tests.crash.state_campaign import work; work(Path({str(home)!r}), {seed})"
    )
    home.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(commits)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().splitlines()
    assert process.returncode == -signal.SIGKILL
    whole = [int(line) for line in said if line.strip()]
    return whole[-1]


class Progress:
    """One line, written over at most once a second."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, text: str) -> None:
        if time.monotonic() >= self._next_s:
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
            self._next_s = time.monotonic() + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--folder", type=Path, help="where stores are made; a disk in memory is ten times as quick")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # engines that are killed say that they did not close well
    print(f"seed {options.seed}")
    began, progress = time.monotonic(), Progress()
    with tempfile.TemporaryDirectory(prefix="states-", dir=options.folder) as folder:
        found = make_states(Path(folder), states=options.states, seed=options.seed, report=progress)
        found += kill(Path(folder), kills=options.kills, seed=options.seed, report=progress)
    print(f"\r{dict(found)}; every store held what it reported; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
