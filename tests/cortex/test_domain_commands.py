"""What the commands of tasks and memories share: repeated ones, pending ones, and other writers of the log."""

import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cortex import (
    CommandOptions,
    CommandsBusy,
    DeskOptions,
    KeyConflict,
    NotApplied,
    Receipt,
    TaskConflict,
    TaskNotFound,
    TaskQuery,
    Tasks,
    WrongLog,
)
from cortex.models.domain import KEY, KEYS_KEPT, SLOT, KnownKey, known_key, remember
from cortex.tasks import TaskEvent, TaskModel
from stores import MemoryEngine, Staging
from tests.support.desks import BY_HAND, HALT, Clock, appended, found, open_tasks, settle
from tests.support.faulty_files import WAIT_S
from tests.support.logs import open_log
from wal import Log, MemoryLog

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


def test_events_are_json_that_people_can_read(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("Läufe", tags=["b", "a"], id="a")
        tasks.start("a", key="k", wait=True)
        payloads = appended(tasks.log)
    assert payloads[0] == '{"type":"task-created","title":"Läufe","tags":["a","b"],"v":1,"id":"a"}'.encode()
    assert payloads[1].startswith(b'{"type":"task-started","v":1,"id":"a","key":"k","mark":"')
