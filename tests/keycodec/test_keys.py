"""Keys: built and parsed without loss, ordered, and safe to scan by prefix."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import keycodec
import model
from keycodec import (
    KEY_BYTES_MAX,
    PREDICATE_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    InvalidKeyPart,
    KeyCodecError,
    Scope,
    UnknownKey,
    family_of,
    family_prefix,
    parse,
    prefix_end,
    subject_prefix,
)
from tests.keycodec.cases import CASE_BY_TAG, CASES, PART_STRATEGIES, Case, Parts, keys, longest_parts

HASH = "0" * 64
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.tag)
subjects = PART_STRATEGIES["subject"]
times = PART_STRATEGIES["time"]
labels = st.one_of(
    st.text(min_size=1, max_size=20), st.sampled_from(["p" * 128, "é" * 64, "é" * 65, "s" * 256, "😀" * 64])
)
Drawn = tuple[Case, Parts]


def built(drawn: Drawn) -> bytes:
    case, parts = drawn
    return case.build(*parts)


@given(keys())
def test_parse_gives_back_what_was_built(drawn: Drawn) -> None:
    case, parts = drawn
    key = built(drawn)
    parsed = parse(key)
    assert parsed.family is case.family
    assert (parsed.subject is None) is (case.family.scope is Scope.GLOBAL)
    assert parsed.arguments() == parts
    assert family_of(key) is case.family


@given(keys())
def test_a_key_of_valid_parts_fits_in_every_engine(drawn: Drawn) -> None:
    assert 0 < len(built(drawn)) <= KEY_BYTES_MAX == 511


@each_case
def test_the_longest_key_of_a_family_fits_in_every_engine(case: Case) -> None:
    key = case.build(*longest_parts(case))
    assert len(key) <= KEY_BYTES_MAX
    assert parse(key).family is case.family


@given(keys(), keys())
def test_different_parts_give_different_keys(one: Drawn, other: Drawn) -> None:
    assert (built(one) == built(other)) is (one == other)


@given(keys(), subjects)
@example((CASES[1], ("ab",)), "a")
@example((CASES[1], ("a",)), "ab")
@example((CASES[1], ("a:S:",)), "a")
def test_a_subject_prefix_matches_that_subject_alone(drawn: Drawn, subject: str) -> None:
    case, parts = drawn
    about_subject = case.family.scope is Scope.SUBJECT and parts[0] == subject
    assert built(drawn).startswith(subject_prefix(subject)) is about_subject


@given(keys(), keys())
def test_global_keys_come_first_then_keys_sort_by_subject_then_tag(one: Drawn, other: Drawn) -> None:
    assert (built(one) < built(other)) is (sort_key(one) < sort_key(other))


def sort_key(drawn: Drawn) -> tuple[bytes | int, ...]:
    case, parts = drawn
    values = [part if isinstance(part, int) else part.encode() for part in parts]
    if case.family.scope is Scope.GLOBAL:
        return (b"", case.tag.encode(), *values)
    return (values[0], case.tag.encode(), *values[1:])


@given(keys(), keys())
def test_a_prefix_matches_keys_of_its_own_family_and_parts_only(one: Drawn, other: Drawn) -> None:
    case, parts = one
    if case.prefix is None:
        return
    fixed = parts[: case.prefix_parts]
    prefix = case.prefix(*fixed)
    assert built(one).startswith(prefix)
    belongs = other[0] is case and other[1][: case.prefix_parts] == fixed
    assert built(other).startswith(prefix) is belongs


@given(keys(), st.data())
def test_a_prefix_tells_families_of_one_subject_apart(drawn: Drawn, data: st.DataObject) -> None:
    case, parts = drawn
    if case.family.scope is Scope.GLOBAL or case.prefix is None:
        return
    prefix = case.prefix(*parts[: case.prefix_parts])
    for other in CASES:
        if other.family.scope is Scope.SUBJECT and other is not case:
            rest = (data.draw(PART_STRATEGIES[name]) for name in other.names[1:])
            assert not other.build(parts[0], *rest).startswith(prefix)


@given(keys(), keys())
def test_keys_share_a_family_prefix_just_when_family_and_subject_are_the_same(one: Drawn, other: Drawn) -> None:
    prefix = family_prefix(built(one))
    assert built(one).startswith(prefix)
    assert built(other).startswith(prefix) is (family_prefix(built(other)) == prefix)
    assert (family_prefix(built(other)) == prefix) is (scope_of(one) == scope_of(other))


def scope_of(drawn: Drawn) -> Parts:
    case, parts = drawn
    return (case.tag, parts[0]) if case.family.scope is Scope.SUBJECT else (case.tag,)


@pytest.mark.parametrize("key", [b"", b"a", b"a:S", b"a\x00", b"a:b\x00S", b"\x00META"], ids=ascii)
def test_bytes_that_end_before_their_tag_have_no_family_prefix(key: bytes) -> None:
    with pytest.raises(UnknownKey):
        family_prefix(key)


@given(subjects, subjects)
def test_subjects_can_be_scanned_by_how_they_begin(subject: str, start: str) -> None:
    matches = subject.encode().startswith(start.encode())
    for key, prefix in (
        (keycodec.known_subject_key(subject), keycodec.known_subject_prefix(start)),
        (keycodec.alias_key(subject), keycodec.alias_prefix(start)),
        (keycodec.gold_list_key(subject, start[:32]), keycodec.gold_list_start(start)),
    ):
        assert key.startswith(prefix) is matches


@given(PART_STRATEGIES["predicate"], PART_STRATEGIES["predicate"])
def test_predicates_can_be_scanned_by_how_they_begin(predicate: str, start: str) -> None:
    matches = predicate.encode().startswith(start.encode())
    assert keycodec.predicate_key(predicate).startswith(keycodec.predicate_prefix(start)) is matches


@given(st.lists(st.tuples(subjects, PART_STRATEGIES["predicate"]), max_size=6))
@example([("a", "b:c"), ("a:b", "c"), ("a", "b"), ("a\x01", "a"), ("ab", "a"), ("a", "ÿ")])
def test_gold_list_sorts_by_subject_then_predicate_and_no_two_pairs_meet(pairs: list[tuple[str, str]]) -> None:
    keys_in_order = sorted({keycodec.gold_list_key(*pair) for pair in pairs})
    read = [parse(key).arguments() for key in keys_in_order]
    assert read == sorted(set(pairs), key=lambda pair: (pair[0].encode(), pair[1].encode()))


@given(times, times, PART_STRATEGIES["query_id"])
def test_a_start_of_a_time_lies_between_earlier_keys_and_the_rest(time: int, other: int, made_up: str) -> None:
    for start, key in (
        (keycodec.agent_audit_start(HASH, time), keycodec.agent_audit_key(HASH, other, made_up)),
        (keycodec.pair_audit_start("a", "p", time), keycodec.pair_audit_key("a", "p", other, made_up)),
        (keycodec.escalation_start(time), keycodec.escalation_key(other, made_up)),
    ):
        assert (start < key) is (time <= other)


@given(subjects, PART_STRATEGIES["predicate"], st.binary(min_size=32, max_size=32))
def test_keys_made_at_once_are_those_made_one_by_one(subject: str, predicate: str, digest: bytes) -> None:
    made = keycodec.assertion_row_keys(subject, predicate, digest)
    assert msgspec.structs.asdict(made) == {
        "subject": subject.encode(),
        "assertion": keycodec.assertion_key(subject, digest.hex()),
        "hash_subject": keycodec.hash_subject_key(digest.hex()),
        "subject_postings": keycodec.subject_postings_key(subject),
        "pair_postings": keycodec.pair_postings_key(subject, predicate),
        "known_subject": keycodec.known_subject_key(subject),
    }
    assert keycodec.assertion_keys(subject, [digest]) == [made.assertion]
    assert keycodec.vote_tally_keys(subject, [digest]) == [keycodec.vote_tally_key(subject, digest.hex())]


@given(
    PART_STRATEGIES["query_id"],
    times,
    st.lists(PART_STRATEGIES["agent"], max_size=2),
    subjects,
    st.lists(PART_STRATEGIES["predicate"], max_size=2),
)
def test_keys_of_an_audit_made_at_once_are_those_made_one_by_one(
    query_id: str, time: int, agents: list[str], subject: str, predicates: list[str]
) -> None:
    assert keycodec.audit_row_keys(query_id, time, agents, subject, predicates) == [
        keycodec.audit_key(query_id),
        *(keycodec.agent_audit_key(agent, time, query_id) for agent in agents),
        *(keycodec.pair_audit_key(subject, predicate, time, query_id) for predicate in predicates),
    ]


@given(times, times)
def test_a_start_of_audits_lies_between_those_of_earlier_milliseconds_and_the_rest(time: int, other: int) -> None:
    query_id = f"{other >> 16:012x}" + "0" * 20
    assert (keycodec.audit_start(time) < keycodec.audit_key(query_id)) is (time >> 16 <= other >> 16)


def test_keys_made_at_once_refuse_every_bad_part() -> None:
    for bad in BAD_PARTS["subject"]:
        with pytest.raises(InvalidKeyPart):
            keycodec.assertion_row_keys(bad, "p", bytes(32))
    for bad in BAD_PARTS["predicate"]:
        with pytest.raises(InvalidKeyPart):
            keycodec.assertion_row_keys("s", bad, bytes(32))
    for bad_digest in (b"", bytes(31), bytes(33), b"0" * 64):
        with pytest.raises(InvalidKeyPart):
            keycodec.assertion_row_keys("s", "p", bad_digest)


def test_parts_of_a_parsed_key_have_names() -> None:
    parsed = parse(keycodec.agent_audit_key(HASH, 2**40, "1" * 32))
    assert (parsed.text("agent"), parsed.number("time"), parsed.text("query_id")) == (HASH, 2**40, "1" * 32)
    assert parse(keycodec.quota_key(HASH, 490_896)).number("window") == 490_896
    assert parse(keycodec.gold_list_key("a:b", "c")).arguments() == ("a:b", "c")


@given(st.binary(max_size=6), st.lists(st.binary(max_size=8), max_size=8))
@example(b"", [b"\xff"])
@example(b"\xff\xff", [b"\xff\xff\xff"])
@example(b"a\xff", [b"a\xff", b"b", b"a\xff\xff"])
@example(b"\x00", [b"\x00", b"\x01"])
def test_prefix_end_is_the_least_key_above_all_under_a_prefix(prefix: bytes, others: list[bytes]) -> None:
    end = prefix_end(prefix)
    if end is None:
        assert not prefix.strip(b"\xff")
    for key in [*others, *(prefix + other for other in others), prefix]:
        in_range = key >= prefix and (end is None or key < end)
        assert in_range is key.startswith(prefix)
    if end is not None:
        assert end > prefix + b"\xff" * 8
        assert not end.endswith(b"\x00"), "a shorter one would do"


BAD_TEXTS = ["", "a\x00b", "\x00", "\ud800"]
BAD_HASHES = ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "٠" * 64, "0" * 63 + "\n", "\ud800" * 64, "0x" + "0" * 62]
BAD_SHORT_IDS = ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32, " " * 32, "٠" * 32, "0" * 64]
BAD_PARTS: dict[str, list[Any]] = {
    "subject": [*BAD_TEXTS, "s" * (SUBJECT_BYTES_MAX + 1), "s" * (SUBJECT_BYTES_MAX - 1) + "é"],
    "predicate": [*BAD_TEXTS, "p" * (PREDICATE_BYTES_MAX + 1), "p" * (PREDICATE_BYTES_MAX - 1) + "é"],
    "name": ["", "n" * 65, "é", "a\x00", "a\n", "\x7f", "\ud800"],
    "query_id": BAD_SHORT_IDS,
    "id": BAD_SHORT_IDS,
    "pair": BAD_SHORT_IDS,
    "value": BAD_SHORT_IDS,
    "recency": BAD_SHORT_IDS,
    "alias": BAD_SHORT_IDS,
    "tie": ["", "0" * 81, "0" * 83, "A" * 82],
    "rank": [-1, 2**64],
    "inverse": [-1, 2**64],
    "seq": [-1, 2**64],
    "time": [-1, 2**64],
    "window": [-1, 2**32],
}


@each_case
def test_a_builder_refuses_every_bad_part(case: Case) -> None:
    good = longest_parts(case)
    for index, name in enumerate(case.names):
        for bad in BAD_PARTS.get(name, BAD_HASHES):
            parts = (*good[:index], bad, *good[index + 1 :])
            with pytest.raises(InvalidKeyPart):
                case.build(*parts)
            if case.prefix is not None and index < case.prefix_parts:
                with pytest.raises(InvalidKeyPart):
                    case.prefix(*parts[: case.prefix_parts])


@pytest.mark.parametrize("bad", [bad for bad in BAD_PARTS["subject"] if bad], ids=ascii)
def test_subject_prefixes_refuse_a_bad_subject(bad: str) -> None:
    for prefix in (subject_prefix, keycodec.known_subject_prefix, keycodec.gold_list_start, keycodec.alias_prefix):
        with pytest.raises(InvalidKeyPart):
            prefix(bad)


def test_text_that_utf8_cannot_hold_is_refused_as_a_bad_part() -> None:
    for build in (
        lambda: subject_prefix("\ud800"),
        lambda: keycodec.view_key("\ud800", "p"),
        lambda: keycodec.view_key("s", "\ud800"),
        lambda: keycodec.known_subject_key("\ud800"),
        lambda: keycodec.known_subject_prefix("\ud800"),
    ):
        with pytest.raises(InvalidKeyPart):
            build()


def test_an_empty_subject_has_no_prefix_but_all_known_subjects_do() -> None:
    with pytest.raises(InvalidKeyPart):
        subject_prefix("")
    assert keycodec.known_subject_prefix("") == keycodec.known_subject_prefix()


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a", id="no NUL"),
        pytest.param(b"a:S:", id="colons only"),
        pytest.param(b"a\x00", id="a subject prefix"),
        pytest.param(b"a\x00S", id="no colon"),
        pytest.param(b"a:b\x00S", id="a colon in the subject only"),
        pytest.param(b"a\x00:", id="empty tag"),
        pytest.param(b"a\x00X:", id="unknown tag"),
        pytest.param(b"a\x00s:", id="tag in lower case"),
        pytest.param(b"a\x00 S:", id="space before the tag"),
        pytest.param(b"a\x00\x00S:", id="two NULs"),
        pytest.param(b"\x00S:", id="subject family in the global scope"),
        pytest.param(b"a\x00META:cursor", id="global family under a subject"),
        pytest.param(b"s" * 600 + b"\x00S:", id="too long for any engine"),
    ],
)
def test_bytes_that_are_no_key_have_no_family(key: bytes) -> None:
    for read in (parse, family_of):
        with pytest.raises(UnknownKey):
            read(key)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(b"a\x00S:x", id="S takes no suffix"),
        pytest.param(b"a\x00H:", id="no hash"),
        pytest.param(b"a\x00H:" + b"A" * 64, id="upper-case hash"),
        pytest.param(b"a\x00H:" + b"0" * 65, id="long hash"),
        pytest.param(b"a\x00V:" + b"0" * 64, id="vote without its second hash"),
        pytest.param(b"a\x00V:" + b"0" * 64 + b":", id="vote with an empty second hash"),
        pytest.param(b"a\x00V:" + b"0" * 128, id="vote without its colon"),
        pytest.param(b"a\x00V:" + b"0" * 63 + b":" + b"0" * 64, id="vote with a short first hash"),
        pytest.param(b"a\x00SP:", id="empty predicate"),
        pytest.param(b"a\x00SP:" + b"p" * 129, id="long predicate"),
        pytest.param(b"a\x00SP:p\x00q", id="NUL in the predicate"),
        pytest.param(b"a\x00SP:\xff", id="predicate is not UTF-8"),
        pytest.param(b"\xff\x00S:", id="subject is not UTF-8"),
        pytest.param(b"\xed\xa0\x80\x00S:", id="subject holds a surrogate"),
        pytest.param(b"s" * 257 + b"\x00S:", id="long subject"),
        pytest.param(b"\x00SUBJECTS:", id="empty known subject"),
        pytest.param(b"\x00META:\xc3\xa9", id="META name is not ASCII"),
        pytest.param(b"\x00GS_LIST:a", id="listed pair without its NUL"),
        pytest.param(b"\x00GS_LIST:a:b", id="listed pair with a colon for its NUL"),
        pytest.param(b"\x00GS_LIST:\x00b", id="listed pair without a subject"),
        pytest.param(b"\x00GS_LIST:a\x00", id="listed pair without a predicate"),
        pytest.param(b"\x00GS_LIST:a\x00b\x00c", id="listed pair with a third part"),
        pytest.param(b"\x00GS_LIST:" + b"s" * 257 + b"\x00b", id="listed pair with a long subject"),
        pytest.param(b"\x00DEAD:" + b"0" * 15, id="short position"),
        pytest.param(b"\x00DEAD:" + b"0" * 17, id="long position"),
        pytest.param(b"\x00DEAD:" + b"0" * 15 + b"A", id="position in upper case"),
        pytest.param(b"\x00DEAD:-" + b"0" * 15, id="negative position"),
        pytest.param(b"\x00DEAD:0x" + b"0" * 14, id="position with 0x"),
        pytest.param(b"\x00DEAD:" + b"0_0_0_0_0_0_0_00", id="position with underscores"),
        pytest.param(b"\x00QUOTA:" + b"0" * 64 + b":0077d9", id="short hour"),
        pytest.param(b"\x00QUOTA:" + b"0" * 64 + b";00077d90", id="hour without its colon"),
        pytest.param(b"\x00AUD:" + b"0" * 64, id="query id as long as a hash"),
        pytest.param(b"\x00AUDA:" + b"0" * 64 + b":" + b"0" * 16, id="agent's audit without its id"),
    ],
)
def test_a_key_with_a_bad_part_is_not_parsed(key: bytes) -> None:
    with pytest.raises(KeyCodecError):
        parse(key)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=40).map(lambda tail: b"a\x00SP:" + tail)))
def test_whatever_parses_is_what_a_builder_makes(key: bytes) -> None:
    try:
        parsed = parse(key)
    except KeyCodecError:
        return
    assert CASE_BY_TAG[parsed.family.tag].build(*parsed.arguments()) == key


@given(keys(), st.data())
def test_a_changed_key_parses_only_if_a_builder_makes_it(drawn: Drawn, data: st.DataObject) -> None:
    key = built(drawn)
    start = data.draw(st.integers(0, len(key)))
    end = data.draw(st.integers(start, min(len(key), start + 3)))
    patch = data.draw(
        st.one_of(st.binary(max_size=3), st.sampled_from([b":", b"\x00", b"0", b"f", b"A", b"S:", b"\xc3"]))
    )
    changed = key[:start] + patch + key[end:]
    try:
        parsed = parse(changed)
    except KeyCodecError:
        return
    assert CASE_BY_TAG[parsed.family.tag].build(*parsed.arguments()) == changed


@each_case
def test_the_family_is_told_from_the_key_of_every_family(case: Case) -> None:
    assert family_of(case.build(*longest_parts(case))) is case.family


@given(labels, labels)
def test_every_label_that_an_event_may_hold_makes_a_key(subject: str, predicate: str) -> None:
    try:
        model.check_label("subject", subject, SUBJECT_BYTES_MAX)
        model.check_label("predicate", predicate, PREDICATE_BYTES_MAX)
    except model.FieldRule:
        return
    assert parse(keycodec.view_key(subject, predicate)).arguments() == (subject, predicate)
