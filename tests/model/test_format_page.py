"""docs/format-events.md says what the code does: kinds, fields, limits and the worked example."""

import json
import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from model import EVENT_TYPES, KINDS, DatabaseRules, Event, assertion, envelope, governance, rules, text

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "format-events.md").read_text("utf-8")
KINDS_PART: Final = PAGE.partition("\n## Kinds\n")[2].partition("\n## ")[0]
RULES_PART: Final = PAGE.partition("\n## Rules of the database\n")[2].partition("\n## ")[0]
BUNDLES_PART: Final = PAGE.partition("\n## Signatures by bundle\n")[2].partition("\n## ")[0]
EXAMPLE: Final = PAGE.partition("\n## Worked example\n")[2]
GOLDEN: Final = ROOT / "tests" / "golden"


def test_the_page_has_a_section_for_each_kind_and_no_other() -> None:
    assert tuple(re.findall(r"^### (\w+)$", KINDS_PART, re.MULTILINE)) == KINDS


@pytest.mark.parametrize(("kind", "cls"), list(zip(KINDS, EVENT_TYPES, strict=True)), ids=KINDS)
def test_the_page_lists_every_field_of_a_kind_and_which_are_optional(kind: str, cls: type[Event]) -> None:
    section = KINDS_PART.partition(f"### {kind}\n")[2].partition("\n### ")[0]
    listed = re.findall(r"^\| `(\w+\??)` \|", section, re.MULTILINE)
    fields = [field for field in msgspec.structs.fields(cls) if field.name != "v"]
    assert sorted(listed) == sorted(field.name + ("" if field.required else "?") for field in fields)


def test_the_page_lists_every_limit_with_its_value() -> None:
    limits = {
        name: value
        for module in (assertion, envelope, governance, rules, text)
        for name, value in vars(module).items()
        if name.endswith("_MAX")
    }
    listed = dict(re.findall(r"^\| ([A-Z_]+_MAX) \| (\d+) \|$", PAGE, re.MULTILINE))
    assert listed == {name: str(value) for name, value in limits.items()}


def test_the_worked_example_is_the_first_vector_and_the_golden_record() -> None:
    vector = json.loads((GOLDEN / "vectors.json").read_text("utf-8"))["vectors"][0]
    blocks = re.findall(r"^```\n(.*?)\n```$", EXAMPLE, re.MULTILINE | re.DOTALL)
    signatures = [f"agent     {entry['agent']}\nsignature {entry['signature']}" for entry in vector["signatures"]]
    record = (GOLDEN / "event-record-v1.hex").read_text("ascii").strip()
    assert blocks == [vector["canonical"], vector["hash"], *signatures, record]


def test_the_example_of_a_bundle_is_that_of_the_vectors_and_the_golden_record() -> None:
    bundle = json.loads((GOLDEN / "bundle-vectors.json").read_text("utf-8"))["bundle"]
    blocks = re.findall(r"^```\n(.*?)\n```$", BUNDLES_PART, re.MULTILINE | re.DOTALL)
    first = bundle["signatures"][0]
    record = (GOLDEN / "event-record-v2.hex").read_text("ascii").strip()
    signature = f"agent     {first['agent']}\nsignature {first['signature']}"
    assert blocks == [bundle["canonical"], bundle["hash"], signature, record]


def test_the_page_lists_every_rule_of_the_database_with_its_default() -> None:
    listed = re.findall(r"^\| `(\w+)` \| .+ \| ([\w,]+) \|$", RULES_PART, re.MULTILINE)
    fields = msgspec.structs.fields(DatabaseRules)
    assert listed == [(field.name, f"{field.default:,}" if field.default else "none") for field in fields]


def test_the_example_of_rules_is_the_golden_record() -> None:
    blocks = re.findall(r"^```\n(.*?)\n```$", RULES_PART, re.MULTILINE | re.DOTALL)
    assert blocks == [(GOLDEN / "rules-record-v1.hex").read_text("ascii").strip()]
