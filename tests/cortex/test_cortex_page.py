"""The page on folds, tasks and memories: what its examples print is what it says."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

PAGE: Final = Path(__file__).parents[2] / "docs" / "cortex.md"


def test_the_examples_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    compared = 0
    for kind, body in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if kind == "python":
            capsys.readouterr()
            exec(compile(body, str(PAGE), "exec"), namespace)
        elif kind == "text":
            assert capsys.readouterr().out == body
            compared += 1
    assert compared == 5
