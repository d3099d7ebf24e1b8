"""The tail of a log over connections that come and go: every line once, in order, whatever happens between.  Pure.

A generator that says what to do next and is told what came of it, as
`exchange` is.  It goes on after the last position that it gave, so a lost
connection leaves no gap; it checks the positions itself, so a repeat is dropped
and a gap is an error.

Source: docs/http.md, "The log"; docs/python.md, "Following the log".
"""

import re
from collections.abc import Callable, Generator, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from episteme.client.retrying import Lost, Patience, Pause, pause_before_next, unanswered
from episteme.client.sse import EventReader, ServerEvent
from episteme.client.wire import Call, Incomplete, Request, Response, is_good, refusal_of
from episteme.errors import Internal, NotReady, Overloaded, VerificationFailed
from episteme.loglines import LogLine, decode_line
from episteme.parameters import invalid_parameter
from episteme.tailing import make_filter

STALL_S: Final = 45.0  # without a byte: three times what a server lets pass between two signs of life
PAGE_LINES: Final = 1000  # of a tail that does not follow
_STREAM: Final = "/v1/log/tail"
_PAGES: Final = "/v1/log"
_CAUGHT_UP: Final = "caught-up"
_PROBLEM: Final = "problem"
_NEXT: Final = "episteme-next"
_END: Final = "episteme-seq"
_POSITION: Final = re.compile(r"-1|[0-9]{1,16}")
_RETRY_S_MAX: Final = 60.0  # of what a server may ask for between two connections
_OFTEN: Final = 1 << 30  # a tail comes again for as long as its patience lasts, however often that is


class Wanted(Struct, frozen=True):
    """Which lines: after a position, and of those all, or such as these."""

    after: int = -1
    subject: str | None = None
    predicate: str | None = None
    kind: str | None = None
    agent: str | None = None

    @property
    def takes_all(self) -> bool:
        """Whether no line is left out."""
        return self.subject is self.predicate is self.kind is self.agent is None

    def params(self, after: int) -> dict[str, str]:
        """The query that asks for what follows a position."""
        named = {"subject": self.subject, "predicate": self.predicate, "kind": self.kind, "agent": self.agent}
        return {"after": str(after), **{name: text for name, text in named.items() if text is not None}}


class Open(NamedTuple):
    """Close the stream that is open, if one is, and open this one; tell what came: a Response, or Lost.

    Of a refusal the body is told too; of a good answer it is what More asks for.
    """

    request: Request
    silence_s: float


class More(NamedTuple):
    """Tell the next bytes of the stream; empty at its end; Lost."""


class Give(NamedTuple):
    """Lines for the reader."""

    lines: list[LogLine]


class Ask(NamedTuple):
    """Send this call, and tell what it came to."""

    call: Call[Any]


class LogPage(NamedTuple):
    """Lines in order, the position up to which the log was read for them, and the log's end then."""

    lines: list[LogLine]
    position: int
    end_seq: int


TailSteps = Generator[Open | More | Give | Ask | Pause, Any, None]


class _CaughtUp(Struct, frozen=True):
    seq: int
    database: str


class _Position:
    """How far the log was read, and of which database it is."""

    def __init__(self, wanted: Wanted) -> None:
        self.seq = wanted.after
        self._every = wanted.takes_all
        self._database: str | None = None

    def take(self, lines: list[LogLine]) -> list[LogLine]:
        """Those of the lines that are new.  Raises: VerificationFailed if one is missing."""
        new = []
        for line in lines:
            if line.seq <= self.seq:
                continue
            if self._every and line.seq != self.seq + 1:
                raise _gap(self.seq, line.seq)
            self.seq = line.seq
            new.append(line)
        return new

    def pass_over(self, seq: int) -> None:
        """Up to here nothing else was asked for.  Raises: VerificationFailed if something was."""
        if self._every and seq > self.seq:
            raise _gap(self.seq, seq + 1)
        self.seq = max(self.seq, seq)

    def belongs_to(self, database: str) -> None:
        """Raises: VerificationFailed if what was read before is of another database."""
        if self._database not in (None, database):
            detail = f"this is the log of database {database[:80]!r}; what came before was of {self._database!r}"
            raise VerificationFailed(detail)
        self._database = database


def tail_steps(
    after: int,
    named: Mapping[str, str | None],
    patience: Patience,
    now_s: Callable[[], float],
    chance: Callable[[], float],
    *,
    stall_s: float | None,
) -> TailSteps:
    """The tail that a client was asked for: endless, or with stall_s None up to the log's end.

    named: subject, predicate, kind, agent.
    Raises: InvalidParameter, before anything is sent.
    """
    if after < -1:
        raise invalid_parameter("after", f"is {after}; it is a position, or -1 for the beginning")
    make_filter(**named)
    wanted = Wanted(after, **named)
    if stall_s is None:
        return read_through(wanted)
    return follow(wanted, patience, now_s, chance, stall_s=stall_s)


def follow(
    wanted: Wanted,
    patience: Patience,
    now_s: Callable[[], float],
    chance: Callable[[], float],
    *,
    stall_s: float = STALL_S,
) -> TailSteps:
    """Lines from a position on, and then the next ones as they come; has no end.

    Raises: EpistemeError for what no new connection can mend, such as EventsGone; VerificationFailed for a gap;
    Unreachable once nothing was heard of the server for patience.total_s.
    """
    return _Follower(wanted, patience, now_s, chance).steps(stall_s)


class _Follower:
    """One reader of the tail, over all its connections."""

    def __init__(
        self, wanted: Wanted, patience: Patience, now_s: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._wanted = wanted
        self._patience = msgspec.structs.replace(patience, attempts_max=_OFTEN)
        self._now_s = now_s
        self._chance = chance
        self._position = _Position(wanted)
        self._heard_s = now_s()
        self._failures = 0

    def steps(self, stall_s: float) -> TailSteps:
        while True:
            call = Call(request=Request("GET", _STREAM, self._wanted.params(self._position.seq)), read=_read_page)
            told: Response | Lost = yield Open(call.request, stall_s)
            if isinstance(told, Response) and is_good(told):
                told = yield from self._listen()
            self._failures += 1
            now_s = self._now_s()
            pause_s = pause_before_next(call, told, self._patience, self._failures, self._chance())
            if pause_s is None or now_s + pause_s >= self._heard_s + self._patience.total_s:
                raise unanswered(told, call.request.path)
            yield Pause(pause_s)

    def _listen(self) -> Generator[More | Give, Any, Lost]:
        """Give what comes; why nothing comes any more.  Raises: what no new connection can mend."""
        events = EventReader()
        while True:
            told: bytes | Lost = yield More()
            if isinstance(told, Lost):
                return told
            if not told:
                return Lost("the server ended the stream", Incomplete("it has ended"))
            self._heard_s, self._failures = self._now_s(), 0
            try:
                lines = [line for event in events.feed(told) for line in self._read(event)]
            except (NotReady, Overloaded) as problem:
                return Lost(problem.detail, problem)
            if lines:
                yield Give(lines)

    def _read(self, event: ServerEvent) -> list[LogLine]:
        """The line that an event is, if it is one and new."""
        if event.retry_ms is not None:
            pause_s = min(event.retry_ms / 1000, _RETRY_S_MAX)
            self._patience = msgspec.structs.replace(self._patience, pause_s=pause_s)
        if event.name is None and event.data is not None:
            return self._position.take([decode_line(event.data)])
        if event.name == _PROBLEM:
            raise refusal_of(Response(HTTPStatus.OK, {}, event.data or b""), _STREAM)
        if event.name == _CAUGHT_UP:
            self._position.belongs_to(_read_caught_up(event.data or b"").database)
        if event.id is not None:
            self._position.pass_over(_count(event.id))
        return []


def read_through(wanted: Wanted) -> TailSteps:
    """Lines from a position on, up to what was the log's end when the first page was read.  Raises: as follow."""
    position = _Position(wanted)
    end_seq = None
    while end_seq is None or position.seq < end_seq:
        before = position.seq
        params = {**wanted.params(before), "limit": str(PAGE_LINES)}
        page: LogPage = yield Ask(Call(request=Request("GET", _PAGES, params), read=_read_page))
        end_seq = page.end_seq if end_seq is None else end_seq
        lines = position.take([line for line in page.lines if line.seq <= end_seq])
        position.pass_over(min(page.position, end_seq))
        if lines:
            yield Give(lines)
        if position.seq == before and position.seq < end_seq:
            raise Internal(f"the log ends at {end_seq}, and the server gives nothing after {before}")


def _read_page(response: Response) -> LogPage:
    lines = [decode_line(line) for line in response.body.splitlines()]
    headers = response.headers
    return LogPage(lines, _count(headers.get(_NEXT, "")), _count(headers.get(_END, "")))


def _read_caught_up(data: bytes) -> _CaughtUp:
    try:
        return msgspec.json.decode(data, type=_CaughtUp)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Internal(f"the server says that the tail has caught up, but not where: {error}") from error


def _count(text: str) -> int:
    """A position as it is written, -1 for none."""
    if not _POSITION.fullmatch(text):
        raise Internal(f"the server names the position {text[:40]!r}, which is none")
    return int(text)


def _gap(last: int, found: int) -> VerificationFailed:
    return VerificationFailed(f"after position {last} the server gave {found}: what is between was left out")
