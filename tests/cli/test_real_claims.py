"""The book claims of real shops, where the data set lies beside the project; left out where it does not."""

from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.servers import Server

CLAIMS = Path(__file__).parents[3] / "shared" / "data" / "book" / "claims.csv"
TEMPLATES = ("--subject", "isbn:{isbn}", "--predicate", "authors", "--object", "{authors}", "--sign-per", "source")


@pytest.mark.skipif(not CLAIMS.exists(), reason="the book claims are not here")
def test_book_claims_are_imported_whole_and_every_lens_answers(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        command = Command(tmp_path, EPISTEME_URL=server.url)
        report = command("import", str(CLAIMS), *TEMPLATES).line
        assert (report["rows"], report["keys"], report["keys_made"], report["refused"]) == (33258, 877, 877, 0)
        assert report["skipped"] == {"says nothing: Not Available": 23, "says nothing: N/A": 1}
        assert report["accepted"] + report["duplicate"] == 33258 - 24
        assert report["last_seq"] == report["accepted"] + report["bundles"]  # the rules of the database are at 0
        answers = {
            lens: command.inside("query", "isbn:0201853949", "authors", "--lens", lens).line
            for lens in ("recency", "consensus", "confidence", "votes")
        }
        assert all(answer["candidates_count"] == 10 for answer in answers.values())
        assert answers["consensus"]["winner"]["value"]["value"] == "Knuth, Donald E."
        assert answers["consensus"]["groups"][0]["support"] == 9
        assert answers["votes"]["groups"] == answers["consensus"]["groups"]
        assert answers["recency"]["confidence"] == 0.5
        assert answers["confidence"]["conflict"] == 1.0
