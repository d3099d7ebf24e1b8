"""What tasks and memories share: repeated commands, pending ones, other writers, bad events, watching, copies."""

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest

from cortex import (
    CommandOptions,
    CommandsBusy,
    DeskOptions,
    Fold,
    FoldClosed,
    FoldStopped,
    InvalidQuery,
    KeyConflict,
    NotApplied,
    Receipt,
    RunnerOptions,
    StateOptions,
    TaskConflict,
    TaskNotFound,
    TaskQuery,
    Tasks,
    UnsupportedEvent,
    WrongLog,
    apply_batch,
    bind,
)
from cortex.models.domain import KEY, KEYS_KEPT, SLOT, DomainFold, KnownKey, Logged, known_key, remember
from cortex.tasks import TaskEvent, TaskModel
from stores import MemoryEngine, Staging, state_digest
from tests.support.desks import DEAD_LETTER, HALT, Clock, appended, found, open_tasks, settle
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import ALL, open_log
from wal import Frame, Log, LogFailed, LogOptions, MemoryLog

BY_HAND: Final = b'{"type":"task-created","v":1,"id":"by-hand","title":"appended by somebody else"}'


# Idempotency keys


def test_the_same_command_with_the_same_key_gives_the_same_receipt_and_writes_nothing(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        first = tasks.create("one", tags=["a"], key="k")
        start = tasks.start(first.id, key="s")
        for _ in range(2):  # the first time pending, then folded
            assert tasks.create("one", tags=["a"], key="k") == first
            assert tasks.start(first.id, key="s") == start
            settle(tasks)
        assert tasks.log.next_seq == 2
    with open_tasks(tmp_path) as tasks:
        assert tasks.create("one", tags=["a"], key="k", wait=True) == first
        assert tasks.log.next_seq == 2


def test_another_command_with_the_same_key_is_a_conflict(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        first = tasks.create("one", key="k")
        for _ in range(2):
            for other in (
                lambda: tasks.create("two", key="k"),
                lambda: tasks.create("one", id=first.id, key="k"),
                lambda: tasks.create("one", id="new", key="k"),
                lambda: tasks.start(first.id, key="k"),
            ):
                with pytest.raises(KeyConflict, match="seq 0"):
                    other()
            settle(tasks)
        assert tasks.log.next_seq == 1


def test_a_refused_command_does_not_use_up_its_key(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        with pytest.raises(TaskNotFound):
            tasks.start("t", key="k")
        assert tasks.create("one", id="t", key="k")[:2] == ("t", 0)


def test_a_key_is_remembered_for_so_many_positions_and_no_more_are_kept() -> None:
    state = Staging(MemoryEngine().snapshot())

    def use(key: str, seq: int) -> None:
        remember(KnownKey("m" * 32, "id", seq), key, state)

    use("first", 3)
    assert known_key("first", 3 + KEYS_KEPT, state) == KnownKey("m" * 32, "id", 3)
    assert known_key("first", 4 + KEYS_KEPT, state) is None
    use("renewed", 5)
    use("renewed", KEYS_KEPT + 3)  # takes the slot of the first
    assert state.get(KEY + b"first") is None
    use("last", KEYS_KEPT + 5)  # takes the slot that the renewed one has left
    assert known_key("renewed", KEYS_KEPT + 6, state) == KnownKey("m" * 32, "id", KEYS_KEPT + 3)
    for seq in range(20, 30):
        use("a", seq)
        use("b", seq + KEYS_KEPT)
    kept = [key for key, value in state.batch.rows.items() if value is not None]
    assert sum(key.startswith(SLOT) for key in kept) == 12
    assert sorted(key for key in kept if key.startswith(KEY)) == [KEY + b"b", KEY + b"last", KEY + b"renewed"]


# Pending commands


def stalled(tasks: Tasks) -> threading.Event:
    """Hold the fold at its next commit until the event is set."""
    go, held = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        assert go.wait(WAIT_S)

    tasks.state.watermark.on_applied(tasks.log.next_seq, hold)
    tasks.create("holds the fold")
    assert held.wait(WAIT_S)
    return go


def test_commands_go_on_while_the_fold_stands_still_and_stop_at_the_bound(tmp_path: Path) -> None:
    options = HALT._replace(commands=CommandOptions(pending_count_max=10, wait_s=0.01))
    with open_tasks(tmp_path, options) as tasks:
        go = stalled(tasks)
        ids = [tasks.create(f"task {number}").id for number in range(10)]
        with pytest.raises(NotApplied, match="in the log"):
            tasks.wait(Receipt(ids[-1], tasks.log.next_seq - 1))
        with pytest.raises(CommandsBusy, match="try again later"):
            tasks.start(ids[0])
        end = tasks.log.next_seq
        go.set()
        settle(tasks)
        tasks.start(ids[0])
        assert tasks.log.next_seq == end + 1
        with pytest.raises(TaskConflict):
            tasks.start(ids[0])


def test_commands_of_many_threads_wait_at_once_and_not_one_after_another(tmp_path: Path) -> None:
    options = HALT._replace(commands=CommandOptions(pending_count_max=1, wait_s=0.2))
    with open_tasks(tmp_path, options) as tasks:
        go = stalled(tasks)
        tasks.create("fills the room")
        waited_s = list[float]()

        def create() -> None:
            begin_s = monotonic()
            with pytest.raises(CommandsBusy):
                tasks.create("one more")
            waited_s.append(monotonic() - begin_s)

        threads = [threading.Thread(target=create) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        go.set()
        assert len(waited_s) == 20
        assert 0.2 <= min(waited_s) <= max(waited_s) < 2.0  # one after another it would be 4.0


def test_a_command_waits_for_room_rather_than_be_refused(tmp_path: Path) -> None:
    options = HALT._replace(commands=CommandOptions(pending_count_max=4, wait_s=WAIT_S))
    with open_tasks(tmp_path, options) as tasks:
        ids = [tasks.create(f"task {number}").id for number in range(200)]
        settle(tasks)
        assert found(tasks, TaskQuery()) == ids


@pytest.mark.parametrize(
    "options",
    [
        HALT._replace(commands=CommandOptions(pending_count_max=0)),
        HALT._replace(commands=CommandOptions(wait_s=-1.0)),
        HALT._replace(scan_count_max=0),
    ],
)
def test_bad_options_are_refused_and_nothing_stays_open(tmp_path: Path, options: DeskOptions) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="at least"):
            Tasks.open(tmp_path, clock_ms=Clock(), new_log_id=lambda: bytes(16), options=options)


def test_commands_of_many_threads_are_one_order(tmp_path: Path) -> None:
    won: list[str] = []

    def race(tasks: Tasks, name: str) -> None:
        for number in range(50):
            tasks.create(name, id=f"{name}-{number}")
            try:
                tasks.create("shared", id=f"shared-{number}")
            except TaskConflict:
                continue
            won.append(f"shared-{number}")

    with open_tasks(tmp_path) as tasks:
        threads = [threading.Thread(target=race, args=(tasks, name)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        settle(tasks)
        assert sorted(won) == sorted(f"shared-{number}" for number in range(50))
        assert tasks.counts()["created"] == tasks.log.next_seq == 250


# Others at the log


def test_what_others_append_to_the_log_is_seen_by_the_next_command(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("mine", id="mine")
        tasks.log.append(BY_HAND, 1)
        tasks.start("by-hand")
        tasks.start("mine")
        with pytest.raises(TaskConflict):
            tasks.create("again", id="by-hand")
        settle(tasks)
        assert found(tasks, TaskQuery(status="running")) == ["mine", "by-hand"]


def test_a_command_that_was_overtaken_is_checked_again(tmp_path: Path) -> None:
    class OvertakenModel(TaskModel):
        log: Log

        def change(self, event: TaskEvent, time: int, find: Any) -> Any:
            changes = super().change(event, time, find)
            if time == 0 and self.log.next_seq < 2:  # a check, not the fold
                self.log.append(BY_HAND.replace(b"by-hand", b"by-hand-%d" % self.log.next_seq), 1)
            return changes

    class OvertakenTasks(Tasks):
        model = OvertakenModel()

    with open_log(tmp_path / "log") as log, OvertakenTasks.over(log, tmp_path / "state", options=HALT) as tasks:
        OvertakenTasks.model.log = log
        with pytest.raises(TaskConflict):
            tasks.create("too late", id="by-hand-1")
        assert tasks.create("after all").seq == 2


def test_two_desks_on_one_log_never_write_what_the_other_forbids(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as one, Tasks.over(one.log, tmp_path / "other", options=HALT) as two:
        for number in range(20):
            one.create("shared", id=str(number))
            for desk in (two, one):
                with pytest.raises(TaskConflict):
                    desk.create("shared", id=str(number))
            two.start(str(number))
            with pytest.raises(TaskConflict):
                one.start(str(number))
        settle(one)
        settle(two)
        assert one.state.digest() == two.state.digest()


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


def test_events_are_json_that_people_can_read(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("Läufe", tags=["b", "a"], id="a")
        tasks.start("a", key="k", wait=True)
        payloads = appended(tasks.log)
    assert payloads[0] == '{"type":"task-created","title":"Läufe","tags":["a","b"],"v":1,"id":"a"}'.encode()
    assert payloads[1].startswith(b'{"type":"task-started","v":1,"id":"a","key":"k","mark":"')


def test_small_batches_leave_what_large_ones_do(tmp_path: Path) -> None:
    digests = set()
    for count in (1, 5, 1024):
        fold = RunnerOptions(batch_count_min=count, batch_count_max=count)
        with open_tasks(tmp_path / str(count), HALT._replace(state=StateOptions(fold=fold))) as tasks:
            lived(tasks)
            digests.add(tasks.state.digest())
    assert len(digests) == 1


def test_another_boards_receipt_is_no_reason_to_believe_that_a_command_is_applied(tmp_path: Path) -> None:
    with (
        open_tasks(tmp_path / "one") as one,
        MemoryLog(clock_ms=Clock(), log_id=bytes(16)) as log,
        Tasks.over(log, tmp_path / "two", options=HALT) as two,
    ):
        receipt = one.create("a task", wait=True)
        two.create("another", wait=True)
        one.wait(receipt)
        with pytest.raises(WrongLog):
            two.wait(receipt)
