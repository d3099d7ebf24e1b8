"""Rules of the database in a log that nobody serves: shown, verified, and told when they are damaged."""

import json
from pathlib import Path

import pytest

from model import FRAME_KIND_EVENT, FRAME_KIND_RULES, DatabaseRules, Receipt, encode_record, encode_rules
from tests.support.command import Command
from tests.support.events import KEY_A, make_assertion, signed
from tests.support.logs import WAIT_S, open_log

EVENT = encode_record(signed(make_assertion()), Receipt("test"))
RULES = encode_rules(DatabaseRules((KEY_A.agent,), anecdotal_cluster_count=7))
SHOWN = {"operators": [KEY_A.agent_hex], "anecdotal_cluster_count": 7, "regulatory_conflict_micros": 800_000}


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    return Command(tmp_path, EPISTEME_URL="http://127.0.0.1:1")


def write(folder: Path, rules: bytes) -> str:
    """A log of an event, rules, an event."""
    with open_log(folder) as log:
        for payload, kind in ((EVENT, FRAME_KIND_EVENT), (rules, FRAME_KIND_RULES), (EVENT, FRAME_KIND_EVENT)):
            log.append(payload, kind).wait(WAIT_S)
    return str(folder)


def test_rules_are_shown_as_they_hold_with_their_defaults(offline: Command, tmp_path: Path) -> None:
    log = write(tmp_path / "log", RULES)
    ran = offline.inside("log", "dump", log)
    line = json.loads(ran.stdout.splitlines()[1])
    assert (ran.code, line["kind"], line["rules"]) == (0, 2, SHOWN)
    assert "event" not in line
    assert "problem" not in line
    table = offline.inside("log", "dump", log, "-o", "table")
    assert KEY_A.agent_hex[:16] in table.stdout


def test_log_with_rules_verifies_and_they_are_no_event(offline: Command, tmp_path: Path) -> None:
    ran = offline.inside("log", "verify", write(tmp_path / "log", RULES))
    assert (ran.code, ran.line["ok"], ran.line["frames"], ran.line["events"]) == (0, True, 3, 2)


@pytest.mark.parametrize("rules", [RULES[:-1], RULES + b"\x00", b"", b"\x02\x80"], ids=["cut", "long", "none", "newer"])
def test_rules_that_cannot_be_read_are_a_finding_and_shown_with_the_reason(
    offline: Command, tmp_path: Path, rules: bytes
) -> None:
    log = write(tmp_path / "log", rules)
    ran = offline.inside("log", "verify", log)
    assert (ran.code, ran.line["ok"], ran.line["events"]) == (4, False, 2)
    [finding] = ran.line["findings"]
    assert finding["severity"] == "damage"
    assert "seq 1: rules record" in finding["detail"]
    line = json.loads(offline.inside("log", "dump", log).stdout.splitlines()[1])
    assert "rules record" in line["problem"]
    assert "rules" not in line
    assert offline.inside("log", "dump", log, "-o", "table").code == 0
