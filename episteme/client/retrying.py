"""When to send again: one call until it is answered, its time is over, or there is no use in trying.

Pure: a generator that says what to do next and is told what came of it, with
clock and chance as arguments.  The clients do what it says.

Source: docs/python.md, "When a server does not answer".
"""

from collections.abc import Callable, Generator
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from episteme.client.wire import Call, Incomplete, Request, Response, is_good, refusal_of
from episteme.errors import EpistemeError, NotReady, Overloaded, Unreachable

Shape = TypeVar("Shape")

TIMEOUT_S: Final = 60.0  # longer than any wait that a server takes, short enough for a person
CONNECT_TIMEOUT_S: Final = 5.0
ATTEMPTS_MAX: Final = 5  # within a second and a half: a restart takes longer, a hiccup does not
READ_TIMEOUT_S: Final = 30.0  # a full read of 100,000 claims takes a few

_RETRIED: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
# Of status 503, and no use in asking again: the first was given the time that its caller wanted to give it, the
# others want somebody's hand.
_FINAL: Final = frozenset({"not-applied", "log-failed", "fold-stopped"})
_NOT_LOOKED_AT: Final = (Overloaded, NotReady)


class Patience(Struct, frozen=True):
    """How long a call may take, and how it is sent again.

    total_s: all of it, pauses too.  connect_s: to connect, once.  silence_s: without a byte from the server, besides
    the wait that was asked for.  attempts_max: how often it is sent, where the server does not say when to come back.
    pause_s: the first pause is 0 to this long, and the bound doubles each time, up to pause_s_max.
    """

    total_s: float = TIMEOUT_S
    connect_s: float = CONNECT_TIMEOUT_S
    silence_s: float = READ_TIMEOUT_S
    attempts_max: int = ATTEMPTS_MAX
    pause_s: float = 0.1
    pause_s_max: float = 5.0

    def pause_after(self, failures: int, chance: float) -> float:
        """Seconds before the next attempt, after so many failed in a row; chance: 0 to 1.

        Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        return chance * min(self.pause_s_max, self.pause_s * 2.0 ** min(failures - 1, 30))


class Send(NamedTuple):
    """Send this, and tell what came: a Response or Lost."""

    request: Request
    within_s: float
    silence_s: float


class Pause(NamedTuple):
    """Do nothing for so long."""

    seconds: float


class Lost(NamedTuple):
    """No answer came, or not all of one.  sent: whether the server may have got the request."""

    detail: str
    cause: Exception
    sent: bool = True


Exchange = Generator[Send | Pause, Response | Lost | None, Shape]


def exchange(
    call: Call[Shape], patience: Patience, now_s: Callable[[], float], chance: Callable[[], float]
) -> Exchange[Shape]:
    """What the answer is read into.

    now_s: a clock that only goes forward.  chance: a random number of 0 to 1.
    Raises: EpistemeError: the last refusal, or Unreachable, whose cause is what the network said.
    """
    give_up_s = now_s() + patience.total_s
    failures = 0
    while True:
        within_s = give_up_s - now_s()
        answer = yield Send(call.request, within_s, min(within_s, patience.silence_s + call.wait_s))
        assert answer is not None, "a request is answered, or lost"
        if isinstance(answer, Response) and is_good(answer):
            try:
                return call.read(answer)
            except Incomplete as error:
                answer = Lost(str(error), error)
        failures += 1
        pause_s = pause_before_next(call, answer, patience, failures, chance())
        if pause_s is None or now_s() + pause_s >= give_up_s:
            raise unanswered(answer, call.request.path)
        yield Pause(pause_s)


def pause_before_next(
    call: Call[Shape], answer: Response | Lost, patience: Patience, failures: int, chance: float
) -> float | None:
    """Seconds until it is worth sending again; None: it is not."""
    retry_after_s = None
    if isinstance(answer, Lost):
        if answer.sent and not call.repeatable:
            return None
    else:
        refusal = refusal_of(answer, call.request.path)
        if answer.status not in _RETRIED or refusal.code in _FINAL:
            return None
        if not call.repeatable and not isinstance(refusal, _NOT_LOOKED_AT):
            return None
        retry_after_s = refusal.retry_after_s
    if retry_after_s:
        return retry_after_s * (1 + chance / 4)  # not before, and not all at once
    return patience.pause_after(failures, chance) if failures < patience.attempts_max else None


def unanswered(answer: Response | Lost, path: str) -> EpistemeError:
    """What a caller is told of a call that is given up."""
    if isinstance(answer, Response):
        return refusal_of(answer, path)
    error = Unreachable(answer.detail)
    error.__cause__ = answer.cause
    return error
