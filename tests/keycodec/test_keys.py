"""Keys: built and parsed without loss, ordered, and safe to scan by prefix."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import keycodec
from keycodec import (
    FAMILIES,
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
from tests.keycodec.cases import CASES, PART_STRATEGIES, Case, keys, longest_parts

HASH = "0" * 64
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.tag)
subjects = PART_STRATEGIES["subject"]
Drawn = tuple[Case, tuple[str, ...]]


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
    assert (() if parsed.subject is None else (parsed.subject,)) + parsed.parts == parts
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


def sort_key(drawn: Drawn) -> tuple[bytes, ...]:
    case, parts = drawn
    if case.family.scope is Scope.GLOBAL:
        return (b"", case.tag.encode(), *(part.encode() for part in parts))
    return (parts[0].encode(), case.tag.encode(), *(part.encode() for part in parts[1:]))


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


def scope_of(drawn: Drawn) -> tuple[str, ...]:
    case, parts = drawn
    return (case.tag, parts[0]) if case.family.scope is Scope.SUBJECT else (case.tag,)


@pytest.mark.parametrize("key", [b"", b"a", b"a:S", b"a\x00", b"a:b\x00S", b"\x00META"], ids=ascii)
def test_bytes_that_end_before_their_tag_have_no_family_prefix(key: bytes) -> None:
    with pytest.raises(UnknownKey):
        family_prefix(key)


@given(subjects, subjects)
def test_known_subjects_can_be_scanned_by_how_they_begin(subject: str, start: str) -> None:
    key = keycodec.known_subject_key(subject)
    matches = subject.encode().startswith(start.encode())
    assert key.startswith(keycodec.known_subject_prefix(start)) is matches


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


BAD_TEXTS = ["", "a\x00b", "\x00"]
BAD_PARTS = {
    "subject": [*BAD_TEXTS, "s" * (SUBJECT_BYTES_MAX + 1), "s" * (SUBJECT_BYTES_MAX - 1) + "é"],
    "predicate": [*BAD_TEXTS, "p" * (PREDICATE_BYTES_MAX + 1), "p" * (PREDICATE_BYTES_MAX - 1) + "é"],
    "hash": ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "٠" * 64, "0" * 63 + "\n", "\ud800" * 64],
    "agent": ["", "0" * 63, "0" * 65, "F" * 64, "0x" + "0" * 62],
    "name": ["", "n" * 65, "é", "a\x00", "a\n", "\x7f", "\ud800"],
}


@each_case
def test_a_builder_refuses_every_bad_part(case: Case) -> None:
    good = longest_parts(case)
    for index, name in enumerate(case.names):
        for bad in BAD_PARTS[name]:
            parts = (*good[:index], bad, *good[index + 1 :])
            with pytest.raises(InvalidKeyPart):
                case.build(*parts)
            if case.prefix is not None and index < case.prefix_parts:
                with pytest.raises(InvalidKeyPart):
                    case.prefix(*parts[: case.prefix_parts])


@pytest.mark.parametrize("bad", [bad for bad in BAD_PARTS["subject"] if bad], ids=ascii)
def test_subject_prefixes_refuse_a_bad_subject(bad: str) -> None:
    for prefix in (subject_prefix, keycodec.known_subject_prefix):
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
    case = CASES[FAMILIES.index(parsed.family)]
    assert case.build(*(() if parsed.subject is None else (parsed.subject,)), *parsed.parts) == key
