"""From Python values to signed events: what Node and the clients share of writing.

Pure, but for the clock it is given.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import UNSET

from episteme.acts import Steps, act
from episteme.api import StoredAssertion, Value
from episteme.errors import FieldProblem, InvalidField, KeyProblem
from episteme.receipts import Receipt
from model import (
    AnyValue,
    Assertion,
    BooleanValue,
    FieldRule,
    Lifecycle,
    NumberValue,
    ReferenceValue,
    SignedEvent,
    SigningKey,
    SourceClass,
    TextValue,
    Vote,
    check_form,
    sign_event,
)


def object_of(value: Value) -> AnyValue:
    """The object for a Python value: str is text, bool boolean, int, float and Decimal are numbers.

    A float becomes its shortest exact decimal spelling; give a Decimal or a NumberValue to choose another.
    Raises: InvalidField for one that is not finite.
    """
    if isinstance(value, TextValue | NumberValue | BooleanValue | ReferenceValue):
        return value
    try:
        if isinstance(value, bool):
            return BooleanValue(value)
        if isinstance(value, str):
            text = TextValue(value)
            check_form("value", value)
            return text
        if isinstance(value, int | float | Decimal):
            return NumberValue(_spelling(value))
    except FieldRule as rule:
        raise invalid_field("/event/object", rule) from rule
    raise TypeError(f"a claim's value is str, bool, int, float, Decimal or an object value, not {type(value).__name__}")


def decimal_text(value: str | float | Decimal, field: str = "value") -> str:
    """A decimal in the plain spelling that confidence and weight take, with at most 6 digits after the point.

    Raises: FieldRule for one that is not finite.
    """
    if isinstance(value, str):
        return value
    number = Decimal(str(value))
    if not number.is_finite():
        raise FieldRule(field, "is not finite")
    if abs(number) > 1:
        return f"{number:g}"  # out of range whatever it is: the event's own rule says so
    text = f"{round(number, 6):f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


class AuthoringActs:
    """Signs on behalf of its key and hands over to `submit`; a mixin of Node and the clients."""

    key: SigningKey | None
    clock_ms: Callable[[], int]
    _written_seq: int | None = None  # the last position that a write by this object got here

    def submit(self, signed: SignedEvent, *, wait_s: float | None = None) -> Any:
        """A step: as Database.submit."""
        raise NotImplementedError

    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> Any:
        """A step: as Database.get."""
        raise NotImplementedError

    @act
    def assert_(
        self,
        subject: str,
        predicate: str,
        value: Value,
        *,
        confidence: str | float | Decimal = "1",
        source_class: SourceClass = "anecdotal",
        lifecycle: Lifecycle = "approved",
        timestamp: int | None = None,
        parent_hash: str | None = None,
        source_hash: str | None = None,
        valid_from: int | None = None,
        valid_to: int | None = None,
        epoch: str | None = None,
        narrative: str | None = None,
        metadata: dict[str, str] | None = None,
        audience: str | None = None,
        wait_s: float | None = None,
    ) -> Steps[Receipt]:
        """Sign a claim and write it; durable on return.

        timestamp: milliseconds since 1970, now if left out.  valid_from, valid_to: the span of time that the claim
        speaks about, in the same unit, the end exclusive.  audience: the only database that may take it.
        Raises: InvalidField; KeyProblem without a key; what submit raises.
        """
        try:
            event = Assertion(
                v=2,
                subject=subject,
                predicate=predicate,
                object=object_of(value),
                confidence=decimal_text(confidence, "confidence"),
                source_class=source_class,
                lifecycle=lifecycle,
                timestamp=self.clock_ms() if timestamp is None else timestamp,
                parent_hash=UNSET if parent_hash is None else parent_hash,
                source_hash=UNSET if source_hash is None else source_hash,
                valid_from=UNSET if valid_from is None else valid_from,
                valid_to=UNSET if valid_to is None else valid_to,
                epoch=UNSET if epoch is None else epoch,
                narrative=UNSET if narrative is None else narrative,
                metadata=UNSET if metadata is None else metadata,
                audience=UNSET if audience is None else audience,
            )
        except FieldRule as rule:
            raise invalid_field("/event", rule) from rule
        return (yield from self._write(sign_event(event, self._signer()), wait_s))

    @act
    def vote(
        self,
        assertion: str,
        weight: str | float | Decimal,
        *,
        reason: str | None = None,
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Steps[Receipt]:
        """Sign a vote on an assertion, by its hash, and write it; weight 0 takes an earlier vote back.

        What this object wrote before is waited for, so a claim can be voted on at once.
        Raises: NotFound if the assertion is not there; InvalidField; KeyProblem; what submit raises.
        """
        voted: StoredAssertion = yield self.get(assertion, min_seq=self._written_seq)
        signer = self._signer()
        try:
            event = Vote(
                v=2,
                agent=signer.agent_hex,
                timestamp=self.clock_ms() if timestamp is None else timestamp,
                assertion=assertion,
                subject=voted.event.subject,
                weight=decimal_text(weight, "weight"),
                reason=UNSET if reason is None else reason,
            )
        except FieldRule as rule:
            raise invalid_field("/event", rule) from rule
        return (yield from self._write(sign_event(event, signer), wait_s))

    def _write(self, signed: SignedEvent, wait_s: float | None) -> Steps[Receipt]:
        receipt: Receipt = yield self.submit(signed, wait_s=wait_s)
        self._written_seq = receipt.seq if self._written_seq is None else max(self._written_seq, receipt.seq)
        return receipt

    def _signer(self) -> SigningKey:
        if self.key is None:
            raise KeyProblem("there is no key to sign with; open the database with key=Key.load() or Key.generate()")
        return self.key


def _spelling(value: float | Decimal) -> str:
    text = repr(value) if isinstance(value, int | float) else str(value)
    if text in ("inf", "-inf", "nan") or (isinstance(value, Decimal) and not value.is_finite()):
        raise FieldRule("value", "is not finite")
    return text.replace("E", "e")


def invalid_field(pointer: str, rule: FieldRule) -> InvalidField:
    """The refusal of a field that breaks its rule."""
    problem = FieldProblem(f"{pointer}/{rule.field}", rule.detail)
    return InvalidField(f"{problem.pointer}: {problem.detail}", errors=(problem,))
