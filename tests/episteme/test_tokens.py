"""API tokens: made once, kept as hashes, refused in every way that is not exactly right, seen by all processes."""

import hmac
import json
import os
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme import tokens
from episteme.errors import InvalidParameter, InvalidToken, KeyProblem, NotFound
from episteme.tokens import TOKENS_FILE, TOKENS_MAX, NewToken, TokenStore
from tests.support.clocks import Clock
from tests.support.events import KEY_A, NOW_MS

DAY_S = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> TokenStore:
    return store_in(tmp_path, clock)


def store_in(folder: Path, clock: Callable[[], int] = lambda: NOW_MS) -> TokenStore:
    return TokenStore(folder / TOKENS_FILE, clock_ms=clock, random_bytes=os.urandom)


def file_of(folder: Path) -> Path:
    return folder / TOKENS_FILE


def test_token_says_whose_it_is_and_what_it_is_for(store: TokenStore) -> None:
    made = store.create("grafana", ["write", "read"], agent=KEY_A.agent)
    assert re.fullmatch(r"eps_[a-z2-7]{8}_[a-z2-7]{52}_[0-9a-f]{8}", made.token)
    identity = store.verify(made.token)
    assert (identity.id, identity.label, identity.agent) == (made.record.id, "grafana", KEY_A.agent)
    assert [scope for scope in ("read", "write", "admin") if identity.allows(scope)] == ["read", "write"]
    assert made.record.scopes == ("read", "write")


def test_admin_allows_all(store: TokenStore) -> None:
    identity = store.verify(store.create("ops", ["admin"]).token)
    assert all(identity.allows(scope) for scope in ("read", "write", "admin"))


def test_file_has_no_token_and_no_secret_and_is_for_its_owner_alone(tmp_path: Path, store: TokenStore) -> None:
    made = store.create("grafana", ["read"])
    text = file_of(tmp_path).read_text()
    _, token_id, secret, _ = made.token.split("_")
    assert token_id in text
    assert secret not in text
    for path in (*file_of(tmp_path).parent.iterdir(), file_of(tmp_path).parent):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert str(store.list()).count(secret) == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_file_that_others_can_read_or_write_is_refused_and_nobody_gets_in(
    tmp_path: Path, store: TokenStore, mode: int
) -> None:
    token = store.create("grafana", ["read"]).token
    store.verify(token)
    file_of(tmp_path).chmod(mode)
    for act in (lambda: store.verify(token), store.list, store.has_active, lambda: store.create("more", ["read"])):
        with pytest.raises(KeyProblem, match=f"mode {mode:04o}"):
            act()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "episteme-tokens-2", "tokens": []}', "x" * 5_000_000])
def test_file_that_is_not_one_of_tokens_is_refused(tmp_path: Path, store: TokenStore, text: str) -> None:
    token = store.create("grafana", ["read"]).token
    file_of(tmp_path).write_text(text)
    with pytest.raises(KeyProblem):
        store.verify(token)
    with pytest.raises(KeyProblem):
        store.create("another", ["read"])
    assert file_of(tmp_path).read_text() == text


@given(st.data())
def test_token_that_is_changed_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store, made = known(tmp_path_factory)
    position = data.draw(st.integers(0, len(made.token) - 1))
    character = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567890_- \nA"))
    changed = made.token[:position] + character + made.token[position + 1 :]
    if changed == made.token:
        return
    with pytest.raises(InvalidToken):
        store.verify(changed)


@given(st.text(max_size=120))
def test_no_text_but_a_token_gets_in(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    store, _ = known(tmp_path_factory)
    with pytest.raises(InvalidToken) as caught:
        store.verify(text)
    assert text not in caught.value.detail or len(text) < 4


_known: dict[str, tuple[TokenStore, NewToken]] = {}


def known(folders: pytest.TempPathFactory) -> tuple[TokenStore, NewToken]:
    """A store with one token, made once for all examples."""
    if not _known:
        store = store_in(folders.mktemp("tokens"))
        _known["one"] = (store, store.create("one", ["read"]))
    return _known["one"]


def with_check(token_id: str, secret: str) -> str:
    start = f"eps_{token_id}_{secret}"
    return f"{start}_{tokens._check_of(start)}"


def test_whole_token_with_another_secret_or_another_id_is_refused_alike(store: TokenStore) -> None:
    made = store.create("one", ["read"])
    other = store.create("two", ["admin"])
    _, token_id, secret, _ = made.token.split("_")
    details = set()
    for forged in (with_check(token_id, "a" * 52), with_check("a" * 8, secret), with_check(other.record.id, secret)):
        with pytest.raises(InvalidToken) as caught:
            store.verify(forged)
        details.add(caught.value.detail)
    assert len(details) == 1


def test_secrets_are_compared_in_constant_time_also_where_there_is_no_such_id(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.create("one", ["read"])
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(tokens.hmac, "compare_digest", watched)
    lengths = []
    for token in (made.token, with_check("a" * 8, "a" * 52), with_check(made.record.id, "a" * 52)):
        compared.clear()
        try:
            store.verify(token)
        except InvalidToken:
            assert token != made.token
        lengths.append([len(one) for one, _ in compared])
    assert lengths == [[8, 32]] * 3


def test_revoked_token_ends_at_once_and_once_more_does_nothing(store: TokenStore, clock: Clock) -> None:
    made, other = store.create("one", ["read"]), store.create("two", ["read"])
    store.verify(made.token)
    revoked = store.revoke(made.record.id)
    clock.now_ms += 1000
    assert store.revoke(made.record.id) == revoked
    with pytest.raises(InvalidToken, match="is revoked"):
        store.verify(made.token)
    assert store.verify(other.token).label == "two"
    assert [record.status for record in store.list()] == ["revoked", "active"]
    with pytest.raises(NotFound):
        store.revoke("nobody")


def test_token_ends_when_its_time_is_over(store: TokenStore, clock: Clock) -> None:
    made = store.create("one", ["read"], expires_s=DAY_S)
    clock.now_ms += DAY_S * 1000 - 1
    store.verify(made.token)
    clock.now_ms += 1
    with pytest.raises(InvalidToken, match="is expired"):
        store.verify(made.token)
    assert not store.has_active()


def test_another_process_is_noticed_whatever_it_changes(tmp_path: Path, store: TokenStore) -> None:
    other = store_in(tmp_path)
    token = other.create("made elsewhere", ["read"]).token
    assert store.verify(token).label == "made elsewhere"
    other.revoke(other.list()[0].id)
    with pytest.raises(InvalidToken):
        store.verify(token)
    later = other.create("later", ["read"]).token
    store.verify(later)
    file_of(tmp_path).unlink()
    with pytest.raises(InvalidToken):
        store.verify(later)


def test_file_is_read_again_only_when_it_has_changed(
    tmp_path: Path, store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = store.create("one", ["read"]).token
    reads: list[Path] = []
    real = tokens.read_private
    monkeypatch.setattr(tokens, "read_private", lambda path, **more: reads.append(path) or real(path, **more))
    for _ in range(10):
        store.verify(token)
    assert len(reads) == 1


def test_two_who_make_tokens_at_once_lose_none(tmp_path: Path) -> None:
    def make(number: int) -> str:
        return store_in(tmp_path).create(f"token {number}", ["read"]).token

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(40)))
    store = store_in(tmp_path)
    assert sorted(store.verify(token).label for token in made) == sorted(f"token {number}" for number in range(40))


def test_crash_between_the_new_file_and_its_name_leaves_the_old_tokens_and_no_one_in_the_way(
    tmp_path: Path, store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = store.create("one", ["read"]).token

    def fails(*_: object) -> Path:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fails)
        with pytest.raises(KeyProblem, match="cannot be written"):
            store.create("two", ["read"])
    assert [record.label for record in store.list()] == ["one"]
    store.verify(token)
    store.create("three", ["read"])
    assert [record.label for record in store.list()] == ["one", "three"]


def test_count_is_bounded_and_those_that_ended_make_room(tmp_path: Path) -> None:
    numbers = count()
    store = TokenStore(
        file_of(tmp_path),
        clock_ms=lambda: NOW_MS,
        random_bytes=lambda size: next(numbers).to_bytes(size, "big"),
    )
    first = store.create("first", ["read"])
    kept = json.loads(file_of(tmp_path).read_text())
    full = [
        {**kept["tokens"][0], "id": f"{tokens._text(bytes([1, number >> 8, number & 255, 0, 0]))}"}
        for number in range(999)
    ]
    file_of(tmp_path).write_text(json.dumps({**kept, "tokens": [*kept["tokens"], *full]}))
    assert len(store.list()) == TOKENS_MAX
    with pytest.raises(InvalidParameter, match="revoke some"):
        store.create("one too many", ["read"])
    store.revoke(first.record.id)
    store.create("in its place", ["read"])
    assert len(store.list()) == TOKENS_MAX
    assert first.record.id not in {record.id for record in store.list()}


@pytest.mark.parametrize(
    ("label", "scopes", "agent", "expires_s"),
    [
        ("", ["read"], None, None),
        ("x" * 81, ["read"], None, None),
        ("line\nbreak", ["read"], None, None),
        ("\x1b[31m", ["read"], None, None),
        ("one", [], None, None),
        ("one", ["root"], None, None),
        ("one", ["read"], b"short", None),
        ("one", ["read"], None, 0),
        ("one", ["read"], None, 10**12),
    ],
)
def test_token_that_makes_no_sense_is_not_made(
    tmp_path: Path, store: TokenStore, label: str, scopes: list[Any], agent: bytes | None, expires_s: int | None
) -> None:
    with pytest.raises(InvalidParameter):
        store.create(label, scopes, agent=agent, expires_s=expires_s)
    assert not file_of(tmp_path).exists()


def test_folder_without_tokens_has_none_and_is_left_alone(tmp_path: Path, store: TokenStore) -> None:
    assert store.list() == []
    assert not store.has_active()
    with pytest.raises(InvalidToken):
        store.verify(with_check("a" * 8, "a" * 52))
    assert list(tmp_path.iterdir()) == []
