"""Whether what a server returned is what agents signed: hashes and signatures, checked by the reader itself.  Pure.

What is proven: every event that is shown was signed by those whom it names, and
has the hash that it is shown under; the winner of an answer is a claim about
what was asked, and says the value that is shown.  What is not: that nothing was
left out, and what the server makes of it all (shares, confidence, who wins).

Source: docs/format-events.md; docs/python.md, "Verified answers".
"""

from collections.abc import Sequence
from typing import NoReturn

from episteme.api import Answer, Comparison, ManyValue, StoredAssertion, Winner
from episteme.errors import FieldProblem, VerificationFailed
from episteme.loglines import LogLine
from model import Assertion, EnvelopeSignature, Event, ModelError, Signature, event_hash, verify


def check_answer(answer: Answer, subject: str, predicate: str | None) -> None:
    """The answer's winner: hash, signatures, value, and that it is about what was asked.

    predicate: None where a whole context was asked about.  Of a many-valued predicate the values are not checked.
    Raises: VerificationFailed.
    """
    if (answer.subject, answer.predicate) != (subject, predicate):
        _fail("/subject", f"the answer is about {answer.subject!r}, {answer.predicate!r}", "are not what was asked")
    if answer.winner is not None:
        _check_winner(answer.winner, {subject, *(answer.subjects or ())}, predicate)


def check_comparison(comparison: Comparison, subject: str, predicate: str) -> None:
    """Every answer of the comparison.  Raises: VerificationFailed."""
    for answer in comparison.answers:
        check_answer(answer, subject, predicate)


def check_asked(hash_hex: str, asked: object) -> None:
    """That what came is what was asked for, by its hash.  Raises: VerificationFailed."""
    if hash_hex != asked:
        _fail("/hash", f"{asked} was asked for, {hash_hex} came", "is not the one that was asked for")


def check_stored(stored: StoredAssertion) -> None:
    """An assertion.  Raises: VerificationFailed."""
    check_event(stored.event, stored.hash, stored.signatures)


def check_line(line: LogLine) -> None:
    """An event of the log; a line of another kind has nothing to check.  Raises: VerificationFailed."""
    if line.event is None and (line.hash is not None or line.signatures):
        _fail("/event", f"position {line.seq} has a hash or signatures without the event", "is missing")
    if line.event is not None:
        check_event(line.event, line.hash or "", line.signatures)


def check_event(event: Event, hash_hex: str, signatures: Sequence[EnvelopeSignature]) -> None:
    """An event, the hash that it is shown under, and who signed it.

    Raises: VerificationFailed, naming the first thing that is wrong.
    """
    digest = event_hash(event)
    if digest.hex() != hash_hex:
        _fail("/hash", f"the event's hash is {digest.hex()}, it is shown as {hash_hex}", "is not that of the event")
    if not signatures:
        _fail("/signatures", f"nobody has signed {hash_hex}", "are missing")
    agents = [one.agent for one in signatures]
    if len(set(agents)) != len(agents):
        _fail("/signatures", f"{hash_hex} shows the same agent twice", "name the same agent twice")
    if not isinstance(event, Assertion) and event.agent not in agents:
        _fail("/signatures", f"{hash_hex} is not signed by its agent {event.agent}", "lack that of the event's agent")
    for place, one in enumerate(signatures):
        if not isinstance(one.signature, str):
            _fail(f"/signatures/{place}", f"{hash_hex} is signed by a bundle", "is by a bundle, which is not read yet")
    try:
        verify(event, digest, tuple(_raw(one) for one in signatures))
    except ModelError as error:
        pointer = getattr(error, "pointer", "/signatures")
        raise VerificationFailed(str(error), errors=(FieldProblem(pointer, "does not verify"),)) from error


def _check_winner(winner: Winner, subjects: set[str], predicate: str | None) -> None:
    event = winner.assertion.event
    check_event(event, winner.hash, winner.assertion.signatures)
    if not isinstance(event, Assertion) or event.subject not in subjects or predicate not in (None, event.predicate):
        _fail("/winner", f"{winner.hash} does not speak about what was asked", "is not a claim about what was asked")
    if not isinstance(winner.value, ManyValue) and winner.value != event.object:
        _fail("/winner/value", f"{winner.hash} says another value than the answer shows", "is not what was signed")


def _raw(one: EnvelopeSignature) -> Signature:
    assert isinstance(one.signature, str), "those without were refused"
    return Signature(bytes.fromhex(one.agent), bytes.fromhex(one.signature))


def _fail(pointer: str, detail: str, problem: str) -> NoReturn:
    raise VerificationFailed(detail, errors=(FieldProblem(pointer, problem),))
