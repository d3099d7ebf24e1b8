"""Reports and lists, in process and over HTTP: what each of them shows."""

from typing import Any

import pytest

from episteme.errors import InvalidParameter, NotFound
from episteme.lenses import LENSES
from model import NumberValue, TextValue
from tests.support.databases import WAIT_S, Database, write
from tests.support.events import HASH_1, HASH_2, KEY_A, KEY_B, NOW_MS, make_vote, signed
from tests.support.paged import items_of, key_of


def test_ballot_shows_every_vote_with_its_effect_and_the_exact_sum(db: Database) -> None:
    claim = write(db, "voted on")
    voters = [key_of(80 + number) for number in range(4)]
    weights = ("0.1", "0.2", "-0.000001", "0")
    votes = [
        signed(
            make_vote(agent=key.agent_hex, assertion=claim.hash, subject="voted on", weight=weight, reason="why"), key
        )
        for key, weight in zip(voters, weights, strict=True)
    ]
    earlier = signed(
        make_vote(agent=voters[0].agent_hex, assertion=claim.hash, subject="voted on", timestamp=NOW_MS - 1), voters[0]
    )
    astray = signed(make_vote(agent=voters[1].agent_hex, assertion=claim.hash, subject="another"), voters[1])
    results = list(db.ingest([earlier, *votes, astray]))
    ballot = db.ballot(claim.hash, min_seq=results[-1].seq, wait_s=WAIT_S)
    assert (ballot.hash, ballot.subject, ballot.count, ballot.sum) == (claim.hash, "voted on", 3, "0.299999")
    assert ballot.weight == pytest.approx(0.299999)
    effects = {one.hash: one.effect for one in ballot.items}
    assert effects == {
        earlier.hash_hex: "replaced",
        **{vote.hash_hex: "counts" for vote in votes[:3]},
        votes[3].hash_hex: "withdraws",
        astray.hash_hex: "other-subject",
    }
    (replaced,) = [one for one in ballot.items if one.effect == "replaced"]
    assert replaced.replaced_by == votes[0].hash_hex
    assert [one.hash for one in items_of(lambda **asked: db.ballot(claim.hash, **asked), 2)] == sorted(effects)


def test_ballot_and_lineage_of_an_unknown_assertion_are_not_found(db: Database) -> None:
    for read in (db.ballot, db.lineage, db.get_epoch, db.get_source, db.get_pack):
        with pytest.raises(NotFound):
            read(HASH_1)
    for unknown in (lambda: db.get_escalation("1" * 32), lambda: db.subject("never claimed")):
        with pytest.raises(NotFound):
            unknown()


def test_lineage_goes_both_ways_nearest_first_and_names_what_is_not_there(db: Database) -> None:
    root = db.assert_("family", "is", "root", parent_hash=HASH_2)
    child = db.assert_("family", "is", "child", parent_hash=root.hash)
    other = db.assert_("family", "is", "other", parent_hash=root.hash)
    leaf = db.assert_("family", "is", "leaf", parent_hash=child.hash, wait_s=WAIT_S)
    found = db.lineage(child.hash)
    assert [(one.hash, one.relation, one.via, one.depth) for one in found.ancestors] == [
        (root.hash, "parent", child.hash, 1),
        (HASH_2, "parent", root.hash, 2),
    ]
    assert [(one.hash, one.relation, one.depth) for one in found.descendants] == [(leaf.hash, "child", 1)]
    assert (found.ancestors[0].value, found.ancestors[0].seq) == (TextValue("root"), root.seq)
    assert (found.ancestors[1].value, found.ancestors[1].seq, found.ancestors[1].subject) == (None, None, None)
    assert not found.truncated
    whole = db.lineage(root.hash)
    assert [one.hash for one in whole.descendants] == [child.hash, other.hash, leaf.hash]
    for cut in (db.lineage(root.hash, depth=1), db.lineage(root.hash, limit=2)):
        assert [one.hash for one in cut.descendants] == [child.hash, other.hash]
        assert cut.truncated


def test_lineage_of_replacements_that_lead_back_ends(db: Database) -> None:
    one = db.assert_("round and round", "is", 1)
    two = db.assert_("round and round", "is", 2)
    db.supersede(one.hash, two.hash)
    db.supersede(two.hash, one.hash, wait_s=WAIT_S)
    found = db.lineage(one.hash)
    assert [(relative.hash, relative.relation) for relative in found.descendants] == [(two.hash, "replacement")]
    assert [(relative.hash, relative.relation) for relative in found.ancestors] == [(two.hash, "replaced")]
    assert not found.truncated


def test_assertions_are_listed_by_any_filter_in_log_order(db: Database) -> None:
    key, other = key_of(90), key_of(91)
    receipts = [
        write(
            db,
            f"listed {number % 2}",
            key if number % 3 else other,
            predicate=("is", "was")[number % 2],
            source_class=("clinical", "expert")[number % 2],
            lifecycle=("approved", "rejected", "proposed")[number % 3],
            timestamp=NOW_MS + number,
            epoch=HASH_1,
        )
        for number in range(12)
    ]
    joined = db.submit(signed(db.get(receipts[0].hash).event, key), wait_s=WAIT_S)
    hashes = [receipt.hash for receipt in receipts]

    def listed(**asked: Any) -> list[str]:
        paged = [one.hash for one in items_of(db.assertions, 3, **asked)]
        assert [one.hash for one in db.assertions(**asked).items] == paged
        return paged

    assert listed(subject="listed 0") == hashes[::2]
    assert listed(subject="listed 0", predicate="is") == hashes[::2]
    assert listed(subject="listed 0", predicate="was") == []
    assert listed(epoch=HASH_1) == hashes
    assert listed(epoch=HASH_1, predicate="was") == hashes[1::2]
    assert listed(agent=other.agent_hex) == hashes[::3]
    assert listed(agent=key.agent_hex) == [*(one for number, one in enumerate(hashes) if number % 3), hashes[0]]
    assert listed(subject="listed 0", agent=key.agent_hex, since_seq=receipts[3].seq) == [hashes[n] for n in (4, 8, 10)]
    assert listed(agent=key.agent_hex, since_seq=receipts[3].seq) == [hashes[n] for n in (4, 5, 7, 8, 10, 11)]
    assert listed(epoch=HASH_1, source_class=["expert"], lifecycle=["rejected", "proposed"]) == [
        hashes[n] for n in (1, 5, 7, 11)
    ]
    assert listed(since_seq=receipts[6].seq, epoch=HASH_1) == hashes[6:]
    assert listed(since_seq=receipts[0].seq)[: len(hashes)] == hashes
    assert listed(since_seq=receipts[0].seq, predicate="was", agent=key.agent_hex, epoch=HASH_1) == [
        hashes[n] for n in (1, 5, 7, 11)
    ]
    assert listed(since_seq=joined.seq) == []
    (stored,) = db.assertions(epoch=HASH_1, limit=1).items
    assert stored == db.get(hashes[0])


def test_subjects_are_listed_by_their_beginning_and_show_their_pairs(db: Database) -> None:
    for subject in ("shelf/a b", "shelf/ä", "shelf/%2F", "shelf/history"):
        write(db, subject, predicate="is", object=TextValue("here"))
    assert items_of(db.subjects, 1, prefix="shelf/") == ["shelf/%2F", "shelf/a b", "shelf/history", "shelf/ä"]
    for number, predicate in enumerate(("color", "is", "weight")):
        write(db, "shelf/ä", KEY_B, predicate=predicate, object=NumberValue(str(number)), timestamp=0)
    report = db.subject("shelf/ä")
    assert [one.predicate for one in report.items] == ["color", "is", "weight"]
    for pair in report.items:
        answer = db.query("shelf/ä", pair.predicate)
        assert answer.winner is not None
        assert (pair.value, pair.hash) == (answer.winner.value, answer.winner.hash)
        assert (pair.conflict, pair.status, pair.candidates_count) == (
            answer.conflict,
            answer.status,
            answer.candidates_count,
        )
    paged = items_of(lambda **asked: db.subject("shelf/ä", **asked), 2)
    assert paged == report.items
    for subject in ("shelf/a b", "shelf/%2F", "shelf/history"):
        assert db.subject(subject).subject == subject


def test_agent_that_said_nothing_stands_at_the_start(db: Database) -> None:
    report = db.agent(key_of(99).agent_hex)
    assert (report.trust, report.claims_count, report.right_count, report.is_operator) == (0.5, 0, 0, False)
    assert (report.revoked, report.items) == (None, [])


def test_operator_is_told_as_one(db: Database) -> None:
    assert db.agent(KEY_A.agent_hex).is_operator
    assert not db.agent(KEY_B.agent_hex).is_operator


def test_agent_s_claims_and_tokens_are_counted(db: Database) -> None:
    key = key_of(98)
    for number in range(3):
        write(db, "counted", key, timestamp=number)
    report = db.agent(key.agent_hex)
    assert (report.claims_count, report.has_more_claims) == (3, False)


def test_every_kind_of_event_is_found_by_its_hash_as_it_was_signed(db: Database) -> None:
    claimed = db.assert_("found by hash", "is", "so", wait_s=WAIT_S).hash
    vote = signed(make_vote(subject="found by hash", assertion=claimed, agent=KEY_B.agent_hex), KEY_B)
    voted = db.submit(vote, wait_s=WAIT_S)
    told = db.get_event(voted.hash)
    assert (told.hash, told.kind, told.seq, told.event) == (vote.hash_hex, "vote", voted.seq, vote.event)
    assert [(one.agent, one.signature) for one in told.signatures] == [
        (KEY_B.agent_hex, vote.signatures[0].signature.hex())
    ]
    assert (told.agents, told.since_seq) == ([KEY_B.agent_hex], None)
    assertion = db.get_event(claimed)
    stored = db.get(claimed)
    assert (assertion.event, assertion.signatures, assertion.seq) == (stored.event, stored.signatures, stored.seq)
    with pytest.raises(NotFound):
        db.get_event("0" * 64)
    with pytest.raises(InvalidParameter):
        db.get_event("0" * 63)


def test_folds_are_told_with_versions_and_positions_and_nothing_was_passed_over(db: Database) -> None:
    report = db.folds()
    versions = db.status().fold.versions
    assert {one.name: one.version for one in report.folds} == versions
    assert {one.applied_seq for one in report.folds} == {report.seq}
    assert (report.failure, report.is_outdated, report.dead_letters_count, report.items) == (None, False, 0, [])


def test_lenses_are_those_that_a_query_takes(db: Database) -> None:
    found = items_of(db.lenses, 2)
    assert [one.name for one in found] == sorted(LENSES)
    assert [one.name for one in found if one.is_default] == ["consensus"]
    assert all(one.version == LENSES[one.name].version for one in found)
