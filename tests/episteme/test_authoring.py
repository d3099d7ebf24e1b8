"""From Python values to what is signed: exact, in the one spelling that the format takes."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.authoring import decimal_text, object_of
from episteme.errors import InvalidField
from model import BooleanValue, NumberValue, ReferenceValue, TextValue


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.0", TextValue("1.0")),
        ("", TextValue("")),
        (True, BooleanValue(True)),
        (False, BooleanValue(False)),
        (0, NumberValue("0")),
        (-7, NumberValue("-7")),
        (10**300, NumberValue("1" + "0" * 300)),
        (0.1, NumberValue("0.1")),
        (1.0, NumberValue("1.0")),
        (1e22, NumberValue("1e+22")),
        (5e-324, NumberValue("5e-324")),
        (-0.0, NumberValue("-0.0")),
        (Decimal("96.70"), NumberValue("96.70")),
        (Decimal("1E+7"), NumberValue("1e+7")),
        (Decimal("0E-10"), NumberValue("0e-10")),
        (Decimal("-0"), NumberValue("-0")),
        (ReferenceValue("Tesla"), ReferenceValue("Tesla")),
        (NumberValue("96.70"), NumberValue("96.70")),
    ],
    ids=repr,
)
def test_value_becomes_the_object_of_its_type(value: Any, expected: object) -> None:
    assert object_of(value) == expected


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**1000), 2**1000))
def test_number_is_told_exactly(value: float) -> None:
    told = object_of(value)
    assert isinstance(told, NumberValue)
    assert Decimal(told.value) == Decimal(repr(value))
    assert type(value)(told.value) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**300), max_value=10**300, places=None))
def test_decimal_is_told_digit_by_digit(value: Decimal) -> None:
    told = object_of(value)
    assert isinstance(told, NumberValue)
    assert Decimal(told.value).as_tuple() == value.as_tuple()


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+400"),
    ],
    ids=repr,
)
def test_number_that_is_not_finite_is_refused(value: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        object_of(value)
    assert caught.value.errors[0].pointer == "/event/object/value"


@pytest.mark.parametrize("value", ["x" * 16385, "e\u0301", "\ud800", 10**400])
def test_value_that_breaks_a_rule_is_refused(value: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        object_of(value)
    assert caught.value.errors[0].pointer == "/event/object/value"


@pytest.mark.parametrize("value", [None, b"bytes", ["a"], {"a": 1}, 1j, pytest.param(object(), id="object")], ids=repr)
def test_value_of_another_type_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        object_of(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0, "0"),
        (1.0, "1"),
        (0.85, "0.85"),
        (0.1 + 0.2, "0.3"),
        (-0.5, "-0.5"),
        (1e-6, "0.000001"),
        (1e-9, "0"),
        (Decimal("0.50"), "0.5"),
        (Decimal("1E-3"), "0.001"),
        (100, "100"),
        ("0.50", "0.50"),
    ],
)
def test_confidence_and_weight_are_plain_decimals_of_six_digits(value: str | float | Decimal, text: str) -> None:
    assert decimal_text(value) == text


@pytest.mark.parametrize("value", [0.0, -0.0, -1e-9, Decimal("-0.0000001")])
def test_nothing_is_spelled_without_a_sign(value: float | Decimal) -> None:
    assert decimal_text(value) == "0"
