"""Addresses and tokens are checked before anything is sent, and no secret is ever shown."""

import warnings

import pytest

from episteme import AsyncClient, Client
from episteme.client.address import address_of
from episteme.errors import EpistemeError, InvalidParameter, InvalidToken

TOKEN = "eps_abcdefgh_" + "a" * 52 + "_0123abcd"


@pytest.mark.parametrize(
    ("url", "loopback", "encrypted"),
    [
        ("http://127.0.0.1:18180", True, False),
        ("http://127.3.2.1", True, False),
        ("http://localhost:1/", True, False),
        ("http://[::1]:18180", True, False),
        ("https://localhost", True, True),
        ("http://localhost.example.org", False, False),
        ("http://1127.0.0.1", False, False),
        ("http://example.org/episteme/", False, False),
        ("HTTPS://example.org", False, True),
    ],
)
def test_address_says_whether_it_is_this_machine_and_encrypted(url: str, loopback: bool, encrypted: bool) -> None:
    address = address_of(url)
    assert (address.url, address.is_loopback, address.is_encrypted) == (url.rstrip("/"), loopback, encrypted)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:18180",
        "ftp://localhost",
        "http://",
        "http://:80",
        "http://localhost:99999",
        "http://localhost:x",
        "http://[::1",
        "http://localhost/?a=1",
        "http://localhost/#a",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    for make in (Client, AsyncClient):
        with pytest.raises(InvalidParameter):
            make(url)


def test_user_name_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(InvalidParameter, match="token") as caught:
        Client("http://me:secret@example.org")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "tökén", "x" * 513, f"{TOKEN}\n"])
def test_token_that_no_header_can_hold_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        Client("http://localhost", token=token)
    assert not token or token not in str(caught.value)


def test_token_that_would_go_to_another_machine_in_the_clear_is_warned_of() -> None:
    for make in (Client, AsyncClient):
        with pytest.warns(UserWarning, match="http://example.org unencrypted") as warned:
            make("http://example.org", token=TOKEN)
        assert len(warned) == 1
        assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for url in ("http://localhost", "https://example.org"):
            Client(url, token=TOKEN).close()
        Client("http://example.org").close()


def test_client_shows_its_address_and_not_its_token() -> None:
    with Client("https://example.org", token=TOKEN) as client:
        assert repr(client) == "Client('https://example.org')"
        assert TOKEN not in repr(vars(client))


@pytest.mark.parametrize("given", [{"timeout_s": 0}, {"read_timeout_s": -1}, {"connect_timeout_s": 0}, {"attempts": 0}])
def test_times_that_cannot_be_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(InvalidParameter):
        Client(**given)  # type: ignore[arg-type]


def test_environment_names_server_token_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EPISTEME_URL", "EPISTEME_TOKEN", "EPISTEME_KEY", "EPISTEME_KEY_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for make in (Client, AsyncClient):
        plain = make.from_env()
        assert (plain.url, plain.key) == ("http://127.0.0.1:18180", None)
    monkeypatch.setenv("EPISTEME_URL", "https://example.org/")
    monkeypatch.setenv("EPISTEME_KEY", "00" * 32)
    for make in (Client, AsyncClient):
        named = make.from_env(verify=True)
        assert (named.url, named.verify) == ("https://example.org", True)
        assert named.key is not None
        assert named.key.seed == bytes(32)
    monkeypatch.setenv("EPISTEME_TOKEN", "not a token")
    with pytest.raises(EpistemeError):
        Client.from_env()
