"""The command line as a shell runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from episteme.cli import app
from tests.support.servers import WAIT_S, environment


class Ran(NamedTuple):
    """An exit code, data and talk."""

    code: int
    stdout: str
    stderr: str

    @property
    def line(self) -> Any:
        """The value of the one line of JSON on stdout."""
        (line,) = self.stdout.splitlines()
        return json.loads(line)


class Command:
    """Runs `python -m episteme` in a folder, with a home of its own for keys beside it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self._environment = environment(folder / "config", **settings)
        self.keys = folder / "config" / "episteme" / "keys"

    def __call__(self, *arguments: str | bytes) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "episteme", *arguments],
            capture_output=True,
            text=True,
            timeout=WAIT_S * 3,
            cwd=self.folder,
            env=self._environment,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def inside(self, *arguments: str) -> Ran:
        """The same within this process: forty times as fast, for tables of cases."""
        done = CliRunner(env=self._environment).invoke(app, arguments, prog_name="episteme")
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        return Ran(done.exit_code, done.stdout, done.stderr)
