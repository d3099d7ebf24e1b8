"""Many numbered lines in one write: each is admitted or refused alone, and has its own result."""

from collections.abc import Callable, Iterable

from episteme.errors import EpistemeError
from episteme.gate import Outcome
from episteme.receipts import IngestResult
from model import SignedEvent


def write_lines(
    lines: Iterable[tuple[int, SignedEvent | bytes | str]],
    admit: Callable[[bytes], SignedEvent],
    readmit: Callable[[SignedEvent], SignedEvent],
    submit_many: Callable[[list[SignedEvent], list[int | None]], list[Outcome]],
) -> list[IngestResult]:
    """Write what is admitted, in order; one result for each line, by its number.

    admit, readmit: of bytes and of events; what they refuse is refused alone.  submit_many: one outcome for each,
    given them and the bytes of the line that each was, None for an event.
    Raises: whatever submit_many does.
    """
    results: list[IngestResult | None] = []
    admitted: list[SignedEvent] = []
    sizes: list[int | None] = []
    places: list[tuple[int, int]] = []
    for place, (number, given) in enumerate(lines):
        line = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
        try:
            signed = admit(line) if isinstance(line, bytes) else readmit(line)
        except EpistemeError as error:
            results.append(_refused(number, error))
            continue
        results.append(None)
        admitted.append(signed)
        sizes.append(len(line) if isinstance(line, bytes) else None)
        places.append((place, number))
    for (place, number), outcome in zip(places, submit_many(admitted, sizes), strict=True):
        results[place] = _result(number, outcome)
    return [result for result in results if result is not None]


def _refused(number: int, error: EpistemeError) -> IngestResult:
    return IngestResult(number, "refused", code=error.code, detail=error.detail, errors=error.errors)


def _result(number: int, outcome: Outcome) -> IngestResult:
    if isinstance(outcome, EpistemeError):
        return _refused(number, outcome)
    return IngestResult(number, outcome.status, outcome.hash, outcome.seq)
