"""Reading the log by position, from the first event to those to come: what to show of it, and the Node's own tail.

A reader holds one page of frames and a position, never a queue, so a slow one
costs the writer nothing.  Every position that is passed over by a filter counts
as read: a reader goes on where it was, whatever it was shown.

Source: docs/http.md, "The log".
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from episteme.errors import AsOfBeyond, EpistemeError, EventsGone, FieldProblem, translate
from episteme.loglines import LOST, OPAQUE, RULES, LogLine, line_of
from episteme.parameters import check_predicate, check_subject, invalid_parameter, parse_agent
from model import FRAME_KIND_EVENT, FRAME_KIND_RULES, KINDS, ModelError, decode_raw_record
from wal import FileLog, Frame, FutureSeq, LogClosed, LogError, LogReader, Truncated

LINE_KINDS: Final = (*KINDS, RULES, LOST, OPAQUE)
BEGINNING: Final = -1  # the position before the first event

LOOKED_COUNT_MAX: Final = 1024  # frames that a reader holds at a time
LOOKED_BYTES_MAX: Final = 1024 * 1024  # of payloads


class LogFilter(Struct, frozen=True):
    """Which lines to show; None: any.  Made by make_filter.

    subject: exact, or with a star at its end whatever begins so.  agent: among the signers, 32 bytes.
    """

    subject: str | None = None
    predicate: str | None = None
    kind: str | None = None
    agent: bytes | None = None

    @property
    def takes_all(self) -> bool:
        """Whether every line is shown."""
        return self == _ALL

    def line_of(self, frame: Frame) -> LogLine | None:
        """The line of a frame that is to be shown."""
        if self == _ALL:
            return line_of(frame)
        if not self._may_take(frame):
            return None
        line = line_of(frame)
        agents = tuple(bytes.fromhex(agent) for agent in line.agents) if self.agent is not None else ()
        return line if self._takes(line.kind, line.subject or "", line.predicate or "", agents) else None

    def _may_take(self, frame: Frame) -> bool:
        """Whether the line of the frame could be one to show, at a fifth of the cost of making it."""
        if frame.lost or frame.kind not in (FRAME_KIND_EVENT, FRAME_KIND_RULES):
            return self.kind in (None, LOST, OPAQUE)
        if frame.kind == FRAME_KIND_RULES or self.kind in (RULES, LOST, OPAQUE):
            return True
        try:
            record, head = decode_raw_record(frame.payload)
        except ModelError:
            return True
        return self._takes(head.kind, head.subject, head.predicate, tuple(one.agent for one in record.signatures))

    def _takes(self, kind: str, subject: str, predicate: str, agents: tuple[bytes, ...]) -> bool:
        return (
            (self.kind is None or self.kind == kind)
            and (self.subject is None or _is_like(subject, self.subject))
            and (self.predicate is None or self.predicate == predicate)
            and (self.agent is None or self.agent in agents)
        )


_ALL: Final = LogFilter()


def _is_like(subject: str, pattern: str) -> bool:
    """Whether a subject, empty if there is none, is what is wanted."""
    return subject != "" and subject.startswith(pattern[:-1]) if pattern.endswith("*") else subject == pattern


def make_filter(
    subject: str | None = None, predicate: str | None = None, kind: str | None = None, agent: str | None = None
) -> LogFilter:
    """A filter with every part checked.

    subject: exact, or with a star at its end whatever begins so.  agent: hex or did:key.
    Raises: InvalidParameter, naming the part.
    """
    if subject is not None:
        check_subject(subject)
    if predicate is not None:
        check_predicate(predicate)
    if kind is not None and kind not in LINE_KINDS:
        raise invalid_parameter("kind", f"is {kind[:40]!r}; the kinds are {', '.join(LINE_KINDS)}")
    return LogFilter(subject, predicate, kind, None if agent is None else parse_agent("agent", agent))


class LogPage(NamedTuple):
    """Lines in order, and the position up to which the log was read for them."""

    lines: list[LogLine]
    position: int


def check_position(log: LogReader, after: int) -> None:
    """Refuse a position that the log cannot go on from.

    Raises: EventsGone, which names the first position kept; AsOfBeyond for a reader that is ahead of the log;
    InvalidParameter below -1.
    """
    if after < BEGINNING:
        raise invalid_parameter("after", f"is {after}; it is a position, or {BEGINNING} for the beginning")
    if after >= log.durable_end:
        raise ahead_of_log(after, log.durable_end - 1)
    if after + 1 < log.first_seq:
        raise events_gone(log.first_seq)


def read_page(log: LogReader, after: int, wanted: LogFilter, *, count_max: int, bytes_max: int) -> LogPage:
    """Lines after a position; none at the end, or where none of those looked at is wanted.

    Looks at no more than a page of frames; count_max lines or bytes_max bytes of payloads end it before.
    Raises: EventsGone; AsOfBeyond; NotReady if the log is closed; Damaged.
    """
    looked_count_max = min(count_max, LOOKED_COUNT_MAX) if wanted.takes_all else LOOKED_COUNT_MAX
    try:
        frames = log.read_from(after + 1, count_max=looked_count_max, bytes_max=bytes_max)
    except (LogError, OSError) as error:
        raise told_of_log(error) from error
    lines: list[LogLine] = []
    for frame in frames:
        line = wanted.line_of(frame)
        after = frame.seq
        if line is not None:
            lines.append(line)
            if len(lines) == count_max:
                break
    return LogPage(lines, after)


def told_of_log(error: Exception) -> EpistemeError:
    """What a reader of the log is told of what befell it."""
    if isinstance(error, Truncated):
        return events_gone(error.floor)
    if isinstance(error, FutureSeq):
        return ahead_of_log(error.seq - 1, error.end - 1)
    return translate(error)


def events_gone(floor: int) -> EventsGone:
    """For a position that the log no longer has."""
    return EventsGone(f"the log begins at position {floor}: go on after {floor - 1}; what was before is not here")


def ahead_of_log(after: int, end_seq: int) -> AsOfBeyond:
    """For a reader that has read what this log does not hold."""
    detail = f"position {after} is beyond the end of this log, {end_seq}: it is not the one that was read before"
    return AsOfBeyond(detail, errors=(FieldProblem("after", detail),))


def tail_of(log: LogReader, after: int, wanted: LogFilter, *, follow: bool) -> Iterator[LogLine]:
    """Lines after a position, then, if followed, those to come; else to what was durable at the call.

    Raises: EventsGone; AsOfBeyond; while reading NotReady once the log is closed; LogFailed; Damaged.
    """
    check_position(log, after)
    return _lines(log, after, None if follow else log.durable_end, wanted)


def _lines(log: LogReader, after: int, end: int | None, wanted: LogFilter) -> Iterator[LogLine]:
    while end is None or after + 1 < end:
        if end is None and not log.wait_past(after + 1, None):
            raise translate(log.failure or LogClosed("the database was closed; open it again to go on"))
        page = read_page(log, after, wanted, count_max=LOOKED_COUNT_MAX, bytes_max=LOOKED_BYTES_MAX)
        yield from (line for line in page.lines if end is None or line.seq < end)
        after = page.position


class Tailing:
    """A log's tail in process; a mixin of Node."""

    log: FileLog

    def tail(
        self,
        after: int = BEGINNING,
        *,
        follow: bool = True,
        subject: str | None = None,
        predicate: str | None = None,
        kind: str | None = None,
        agent: str | None = None,
    ) -> Iterator[LogLine]:
        """Lines of the log after a position, in order, none twice and none left out; then, as they come, the next ones.

        follow: False ends it at what was durable at the call.  subject: exact, or `Sema*` for all that begin so.
        agent: among the signers, as hex or did:key.  Ctrl-C interrupts the wait.
        Raises: InvalidParameter; AsOfBeyond for a position that this log does not have yet; EventsGone; while
        reading NotReady once the database is closed; LogFailed; Damaged.
        """
        return tail_of(self.log, after, make_filter(subject, predicate, kind, agent), follow=follow)
