"""The files in deploy/ name settings, commands, packages and paths that are there, and agree with one another."""

import configparser
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import msgspec
import pytest
from typer.main import get_command

from episteme.cli import app
from episteme.config import DEFAULT_PORT, ServerConfig
from episteme.server.listen import _FILES_WANTED
from tests.support.servers import Server

ROOT: Final = Path(__file__).parents[1]
UNIT: Final = (ROOT / "deploy/episteme.service").read_text("utf-8")
DOCKERFILE: Final = (ROOT / "deploy/Dockerfile").read_text("utf-8")
COMPOSE: Final = (ROOT / "deploy/compose.yaml").read_text("utf-8")
IGNORED: Final = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
OPERATIONS: Final = (ROOT / "docs/operations.md").read_text("utf-8")
SETTINGS: Final = {f"EPISTEME_{field.name.upper()}" for field in msgspec.structs.fields(ServerConfig)}


class Unit(configparser.RawConfigParser):
    """Keys keep their case, and of one that is there twice the last counts."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    unit = Unit(strict=False)
    unit.read_string(UNIT)
    return unit["Service"]


def instruction(name: str) -> str:
    """What the last instruction of that name says, on one line."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", joined, re.MULTILINE)[-1]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in instruction("ENV").split())


def commands() -> set[str]:
    return set(getattr(get_command(app), "commands"))  # noqa: B009  (of a group, which the type does not tell)


@pytest.mark.parametrize("text", [UNIT, DOCKERFILE, COMPOSE], ids=["unit", "Dockerfile", "compose"])
def test_every_setting_that_is_named_is_there(text: str) -> None:
    named = set(re.findall(r"EPISTEME_[A-Z_]+", text)) - {"EPISTEME_DATA"}
    assert named <= SETTINGS


def test_unit_starts_a_command_that_is_there_and_notifies(service: configparser.SectionProxy) -> None:
    program, verb = service["ExecStart"].split()
    assert Path(program).name == "episteme"
    assert verb in commands()
    assert service["Type"] == "notify"
    assert "AF_UNIX" in service["RestrictAddressFamilies"].split()  # the socket that it notifies
    assert service["Environment"] == f"EPISTEME_DATA=/var/lib/{service['StateDirectory']}"


def test_unit_gives_a_stop_more_time_than_the_drain_takes_and_as_many_files_as_are_asked_for(
    service: configparser.SectionProxy,
) -> None:
    assert int(service["TimeoutStopSec"]) > 2 * ServerConfig().drain_s
    assert int(service["LimitNOFILE"]) == _FILES_WANTED


def test_container_runs_a_command_that_is_there_as_nobody_in_a_folder_of_its_own() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["episteme"]
    assert json.loads(instruction("CMD"))[0] in commands()
    assert instruction("USER") == "65532:65532"
    assert instruction("VOLUME") == environment()["EPISTEME_DATA"] == "/data"
    assert "--owner=65532 --group=65532" in instruction("RUN")
    assert instruction("EXPOSE") == environment()["EPISTEME_PORT"] == str(DEFAULT_PORT)
    assert f"127.0.0.1:{DEFAULT_PORT}:{DEFAULT_PORT}" in COMPOSE
    assert "data:/data" in COMPOSE


def test_container_is_built_of_every_package_and_of_no_data() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = {name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    assert IGNORED[1] == "*"
    sent = {line[1:] for line in IGNORED if line.startswith("!")}
    assert sent == packages | {"pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in sent)


def test_health_check_asks_readyz_with_what_the_image_has(tmp_path: Path) -> None:
    health = instruction("HEALTHCHECK").partition(" CMD ")[2]
    program, flag, source = json.loads(health)
    assert (program, flag) == ("python", "-c")
    assert "/readyz" in source
    with Server.start(tmp_path / "data") as server:
        environ = {**os.environ, "EPISTEME_PORT": str(server.port)}
        assert subprocess.run([sys.executable, "-c", source], env=environ, check=False).returncode == 0
        server.stop()
    gone = subprocess.run([sys.executable, "-c", source], env=environ, check=False, capture_output=True)
    assert gone.returncode == 1


def test_python_of_the_image_is_one_that_the_package_admits() -> None:
    (version,) = set(re.findall(r"^FROM python:3\.(\d+)-slim", DOCKERFILE, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert int(version) >= int(project["requires-python"].removeprefix(">=3."))


def test_operations_page_names_every_file_that_is_there() -> None:
    for path in sorted((ROOT / "deploy").iterdir()):
        assert f"deploy/{path.name}" in OPERATIONS, path
