"""A line is one line, whoever put what into it; a flood is counted; neither tokens nor questions are in it."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.config import ServerConfig
from episteme.server import journal
from episteme.server.journal import BURST_COUNT, KINDS_MAX, MESSAGE_CHARS_MAX, HumanLines, JsonLines, line_of, plain
from tests.support.http import call
from tests.support.servers import Server

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [a-z.]+: .*")
LOGGER = logging.getLogger("episteme.test")
TOKEN = "eps_k3y1d_s3cretS3cretS3cret_chk"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a process that is set up would have said; the root logger is as before afterwards."""
    root, access = logging.getLogger(), logging.getLogger(journal.ACCESS)
    before = root.handlers[:], root.level, access.level
    for handler in before[0]:
        root.removeHandler(handler)
    stream = io.StringIO()
    yield stream
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in before[0]:
        root.addHandler(handler)
    root.setLevel(before[1])
    access.setLevel(before[2])


def set_up(stream: io.StringIO, form: Literal["human", "json"] = "human", **settings: Any) -> None:
    journal.set_up(ServerConfig(log_format=form, **settings), stream)


def record(text: str, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("episteme.test", logging.WARNING, __file__, 1, "%s", (text,), more.pop("exc_info", None))
    vars(made).update(more)
    return made


def failed(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)
    except ValueError as error:
        return record("it failed", exc_info=(ValueError, error, error.__traceback__))


@given(st.text())
def test_any_text_makes_one_line_that_a_terminal_shows_as_it_is(text: str) -> None:
    line = HumanLines().format(record(text))
    assert LINE.fullmatch(line), line
    assert line.isprintable()
    assert line.encode("utf-8")
    assert json.loads(JsonLines().format(record(text)))["message"].isprintable()
    assert "\n" not in JsonLines().format(record(text))


@given(st.text())
def test_traceback_with_any_text_in_it_looks_like_no_line_of_its_own(text: str) -> None:
    first, *rest = HumanLines().format(failed(f"x\n2026-01-01T00:00:00.000Z ERROR episteme.server: {text}")).split("\n")
    assert LINE.fullmatch(first)
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "\n" not in JsonLines().format(failed(text))


def test_json_has_time_level_logger_message_and_what_is_known_besides() -> None:
    fields = {"request_id": "abc", "status": 200}
    found = json.loads(JsonLines().format(record("hello", fields=fields)))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {"level": "warning", "logger": "episteme.test", "message": "hello", **fields}
    found = json.loads(JsonLines().format(failed("why")))
    assert found["exception"].endswith("ValueError: why")


def test_long_texts_are_cut() -> None:
    assert len(line_of(record("x" * 100_000)).message) == MESSAGE_CHARS_MAX
    assert len(line_of(failed("x" * 100_000)).exception or "") < 40_000


def test_a_token_is_never_in_a_line() -> None:
    assert plain(f"Bearer {TOKEN}, {TOKEN}") == "Bearer eps_…, eps_…"
    spelled = TOKEN.replace("_", "%5F")
    assert plain(f"/Bearer%20{TOKEN} x{TOKEN} {spelled}") == "/Bearer%20eps_… xeps_… eps_…"
    assert plain("steps_taken, reps_of") == "steps_taken, reps_of"
    assert TOKEN not in HumanLines().format(failed(f"of {TOKEN}"))
    assert TOKEN not in JsonLines().format(record("x", fields={"path": f"/{TOKEN}"}))


def test_what_is_said_again_and_again_is_said_a_few_times_and_then_counted(
    said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(journal.time, "monotonic", lambda: now_s)
    set_up(said)
    for number in range(1_000):
        LOGGER.warning("request %d went wrong", number)
    LOGGER.warning("another matter")
    assert len(said.getvalue().splitlines()) == BURST_COUNT + 1
    now_s += journal.BURST_S
    LOGGER.warning("request %d went wrong", 1_000)
    last = said.getvalue().splitlines()[-1]
    assert last.endswith(f"request 1000 went wrong ({1_000 - BURST_COUNT} lines like this were left out)")


def test_kinds_of_lines_that_are_counted_have_a_bound(said: io.StringIO) -> None:
    set_up(said)
    for number in range(2 * KINDS_MAX):
        LOGGER.warning(f"kind {number}")
    bound = logging.getLogger().handlers[0].filters[0]
    assert isinstance(bound, journal.Bound)
    assert len(bound._kinds) <= KINDS_MAX


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)], ids=lambda value: str(value)
)
def test_level_says_what_is_worth_a_line(said: io.StringIO, level: str, count: int) -> None:
    set_up(said, log_level=level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        LOGGER.log(number, "a line")
    assert len(said.getvalue().splitlines()) == count


def test_cancelled_handlers_of_a_server_that_stops_are_no_line(said: io.StringIO) -> None:
    set_up(said)
    try:
        raise asyncio.CancelledError
    except asyncio.CancelledError as error:
        LOGGER.error("Exception in ASGI application", exc_info=error)
    assert said.getvalue() == ""


def test_access_lines_tell_endpoint_and_outcome_and_nothing_that_was_asked_about(tmp_path: Path) -> None:
    environ = {"EPISTEME_ACCESS_LOG": "true", "EPISTEME_LOG_FORMAT": "json"}
    with Server(tmp_path / "data", environ=environ) as server:
        server.wait_listening()
        call(server.url, "GET", "/v1/query?subject=secret&predicate=hidden", headers={"X-Request-Id": "mine-1"})
        call(server.url, "GET", "/v1/subjects/secret")
        call(server.url, "GET", "/no/such%0Apath?secret=1", headers={"Authorization": f"Bearer {TOKEN}"})
        ended = server.stop()
    lines = [json.loads(line) for line in ended.output.splitlines() if '"episteme.access"' in line]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/v1/query?subject&predicate", 200),
        ("GET", "/v1/subjects/{subject}", 404 if lines[1]["status"] == 404 else 200),
        ("GET", "/no/such\\npath", 401),
    ]
    assert lines[0]["request_id"] == "mine-1"
    assert all(line["ms"] >= 0 and line["bytes"] > 0 and line["request_id"] for line in lines)
    for word in ("secret", "hidden", TOKEN):
        assert word not in "".join(json.dumps(line) for line in lines)


def test_server_without_an_access_log_says_nothing_of_requests(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        call(server.url, "GET", "/no/such/path")
        ended = server.stop()
    assert "episteme.access" not in ended.output
    assert "/no/such/path" not in ended.output
