"""Memories: what is kept, superseded and forgotten, and how it is found."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex import (
    CortexError,
    InvalidCommand,
    InvalidQuery,
    KeyConflict,
    Memories,
    MemoryConflict,
    MemoryNotFound,
    MemoryQuery,
    Receipt,
)
from tests.support.desks import Clock, appended, found, open_memories, pages, settle
from tests.support.faulty_files import WAIT_S

START_MS: Final = 1_700_000_000_000


def test_a_memory_is_kept_as_it_was_stored(tmp_path: Path) -> None:
    clock = Clock(START_MS)
    with open_memories(tmp_path, clock_ms=clock) as memories:
        id_ = memories.store("The door code\nis 1234.", tags=["door", "code"], source="mail/7", wait=True).id
        memory = memories.get(id_)
        assert (memory.content, memory.tags, memory.source) == ("The door code\nis 1234.", ("code", "door"), "mail/7")
        assert (memory.pinned, memory.supersedes, memory.superseded_by) == (False, None, None)
        assert (memory.created_ms, memory.updated_ms) == (START_MS, START_MS)
        clock.now_ms += 5
        memories.retag(id_, ["x"])
        memories.pin(id_, wait=True)
        memory = memories.get(id_)
        assert (memory.tags, memory.pinned, memory.created_ms, memory.updated_ms) == (
            ("x",),
            True,
            START_MS,
            START_MS + 5,
        )
        memories.unpin(id_, wait=True)
        assert not memories.get(id_).pinned
    with open_memories(tmp_path) as memories:
        assert memories.get(id_).tags == ("x",)


def test_the_superseded_stays_readable_and_points_to_what_took_its_place(tmp_path: Path) -> None:
    with open_memories(tmp_path) as memories:
        old = memories.store("code 1234", tags=["door"], source="mail", pinned=True).id
        new = memories.supersede(old, "code 5678").id
        newest = memories.supersede(new, "no code", tags=[], source="note", wait=True).id
        first, second, third = (memories.get(id_) for id_ in (old, new, newest))
        assert [one.content for one in (first, second, third)] == ["code 1234", "code 5678", "no code"]
        assert [one.superseded_by for one in (first, second, third)] == [new, newest, None]
        assert [one.supersedes for one in (first, second, third)] == [None, old, new]
        assert [one.pinned for one in (first, second, third)] == [False, False, True]
        assert [(one.tags, one.source) for one in (second, third)] == [(("door",), "mail"), ((), "note")]
        assert found(memories, MemoryQuery()) == [newest]
        assert found(memories, MemoryQuery(superseded=True)) == [newest, new, old]
        assert memories.counts() == {"live": 0, "pinned": 1, "superseded": 2}


def test_the_superseded_cannot_be_changed_but_be_forgotten(tmp_path: Path) -> None:
    with open_memories(tmp_path) as memories:
        old = memories.store("old").id
        new = memories.supersede(old, "new").id
        end = memories.log.next_seq
        changes: list[Callable[[], Receipt]] = [
            lambda: memories.retag(old, ["x"]),
            lambda: memories.pin(old),
            lambda: memories.unpin(old),
            lambda: memories.supersede(old, "other"),
            lambda: memories.supersede(new, "itself", id=new),
            lambda: memories.store("taken", id=old),
        ]
        for change in changes:
            with pytest.raises(MemoryConflict) as caught:
                change()
            assert caught.value.code == "memory-conflict"
        assert memories.log.next_seq == end
        memories.forget(old, wait=True)
        assert memories.get(new).supersedes == old


def test_the_forgotten_is_gone_from_the_state_and_not_from_the_log(tmp_path: Path) -> None:
    with open_memories(tmp_path) as memories:
        id_ = memories.store("a secret of yours", tags=["t"], source="s", pinned=True, wait=True).id
        memories.forget(id_, wait=True)
        for command in (memories.get, memories.pin, memories.forget):
            with pytest.raises(MemoryNotFound, match="forgotten"):
                command(id_)
        assert found(memories, MemoryQuery(superseded=True)) == []
        with memories.state.snapshot() as reader:
            assert not [1 for key, value in reader.scan(b"", count_max=1000) if b"secret" in key + value]
        assert b"a secret of yours" in appended(memories.log)[0]
        memories.store("another", id=id_, wait=True)
        assert memories.get(id_).content == "another"


BAD: Final[dict[str, Callable[[Memories], Receipt]]] = {
    "no content": lambda memories: memories.store(""),
    "long content": lambda memories: memories.store("x" * 65_537),
    "content of bytes": lambda memories: memories.store(b"x"),  # type: ignore[arg-type]
    "half a surrogate pair": lambda memories: memories.store("\udc00"),
    "empty source": lambda memories: memories.store("x", source=""),
    "long source": lambda memories: memories.store("x", source="s" * 201),
    "source of two lines": lambda memories: memories.store("x", source="a\nb"),
    "tags as a text": lambda memories: memories.store("x", tags="red"),
    "many tags": lambda memories: memories.retag("m", [f"t{n}" for n in range(33)]),
    "no tags at all": lambda memories: memories.retag("m", None),  # type: ignore[arg-type]
    "bad id": lambda memories: memories.store("x", id="a b"),
    "bad old id": lambda memories: memories.supersede("a b", "x"),
    "empty new content": lambda memories: memories.supersede("m", ""),
    "bad key": lambda memories: memories.pin("m", key="a\nb"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_nothing_is_written(six: Memories, name: str) -> None:
    before = six.log.next_seq
    with pytest.raises(InvalidCommand):
        BAD[name](six)
    assert six.log.next_seq == before


def test_a_repeated_command_gives_its_receipt_and_another_is_a_conflict(tmp_path: Path) -> None:
    with open_memories(tmp_path) as memories:
        first = memories.store("one", key="k")
        new = memories.supersede(first.id, "two", key="s")
        for _ in range(2):
            assert memories.store("one", key="k") == first
            assert memories.supersede(first.id, "two", key="s") == new
            with pytest.raises(KeyConflict):
                memories.supersede(first.id, "three", key="s")
            settle(memories)
        assert memories.log.next_seq == 2


# Finding


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memories]:
    """Six memories, a to f, a second apart; b is superseded by d, e is pinned."""
    clock = Clock(START_MS)
    with open_memories(tmp_path_factory.mktemp("six"), clock_ms=clock) as memories:
        for number, id_ in enumerate("abc"):
            clock.now_ms = START_MS + number * 1000
            memories.store(f"Content {id_} GROSS", id=id_, tags=["old", id_], source="mail" if id_ != "c" else "web")
        clock.now_ms = START_MS + 3000
        memories.supersede("b", "Straße d", id="d", tags=["new"])
        clock.now_ms = START_MS + 4000
        memories.store("Content e", id="e", tags=["new", "old"], pinned=True)
        clock.now_ms = START_MS + 5000
        memories.store("STRASSE f", id="f", source="web")
        memories.retag("a", ["old", "a", "touched"])
        settle(memories)
        yield memories


QUERIES: Final[list[tuple[MemoryQuery, str]]] = [
    (MemoryQuery(), "fedca"),
    (MemoryQuery(descending=False), "acdef"),
    (MemoryQuery(superseded=True), "fedcba"),
    (MemoryQuery(order="updated"), "afedc"),
    (MemoryQuery(order="updated", descending=False, superseded=True), "cbdefa"),
    (MemoryQuery(tags_any=["old"]), "eca"),
    (MemoryQuery(tags_any=["old", "new"]), "edca"),
    (MemoryQuery(tags_all=["old", "new"]), "e"),
    (MemoryQuery(tags_any=["b"], superseded=True), "b"),
    (MemoryQuery(tags_any=["b"]), ""),
    (MemoryQuery(tags_any=["touched"]), "a"),
    (MemoryQuery(text="gross"), "ca"),
    (MemoryQuery(text="strasse"), "fd"),
    (MemoryQuery(source="mail"), "da"),
    (MemoryQuery(source="mail", tags_any=["old"], superseded=True), "ba"),
    (MemoryQuery(source="nowhere"), ""),
    (MemoryQuery(pinned=True), "e"),
    (MemoryQuery(pinned=False), "fdca"),
    (MemoryQuery(pinned=False, superseded=True), "fdcba"),
    (MemoryQuery(pinned=True, superseded=True), "e"),
    (MemoryQuery(created_from_ms=START_MS + 2000, created_before_ms=START_MS + 5000), "edc"),
    (MemoryQuery(created_from_ms=START_MS + 2000, created_before_ms=START_MS + 5000, descending=False), "cde"),
    (MemoryQuery(created_before_ms=START_MS + 1000, order="updated"), "a"),
    (MemoryQuery(created_before_ms=0), ""),
    (MemoryQuery(created_from_ms=2**47 - 1), ""),
]


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=str)
def test_a_query_finds_what_it_says_in_order_on_pages_of_any_size(
    six: Memories, query: MemoryQuery, expected: str, limit: int
) -> None:
    got = list(pages(six, query, limit))
    assert "".join(memory.id for page in got for memory in page.items) == expected
    assert len(got) == max(1, -(-len(expected) // limit))


@pytest.mark.parametrize(
    "query",
    [
        MemoryQuery(order="title"),  # type: ignore[arg-type]
        MemoryQuery(source=""),
        MemoryQuery(source="x" * 201),
        MemoryQuery(pinned="yes"),  # type: ignore[arg-type]
        MemoryQuery(superseded=None),  # type: ignore[arg-type]
        MemoryQuery(tags_any=["a\x00b"]),
        MemoryQuery(text="\ud800"),
        MemoryQuery(source="\ud800"),
        None,
    ],
    ids=repr,
)
def test_a_bad_query_is_refused(six: Memories, query: MemoryQuery) -> None:
    with pytest.raises(InvalidQuery):
        six.find(query)


def test_a_watch_shows_what_was_pinned_and_superseded(tmp_path: Path) -> None:
    with open_memories(tmp_path) as memories:
        old = memories.store("old", id="old", pinned=True, wait=True).id
        with memories.watch(MemoryQuery(pinned=True)) as watch:
            shown = watch.read(WAIT_S)
            assert shown is not None
            assert [memory.id for memory in shown.value] == ["old"]
            memories.supersede(old, "new", id="new", wait=True)
            shown = watch.read(WAIT_S)
            assert shown is not None
            assert [memory.content for memory in shown.value] == ["new"]


# Random histories


class Command(NamedTuple):
    name: str
    id: str
    other: str
    argument: str


commands = st.builds(
    Command,
    st.sampled_from(("store", "store", "supersede", "supersede", "retag", "pin", "unpin", "forget")),
    *(st.sampled_from("abcd"), st.sampled_from("abcd"), st.sampled_from("xyz")),
)


class Model:
    """What should be so."""

    def __init__(self) -> None:
        self.memories: dict[str, dict[str, Any]] = {}
        self.count = 0

    def run(self, command: Command) -> Receipt | type[CortexError]:
        name, id_, other, _ = command
        memory = self.memories.get(id_)
        if name in ("store", "supersede") and (other if name == "supersede" else id_) in self.memories:
            return MemoryConflict
        if name != "store" and memory is None:
            return MemoryNotFound
        if name not in ("store", "forget") and memory is not None and memory["superseded_by"] is not None:
            return MemoryConflict
        self._do(command, memory)
        self.count += 1
        return Receipt(other if name == "supersede" else id_, self.count - 1)

    def _do(self, command: Command, memory: dict[str, Any] | None) -> None:
        name, id_, other, argument = command
        new = {"content": argument, "tags": (argument,), "pinned": False, "supersedes": None, "superseded_by": None}
        if name == "store":
            self.memories[id_] = {**new, "created": self.count}
            return
        assert memory is not None
        if name == "supersede":
            was = {"tags": memory["tags"], "pinned": memory["pinned"], "supersedes": id_}
            self.memories[other] = {**new, **was, "created": self.count}
            memory |= {"pinned": False, "superseded_by": other}
        elif name == "forget":
            del self.memories[id_]
        else:
            memory |= {"retag": {"tags": (argument,)}, "pin": {"pinned": True}, "unpin": {"pinned": False}}[name]


def run(memories: Memories, command: Command) -> Receipt | type[CortexError]:
    try:
        return call(memories, command)._replace(log_id=None)
    except (MemoryConflict, MemoryNotFound) as error:
        return type(error)


def call(memories: Memories, command: Command) -> Receipt:
    name, id_, other, argument = command
    match name:
        case "store":
            return memories.store(argument, tags=[argument], id=id_)
        case "supersede":
            return memories.supersede(id_, argument, id=other)
        case "retag":
            return memories.retag(id_, [argument])
        case _:
            receipt: Receipt = getattr(memories, name)(id_)
            return receipt


def check(memories: Memories, model: Model) -> None:
    settle(memories)
    everything = MemoryQuery(superseded=True, descending=False)
    by_creation = sorted(model.memories, key=lambda id_: model.memories[id_]["created"])
    assert found(memories, everything, 2) == by_creation
    for id_, expected in model.memories.items():
        memory = memories.get(id_)
        assert {name: getattr(memory, name) for name in expected if name != "created"} | {
            "created": expected["created"]
        } == expected
    live = [id_ for id_ in by_creation if model.memories[id_]["superseded_by"] is None]
    assert found(memories, MemoryQuery(), 1) == live[::-1]
    assert found(memories, MemoryQuery(pinned=True)) == [i for i in live[::-1] if model.memories[i]["pinned"]]
    for tag in "xyz":
        assert found(memories, MemoryQuery(tags_all=[tag])) == [
            i for i in live[::-1] if tag in model.memories[i]["tags"]
        ]
    assert sum(memories.counts().values()) == len(model.memories)


@settings(max_examples=50, deadline=None)
@given(st.lists(commands | st.just("reopen") | st.just("settle"), max_size=40))
def test_any_history_leaves_what_a_plain_dict_says(history: list[Command | str]) -> None:
    model, waiting = Model(), list(history)
    with TemporaryDirectory() as folder:
        while True:
            with open_memories(Path(folder)) as memories:
                while waiting and (step := waiting.pop(0)) != "reopen":
                    if isinstance(step, Command):
                        assert run(memories, step) == model.run(step), step
                    else:
                        check(memories, model)
                if not waiting:
                    check(memories, model)
                    live = memories.state.digest()
                    assert memories.state.rebuild(digest=True).digest_after == live
                    return
