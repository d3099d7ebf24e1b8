"""What the process says of itself: lines on stderr, for people or as JSON, with a bound.

A line is one line, whatever a stranger put into a path or a name: control
characters are spelled out, long texts are cut, and what is said over and over
is said a few times and then counted.  A token is never in it, nor what
anybody asks about: that is in the audits, which have a keeper.

Source: docs/operations.md, "Logs".
"""

import asyncio
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from episteme.config import ServerConfig
from episteme.server.endpoints import Endpoint
from episteme.server.exchange import PASSED, Exchange, exchange_of
from episteme.server.router import ENDPOINT

ACCESS: Final = "episteme.access"
MESSAGE_CHARS_MAX: Final = 4_000
TRACE_CHARS_MAX: Final = 16_000
BURST_COUNT: Final = 20  # lines of one kind in BURST_S; what a stranger can cause again and again fills no disk
BURST_S: Final = 10.0
KINDS_MAX: Final = 1_000  # kinds of lines that are counted at a time

_TOKEN: Final = re.compile(
    r"eps(?:_|%5[Ff])[A-Za-z0-9]{4,}(?:_|%5[Ff])[A-Za-z0-9_%]+"
)  # also within a word, and as paths spell it
_PATH_CHARS_MAX: Final = 200


def set_up(config: ServerConfig, stream: TextIO | None = None) -> None:
    """Send all lines of this process to stderr as the settings say; what was set up before is replaced."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if config.log_format == "json" else HumanLines())
    handler.addFilter(Bound())
    logging.basicConfig(handlers=[handler], level=config.log_level.upper(), force=True)
    logging.getLogger(ACCESS).setLevel(logging.INFO if config.access_log else logging.CRITICAL)


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line as JSON; time in UTC."""

    time: str
    level: str
    logger: str
    message: str
    request_id: str | None = None
    method: str | None = None  # these five of a line for a request
    path: str | None = None
    status: int | None = None
    bytes: int | None = None
    ms: float | None = None
    exception: str | None = None


class HumanLines(logging.Formatter):
    """Time, level, who, what, [request id]; a traceback below it, set in, so that nothing in it looks like a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and those of its traceback."""
        line = line_of(record)
        name = f" [{line.request_id}]" if line.request_id else ""
        text = f"{line.time} {line.level.upper()} {line.logger}: {line.message}{name}"
        return text if line.exception is None else "\n    ".join([text, *line.exception.split("\n")])


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Always one line."""
        return msgspec.json.encode(line_of(record)).decode()


class Bound(logging.Filter):
    """Lets through BURST_COUNT lines of a kind in BURST_S; the next one that passes says how many did not."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is said."""
        if _is_cancelled(record):
            return False
        if record.name == ACCESS:
            return True
        kind = (record.name, str(record.msg))
        now_s = time.monotonic()
        began_s, count = self._kinds.get(kind, (now_s, 0))
        if now_s - began_s >= BURST_S:
            began_s, count, left_out = now_s, 0, max(0, count - BURST_COUNT)
            if left_out:
                record.msg, record.args = f"{record.getMessage()} ({left_out} lines like this were left out)", ()
        if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
            self._kinds.clear()
        self._kinds[kind] = (began_s, count + 1)
        return count < BURST_COUNT


class AccessLog:
    """An application before another one: a line for each request, once its answer is on its way."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._logger = logging.getLogger(ACCESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the other one does."""
        status, size = 0, 0
        began_s = time.perf_counter()

        async def counting(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._application(scope, receive, counting)
        finally:
            if PASSED not in scope:
                seconds = time.perf_counter() - began_s
                self.say(exchange_of(scope), scope["method"], asked(scope), status, size, seconds)

    def say(
        self, exchange: Exchange | None, method: str, path: str, status: int, body_bytes: int, seconds: float
    ) -> None:
        """A line for a request.  path: as asked gives it."""
        ms = seconds * 1000
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "bytes": body_bytes,
            "ms": round(ms, 3),
            "request_id": None if exchange is None else exchange.request_id.decode("ascii"),
        }
        self._logger.info("%s %s %d %d bytes %.1f ms", method, path, status, body_bytes, ms, extra={"fields": fields})


def asked(scope: Scope) -> str:
    """What was asked, as asked_of says it; of a path that is no endpoint, the path, cut."""
    endpoint = scope.get(ENDPOINT)
    return scope["path"][:_PATH_CHARS_MAX] if endpoint is None else asked_of(endpoint, scope["query_string"])


def asked_of(endpoint: Endpoint, query: bytes) -> str:
    """The endpoint and the names of the parameters, without anything that was asked about."""
    if not query:
        return endpoint.path
    names = [pair.partition("=")[0] for pair in query.decode("latin-1").split("&")]
    known = dict.fromkeys(name for name in names if name in endpoint.parameters)
    return f"{endpoint.path}?{'&'.join(known)}"


def line_of(record: logging.LogRecord) -> Line:
    """What a record says."""
    moment = datetime.fromtimestamp(record.created, UTC)
    fields: dict[str, Any] = getattr(record, "fields", {})
    known: dict[str, Any] = {name: plain(value) if isinstance(value, str) else value for name, value in fields.items()}
    exception = None
    if record.exc_info and record.exc_info[0] is not None:
        text = logging.Formatter().formatException(record.exc_info)[-TRACE_CHARS_MAX:]
        exception = "\n".join(map(plain, text.split("\n")))
    return Line(
        time=moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
        level=record.levelname.lower(),
        logger=record.name,
        message=cut(plain(record.getMessage())),
        exception=exception,
        **known,
    )


def plain(text: str) -> str:
    """Text of others, on one line and without tokens: what is not seen is spelled out."""
    text = _TOKEN.sub("eps_…", text)
    return text if text.isprintable() else "".join(map(_spelled, text))


def cut(text: str) -> str:
    """At most so much of it."""
    return text if len(text) <= MESSAGE_CHARS_MAX else text[: MESSAGE_CHARS_MAX - 1] + "…"


def _spelled(character: str) -> str:
    """Itself if a terminal shows it as it is, else as Python writes it."""
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def _is_cancelled(record: logging.LogRecord) -> bool:
    """Whether it only tells that the server stopped before a request was answered, which it said itself."""
    return bool(record.exc_info and record.exc_info[0] is asyncio.CancelledError)
