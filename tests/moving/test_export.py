"""Exports: lossless in JSON, whole or refused; tables that a spreadsheet does not run."""

import csv
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from episteme.errors import BadCopy, CannotOpen, InvalidParameter
from episteme.importer import Skipped, events_in
from episteme.loglines import line_of
from episteme.moving import (
    ExportHeader,
    import_exactly,
    kind_of_file,
    opened,
    write_csv,
    write_lines,
    write_parquet,
    written,
)
from episteme.node import LOG_FOLDER, Node
from model import Assertion, NumberValue, TextValue
from tests.support.events import KEY_A, make_assertion, signed
from tests.support.faulty_files import UnsyncedFiles
from tests.support.logs import LOG_ID
from tests.support.meaning import Step, as_frames, histories, history
from tests.support.moving import digest_of, frames_in, now_ms, quiet, write_forgery, write_history

SUFFIXES = ("", ".gz", ".zst")


def export(data: Path, file: Path, *, whole: bool = True) -> Path:
    """The log of a data folder as an export."""
    header = ExportHeader(episteme_export=1, database=LOG_ID.hex(), whole=whole, version="test")
    with written(file) as out:
        write_lines(map(line_of, frames_in(data / LOG_FOLDER)), header, out)
    return file


def brought_in(file: Path, data: Path) -> str:
    return import_exactly(file, data, quiet, clock_ms=now_ms, files=UnsyncedFiles()).folded.digest


def lines_in(file: Path) -> list[bytes]:
    with opened(file) as packed:
        return packed.file.read().splitlines()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seed", [1, 2])
def test_export_imported_into_an_empty_place_is_the_same_log_and_state(tmp_path: Path, seed: int, suffix: str) -> None:
    data = write_history(tmp_path / "data", history(seed))
    file = export(data, tmp_path / f"export.jsonl{suffix}")
    assert brought_in(file, tmp_path / "new") == digest_of(data)
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == frames_in(data / LOG_FOLDER)
    assert lines_in(export(tmp_path / "new", tmp_path / "again")) == lines_in(file)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(histories(40))
def test_any_history_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    folder = tmp_path_factory.mktemp("any")
    data = write_history(folder / "data", steps)
    brought_in(export(data, folder / "export"), folder / "new")
    assert frames_in(folder / "new" / LOG_FOLDER) == frames_in(data / LOG_FOLDER)


def test_imported_database_is_the_same_one_and_takes_writes(tmp_path: Path) -> None:
    data = write_history(tmp_path / "data", history(3, 20))
    brought_in(export(data, tmp_path / "export"), tmp_path / "new")
    with Node.open(tmp_path / "new", key=KEY_A) as node:
        assert node.database == LOG_ID.hex()
        assert node.assert_("a", "b", "c", wait_s=10).status == "applied"


def test_export_of_an_empty_log_makes_an_empty_database(tmp_path: Path) -> None:
    data = write_history(tmp_path / "data", [])
    brought_in(export(data, tmp_path / "export"), tmp_path / "new")
    assert frames_in(tmp_path / "new" / LOG_FOLDER) == []


Change = Callable[[dict[str, Any]], object]


def other_signature(line: dict[str, Any]) -> None:
    text = line["signatures"][0]["signature"]
    line["signatures"][0]["signature"] = ("0" if text[0] != "0" else "1") + text[1:]


CHANGES: dict[str, Change] = {
    "field": lambda line: line["event"].update(timestamp=line["event"]["timestamp"] + 1),
    "hash": lambda line: line.update(hash="0" * 64),
    "signature": other_signature,
    "time": lambda line: line.update(time_ms=line["time_ms"] + 1),
    "position": lambda line: line.update(seq=line["seq"] + 1),
    "chain": lambda line: line.update(chain=line.get("chain", 0) ^ 1),
    "receipt": lambda line: line.update(receipt={"via": "elsewhere"}),
    "unknown field": lambda line: line.update(more=1),
    "no signatures": lambda line: line.pop("signatures"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("at", ["middle", "last"])
def test_line_that_was_changed_is_refused_by_its_number_and_nothing_is_made(
    tmp_path: Path, change: str, at: str
) -> None:
    steps = [signed(make_assertion(subject=f"s{number}")) for number in range(30)]
    file = export(write_history(tmp_path / "data", steps), tmp_path / "export")
    lines = lines_in(file)
    place = 15 if at == "middle" else len(lines) - 2
    line = json.loads(lines[place])
    CHANGES[change](line)
    lines[place] = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()
    file.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(BadCopy) as told:
        brought_in(file, tmp_path / "new")
    assert any(f"line {number} " in f"{told.value.detail} ".replace(":", " ") for number in (place + 1, place + 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "export"]


@pytest.mark.parametrize("what", ["cut in a line", "cut behind a line", "line missing", "line twice", "lines swapped"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export_that_is_not_whole_is_refused(tmp_path: Path, what: str, suffix: str) -> None:
    file = export(write_history(tmp_path / "data", history(4)), tmp_path / f"export{suffix}")
    lines = lines_in(file)
    changed = {
        "cut in a line": b"\n".join(lines[:9])[:-7],
        "cut behind a line": b"\n".join(lines[:9]) + b"\n",
        "line missing": b"\n".join([*lines[:9], *lines[10:]]),
        "line twice": b"\n".join([*lines[:9], lines[8], *lines[9:]]),
        "lines swapped": b"\n".join([*lines[:8], lines[9], lines[8], *lines[10:]]),
    }[what]
    with written(file) as out:
        out.write(changed)
    with pytest.raises(BadCopy):
        brought_in(file, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("part", [0.2, 0.9])
def test_packed_file_that_was_cut_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    file = export(write_history(tmp_path / "data", history(4)), tmp_path / f"export{suffix}")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(BadCopy):
        brought_in(file, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_event_that_its_signer_has_not_signed_is_refused_although_every_checksum_holds(tmp_path: Path) -> None:
    file = export(write_forgery(tmp_path / "data", 4), tmp_path / "export")
    with pytest.raises(BadCopy, match="line 6: "):
        brought_in(file, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_part_of_a_log_that_lacks_a_line_is_told(tmp_path: Path) -> None:
    file = export(write_history(tmp_path / "data", history(4)), tmp_path / "export", whole=False)
    skipped: list[Skipped] = []
    assert sum(1 for _ in events_in(file, "export", skipped.append)) + len(skipped) == len(lines_in(file)) - 2
    lines = lines_in(file)
    file.write_bytes(b"\n".join([*lines[:5], *lines[6:]]))
    with pytest.raises(BadCopy, match="says that there are"):
        list(events_in(file, "export", skipped.append))


def test_nothing_is_imported_exactly_over_something(tmp_path: Path) -> None:
    data = write_history(tmp_path / "data", history(4, 10))
    file = export(data, tmp_path / "export")
    before = frames_in(data / LOG_FOLDER)
    with pytest.raises(CannotOpen, match="never written over"):
        brought_in(file, data)
    assert frames_in(data / LOG_FOLDER) == before


def test_part_of_a_log_makes_no_database(tmp_path: Path) -> None:
    file = export(write_history(tmp_path / "data", history(4, 10)), tmp_path / "export", whole=False)
    with pytest.raises(InvalidParameter, match="a part of a log"):
        brought_in(file, tmp_path / "new")


def test_newer_format_is_told(tmp_path: Path) -> None:
    file = tmp_path / "export"
    file.write_text('{"episteme_export":2,"database":"' + LOG_ID.hex() + '","whole":true,"version":"9"}\n')
    with pytest.raises(InvalidParameter, match="format 2"):
        brought_in(file, tmp_path / "new")


def test_failed_export_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "export"
    file.write_text("before")
    with suppress(ZeroDivisionError), written(file) as out:
        out.write(b"half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert file.read_text() == "before"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"episteme_export":1}\n', "export"),
        ('\n{"event":{},"signatures":[]}\n', "envelopes"),
        ('{"seq":0,"time_ms":1,"event":{}}\n', "lines"),
        ('{"name":"a"}\n', "claims"),
        ('{"name":\n', "claims"),
        ('{"name":' * 100_000, "claims"),
        ('{"episteme_export":1,"x":' + "[" * 100_000, "claims"),
        ("a,b\n1,2\n", "csv"),
        ("", "csv"),
    ],
)
def test_what_a_file_holds_is_told_by_its_first_line(tmp_path: Path, text: str, kind: str) -> None:
    (tmp_path / "file").write_text(text)
    assert kind_of_file(tmp_path / "file") == kind


def table_of(*claims: Assertion, raw: bool = False) -> list[dict[str, str]]:
    frames = as_frames([signed(claim) for claim in claims])
    out = io.BytesIO()
    write_csv(map(line_of, frames), out, raw=raw)
    return list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))


def test_table_has_a_row_for_each_claim() -> None:
    claim = make_assertion(subject="a, b", object=NumberValue("1.50"), metadata={"isbn": "1"})
    (row,) = table_of(claim)
    assert (row["subject"], row["type"], row["object"]) == ("a, b", "number", "1.50")
    assert (row["agents"], json.loads(row["metadata"])) == (KEY_A.agent_hex, {"isbn": "1"})
    assert row["hash"] == signed(claim).hash_hex


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_text_that_a_spreadsheet_would_run_is_defused_unless_asked(text: str) -> None:
    claim = make_assertion(subject=text, object=TextValue(text))
    (row,), (raw,) = table_of(claim), table_of(claim, raw=True)
    assert (row["subject"], row["object"]) == (f"'{text}", f"'{text}")
    assert (raw["subject"], raw["object"]) == (text, text)


def test_negative_number_is_a_number() -> None:
    (row,) = table_of(make_assertion(object=NumberValue("-5")))
    assert row["object"] == "-5"


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    claims = [make_assertion(subject=f"s{number}") for number in range(3)]
    out = io.BytesIO()
    count = write_parquet(map(line_of, as_frames([signed(claim) for claim in claims])), out)
    found = parquet.read_table(io.BytesIO(out.getvalue())).to_pylist()
    assert (count, [row["subject"] for row in found]) == (3, ["s0", "s1", "s2"])
    assert found[0]["timestamp"] == claims[0].timestamp


def test_parquet_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InvalidParameter, match="pip install"):
        write_parquet([], io.BytesIO())
