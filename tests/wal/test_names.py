"""Names and their folders: one for one, never one inside another, on any file system."""

import re
import unicodedata
from itertools import combinations, permutations
from pathlib import Path, PurePath, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wal.errors import BadLogName
from wal.names import (
    COMPONENT_CHARS_MAX,
    COMPONENTS_MAX,
    NAME_BYTES_MAX,
    deleted_component,
    folder_of,
    is_deleted,
    name_of,
)

# Pairs that some file system, shell or careless escaping would take for one, or one for the other's inside.
TRICKY = [
    "tasks",
    "Tasks",
    "TASKS",
    "tasks.",
    "tasks ",
    " tasks",
    "tasks/",
    "/tasks",
    "tasks/a",
    "tasks//a",
    "tasks/../tasks",
    "tasks.log",
    "tasks.log/a",
    "tasks.log.deleted-0",
    "tasks+",
    "tasks%",
    "tasks%2F",
    "tasks%2Fa",
    "tasks\\a",
    "tasks\0",
    "tasks\n",
    ".",
    "..",
    "../..",
    "/",
    "~",
    "LOCK",
    "lock",
    "con",
    "nul.txt",
    "00000000000000000000.redex",
    ".log",
    ".deleted-0",
    "%",
    "+",
    "é",
    unicodedata.normalize("NFD", "é"),
    "ſ",  # folds to s
    "ß",
    "SS",
    "K",  # the Kelvin sign, which folds and normalises to k
    "k",
    "İ",
    "\u200b",
    "\U0001f600",
    "\ufffd",
    "a" * 200,
    "a" * 201,
    "a" * 255,
    "a" * 197 + "//",
    "a" * 198 + "/",
    "a" * 199 + "/",
    "a" * 200 + "/",
    "a" * 200 + "/b",
    "A" * 255,
    "A" * 66 + "b",
    "é" * 127,
]

NAMES = st.one_of(st.text(min_size=1), st.text("aA/.%+é", min_size=1, max_size=255), st.sampled_from(TRICKY)).filter(
    lambda name: len(name.encode()) <= NAME_BYTES_MAX
)
COMPONENTS = st.one_of(st.text(), st.from_regex(r"([a-z]|%[0-9A-Fa-f]{2}|\.){0,3}(\.log|\+)?", fullmatch=True))


@given(NAMES)
def test_name_comes_back_from_its_folder(name: str) -> None:
    assert name_of(folder_of(name)) == name
    assert name_of(PurePosixPath(str(folder_of(name)))) == name


@pytest.mark.parametrize("name", TRICKY, ids=ascii)
def test_tricky_name_comes_back_from_its_folder(name: str) -> None:
    assert name_of(folder_of(name)) == name


@given(NAMES)
def test_components_are_short_plain_and_few(name: str) -> None:
    parts = folder_of(name).parts
    assert len(parts) <= COMPONENTS_MAX
    for part in parts:
        assert len(part.removesuffix("+").removesuffix(".log")) <= COMPONENT_CHARS_MAX
        assert len(deleted_component(part, []).encode()) <= 255
        assert re.fullmatch(r"([a-z0-9_-]|%[0-9A-F]{2})*(\.log|\+)", part), "no escape is cut"
    assert all(part.endswith("+") for part in parts[:-1])
    assert parts[-1].endswith(".log")


@given(NAMES, NAMES)
@example("a" * 200, "a" * 201)
def test_no_folder_equals_or_holds_another_even_where_case_is_folded(name: str, other: str) -> None:
    if name == other:
        return
    folder, second = (
        PurePosixPath(unicodedata.normalize("NFKC", str(folder_of(each))).lower()) for each in (name, other)
    )
    assert folder != second
    assert not folder.is_relative_to(second)
    assert not second.is_relative_to(folder)


@given(NAMES, st.data())
def test_prefix_of_a_name_has_a_folder_of_its_own(name: str, data: st.DataObject) -> None:
    prefix = name[: data.draw(st.integers(1, len(name)))]
    assert (folder_of(prefix) == folder_of(name)) == (prefix == name)
    assert prefix == name or folder_of(prefix) not in folder_of(name).parents


@given(st.lists(COMPONENTS, max_size=COMPONENTS_MAX + 1).map(lambda parts: PurePosixPath(*parts)))
def test_path_has_a_name_only_if_that_names_folder_is_the_path(path: PurePath) -> None:
    name = name_of(path)
    assert name is None or folder_of(name) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".log",
        "/tasks.log",
        "./../tasks.log",
        "tasks",
        "tasks.LOG",
        "Tasks.log",
        "tasks.log.log",
        "tasks.log/LOCK",
        "tasks.log/a.log",
        "tasks+/a.log",  # short enough for one component
        "tasks+",
        "%74asks.log",  # a plain letter
        "%c3%a9.log",  # lower-case hex
        "%C3.log",  # half of a character
        "%.log",
        "%G0.log",
        "é.log",
        "\udcff.log",  # a name on disk that is not UTF-8
        "a" * 201 + ".log",
        "a" * 199 + "+/aa.log",
        "a" * 200 + "+/.log",
        "/".join(["a" * 200 + "+"] * 2) + "/a.log",
    ],
    ids=ascii,
)
def test_foreign_path_has_no_name(path: str) -> None:
    assert name_of(PurePosixPath(path)) is None


def test_folders_are_spelled_as_documented() -> None:
    assert str(folder_of("tasks_2-b")) == "tasks_2-b.log"
    assert str(folder_of("cortex/tasks")) == "cortex%2Ftasks.log"
    assert str(folder_of("LOCK")) == "%4C%4F%43%4B.log"
    assert str(folder_of("é")) == "%C3%A9.log"
    assert str(folder_of("a" * 199 + "/b")) == "a" * 199 + "+/%2Fb.log"
    assert str(folder_of("a" * 198 + "/b")) == "a" * 198 + "+/%2Fb.log"
    assert str(folder_of("a" * 197 + "/b")) == "a" * 197 + "%2F+/b.log"
    assert len(folder_of("/" * NAME_BYTES_MAX).parts) == COMPONENTS_MAX


@pytest.mark.parametrize("name", ["a" * NAME_BYTES_MAX, "é" * 127 + "a", "\0", "."], ids=ascii)
def test_name_of_up_to_255_bytes_is_taken(name: str) -> None:
    assert name_of(folder_of(name)) == name


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "empty.*at least"),
        ("a" * 256, "256 bytes.*255 at most"),
        ("é" * 128, "256 bytes.*255 at most"),
        ("ok \ud800", r"U\+D800 at 3.*whole characters"),
        ("\udcff", r"U\+DCFF at 0"),
    ],
    ids=ascii,
)
def test_bad_name_is_refused_with_what_to_do(name: str, complaint: str) -> None:
    with pytest.raises(BadLogName, match=complaint) as caught:
        folder_of(name)
    str(caught.value).encode()  # can be printed


@given(st.text(), st.characters(categories=["Cs"]), st.text())
def test_surrogates_are_refused(before: str, surrogate: str, after: str) -> None:
    with pytest.raises(BadLogName):
        folder_of(before + surrogate + after)


@given(NAMES, st.sets(st.integers(0, 5)))
def test_deleted_log_takes_a_name_that_is_free_and_no_logs(name: str, numbers: set[int]) -> None:
    folder = folder_of(name)
    taken = {f"{folder.name}.deleted-{number}" for number in numbers}
    component = deleted_component(folder.name, taken)
    assert component not in taken
    assert is_deleted(folder.with_name(component))
    assert name_of(folder.with_name(component)) is None
    assert not is_deleted(folder)


@pytest.mark.parametrize(
    "path",
    ["", ".deleted-0", "..deleted-0", "tasks.deleted-0", "Tasks.log.deleted-0", "a+/tasks.log.deleted-0"]
    + [f"tasks.log.deleted-{rest}" for rest in ("", "x", "\u0661", "0.log", "0/LOCK")],
    ids=ascii,
)
def test_foreign_path_is_not_taken_for_a_deleted_log(path: str) -> None:
    assert not is_deleted(PurePosixPath(path))


def test_tricky_names_have_folders_of_their_own_on_this_disk(tmp_path: Path) -> None:
    folders = {name: tmp_path / folder_of(name) for name in TRICKY}
    for name, folder in folders.items():
        folder.mkdir(parents=True)  # fails if it is there already
        (folder / "name").write_bytes(name.encode())
    for name, folder in folders.items():
        assert [path.name for path in folder.iterdir()] == ["name"]
        assert (folder / "name").read_bytes() == name.encode()
    assert not any(folder.is_relative_to(other) for folder, other in permutations(folders.values(), 2))
    assert all(folder.stat().st_ino != other.stat().st_ino for folder, other in combinations(folders.values(), 2))
