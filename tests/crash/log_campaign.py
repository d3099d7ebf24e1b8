"""Cut the power at moments of many random histories of a log, and open what each cut may have left.

    python -m tests.crash.log_campaign --states 20000 [--seed N]

Some histories are of logs that a log's owner appends to, some of replicas; their
durability, retention, sizes and faults are drawn.  Each is cut behind some of
its operations, under models of the disk (see `tests.support.crash_model`): one
that keeps the order of what was not synced, one that keeps none, and one that
loses nothing, for a process that is killed.  Of some images the opening itself
is cut once more.  What was acknowledged must be there, what was not is whole or
absent, and one opening must leave nothing for a second to repair.

A failure does not end the campaign: they are counted by kind, and the first
images of each kind are saved beside a text that says which promise broke.
The suite runs a short version.
"""

import argparse
import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.crash_model import Image, crash_images, killed_images, put_image, reordered_images
from tests.support.faulty_files import FaultyFiles
from tests.support.log_histories import History, Model, Opened, open_after_crash
from tests.support.log_work import draw_kind, work
from tests.support.logs import read_all
from wal import Corrupt, Frame, LogError
from wal.format import FRAME_HEADER_BYTES, BadBytes, frame_length

CUTS_PER_HISTORY: Final = 30  # of some hundred operations: many short looks show more than a few long ones
RANDOM_PER_CUT: Final = 4  # images that a model draws behind an operation, besides those that it always has
PREFIX_PER_CUT: Final = 3  # of the images of a model, how many are opened
REORDERED_PER_CUT: Final = 5
SECOND_CUT_CHANCE: Final = 0.02  # of an image, that its opening is cut too
SECOND_CUTS: Final = 6  # behind how many operations
SAVED_MAX: Final = 3  # of each kind of failure
FAILURES_MAX: Final = 2000  # then there is enough to look at


class Failure(NamedTuple):
    """A state that a log should have survived."""

    kind: str
    error: Exception
    image: Image
    told: str


class Found(NamedTuple):
    """What a campaign saw."""

    histories: Counter[str]  # by what they are of; one may be of several kinds
    history_count: int
    models: Counter[str]  # distinct images by model
    failures: list[Failure]

    @property
    def state_count(self) -> int:
        """Images opened; one that two histories leave counts twice."""
        return self.models.total()


class Cut(NamedTuple):
    """A power cut of a history."""

    model: Model
    operation_count: int
    image: Image
    frames_uncut: list[Frame] | None = None  # of an opening that is cut: what it finds if it is not


def torn_at(generator: random.Random, data: bytes, count_max: int = 4) -> list[int]:
    """Where to tear a write: beside the ends of the frames in it, and anywhere."""
    cuts = {1, len(data) - 1, generator.randint(0, len(data))}
    end = 0
    while len(data) - end >= FRAME_HEADER_BYTES:
        cuts |= {end + FRAME_HEADER_BYTES - 1, end + FRAME_HEADER_BYTES, end + FRAME_HEADER_BYTES + 1}
        try:
            end += frame_length(data, end)
        except BadBytes:
            break
        cuts |= {end - 1, end, end + 1}
    inside = sorted(cut for cut in cuts if 0 < cut < len(data))
    return generator.sample(inside, min(count_max, len(inside)))


def campaign(
    folder: Path,
    *,
    states: int,
    seed: int,
    cuts_per_history: int = CUTS_PER_HISTORY,
    failures_max: int = FAILURES_MAX,
    files_class: type[FaultyFiles] = FaultyFiles,
    on_state: Callable[[int, int], None] = lambda _states, _failures: None,
) -> Found:
    """Try histories until so many distinct states have been opened, or so many failures found.

    on_state: told how many states and failures there are so far.
    """
    found = Found(Counter(), 0, Counter(), [])
    while found.state_count < states and len(found.failures) < failures_max:
        number = found.history_count + 1
        found = found._replace(history_count=number)
        generator = random.Random(f"{seed}/{number}")
        kind = draw_kind(generator, number)
        found.histories.update(kind.names)
        opening_count = generator.randint(2, 5)
        told = f"seed {seed}, history {number} of {' '.join(kind.names)}"
        try:
            history = work(folder / "log", generator, kind, files=files_class(), opening_count=opening_count)
        except (LogError, AssertionError) as error:
            found.failures.append(failure_of("no cut", error, image_of(folder / "log"), told))
        else:
            judge = Judge(folder / "after", history)
            for cut in some_cuts(folder / "cut", history, generator, cuts_per_history):
                failure = judge.failure(cut)
                if failure is not None:
                    found.failures.append(failure._replace(told=f"{told}, {failure.told}"))
                on_state(found.state_count + judge.state_count, len(found.failures))
            found.models.update(judge.models())
        for name in ("log", "log-source"):
            shutil.rmtree(folder / name, ignore_errors=True)  # not there if no opening came to make it
    return found


def some_cuts(folder: Path, history: History, generator: random.Random, count_max: int) -> Iterator[Cut]:
    """Cuts of a history behind some operations, and cuts of some of the openings that follow."""
    behind = range(len(history.files.operations) + 1)
    cuts = set(generator.sample(behind, min(count_max, len(behind))))
    for cut in cuts_of(history, generator, cuts):
        yield cut
        if cut.model == "reordered" and generator.random() < SECOND_CUT_CHANCE:
            yield from second_cuts(folder, history, cut, generator)


def cuts_of(history: History, generator: random.Random, behind: Container[int] | None = None) -> Iterator[Cut]:
    """Some states of each model behind those operations, or behind each."""
    files = history.files
    for count, image in killed_images(files, behind):
        yield Cut("killed", count, image)
    in_order = crash_images(
        files, lambda data: torn_at(generator, data), generator=generator, per_cut=RANDOM_PER_CUT, cuts=behind
    )
    for count, image in some_of_each_cut(in_order, PREFIX_PER_CUT, generator):
        yield Cut("prefix", count, image)
    reordered = reordered_images(files, generator, RANDOM_PER_CUT, behind)
    for count, image in some_of_each_cut(reordered, REORDERED_PER_CUT, generator):
        yield Cut("reordered", count, image)


def some_of_each_cut(
    images: Iterable[tuple[int, Image]], count_max: int, generator: random.Random
) -> Iterator[tuple[int, Image]]:
    for _, of_cut in groupby(images, key=lambda image: image[0]):
        found = list(of_cut)
        yield from generator.sample(found, min(count_max, len(found)))


def second_cuts(folder: Path, history: History, first: Cut, generator: random.Random) -> Iterator[Cut]:
    """Cuts of the opening after a cut; none if it is refused, which the first cut shows already."""
    put_image(folder, first.image)
    files = FaultyFiles()
    try:
        with history.open(folder, files) as log:
            frames = read_all(log)
    except LogError:
        return
    behind = range(len(files.operations) + 1)
    cuts = set(generator.sample(behind, min(SECOND_CUTS, len(behind))))
    images = reordered_images(files, generator, RANDOM_PER_CUT, cuts)
    for _, image in some_of_each_cut(images, REORDERED_PER_CUT, generator):
        yield Cut("second cut", first.operation_count, image, frames)


class Judge:
    """Opens the images of one history; what an image holds is found once, however many cuts leave it."""

    def __init__(self, folder: Path, history: History) -> None:
        self._folder = folder
        self._history = history
        self._opened: dict[tuple[Model, tuple[tuple[str, bytes], ...]], Opened | Exception] = {}

    @property
    def state_count(self) -> int:
        """How many distinct images were opened."""
        return len(self._opened)

    def models(self) -> Counter[str]:
        """How many distinct images were opened, by model."""
        return Counter(model for model, _ in self._opened)

    def failure(self, cut: Cut) -> Failure | None:
        """Which promise a cut breaks, if any; an image that cannot be opened fails once."""
        key = cut.model, tuple(cut.image.items())
        known = key in self._opened
        if not known:
            self._opened[key] = self._open(cut)
        opened = self._opened[key]
        if isinstance(opened, Exception):
            return None if known else self._failure(cut, opened)
        try:
            self._history.check(opened, cut.operation_count, cut.model)
            if cut.frames_uncut is not None:
                assert opened.frames == cut.frames_uncut, "a second crash changes what is there"
        except AssertionError as error:
            return self._failure(cut, error)
        return None

    def _open(self, cut: Cut) -> Opened | Exception:
        try:
            return open_after_crash(self._history, self._folder, cut.image, cut.model)
        except Exception as error:  # whatever an opening raises is a failure
            return error

    def _failure(self, cut: Cut, error: Exception) -> Failure:
        return failure_of(cut.model, error, cut.image, f"{cut.model}, cut behind operation {cut.operation_count}")


def failure_of(where: str, error: Exception, image: Image, told: str) -> Failure:
    """What a failure is counted by: where it came up, and which promise broke."""
    kind = "refused" if isinstance(error, Corrupt) else "lost" if "is lost" in str(error) else type(error).__name__
    return Failure(f"{where}: {kind}", error, image, told)


def image_of(folder: Path) -> Image:
    """What a folder holds now."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}


def save(folder: Path, failures: Iterable[Failure]) -> None:
    """Keep the first images of each kind of failure, each with a text of the same number."""
    saved: Counter[str] = Counter()
    folder.mkdir(parents=True, exist_ok=True)
    for number, failure in enumerate(failures):
        saved[failure.kind] += 1
        if saved[failure.kind] <= SAVED_MAX:
            put_image(folder / f"{number:04d}", failure.image)
            why = "".join(traceback.format_exception(failure.error))
            (folder / f"{number:04d}.txt").write_text(f"{failure.kind}\n{failure.told}\n\n{why}")


def progress_line(wanted: int) -> Callable[[int, int], None]:
    """Tell how far it is, ten times a second at most, if anybody looks."""
    last = 0.0

    def tell(states: int, failures: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.1:
            last = time.monotonic()
            print(f"\r{states} of {wanted} states, {failures} failures", end="", file=sys.stderr, flush=True)

    return tell if sys.stderr.isatty() else lambda _states, _failures: None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--failures", type=Path, help="where to save what failed (a folder beside the temporary ones)")
    options = parser.parse_args()
    memory = Path("/dev/shm")  # no disk is needed for what is thrown away at once
    logging.disable()  # every failed disk is told, and they are many
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="log-campaign-", dir=memory if memory.is_dir() else None) as folder:
        found = campaign(Path(folder), states=options.states, seed=options.seed, on_state=progress_line(options.states))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    models = ", ".join(f"{count} {model}" for model, count in sorted(found.models.items()))
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(found.histories.items()))
    seconds = f"{time.monotonic() - started:.0f} s"
    summary = (
        f"seed {options.seed}: {found.state_count} states checked ({models})"
        f" of {found.history_count} histories ({kinds})"
    )
    if not found.failures:
        print(f"{summary}: nothing lost, nothing refused; {seconds}")
        return 0
    kept = options.failures or Path(tempfile.gettempdir()) / f"log-campaign-failures-{options.seed}"
    save(kept, found.failures)
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(f.kind for f in found.failures).most_common())
    print(f"{summary}, FAILED {kinds}; images in {kept}; {seconds}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
