"""The table of families: one builder each, golden bytes, and the same table in the docs."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

import keycodec
import model
from keycodec import FAMILIES, FAMILY_BY_TAG, Family, Scope
from tests.keycodec.cases import CASES, Case, longest_parts

ROOT: Final = Path(__file__).parents[2]
GOLDEN: Final = json.loads((ROOT / "tests" / "golden" / "keys-v1.json").read_text("utf-8"))
PAGE: Final = (ROOT / "docs" / "format-keys.md").read_text("utf-8")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.tag)


def pattern_of(family: Family) -> str:
    """The key as the page writes it."""
    subject = "{subject}" if family.scope is Scope.SUBJECT else ""
    parts = ":".join(f"{{{name}}}" for name in family.components)
    return f"{subject}\\x00{family.tag}:{parts}"


def test_every_family_has_one_row_and_one_builder() -> None:
    tags = [family.tag for family in FAMILIES]
    assert len(set(tags)) == len(tags)
    assert [case.tag for case in CASES] == tags == list(FAMILY_BY_TAG)


def test_every_public_builder_is_covered() -> None:
    public = {name for name in keycodec.__all__ if name.endswith(("_key", "_prefix"))}
    covered = {case.build.__name__ for case in CASES} | {case.prefix.__name__ for case in CASES if case.prefix}
    assert covered | {"subject_prefix", "family_prefix"} == public


def test_only_the_last_part_of_a_suffix_varies_in_width() -> None:
    for family in FAMILIES:
        assert set(family.components[:-1]) <= {"hash", "agent"}, family.tag


@each_case
def test_the_golden_key_is_built_byte_for_byte_and_parsed(case: Case) -> None:
    row = GOLDEN[case.tag]
    key = case.build(*row["parts"])
    assert key.hex() == row["key"]
    assert keycodec.parse(bytes.fromhex(row["key"])).family is case.family


def test_the_golden_table_has_exactly_the_families() -> None:
    assert list(GOLDEN) == [family.tag for family in FAMILIES]


def test_limits_are_those_of_the_model() -> None:
    assert keycodec.SUBJECT_BYTES_MAX == model.SUBJECT_BYTES_MAX == 256
    assert keycodec.PREDICATE_BYTES_MAX == model.PREDICATE_BYTES_MAX == 128


def test_the_page_lists_exactly_the_families_with_value_and_engine() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    listed = [(key, value, engine) for key, value, engine, _ in rows]
    assert listed == [(pattern_of(family), family.kind.value, family.engine.value) for family in FAMILIES]


def test_the_worked_example_of_the_page_is_the_golden_key() -> None:
    shown = re.findall(r"^[0-9a-f ]{16,}$", PAGE, re.MULTILINE)
    assert [line.replace(" ", "") for line in shown] == [GOLDEN["SP"]["key"]]


def test_the_page_states_the_length_of_the_longest_key() -> None:
    longest = max(len(case.build(*longest_parts(case))) for case in CASES)
    assert f"The longest key has {longest} bytes" in PAGE
