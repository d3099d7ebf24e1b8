"""Where the packages of peers are: a virtual environment of their own, `.bench-peer`, which `make bench` makes.

Their programs run in our interpreter with those packages before ours, so that what both use (Starlette, uvicorn,
msgspec, libsodium) is the same.
"""

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from bench.measured import Unavailable

FOLDER: Final = Path(__file__).parents[2] / ".bench-peer"
REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
IMPORT_S: Final = 60.0


def peer_env(*modules: str) -> dict[str, str]:
    """What a process needs in its environment to import these modules.

    Raises: Unavailable if it could not.
    """
    env = {"PYTHONPATH": str(_packages())}
    done = subprocess.run(
        [sys.executable, "-c", "import " + ", ".join(modules)],
        check=False,
        capture_output=True,
        env={**os.environ, **env},
        text=True,
        timeout=IMPORT_S,
    )
    if done.returncode:
        raise Unavailable(f"{FOLDER.name} lacks a package: {done.stderr.strip().splitlines()[-1]}")
    return env


def peer_program(name: str) -> Path:
    """A program that a package has installed.

    Raises: Unavailable.
    """
    path = FOLDER / "bin" / name
    if not path.exists():
        raise Unavailable(f"{path} is not there: make bench installs it where it can")
    return path


def peer_versions(*names: str) -> str:
    """Of distributions: "psycopg 3.3.9, psycopg-pool 3.3.3"."""
    found = {one.name: one.version for one in distributions(path=[str(_packages())])}
    return ", ".join(f"{name} {found.get(name, 'not installed')}" for name in names)


def _packages() -> Path:
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = FOLDER / "lib" / python / "site-packages"
    if not path.is_dir():
        raise Unavailable(f"{FOLDER.name} has no packages for {python}: make bench installs them where it can")
    return path
