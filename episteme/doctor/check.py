"""One thing that was looked at, and what was found."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Level = Literal["ok", "warn", "fail", "skipped"]


class Check(Struct, frozen=True):
    """What was looked at, how it is, in words, and what to do; fix is empty where nothing is to be done."""

    name: str
    level: Level
    detail: str
    fix: str = ""


Look = tuple[str, Callable[[], Check]]  # the name of a check, and what looks


def ok(name: str, detail: str) -> Check:
    """All is well."""
    return Check(name, "ok", detail)


def warn(name: str, detail: str, fix: str) -> Check:
    """It works, and will not always."""
    return Check(name, "warn", detail, fix)


def fail(name: str, detail: str, fix: str) -> Check:
    """Something is wrong now."""
    return Check(name, "fail", detail, fix)


def skipped(name: str, detail: str, fix: str = "") -> Check:
    """It was not looked at, and why."""
    return Check(name, "skipped", detail, fix)
