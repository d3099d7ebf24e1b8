"""Whether what a server returned is what agents signed: hashes and signatures, checked by the reader itself.  Pure.

What is proven: every event that is shown was signed by those whom it names, and
has the hash that it is shown under; the winner of an answer is a claim about
what was asked, and says the value that is shown.  What is not: that nothing was
left out, and what the server makes of it all (shares, confidence, who wins).

Source: docs/format-events.md; docs/python.md, "Verified answers".
"""

from collections.abc import Iterator, Sequence
from typing import NoReturn

from episteme.api import Answer, Comparison, ManyValue, StoredAssertion, Winner
from episteme.audit import Replayed
from episteme.errors import FieldProblem, VerificationFailed
from episteme.loglines import LogLine
from episteme.shapes import Page
from episteme.stored import StoredBundle, StoredEvent
from model import (
    Assertion,
    EnvelopeSignature,
    Event,
    FindVoucher,
    ModelError,
    Voucher,
    event_hash,
    no_bundles,
    raw_signature,
    verify,
    voucher_of,
)


def bundles_in(found: object) -> Iterator[bytes]:
    """The hashes of the bundles by which what is shown was signed; without them it cannot be checked.

    found: anything that a check of this file takes.  A bundle itself names none.
    """
    for signatures in _signatures_in(found):
        for one in signatures:
            if isinstance(one.bundle, str):
                yield bytes.fromhex(one.bundle)


def check_bundle(stored: StoredBundle, asked: str) -> Voucher:
    """What a bundle vouches for, once it is the one that was asked for, and its agent has signed it itself.

    Raises: VerificationFailed.
    """
    check_asked(stored.hash, asked)
    check_event(stored.event, stored.hash, stored.signatures)
    return voucher_of(stored.event)


def check_answer(answer: Answer, subject: str, predicate: str | None, find: FindVoucher = no_bundles) -> None:
    """The answer's winner: hash, signatures, value, and that it is about what was asked.

    predicate: None where a whole context was asked about.  Of a many-valued predicate the values are not checked.
    find: here and below, what the bundles vouch for that bundles_in names.
    Raises: VerificationFailed.
    """
    if (answer.subject, answer.predicate) != (subject, predicate):
        _fail("/subject", f"the answer is about {answer.subject!r}, {answer.predicate!r}", "are not what was asked")
    if answer.winner is not None:
        _check_winner(answer.winner, {subject, *(answer.subjects or ())}, predicate, find)


def check_comparison(comparison: Comparison, subject: str, predicate: str, find: FindVoucher = no_bundles) -> None:
    """Every answer of the comparison.  Raises: VerificationFailed."""
    for answer in comparison.answers:
        check_answer(answer, subject, predicate, find)


def check_asked(hash_hex: str, asked: object) -> None:
    """That what came is what was asked for, by its hash.  Raises: VerificationFailed."""
    if hash_hex != asked:
        _fail("/hash", f"{asked} was asked for, {hash_hex} came", "is not the one that was asked for")


def check_stored(stored: StoredAssertion, find: FindVoucher = no_bundles) -> None:
    """An assertion.  Raises: VerificationFailed."""
    check_event(stored.event, stored.hash, stored.signatures, find)


def check_line(line: LogLine, find: FindVoucher = no_bundles) -> None:
    """An event of the log; a line of another kind has nothing to check.  Raises: VerificationFailed."""
    if line.event is None and (line.hash is not None or line.signatures):
        _fail("/event", f"position {line.seq} has a hash or signatures without the event", "is missing")
    if line.event is not None:
        check_event(line.event, line.hash or "", line.signatures, find)


def check_event(
    event: Event, hash_hex: str, signatures: Sequence[EnvelopeSignature], find: FindVoucher = no_bundles
) -> None:
    """An event, the hash that it is shown under, and who signed it.

    find: by a bundle's hash, what it vouches for, as check_bundle gives it; None for one that is not at hand.
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
    try:
        verify(event, digest, tuple([raw_signature(one) for one in signatures]), find)
    except ModelError as error:
        pointer = getattr(error, "pointer", "/signatures")
        raise VerificationFailed(str(error), errors=(FieldProblem(pointer, "does not verify"),)) from error


def _check_winner(winner: Winner, subjects: set[str], predicate: str | None, find: FindVoucher) -> None:
    event = winner.assertion.event
    check_event(event, winner.hash, winner.assertion.signatures, find)
    if not isinstance(event, Assertion) or event.subject not in subjects or predicate not in (None, event.predicate):
        _fail("/winner", f"{winner.hash} does not speak about what was asked", "is not a claim about what was asked")
    if not isinstance(winner.value, ManyValue) and winner.value != event.object:
        _fail("/winner/value", f"{winner.hash} says another value than the answer shows", "is not what was signed")


def _signatures_in(found: object) -> Iterator[Sequence[EnvelopeSignature]]:
    match found:
        case Answer(winner=Winner(assertion=assertion)):
            yield assertion.signatures
        case StoredAssertion() | StoredEvent() | LogLine():
            yield found.signatures
        case Comparison(answers=inner) | Page(items=inner):
            for one in inner:
                yield from _signatures_in(one)
        case Replayed(answer=Answer() as answer):
            yield from _signatures_in(answer)


def _fail(pointer: str, detail: str, problem: str) -> NoReturn:
    raise VerificationFailed(detail, errors=(FieldProblem(pointer, problem),))
