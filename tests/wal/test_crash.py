"""Power cuts in the midst of random work: what was acknowledged is there, what was not is whole or absent.

The models of the disk are in `tests.support.crash_model`, the promises in
`tests.support.log_histories`, the work in `tests.support.log_work`;
`python -m tests.crash.log_campaign` tries many more states.
"""

import random
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import wal.recovery
import wal.writer
from tests.crash.log_campaign import Cut, Failure, Judge, campaign, cuts_of, torn_at
from tests.support.crash_model import crash_images, put_image, reordered_images
from tests.support.faulty_files import FaultyFiles
from tests.support.log_histories import WIDE, History, Kind, Model, opened_now
from tests.support.log_work import draw_kind, work
from tests.support.logs import read_all
from wal import LogError, Retention
from wal.scan import Place, Run
from wal.segment import Segment
from wal.writer import Writer


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory, if there is such a place: no test here needs a disk, and each makes thousands of files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="crash-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.mark.parametrize("faults", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 4])  # each durability, and a replica
def test_a_cut_behind_any_operation_keeps_what_was_acknowledged(folder: Path, number: int, faults: bool) -> None:
    generator = random.Random(number)
    kind = draw_kind(generator, number)._replace(faults=faults)
    history = work(folder / "log", generator, kind, opening_count=4 if faults else 2, action_count_max=4)
    judge = Judge(folder / "after", history)
    raise_first(filter(None, map(judge.failure, cuts_of(history, generator))))
    states = judge.models()
    assert min(states[model] for model in ("killed", "prefix", "reordered")) > 20, f"number {number}: {states}"


def test_any_crash_while_an_opening_cuts_a_torn_tail_is_harmless(folder: Path) -> None:
    generator = random.Random(1)
    history = work(folder / "log", generator, Kind(), opening_count=2)
    behind = range(0, len(history.files.operations), 5)
    judge = Judge(folder / "after", history)
    for count, image in crash_images(history.files, lambda data: torn_at(generator, data, 2), cuts=behind):
        put_image(folder / "once", image)
        files = FaultyFiles()
        with history.open(folder / "once", files) as log:
            found = read_all(log)
        for _, second in crash_images(files, lambda data: torn_at(generator, data, 2)):
            raise_first(filter(None, [judge.failure(Cut("second cut", count, second, found))]))
    assert judge.state_count > 100


def test_histories_of_every_kind_lose_nothing_and_are_never_refused(folder: Path) -> None:
    """The short version of the campaign."""
    found = campaign(folder, states=1000, seed=1, cuts_per_history=8)
    raise_first(found.failures)
    assert min(found.models.values()) > 50, found.models
    assert {"durable", "os", "interval", "replica", "retention", "faults"} <= set(found.histories), found.histories


def test_the_same_seed_makes_the_same_history(folder: Path) -> None:
    """Whatever the threads do: a failure that is told by its seed can be found again."""
    kinds = [draw_kind(random.Random(number), number)._replace(faults=True) for number in range(6)]
    for number, kind in enumerate(kinds):
        one, two = (
            [(count, sorted(image.items())) for count, image in reordered_images(history.files, random.Random(0), 1)]
            for history in (work(folder / f"{number}-{again}", random.Random(number), kind) for again in "ab")
        )
        assert one == two, f"number {number}"


def raise_first(failures: Iterator[Failure] | list[Failure]) -> None:
    for failure in failures:
        failure.error.add_note(f"{failure.kind}; {failure.told}")
        raise failure.error


# Guards of the tests above: what lies, forgets or destroys must fail them


class NoSync(FaultyFiles):
    def sync(self, handle: int) -> None:
        pass


class NoFolderSync(FaultyFiles):
    def sync_folder(self, path: Path) -> None:
        pass


@pytest.mark.parametrize("files_class", [NoSync, NoFolderSync])
@pytest.mark.parametrize("model", ["prefix", "reordered"])
def test_a_log_on_a_disk_whose_syncs_do_nothing_loses_what_was_acknowledged(
    folder: Path, files_class: type[FaultyFiles], model: Model
) -> None:
    generator = random.Random(0)
    history = work(folder / "log", generator, Kind(sizes=WIDE), files=files_class())
    if model == "prefix":
        images = crash_images(history.files, lambda data: torn_at(generator, data), generator=generator, per_cut=20)
    else:
        images = reordered_images(history.files, generator, 1)
    assert any(is_lost(folder / "after", history, Cut(model, count, image)) for count, image in images)


def is_lost(folder: Path, history: History, cut: Cut) -> bool:
    """The history alone tells, without the help of a mark or of a verification."""
    put_image(folder, cut.image)
    try:
        with history.open(folder) as log:
            history.check(opened_now(log), cut.operation_count, cut.model)
    except AssertionError as error:
        return "is lost" in str(error)
    except LogError:
        pass  # refused: that is another promise
    return False


def one_frame_too_few(run: Run, whole: Place) -> Place:
    return run.place(max(0, len(run.frames) - 1))


def half_batches_too(run: Run, whole: Place) -> Place:
    return run.after


def all_but_the_last(segments: Sequence[Segment], retention: Retention, now_ms: int) -> Iterator[Segment]:
    yield from segments[:-1]


def mark_before_sync(writer: Writer) -> None:
    writer.synced = writer.contents
    writer._publish()
    writer._files.sync(writer._handle)


GUARDS: list[tuple[Any, str, Callable[..., Any], str]] = [
    (wal.recovery, "_last_whole", one_frame_too_few, "lost"),
    (wal.recovery, "_last_whole", half_batches_too, "half a batch"),
    (wal.recovery, "_never_acknowledged", lambda *_, replica: False, "expected"),  # refuses what a crash leaves
    (wal.writer, "expired", all_but_the_last, "lost"),
    (Writer, "sync", mark_before_sync, "lost|expected"),  # torn writes are refused as rot, and missing ones told
]


@pytest.mark.parametrize(("where", "name", "instead", "told"), GUARDS)
def test_a_log_that_breaks_a_promise_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, instead: Callable[..., Any], told: str
) -> None:
    monkeypatch.setattr(where, name, instead)
    found = campaign(folder, states=2000, seed=1, cuts_per_history=8, failures_max=1)
    assert any(re.search(told, str(failure.error)) for failure in found.failures), [
        str(f.error) for f in found.failures
    ]
