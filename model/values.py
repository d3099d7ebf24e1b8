"""What a claim may say: the four types of object value."""

from msgspec import Struct

from model.text import SUBJECT_BYTES_MAX, TEXT_BYTES_MAX, check_label, check_number, check_text


class ObjectValue(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """The parent of the four; never made itself."""


class TextValue(ObjectValue, frozen=True, tag="text"):
    """Any text of up to 16 KiB."""

    value: str

    def __post_init__(self) -> None:
        check_text("value", self.value, TEXT_BYTES_MAX)


class NumberValue(ObjectValue, frozen=True, tag="number"):
    """An exact decimal, as a string: JSON floats differ between languages."""

    value: str

    def __post_init__(self) -> None:
        check_number("value", self.value)


class BooleanValue(ObjectValue, frozen=True, tag="boolean"):
    """True or false."""

    value: bool


class ReferenceValue(ObjectValue, frozen=True, tag="reference"):
    """Another subject."""

    value: str

    def __post_init__(self) -> None:
        check_label("value", self.value, SUBJECT_BYTES_MAX)


AnyValue = TextValue | NumberValue | BooleanValue | ReferenceValue
