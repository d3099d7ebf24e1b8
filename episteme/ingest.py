"""Many numbered lines in one write: each is admitted or refused alone, and has its own result."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from episteme.errors import EpistemeError
from episteme.gate import Chunk, Outcome, Submission
from episteme.receipts import IngestResult
from model import SignedEvent

Line = tuple[int, SignedEvent | bytes | str]  # its number, and what it holds


def write_chunked(
    lines: Iterable[Line],
    admit: Callable[[SignedEvent | bytes], SignedEvent],
    via: str,
    chunk_count: int,
    ingest: Callable[[Sequence[Chunk]], list[Outcome]],
) -> list[IngestResult]:
    """Write what is admitted, in order; one result for each line, by its number.

    admit: called in the threads of ingest, so many lines at a time as chunk_count says; what it refuses is refused
    alone.  ingest: one outcome for each line of its chunks.
    Raises: whatever ingest does.
    """
    taken = list(lines)
    parts = [taken[start : start + chunk_count] for start in range(0, len(taken), chunk_count)]
    outcomes = ingest([partial(admitted, part, admit, via) for part in parts])
    return [_result(number, outcome) for (number, _), outcome in zip(taken, outcomes, strict=True)]


def admitted(
    lines: Sequence[Line], admit: Callable[[SignedEvent | bytes], SignedEvent], via: str
) -> list[Submission | EpistemeError]:
    """Admit lines, each alone."""
    entries: list[Submission | EpistemeError] = []
    for _, given in lines:
        line = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
        try:
            entries.append(Submission(admit(line), via, len(line) if isinstance(line, bytes) else None))
        except EpistemeError as error:
            entries.append(error)
    return entries


def _result(number: int, outcome: Outcome) -> IngestResult:
    if isinstance(outcome, EpistemeError):
        return IngestResult(number, "refused", code=outcome.code, detail=outcome.detail, errors=outcome.errors)
    return IngestResult(number, outcome.status, outcome.hash, outcome.seq)
