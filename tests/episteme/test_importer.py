"""From rows to claims: templates, one key a source, rows that say nothing or break a rule; always the same events."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from episteme import Key, Node
from episteme.errors import InvalidParameter, KeyProblem
from episteme.importer import (
    Keyring,
    Plan,
    Skipped,
    bundled_claims,
    check_columns,
    claims,
    read_columns,
    read_rows,
    summarize_skipped,
)
from episteme.vouchers import AllVouchers
from model import Assertion, BooleanValue, Bundle, NumberValue, ReferenceValue, SignedEvent, TextValue

PLAN = Plan(subject="isbn:{isbn}", predicate="authors", object="{authors}", timestamp_ms=1000)
TABLE = """isbn,authors,shop
1,Knuth,Indoo.com
2, Zürich ,Buch & Co.
3,N/A,Indoo.com
4,,Indoo.com
"""


def table(folder: Path, text: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(
    path: Path, plan: Plan = PLAN, folder: Path | None = None
) -> tuple[list[tuple[int, SignedEvent]], list[Skipped], Keyring]:
    """All claims of a file, what was skipped, and the keys that signed."""
    single = Key(bytes(32))
    keyring = Keyring(plan, lambda: single, folder)
    skipped: list[Skipped] = []
    return list(claims(read_rows(path), plan, keyring, skipped.append)), skipped, keyring


def events(path: Path, plan: Plan = PLAN) -> list[Assertion]:
    found = [signed.event for _, signed in run(path, plan)[0]]
    assert all(isinstance(event, Assertion) for event in found)
    return [event for event in found if isinstance(event, Assertion)]


def test_row_becomes_a_signed_claim_by_the_templates(tmp_path: Path) -> None:
    plan = Plan(
        subject="isbn:{isbn}",
        predicate="{shop} says",
        object="{authors}, {isbn}",
        confidence="0.5",
        source_class="expert",
        lifecycle="proposed",
        timestamp_ms=77,
        metadata={"shop": "{shop}", "fixed": "x"},
    )
    ((line, signed),) = run(table(tmp_path, "isbn,authors,shop\n1, Knuth ,Indoo.com\n"), plan)[0]
    signed.verify()
    assert line == 2
    assert signed.event == Assertion(
        v=2,
        subject="isbn:1",
        predicate="Indoo.com says",
        object=TextValue("Knuth, 1"),
        confidence="0.5",
        source_class="expert",
        lifecycle="proposed",
        timestamp=77,
        metadata={"shop": "Indoo.com", "fixed": "x"},
    )


def test_values_are_taken_as_they_are_and_never_as_templates(tmp_path: Path) -> None:
    (event,) = events(table(tmp_path, 'isbn,authors\n1,"{isbn} {0} %s \\n"\n'))
    assert event.object == TextValue("{isbn} {0} %s \\n")


def test_text_is_brought_to_nfc_and_stripped(tmp_path: Path) -> None:
    (event,) = events(table(tmp_path, "isbn,authors\ne\u0301,\u00a0Zu\u0308rich \n"))
    assert (event.subject, event.object) == ("isbn:\u00e9", TextValue("Z\u00fcrich"))


@pytest.mark.parametrize(
    ("object_type", "text", "value"),
    [
        ("number", "96.70", NumberValue("96.70")),
        ("boolean", "TRUE", BooleanValue(True)),
        ("boolean", "false", BooleanValue(False)),
        ("reference", "Tesla", ReferenceValue("Tesla")),
        ("text", "96.70", TextValue("96.70")),
    ],
)
def test_object_is_read_as_the_plan_says(tmp_path: Path, object_type: str, text: str, value: object) -> None:
    plan = Plan(subject="s", predicate="p", object="{v}", object_type=object_type, timestamp_ms=0)
    (event,) = events(table(tmp_path, f"v\n{text}\n"), plan)
    assert event.object == value


@pytest.mark.parametrize(
    "plan",
    [
        Plan(subject="{nope}", predicate="p", object="{v}", timestamp_ms=0),
        Plan(subject="s", predicate="{nope}", object="{v}", timestamp_ms=0),
        Plan(subject="s", predicate="p", object="{v} {nope}", timestamp_ms=0),
        Plan(subject="s", predicate="p", object="{v}", timestamp_ms=0, metadata={"a": "{nope}"}),
        Plan(subject="s", predicate="p", object="{v}", timestamp_ms=0, sign_per="nope"),
    ],
)
def test_column_that_the_file_does_not_have_is_named_with_those_that_it_has(tmp_path: Path, plan: Plan) -> None:
    columns = read_columns(table(tmp_path, "v,w\n1,2\n"))
    assert columns == ["v", "w"]
    with pytest.raises(InvalidParameter, match=r"'nope'.* v, w"):
        check_columns(plan, columns)


def test_rows_that_say_nothing_are_skipped_and_counted_by_their_words(tmp_path: Path) -> None:
    path = table(tmp_path, "isbn,authors\n1,N/A\n2,n/a\n3,\n4,Not Available\n5, null \n6,Knuth\n7\n")
    found, skipped, _ = run(path)
    assert len(found) == 1
    assert [one.line for one in skipped] == [2, 3, 4, 5, 6, 8]
    assert summarize_skipped(skipped) == {
        "says nothing: empty": 2,
        "says nothing: N/A": 1,
        "says nothing: Not Available": 1,
        "says nothing: n/a": 1,
        "says nothing: null": 1,
    }


def test_row_that_breaks_a_rule_is_skipped_with_its_line_field_and_reason(tmp_path: Path) -> None:
    path = table(tmp_path, f"isbn,authors\n1,Knuth\n{'9' * 300},Knuth\n3,{'x' * 16385}\n4,Knuth\n")
    found, skipped, _ = run(path)
    assert [line for line, _ in found] == [2, 5]
    assert [(one.line, one.reason) for one in skipped] == [(3, "invalid subject"), (4, "invalid value")]
    assert all(one.detail for one in skipped)


@pytest.mark.parametrize(("object_type", "text"), [("number", "1,5"), ("number", "1e999"), ("boolean", "yes")])
def test_value_that_is_not_of_its_type_is_skipped(tmp_path: Path, object_type: str, text: str) -> None:
    plan = Plan(subject="s", predicate="p", object="{v}", object_type=object_type, timestamp_ms=0)
    found, skipped, _ = run(table(tmp_path, f'v\n"{text}"\n'), plan)
    assert (found, len(skipped)) == ([], 1)


def test_one_key_signs_for_each_source_and_the_same_one_the_next_time(tmp_path: Path) -> None:
    plan = Plan(subject="{isbn}", predicate="p", object="{authors}", timestamp_ms=0, sign_per="shop")
    text = "isbn,authors,shop\n1,a,Indoo.com\n2,b,../etc\n3,c,a/b\n4,d,Indoo.com\n5,e, \n6,f,a%2Fb\n"
    path, keys = table(tmp_path, text), tmp_path / "keys"
    first, skipped, keyring = run(path, plan, keys)
    signers = [signed.signatures[0].agent for _, signed in first]
    assert len(set(signers)) == 4
    assert signers[0] == signers[3]
    assert (len(keyring), keyring.made_count) == (4, 4)
    assert [(one.line, one.reason, one.detail) for one in skipped] == [(6, "says nothing", "no shop")]
    second, _, again = run(path, plan, keys)
    assert second == first
    assert (len(again), again.made_count) == (4, 0)
    assert {file.parent for file in keys.rglob("*.key")} == {keys / "shop"}


def test_key_of_a_source_that_others_can_read_stops_the_import(tmp_path: Path) -> None:
    plan = Plan(subject="{isbn}", predicate="p", object="{authors}", timestamp_ms=0, sign_per="shop")
    path = table(tmp_path, TABLE)
    run(path, plan, tmp_path / "keys")
    for file in (tmp_path / "keys").rglob("*.key"):
        file.chmod(0o644)
    with pytest.raises(KeyProblem):
        run(path, plan, tmp_path / "keys")


def test_same_file_and_plan_give_the_same_events_so_a_second_run_is_all_duplicates(tmp_path: Path) -> None:
    path = table(tmp_path, TABLE)
    first, second = run(path)[0], run(path)[0]
    assert first == second
    with Node.open(tmp_path / "data") as node:
        once = list(node.ingest(signed for _, signed in first))
        twice = list(node.ingest(signed for _, signed in second))
    assert {result.status for result in once} == {"accepted"}
    assert {result.status for result in twice} == {"duplicate"}
    assert [result.seq for result in twice] == [result.seq for result in once]


def test_lines_are_those_on_which_rows_end(tmp_path: Path) -> None:
    path = table(tmp_path, 'isbn,authors\n1,"Knuth,\nDonald"\n\n2,Dijkstra\n')
    assert [line for line, _ in run(path)[0]] == [3, 5]


def test_byte_order_mark_and_carriage_returns_are_no_part_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "windows.csv"
    path.write_bytes("\ufeffisbn,authors\r\n1,Knuth\r\n".encode())
    assert read_columns(path) == ["isbn", "authors"]
    assert [event.object for event in events(path)] == [TextValue("Knuth")]


def test_row_with_too_many_cells_keeps_those_that_have_a_name(tmp_path: Path) -> None:
    (event,) = events(table(tmp_path, "isbn,authors\n1,Knuth,more,still more\n"))
    assert event.object == TextValue("Knuth")


@pytest.mark.parametrize("row", [b"1,\xff\xfe\n", b'1,"Knuth\n', b'1,"a"b\n'])
def test_file_that_is_not_utf_8_or_not_csv_is_told_with_its_line(tmp_path: Path, row: bytes) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(b"isbn,authors\n" + row)
    with pytest.raises(InvalidParameter, match=r"broken\.csv line \d"):
        run(path)


def test_empty_file_has_no_columns_and_no_rows(tmp_path: Path) -> None:
    path = table(tmp_path, "")
    assert read_columns(path) == []
    assert run(path)[0] == []


def test_rows_are_read_as_they_are_needed(tmp_path: Path) -> None:
    path = table(tmp_path, "isbn,authors\n" + "1,Knuth\n" * 10 + '2,"a"b\n')
    rows: Iterator[tuple[int, dict[str, str]]] = read_rows(path)
    assert next(rows) == (2, {"isbn": "1", "authors": "Knuth"})


def test_claims_of_a_plan_that_breaks_a_rule_are_refused_by_the_database(tmp_path: Path) -> None:
    plan = Plan(subject="{isbn}", predicate="p", object="{authors}", timestamp_ms=0, confidence="7")
    found, skipped, _ = run(table(tmp_path, TABLE), plan)
    with Node.open(tmp_path / "data") as node:
        results = list(node.ingest(signed for _, signed in found))
        assert {result.code for result in results} <= {"invalid-field"}
        assert len(results) + len(skipped) == 4
        assert node.end_seq == -1


def test_bundled_rows_are_those_that_are_signed_each_and_a_bundle_is_in_front_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many keys, more rows than are held: each row once, with its line, and verified by a bundle that came before."""
    monkeypatch.setattr("episteme.importer.HELD_COUNT_MAX", 12)
    rows = "".join(f"{number},Knuth,shop {number * number % 7}\n" for number in range(60))
    path = table(tmp_path, f"isbn,authors,shop\n{rows}")
    plan = Plan(subject="isbn:{isbn}", predicate="authors", object="{authors}", timestamp_ms=5, sign_per="shop")
    keyring = Keyring(plan, Key.generate, tmp_path / "keys")
    own = list(claims(read_rows(path), plan, keyring, lambda _: None))
    made = list(bundled_claims(read_rows(path), plan, keyring, lambda _: None))
    lines = {line: one for line, one in made if line is not None}
    assert {line: (one.digest, one.signatures[0].agent) for line, one in lines.items()} == {
        line: (one.digest, one.signatures[0].agent) for line, one in own
    }
    with AllVouchers() as bundles:
        for line, one in made:
            assert isinstance(one.event, Bundle) is (line is None)
            one.verify_own()
            assert bundles.check(one)
    assert list(bundled_claims(read_rows(path), plan, keyring, lambda _: None)) == made
    assert sum(1 for line, _ in made if line is None) > 7  # what was held was signed before all of it was read
