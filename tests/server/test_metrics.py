"""Metrics: what happened is counted, under names and labels that no stranger chooses."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from episteme.config import NodeConfig, ServerConfig
from episteme.server.access import token_store
from episteme.server.timing import COUNTS, SECONDS, Timing
from stores import StoreFailed
from tests.support.asgi import Edged, edged
from tests.support.envelopes import claim
from tests.support.events import KEY_A
from tests.support.http import call
from tests.support.nodes import node_on
from tests.support.servers import Server

Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Edged]:
    with node_on(tmp_path) as node, edged(node) as served:
        yield served


def samples(served: Edged) -> dict[Sample, float]:
    reply = served("GET", "/metrics")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return parsed(reply.body.decode())


def parsed(text: str) -> dict[Sample, float]:
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    found = [sample for family in families for sample in family.samples]
    values = {(one.name, frozenset(one.labels.items())): one.value for one in found}
    assert len(values) == len(found), "a series is there twice"
    return values


def value(found: dict[Sample, float], name: str, **labels: str) -> float | None:
    return found.get((f"episteme_{name}", frozenset(labels.items())))


def requests(found: dict[Sample, float], route: str, method: str, code: str) -> float | None:
    return value(found, "http_request_seconds_count", route=route, method=method, code=code)


def test_requests_are_counted_by_route_method_and_status(served: Edged) -> None:
    digest = served("POST", "/v1/assertions?wait=5s", claim("counted")).json()["hash"]
    for path in (
        f"/v1/assertions/{digest}",
        f"/v1/assertions/{'0' * 64}",
        "/v1/subjects/counted",
        "/v1/subjects/other",
    ):
        served("GET", path)
    served("HEAD", "/livez")
    served("POST", "/v1/assertions", b"{}")
    found = samples(served)
    assert requests(found, "/v1/assertions", "POST", "201") == 1
    assert requests(found, "/v1/assertions", "POST", "422") == 1
    assert requests(found, "/v1/assertions/{hash}", "GET", "200") == 1
    assert requests(found, "/v1/assertions/{hash}", "GET", "404") == 1
    assert requests(found, "/livez", "HEAD", "200") == 1
    assert value(found, "http_in_flight") == 1  # the scrape
    assert requests(samples(served), "/metrics", "GET", "200") == 1


def test_no_stranger_makes_a_series(served: Edged) -> None:
    before = set(samples(served)) | set(samples(served))
    for number in range(20):
        served("GET", f"/nowhere/{number}")
        served("GET", f"/v1/subjects/subject-{number}")
        served("FETCH", "/v1/status")
        served(f"X{number}", "/v1/status")
        served("GET", "/v1/status", headers={"Authorization": f"Bearer {number}"}, host=f"h{number}.example")
        served("GET", "/v1/status", headers={"Authorization": f"Bearer {number}", "X-Request-Id": f"trace-{number}"})
    found = samples(served)
    assert requests(found, "none", "GET", "404") == 20
    assert requests(found, "none", "other", "405") == 40
    assert requests(found, "none", "GET", "421") == 20
    assert requests(found, "none", "GET", "401") == 20
    histogram = len(SECONDS) + 3
    assert len(set(found) - before) <= 6 * histogram + 10
    assert not [name for name, labels in found if any("subject-" in text or "trace-" in text for _, text in labels)]


def test_refusals_are_counted_by_code(served: Edged) -> None:
    for _ in range(3):
        served("GET", "/nowhere")
    served("GET", "/v1/status", headers={"Authorization": "Bearer nonsense"})
    served("GET", "/v1/status", host="evil.example")
    served("POST", "/v1/assertions", b"{}")
    found = samples(served)
    for code, count in (("no-such-path", 3), ("invalid-token", 1), ("wrong-host", 1), ("invalid-field", 1)):
        assert value(found, "http_refusals_total", code=code) == count


def test_log_fold_and_gate_tell_what_they_did(served: Edged) -> None:
    lines = b"\n".join(claim("counted", timestamp=number) for number in range(40))
    forged = claim("counted", timestamp=99).replace(b"counted", b"another")
    assert served("POST", "/v1/ingest", lines + b"\n" + forged).status == 200
    served("POST", "/v1/assertions?wait=5s", claim("counted", timestamp=100))
    with served.application.metrics._node.state._live.runner._turn:  # type: ignore[union-attr]
        found = samples(served)  # nobody is told of a commit before it is readable, so it is counted a moment later
    end = value(found, "log_end_seq")
    assert end == 40
    assert value(found, "fold_applied_seq") == end
    assert (value(found, "fold_lag_entries"), value(found, "fold_lag_seconds")) == (0, 0)
    assert value(found, "wal_batch_entries_sum") == 41
    assert value(found, "wal_batch_entries_count") == value(found, "wal_append_seconds_count")
    assert (value(found, "wal_fsync_seconds_count") or 0) >= 2
    assert (value(found, "wal_appended_bytes_total") or 0) > len(lines) / 2
    assert value(found, "fold_batch_entries_sum") == 41
    assert value(found, "signatures_verified_total", result="good") == 41
    assert value(found, "signatures_verified_total", result="bad") == 1
    assert value(found, "verify_queue_entries") == 0
    assert value(found, "dead_letters") == 0
    for name in ("log_bytes", "store_bytes", "disk_free_bytes"):
        assert (value(found, name) or 0) > 0
    assert (value(found, "ready"), value(found, "log_failed"), value(found, "fold_failed")) == (1, 0, 0)


def test_process_and_build_are_there(served: Edged) -> None:
    found = samples(served)
    names = {name for name, _ in found}
    assert {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"} <= names
    assert any(name == "episteme_build_info" and dict(labels)["version"] for name, labels in found)


def test_audits_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    config = NodeConfig(audit=NodeConfig().audit._replace(enabled=True))
    with node_on(tmp_path, config=config) as node, edged(node) as served:
        assert served("GET", "/v1/query?subject=s&predicate=p").json()["audit_id"]
        served("GET", "/v1/audit/queries")
        found = samples(served)
        assert value(found, "audits_total", result="written") == 1
        assert (value(found, "audits_total", result="dropped"), value(found, "audits_waiting")) == (0, 0)


def test_what_cannot_be_told_now_takes_nothing_else_with_it(served: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> int:
        raise StoreFailed("the disk is gone")

    monkeypatch.setattr(type(served.application.metrics._node.state), "size_bytes", fails)
    found = samples(served)
    assert value(found, "store_bytes") is None
    assert value(found, "log_end_seq") == -1


def test_metrics_are_for_readers_where_tokens_are_asked_for(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node, ServerConfig(tokens_required=True)) as served:
        tokens = token_store(tmp_path)
        for scope, status in (("read", 200), ("write", 403), ("admin", 200)):
            token = tokens.create(scope, [scope]).token  # type: ignore[list-item]
            assert served("GET", "/metrics", headers={"Authorization": f"Bearer {token}"}).status == status
        assert served("GET", "/metrics").status == 401


def test_no_agent_and_no_token_is_in_a_scrape(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        made = token_store(tmp_path).create("label-of-it", ["admin"], agent=KEY_A.agent)
        served("GET", "/v1/query?subject=s&predicate=p", headers={"Authorization": f"Bearer {made.token}"})
        served("POST", "/v1/assertions", claim("s"))
        text = served("GET", "/metrics").body.decode()
        for secret in (KEY_A.agent_hex, made.record.id, "label-of-it", made.token):
            assert secret not in text


def test_real_server_counts_its_connections(server: Server) -> None:
    found = parsed(call(server.url, "GET", "/metrics").body.decode())
    assert value(found, "http_connections") == 1
    assert (value(found, "http_connections_opened_total") or 0) >= 1


def test_second_application_of_a_node_counts_from_nothing(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        for _ in range(2):
            with edged(node) as served:
                assert value(samples(served), "http_in_flight") == 1
                assert requests(samples(served), "/metrics", "GET", "200") == 1


def test_timing_counts_each_value_in_the_first_bucket_that_holds_it() -> None:
    timing = Timing((1, 2, 4))
    for one in (0, 1, 1.5, 2, 3, 4, 5, 100):
        timing.add(one)
    assert timing.buckets() == [("1.0", 2.0), ("2.0", 4.0), ("4.0", 6.0), ("+Inf", 8.0)]
    assert (timing.count, timing.sum) == (8, 116.5)
    assert list(SECONDS) == sorted(set(SECONDS))
    assert list(COUNTS) == sorted(set(COUNTS))


def test_operations_page_lists_exactly_the_metrics_there_are(server: Server) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    table = page.partition("\n## Metrics\n")[2].partition("\n\n`process_")[0]
    listed = set(re.findall(r"`(episteme_[a-z_]+)`", table))
    text = call(server.url, "GET", "/metrics").body.decode()
    there = set(re.findall(r"^# TYPE (episteme_\S+) ", text, re.MULTILINE))
    assert listed == there
