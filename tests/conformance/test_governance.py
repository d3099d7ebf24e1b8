"""Governance, in process and over HTTP: what is written counts and shows, or is refused."""

from collections.abc import Callable

import pytest
from blake3 import blake3

from episteme.errors import EpistemeError, InvalidField, InvalidParameter, KeyProblem, NotFound
from model import BooleanValue, NumberValue, TextValue
from stores import pack_id
from tests.support.databases import WAIT_S, Database, write
from tests.support.events import HASH_1, HASH_2, KEY_A, KEY_B, NOW_MS, make_assertion, signed
from tests.support.paged import FAR, items_of, key_of

DAY_MS = 86_400_000


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
