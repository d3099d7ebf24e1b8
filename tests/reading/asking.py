"""Questions put to events folded into memory."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cortex import apply_batch
from episteme.api import Answer
from episteme.folds import FOLDS
from episteme.parameters import make_question
from episteme.reading import PastClock, ask, make_answer
from stores import MemoryEngine
from tests.support.meaning import Step, as_frames, as_logged, log_time

NOW_MS = (log_time(10_000)) >> 16  # after all that any history tells


class Folded:
    """A history folded into memory, as a reader and what its log knows of the past."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)
        self.engine = MemoryEngine()
        events = as_logged(self.steps)
        if events:
            apply_batch(self.engine, FOLDS, events, len(events))
        times = [frame.time >> 16 for frame in as_frames(self.steps)]
        self.past = PastClock(times.__getitem__, lambda time_ms: sum(time <= time_ms for time in times) - 1)

    def ask(self, subject: str, predicate: str | None, *, now_ms: int = NOW_MS, **options: Any) -> Answer:
        """The answer to a question."""
        question = make_question(subject, predicate, **options)
        with self.engine.snapshot() as reader:
            return make_answer(reader, question, ask(reader, question, now_ms, self.past))

    def told(self, subject: str, predicate: str | None, **options: Any) -> bytes:
        """The answer as bytes, apart from whether it was asked as of a position."""
        answer = self.ask(subject, predicate, **options)
        return msgspec.json.encode(msgspec.structs.replace(answer, as_of=None))
