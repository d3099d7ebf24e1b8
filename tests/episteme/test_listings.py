"""What the listings do beyond their API: audited answers, bounds of a look, cursors that were made up."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from episteme import Node
from episteme.audit.options import AuditOptions
from episteme.catalog import LISTINGS, Listing, spelled
from episteme.config import NodeConfig
from episteme.errors import InvalidParameter, UnknownParameter
from episteme.listings import agent, assertion, escalation, seal_of
from model import BooleanValue, SigningKey
from tests.support.databases import WAIT_S, write
from tests.support.events import HASH_1, KEY_A, KEY_B, NOW_MS, make_assertion, signed


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A database that audits its answers; KEY_A signs, and is an operator."""
    config = NodeConfig(operators=(KEY_A.agent_hex,), audit=AuditOptions(enabled=True))
    with Node.open(tmp_path / "data", key=KEY_A, config=config) as opened:
        yield opened


def test_impact_names_the_audited_answers_that_rest_on_a_source_whatever_was_asked_about(node: Node) -> None:
    claim = node.assert_("resting", "is", "so", source_hash=HASH_1)
    child = node.assert_("resting", "is", "so too", parent_hash=claim.hash)
    node.assert_("elsewhere", "is", "so")
    node.alias("of the same", "resting", wait_s=WAIT_S)
    direct, other = node.query("resting", "is"), node.query("elsewhere", "is")
    by_alias = node.query("of the same", "is")
    assert None not in (direct.audit_id, other.audit_id, by_alias.audit_id)
    impact = node.impact(HASH_1)
    both = sorted([claim.hash, child.hash])
    assert {one.audit_id: one.hashes for one in impact.answers} == {direct.audit_id: both, by_alias.audit_id: both}
    assert not impact.truncated
    cut = node.impact(HASH_1, limit=1)
    assert (len(cut.answers), cut.truncated) == (1, True)


def test_a_page_looks_at_so_many_and_the_cursor_goes_on_there(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assertion, "_CHUNK", 4)
    monkeypatch.setattr(assertion, "_CHUNKS_MAX", 2)
    for number in range(30):
        rare = number % 13 == 12
        receipt = write(node, "looked at", timestamp=number, source_class="expert" if rare else "clinical")
    for asked in ({"subject": "looked at"}, {"agent": KEY_A.agent_hex}, {"since_seq": 0}):
        found, pages, cursor = [], 0, None
        while True:
            page = node.assertions(**asked, source_class=["expert"], cursor=cursor, min_seq=receipt.seq)  # type: ignore[arg-type]
            found += page.items
            pages, cursor = pages + 1, page.next
            if cursor is None:
                break
        assert [one.event.timestamp for one in found] == [12, 25]
        assert pages >= 4


def test_escalations_are_searched_in_pieces(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalation, "_CHUNK", 2)
    monkeypatch.setattr(escalation, "_CHUNKS_MAX", 2)
    for number in range(9):
        for key, value in ((KEY_A, True), (KEY_B, False)):
            write(node, f"number {number}", key, object=BooleanValue(value), source_class="regulatory")
    for order in ("newest", "oldest"):
        pages, cursor, found = 0, None, []
        while True:
            page = node.escalations(subject="number 8", order=order, cursor=cursor)  # type: ignore[arg-type]
            found += page.items
            pages, cursor = pages + 1, page.next
            if cursor is None:
                break
        assert [one.subject for one in found] == ["number 8"]
        assert pages == 3
    everything = node.escalations(order="oldest", limit=100).items
    assert [one.subject for one in everything[:4]] == [f"number {number}" for number in range(4)]


def test_list_without_a_filter_is_the_log_and_names_each_assertion_once(node: Node) -> None:
    event = make_assertion(subject="in the log")
    first = node.submit(signed(event), wait_s=WAIT_S)
    node.vote(first.hash, 1)
    second = node.assert_("in the log too", "is", 1)
    joined = node.submit(signed(event, KEY_B), wait_s=WAIT_S)
    page = node.assertions(min_seq=joined.seq)
    assert [one.hash for one in page.items] == [first.hash, second.hash]
    assert page.next is None
    assert len(page.items[0].signatures) == 2


@pytest.mark.parametrize("listing", [one for one in LISTINGS if "cursor" in one.parameters], ids=lambda one: one.path)
def test_cursor_with_the_right_seal_and_a_wrong_place_is_refused_and_is_no_fault_of_ours(
    node: Node, listing: Listing[Any]
) -> None:
    claim = node.assert_("made up", "is", "so", wait_s=WAIT_S)
    asked = {name: claim.hash for name in ("hash", "agent", "source") if name in listing.in_path}
    if "subject" in listing.in_path:
        asked["subject"] = "made up"
    for place in ("no hex", "a\x00b", "x" * 300, 1.5, -1, 1 << 63, [], ["a"], ["a", 1], [1, "zz"], ["a\x00", "b"], {}):
        cursor = urlsafe_b64encode(msgspec.msgpack.encode((seal_of(listing.path, asked), place))).decode()
        assert refused_parameter(node, listing, {**asked, "cursor": cursor.rstrip("=")}) in ("cursor", None)


def refused_parameter(node: Node, listing: Listing[Any], asked: dict[str, str]) -> str | None:
    """The parameter that a look is refused for; None if it is not."""
    try:
        node.look(listing, asked)
    except InvalidParameter as error:
        return error.errors[0].pointer
    return None


def test_cursor_is_text_for_a_url_and_short(node: Node) -> None:
    for number in range(2):
        write(node, "ä" * 128, predicate="ä" * 64, timestamp=number)
        node.gold("ä" * 127 + str(number), "ä" * 64, 1, wait_s=WAIT_S)
    page = node.gold_standards(limit=1)
    assert page.next is not None
    assert len(page.next) < 1024
    assert urlsafe_b64decode(page.next + "==")
    assert len(node.gold_standards(cursor=page.next).items) == 1


def test_unknown_parameter_is_refused_by_name(node: Node) -> None:
    (listing,) = [one for one in LISTINGS if one.path == "/v1/subjects"]
    with pytest.raises(UnknownParameter):
        node.look(listing, {"prefx": "a"})


def test_parameters_are_spelled_as_a_query_string_has_them() -> None:
    given = {"a": "text", "b": 7, "c": ["x", "y"], "d": None, "e": (), "f": ""}
    assert spelled(given) == {"a": "text", "b": "7", "c": "x,y", "f": ""}
    with pytest.raises(InvalidParameter):
        spelled({"a": 1.5})


def test_claims_of_an_agent_are_counted_up_to_a_bound(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "CLAIMS_COUNTED_MAX", 3)
    for number in range(5):
        write(node, "many", timestamp=number)
    report = node.agent(KEY_A.agent_hex)
    assert (report.claims_count, report.has_more_claims) == (3, True)


def test_trust_that_was_judged_long_ago_has_drifted(tmp_path: Path) -> None:
    clock = [NOW_MS]
    config = NodeConfig(operators=(KEY_A.agent_hex,))
    key = SigningKey(b"\x07" * 32)
    with Node.open(tmp_path, key=KEY_A, config=config, clock_ms=lambda: clock[0]) as node:
        node.submit(signed(make_assertion(subject="s", predicate="p", object=BooleanValue(False)), key))
        node.gold("s", "p", True, wait_s=WAIT_S)
        clock[0] += 30 * 86_400_000
        write(node, "later")
        report = node.agent(key.agent_hex)
    assert (report.trust, report.trust_judged) == (0.45, 0.4)
