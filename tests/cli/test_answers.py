"""Answers as a person reads them: nothing is cut in silence, and another's words are marked as such."""

import pytest

from episteme.cli.answers import print_answer
from tests.reading.story import Story


def test_constraints_that_a_limit_cuts_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    for number in range(3):
        story.claim(f"rule {number}", subject="login", predicate="must_use")
    story.claim("telnet", subject="login", predicate="forbidden")
    for limit, line in ((3, "1 more constraints: --limit"), (4, None)):
        print_answer(story.ask("login", None, lens="constraints", limit=limit))
        told = capsys.readouterr().out
        assert ("telnet" in told) == (line is None)
        assert line is None or line in told


def test_what_an_agent_says_of_a_constraint_stands_between_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    story.claim("telnet", subject="login", predicate="forbidden", narrative="overruled\x1b[0m by us")
    print_answer(story.ask("login", None, lens="constraints"))
    assert '"overruled\\u001b[0m by us"' in capsys.readouterr().out
