"""The table of families: one builder each, golden bytes, and the same table in the docs."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

import keycodec
import model
from keycodec import FAMILIES, FAMILY_BY_TAG, KEY_BYTES_MAX, Engine, Kind, engine_of, engine_under
from keycodec.grammar import COMPONENTS
from tests.keycodec.cases import CASES, Case, longest_parts

ROOT: Final = Path(__file__).parents[2]
GOLDEN: Final = json.loads((ROOT / "tests" / "golden" / "keys-v1.json").read_text("utf-8"))
PAGE: Final = (ROOT / "docs" / "format-keys.md").read_text("utf-8")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.tag)


def test_every_family_has_one_row_and_one_builder() -> None:
    tags = [family.tag for family in FAMILIES]
    assert len(set(tags)) == len(tags)
    assert [case.tag for case in CASES] == tags == list(FAMILY_BY_TAG)


def test_every_public_builder_is_covered() -> None:
    public = {name for name in keycodec.__all__ if name.endswith(("_key", "_prefix"))}
    covered = {case.build.__name__ for case in CASES} | {case.prefix.__name__ for case in CASES if case.prefix}
    assert covered | {"subject_prefix", "family_prefix"} == public


def test_every_component_is_known_and_used() -> None:
    assert {name for family in FAMILIES for name in family.components} == set(COMPONENTS)


def test_no_component_takes_the_rest_of_a_key_but_the_last() -> None:
    for family in FAMILIES:
        for name in family.components[:-1]:
            assert COMPONENTS[name].is_fixed or name in ("subject", "predicate"), family.tag


def test_posting_lists_are_kept_by_the_engine_that_has_them() -> None:
    assert {family.engine for family in FAMILIES if family.kind is Kind.POSTINGS} == {Engine.READ}


def test_each_engine_keeps_its_own_meta_rows_and_no_others() -> None:
    assert [family.tag for family in FAMILIES if family.engine is Engine.BOTH] == ["META"]


@each_case
def test_the_longest_key_of_the_table_is_the_longest_that_is_built_and_fits(case: Case) -> None:
    assert len(case.build(*longest_parts(case))) == case.family.key_bytes_max <= KEY_BYTES_MAX


@each_case
def test_engine_of_a_prefix_is_told_once_the_whole_tag_is_in_it_and_is_then_that_of_its_keys(case: Case) -> None:
    key = case.build(*GOLDEN[case.tag]["parts"])
    end = key.index(b":", key.index(b"\x00")) + 1
    assert {engine_under(key[:cut]) for cut in range(end)} == {None}
    assert {engine_under(key[:cut]) for cut in range(end, len(key) + 1)} == {engine_of(key)}


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


def test_the_page_lists_exactly_the_families_with_value_engine_and_longest_key() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (\w+) \| (\d+) \| .+ \|$", PAGE, re.MULTILINE)
    told = [(one.pattern, one.kind.value, one.engine.value, str(one.key_bytes_max)) for one in FAMILIES]
    assert rows == told


def test_the_page_lists_exactly_the_components() -> None:
    grammar = PAGE.partition("\n## Grammar\n")[2].partition("\n## ")[0]
    names = [
        name for row in re.findall(r"^\| ([a-z_, ]+) \| .+ \|$", grammar, re.MULTILINE) for name in row.split(", ")
    ]
    assert sorted(names) == sorted({"part", *COMPONENTS})


def test_the_worked_example_of_the_page_is_the_golden_key() -> None:
    shown = re.findall(r"^[0-9a-f ]{16,}$", PAGE, re.MULTILINE)
    assert [line.replace(" ", "") for line in shown] == [GOLDEN["SP"]["key"]]


def test_the_page_states_the_length_of_the_longest_key_of_each_engine() -> None:
    for engine, name in ((Engine.WRITE, "RocksDB"), (Engine.READ, "LMDB")):
        family = max((one for one in FAMILIES if one.engine is engine), key=lambda one: one.key_bytes_max)
        assert f"The longest key in {name} has {family.key_bytes_max} bytes (`{family.tag}`)" in PAGE
