"""A quick measurement, and the document that a server would give."""

import json
from pathlib import Path

from tests.support.command import Command
from tests.support.http import call
from tests.support.servers import Server


def test_bench_measures_a_throw_away_server_beside_what_limits_it(episteme: Command) -> None:
    ran = episteme.inside("bench", "--seconds", "0.1", "--connections", "2")
    assert ran.code == 0, ran
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [row["what"].startswith("limit: ") for row in rows] == [True] * 3 + [False] * 5
    assert all(row["count"] > 0 and row["median_ms"] > 0 and row["p99_ms"] >= row["median_ms"] for row in rows)


def test_bench_writes_to_the_server_that_is_named_and_to_no_other_machine(episteme: Command, tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as own:  # not the shared one: a bench leaves a hundred subjects
        ran = episteme.inside("bench", "--seconds", "0.1", "--connections", "2", "--url", own.url, "-o", "table")
        assert (ran.code, "verify a signature" in ran.stdout) == (0, True)
        assert call(own.url, "GET", "/v1/status").json()["log"]["seq"] > 0
    for url in ("http://example.org", "http://192.0.2.1:18180", "nonsense"):
        refused = episteme.inside("bench", "--url", url)
        assert (refused.code, refused.stdout, "--remote" in refused.stderr) == (2, "", True)


def test_document_is_the_one_that_a_server_gives(episteme: Command, server: Server) -> None:
    ran = episteme.inside("openapi")
    assert (ran.code, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == call(server.url, "GET", "/openapi.json").json()
