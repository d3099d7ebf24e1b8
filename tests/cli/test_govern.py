"""Governance from the command line: signed with the operator key of the folder, listed, and shown as data."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from episteme import Client, Key
from model import BooleanValue
from tests.support.command import Command, Ran
from tests.support.databases import WAIT_S
from tests.support.events import HASH_1, KEY_A, KEY_B, make_assertion, signed
from tests.support.servers import Server

OPERATOR_KEY = Path("keys", "operator.key")
SIGNING = ["assert", "vote", "epoch", "supersede", "source", "gold", "pack", "quota"]
SIGNING += ["predicate", "alias", "revoke", "ack"]


class Governor:
    """Runs commands with the operator key of a server, waiting until what they write is readable."""

    def __init__(self, command: Command, server: Server) -> None:
        self.read = command.inside
        self.key = str(server.data / OPERATOR_KEY)

    def write(self, *arguments: str) -> Ran:
        ran = self.read(*arguments, "--key", self.key, "--wait", str(WAIT_S))
        assert (ran.code, ran.line["status"], ran.stderr) == (0, "applied", ""), ran
        return ran

    def rows(self, *arguments: str) -> list[dict[str, object]]:
        ran = self.read(*arguments)
        assert (ran.code, ran.stderr) == (0, ""), ran
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def table(self, *arguments: str) -> str:
        ran = self.read(*arguments, "-o", "table")
        assert ran.code == 0, ran
        return ran.stdout


@pytest.fixture
def governor(episteme: Command, server: Server) -> Governor:
    """The operator of the shared server."""
    return Governor(episteme, server)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """An agent's connection."""
    with Client(server.url, key=KEY_A) as opened:
        yield opened


def test_first_start_makes_an_operator_key_and_later_ones_take_it(server: Server, tmp_path: Path) -> None:
    path = server.data / OPERATOR_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = Key.read(path)
    assert f"operator {key.agent_hex}, made now and kept in {path}" in server.output
    assert key.seed.hex() not in server.output
    with Server.start(tmp_path / "data") as first:
        made = first.output
        first.stop()
    with Server.start(tmp_path / "data") as second:
        assert f"operator {Key.read(tmp_path / 'data' / OPERATOR_KEY).agent_hex}, its key is in" in second.output
        assert "made now" in made
        with Client(second.url) as client:
            assert client.agent(Key.read(tmp_path / "data" / OPERATOR_KEY).agent_hex).is_operator


def test_operators_can_be_named_and_must_be_keys(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--operator", KEY_A.agent_hex]
    with Server.start(tmp_path / "data", arguments) as server, Client(server.url) as client:
        assert client.agent(KEY_A.agent_hex).is_operator
        assert client.agent(Key.read(server.data / OPERATOR_KEY).agent_hex).is_operator
    with Server(tmp_path / "other", ["--operator", "me"]) as refused:
        ended = refused.wait()
    assert ended.code == 2
    assert "--operator" in ended.output


def test_epochs_are_registered_and_listed_with_what_hides_them(governor: Governor) -> None:
    old = governor.write("epoch", "spring", "--start", "2026-03-01T00:00:00Z", "--end", "1780272000000").line["hash"]
    new = governor.write("epoch", "summer", "--supersedes", old, "--supersession", "temporal").line["hash"]
    listed = {row["epoch"]: row for row in governor.rows("epochs")}
    assert listed[old]["start"] == 1_772_323_200_000
    assert listed[old]["superseded_by"]["epoch"] == new  # type: ignore[index]
    (report,) = governor.rows("epochs", old)
    assert report["chain"] == [old, new]
    for shown in (governor.table("epochs"), governor.table("epochs", old)):
        assert "spring" in shown
        assert f"by {new[:12]}" in shown


def test_claim_is_superseded_and_its_lineage_shown(governor: Governor, client: Client) -> None:
    old = client.assert_("from the shell", "is", "old")
    new = client.assert_("from the shell", "is", "new", parent_hash=old.hash, wait_s=WAIT_S)
    governor.write("supersede", old.hash, new.hash, "--reason", "typing error")
    assert governor.read("query", "from the shell", "is").line["winner"]["hash"] == new.hash
    (lineage,) = governor.rows("lineage", new.hash)
    assert [one["relation"] for one in lineage["ancestors"]] == ["parent"]  # type: ignore[attr-defined]
    table = governor.table("lineage", old.hash, "--depth", "1")
    assert "led to" in table
    assert new.hash[:12] in table


def test_source_is_made_of_a_file_retracted_and_its_impact_shown(
    governor: Governor, client: Client, tmp_path: Path
) -> None:
    evidence = tmp_path / "evidence.txt"
    evidence.write_text("30 people", "utf-8")
    source = blake3(b"30 people").hexdigest()
    governor.write("source", "--label", "STEP 1", "--file", str(evidence), "--keep", "--address", "https://e.org/1")
    claim = client.assert_("rests on a file", "is", "so", source_hash=source, wait_s=WAIT_S)
    governor.write("source", source, "--label", "STEP 1", "--status", "retracted")
    (report,) = governor.rows("sources", source)
    assert (report["status"], report["content_bytes"], len(report["statuses"])) == ("retracted", 9, 2)  # type: ignore[arg-type]
    assert source in {row["source_hash"] for row in governor.rows("sources")}
    (impact,) = governor.rows("impact", source)
    assert [one["hash"] for one in impact["items"]] == [claim.hash]  # type: ignore[attr-defined]
    assert claim.hash in governor.table("impact", source)
    assert "retracted" in governor.table("sources", source)
    refused = governor.read("source", HASH_1, "--label", "x", "--file", str(evidence))
    assert (refused.code, refused.stdout) == (2, "")


def test_gold_standard_is_set_listed_and_removed(governor: Governor) -> None:
    governor.write("gold", "Earth", "age", "4.54", "--type", "number", "--tolerance", "0.05")
    (row,) = governor.rows("gold-standards", "Earth")
    assert (row["value"], row["tolerance"]) == ({"type": "number", "value": "4.54"}, "0.05")
    assert "4.54" in governor.table("gold-standards")
    governor.write("gold", "Earth", "age", "--remove")
    assert governor.read("gold-standards", "Earth").code == 3


def test_pack_quota_predicate_and_alias_are_written_and_listed(governor: Governor) -> None:
    governor.write("pack", "friends", "3", KEY_A.agent_hex, f"{KEY_B.agent_hex}=0.5", "--note", "known for years")
    (pack,) = [row for row in governor.rows("packs") if row["name"] == "friends"]
    (report,) = governor.rows("packs", str(pack["pack"]))
    assert report["members"] == [
        {"agent": KEY_A.agent_hex, "weight": 1.0},
        {"agent": KEY_B.agent_hex, "weight": 0.5},
    ]
    assert "0.5" in governor.table("packs", str(pack["pack"]))
    governor.write("quota", KEY_B.agent_hex, "4000")
    (agent,) = governor.rows("agents", KEY_B.agent_hex)
    assert agent["quota"]["limit"] == 4000  # type: ignore[index]
    assert "4,000" in governor.table("agents", KEY_B.agent_hex)
    governor.write("predicate", "written by", "--many", "--separator", "; ", "--lens", "votes")
    (rule,) = governor.rows("predicates", "--prefix", "written")
    assert (rule["cardinality"], rule["separator"], rule["default_lens"]) == ("many", "; ", "votes")
    governor.write("alias", "Tesla", "Tesla_Inc")
    (alias,) = governor.rows("aliases", "--prefix", "Tesla")
    assert (alias["same_as"], alias["canonical"]) == ("Tesla_Inc", "Tesla_Inc")
    assert "Tesla_Inc" in governor.table("aliases")
    assert "many" in governor.table("predicates")


def test_revoked_agent_is_listed_as_one(governor: Governor, server: Server) -> None:
    key = Key(b"\x63" * 32)
    with Client(server.url, key=key) as client:
        client.assert_("said before", "is", "so", wait_s=WAIT_S)
    governor.write("revoke", key.agent_hex, "--reason", "stolen laptop")
    (row,) = [row for row in governor.rows("agents") if row["agent"] == key.agent_hex]
    assert row["is_revoked"] is True
    assert "stolen laptop" in governor.table("agents", key.agent_hex)


def escalated(governor: Governor, client: Client, subject: str) -> str:
    """The id of an escalation about the subject."""
    for key, value in ((KEY_A, True), (KEY_B, False)):
        event = make_assertion(subject=subject, object=BooleanValue(value), source_class="regulatory")
        client.submit(signed(event, key), wait_s=WAIT_S)
    (found,) = governor.rows("escalations", "--subject", subject, "--status", "open", "--level", "critical")
    return str(found["id"])


def test_escalations_are_listed_filtered_and_acknowledged(governor: Governor, client: Client) -> None:
    governor.write("ack", escalated(governor, client, "escalated"), "both stand")
    (seen,) = governor.rows("escalations", "--subject", "escalated", "--after", "-1")
    assert seen["status"] == "acknowledged"
    assert governor.read("escalations", "--subject", "escalated", "--status", "open").code == 3
    assert "regulatory_conflict" in governor.table("escalations")


def test_votes_and_subjects_are_shown(governor: Governor, client: Client) -> None:
    claim = client.assert_("shelf of one", "is", "here", wait_s=WAIT_S)
    client.vote(claim.hash, "0.25", reason="seen", wait_s=WAIT_S)
    (ballot,) = governor.rows("votes", claim.hash)
    assert (ballot["count"], ballot["sum"]) == (1, "0.25")
    assert "counts" in governor.table("votes", claim.hash)
    assert governor.read("subjects", "--prefix", "shelf of").stdout == '"shelf of one"\n'
    (report,) = governor.rows("subjects", "shelf of one")
    assert report["items"][0]["hash"] == claim.hash  # type: ignore[index]
    assert "here" in governor.table("subjects", "shelf of one")
    assert [row["hash"] for row in governor.rows("assertions", "--subject", "shelf of one")] == [claim.hash]
    assert "shelf of one" in governor.table("assertions", "--subject", "shelf of one")
    assert {"consensus", "layered"} <= {row["name"] for row in governor.rows("lenses")}
    assert "default" in governor.table("lenses")


def test_list_goes_over_pages_up_to_its_limit_and_says_when_there_is_more(governor: Governor, client: Client) -> None:
    events = [signed(make_assertion(subject="long", timestamp=number)) for number in range(1200)]
    results = list(client.ingest(events))
    seq = str(results[-1].seq)
    ran = governor.read("assertions", "--subject", "long", "--limit", "1100", "--min-seq", seq)
    assert (ran.code, len(ran.stdout.splitlines())) == (0, 1100)
    assert "there is more: --limit" in ran.stderr
    whole = governor.read("assertions", "--subject", "long", "--limit", "5000")
    assert (len(whole.stdout.splitlines()), whole.stderr) == (1200, "")


def test_nothing_in_a_list_is_code_3(governor: Governor) -> None:
    for arguments in (["subjects", "--prefix", "nobody knows"], ["assertions", "--epoch", HASH_1]):
        ran = governor.read(*arguments)
        assert (ran.code, ran.stdout, ran.stderr) == (3, "", "nothing found\n")


def test_key_that_does_not_govern_writes_and_is_told_that_it_has_no_effect(episteme: Command) -> None:
    ran = episteme.inside("alias", "not mine", "to say", "--wait", "10")
    assert (ran.code, ran.line["status"]) == (0, "applied")
    assert "is no operator of this database" in ran.stderr
    assert episteme.inside("aliases", "--prefix", "not mine").code == 3


def test_who_may_not_hide_a_claim_or_revoke_a_key_is_told(episteme: Command, client: Client) -> None:
    theirs = client.assert_("not mine to hide", "is", "so", wait_s=WAIT_S).hash
    mine = episteme.inside("assert", "mine to hide", "is", "so", "--wait", "10").line["hash"]
    for arguments, told in (
        (["supersede", theirs], "did not sign the assertion, so the event is kept and has no effect"),
        (["supersede", mine], ""),
        (["revoke", KEY_B.agent_hex], "the key is not its own, so the event is kept and has no effect"),
    ):
        ran = episteme.inside(*arguments, "--wait", "10")
        assert (ran.code, ran.line["status"]) == (0, "applied")
        assert told in ran.stderr
        assert bool(ran.stderr) == bool(told)
    assert client.query("not mine to hide", "is").value == "so"
    assert client.query("mine to hide", "is").value is None
    assert client.agent(KEY_B.agent_hex).revoked is None


def test_status_of_a_source_changes_without_saying_again_what_it_is(governor: Governor) -> None:
    source = blake3(b"a leaflet").hexdigest()
    governor.write("source", source, "--label", "A leaflet", "--address", "https://example.org/leaflet")
    governor.write("source", source, "--status", "suspect")
    (report,) = governor.rows("sources", source)
    assert (report["label"], report["url"]) == ("A leaflet", "https://example.org/leaflet")
    assert report["status"] == "suspect"


def test_negative_numbers_are_arguments_and_typing_errors_are_none(governor: Governor) -> None:
    governor.write("assert", "Vostok", "low_celsius", "-89.2", "--type", "number")
    assert governor.read("query", "Vostok", "low_celsius").line["winner"]["value"]["value"] == "-89.2"
    governor.write("gold", "Vostok", "low_celsius", "-89.2", "--type", "number", "--tolerance", "0.1")
    (gold,) = governor.rows("gold-standards", "Vostok", "low_celsius")
    assert gold["value"] == {"type": "number", "value": "-89.2"}
    assert governor.read("gold-standards", "Vostok", "high_celsius").code == 3
    for arguments in (["assert", "s", "p", "--dryrun"], ["assert", "s", "p", "-x"], ["gold", "s", "p", "--remov"]):
        ran = governor.read(*arguments)
        assert (ran.code, ran.stdout) == (2, ""), ran
        assert "No such option" in ran.stderr
    assert governor.read("assert", "s", "p", "--dry-run", "--", "--so").code == 0


def test_dry_run_shows_the_bytes_that_would_be_signed_and_writes_nothing(governor: Governor, client: Client) -> None:
    claim = client.assert_("rehearsed", "is", "so", wait_s=WAIT_S)
    arguments = {
        "assert": ["s", "p", "v", "--valid-from", "2026-01-01T00:00:00Z", "--audience", "another database"],
        "vote": [claim.hash, "1"],
        "epoch": ["spring", "--start", "0"],
        "supersede": [claim.hash],
        "source": [HASH_1, "--label", "STEP 1"],
        "gold": ["s", "p", "v"],
        "pack": ["friends", "1"],
        "quota": [KEY_B.agent_hex, "1"],
        "predicate": ["p"],
        "alias": ["a", "b"],
        "revoke": [KEY_B.agent_hex],
        "ack": [escalated(governor, client, "rehearsed too")],
    }
    assert list(arguments) == SIGNING
    before = client.status().log.seq
    for name, given in arguments.items():
        ran = governor.read(name, *given, "--key", governor.key, "--dry-run")
        assert (ran.code, ran.stderr) == (0, ""), ran
        canonical = ran.line["canonical"].encode()
        kind = json.loads(canonical)["kind"]
        digest = blake3(f"episteme/{kind}/v2\n".encode() + canonical).digest()
        assert ran.line["hash"] == digest.hex()
    assert client.status().log.seq == before
    refused = governor.read("quota", "nobody", "1", "--dry-run")
    assert (refused.code, refused.stdout) == (6, "")
    assert "code: invalid-field" in refused.stderr
    table = governor.table("assert", "a\u202eb", "p", "v", "--dry-run")
    assert "\\u202e" in table


def test_text_of_agents_is_spelled_out_in_every_table(governor: Governor, server: Server) -> None:
    evil = "\u202e\u200f[bold]x[/bold]"
    key = Key(b"\x64" * 32)
    with Client(server.url, key=key) as client:
        claim = client.assert_(evil, evil, evil + "\x1b[2J", source_hash=HASH_1)
        client.vote(claim.hash, 1, reason="\x1b[2J" + evil)
        client.pack(evil, 1, [], note=evil + "\x07")
        client.source(HASH_1, label=evil, url=evil)
        client.assert_(evil, evil, "child", parent_hash=claim.hash, wait_s=WAIT_S)
    governor.write("epoch", evil)
    governor.write("gold", evil, evil, evil)
    governor.write("predicate", evil, "--many", "--separator", evil[:3])
    governor.write("alias", evil + "2", evil)
    commands = [["votes", claim.hash], ["lineage", claim.hash], ["assertions", "--subject", evil]]
    commands += [["subjects"], ["subjects", evil], ["sources"], ["sources", HASH_1], ["impact", HASH_1], ["packs"]]
    commands += [["epochs"], ["gold-standards", evil], ["predicates"], ["aliases"]]
    for command in commands:
        shown = governor.table(*command)
        assert not set(shown) & {"\x1b", "\x07", "\u202e", "\u200f"}, command
        assert "\\u202e" in shown, command


def test_lists_are_read_and_governance_is_written_offline(tmp_path: Path) -> None:
    offline = Command(tmp_path, EPISTEME_URL="http://127.0.0.1:1")
    data = tmp_path / "data"
    with Server.start(data) as server:
        with Client(server.url, key=KEY_A) as client:
            claim = client.assert_("left behind", "is", "so", wait_s=WAIT_S)
        assert server.stop().code == 0
    key = str(data / OPERATOR_KEY)
    written = offline.inside("supersede", claim.hash, "--data", str(data), "--key", key, "--wait", "10")
    assert (written.code, written.line["status"]) == (0, "applied")
    assert offline.inside("query", "left behind", "is", "--data", str(data)).code == 3
    for arguments in (["agents"], ["subjects"], ["lineage", claim.hash], ["votes", claim.hash], ["lenses"]):
        ran = offline.inside(*arguments, "--data", str(data))
        assert (ran.code, ran.stderr) == (0, ""), ran
    followed = offline.inside("escalations", "--follow", "--data", str(data))
    assert (followed.code, followed.stdout) == (2, "")
    assert offline.inside("agents").code == 5


def test_key_file_that_is_not_there_or_open_to_others_is_told(governor: Governor, tmp_path: Path) -> None:
    missing = governor.read("alias", "a", "b", "--key", str(tmp_path / "none.key"))
    assert (missing.code, missing.stdout) == (1, "")
    assert f"there is no key file {tmp_path / 'none.key'}" in missing.stderr
    copy = tmp_path / "copy.key"
    copy.write_bytes(Path(governor.key).read_bytes())
    copy.chmod(0o644)
    assert "others can read it" in governor.read("alias", "a", "b", "--key", str(copy)).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["epoch", "e", "--supersedes", HASH_1], 6, "code: invalid-field"),
        (["epoch", "e", "--start", "soon"], 2, "code: invalid-parameter"),
        (["epoch"], 2, "'name'"),
        (["supersede", HASH_1], 3, "code: not-found"),
        (["supersede", "xyz"], 2, "code: invalid-parameter"),
        (["supersede", HASH_1[:12]], 2, "has 12 of 64 hex digits"),
        (["source", "--label", "x"], 6, "code: invalid-field"),
        (["source", "9" * 64], 3, "code: not-found"),
        (["source"], 6, "code: invalid-field"),
        (["source", HASH_1, "--label", "x", "--keep"], 2, "--keep"),
        (["gold", "s", "p"], 2, "VALUE"),
        (["gold", "s", "p", "--remove"], 3, "code: not-found"),
        (["gold", "s", "p", "x", "--type", "number"], 6, "code: invalid-field"),
        (["pack", "p", "1", "nobody"], 6, "code: invalid-field"),
        (["pack", "p", "1", "a", "a=1"], 2, "twice"),
        (["quota", "nobody", "1"], 6, "code: invalid-field"),
        (["predicate", "p", "--many", "--separator", ""], 6, "code: invalid-field"),
        (["predicate", "p", "--separator", ";"], 2, "--separator"),
        (["predicate", "p", "--lens", "majority"], 2, "--lens"),
        (["predicate", "p", "--lens", "constraints"], 2, "--lens"),
        (["ack", "1" * 32, "seen"], 3, "code: not-found"),
        (["ack", "the first", "seen"], 2, "code: invalid-parameter"),
        (["alias", "a"], 2, "'same_as'"),
        (["revoke", "nobody"], 6, "code: invalid-field"),
        (["votes", HASH_1], 3, "code: not-found"),
        (["lineage", HASH_1, "--depth", "0"], 2, "--depth"),
        (["subjects", "nobody spoke of it"], 3, "code: not-found"),
        (["agents", "nobody"], 2, "code: invalid-parameter"),
        (["epochs", HASH_1], 3, "code: not-found"),
        (["sources", HASH_1[1:]], 2, "has 63 of 64 hex digits"),
        (["packs", HASH_1], 3, "code: not-found"),
        (["assertions", "--source-class", "rumour"], 2, "code: invalid-parameter"),
        (["escalations", "--status", "closed"], 2, "--status"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
)
def test_error_of_governance_is_on_stderr_with_a_code_of_its_own(
    episteme: Command, arguments: list[str], code: int, said: str
) -> None:
    ran = episteme.inside(*arguments)
    assert (ran.code, ran.stdout) == (code, ""), ran
    assert said in ran.stderr
