"""The accuracy benchmark from files to tables, over a few claims whose scores can be counted by hand."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.accuracy import main

BIRTHPLACES = {
    "hierarchy.csv": "id,name,parent_id\n0,Root,-1\n1,USA,0\n2,Texas,1\n3,Austin,2\n4,Ohio,1\n5,Lima,4\n",
    "truth.csv": 'person,birthplace\n"Lee, Ann","Austin,Texas,USA"\nBob,"Lima,Ohio,USA"\n'
    'Cid,"Ohio,USA"\nDan,"Texas,USA"\n',
    # Ann's place is clear and right, Bob's contains the true one, Cid's and Dan's are wrong, though two sources agree.
    "claims.csv": "source,person,birthplace\n"
    '"a","Lee, Ann",Austin\nb,"Lee, Ann",Austin\nc,"Lee, Ann",Ohio\n'
    "a,Bob,Ohio\nb,Bob,Ohio\nc,Bob,Lima\n"
    "a,Cid,Texas\nb,Cid,Texas\nc,Cid,Ohio\n"
    "a,Dan,Lima\nb,Dan,Lima\nc,Dan,Texas\n",
}
BOOK = {
    "truth.csv": 'isbn,authors\n1,"lee, ann ;  roy, bob ;"\n2,"poe, eve ;"\n',
    "claims.csv": "source,isbn,title,authors\n"
    'a,1,T,"Lee, Ann; Roy, Bob"\nb,1,T,Ann Lee & Bob Roy\nc,1,T,"Lee, A."\nd,1,T,N/A\n'
    'a,2,U,Eve Poe\nb,2,U,Eve Poe\nc,2,U,"Poe, Eve"\nc,3,V,Somebody Else\n',
}


def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The tables of the few claims."""
    for folder, files in (("birthplaces", BIRTHPLACES), ("book", BOOK)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for name, text in files.items():
            (tmp_path / "data" / folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["accuracy", "--data", "data", "--json", "found.json"])
    main()
    found: list[dict[str, Any]] = json.loads((tmp_path / "found.json").read_bytes())
    return found


def row(table: dict[str, Any], reading: str, lens: str) -> dict[str, Any]:
    (found,) = [one for one in table["rows"] if one["reading"] == reading and lens in one["lenses"]]
    return dict(found)


def test_few_claims_come_to_the_scores_that_one_counts_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places, places_trust, books, books_trust = measured(tmp_path, monkeypatch)
    consensus = row(places, "as the lens answers", "consensus")
    assert consensus["scores"] == {"exact": 0.25, "containing": 0.5}
    assert consensus["answered"] == consensus["asked"] == 4
    assert consensus["bins"] == [{"low": 0.6, "high": 0.7, "answers": 4, "said": 0.6667, "right": 0.25}]
    assert row(places, "from the file, ties by the alphabet", "plain vote")["scores"] == consensus["scores"]
    assert places["notes"][0].endswith("winner among the most claimed 4 of 4, same share 4")
    assert {"consensus", "votes", "trust", "authority", "layered"} <= set(consensus["lenses"])

    # Two of three shops name Bob Roy, in two spellings that the lens alone cannot bring together.
    typed = row(books, "as the lens answers", "consensus")
    assert typed["answered"] == 1
    read = row(books, "claims read by the script", "consensus")
    assert read["scores"]["F1"] == read["scores"]["whole set"] == 1
    assert "plain vote" in read["lenses"]
    assert "of 2 books: same values 2, same confidence 2, same weight of every claim 2" in books["notes"][0]
    assert row(books, "read by the script before the import, as the lens answers", "consensus")["scores"]["F1"] == 1

    assert places_trust["title"] == "Birth places, 2 held out, 2 with gold standards"
    assert books_trust["title"] == "Book authors, read before the import, 1 held out, 1 with gold standards"
    assert {one["asked"] for one in places_trust["rows"]} == {2}
    assert capsys.readouterr().out.count("name no winner") == 2


def test_without_data_it_says_so_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["accuracy", "--data", str(tmp_path / "nowhere")])
    main()
    assert capsys.readouterr().out.count("is not here") == 2
