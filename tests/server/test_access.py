"""Who may ask: every endpoint against every scope, hosts that are not ours, tokens that are not good."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from episteme.config import ServerConfig
from episteme.errors import CannotOpen, KeyProblem
from episteme.node import Node
from episteme.server.access import check_address, host_checker, host_name, token_store, tokens_required
from episteme.server.endpoints import Endpoint
from episteme.tokens import TOKEN_SCOPES, TOKENS_FILE
from tests.support.asgi import Edged, edged
from tests.support.envelopes import claim
from tests.support.events import HASH_1, KEY_A
from tests.support.http import Reply
from tests.support.nodes import node_on

PUBLIC = "192.0.2.1"
STRANGER = ""


class Guarded:
    """A node on an address that others reach, with a token of each scope."""

    def __init__(self, node: Node, folder: Path, served: Edged) -> None:
        self.node = node
        self.served = served
        self.tokens = token_store(folder)
        made = {scope: self.tokens.create(scope, [scope]).token for scope in TOKEN_SCOPES}
        self.headers = {STRANGER: {}, **{scope: {"Authorization": f"Bearer {made[scope]}"} for scope in TOKEN_SCOPES}}

    def ask(self, endpoint: Endpoint, who: str, body: bytes = b"") -> Reply:
        path = endpoint.path
        for name, value in {
            "{hash}": HASH_1, "{subject}": "s", "{agent}": KEY_A.agent_hex, "{id}": "0", "{source}": HASH_1,
        }.items():  # fmt: skip
            path = path.replace(name, value)
        path = path.replace("{epoch}", "e").replace("{pack}", "p")
        return self.served(str(endpoint.method), path, body, self.headers[who])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with node_on(folder) as node, edged(node, address=PUBLIC) as served:
        yield Guarded(node, folder, served)


def allowed(needed: str, who: str) -> bool:
    return needed == "open" or who in ("admin", needed)


def test_every_endpoint_asks_for_exactly_its_scope(guarded: Guarded) -> None:
    """Before a byte of the body is looked at: none of these bodies would do."""
    endpoints = [endpoint for endpoint in guarded.served.application.endpoints if endpoint.path != "/v1/log/tail"]
    assert {endpoint.scope for endpoint in endpoints} == {"open", "read", "write", "admin"}
    wrong = []
    for endpoint in endpoints:
        for who in (STRANGER, *TOKEN_SCOPES):
            if allowed(endpoint.scope, who) and endpoint.scope == "admin":
                continue  # which would do what it says
            reply = guarded.ask(endpoint, who)
            expected = {401} if who == STRANGER else {403}
            passed = reply.status not in (401, 403)
            if passed != allowed(endpoint.scope, who) or (not passed and reply.status not in expected):
                wrong.append((str(endpoint.method), endpoint.path, who, reply.status))
    assert wrong == []


def test_every_endpoint_for_admins_asks_for_a_token_on_the_loopback_address_too(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        endpoints = [endpoint for endpoint in served.application.endpoints if endpoint.path.startswith("/v1/admin")]
        assert endpoints
        for endpoint in endpoints:
            assert endpoint.scope == "admin"
            reply = served(str(endpoint.method), endpoint.path)
            assert (reply.status, reply.json()["code"]) == (401, "token-required")
        others = [endpoint for endpoint in served.application.endpoints if not endpoint.path.startswith("/v1/admin")]
        assert not [endpoint.path for endpoint in others if endpoint.scope == "admin"]
        assert served("GET", "/v1/status").status == 200
        assert served("POST", "/v1/assertions", claim("on loopback")).status == 202


def test_open_endpoints_are_those_that_health_checks_and_people_need_before_they_have_a_token(
    guarded: Guarded,
) -> None:
    opened = {one.path for one in guarded.served.application.endpoints if one.scope == "open"}
    assert {"/livez", "/readyz"} <= opened
    assert not [path for path in opened if path.startswith("/v1/")]


@pytest.mark.parametrize(
    ("who", "status", "challenge"),
    [
        (STRANGER, 401, 'Bearer realm="episteme"'),
        ("read", 403, 'Bearer realm="episteme", error="insufficient_scope"'),
    ],
)
def test_refusal_says_what_is_missing_as_rfc_6750_does(guarded: Guarded, who: str, status: int, challenge: str) -> None:
    reply = guarded.served("POST", "/v1/assertions", claim("refused"), guarded.headers[who])
    assert (reply.status, reply.headers["www-authenticate"]) == (status, challenge)
    assert "write" in reply.json()["detail"]
    assert reply.json()["hint"]
    assert guarded.node.end_seq == -1


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer eps_",
        "Basic dXNlcjpwYXNz",
        "bearer",
        "eps_aaaaaaaa_" + "a" * 52 + "_00000000",
        "Bearer " + "x" * 10_000,
        "Bearer \xff\xfe",
    ],
)
@pytest.mark.parametrize("path", ["/v1/status", "/livez", "/v1/nowhere"])
def test_token_that_is_sent_is_checked_wherever_it_is_sent(tmp_path: Path, value: str, path: str) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        reply = served("GET", path, headers={"Authorization": value})
        assert (reply.status, reply.json()["code"]) == (401, "invalid-token")
        assert reply.headers["www-authenticate"] == 'Bearer realm="episteme", error="invalid_token"'
        assert value.encode("latin-1")[8:] not in reply.body or len(value) <= 8


def test_scheme_is_read_in_any_case_as_http_has_it(guarded: Guarded) -> None:
    token = guarded.headers["read"]["Authorization"].removeprefix("Bearer ")
    for scheme in ("bearer", "BEARER", "Bearer"):
        assert guarded.served("GET", "/v1/status", headers={"Authorization": f"{scheme} {token}"}).status == 200


def test_token_shows_neither_in_an_answer_nor_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with node_on(tmp_path) as node, edged(node) as served:
        made = token_store(tmp_path).create("one", ["admin"])
        secret = made.token.split("_")[2]
        wrong = f"{made.token[:-9]}x{made.token[-8:]}"
        told = [
            served("GET", "/v1/status", headers={"Authorization": f"Bearer {made.token}"}),
            served("GET", "/v1/admin/tokens", headers={"Authorization": f"Bearer {made.token}"}),
            served("GET", "/v1/status", headers={"Authorization": f"Bearer {wrong}"}),
            served("GET", "/v1/nowhere", headers={"Authorization": f"Bearer {made.token}"}),
        ]
        token_store(tmp_path).revoke(made.record.id)
        told.append(served("GET", "/v1/status", headers={"Authorization": f"Bearer {made.token}"}))
        assert [reply.status for reply in told] == [200, 200, 401, 404, 401]
        said = (
            "".join(f"{reply.headers}{reply.body!r}" for reply in told)
            + caplog.text
            + served("GET", "/metrics").body.decode()
        )
        assert secret not in said
        assert made.record.id in caplog.text


def test_file_of_tokens_that_cannot_be_used_lets_nobody_in_and_tells_strangers_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with node_on(tmp_path) as node, edged(node, address=PUBLIC) as served:
        token = token_store(tmp_path).create("one", ["read"]).token
        (tmp_path / TOKENS_FILE).chmod(0o644)
        reply = served("GET", "/v1/status", headers={"Authorization": f"Bearer {token}"})
        assert (reply.status, reply.json()["code"]) == (401, "invalid-token")
        assert str(tmp_path) not in reply.body.decode()
        assert "mode 0644" in caplog.text


@pytest.mark.parametrize(
    ("config", "address", "required"),
    [
        (ServerConfig(), "127.0.0.1", False),
        (ServerConfig(), "::1", False),
        (ServerConfig(), PUBLIC, True),
        (ServerConfig(), "0.0.0.0", True),
        (ServerConfig(), "fe80::1%eth0", True),
        (ServerConfig(public=True), PUBLIC, False),
        (ServerConfig(public=True, tokens_required=True), PUBLIC, True),
        (ServerConfig(tokens_required=True), "127.0.0.1", True),
        (ServerConfig(tokens_required=False), PUBLIC, False),
    ],
)
def test_tokens_are_asked_for_where_strangers_come(config: ServerConfig, address: str, required: bool) -> None:
    assert tokens_required(config, address) is required


# The address


def test_address_that_others_reach_is_refused_while_nobody_would_be_asked_for_a_token(tmp_path: Path) -> None:
    check_address("127.0.0.1", tmp_path, ServerConfig())
    check_address(PUBLIC, tmp_path, ServerConfig(public=True))
    with pytest.raises(CannotOpen, match="episteme token create") as caught:
        check_address(PUBLIC, tmp_path, ServerConfig())
    assert "--public" in caught.value.detail
    assert f"episteme token create ops --data {tmp_path}" in caught.value.detail, "a command that can be typed"
    assert "Stop the process" not in caught.value.hint
    made = token_store(tmp_path).create("one", ["read"])
    check_address(PUBLIC, tmp_path, ServerConfig())
    check_address("::", tmp_path, ServerConfig())
    with pytest.raises(CannotOpen, match="tokens_required is off"):
        check_address(PUBLIC, tmp_path, ServerConfig(tokens_required=False))
    token_store(tmp_path).revoke(made.record.id)
    with pytest.raises(CannotOpen):
        check_address(PUBLIC, tmp_path, ServerConfig())


def test_tokens_that_others_can_read_stop_the_start_whatever_the_address(tmp_path: Path) -> None:
    token_store(tmp_path).create("one", ["read"])
    (tmp_path / TOKENS_FILE).chmod(0o604)
    with pytest.raises(KeyProblem):
        check_address("127.0.0.1", tmp_path, ServerConfig())


# The host


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"localhost", "localhost"),
        (b"LOCALHOST:18180", "localhost"),
        (b"localhost.:80", "localhost"),
        (b"127.0.0.1:1", "127.0.0.1"),
        (b"[::1]", "::1"),
        (b"[::1]:18180", "::1"),
        (b"[::1]x", None),
        (b"[::1", None),
        (b"", ""),
        ("ü".encode(), None),
    ],
)
def test_host_is_read_without_its_port(host: bytes, name: str | None) -> None:
    assert host_name(host) == name


GOOD_HOSTS = ["localhost", "localhost:18180", "LocalHost.", "127.0.0.1", "127.8.8.8:99", "[::1]:18180"]
BAD_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example:18180",
    "192.0.2.1",
    "0.0.0.0",
    "",
    "[::2]",
    "[::1",
    "localhost@evil.example",
    "x" * 10_000,
]


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_loopback_names_pass_on_the_loopback_address(tmp_path: Path, host: str) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        assert served("GET", "/v1/status", host=host).status == 200


def test_dns_rebinding_is_refused_on_every_path_before_anything_is_done(tmp_path: Path) -> None:
    """A page of evil.example whose name now resolves to 127.0.0.1 is same-origin for its browser: only Host tells."""
    with node_on(tmp_path) as node, edged(node) as served:
        token = token_store(tmp_path).create("one", ["admin"]).token
        for host in BAD_HOSTS:
            for method, path in (
                ("GET", "/v1/status"),
                ("POST", "/v1/assertions"),
                ("GET", "/livez"),
                ("GET", "/docs"),
            ):
                reply = served(method, path, claim("rebound") if method == "POST" else b"", host=host)
                assert (reply.status, reply.json()["code"]) == (421, "wrong-host"), (host, path)
        with_token = served("GET", "/v1/status", headers={"Authorization": f"Bearer {token}"}, host="evil.example")
        assert with_token.status == 421
        assert node.end_seq == -1


def test_names_that_are_allowed_pass_besides_loopback_ones(tmp_path: Path) -> None:
    config = ServerConfig(allowed_hosts=("db.example", "Other.Example."))
    for address in ("127.0.0.1", PUBLIC):
        with node_on(tmp_path / address) as node, edged(node, config, address) as served:
            for host in ("db.example", "DB.example:443", "other.example", "localhost"):
                assert served("GET", "/livez", host=host).status == 200
            for host in ("evil.example", "example", "a.db.example"):
                assert served("GET", "/livez", host=host).status == 421


def test_on_another_address_any_name_passes_unless_some_are_given() -> None:
    host_checker(ServerConfig(), PUBLIC)(b"whatever.example")


# Tokens over HTTP


def test_admin_makes_lists_and_ends_tokens_and_the_server_heeds_it_at_once(guarded: Guarded) -> None:
    admin = guarded.headers["admin"]
    body = f'{{"label": "grafana", "scopes": ["read"], "agent": "{KEY_A.agent_hex}", "expires_s": 60}}'.encode()
    made = guarded.served("POST", "/v1/admin/tokens", body, admin)
    assert (made.status, made.headers["cache-control"]) == (201, "no-store")
    token, record = made.json()["token"], made.json()["record"]
    assert (record["scopes"], record["agent"], record["status"]) == (["read"], KEY_A.agent_hex, "active")
    assert guarded.served("GET", "/v1/status", headers={"Authorization": f"Bearer {token}"}).status == 200
    listed = guarded.served("GET", "/v1/admin/tokens", headers=admin)
    assert record in listed.json()["items"]
    assert token.split("_")[2] not in listed.body.decode()
    ended = guarded.served("DELETE", f"/v1/admin/tokens/{record['id']}", headers=admin)
    assert (ended.status, ended.json()["status"]) == (200, "revoked")
    assert guarded.served("GET", "/v1/status", headers={"Authorization": f"Bearer {token}"}).status == 401
    assert guarded.served("DELETE", "/v1/admin/tokens/nobody", headers=admin).status == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"[]", 422, "invalid-field"),
        (b'{"label": "\xff"}', 400, "malformed"),
        (b"{}", 422, "invalid-field"),
        (b'{"label": "", "scopes": ["read"]}', 422, "invalid-field"),
        (b'{"label": "a\\nb", "scopes": ["read"]}', 422, "invalid-parameter"),
        (b'{"label": "a", "scopes": ["root"]}', 422, "invalid-field"),
        (b'{"label": "a", "scope": ["read"]}', 422, "invalid-field"),
        (b'{"label": "a", "agent": "ff"}', 422, "invalid-parameter"),
        (b'{"label": "a", "expires_s": 0}', 422, "invalid-field"),
        (b'{"label": "a", "note": "' + b"x" * 5000 + b'"}', 413, "too-large"),
    ],
)
def test_token_that_makes_no_sense_is_refused_with_what_is_wrong(
    guarded: Guarded, body: bytes, status: int, code: str
) -> None:
    reply = guarded.served("POST", "/v1/admin/tokens", body, guarded.headers["admin"])
    assert (reply.status, reply.json()["code"]) == (status, code)
