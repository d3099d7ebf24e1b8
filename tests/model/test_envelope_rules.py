"""Rules of one kind or of several fields together: each broken once, and refused at its place."""

from typing import Any, Final

import pytest

from model import InvalidField, UnknownKind
from tests.model.bodies import ABSENT, PLAIN, assertion, decode, full, obj
from tests.support.events import KEY_A, NOW_MS

HEX_64: Final = "0" * 64
MANY_KEYS: Final = {f"k{number}": "" for number in range(33)}
LIMIT_VALUE: Final = "é" * 2047  # 4094 bytes, and 2 for its key


def refused(pointer: str, event: dict[str, Any], name: str) -> Any:
    return pytest.param(pointer, event, id=f"{pointer} {name}")


def test_metadata_is_taken_up_to_its_limits() -> None:
    for metadata in ({}, dict(list(MANY_KEYS.items())[:32]), {"ab": LIMIT_VALUE}, {"a-b_c.9" + "x" * 57: "\n"}):
        decode(assertion(metadata=metadata))
    decode(obj("text", "a" * 16 * 1024))
    decode(obj("text", ""))


@pytest.mark.parametrize(
    ("pointer", "event"),
    [
        *(refused("/event/kind", {**PLAIN, "kind": kind}, repr(kind)) for kind in ("", "Assertion", "x", 1, [[[]]])),
    ],
)
def test_an_unknown_kind_has_a_class_of_its_own(pointer: str, event: dict[str, Any]) -> None:
    with pytest.raises(UnknownKind) as caught:
        decode(event)
    assert (caught.value.pointer, caught.value.code) == (pointer, "unknown-kind")


@pytest.mark.parametrize(
    ("pointer", "event"),
    [
        refused("/event/kind", assertion(kind=ABSENT), "missing"),
        *(refused("/event/v", assertion(v=v), repr(v)) for v in (0, 1, 3, "2", 2.0, True)),
        refused("/event/object", assertion(object="text"), "is a string"),
        refused("/event/object/type", assertion(object={"value": "a"}), "missing"),
        refused("/event/object/type", obj("date", "2026"), "unknown"),
        refused("/event/object/value", assertion(object={"type": "text"}), "missing"),
        refused("/event/object/unit", assertion(object={"type": "text", "value": "", "unit": "kg"}), "unknown"),
        *(refused("/event/object/value", obj("text", bad), f"text {bad}") for bad in (1, True, None, 1.5, [], {})),
        *(refused("/event/object/value", obj("boolean", bad), f"boolean {bad!r}") for bad in ("true", 1, None)),
        *(refused("/event/object/value", obj("reference", bad), f"reference {bad!r}") for bad in ("", 1, "a\n")),
        refused("/event/object/value", obj("reference", "a" * 257), "reference too long"),
        refused("/event/object/value", obj("text", "a" * (16 * 1024 + 1)), "text over 16 KiB"),
        refused("/event/object/value", obj("text", "e\u0301"), "text not NFC"),
        *(refused("/event/source_class", assertion(source_class=bad), repr(bad)) for bad in ("Clinical", "", 1)),
        *(refused("/event/lifecycle", assertion(lifecycle=bad), repr(bad)) for bad in ("done", "", 0)),
        refused("/event/agent", assertion(agent=KEY_A.agent_hex), "is no field of an assertion"),
        refused("/event/valid_to", assertion(valid_from=5, valid_to=4), "before valid_from"),
        refused("/event/valid_to", assertion(valid_from=5, valid_to=5), "equal to valid_from"),
        refused("/event/valid_to", assertion(valid_to=NOW_MS), "not after the timestamp"),
        refused("/event/metadata", assertion(metadata=MANY_KEYS), "33 keys"),
        refused("/event/metadata", assertion(metadata={"abc": LIMIT_VALUE}), "4097 bytes in all"),
        refused("/event/metadata", assertion(metadata={"a": "x" * 4097}), "value too long"),
        refused("/event/metadata/a", assertion(metadata={"a": "e\u0301"}), "value not NFC"),
        refused("/event/subject", assertion(subject="a\ufdd0"), "code point never assigned"),
        *(
            refused("/event/metadata", assertion(metadata={key: ""}), repr(key[:9]))
            for key in ("", "A", "a b", "ü", "a\n", "a" * 65, "a/b")
        ),
        *(refused("/event/metadata", assertion(metadata={"a": bad}), repr(bad)) for bad in (1, None, {}, 1.5)),
        refused("/event/metadata", assertion(metadata=[]), "is an array"),
        refused("/event/supersession", full("epoch", supersession=ABSENT), "missing beside supersedes"),
        refused("/event/supersession", full("epoch", supersedes=ABSENT), "without supersedes"),
        refused("/event/supersession", full("epoch", supersession="other"), "unknown"),
        refused("/event/end", full("epoch", start=NOW_MS, end=NOW_MS), "not after the start"),
        refused("/event/mode", full("supersession", mode="hide"), "unknown"),
        refused("/event/replacement", full("supersession", mode="invalidate"), "with mode invalidate"),
        refused("/event/replacement", full("supersession", replacement=ABSENT), "missing with mode replace"),
        refused("/event/status", full("source", status="good"), "unknown"),
        refused("/event/removed", full("gold_standard", removed=False), "false"),
        *(
            refused("/event/tolerance", full("gold_standard", tolerance=bad), repr(bad))
            for bad in ("-1", "1" * 16, "1e3", "01", "0.1234567", "", 1)
        ),
        refused("/event/members", full("trust_pack", members=[{"agent": HEX_64}] * 2), "same agent twice"),
        refused("/event/members", full("trust_pack", members=[{"agent": HEX_64}] * 10_001), "too many"),
        refused("/event/members/0/agent", full("trust_pack", members=[{}]), "missing"),
        refused("/event/members/0/x", full("trust_pack", members=[{"agent": HEX_64, "x": 1}]), "unknown"),
        refused("/event/cardinality", full("predicate", cardinality="two"), "unknown"),
        refused("/event/separator", full("predicate", separator=""), "empty"),
        refused("/event/events", full("bundle", events=[]), "none"),
        refused("/event/events", full("bundle", events=[HEX_64] * 2), "same hash twice"),
        refused("/event/events", full("bundle", events=[HEX_64] * 10_001), "too many"),
        refused("/event/events/1", full("bundle", events=[HEX_64, "A" * 64]), "upper-case hash"),
    ],
)
def test_what_breaks_a_rule_is_refused_at_its_place(pointer: str, event: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as caught:
        decode(event)
    assert type(caught.value) is InvalidField
    assert (caught.value.pointer, caught.value.code) == (pointer, "invalid-field")
