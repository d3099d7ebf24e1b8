"""episteme demo: claims that disagree, what each lens says, and commands that work as they are printed."""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from episteme import Node
from episteme.config import NodeConfig
from episteme.demo import PAIR, STORY, demo_key, load_demo
from episteme.demo.story import Claim, Vote
from tests.support.command import Command
from tests.support.http import call
from tests.support.servers import WAIT_S, environment


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Command]]:
    """A demo that is up: what it printed in a pipe, and a command line beside it."""
    home = tmp_path_factory.mktemp("demo")
    episteme = Command(home)
    process = subprocess.Popen(
        [sys.executable, "-m", "episteme", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home / "config"),
    )
    try:
        assert process.stdout is not None
        report = json.loads(process.stdout.readline())
        yield report, episteme
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)
        assert (process.returncode, "Traceback" in said) == (0, False), said
        assert not Path(report["folder"]).exists()
    finally:
        process.kill()
        process.wait()


def test_demo_tells_what_was_loaded_and_how_the_lenses_differ(shown: tuple[dict[str, Any], Command]) -> None:
    report, _ = shown
    assert (report["subject"], report["predicate"]) == PAIR
    assert report["claims"] == sum(isinstance(act, Claim) for act in STORY)
    assert report["votes"] == sum(isinstance(act, Vote) for act in STORY)
    assert len(report["voices"]) == sum(
        isinstance(act, Claim) and (act.subject, act.predicate) == PAIR for act in STORY
    )
    answers = {one["lens"]: one["answer"] for one in report["opinions"]}
    assert {"true", "false"} == set(answers.values())
    assert (answers["consensus"], answers["authority"]) == ("true", "false")
    assert all(one["why"].endswith(".") for one in report["opinions"])
    assert "carries" in report["lever"]


def test_every_command_that_the_demo_prints_works_as_printed(shown: tuple[dict[str, Any], Command]) -> None:
    report, episteme = shown
    assert len(report["next"]) > 5
    for line in report["next"]:
        program, *arguments = shlex.split(line)
        if program == "curl":
            assert call(report["url"], "GET", arguments[-1].removeprefix(report["url"])).status == 200
        else:
            assert program == "episteme"
            ran = episteme.inside(*arguments)
            assert ran.code == 0, (line, ran)
            assert ran.stdout


def test_story_has_what_the_database_is_for(shown: tuple[dict[str, Any], Command]) -> None:
    report, episteme = shown
    url = ["--url", report["url"]]
    pluto = episteme.inside("query", "Pluto", "is_a", "--explain", *url).line
    assert {one["reason"] for one in pluto["explain"]["left_out"]} == {"superseded-epoch"}
    everest = episteme.inside("query", "Mount_Everest", "height_m", "--explain", *url).line
    assert "superseded" in {one["reason"] for one in everest["explain"]["left_out"]}
    book = episteme.inside("query", "isbn:0201633612", "authors", *url).line
    assert len(book["winner"]["value"]["value"]) == 4
    trusts = {one["trust"] for one in map(json.loads, episteme.inside("agents", *url).stdout.splitlines())}
    assert min(trusts) < 0.5 < max(trusts)
    sources = [json.loads(line) for line in episteme.inside("sources", *url).stdout.splitlines()]
    assert len(sources) == 3
    assert all(one["label"].startswith("example ") and "//example.org/" in one["url"] for one in sources)


def test_once_shows_it_for_people_and_leaves_nothing(tmp_path: Path) -> None:
    ran = Command(tmp_path, TMPDIR=str(tmp_path)).inside("demo", "--once", "-o", "table")
    assert (ran.code, ran.stderr) == (0, "")
    for text in ("trial-registry", "authority", "consensus", "invented", "Try next", "One claim carries"):
        assert text in ran.stdout
    assert list(tmp_path.glob("episteme-demo-*")) == []


def test_same_story_gives_the_same_hashes(shown: tuple[dict[str, Any], Command], tmp_path: Path) -> None:
    report, episteme = shown
    listed = episteme.inside("assertions", "--limit", str(report["claims"]), "--url", report["url"]).stdout.splitlines()
    operator, clock = demo_key("operator"), [0]
    config = NodeConfig(operators=(operator.agent_hex,))
    with Node.open(tmp_path / "again", config=config, clock_ms=lambda: clock[0]) as node:
        load_demo(node, operator, lambda moment_ms: clock.__setitem__(0, moment_ms))
        node.wait_applied(node.end_seq, WAIT_S)
        again = [(one.hash, one.seq, one.time_ms) for one in node.assertions(limit=report["claims"]).items]
    assert again == [(one["hash"], one["seq"], one["time_ms"]) for one in map(json.loads, listed)]


def test_data_is_kept_in_a_new_folder_with_a_key_of_its_own(tmp_path: Path) -> None:
    episteme = Command(tmp_path)
    kept = tmp_path / "kept"
    ran = episteme.inside("demo", "--once", "--keep", str(kept))
    assert ran.code == 0
    assert f"episteme serve --data {kept}" in ran.stderr
    for line in ran.line["next"][:-1]:
        assert episteme.inside(*shlex.split(line)[1:]).code == 0, line
    with Node.open(kept) as node:
        assert node.end_seq >= len(STORY)
    again = episteme.inside("demo", "--once", "--keep", str(kept))
    assert (again.code, "not an empty folder" in again.stderr) == (2, True)
