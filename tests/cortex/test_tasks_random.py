"""Random histories of tasks beside a plain dict: with repeats, refusals, restarts, and folds in batches of any size."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from cortex import (
    CortexError,
    DeskOptions,
    KeyConflict,
    Receipt,
    RunnerOptions,
    StateOptions,
    TaskConflict,
    TaskNotFound,
    TaskQuery,
    Tasks,
)
from cortex.tasks import STATUSES
from tests.support.desks import HALT, found, open_tasks, settle

IDS: Final = ("a", "b", "c", "d")
MOVES: Final = {  # from where to where, written down here once more
    "start": ({"created"}, "running"),
    "progress": ({"running"}, "running"),
    "complete": ({"running"}, "completed"),
    "fail": ({"running"}, "failed"),
    "cancel": ({"created", "running"}, "cancelled"),
    "retry": ({"failed", "cancelled"}, "created"),
    "rename": (set(STATUSES), None),
}


class Command(NamedTuple):
    name: str
    id: str
    argument: str
    key: str | None


commands = st.builds(
    Command,
    st.sampled_from(("create", "create", "start", "start", "progress", "complete", "fail", "cancel", "retry", "rename"))
    | st.just("delete"),
    st.sampled_from(IDS),
    st.sampled_from(("x", "X", "y")),
    st.none() | st.sampled_from(("k1", "k2", "k3")),
)
steps = st.lists(commands | st.just("reopen") | st.just("settle") | st.just("rebuild"), max_size=40)


class Model:
    """What should be so."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, tuple[Command, Receipt]] = {}
        self.seq = 0

    def run(self, command: Command) -> Receipt | type[CortexError]:
        if command.key in self.keys:
            first, receipt = self.keys[command.key]
            return receipt if first == command else KeyConflict
        task = self.tasks.get(command.id)
        refused = self._refusal(command, task)
        if refused is not None:
            return refused
        if command.name == "create":
            new = {"title": command.argument, "status": "created", "attempts": 0, "error": None, "created": self.seq}
            self.tasks[command.id] = {**new, "progress": 0, "tags": (command.argument,), "updated": self.seq}
        elif command.name == "delete":
            del self.tasks[command.id]
        else:
            assert task is not None
            self._move(command, task)
        receipt = Receipt(command.id, self.seq)
        self.seq += 1
        if command.key is not None:
            self.keys[command.key] = command, receipt
        return receipt

    def _refusal(self, command: Command, task: dict[str, Any] | None) -> type[CortexError] | None:
        if command.name == "create":
            return None if task is None else TaskConflict
        if task is None:
            return TaskNotFound
        if command.name != "delete" and task["status"] not in MOVES[command.name][0]:
            return TaskConflict
        return None

    def _move(self, command: Command, task: dict[str, Any]) -> None:
        task["status"] = MOVES[command.name][1] or task["status"]
        task["updated"] = self.seq
        match command.name:
            case "start":
                task["attempts"] += 1
            case "progress":
                task["progress"] = len(command.argument)
            case "complete":
                task["progress"] = 1000
            case "fail" | "cancel":
                task["error"] = command.argument
            case "retry":
                task |= {"progress": 0, "error": None}
            case "rename":
                task["title"] = command.argument


def run(tasks: Tasks, command: Command) -> Receipt | type[CortexError]:
    try:
        return call(tasks, command)._replace(log_id=None)
    except (TaskNotFound, TaskConflict, KeyConflict) as error:
        return type(error)


def call(tasks: Tasks, command: Command) -> Receipt:
    name, id_, argument, key = command
    match name:
        case "create":
            return tasks.create(argument, tags=[argument], id=id_, key=key)
        case "progress":
            return tasks.progress(id_, len(argument), key=key)
        case "complete" | "fail" | "cancel" | "rename":
            receipt: Receipt = getattr(tasks, name)(id_, argument, key=key)
            return receipt
        case _:
            return getattr(tasks, name)(id_, key=key)  # type: ignore[no-any-return]


def check(tasks: Tasks, model: Model) -> None:
    """All that can be asked says what the model says."""
    settle(tasks)
    rows = {task.id: task for task in tasks.find(TaskQuery()).items}
    assert rows.keys() == model.tasks.keys()
    for id_, expected in model.tasks.items():
        task = tasks.get(id_)
        assert task == rows[id_]
        same = (task.title, task.status, task.attempts, task.error, task.progress_permille, task.tags)
        assert same == tuple(expected[name] for name in ("title", "status", "attempts", "error", "progress", "tags"))
    for status in STATUSES:
        of_status = [id_ for id_, task in model.tasks.items() if task["status"] == status]
        assert sorted(found(tasks, TaskQuery(status=status))) == sorted(of_status)
        assert tasks.counts()[status] == len(of_status)
    for tag in ("x", "X", "y"):
        assert set(found(tasks, TaskQuery(tags_any=[tag]))) == {i for i, t in model.tasks.items() if tag in t["tags"]}
    ordered = model.tasks.items()
    assert found(tasks, TaskQuery(), 2) == [i for i, _ in sorted(ordered, key=lambda one: one[1]["created"])]
    by_change = [i for i, _ in sorted(ordered, key=lambda one: one[1]["updated"])]
    assert found(tasks, TaskQuery(order="updated"), 2) == by_change
    assert found(tasks, TaskQuery(order="updated", descending=True), 2) == by_change[::-1]
    by_title = [i for i, _ in sorted(ordered, key=lambda one: (one[1]["title"].casefold(), one[0]))]
    assert found(tasks, TaskQuery(order="title"), 2) == by_title


@settings(max_examples=100, deadline=None)
@given(steps, st.sampled_from((1, 3, 1024)))
def test_any_history_leaves_what_a_plain_dict_says(history: list[Command | str], batch: int) -> None:
    fold = RunnerOptions(batch_count_max=batch, batch_count_min=batch)
    options: DeskOptions = HALT._replace(state=StateOptions(fold=fold))
    model = Model()
    with TemporaryDirectory() as folder:
        waiting = list(history)
        while True:
            with open_tasks(Path(folder), options) as tasks:
                while waiting and (step := waiting.pop(0)) != "reopen":
                    if isinstance(step, Command):
                        assert run(tasks, step) == model.run(step), step
                    elif step == "settle":
                        check(tasks, model)
                    else:
                        settle(tasks)
                        rebuilt = tasks.state.rebuild(digest=True)
                        assert rebuilt.digest_before == rebuilt.digest_after
                assert tasks.log.next_seq == model.seq
                if not waiting:
                    check(tasks, model)
                    return
