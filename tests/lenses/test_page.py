"""docs/lenses.md says what the code does: the tables, the bounds, and every number of the worked example."""

import json
import re
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from episteme.decay import DAY_MS, HALF_LIFE_MS_MAX, TIER_HALF_LIVES_DAYS
from episteme.lenses import DEFAULT_LENS, HIDDEN_LIFECYCLES, LENSES
from episteme.lenses.base import AGREED_CONFLICT_BELOW, AGREED_SHARE_FROM, DIGITS
from episteme.lenses.lens import THRESHOLD_DEFAULT_MICROS, Reason
from episteme.reading import LIMIT_DEFAULT, LIMIT_MAX, PastClock, Question, ask, make_answer
from model import SOURCE_CLASSES, Assertion, SourceClass
from tests.lenses.claims import Database, assertion, vote

PAGE: Final = (Path(__file__).parents[2] / "docs" / "lenses.md").read_text("utf-8")
EXAMPLE: Final = PAGE.partition("\n## Worked example\n")[2].partition("\n## ")[0]
SUBJECT: Final = "Moon"
PREDICATE: Final = "distance_km"
NINE_MS: Final = 1_772_355_600_000  # 2026-03-01T09:00:00Z
MINUTE_MS: Final = 60_000
CONTEXT: Final = "login"
GROUPING_IN_ORDER: Final = [name for name, lens in LENSES.items() if lens.takes_predicate]


def example() -> Database:
    """The six claims and three votes of the page."""

    def said(value: str, minute: int, confidence: str, tier: SourceClass) -> Assertion:
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


def context() -> Database:
    """The four constraints of the page."""

    def said(predicate: str, value: str, minute: int, confidence: str, tier: SourceClass) -> Assertion:
        return assertion(
            value,
            at=NINE_MS + minute * MINUTE_MS,
            confidence=confidence,
            tier=tier,
            subject=CONTEXT,
            predicate=predicate,
        )

    database = Database()
    database.add(
        (said("must_use", "argon2", 0, "0.9", "expert"), "ana"),
        (said("forbidden", "md5", 60, "1", "expert"), "ana"),
        (said("must_use", "argon2", 120, "0.5", "community"), "ben"),
        (said("must_use", "md5", 180, "1", "anecdotal"), "eve"),
    )
    return database


def ask_of(database: Database, question: Question) -> dict[str, Any]:
    """An answer as JSON shows it, without the winner's envelope and with short hashes."""
    past = PastClock(lambda seq: 0, lambda time_ms: -1)  # nothing is asked as of then
    with database.engine.snapshot() as snapshot:
        shown = msgspec.to_builtins(make_answer(snapshot, question, ask(snapshot, question, NINE_MS, past)))
    if shown["winner"] is not None:
        del shown["winner"]["assertion"]
    return json.loads(re.sub(r'"([0-9a-f]{8})[0-9a-f]{56}"', r'"\1…"', json.dumps(shown)))


def answer(lens: str) -> dict[str, Any]:
    return ask_of(example(), Question(subject=SUBJECT, predicate=PREDICATE, lens=lens))


def lens_row(lens: str) -> str:
    found = answer(lens)
    shares = ", ".join(f"{row['value']['value']}: {plain(row['share'])}" for row in found["groups"])
    numbers = [plain(found[name]) for name in ("confidence", "conflict", "margin")]
    return row(lens, won(found["winner"]), *numbers, found["status"], shares)


def chart_row(found: dict[str, Any]) -> str:
    support = ", ".join(f"{name} {count}" for name, count in found["support_by_tier"].items())
    times = [clock(found[name]) for name in ("first_timestamp", "last_timestamp")]
    confidence = f"{plain(found['confidence_min'])} to {plain(found['confidence_max'])}"
    return row(found["value"]["value"], support, *times, confidence, str(found["sources_count"]))


def layer_row(found: dict[str, Any]) -> str:
    numbers = [plain(found["confidence"]), plain(found["conflict"])]
    return row(
        found["source_class"], found["value"]["value"], *numbers, found["status"], str(found["candidates_count"])
    )


def constraint_row(found: dict[str, Any]) -> str:
    holds = "yes" if found["holds"] else "no"
    cells = (f"`{found['reason']}`", found["source_class"], str(found["support"]), plain(found["weight"]))
    return row(f"`{found['kind']}`", f"`{found['value']['value']}`", holds, *cells)


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def won(winner: dict[str, Any] | None) -> str:
    return "none" if winner is None else winner["value"]["value"]


def clock(time_ms: int) -> str:
    hours, minutes = divmod((time_ms - NINE_MS) // MINUTE_MS, 60)
    return f"{9 + hours:02}:{minutes:02}"


def plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def rows_under(header: str, text: str) -> list[str]:
    """The rows of the table that begins with this header."""
    lines = iter(text.splitlines())
    assert any(line == header for line in lines), header
    next(lines)
    return list(takewhile(lambda line: line.startswith("| "), lines))


def test_the_answer_of_the_worked_example_is_the_real_one() -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", EXAMPLE, re.MULTILINE | re.DOTALL)
    assert json.loads(block) == answer("consensus"), json.dumps(answer("consensus"), indent=2, ensure_ascii=False)


def test_the_table_of_the_worked_example_has_the_real_numbers_of_every_lens() -> None:
    found = rows_under("| lens | winner | confidence | conflict | margin | status | shares |", EXAMPLE)
    assert found == [lens_row(lens) for lens in GROUPING_IN_ORDER]


def test_the_map_of_the_worked_example_is_the_real_one() -> None:
    found = rows_under("| value | support by tier | first | last | confidence | sources |", EXAMPLE)
    assert found == [chart_row(one) for one in answer("skeptic")["map"]]


def test_the_layers_of_the_worked_example_are_the_real_ones() -> None:
    found = rows_under("| tier | winner | confidence | conflict | status | candidates |", EXAMPLE)
    assert found == [layer_row(one) for one in answer("layered")["layers"]]


def test_the_constraints_of_the_worked_example_are_the_real_ones() -> None:
    found = rows_under("| kind | value | holds | reason | tier | support | weight |", EXAMPLE)
    asked = ask_of(context(), Question(subject=CONTEXT, lens="constraints"))
    assert found == [constraint_row(one) for one in asked["constraints"]]


def test_the_page_lists_exactly_the_lenses_with_their_versions() -> None:
    table = PAGE.partition("\n## The nine lenses\n")[2].partition("\n## ")[0]
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


def test_the_page_lists_the_parameters_and_the_lenses_that_take_them() -> None:
    (listed,) = rows_under("| parameter | lenses | means |", PAGE)
    takers = ", ".join(name for name, lens in LENSES.items() if "threshold" in lens.parameters)
    assert listed.startswith(f"| `threshold` | {takers} |")
    assert {name for lens in LENSES.values() for name in lens.parameters} == {"threshold"}
    assert f"`threshold`, {THRESHOLD_DEFAULT_MICROS / 1_000_000} unless given" in PAGE


def test_the_page_states_the_half_lives() -> None:
    tiers, one = rows_under("| `decay` | half-life |", PAGE)
    days = zip(SOURCE_CLASSES, TIER_HALF_LIVES_DAYS, strict=True)
    listed = ", ".join(f"{name} {'never' if half_life is None else half_life}" for name, half_life in days)
    assert tiers == f"| `tiers` | {listed} days |"
    assert f"at most {HALF_LIFE_MS_MAX // DAY_MS}d" in one


def test_the_page_lists_every_reason_of_a_constraint() -> None:
    table = rows_under("| `reason` of what holds | of what is overruled | when |", PAGE)
    assert {name for line in table for name in re.findall(r"`([a-z-]+)`", line)} == set(get_args(Reason))
