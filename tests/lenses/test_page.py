"""docs/lenses.md says what the code does: the table of lenses, the bounds, and every number of the worked example."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from episteme.answer import make_answer
from episteme.lenses import DEFAULT_LENS, LENSES
from episteme.lenses.base import AGREED_CONFLICT_BELOW, AGREED_SHARE_FROM, DIGITS
from episteme.query import HIDDEN_LIFECYCLES, LIMIT_DEFAULT, LIMIT_MAX, Question, ask
from model import SOURCE_CLASSES
from tests.lenses.claims import Database, assertion, vote

PAGE: Final = (Path(__file__).parents[2] / "docs" / "lenses.md").read_text("utf-8")
EXAMPLE: Final = PAGE.partition("\n## Worked example\n")[2].partition("\n## ")[0]
SUBJECT: Final = "Moon"
PREDICATE: Final = "distance_km"
NINE_MS: Final = 1_772_355_600_000  # 2026-03-01T09:00:00Z
MINUTE_MS: Final = 60_000


def example() -> Database:
    """The six claims and three votes of the page."""

    def said(value: str, minute: int, confidence: str, tier: Any) -> Any:
        return assertion(
            Decimal(value),
            at=NINE_MS + minute * MINUTE_MS,
            confidence=confidence,
            tier=tier,
            subject=SUBJECT,
            predicate=PREDICATE,
        )

    ana, ben = said("384400", 0, "0.9", "clinical"), said("3.844e5", 60, "0.6", "observational")
    cho, dan = said("363300", 120, "0.95", "community"), said("363300", 180, "0.5", "anecdotal")
    dan_again, eve = said("384400", 210, "0.5", "anecdotal"), said("405500", 300, "0.7", "expert")
    claims = [(ana, "ana"), (ben, "ben"), (cho, "cho"), (dan, "dan"), (dan_again, "dan"), (eve, "eve")]
    votes = [vote(ana, "ben", "0.25"), vote(cho, "ana", "1"), vote(cho, "dan", "-1")]
    database = Database()
    database.add(*claims, *votes)
    return database


def answer(lens: str) -> dict[str, Any]:
    """The example's answer as JSON shows it, without the winner's envelope and with short hashes."""
    database = example()
    question = Question(subject=SUBJECT, predicate=PREDICATE, lens=lens)
    with database.engine.snapshot() as snapshot:
        shown = msgspec.to_builtins(make_answer(question, ask(snapshot, question), database.end - 1))
    del shown["winner"]["assertion"]
    return json.loads(re.sub(r'"([0-9a-f]{8})[0-9a-f]{56}"', r'"\1…"', json.dumps(shown)))


def table_row(lens: str) -> str:
    found = answer(lens)
    shares = ", ".join(f"{row['value']['value']}: {plain(row['share'])}" for row in found["groups"])
    numbers = [plain(found[name]) for name in ("confidence", "conflict", "margin")]
    cells = [lens, found["winner"]["value"]["value"], *numbers, found["status"], shares]
    return f"| {' | '.join(cells)} |"


def plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def test_the_answer_of_the_worked_example_is_the_real_one() -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", EXAMPLE, re.MULTILINE | re.DOTALL)
    assert json.loads(block) == answer("consensus"), json.dumps(answer("consensus"), indent=2, ensure_ascii=False)


def test_the_table_of_the_worked_example_has_the_real_numbers_of_every_lens() -> None:
    rows = re.findall(rf"^\| (?:{'|'.join(LENSES)}) \|.*$", EXAMPLE, re.MULTILINE)
    assert rows == [table_row(lens) for lens in LENSES]


def test_the_page_lists_exactly_the_lenses_with_their_versions() -> None:
    table = PAGE.partition("\n## The four lenses\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| (\d+) \|", table, re.MULTILINE)
    assert listed == [(lens.name, str(lens.version)) for lens in LENSES.values()]
    assert f"`{DEFAULT_LENS}` is the default" in PAGE


def test_the_page_states_the_bounds() -> None:
    assert f"below {AGREED_CONFLICT_BELOW}, or a share of at least {AGREED_SHARE_FROM}" in PAGE
    assert DIGITS == 6
    assert "rounded to six digits" in PAGE
    assert f"`limit` ({LIMIT_DEFAULT} unless given, at most {LIMIT_MAX})" in PAGE
    assert all(f"`{name}`" in PAGE for name in HIDDEN_LIFECYCLES)
    assert ", ".join(f"{name} {tier}" for tier, name in enumerate(SOURCE_CLASSES)) in PAGE


def test_the_page_names_what_is_not_there_yet() -> None:
    (line,) = re.findall(r"^Not there yet:.*$", PAGE, re.MULTILINE)
    names = ("trust", "authority", "skeptic", "layered", "constraints", "decay", "epochs", "as_of")
    assert [name for name in names if f"`{name}`" not in line] == []
    assert not set(names) & set(LENSES)
