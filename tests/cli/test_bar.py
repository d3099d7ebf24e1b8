"""Progress in a pipe: a line now and then, and none of what is done at once."""

import pytest

from episteme.cli import bar as bar_module
from episteme.cli.bar import bar


def test_what_takes_long_says_how_far_it_is_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with bar("copying") as moved:
        moved(1, 4)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(bar_module, "LINE_EVERY_S", 0.0)
        moved(3000, 4000)
    assert capsys.readouterr().err == "copying: 75 %, 3,000 of 4,000\n"
