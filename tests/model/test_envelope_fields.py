"""The rule of every field: what lies just inside is taken, what lies just outside is refused with a pointer."""

from decimal import Decimal
from typing import Final

import msgspec
import pytest

from model import InvalidField, kind_of
from model.text import INT_MAX
from tests.model.bodies import ABSENT, FULL, assertion, decode, full, obj
from tests.support.events import FULL_EVENTS

# Optional fields that go together with another: their rules are in test_envelope_rules.py.
TIED: Final = {("epoch", "supersedes"), ("epoch", "supersession"), ("supersession", "replacement")}
HEX_64: Final = "0" * 64
HEX_FIELDS: Final = [
    (kind, field)
    for kind, event in FULL.items()
    for field, value in event.items()
    if isinstance(value, str) and len(value) == 64
]
TIME_FIELDS: Final = [(kind, "timestamp") for kind in FULL] + [("quota_limit", "tokens"), ("trust_pack", "version")]
MOMENT_FIELDS: Final = [("assertion", "valid_from"), ("assertion", "valid_to"), ("epoch", "start"), ("epoch", "end")]
LABEL_FIELDS: Final = [
    *((kind, "subject", 256) for kind in ("assertion", "vote", "supersession", "gold_standard", "alias")),
    *((kind, "predicate", 128) for kind in ("assertion", "gold_standard", "predicate")),
    ("assertion", "audience", 256),
    ("epoch", "name", 256),
    ("source", "label", 256),
    ("source", "url", 2048),
    ("trust_pack", "name", 256),
    ("predicate", "default_lens", 64),
    ("alias", "same_as", 256),
    ("escalation_ack", "escalation", 256),
]
TEXT_FIELDS: Final = [
    ("assertion", "narrative", 8192),
    ("vote", "reason", 8192),
    ("supersession", "reason", 8192),
    ("source", "content", 1024 * 1024),
    ("trust_pack", "note", 8192),
    ("predicate", "separator", 16),
    ("key_revocation", "reason", 8192),
    ("escalation_ack", "verdict", 8192),
]
UNIT_BAD: Final = [
    "1.1",
    ".5",
    "1e0",
    "-0",
    "",
    "1.",
    "00",
    "0.0000001",
    "1.0000000",
    "1.000001",
    "+1",
    " 1",
    "1\n",
    "٠",
]


@pytest.mark.parametrize("kind", FULL)
def test_a_required_field_is_missed_by_name_and_an_optional_one_is_not_missed(kind: str) -> None:
    cls = next(type(event) for event in FULL_EVENTS if kind_of(event) == kind)
    for field in msgspec.structs.fields(cls):
        without = full(kind, **{field.name: ABSENT})
        if field.required:
            with pytest.raises(InvalidField, match="is missing") as caught:
                decode(without)
            assert caught.value.pointer == f"/event/{field.name}"
        elif (kind, field.name) not in TIED:
            decode(without)


@pytest.mark.parametrize("kind", FULL)
def test_null_and_unknown_fields_are_refused_in_every_kind(kind: str) -> None:
    for field in [*FULL[kind], "surprise"]:
        with pytest.raises(InvalidField) as caught:
            decode(full(kind, **{field: None}))
        assert caught.value.pointer == f"/event/{field}"


@pytest.mark.parametrize(("kind", "field"), HEX_FIELDS)
def test_hex_is_64_lower_case_digits(kind: str, field: str) -> None:
    for bad in ("", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0x" + "0" * 62, HEX_64 + "\n", "٠" * 64, 0, ["0"]):
        with pytest.raises(InvalidField) as caught:
            decode(full(kind, **{field: bad}))
        assert caught.value.pointer == f"/event/{field}"


@pytest.mark.parametrize(("kind", "field"), TIME_FIELDS)
def test_times_and_counts_are_integers_from_0_to_2_to_the_53_less_1(kind: str, field: str) -> None:
    for good in (0, INT_MAX):
        decode(full(kind, **{field: good, **({"valid_to": ABSENT} if kind == "assertion" else {})}))
    for bad in (-1, INT_MAX + 1, 2**64, 10**400, 1.5, 1.0, 1e3, "1", True, [1]):
        with pytest.raises(InvalidField) as caught:
            decode(full(kind, **{field: bad}))
        assert caught.value.pointer == f"/event/{field}"


@pytest.mark.parametrize(("kind", "field"), MOMENT_FIELDS)
def test_moments_may_lie_before_1970_but_not_beyond_2_to_the_53_less_1(kind: str, field: str) -> None:
    decode(full(kind, **{field: INT_MAX if field in ("valid_to", "end") else -INT_MAX}))
    for bad in (-INT_MAX - 1, INT_MAX + 1, 1.5, "1", True):
        with pytest.raises(InvalidField) as caught:
            decode(full(kind, **{field: bad}))
        assert caught.value.pointer == f"/event/{field}"


@pytest.mark.parametrize(("kind", "field", "bytes_max"), LABEL_FIELDS)
def test_labels_are_limited_in_utf8_bytes_and_hold_no_control_characters(kind: str, field: str, bytes_max: int) -> None:
    for good in ("a", "a" * bytes_max, "é" * (bytes_max // 2), "a" * (bytes_max - 4) + "😀", "a:b/c \u2028"):
        decode(full(kind, **{field: good}))
    too_long = ("a" * (bytes_max + 1), "a" * (bytes_max - 1) + "é", "a" * (bytes_max - 3) + "😀")
    controls = ("a\x00b", "\x00", "a\n", "\x1b[31m", "a\x7f", "a\x9bb", "é\t")
    for bad in ("", *too_long, *controls, "e\u0301", "\u212b", 1, ["a"]):
        with pytest.raises(InvalidField) as caught:
            decode(full(kind, **{field: bad}))
        assert caught.value.pointer == f"/event/{field}"


@pytest.mark.parametrize(("kind", "field", "bytes_max"), TEXT_FIELDS)
def test_texts_are_limited_in_utf8_bytes_and_may_hold_control_characters(kind: str, field: str, bytes_max: int) -> None:
    for good in ("a\nb\tc\x00", "a" * bytes_max, "é" * (bytes_max // 2)):
        decode(full(kind, **{field: good}))
    for bad in ("a" * (bytes_max + 1), "a" * (bytes_max - 1) + "é", "e\u0301", 1):
        with pytest.raises(InvalidField) as caught:
            decode(full(kind, **{field: bad}))
        assert caught.value.pointer == f"/event/{field}"


@pytest.mark.parametrize("good", ["0", "1", "0.5", "0.50", "0.999999", "1.0", "1.000000", "0.000000"])
def test_decimals_with_at_most_six_digits_are_taken(good: str) -> None:
    decode(assertion(confidence=good))
    decode(full("vote", weight=good))
    decode(full("vote", weight=f"-{good}"))
    decode(full("trust_pack", members=[{"agent": HEX_64, "weight": good}]))
    decode(full("gold_standard", tolerance=good))


@pytest.mark.parametrize("bad", [*UNIT_BAD, 1, 0.5, None], ids=repr)
def test_other_decimals_are_refused(bad: object) -> None:
    cases = [
        ("/event/confidence", assertion(confidence=bad)),
        ("/event/members/0/weight", full("trust_pack", members=[{"agent": HEX_64, "weight": bad}])),
    ]
    if bad != "-0":
        cases.append(("/event/weight", full("vote", weight=bad)))
    for pointer, event in cases:
        with pytest.raises(InvalidField) as caught:
            decode(event)
        assert caught.value.pointer == pointer


@pytest.mark.parametrize("good", ["0", "-0", "96.70", "1e5", "1E+5", "-1.5e-9", "1e308", "1e-999", "9" * 308])
def test_numbers_are_decimal_strings_finite_as_a_double(good: str) -> None:
    decode(obj("number", good))


@pytest.mark.parametrize(
    "bad",
    [
        *("", "01", "+1", "NaN", "inf", "-Infinity", "1e999", "-1e309", "9" * 400, "1" * 401, ".5", "5.", "1e"),
        *("0x1", "1_000", "1,5", " 1", "1\n", "١", "--1", 1, 1.5, True, None),
    ],
    ids=lambda bad: f"{bad!r:.12}",
)
def test_other_numbers_are_refused(bad: object) -> None:
    for event in (obj("number", bad), full("gold_standard", object={"type": "number", "value": bad})):
        with pytest.raises(InvalidField) as caught:
            decode(event)
        assert caught.value.pointer == "/event/object/value"


@pytest.mark.parametrize("text", ["1e-99999999999999999999", "0e99999999999999999999", "0E-99999999999999999999"])
def test_a_number_is_refused_or_can_be_read_as_an_exact_decimal(text: str) -> None:
    """Readers hand numbers out as Decimal, whose exponent is limited; no claim may break its readers."""
    try:
        decode(obj("number", text))
    except InvalidField:
        return
    assert Decimal(text).is_finite()
