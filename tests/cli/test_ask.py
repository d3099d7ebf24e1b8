"""Questions on the command line: query with all its options, compare, history."""

import json

import pytest

from tests.support.command import Command


@pytest.fixture(scope="module")
def asked(episteme: Command) -> Command:
    """The command line, and claims of two kinds about a drug."""
    for value, tier, words in (
        ("no", "anecdotal", "[bold]loud[/bold]"),
        ("no", "community", "me too"),
        ("yes", "clinical", "a trial"),
    ):
        ran = episteme.inside(
            "assert", "drug", "helps", value, "--source-class", tier, "--narrative", words, "--wait", "10"
        )
        assert ran.code == 0, ran.stderr
    return episteme


def test_a_lens_of_every_kind_is_shown_as_a_table(asked: Command) -> None:
    for lens, words in (
        ("authority", "yes"),
        ("layered", "clinical"),
        ("skeptic", "who stands for it"),
        ("trust", "confidence"),
    ):
        ran = asked.inside("query", "drug", "helps", "--lens", lens, "-o", "table")
        assert (ran.code, ran.stderr) == (0, ""), lens
        assert words in ran.stdout, lens


def test_filters_reach_the_question(asked: Command) -> None:
    line = asked.inside("query", "drug", "helps", "--source-class", "clinical", "--decay", "30d").line
    assert (line["candidates_count"], line["winner"]["value"]["value"]) == (1, "yes")
    assert asked.inside("query", "drug", "helps", "--valid-at", "1999-01-01T00:00:00Z").code == 3
    past = asked.inside("query", "drug", "helps", "--as-of", f"seq:{line['seq'] - 1}").line
    assert past["as_of"] == f"seq:{line['seq'] - 1}"


def test_an_explanation_names_what_weighed_and_what_was_left_out(asked: Command) -> None:
    ran = asked.inside("query", "drug", "helps", "--source-class", "clinical", "--explain", "-o", "table")
    assert ran.code == 0
    for words in ("why", "weight", "left out", "its source class is not asked for"):
        assert words in ran.stdout


def test_what_agents_say_is_never_markup(asked: Command) -> None:
    asked.inside("assert", "project", "must_use", "tabs", "--narrative", "[red]now[/red]\x1b[31m", "--wait", "10")
    ran = asked.inside("query", "project", "--lens", "constraints", "-o", "table")
    assert ran.code == 0, ran.stderr
    assert "[red]now[/red]" in ran.stdout
    assert "\x1b[31m" not in ran.stdout


def test_lenses_are_compared(asked: Command) -> None:
    ran = asked.inside("compare", "drug", "helps", "-o", "table")
    assert ran.code == 0, ran.stderr
    assert "authority" in ran.stdout
    line = asked.inside("compare", "drug", "helps", "--lens", "recency", "--lens", "authority").line
    assert [answer["lens"]["name"] for answer in line["answers"]] == ["recency", "authority"]
    assert asked.inside("compare", "nothing", "known").code == 3


def test_a_history_is_told_in_pages(asked: Command) -> None:
    ran = asked.inside("history", "drug", "helps", "--lens", "recency", "-o", "table")
    assert (ran.code, "cause" in ran.stdout) == (0, True)
    line = asked.inside("history", "drug", "helps", "--lens", "recency", "--limit", "1").line
    assert len(line["turns"]) == 1
    rest = asked.inside("history", "drug", "helps", "--lens", "recency", "--after", str(line["next"])).line
    assert rest["turns"][0]["seq"] > line["turns"][0]["seq"]
    assert asked.inside("history", "nothing", "known").code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["query", "drug"], 2, "predicate is missing"),
        (["query", "drug", "helps", "--lens", "loudest"], 2, "episteme lenses"),
        (["query", "drug", "helps", "--as-of", "yesterday"], 2, "seq:123"),
        (["query", "drug", "helps", "--as-of", "seq:999999"], 6, "applied is seq"),
        (["query", "drug", "helps", "--param", "threshold"], 2, "NAME=VALUE"),
        (["query", "drug", "helps", "--lens", "trust", "--param", "thresold=1"], 2, "thresold"),
        (["query", "drug", "helps", "--pack", "f" * 64], 3, "no trust pack"),
        (["compare", "drug", "helps", "--lens", "constraints"], 2, "constraints"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_hint(
    asked: Command, arguments: list[str], code: int, words: str
) -> None:
    ran = asked.inside(*arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert words in ran.stderr


def test_names_may_stand_between_commas_as_in_a_query_string(asked: Command) -> None:
    apart = asked.inside("query", "drug", "helps", "--source-class", "clinical", "--source-class", "community").line
    joined = asked.inside("query", "drug", "helps", "--source-class", "clinical,community").line
    assert joined | {"audit_id": None} == apart | {"audit_id": None}
    assert joined["candidates_count"] == 2
    line = asked.inside("compare", "drug", "helps", "--lens", "recency,authority").line
    assert [answer["lens"]["name"] for answer in line["answers"]] == ["recency", "authority"]


def test_where_nothing_takes_part_no_empty_table_is_shown(asked: Command) -> None:
    ran = asked.inside("query", "drug", "helps", "--valid-at", "0", "--explain", "-o", "table")
    assert ran.code == 3
    assert "none: no claims take part" in ran.stdout
    assert "left out" in ran.stdout
    assert "weight" not in ran.stdout
    ran = asked.inside("compare", "drug", "helps", "--valid-at", "0", "-o", "table")
    assert ran.code == 3
    assert "none: no claims take part" in ran.stdout
    assert "agree" not in ran.stdout
    assert asked.inside("history", "nothing", "known", "-o", "table").stdout == ""


def test_history_takes_the_filters_of_a_question(asked: Command) -> None:
    whole = asked.inside("history", "drug", "helps").line
    assert asked.inside("history", "drug", "helps", "--valid-at", "0").code == 3
    assert (
        asked.inside("history", "drug", "helps", "--decay", "30d").line["turns"][-1]["seq"] == whole["turns"][-1]["seq"]
    )
    assert asked.inside("history", "drug", "helps", "--decay", "soon").code == 2


def test_a_claim_is_shown_with_all_that_it_says(asked: Command) -> None:
    said = ["--valid-from", "2020-01-01T00:00:00Z", "--valid-to", "2021-01-01T00:00:00Z", "--narrative", "because"]
    named = ["--source", "a" * 64, "--epoch", "b" * 64, "--parent", "c" * 64]
    claim = asked.inside("assert", "told whole", "is", "so", *said, *named, "--wait", "10").line
    shown = asked.inside("get", claim["hash"], "-o", "table").stdout
    for words in ("2020-01-01 00:00:00", "2021-01-01 00:00:00", "because", "a" * 64, "b" * 64, "c" * 64):
        assert words in shown


def test_output_in_a_pipe_is_one_line_of_json(asked: Command) -> None:
    ran = asked("query", "drug", "helps", "--explain")
    assert json.loads(ran.stdout)["explain"]["candidates_count"] == 3
