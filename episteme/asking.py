"""The questions that a Node answers: snapshot, moment, reading, audit.

Only wires: what a question means is the business of episteme.reading.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Unpack

import msgspec

from cortex import CortexError, FoldStopped, State
from episteme.api import Answer, Comparison, History, QueryOptions, StoredAssertion
from episteme.audit.auditor import Auditor
from episteme.config import NodeConfig
from episteme.errors import NotApplied, NotFound, translate
from episteme.folds import LoggedEvent
from episteme.lenses import lens_named
from episteme.parameters import (
    asked_of,
    check_limit,
    check_pair,
    check_wait,
    invalid_parameter,
    make_question,
    parse_hash,
)
from episteme.reading import (
    COMPARED,
    Moment,
    Page,
    PastClock,
    Question,
    ask,
    ask_soon,
    compare,
    default_lens,
    history,
    make_answer,
    make_stored,
    moment_of,
    resolve_full,
)
from keycodec import KeyCodecError, pack_key, rulings_key, view_key
from stores import AssertionStore, Reader, Snapshot, StoreError, StoreFull
from wal import FileLog

TURNS_DEFAULT: Final = 100
TURNS_MAX: Final = 1000
COMPARED_MAX: Final = 16  # lenses in one comparison


class Asking:
    """Reads of a state; a mixin of Node."""

    log: FileLog
    state: State[LoggedEvent]
    config: NodeConfig
    clock_ms: Callable[[], int]
    auditor: Auditor[Question]

    @property
    def applied_seq(self) -> int:
        """The last event that is readable; -1 if there is none."""
        return self.state.watermark.seq - 1

    @property
    def fold_failure(self) -> str | None:
        """The code of what stopped the folds, or holds them up, if something does."""
        progress = self.state.progress
        failure = self.state.failure or (None if progress is None else progress.pause)
        return translate(failure).code if isinstance(failure, FoldStopped | StoreFull) else None

    def query(self, subject: str, predicate: str | None = None, **options: Unpack[QueryOptions]) -> Answer:
        """As Database.query."""
        question = make_question(subject, predicate, **asked_of(options))
        self.await_seq(options.get("min_seq"), options.get("wait_s"))
        return self.ask(question)

    def ask(self, question: Question, *, agent: bytes | None = None) -> Answer:
        """Answer a question from the newest state, without waiting for anything.

        agent: who asks, 32 bytes, where that is proven; for the audit.
        """
        now_ms = self.clock_ms()
        with self.reading() as reader:
            answer = self._resolve(question, reader, now_ms)
        return self._audited(question, answer, agent, now_ms)

    def ask_soon(self, question: Question, *, agent: bytes | None = None) -> Answer | None:
        """Answer a question if that takes a fraction of a millisecond; None: it is for a thread."""
        if self.state.outdated:
            return None
        now_ms = self.clock_ms()
        with self.reading() as reader:
            found = ask_soon(reader, question, now_ms, reader.position - 1, self._past)
            answer = None if found is None else make_answer(reader, question, found)
        return None if answer is None else self._audited(question, answer, agent, now_ms)

    def ask_then(self, question: Question, position: int, now_ms: int) -> Answer:
        """What the answer was at a position, with ages counted from now_ms: an audit's replay."""
        with self.reading() as reader:
            moment = Moment(position, position, self._past.time_at(position) if position >= 0 else 0, now_ms)
            lens = default_lens(reader, question, position) if question.lens is None else lens_named(question.lens)
            return make_answer(reader, question, resolve_full(reader, lens, question, moment))

    def compare(
        self, subject: str, predicate: str, lenses: Sequence[str] = (), **options: Unpack[QueryOptions]
    ) -> Comparison:
        """As Database.compare."""
        question = make_question(subject, predicate, **asked_of(options))
        self.await_seq(options.get("min_seq"), options.get("wait_s"))
        return self.ask_compare(question, lenses)

    def ask_compare(self, question: Question, lenses: Sequence[str], *, agent: bytes | None = None) -> Comparison:
        """Compare lenses over the newest state; no names: those that name a winner."""
        if question.lens is not None:
            raise invalid_parameter("lens", "is given; a comparison takes lenses")
        if len(lenses) > COMPARED_MAX or len(set(lenses)) != len(lenses):
            raise invalid_parameter("lenses", f"are {len(lenses)}; name up to {COMPARED_MAX}, each once")
        chosen = [lens_named(name) for name in (lenses or COMPARED)]
        for lens in chosen:
            if not lens.takes_predicate:
                raise invalid_parameter("lenses", f"has {lens.name}, which reads a whole context, not a pair")
        now_ms = self.clock_ms()
        with self.reading() as reader:
            moment = moment_of(reader, question.as_of, now_ms, self._past)
            found = compare(reader, question, chosen, moment)
        answers = [
            self._audited(msgspec.structs.replace(question, lens=one.lens.name), one, agent, now_ms)
            for one in found.answers
        ]
        return msgspec.structs.replace(found, answers=answers)

    def history(
        self,
        subject: str,
        predicate: str,
        *,
        after: int = -1,
        turns: int = TURNS_DEFAULT,
        **options: Unpack[QueryOptions],
    ) -> History:
        """As Database.history."""
        question = make_question(subject, predicate, **asked_of(options))
        self.await_seq(options.get("min_seq"), options.get("wait_s"))
        return self.ask_history(question, after, turns)

    def ask_history(self, question: Question, after: int, turns: int) -> History:
        """A page of the turns that an answer took, up to the newest state."""
        if question.as_of is not None:
            raise invalid_parameter("as_of", "is given; a history goes on to the newest position")
        if question.explain:
            raise invalid_parameter("explain", "is given; explain the answer as of a turn")
        if question.full:
            raise invalid_parameter("max_age", "is given; a history reads the claims anyway")
        check_limit(turns, TURNS_MAX)
        now_ms = self.clock_ms()
        with self.reading() as reader:
            lens = default_lens(reader, question, None) if question.lens is None else lens_named(question.lens)
            return history(reader, lens, question, Page(after, turns), now_ms, self._past)

    def watch(
        self, subject: str, predicate: str, *, timeout_s: float | None = None, **options: Unpack[QueryOptions]
    ) -> Generator[Answer, None, None]:
        """The answer now, then each one that differs in more than its seq; ends when the database closes.

        A reader who is slow gets the newest answer and none of those between.  timeout_s: how long to wait
        for the next; the iterator ends then.
        Raises: what query raises for a bad question; at the step where it shows, FoldStopped, NotReady, Overloaded.
        """
        check_pair(subject, predicate)
        question = make_question(subject, predicate, **asked_of(options))
        if question.as_of is not None:
            raise invalid_parameter("as_of", "is given; what was does not change")
        return self._watch(question, predicate, timeout_s)

    def _watch(self, question: Question, predicate: str, timeout_s: float | None) -> Generator[Answer, None, None]:
        """The answers of one watch after another: aliases change which pairs are to be watched."""
        told: Answer | None = None
        subjects = [question.subject]
        try:
            while True:
                with self.state.watch(
                    lambda reader: self._resolve(question, reader, self.clock_ms()),
                    keys=_keys_of(subjects, predicate, question.pack),
                    same=_same_but_seq,
                    timeout_s=timeout_s,
                ) as watch:
                    for change in watch:
                        answer = change.value
                        if told is None or not _same_but_seq(told, answer):
                            told = answer
                            yield answer
                        named = answer.subjects or [question.subject]
                        if named != subjects:
                            subjects = named
                            break
                    else:
                        return
        except (CortexError, StoreError, KeyCodecError) as error:
            raise translate(error) from error

    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> StoredAssertion:
        """As Database.get."""
        digest = parse_hash(hash_hex)
        self.await_seq(min_seq, wait_s)
        with self.reading() as reader:
            row = AssertionStore(reader).find(digest)
        if row is None:
            raise NotFound(f"no assertion {hash_hex} up to seq {self.applied_seq}")
        return make_stored(digest, row)

    def await_seq(self, min_seq: int | None, wait_s: float | None) -> None:
        """Wait until min_seq is readable.  Raises: NotApplied; InvalidParameter; FoldStopped; NotReady."""
        wait_s = self.config.read_wait_s if wait_s is None else wait_s
        check_wait(wait_s, self.config.wait_s_max)
        if min_seq is None:
            return
        if min_seq < 0:
            raise invalid_parameter("min_seq", f"is {min_seq}; it is a whole number of 0 or more")
        if self.state.watermark.seq > min_seq:
            return
        if not self.wait_applied(min_seq, wait_s):
            raise NotApplied(f"seq {min_seq} is not applied yet; the fold is at {self.applied_seq}", retry_after_s=1)

    def wait_applied(self, seq: int, timeout_s: float) -> bool:
        """Wait until event seq is readable; False if the time ran out."""
        check_wait(timeout_s, self.config.wait_s_max)
        try:
            return self.state.watermark.wait(seq, timeout_s)
        except Exception as error:
            raise translate(error) from error

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """The newest state; what goes wrong with it is told as an EpistemeError."""
        try:
            with self.state.snapshot() as snapshot:
                yield snapshot
        except (StoreError, KeyCodecError) as error:
            raise translate(error) from error

    def _resolve(self, question: Question, reader: Reader, now_ms: int) -> Answer:
        if self.state.outdated:  # its views are of another version; its claims are the claims
            question = msgspec.structs.replace(question, full=True)
        return make_answer(reader, question, ask(reader, question, now_ms, self._past))

    def _audited(self, question: Question, answer: Answer, agent: bytes | None, now_ms: int) -> Answer:
        """The answer with the id under which it is audited, if it is."""
        audit_id = self.auditor.record(question, answer, agent, now_ms)
        return answer if audit_id is None else msgspec.structs.replace(answer, audit_id=audit_id)

    @property
    def _past(self) -> PastClock:
        return PastClock(self._time_at, self._last_by)

    def _time_at(self, seq: int) -> int:
        try:
            return self.log.get(seq).time_ms
        except Exception as error:
            raise translate(error) from error

    def _last_by(self, time_ms: int) -> int:
        try:
            return self.log.seek_time(time_ms + 1) - 1
        except Exception as error:
            raise translate(error) from error


def _keys_of(subjects: Sequence[str], predicate: str, pack: str | None) -> list[bytes]:
    """What an answer depends on: what it rests on shows in the views of its pairs, or in one row of governance.

    A pair's view is written anew, or removed, at every event of the pair.
    """
    keys = [rulings_key(), *(view_key(subject, predicate) for subject in subjects)]
    return keys if pack is None else [*keys, pack_key(pack)]


def _same_but_seq(one: Answer, other: Answer) -> bool:
    return msgspec.structs.replace(one, seq=other.seq) == other
