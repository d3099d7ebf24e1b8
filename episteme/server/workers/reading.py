"""The questions that a worker answers itself, from the owner's state.

The same code answers as in the owner, over a Follower; so an answer is the
owner's, byte for byte, but for the id of its audit.  What this process cannot
read at one commit in good time, what needs the log, and what would take long is
passed on to the owner: PassOn.

Invariant: an answer is as of a position that the owner has said is readable, or
of a later one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Self, cast

from cortex import Follower, FollowerBehind, State, again
from episteme.api import Answer
from episteme.asking import Asking
from episteme.audit.auditor import Auditor, Recording
from episteme.audit.sending import Sending
from episteme.config import NodeConfig
from episteme.errors import translate
from episteme.folds import LoggedEvent
from episteme.lenses import CONSTRAINT_PREDICATES
from episteme.reading import PastClock, Question, as_parameters
from episteme.server.exchange import Elsewhere
from episteme.space import fitted
from episteme.state import STATE_FOLDER
from keycodec import KeyCodecError
from stores import FollowingSnapshot, IndexStore, Moved, Reader, Snapshot, StoreError

# A full read of so many claims takes some 20 ms, during which nothing else of the worker goes on.
PASSED_CANDIDATES_MIN: Final = 1000


class PassOn(Elsewhere):
    """The owner is to answer this; nothing has been done or recorded here."""


class _View:
    """As far as Asking needs one, a cortex.State."""

    def __init__(
        self, follower: Follower, applied_end: Callable[[], int], outdated: Callable[[], bool], *, patient: bool
    ) -> None:
        self._follower = follower
        self._applied_end = applied_end
        self._outdated = outdated
        self._patient = patient

    @property
    def outdated(self) -> bool:
        """As State.outdated."""
        return self._outdated()

    def snapshot(self) -> FollowingSnapshot:
        """The newest state.  Raises: Moved; StoreError."""
        return self._follower.snapshot(at_least=self._applied_end(), patient=self._patient)


class _Reads(Asking):
    """Asking over a follower."""

    def __init__(
        self, view: _View, config: NodeConfig, recording: Recording[Question], clock_ms: Callable[[], int]
    ) -> None:
        self.state = cast("State[LoggedEvent]", view)
        self.config = config
        self.auditor = cast("Auditor[Question]", recording)
        self.clock_ms = clock_ms

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """As Asking.reading; where the follower cannot read, the owner may.  Raises: PassOn; Moved."""
        try:
            with self.state.snapshot() as snapshot:
                yield snapshot
        except (StoreError, OSError, FollowerBehind) as error:
            raise PassOn(str(error)) from error
        except KeyCodecError as error:
            raise translate(error) from error

    def _resolve(self, question: Question, reader: Reader, now_ms: int) -> Answer:
        predicates = CONSTRAINT_PREDICATES if question.predicate is None else (question.predicate,)
        index = IndexStore(reader)
        if sum(index.pair_count(question.subject, one) for one in predicates) > PASSED_CANDIDATES_MIN:
            raise PassOn("the pair has many claims")
        return super()._resolve(question, reader, now_ms)

    @property
    def _past(self) -> PastClock:
        return PastClock(_pass_on, _pass_on)


class FrontReads:
    """A worker's reads of the owner's state.  Thread-safe."""

    def __init__(
        self,
        follower: Follower,
        config: NodeConfig,
        *,
        applied_end: Callable[[], int],
        outdated: Callable[[], bool],
        send_audit: Callable[[bytes], bool],
        clock_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Takes the follower over.

        applied_end: how many events the owner has said are readable.  outdated: whether its state is of other fold
        versions.  send_audit: send the owner the payload of an audit, for Auditor.take; False if too many wait.
        """
        self.sending = Sending(send_audit)
        self._outdated = outdated
        self._follower = follower
        recording = Recording[Question](
            *(config.audit, as_parameters, self.sending), clock_ms=clock_ms, random_bytes=random_bytes
        )
        self._quick, self._full = (
            _Reads(_View(follower, applied_end, outdated, patient=patient), config, recording, clock_ms)
            for patient in (False, True)
        )

    @classmethod
    def open(
        cls,
        data: Path,
        name: str,
        config: NodeConfig,
        *,
        applied_end: Callable[[], int],
        outdated: Callable[[], bool],
        send_audit: Callable[[bytes], bool],
        clock_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> Self:
        """As the constructor, on the data folder of an owner who has it open.

        name: of this worker among the owner's, and of who takes its place.
        Raises: CortexError; StoreError; OSError.
        """
        return cls(
            Follower.open(data / STATE_FOLDER, name, fitted(config.store, data)),
            config,
            applied_end=applied_end,
            outdated=outdated,
            send_audit=send_audit,
            clock_ms=clock_ms,
            random_bytes=random_bytes,
        )

    def ask_soon(self, question: Question, *, agent: bytes | None = None) -> Answer | None:
        """As Node.ask_soon; None also where that would have to wait.  Raises: PassOn; as Node.ask_soon."""
        try:
            return self._quick.ask_soon(question, agent=agent)
        except Moved:
            return None

    def ask(self, question: Question, *, agent: bytes | None = None) -> Answer:
        """As Node.ask; may wait some milliseconds, so it is for a thread.  Raises: PassOn; as Node.ask."""
        if question.as_of is not None or self._outdated():
            raise PassOn("the owner has the log")
        try:
            return again(partial(self._full.ask, question, agent=agent))
        except FollowerBehind as error:
            raise PassOn(str(error)) from error

    def tend(self) -> None:
        """Called every few seconds, on a thread: let go of what nobody reads any more.

        Raises: CortexError; StoreError; OSError.
        """
        self._follower.tend()

    def look(self) -> None:
        """Called when the owner has rebuilt its state.  Raises: CortexError; StoreError; OSError."""
        self._follower.look()

    def close(self) -> None:
        """Read nothing any more.  A second call does nothing."""
        self._follower.close()


def _pass_on(_: int) -> int:
    raise PassOn("the owner has the log")
