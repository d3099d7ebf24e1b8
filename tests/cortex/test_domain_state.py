"""What the states of tasks and memories share: bad events, a log that fails, copies, and watching."""

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from cortex import (
    CommandsBusy,
    Fold,
    FoldClosed,
    FoldStopped,
    InvalidQuery,
    Receipt,
    RunnerOptions,
    StateOptions,
    TaskQuery,
    Tasks,
    UnsupportedEvent,
    apply_batch,
    bind,
)
from cortex.models.domain import DomainFold, Logged
from cortex.tasks import TaskEvent, TaskModel
from stores import MemoryEngine, state_digest
from tests.support.desks import BY_HAND, DEAD_LETTER, HALT, Clock, found, open_tasks, settle
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import ALL, open_log
from wal import Frame, LogFailed, LogOptions

# Events that cannot be

POISON: Final = {
    "no JSON": b"\xff\x00",
    "another version": b'{"type":"task-started","v":2,"id":"a"}',
    "another kind": b'{"type":"task-exploded","v":1,"id":"a"}',
    "a field too many": b'{"type":"task-started","v":1,"id":"a","by":"me"}',
    "a field too few": b'{"type":"task-started","v":1}',
    "a key that is too long for the store": b'{"type":"task-started","v":1,"id":"' + b"a" * 600 + b'"}',
    "a title that is too long for the store": b'{"type":"task-created","v":1,"id":"b","title":"' + b"t" * 600 + b'"}',
    "tags out of order": b'{"type":"task-created","v":1,"id":"b","title":"t","tags":["b","a"]}',
    "a key without a mark": b'{"type":"task-created","v":1,"id":"b","title":"t","key":"k"}',
    "what the state forbids": b'{"type":"task-completed","v":1,"id":"a"}',
    "a task that there is not": b'{"type":"task-started","v":1,"id":"b"}',
}


@pytest.mark.parametrize("name", POISON)
def test_an_event_that_cannot_be_stops_the_fold_and_all_are_told(tmp_path: Path, name: str) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("one", id="a", wait=True)
        tasks.log.append(POISON[name], 1)
        with pytest.raises(FoldStopped, match="seq 1"):
            tasks.state.watermark.wait(1, WAIT_S)
        end = tasks.log.next_seq
        with pytest.raises(FoldStopped):
            tasks.start("a")
        with pytest.raises(FoldStopped):
            tasks.wait(Receipt("a", 1))
        assert tasks.log.next_seq == end
        assert tasks.get("a").status == "created"  # what was folded can still be read


@pytest.mark.parametrize("name", POISON)
def test_an_event_that_cannot_be_is_a_dead_letter_if_asked_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    with open_tasks(tmp_path, DEAD_LETTER) as tasks:
        tasks.create("one", id="a")
        tasks.log.append(POISON[name], 1)
        tasks.start("a", wait=True)
        assert tasks.get("a").status == "running"
        assert [letter.seq for letter in tasks.state.dead_letters()] == [1]


def test_a_frame_of_another_kind_is_no_event() -> None:
    with pytest.raises(UnsupportedEvent, match="kind 2"):
        TaskModel().decode(Frame(0, 1, 2, 0, BY_HAND))
    assert TaskModel().decode(Frame(0, 1, 1, 0, BY_HAND)).event.id == "by-hand"


# The log fails


def test_a_log_that_fails_refuses_commands_and_tells_who_waits(tmp_path: Path) -> None:
    files = FaultyFiles()
    options = LogOptions(reserve_bytes=0)
    with (
        open_log(tmp_path / "log", files=files, options=options) as log,
        Tasks.over(log, tmp_path / "state", options=HALT) as tasks,
    ):
        tasks.create("kept", id="kept", wait=True)
        files.fail("write")
        lost = tasks.create("lost", id="lost", key="k")
        with pytest.raises(LogFailed):
            tasks.wait(lost)
        with pytest.raises(LogFailed):  # its key stands for nothing that will ever be
            tasks.create("lost", id="lost", key="k")
        with pytest.raises(LogFailed):
            tasks.create("more")
        assert found(tasks, TaskQuery()) == ["kept"]


def test_after_close_nothing_is_taken_and_who_waits_is_told(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        receipt = tasks.create("one")
        tasks.close()
        tasks.close()
        with pytest.raises(FoldClosed):
            tasks.create("two")
        with pytest.raises(FoldClosed):
            tasks.wait(Receipt("x", receipt.seq + 1))


# The state: again, elsewhere, from a copy


def lived(tasks: Tasks) -> None:
    """A bit of everything."""
    for number in range(30):
        id_ = tasks.create(f"task {number % 7}", tags=["a", f"n{number % 3}"], key=f"key {number}").id
        if number % 2:
            tasks.start(id_)
        if number % 4 == 1:
            tasks.complete(id_, "done")
        if number % 5 == 0:
            tasks.rename(id_, "renamed")
        if number % 7 == 0:
            tasks.delete(id_)
    settle(tasks)


def folded(frames: Sequence[Frame], batch: int) -> str:
    """The digest of a fold in memory, in batches of a size."""
    engine, model = MemoryEngine(), TaskModel()
    folds: list[Fold[Logged[TaskEvent]]] = [DomainFold(model)]
    bind(engine, bytes(range(16)), {fold.name: fold.version for fold in folds})
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        apply_batch(engine, folds, [model.decode(frame) for frame in part], part[-1].seq + 1)
    with engine.snapshot() as reader:
        return state_digest(reader)


def test_the_same_log_gives_the_same_rows_whatever_the_engine_and_the_batches(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        lived(tasks)
        live = tasks.state.digest()
        assert tasks.state.rebuild(digest=True).digest_after == live
        assert tasks.state.digest() == live
        frames = tasks.log.read_from(0, count_max=ALL, bytes_max=ALL)
        assert {folded(frames, batch) for batch in (1, 7, 1000)} == {live}


def test_a_state_goes_on_where_it_was_and_one_that_is_removed_is_made_anew(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        lived(tasks)
        live, ids = tasks.state.digest(), found(tasks, TaskQuery())
    with open_tasks(tmp_path) as tasks:
        assert (tasks.state.digest(), found(tasks, TaskQuery())) == (live, ids)
    shutil.rmtree(tmp_path / "state")
    with open_tasks(tmp_path) as tasks:
        settle(tasks)
        assert (tasks.state.digest(), found(tasks, TaskQuery())) == (live, ids)


def test_a_snapshot_restores_and_the_rest_of_the_log_follows(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        lived(tasks)
        saved = tasks.state.save_snapshot()
        tasks.create("later", id="later", wait=True)
        live = tasks.state.digest()
    shutil.copytree(tmp_path / "state" / "snapshots", tmp_path / "elsewhere" / "snapshots")
    with (
        open_log(tmp_path / "log") as log,
        Tasks.over(log, tmp_path / "elsewhere", options=HALT) as tasks,
    ):
        assert tasks.state.watermark.seq >= saved.manifest.position
        assert tasks.create("task 1", tags=["a", "n1"], key="key 1").seq < saved.manifest.position
        settle(tasks)
        assert tasks.state.digest() == live
        assert tasks.get("later").title == "later"


def test_a_state_of_the_past_can_be_asked(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("first name", id="a")
        tasks.rename("a", "second name")
        tasks.delete("a", wait=True)
        with tasks.as_of(1) as then:
            assert then.get("a").title == "first name"
            assert then.counts()["created"] == 1
        with tasks.as_of(2) as then:
            assert [task.title for task in then.find(TaskQuery(text="second")).items] == ["second name"]


def test_open_keeps_log_and_state_in_one_folder_and_closes_both(tmp_path: Path) -> None:
    for number in range(2):
        with Tasks.open(tmp_path / "t", clock_ms=Clock(), new_log_id=lambda: bytes(16)) as tasks:
            tasks.create(f"task {number}", wait=True)
            assert tasks.counts()["created"] == number + 1
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["logs", "state"]
    assert tasks.log.ended


def test_no_command_is_checked_against_a_state_of_another_fold_version(tmp_path: Path) -> None:
    go = threading.Event()

    class NewerModel(TaskModel):
        version = 2

        def decode(self, frame: Frame) -> Logged[TaskEvent]:
            assert go.wait(WAIT_S)
            return super().decode(frame)

    class NewerTasks(Tasks):
        model = NewerModel()

    with open_tasks(tmp_path) as tasks:
        tasks.create("one", id="a", wait=True)
    with open_log(tmp_path / "log") as log, NewerTasks.over(log, tmp_path / "state", options=HALT) as newer:
        with pytest.raises(CommandsBusy, match="made anew"):
            newer.start("a")
        assert newer.get("a").status == "created"  # readable all the while
        go.set()
        while newer.state.outdated:
            newer.state.watermark.wait(1, 0.01)
        newer.start("a", wait=True)
        assert newer.get("a").status == "running"


def test_small_batches_leave_what_large_ones_do(tmp_path: Path) -> None:
    digests = set()
    for count in (1, 5, 1024):
        fold = RunnerOptions(batch_count_min=count, batch_count_max=count)
        with open_tasks(tmp_path / str(count), HALT._replace(state=StateOptions(fold=fold))) as tasks:
            lived(tasks)
            digests.add(tasks.state.digest())
    assert len(digests) == 1


# Watching


def values(watch: Any, count: int) -> list[Any]:
    return [watch.read(WAIT_S).value for _ in range(count)]


def test_a_watch_gives_what_is_and_then_each_change_but_nothing_twice(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("one", id="a", tags=["x"], wait=True)
        with tasks.watch(TaskQuery(tags_any=["x"]), limit=2) as watch:
            assert [task.id for task in values(watch, 1)[0]] == ["a"]
            tasks.create("not asked for", tags=["y"], wait=True)
            assert watch.read(0.0) is None
            tasks.start("a", wait=True)
            assert [task.status for task in values(watch, 1)[0]] == ["running"]
            tasks.create("two", id="b", tags=["x"])
            tasks.create("three", id="c", tags=["x"], wait=True)
            shown = values(watch, 1)[0]
            assert [task.id for task in shown][-1] == "b"  # no more than the limit
            tasks.delete("a")
            tasks.delete("b", wait=True)
            while [task.id for task in shown] != ["c"]:  # one step or two, the last of them the newest
                shown = values(watch, 1)[0]
            assert watch.read(0.0) is None


def test_a_watch_that_is_slow_misses_what_was_in_between(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("one", id="a", wait=True)
        with tasks.watch_one("a") as watch, tasks.watch_one("b") as other:
            assert values(watch, 1)[0].status == "created"
            assert values(other, 1) == [None]
            tasks.start("a")
            for permille in range(100):
                tasks.progress("a", permille)
            tasks.complete("a", wait=True)
            assert values(watch, 1)[0].status == "completed"
            assert watch.read(0.0) is None
            assert other.read(0.0) is None
            tasks.delete("a", wait=True)
            assert values(watch, 1) == [None]


def test_a_watch_ends_when_the_tasks_are_closed(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        watch = tasks.watch(TaskQuery())
        assert values(watch, 1) == [()]
        ended: list[Any] = []
        thread = threading.Thread(target=lambda: ended.extend(watch))
        thread.start()
        tasks.close()
        thread.join(WAIT_S)
        assert not thread.is_alive()
        assert ended == []


def test_a_watch_of_what_can_be_no_id_is_refused(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks, pytest.raises(InvalidQuery):
        tasks.watch_one("x" * 600)
