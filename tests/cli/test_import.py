"""episteme import: rows in, a report out, and nothing new when it is run again."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from episteme import Client
from tests.support.command import Command
from tests.support.http import log_seq
from tests.support.servers import Server

TABLE = """isbn,authors,source
1,Knuth,Indoo.com
1,"Knuth, D.",Buch & Co.
2,N/A,Indoo.com
3,Dijkstra,../etc
4,Zürich,Indoo.com
"""
PLAN = ["--subject", "isbn:{isbn}", "--predicate", "authors", "--object", "{authors}", "--timestamp", "1000"]


def test_file_is_imported_once_and_the_second_time_says_nothing_new(episteme: Command, server: Server) -> None:
    (episteme.folder / "books.csv").write_text(TABLE)
    first = episteme("import", "books.csv", *PLAN, "--sign-per", "source")
    assert (first.code, first.stderr) == (0, "")
    report = first.line
    assert (report["rows"], report["accepted"], report["duplicate"], report["refused"]) == (5, 4, 0, 0)
    assert report["skipped"] == {"says nothing: N/A": 1}
    assert (report["keys"], report["keys_made"]) == (3, 3)
    with Client(server.url) as client:
        answer = client.query("isbn:1", "authors")  # readable already: the import waited
        assert (answer.candidates_count, answer.groups_count) == (2, 2)
    again = episteme("import", "books.csv", *PLAN, "--sign-per", "source").line
    assert (again["accepted"], again["duplicate"], again["keys_made"]) == (0, 4, 0)
    assert again["last_seq"] == report["last_seq"]
    assert len(list((episteme.keys / "source").iterdir())) == 3
    assert not (episteme.folder / "books.csv.rejected").exists()


def test_rows_that_are_no_claims_are_listed_with_their_reasons(episteme: Command) -> None:
    (episteme.folder / "readings.csv").write_text("station,celsius\nA,21.5\nB,warm\nC,1e999\nD,\n")
    ran = episteme(
        "import",
        "readings.csv",
        "--subject",
        "{station}",
        "--predicate",
        "t",
        "--object",
        "{celsius}",
        "--type",
        "number",
    )
    assert ran.code == 7
    assert (ran.line["accepted"], ran.line["skipped"]) == (1, {"invalid value": 2, "says nothing: empty": 1})
    rejected = Path(episteme.folder / ran.line["rejected_file"]).read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejected] == [3, 4]


def test_lines_that_the_server_refuses_end_in_code_7_and_are_listed(episteme: Command) -> None:
    (episteme.folder / "sure.csv").write_text("a,b\n1,x\n2,y\n")
    ran = episteme(
        "import",
        "sure.csv",
        "--subject",
        "{a}",
        "--predicate",
        "p",
        "--object",
        "{b}",
        "--confidence",
        "7",
        "-o",
        "json",
    )
    assert ran.code == 7
    assert json.loads(ran.stdout)["refused"] == 2
    rejected = [json.loads(line) for line in (episteme.folder / "sure.csv.rejected").read_text().splitlines()]
    assert [(one["line"], one["reason"]) for one in rejected] == [(2, "invalid-field"), (3, "invalid-field")]


def test_plan_or_file_that_cannot_be_is_told_before_anything_is_written(episteme: Command, server: Server) -> None:
    (episteme.folder / "few.csv").write_text("a,b\n1,x\n")
    before = log_seq(server.url)
    for arguments, said in (
        (["few.csv", "--subject", "{nope}", "--predicate", "p", "--object", "{b}"], "'nope'"),
        (["few.csv", "--subject", "{a}", "--predicate", "p", "--object", "{b}", "--metadata", "unit"], "--metadata"),
        (["none.csv", "--subject", "{a}", "--predicate", "p", "--object", "{b}"], "none.csv"),
    ):
        ran = episteme("import", *arguments)
        assert (ran.code, ran.stdout) == (2, "")
        assert said in ran.stderr
    assert log_seq(server.url) == before


def test_three_imports_at_once_all_finish(episteme: Command, server: Server) -> None:
    """The server takes a few ingests at a time; a client that is told to come back does."""
    rows = "".join(f"{number},x\n" for number in range(6000))
    for name in ("one", "two", "three"):
        (episteme.folder / f"{name}.csv").write_text("a,b\n" + rows)

    def run(name: str) -> tuple[int, str]:
        ran = episteme("import", f"{name}.csv", "--subject", name, "--predicate", "{a}", "--object", "{b}")
        return ran.code, ran.stderr

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(run, ("one", "two", "three"))) == [(0, "")] * 3


def test_rows_are_signed_in_a_bundle_for_each_key_unless_each_is_to_have_a_signature(
    episteme: Command, server: Server
) -> None:
    (episteme.folder / "bundled.csv").write_text(TABLE)
    plan = ["--subject", "bundled:{isbn}", *PLAN[2:], "--sign-per", "source"]
    first = episteme("import", "bundled.csv", *plan).line
    assert (first["rows"], first["accepted"], first["bundles"]) == (5, 4, 1)  # two keys sign one row alone
    with Client(server.url, verify=True) as client:
        (own, by_bundle) = sorted(
            (client.get(one.hash).signatures[0] for one in client.assertions(subject="bundled:1").items),
            key=lambda one: isinstance(one.bundle, str),
        )
        assert isinstance(own.signature, str)
        bundle = client.get_bundle(str(by_bundle.bundle))
        assert (len(bundle.event.events), bundle.event.timestamp) == (2, 1000)
    before = log_seq(server.url)
    again = episteme("import", "bundled.csv", *plan).line
    assert (again["accepted"], again["duplicate"], log_seq(server.url)) == (0, 4, before)
    each = episteme("import", "bundled.csv", "--subject", "each:{isbn}", *PLAN[2:], "--sign-each").line
    assert (each["accepted"], each["bundles"]) == (4, 0)
    shown = episteme.inside("bundle", bundle.hash, "--url", server.url, "-o", "table", "--limit", "1")
    assert "2 events" in shown.stdout
    assert bundle.event.events[0] in shown.stdout
    assert "more" in shown.stderr
    assert episteme.inside("bundle", bundle.event.events[0], "--url", server.url).code == 3
    claim = episteme.inside("get", bundle.event.events[0], "--url", server.url, "-o", "table")
    assert bundle.hash in claim.stdout
