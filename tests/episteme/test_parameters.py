"""Parameters from outside: what is taken, what is refused, and which one is named."""

from collections.abc import Callable

import pytest

from episteme.errors import InvalidParameter, UnknownLens
from episteme.lenses import LENSES
from episteme.parameters import (
    check_wait,
    make_question,
    parse_as_of,
    parse_count,
    parse_duration_s,
    parse_hash,
    question_of,
)
from episteme.reading import LIMIT_DEFAULT, LIMIT_MAX, AsOf, as_parameters
from episteme.reading.question import as_of_text
from model import LIFECYCLES, SOURCE_CLASSES


def named(call: Callable[[], object]) -> list[str]:
    """The parameters that a refusal names."""
    with pytest.raises(InvalidParameter) as caught:
        call()
    return [problem.pointer for problem in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2.0), ("500ms", 0.5), ("1m", 60.0), ("2", 2.0), ("0", 0.0), ("1.5s", 1.5), ("0.25", 0.25), ("007s", 7.0)],
)
def test_duration_is_seconds_whatever_its_unit(text: str, seconds: float) -> None:
    assert parse_duration_s("wait", text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "2 s", " 2s", "2s\n", "-1s", "+1s", "1e3", ".5s", "1.s", "2h", "2S", "nan", "9" * 10, "1_0"],
)
def test_anything_else_is_no_duration(text: str) -> None:
    assert named(lambda: parse_duration_s("max_age", text)) == ["max_age"]


def test_digits_of_other_scripts_are_no_duration() -> None:
    assert named(lambda: parse_duration_s("wait", "٣s")) == ["wait"]


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("7", 7), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_count_is_a_whole_number(text: str, count: int) -> None:
    assert parse_count("limit", text) == count


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", " 1", "1\n", "٣", "²", "0x1", "1_000", "9" * 19])
def test_anything_else_is_no_count(text: str) -> None:
    assert named(lambda: parse_count("limit", text)) == ["limit"]


def test_hash_is_its_bytes() -> None:
    assert parse_hash("0f" * 32) == b"\x0f" * 32


@pytest.mark.parametrize("text", ["", "0f" * 31, "0f" * 33, "0F" * 32, "0g" * 32, "0f" * 32 + "\n", "0x" + "0f" * 31])
def test_anything_else_is_no_hash(text: str) -> None:
    assert named(lambda: parse_hash(text)) == ["hash"]


@pytest.mark.parametrize("wait_s", [-0.001, 30.001, float("inf"), float("nan"), -float("inf")])
def test_wait_out_of_bounds_is_refused(wait_s: float) -> None:
    assert named(lambda: check_wait(wait_s, 30.0)) == ["wait"]


def test_wait_of_just_the_bounds_is_taken() -> None:
    check_wait(0, 30.0)
    check_wait(30.0, 30.0)


def test_question_without_options_has_the_defaults() -> None:
    question = make_question("s", "p")
    assert (question.lens, question.limit, question.full) == (None, LIMIT_DEFAULT, False)
    assert (question.source_class, question.lifecycle) == ((), ())
    assert question.fits_view


def test_question_that_spells_the_defaults_out_is_the_same() -> None:
    assert make_question("s", "p", lens=None, limit=LIMIT_DEFAULT, params={}, include=()) == make_question("s", "p")


@pytest.mark.parametrize("lens", sorted(LENSES))
def test_every_lens_can_be_asked_for(lens: str) -> None:
    assert make_question("s", "p", lens=lens).lens == lens


@pytest.mark.parametrize("lens", ["", "Consensus", "loudest", "consensus "])
def test_unknown_lens_is_refused_with_those_that_there_are(lens: str) -> None:
    with pytest.raises(UnknownLens) as caught:
        make_question("s", "p", lens=lens)
    assert all(name in caught.value.detail for name in LENSES)


def test_one_name_needs_no_list() -> None:
    assert make_question("s", "p", include="revoked") == make_question("s", "p", include=["revoked"])
    assert named(lambda: make_question("s", "p", source_class="expert,clinical")) == ["source_class"]


def test_chosen_names_come_in_their_own_order_and_once() -> None:
    question = make_question("s", "p", source_class=["expert", "clinical", "expert"], lifecycle=reversed(LIFECYCLES))
    assert question.source_class == ("clinical", "expert")
    assert question.lifecycle == LIFECYCLES
    assert not question.fits_view


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": LIMIT_MAX + 1}, "limit"),
        ({"source_class": [""]}, "source_class"),
        ({"source_class": ["Clinical"]}, "source_class"),
        ({"source_class": [*SOURCE_CLASSES, "rumour"]}, "source_class"),
        ({"lifecycle": ["approved", "done"]}, "lifecycle"),
        ({"include": ["everything"]}, "include"),
        ({"epoch": "2026"}, "epoch"),
        ({"pack": "F" * 64}, "pack"),
        ({"decay": "fast"}, "decay"),
        ({"decay": "0d"}, "decay"),
        ({"params": {"threshold": "0.5", "colour": "blue"}}, "colour"),
        ({"lens": "consensus", "params": {"threshold": "2"}}, "threshold"),
        ({"lens": "recency", "params": {"thresold": "0.5"}}, "thresold"),
    ],
)
def test_bad_option_is_named(options: dict[str, object], name: str) -> None:
    assert named(lambda: make_question("s", "p", **options)) == [name]  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "a\0b", "a\nb", "\x85", "e\u0301", "\ud800", "x" * 257])
def test_bad_subject_is_named(text: str) -> None:
    assert named(lambda: make_question(text, "p")) == ["subject"]


def test_bad_predicate_is_named() -> None:
    assert named(lambda: make_question("s", "x" * 129)) == ["predicate"]
    assert make_question("x" * 256, "x" * 128).fits_view


def test_limit_of_just_the_bounds_is_taken() -> None:
    assert make_question("s", "p", limit=1).limit == 1
    assert make_question("s", "p", limit=LIMIT_MAX).limit == LIMIT_MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seq:0", AsOf(seq=0)),
        ("seq:123", AsOf(seq=123)),
        ("2h", AsOf(span_ms=7_200_000)),
        ("90s", AsOf(span_ms=90_000)),
        ("7d", AsOf(span_ms=604_800_000)),
        ("1767225600000", AsOf(time_ms=1_767_225_600_000)),
        ("2026-01-01T00:00:00Z", AsOf(time_ms=1_767_225_600_000)),
        ("2026-01-01T01:00:00.5+01:00", AsOf(time_ms=1_767_225_600_500)),
        ("1969-12-31T23:59:59Z", AsOf(time_ms=-1000)),
        ("-1000", AsOf(time_ms=-1000)),
        ("0001-01-01T00:00:00+23:59", AsOf(time_ms=-62_135_683_140_000)),
        ("999999999999999ms", AsOf(span_ms=999_999_999_999_999)),
        ("11574074d", AsOf(span_ms=999_999_993_600_000)),
    ],
)
def test_moment_of_the_past_is_a_position_a_time_or_a_span(text: str, expected: AsOf) -> None:
    assert parse_as_of(text) == expected
    assert parse_as_of(as_of_text(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seq:",
        "seq:-1",
        "seq:1e3",
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2w",
        "-2h",
        "1" * 16,
        "٣h",
        "11574075d",
        "--1",
        "-",
    ],
)
def test_anything_else_is_no_moment(text: str) -> None:
    assert named(lambda: parse_as_of(text)) == ["as_of"]


def test_a_question_is_asked_again_by_its_parameters() -> None:
    question = make_question(
        "s",
        "p",
        lens="trust",
        params={"threshold": "0.25"},
        source_class=["expert", "clinical"],
        lifecycle=["approved"],
        epoch="e" * 64,
        include=["revoked", "superseded"],
        decay="30d",
        pack="f" * 64,
        as_of="seq:12",
        valid_at="2026-01-01T00:00:00Z",
        limit=7,
    )
    assert question_of(as_parameters(question)) == question
    assert question_of(as_parameters(make_question("s", "p"))) == make_question("s", "p")


@pytest.mark.parametrize(
    "text", ["1969-07-20T20:17:40Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999Z", "-1"]
)
def test_a_moment_at_any_time_is_asked_again_by_its_parameters(text: str) -> None:
    question = make_question("s", "p", valid_at=text, as_of=text)
    assert question_of(as_parameters(question)) == question
