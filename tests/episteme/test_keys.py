"""Key files: private, never replaced, never shown, and no name leads anywhere but to its own file."""

import stat
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme import Key
from episteme.errors import KeyProblem
from episteme.keys import HEADER, key_folder, key_names, key_path, list_keys, quoted_part

FOLDER = Path("/keys")
ODD_NAMES = [
    "..",
    ".",
    "...",
    ".hidden",
    "a/../b",
    "../../etc/passwd",
    "a\0b",
    "a\nb",
    "a\\b",
    "a b",
    "Zürich",
    "東京",
    "x" * 300,
    "東" * 100,
    "%",
    "%00",
    "a.key",
    "-rf",
    "~",
    "con:",
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_saved_key_is_loaded_again(tmp_path: Path) -> None:
    key = Key.generate()
    path = key.save("mine", tmp_path)
    loaded = Key.load("mine", tmp_path)
    assert (loaded.agent, loaded.seed) == (key.agent, key.seed)
    assert path.read_text() == f"{HEADER}\nagent {key.agent_hex}\nseed {key.seed.hex()}\n"


def test_file_and_every_folder_made_for_it_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = Key.generate().save("source/one", tmp_path / "keys")
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert mode(tmp_path / "keys") == 0o700


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o610, 0o644, 0o777])
def test_key_that_others_can_read_is_refused(tmp_path: Path, bits: int) -> None:
    path = Key.generate().save("mine", tmp_path)
    path.chmod(bits)
    with pytest.raises(KeyProblem, match=f"{bits:04o}.*0600"):
        Key.load("mine", tmp_path)


def test_key_is_never_replaced(tmp_path: Path) -> None:
    first = Key.generate()
    first.save("mine", tmp_path)
    with pytest.raises(KeyProblem, match="exists already"):
        Key.generate().save("mine", tmp_path)
    assert Key.load("mine", tmp_path).agent == first.agent


def test_missing_key_is_told_with_its_name_and_place(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="nobody"):
        Key.load("nobody", tmp_path)


def test_key_is_made_once_and_then_loaded(tmp_path: Path) -> None:
    key, made = Key.load_or_create("mine", tmp_path)
    again, made_again = Key.load_or_create("mine", tmp_path)
    assert (made, made_again) == (True, False)
    assert again.agent == key.agent


def test_no_text_form_shows_the_secret() -> None:
    key = Key.generate()
    for text in (repr(key), str(key), f"{key}", repr([key]), repr({"key": key})):
        assert key.seed.hex() not in text
        assert repr(key.seed)[2:-1] not in text
        assert key.agent_hex in text


def damaged(text: str) -> list[str]:
    header, agent, seed, _ = text.split("\n")
    other = Key.generate()
    return [
        "",
        "\n\n\n",
        text[: len(text) // 2],
        f"{header}\n{agent}\n",
        f"{header}\n{agent}\n{seed}\nmore\n",
        f"episteme-key-2\n{agent}\n{seed}\n",
        f"{header}\n{seed}\n{agent}\n",
        f"{header}\nagent {other.agent_hex}\n{seed}\n",
        f"{header}\n{agent}\nseed {other.seed.hex()}\n",
        f"{header}\n{agent}\n{seed[:-2]}\n",
        f"{header}\n{agent}\n{seed}00\n",
        f"{header}\n{agent}\nseed {'g' * 64}\n",
    ]


@pytest.mark.parametrize("case", range(12))
def test_damaged_key_file_is_refused_without_showing_it(tmp_path: Path, case: int) -> None:
    key = Key.generate()
    path = key.save("mine", tmp_path)
    path.write_text(damaged(path.read_text())[case])
    with pytest.raises(KeyProblem) as caught:
        Key.load("mine", tmp_path)
    assert str(path) in str(caught.value)
    assert key.seed.hex()[:16] not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_file_that_is_not_text_and_folder_in_its_place_are_refused(tmp_path: Path) -> None:
    path = Key.generate().save("mine", tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeyProblem):
        Key.load("mine", tmp_path)
    key_path("folder", tmp_path).mkdir(mode=0o700)
    with pytest.raises(KeyProblem):
        Key.load("folder", tmp_path)


@pytest.mark.parametrize("name", ["", "/", "a/", "/a", "a//b", "//"])
def test_name_with_an_empty_part_is_no_name(name: str) -> None:
    with pytest.raises(KeyProblem):
        key_path(name, FOLDER)


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_name_stays_in_the_folder_and_can_be_used(tmp_path: Path, name: str) -> None:
    path = key_path(name, tmp_path)
    assert tmp_path.resolve() in path.resolve().parents
    assert ".." not in path.relative_to(tmp_path).parts
    assert path.name.endswith(".key")
    assert not path.name.startswith(".")
    assert len(path.name.encode()) <= 255
    key = Key.generate()
    key.save(name, tmp_path)
    assert Key.load(name, tmp_path).agent == key.agent
    assert key_names(tmp_path) == [path]


def test_odd_names_have_files_of_their_own() -> None:
    names = [*ODD_NAMES, "x" * 301, "東" * 101, "a", "A", "b", "a/b", "a%2Fb", "%2E.", "a%0Ab", "a%00b", "Z%C3%BCrich"]
    for one, other in combinations(names, 2):
        assert key_path(one, FOLDER) != key_path(other, FOLDER), (one, other)


part = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("%./ 0AE2F"), min_size=1, max_size=8)


@given(part, part)
def test_no_two_names_share_a_file(one: str, other: str) -> None:
    names = [name for name in (one, other) if all(name.split("/"))]
    assert len({key_path(name, FOLDER) for name in names}) == len(set(names))


@given(st.text(max_size=8), st.text(max_size=8))
def test_quoted_parts_are_one_part_and_no_two_are_the_same(one: str, other: str) -> None:
    quoted = [quoted_part(text.encode(errors="replace").decode()) for text in (one, other)]
    assert all(quoted)
    assert not any("/" in text for text in quoted)
    if one.encode(errors="replace") != other.encode(errors="replace"):
        assert key_path(f"source/{quoted[0]}", FOLDER) != key_path(f"source/{quoted[1]}", FOLDER)


def test_name_that_is_no_text_is_a_key_problem() -> None:
    with pytest.raises(KeyProblem):
        key_path("\udcff", FOLDER)


def test_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert key_folder() == tmp_path / "episteme" / "keys"
    assert Key.generate().save() == tmp_path / "episteme" / "keys" / "default.key"
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert key_folder() == tmp_path / "home" / ".config" / "episteme" / "keys"


def test_folder_that_cannot_be_written_is_a_key_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyProblem, match="cannot be written"):
        Key.generate().save("mine", tmp_path / "file")


# Other forms in files, and the surroundings


def test_file_in_any_form_is_read(tmp_path: Path) -> None:
    key = Key.generate()
    for number, text in enumerate((key.to_openssh("c"), key.to_pkcs8(), key.to_hex() + "\n")):
        path = tmp_path / str(number)
        path.write_text(text)
        path.chmod(0o600)
        assert Key.read(path).agent == key.agent
        path.chmod(0o644)
        with pytest.raises(KeyProblem, match="others can read it"):
            Key.read(path)


def test_list_names_every_key_and_says_which_cannot_be_used(tmp_path: Path) -> None:
    assert list_keys(tmp_path / "none") == []
    key = Key.generate()
    key.save("Zürich/ä b", tmp_path)
    Key.generate().save("open", tmp_path).chmod(0o644)
    (tmp_path / "broken.key").touch(0o600)
    by_name = {entry.name: entry for entry in list_keys(tmp_path)}
    assert len(by_name) == 3
    entry = by_name["Zürich/ä b"]
    assert (entry.agent, entry.did, entry.problem) == (key.agent_hex, key.did, None)
    assert Key.load(entry.name, tmp_path).agent == key.agent
    assert "0644" in (by_name["open"].problem or "")
    assert by_name["broken"].agent is None


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that gives no key."""
    for name in ("EPISTEME_KEY", "EPISTEME_KEY_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_environment_gives_the_first_key_that_it_names(no_key: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seed, file, credential = (Key.generate() for _ in range(3))
    assert Key.from_env() is None
    no_key.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert Key.from_env() is None  # a service with other credentials
    (tmp_path / "episteme-key").write_text(credential.to_hex())
    (tmp_path / "episteme-key").chmod(0o440)  # as systemd sets it where the service is let in by an access list
    assert expect_key(Key.from_env()).agent == credential.agent
    no_key.setenv("EPISTEME_KEY_FILE", str(file.save("mine", tmp_path)))
    assert expect_key(Key.from_env()).agent == file.agent
    no_key.setenv("EPISTEME_KEY", seed.to_hex())
    assert expect_key(Key.from_env()).agent == seed.agent


def expect_key(key: Key | None) -> Key:
    assert key is not None
    return key


def test_key_that_the_environment_names_and_cannot_be_used_is_not_passed_over(
    no_key: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = Key.generate()
    no_key.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "episteme-key").write_text("no key")
    with pytest.raises(KeyProblem, match="episteme-key"):
        Key.from_env()
    no_key.setenv("EPISTEME_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(KeyProblem, match="missing"):
        Key.from_env()
    no_key.setenv("EPISTEME_KEY", key.to_hex()[:-1])
    with pytest.raises(KeyProblem, match="EPISTEME_KEY") as caught:
        Key.from_env()
    assert key.to_hex()[:16] not in f"{caught.value!r} {caught.value.__cause__!r}"
