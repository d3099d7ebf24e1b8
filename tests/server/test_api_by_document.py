"""A short version of tests/campaigns/api_campaign.py: the server contradicts its document nowhere that is looked at."""

from pathlib import Path

from tests.campaigns.api_campaign import Campaign, run

# One of each sort; the campaign asks them all.
PATHS = (
    r"^/(readyz|openapi\.json|v1/(assertions|events|events/\{hash\}|ingest|layered|subjects/\{subject\}|log|folds))$"
)


def test_server_answers_as_its_document_says(tmp_path: Path) -> None:
    outcome = run(tmp_path, Campaign(("examples", "coverage"), examples=5, seconds=10, paths=PATHS))
    assert outcome.code == 0, outcome.output
    assert outcome.cases > 200, outcome.output
