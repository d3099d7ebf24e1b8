"""Governance and lists, in process and over HTTP: what is written counts, shows, and can be paged."""

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from blake3 import blake3

from episteme.catalog import LISTINGS
from episteme.errors import EpistemeError, InvalidField, InvalidParameter, KeyProblem, NotApplied, NotFound
from episteme.lenses import LENSES
from model import BooleanValue, NumberValue, SigningKey, TextValue
from stores import pack_id
from tests.support.databases import KINDS, WAIT_S, Database, opened, write
from tests.support.events import HASH_1, HASH_2, KEY_A, KEY_B, NOW_MS, make_assertion, make_vote, signed

FAR = 10**12
DAY_MS = 86_400_000


@pytest.fixture(scope="module", params=KINDS)
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Each database in turn, shared by all tests here: each writes about subjects and keys of its own.

    It signs with KEY_A, an operator.
    """
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as database:
        yield database


def key_of(number: int) -> SigningKey:
    """A key that no other test has."""
    return SigningKey(number.to_bytes(32, "big"))


def items_of(read: Callable[..., Any], limit: int, **asked: Any) -> list[Any]:
    """All items of a list, page by page; no page is larger than the limit, and none but the last is short."""
    items: list[Any] = []
    cursor = None
    while True:
        page = read(limit=limit, cursor=cursor, **asked)
        assert len(page.items) <= limit
        items += page.items
        if page.next is None:
            return items
        assert len(page.items) == limit
        cursor = page.next


# Writing


def test_epoch_hides_the_claims_of_the_one_that_it_supersedes(db: Database) -> None:
    old = db.epoch("labels of 2025", NOW_MS - DAY_MS, end=NOW_MS)
    first = db.assert_("in epochs", "is", "old", epoch=old.hash, wait_s=WAIT_S)
    assert db.query("in epochs", "is").value == "old"
    new = db.epoch("labels of 2026", NOW_MS, supersedes=old.hash, supersession="temporal", wait_s=WAIT_S)
    assert db.query("in epochs", "is").value is None
    record = db.get_epoch(old.hash)
    assert (record.epoch, record.name, record.start, record.end) == (
        old.hash,
        "labels of 2025",
        NOW_MS - DAY_MS,
        NOW_MS,
    )
    assert (record.agent, record.seq) == (KEY_A.agent_hex, old.seq)
    assert record.superseded_by is not None
    assert (record.superseded_by.epoch, record.superseded_by.mode) == (new.hash, "temporal")
    assert record.superseded_by.seq == new.seq
    assert record.chain == [old.hash, new.hash]
    newer = db.get_epoch(new.hash)
    assert (newer.supersedes, newer.supersession, newer.superseded_by) == (old.hash, "temporal", None)
    listed = {one.epoch: one for one in items_of(db.epochs, 1)}
    assert list(listed) == sorted(listed)
    assert listed[old.hash].superseded_by == record.superseded_by
    assert [one.hash for one in db.assertions(epoch=old.hash).items] == [first.hash]


def test_superseded_assertion_gives_way_to_its_replacement_and_to_nothing(db: Database) -> None:
    old = db.assert_("superseded", "is", "old")
    new = db.assert_("superseded", "is", "new")
    db.supersede(old.hash, new.hash, reason="a typing error", wait_s=WAIT_S)
    assert db.query("superseded", "is").value == "new"
    assert [one.hash for one in db.lineage(new.hash).ancestors] == [old.hash]
    db.supersede(new.hash, wait_s=WAIT_S)
    assert db.query("superseded", "is").value is None


def test_own_claim_can_be_superseded_at_once(db: Database) -> None:
    for number in range(10):
        claim = db.assert_("superseded at once", "is", number)
        receipt = db.supersede(claim.hash)
    assert db.query("superseded at once", "is", min_seq=receipt.seq).value is None


def test_unknown_assertion_is_not_superseded(db: Database) -> None:
    with pytest.raises(NotFound):
        db.supersede(HASH_1)


def test_source_goes_from_active_to_retracted_and_what_rests_on_it_is_found(db: Database) -> None:
    content = "we looked at 30 people"
    source = blake3(content.encode()).hexdigest()
    registered = db.source(content=content, label="STEP 1", url="https://example.org/1")
    claim = db.assert_("rests on a source", "is", "so", source_hash=source)
    child = db.assert_("rests on a source", "is", "so too", parent_hash=claim.hash, wait_s=WAIT_S)
    assert db.query("rests on a source", "is").warnings == []
    retracted = db.source(source, label="STEP 1, retracted", status="retracted", wait_s=WAIT_S)
    report = db.get_source(source)
    assert (report.source_hash, report.label, report.status) == (source, "STEP 1, retracted", "retracted")
    assert (report.content_hash, report.content_bytes) == (source, len(content))
    assert [(one.status, one.hash, one.seq) for one in report.statuses] == [
        ("active", registered.hash, registered.seq),
        ("retracted", retracted.hash, retracted.seq),
    ]
    listed = {one.source_hash: one for one in items_of(db.sources, 1)}
    assert listed[source].status == "retracted"
    impact = db.impact(source)
    assert [(one.hash, one.subject, one.value) for one in impact.items] == [
        (claim.hash, "rests on a source", TextValue("so"))
    ]
    assert [(one.hash, one.via, one.depth) for one in impact.descendants] == [(child.hash, claim.hash, 1)]
    assert not impact.truncated


def test_source_keeps_label_and_address_that_are_not_said_anew(db: Database) -> None:
    source = blake3(b"kept").hexdigest()
    with pytest.raises(NotFound):
        db.source(source, status="retracted")
    db.source(source, label="Kept", url="https://example.org/kept")
    db.source(source, status="suspect", wait_s=WAIT_S)
    report = db.get_source(source)
    assert (report.label, report.url, report.status) == ("Kept", "https://example.org/kept", "suspect")
    db.source(source, label="Renamed", status="suspect", wait_s=WAIT_S)
    assert (db.get_source(source).label, db.get_source(source).url) == ("Renamed", None)


def test_hash_that_is_not_that_of_the_content_is_refused(db: Database) -> None:
    with pytest.raises(InvalidField):
        db.source(HASH_1, label="no", content="something else")
    with pytest.raises(InvalidField):
        db.source(label="neither")


def test_gold_standard_moves_the_trust_of_those_who_claimed(db: Database) -> None:
    right, wrong = key_of(71), key_of(72)
    db.submit(signed(make_assertion(subject="known", predicate="is", object=NumberValue("96.7")), right))
    db.submit(signed(make_assertion(subject="known", predicate="is", object=NumberValue("90")), wrong))
    gold = db.gold("known", "is", 96.5, tolerance=0.25, wait_s=WAIT_S)
    (record,) = db.gold_standards("known").items
    assert (record.value, record.tolerance, record.hash) == (NumberValue("96.5"), "0.25", gold.hash)
    assert db.gold_standards("known", "is").items == [record]
    assert db.gold_standards("known", "was").items == []
    better, worse = db.agent(right.agent_hex), db.agent(wrong.agent_hex)
    assert (better.trust, better.right_count, better.wrong_count) == (0.55, 1, 0)
    assert (worse.trust, worse.right_count, worse.wrong_count) == (0.4, 0, 1)
    (step,) = worse.items
    assert (step.seq, step.before, step.after) == (gold.seq, 0.5, 0.4)
    listed = {one.agent: one for one in items_of(db.agents, 1)}
    assert listed[right.agent_hex].trust == 0.55
    db.gold("known", "is", removed=True, wait_s=WAIT_S)
    assert db.gold_standards("known").items == []
    with pytest.raises(NotFound):
        db.gold("known", "is", removed=True)


def test_pack_shows_its_members_and_a_higher_version_replaces_a_lower_one(db: Database) -> None:
    db.pack("curated", 1, [KEY_B.agent_hex], wait_s=WAIT_S)
    pack = pack_id(KEY_A.agent, "curated")
    assert [(one.agent, one.weight) for one in db.get_pack(pack).members] == [(KEY_B.agent_hex, 1.0)]
    second = db.pack("curated", 2, {KEY_A.agent_hex: 0.5, KEY_B.agent_hex: None}, note="by hand", wait_s=WAIT_S)
    db.pack("curated", 1, [], wait_s=WAIT_S)
    report = db.get_pack(pack)
    assert (report.version, report.members_count, report.note, report.hash) == (2, 2, "by hand", second.hash)
    assert {one.agent: one.weight for one in report.members} == {KEY_A.agent_hex: 0.5, KEY_B.agent_hex: 1.0}
    assert (report.curator, report.name) == (KEY_A.agent_hex, "curated")
    assert [one.version for one in items_of(db.packs, 1) if one.pack == pack] == [2]


def test_quota_limit_is_the_agent_s(db: Database) -> None:
    agent = key_of(73).agent_hex
    before = db.agent(agent).quota
    db.quota_limit(agent, 5000, wait_s=WAIT_S)
    after = db.agent(agent).quota
    assert (before.limit, after.limit) == (10_000, 5000)
    assert after.used == 0
    assert after.resets_ms % 3_600_000 == 0


def test_predicate_s_rule_says_how_its_values_are_compared(db: Database) -> None:
    db.assert_("a book", "written by", "Ann; Bob")
    db.predicate("written by", cardinality="many", separator=";", default_lens="votes", wait_s=WAIT_S)
    (record,) = [one for one in items_of(db.predicates, 1) if one.predicate == "written by"]
    assert (record.cardinality, record.separator, record.default_lens) == ("many", ";", "votes")
    assert record.tolerance is None
    assert db.predicates("written").items == [record]
    answer = db.query("a book", "written by")
    assert (sorted(answer.value), answer.lens.name) == (["Ann", "Bob"], "votes")  # type: ignore[arg-type]


@pytest.mark.parametrize("subject", [".", "..", "...", "a/../b", "%2E", "?x=1#y"])
def test_subject_is_one_part_of_a_path_whatever_it_is(db: Database, subject: str) -> None:
    last = db.assert_(subject, "is", "so", wait_s=WAIT_S)
    assert [(pair.predicate, pair.hash) for pair in db.subject(subject).items] == [("is", last.hash)]
    assert [turn.seq for turn in db.history(subject, "is").turns] == [last.seq]


def test_history_takes_no_reasons_and_is_told_so(db: Database) -> None:
    for options in ({"explain": True}, {"full": True}, {"as_of": "seq:0"}):
        with pytest.raises(EpistemeError) as caught:
            db.history("s", "p", **options)  # type: ignore[arg-type]
        assert caught.value.code in ("invalid-parameter", "unknown-parameter")


def test_aliases_make_two_subjects_one_until_they_are_taken_back(db: Database) -> None:
    db.assert_("Tesla Inc", "founded", 2003)
    db.alias("Tesla", "Tesla Inc", wait_s=WAIT_S)
    assert db.query("Tesla", "founded").value == 2003
    (record,) = [one for one in items_of(db.aliases, 1) if one.subject == "Tesla"]
    assert (record.same_as, record.canonical, record.agent) == ("Tesla Inc", "Tesla Inc", KEY_A.agent_hex)
    assert db.subject("Tesla Inc").same_as == ["Tesla"]
    db.assert_("Tesla", "makes", "cars", wait_s=WAIT_S)
    for name in ("Tesla", "Tesla Inc"):
        pairs = items_of(lambda name=name, **paged: db.subject(name, **paged), 1)
        assert [(pair.predicate, pair.candidates_count) for pair in pairs] == [("founded", 1), ("makes", 1)]
    db.alias("Tesla", "Tesla", wait_s=WAIT_S)
    assert db.aliases("Tesla").items == []
    assert db.query("Tesla", "founded").value is None


def test_revoked_key_has_no_voice(db: Database) -> None:
    key = key_of(74)
    write(db, "said by one who is revoked", key)
    revoked = db.revoke(key.agent_hex, "stolen laptop", wait_s=WAIT_S)
    report = db.agent(key.agent_hex)
    assert report.revoked is not None
    assert (report.revoked.by, report.revoked.reason, report.revoked.hash, report.revoked.seq) == (
        KEY_A.agent_hex,
        "stolen laptop",
        revoked.hash,
        revoked.seq,
    )
    assert [one.agent for one in items_of(db.agents, 1) if one.is_revoked] == [key.agent_hex]
    assert db.query("said by one who is revoked", "causes_muscle_loss").value is None


def test_escalation_is_raised_listed_and_acknowledged(db: Database) -> None:
    before = db.status().fold.applied_seq
    for number, value in enumerate((True, False)):
        last = write(
            db,
            "regulated",
            key_of(75 + number),
            object=BooleanValue(value),
            source_class="regulatory",
            timestamp=NOW_MS + number,
        )
    page = db.escalations(after=before)
    (found,) = page.items
    assert (found.rule, found.level, found.status) == ("regulatory_conflict", "critical", "open")
    assert (found.subject, found.predicate, found.raised.seq) == ("regulated", "causes_muscle_loss", last.seq)
    assert page.next is None
    assert db.get_escalation(found.id) == found
    ack = db.acknowledge(found.id, "both stand", wait_s=WAIT_S)
    seen = db.get_escalation(found.id)
    assert seen.status == "acknowledged"
    assert seen.acknowledged is not None
    assert (seen.acknowledged.verdict, seen.acknowledged.hash) == ("both stand", ack.hash)
    for asked, expected in (
        ({"status": ["open"]}, []),
        ({"status": ["open", "acknowledged"]}, [seen]),
        ({"level": ["critical"], "rule": "regulatory_conflict", "subject": "regulated"}, [seen]),
        ({"level": ["info", "warning"], "subject": "regulated"}, []),
        ({"subject": "other"}, []),
        ({"order": "oldest", "subject": "regulated"}, [seen]),
        ({"after": page.seq}, []),
        ({"after": FAR}, []),
    ):
        assert db.escalations(**asked).items == expected, asked  # type: ignore[arg-type]


def test_escalation_that_is_not_there_is_not_acknowledged(db: Database) -> None:
    before = db.status().log.seq
    with pytest.raises(NotFound):
        db.acknowledge("1" * 32, "seen")
    for odd in ("", "1", HASH_1):
        with pytest.raises(InvalidParameter):
            db.acknowledge(odd, "seen")
    assert db.status().log.seq == before


def test_who_has_no_key_reads_and_does_not_govern(db: Database) -> None:
    key, db.key = db.key, None
    try:
        assert db.lenses().items
        for act in (
            lambda: db.epoch("none", 0),
            lambda: db.alias("a", "b"),
            lambda: db.revoke(HASH_1),
            lambda: db.acknowledge(HASH_1),
        ):
            with pytest.raises(KeyProblem):
                act()
    finally:
        db.key = key


@pytest.mark.parametrize(
    "act",
    [
        lambda db: db.epoch("", 0),
        lambda db: db.epoch("backwards", 2, end=1),
        lambda db: db.epoch("of nothing", 0, supersedes=HASH_1),
        lambda db: db.epoch("of text", "today"),
        lambda db: db.source("abc", label="short"),
        lambda db: db.source(HASH_1, label="odd", status="doubtful"),
        lambda db: db.gold("s", "p"),
        lambda db: db.gold("s", "p", 1, tolerance=-1),
        lambda db: db.gold("s", "p", 1, tolerance="1e-9"),
        lambda db: db.pack("p", 1, ["nobody"]),
        lambda db: db.pack("p", 1, {KEY_A.agent_hex: 2}),
        lambda db: db.pack("p", -1, []),
        lambda db: db.quota_limit(KEY_A.agent_hex, -1),
        lambda db: db.quota_limit("nobody", 1),
        lambda db: db.predicate("p", cardinality="few"),
        lambda db: db.predicate("p", cardinality="many", separator=""),
        lambda db: db.alias("", "b"),
        lambda db: db.alias("a\n", "b"),
        lambda db: db.revoke("nobody"),
        lambda db: db.assert_("s", "p", "v", valid_from=2, valid_to=1),
        lambda db: db.assert_("s", "p", "v", epoch="of text"),
    ],
)
def test_event_that_breaks_a_rule_is_refused_with_its_field_and_writes_nothing(
    db: Database, act: Callable[[Database], object]
) -> None:
    before = db.status().log.seq
    with pytest.raises(InvalidField) as caught:
        act(db)
    assert caught.value.errors
    assert db.status().log.seq == before


def test_claim_carries_its_span_its_epoch_and_its_audience(db: Database) -> None:
    database = db.status().database
    receipt = db.assert_(
        "spanning", "is", "so", valid_from=-5, valid_to=NOW_MS, epoch=HASH_2, audience=database, wait_s=WAIT_S
    )
    event = db.get(receipt.hash).event
    assert (event.valid_from, event.valid_to, event.epoch, event.audience) == (-5, NOW_MS, HASH_2, database)


# Reading


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


READS: list[Callable[..., Any]] = [
    lambda db, **asked: db.ballot(HASH_1, **asked),
    lambda db, **asked: db.assertions(**asked),
    lambda db, **asked: db.subjects(**asked),
    lambda db, **asked: db.subject("s", **asked),
    lambda db, **asked: db.agents(**asked),
    lambda db, **asked: db.agent(HASH_1, **asked),
    lambda db, **asked: db.epochs(**asked),
    lambda db, **asked: db.sources(**asked),
    lambda db, **asked: db.impact(HASH_1, **asked),
    lambda db, **asked: db.packs(**asked),
    lambda db, **asked: db.gold_standards(**asked),
    lambda db, **asked: db.escalations(**asked),
    lambda db, **asked: db.predicates(**asked),
    lambda db, **asked: db.aliases(**asked),
    lambda db, **asked: db.folds(**asked),
    lambda db, **asked: db.lenses(**asked),
]


def test_every_list_of_the_catalogue_is_among_those_tried_here() -> None:
    paged = [one.path for one in LISTINGS if "cursor" in one.parameters and not one.path.startswith("/v1/audit/")]
    assert len(READS) == len(paged)


@pytest.mark.parametrize("read", READS)
def test_list_refuses_a_bad_limit_a_foreign_cursor_and_a_position_far_ahead(
    db: Database, read: Callable[..., Any]
) -> None:
    write(db, "cursors")
    foreign = db.assertions(subject="cursors", limit=1).next or db.lenses(limit=1).next
    for asked in (
        {"limit": 0},
        {"limit": 1001},
        {"cursor": "x"},
        {"cursor": ""},
        {"cursor": "é"},
        {"cursor": "A" * 2000},
    ):
        with pytest.raises(InvalidParameter) as caught:
            read(db, **asked)
        assert caught.value.errors[0].pointer == next(iter(asked))
    if read is not READS[-1]:
        with pytest.raises(InvalidParameter):
            read(db, cursor=foreign)
    with pytest.raises(NotApplied):
        read(db, min_seq=FAR, wait_s=0)


@pytest.mark.parametrize(
    ("read", "pointer"),
    [
        (lambda db: db.ballot("abc"), "hash"),
        (lambda db: db.lineage(HASH_1, depth=0), "depth"),
        (lambda db: db.lineage(HASH_1, depth=101), "depth"),
        (lambda db: db.assertions(subject=""), "subject"),
        (lambda db: db.assertions(subject="a\n"), "subject"),
        (lambda db: db.assertions(predicate="x" * 129), "predicate"),
        (lambda db: db.assertions(agent=HASH_1[1:]), "agent"),
        (lambda db: db.assertions(source_class=["rumour"]), "source_class"),
        (lambda db: db.assertions(lifecycle=["done"]), "lifecycle"),
        (lambda db: db.assertions(epoch=HASH_1.upper().replace("1", "A")), "epoch"),
        (lambda db: db.assertions(since_seq=-1), "since_seq"),
        (lambda db: db.subjects("a\n"), "prefix"),
        (lambda db: db.subjects("x" * 257), "prefix"),
        (lambda db: db.subject("x" * 257), "subject"),
        (lambda db: db.agent("nobody"), "agent"),
        (lambda db: db.get_epoch("none"), "epoch"),
        (lambda db: db.get_source("none"), "source"),
        (lambda db: db.impact("none"), "source"),
        (lambda db: db.get_pack("none"), "pack"),
        (lambda db: db.gold_standards(predicate="p"), "predicate"),
        (lambda db: db.escalations(status=["closed"]), "status"),
        (lambda db: db.escalations(level=["loud"]), "level"),
        (lambda db: db.escalations(order="sideways"), "order"),
        (lambda db: db.escalations(after=-2), "after"),
        (lambda db: db.escalations(after=1, order="newest"), "after"),
        (lambda db: db.get_escalation(HASH_1), "id"),
        (lambda db: db.lenses(min_seq=-1), "min_seq"),
        (lambda db: db.lenses(wait_s=31), "wait"),
    ],
)
def test_bad_parameter_is_refused_with_its_name(db: Database, read: Callable[[Database], object], pointer: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        read(db)
    assert [problem.pointer for problem in caught.value.errors] == [pointer]


def test_cursor_of_another_question_is_refused(db: Database) -> None:
    for number in range(3):
        write(db, "two questions", timestamp=number, source_class=("clinical", "expert")[number % 2])
    page = db.assertions(subject="two questions", limit=1)
    assert page.next is not None
    assert len(db.assertions(subject="two questions", limit=5, cursor=page.next).items) == 2
    with pytest.raises(InvalidParameter):
        db.assertions(subject="two questions", source_class=["expert"], cursor=page.next)


def test_list_with_min_seq_sees_the_write(db: Database) -> None:
    for number in range(10):
        receipt = db.submit(signed(make_assertion(subject="list sees it", timestamp=number)))
        page = db.assertions(subject="list sees it", min_seq=receipt.seq, wait_s=WAIT_S)
        assert len(page.items) == number + 1
        assert page.seq >= receipt.seq


def test_wait_for_escalations_ends_when_there_is_one_and_when_the_time_is_over(db: Database) -> None:
    behind = db.status().fold.applied_seq
    assert db.escalations(after=behind, wait_s=0.05).items == []

    def raise_one() -> None:
        for number, value in enumerate((True, False)):
            write(
                db,
                "raised while one waits",
                key_of(110 + number),
                object=BooleanValue(value),
                source_class="regulatory",
            )

    thread = Thread(target=raise_one)
    thread.start()
    try:
        page = db.escalations(after=behind, wait_s=WAIT_S, subject="raised while one waits")
        assert [one.subject for one in page.items] == ["raised while one waits"]
    finally:
        thread.join()


def test_what_is_wrong_is_told_the_same_in_process_and_over_http(tmp_path: Any) -> None:
    def told(db: Database) -> list[tuple[str, str]]:
        write(db, "first")
        found = []
        for read in (
            lambda: db.assertions(limit=0),
            lambda: db.assertions(cursor="nonsense"),
            lambda: db.assertions(lifecycle=["done"]),
            lambda: db.get_epoch(HASH_1),
            lambda: db.escalations(after=1, order="newest"),
            lambda: db.epoch("of nothing", 0, supersedes=HASH_1),
        ):
            with pytest.raises(EpistemeError) as caught:
                read()
            found.append((caught.value.code, caught.value.detail))
        return found

    with opened("node", tmp_path / "node") as node:
        in_process = told(node)
    with opened("client", tmp_path / "served") as client:
        assert told(client) == in_process
