"""Tasks: what may happen to one, and what is kept of it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from cortex import (
    InvalidCommand,
    InvalidQuery,
    QueryTooWide,
    Receipt,
    Task,
    TaskConflict,
    TaskNotFound,
    TaskQuery,
    Tasks,
)
from cortex.tasks import (
    STATUSES,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskDeleted,
    TaskEvent,
    TaskFailed,
    TaskModel,
    TaskProgressed,
    TaskRenamed,
    TaskRetried,
    TaskStarted,
)
from tests.support.desks import HALT, Clock, found, open_tasks, pages, settle
from tests.support.faulty_files import WAIT_S

NOW: Final = 77 << 16

EVENTS: Final[dict[str, TaskEvent]] = {
    "create": TaskCreated(v=1, id="a", title="again"),
    "start": TaskStarted(v=1, id="a"),
    "progress": TaskProgressed(v=1, id="a", permille=250),
    "complete": TaskCompleted(v=1, id="a", result="done"),
    "fail": TaskFailed(v=1, id="a", error="broken"),
    "cancel": TaskCancelled(v=1, id="a", reason="unwanted"),
    "retry": TaskRetried(v=1, id="a"),
    "rename": TaskRenamed(v=1, id="a", title="other"),
    "delete": TaskDeleted(v=1, id="a"),
}
# All that is allowed; "gone": there is no task.
ALLOWED: Final[dict[tuple[str, str], str]] = {
    ("gone", "create"): "created",
    ("created", "start"): "running",
    ("created", "cancel"): "cancelled",
    ("running", "progress"): "running",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("running", "cancel"): "cancelled",
    ("failed", "retry"): "created",
    ("cancelled", "retry"): "created",
    **{(status, "rename"): status for status in STATUSES},
    **{(status, "delete"): "gone" for status in STATUSES},
}


def task_in(status: str) -> Task | None:
    """A task as it comes to be in a status."""
    if status not in STATUSES:
        return None
    times = {"created": {}, "running": {"started_time": 2}}.get(status, {"started_time": 2, "finished_time": 3})
    return Task("a", "first", status, 1, 3, ("x",), attempts=1, progress_permille=100, **times)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", EVENTS)
@pytest.mark.parametrize("status", ["gone", *STATUSES])
def test_what_may_happen_is_exactly_the_table(status: str, command: str) -> None:
    before, event = task_in(status), EVENTS[command]
    target = ALLOWED.get((status, command))
    if target is not None:
        ((was, after),) = TaskModel().change(event, NOW, {"a": before}.get)
        assert was is before
        assert (after.status if after else "gone") == target
        assert after is None or after.updated_time == NOW
    elif before is None:
        with pytest.raises(TaskNotFound, match="'a'"):
            TaskModel().change(event, NOW, {"a": before}.get)
    else:
        with pytest.raises(TaskConflict) as caught:
            TaskModel().change(event, NOW, {"a": before}.get)
        assert (caught.value.task, caught.value.from_status, caught.value.code) == ("a", status, "task-conflict")
        assert caught.value.to_status in STATUSES


def test_each_event_leaves_what_it_says(tmp_path: Path) -> None:
    clock = Clock()
    start_ms = clock.now_ms
    with open_tasks(tmp_path, clock_ms=clock) as tasks:
        id_ = tasks.create("Index the books", tags=["b", "a", "b"], wait=True).id
        task = tasks.get(id_)
        assert (task.title, task.status, task.tags, task.attempts) == ("Index the books", "created", ("a", "b"), 0)
        assert (task.created_ms, task.updated_ms, task.started_ms, task.finished_ms) == (start_ms, start_ms, None, None)

        clock.now_ms += 1000
        tasks.start(id_)
        tasks.progress(id_, 500, wait=True)
        task = tasks.get(id_)
        assert (task.status, task.attempts, task.progress_permille) == ("running", 1, 500)
        assert (task.created_ms, task.started_ms, task.finished_ms) == (start_ms, start_ms + 1000, None)

        clock.now_ms += 1000
        tasks.fail(id_, "no disk", wait=True)
        task = tasks.get(id_)
        assert (task.status, task.error, task.progress_permille) == ("failed", "no disk", 500)
        assert task.finished_ms == start_ms + 2000

        tasks.retry(id_, wait=True)
        task = tasks.get(id_)
        assert (task.status, task.error, task.progress_permille, task.attempts) == ("created", None, 0, 1)
        assert (task.started_ms, task.finished_ms) == (None, None)

        tasks.start(id_)
        tasks.complete(id_, "12 books")
        tasks.rename(id_, "Books", wait=True)
        task = tasks.get(id_)
        assert (task.status, task.result, task.progress_permille, task.attempts) == ("completed", "12 books", 1000, 2)
        assert (task.title, task.created_ms, task.updated_ms) == ("Books", start_ms, start_ms + 2000)

        tasks.delete(id_, wait=True)
        with pytest.raises(TaskNotFound):
            tasks.get(id_)
        assert set(tasks.counts().values()) == {0}


BAD: Final[dict[str, Callable[[Tasks], Receipt]]] = {
    "no title": lambda tasks: tasks.create(""),
    "long title": lambda tasks: tasks.create("x" * 401),
    "title of many bytes": lambda tasks: tasks.create("ü" * 201),
    "two lines": lambda tasks: tasks.create("a\nb"),
    "half a surrogate pair": lambda tasks: tasks.create("a\ud800"),
    "title of bytes": lambda tasks: tasks.create(b"a"),  # type: ignore[arg-type]
    "empty id": lambda tasks: tasks.create("a", id=""),
    "id with a space": lambda tasks: tasks.create("a", id="a b"),
    "long id": lambda tasks: tasks.create("a", id="x" * 65),
    "tags as a text": lambda tasks: tasks.create("a", tags="red"),
    "tags as numbers": lambda tasks: tasks.create("a", tags=[1]),  # type: ignore[list-item]
    "many tags": lambda tasks: tasks.create("a", tags=[f"t{n}" for n in range(33)]),
    "empty tag": lambda tasks: tasks.create("a", tags=[""]),
    "tag with NUL": lambda tasks: tasks.create("a", tags=["a\x00b"]),
    "long key": lambda tasks: tasks.create("a", key="k" * 129),
    "empty key": lambda tasks: tasks.create("a", key=""),
    "key of a number": lambda tasks: tasks.create("a", key=7),  # type: ignore[arg-type]
    "progress below": lambda tasks: tasks.progress("t", -1),
    "progress above": lambda tasks: tasks.progress("t", 1001),
    "progress as a fraction": lambda tasks: tasks.progress("t", 0.5),  # type: ignore[arg-type]
    "progress as a truth": lambda tasks: tasks.progress("t", True),
    "long result": lambda tasks: tasks.complete("t", "x" * 65_537),
    "result as a number": lambda tasks: tasks.complete("t", 7),  # type: ignore[arg-type]
    "no error": lambda tasks: tasks.fail("t", None),  # type: ignore[arg-type]
    "id as a number": lambda tasks: tasks.start(7),  # type: ignore[arg-type]
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    with open_tasks(tmp_path_factory.mktemp("tasks")) as tasks:
        tasks.create("running", id="t")
        tasks.start("t", wait=True)
        yield tasks


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_nothing_is_written(running: Tasks, name: str) -> None:
    before = running.log.next_seq
    with pytest.raises(InvalidCommand) as caught:
        BAD[name](running)
    assert caught.value.code == "invalid-command"
    assert running.log.next_seq == before


def test_the_longest_that_is_allowed_can_be_kept_and_found(tmp_path: Path) -> None:
    tags = [f"{n:02d}" + "x" * 62 for n in range(32)]
    with open_tasks(tmp_path) as tasks:
        tasks.create("T" * 400, id="i" * 64, tags=tags, key="k" * 128)
        tasks.start("i" * 64)
        tasks.complete("i" * 64, "r" * 65_536, wait=True)
        assert found(tasks, TaskQuery(tags_all=tags, text="t" * 256, order="title")) == ["i" * 64]
        assert len(tasks.get("i" * 64).result or "") == 65_536


# Commands that nobody waits for


def test_a_burst_that_nobody_awaits_is_seen_by_the_commands_after_it(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        ids = [tasks.create(f"task {number}").id for number in range(1000)]
        for id_ in ids:
            tasks.start(id_)
        with pytest.raises(TaskConflict):
            tasks.start(ids[0])
        last = tasks.complete(ids[-1])
        tasks.wait(last)
        assert len(set(ids)) == 1000
        assert tasks.counts() == {"created": 0, "running": 999, "completed": 1, "failed": 0, "cancelled": 0}
        assert found(tasks, TaskQuery(status="running"), limit=100) == ids[:-1]


def test_a_refused_command_writes_nothing_and_leaves_nothing_pending(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        id_ = tasks.create("one").id
        end = tasks.log.next_seq
        for command in (lambda: tasks.complete(id_), lambda: tasks.start("no-such"), lambda: tasks.create("x", id=id_)):
            with pytest.raises((TaskConflict, TaskNotFound)):
                command()
        assert tasks.log.next_seq == end
        tasks.start(id_, wait=True)
        assert tasks.get(id_).status == "running"


def test_an_id_may_be_used_again_once_its_task_is_deleted(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create("first", id="x")
        tasks.delete("x")
        tasks.create("second", id="x", wait=True)
        assert tasks.get("x").title == "second"
        assert found(tasks, TaskQuery()) == ["x"]


def test_an_id_that_is_still_to_be_made_up_is_refused(tmp_path: Path) -> None:
    with open_tasks(tmp_path / "one") as tasks:
        made_up = [tasks.create("x").id for _ in range(3)]
    with open_tasks(tmp_path / "same-log-id") as tasks:
        with pytest.raises(InvalidCommand, match="made up"):
            tasks.create("x", id=made_up[2])
        tasks.create("x", id=made_up[2][:-1] + ("0" if made_up[2][-1] != "0" else "1"))
        assert [tasks.create("x").id for _ in range(2)] == made_up[1:]


def test_made_up_ids_sort_as_they_were_made(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        ids = [tasks.create("x").id for _ in range(300)]
    assert ids == sorted(set(ids))


# Finding


def fill(tasks: Tasks, clock: Clock) -> None:
    """Nine tasks, a to i, a second apart: every third started, titles in reverse, two the same but for case."""
    for number, id_ in enumerate("abcdefghi"):
        clock.now_ms = 1_700_000_000_000 + number * 1000
        title = f"Title {8 - number}" if number < 7 else ("same", "SAME")[number - 7]
        tasks.create(title, id=id_, tags=["even" if number % 2 == 0 else "odd", *(["first"] if number < 3 else [])])
    for id_ in "adg":
        tasks.start(id_)
    settle(tasks)


QUERIES: Final[list[tuple[TaskQuery, str]]] = [
    (TaskQuery(), "abcdefghi"),
    (TaskQuery(descending=True), "ihgfedcba"),
    (TaskQuery(order="title"), "higfedcba"),
    (TaskQuery(order="title", descending=True), "abcdefghi"),
    (TaskQuery(order="updated"), "bcefhiadg"),
    (TaskQuery(order="updated", descending=True), "gdaihfecb"),
    (TaskQuery(status="running"), "adg"),
    (TaskQuery(status=["created", "running"], descending=True), "ihgfedcba"),
    (TaskQuery(status=["completed"]), ""),
    (TaskQuery(status="created", order="title"), "hifecb"),
    (TaskQuery(tags_any=["odd"]), "bdfh"),
    (TaskQuery(tags_any=["odd", "first"]), "abcdfh"),
    (TaskQuery(tags_any=["odd", "first"], order="title"), "hfdcba"),
    (TaskQuery(tags_all=["even", "first"]), "ac"),
    (TaskQuery(tags_all=["even"], tags_any=["odd", "first"]), "ac"),
    (TaskQuery(tags_any=["odd"], status="running"), "d"),
    (TaskQuery(tags_any=["none"]), ""),
    (TaskQuery(text="sAmE"), "hi"),
    (TaskQuery(text="title 3"), "f"),
    (TaskQuery(created_from_ms=1_700_000_003_000, created_before_ms=1_700_000_006_000), "def"),
    (TaskQuery(created_from_ms=1_700_000_003_000, created_before_ms=1_700_000_006_000, descending=True), "fed"),
    (TaskQuery(created_before_ms=1_700_000_002_000, order="updated"), "ba"),
    (TaskQuery(created_from_ms=1_700_000_007_000, tags_any=["odd"]), "h"),
    (TaskQuery(created_before_ms=0), ""),
    (TaskQuery(created_from_ms=2**47 - 1), ""),
]


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    clock = Clock()
    with open_tasks(tmp_path_factory.mktemp("nine"), clock_ms=clock) as tasks:
        fill(tasks, clock)
        yield tasks


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 1000])
@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=str)
def test_a_query_finds_what_it_says_in_order_on_pages_of_any_size(
    nine: Tasks, query: TaskQuery, expected: str, limit: int
) -> None:
    got = list(pages(nine, query, limit))
    assert "".join(task.id for page in got for task in page.items) == expected
    assert all(len(page.items) == limit for page in got[:-1])
    assert len(got) == max(1, -(-len(expected) // limit))


@pytest.mark.parametrize(
    "query",
    [
        TaskQuery(status="done"),  # type: ignore[arg-type]
        TaskQuery(status=["created", "done"]),  # type: ignore[list-item]
        TaskQuery(order="size"),  # type: ignore[arg-type]
        TaskQuery(descending=1),  # type: ignore[arg-type]
        TaskQuery(tags_any="red"),
        TaskQuery(tags_all=[f"t{n}" for n in range(33)]),
        TaskQuery(tags_any=["x" * 65]),
        TaskQuery(text=""),
        TaskQuery(text="x" * 257),
        TaskQuery(created_from_ms=-1),
        TaskQuery(created_before_ms=2**47),
        TaskQuery(text=7),  # type: ignore[arg-type]
        "running",
    ],
    ids=str,
)
def test_a_bad_query_is_refused(nine: Tasks, query: TaskQuery) -> None:
    for ask in (nine.find, nine.watch):
        with pytest.raises(InvalidQuery):
            ask(query)


@pytest.mark.parametrize("limit", [0, -1, 1001, True, "9"])
def test_a_bad_limit_is_refused(nine: Tasks, limit: int) -> None:
    for ask in (nine.find, nine.watch):
        with pytest.raises(InvalidQuery, match="1 to 1000"):
            ask(TaskQuery(), limit=limit)


def test_a_cursor_of_another_query_or_log_or_a_changed_one_is_refused(nine: Tasks, tmp_path: Path) -> None:
    cursor = nine.find(TaskQuery(), limit=2).cursor
    assert cursor is not None
    changed = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    others = [nine.find(TaskQuery(order="title"), limit=2).cursor, changed, cursor + "A", "", "?", "é", cursor[:5]]
    for other in others:
        with pytest.raises(InvalidQuery, match="begin without one"):
            nine.find(TaskQuery(), cursor=other)
    with pytest.raises(InvalidQuery):
        nine.find(TaskQuery(order="updated"), cursor=cursor)
    assert [task.id for task in nine.find(TaskQuery(), limit=3, cursor=cursor).items] == ["c", "d", "e"]


def test_pages_neither_repeat_nor_miss_a_task_while_others_come_and_go(tmp_path: Path) -> None:
    for query in (TaskQuery(order="title"), TaskQuery(), TaskQuery(descending=True), TaskQuery(tags_any=["x", "y"])):
        with open_tasks(tmp_path / query.order / str(query.descending) / str(len(query.tags_any))) as tasks:
            ids = {tasks.create(f"title {n % 5}", tags=["x", "y"]).id for n in range(20)}
            gone = tasks.create("title 3", tags=["x"]).id
            settle(tasks)
            seen: list[str] = []
            for page in pages(tasks, query, 3):
                seen += [task.id for task in page.items]
                tasks.create("title 0", tags=["y"])
                tasks.create("title 2", tags=["x"])
                if gone not in seen:
                    tasks.delete(gone)
                    gone = tasks.create("title 9", tags=["x"]).id
                settle(tasks)
                if len(seen) > 60:  # an order by creation has no end while more are created
                    break
            assert len(seen) == len(set(seen))
            assert ids <= set(seen)


def test_a_query_looks_at_no_more_than_the_setting_allows(tmp_path: Path) -> None:
    with open_tasks(tmp_path, HALT._replace(scan_count_max=10)) as tasks:
        for number in range(20):
            tasks.create(f"task {number}", tags=["rare"] if number == 19 else [])
        settle(tasks)
        assert len(tasks.find(TaskQuery(), limit=9).items) == 9
        assert len(found(tasks, TaskQuery(tags_any=["rare"], order="title"))) == 1
        assert found(tasks, TaskQuery(status="completed", order="title")) == []
        for query in (TaskQuery(text="task 19"), TaskQuery(descending=True)):
            with pytest.raises(QueryTooWide, match="scan_count_max"):
                tasks.find(query, limit=1)


def test_an_id_that_cannot_be_is_not_found(nine: Tasks) -> None:
    for id_ in ("nobody", "", "a b", "x" * 1000, 7):
        with pytest.raises(TaskNotFound, match="create"):
            nine.get(id_)  # type: ignore[arg-type]


# Killed


KILLED = """
import os, signal, sys
from cortex import Tasks
from wal import LogOptions
tasks = Tasks.open(sys.argv[1], clock_ms=lambda: 1_700_000_000_000, new_log_id=lambda: bytes(16),
                   log_options=LogOptions(durability=sys.argv[2]))
for number in range(250):
    last = tasks.create(f"task {number}", key=f"key-{number}")
    tasks.start(last.id)
tasks.wait(last)
print(last.id, last.seq, flush=True)
for number in range(100):
    tasks.create(f"more {number}")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("durability", ["os", "durable"])
def test_what_was_waited_for_survives_a_kill(tmp_path: Path, durability: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), durability], capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    id_, seq = done.stdout.split()
    with Tasks.open(tmp_path, clock_ms=Clock(), new_log_id=lambda: bytes(16)) as tasks:
        assert tasks.create("task 249", key="key-249")[:2] == (id_, int(seq))
        settle(tasks)
        counts = tasks.counts()
        assert counts["running"] in (249, 250)  # of the commands after the last that was waited for, the first few
        assert 250 <= counts["running"] + counts["created"] <= 350
        live = tasks.state.digest()
        rebuilt = tasks.state.rebuild(digest=True)
        assert (rebuilt.digest_before, rebuilt.digest_after) == (live, live)
