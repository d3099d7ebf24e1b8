"""Many events on their way in, signed by bundles: from events to what is sent, and from its results to theirs.

Pure.  A bundle comes in front of its events, and one of a single event is not
made: an own signature says the same in less.

Source: docs/python.md, "Many at once"; docs/format-events.md, "Signatures by bundle".
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from episteme.authoring import invalid_field
from episteme.errors import UnknownBundle
from episteme.parameters import invalid_parameter
from episteme.receipts import IngestResult
from model import (
    BUNDLE_EVENTS,
    BUNDLE_EVENTS_MAX,
    Bundle,
    Event,
    FieldRule,
    SignedEvent,
    SigningKey,
    canonical_bytes,
    check_bundled,
    sign_bundle,
    sign_event,
)

BUNDLED_BYTES_MAX: Final = 4 * 1024 * 1024  # canonical bytes of its events: with hex and names they fit one batch


class Bundler:
    """Takes events of one key, and gives them signed whenever there are enough for a bundle."""

    def __init__(self, key: SigningKey, timestamp: Callable[[], int], events_max: int = BUNDLE_EVENTS) -> None:
        """timestamp: of each bundle, milliseconds since 1970.  Raises: InvalidParameter for an events_max."""
        if not 1 <= events_max <= BUNDLE_EVENTS_MAX:
            raise invalid_parameter("bundle_size", f"is {events_max}; it is 1 to {BUNDLE_EVENTS_MAX}")
        self._key = key
        self._timestamp = timestamp
        self._events_max = events_max
        self._events: list[Event] = []
        self._bytes = 0

    def __len__(self) -> int:
        """Events that wait for more."""
        return len(self._events)

    def add(self, event: Event) -> list[SignedEvent]:
        """Take one; if that makes a bundle full, the bundle and its events, in the order in which they came.

        Raises: InvalidField if no bundle of this key can sign it, which leaves those before it where they are.
        """
        try:
            check_bundled(event, self._key)
        except FieldRule as rule:
            raise invalid_field("", rule) from rule
        self._events.append(event)
        self._bytes += len(canonical_bytes(event))
        return self.rest() if len(self._events) == self._events_max or self._bytes >= BUNDLED_BYTES_MAX else []

    def rest(self) -> list[SignedEvent]:
        """What waits, as of add."""
        events, self._events, self._bytes = self._events, [], 0
        if len(events) == 1:
            return [sign_event(events[0], self._key)]
        if not events:
            return []
        bundle, signed = sign_bundle(events, self._key, self._timestamp())
        return [bundle, *signed]


class Unbundling:
    """From the results of what was sent to those of the events: a bundle has none of its own."""

    def __init__(self) -> None:
        self._are_bundles: deque[bool] = deque()  # of what was sent and has no result yet
        self._refused: IngestResult | None = None
        self._line = 0

    def sent(self, *, is_bundle: bool) -> None:
        """Note what is sent next."""
        self._are_bundles.append(is_bundle)

    def take(self, result: IngestResult) -> IngestResult | None:
        """The result of an event, by its number from 1; None: this was a bundle's, which its events tell of."""
        if self._are_bundles.popleft():
            self._refused = result if result.status == "refused" else None
            return None
        self._line += 1
        if self._refused is not None and result.code == UnknownBundle.code:
            detail = f"its bundle was refused: {self._refused.detail}"
            return IngestResult(self._line, "refused", code=self._refused.code, detail=detail)
        return msgspec.structs.replace(result, line=self._line)


class Bundling:
    """One ingest of events that are signed on the way."""

    def __init__(self, key: SigningKey, timestamp: Callable[[], int], events_max: int) -> None:
        """As Bundler."""
        self._bundler = Bundler(key, timestamp, events_max)
        self._unbundling = Unbundling()

    def signed(self, events: Iterable[Event]) -> Iterator[SignedEvent]:
        """What to send."""
        for event in events:
            yield from self.add(event)
        yield from self.rest()

    def add(self, event: Event) -> list[SignedEvent]:
        """As Bundler.add; it must be sent."""
        return self._noted(self._bundler.add(event))

    def rest(self) -> list[SignedEvent]:
        """As Bundler.rest; it must be sent."""
        return self._noted(self._bundler.rest())

    def take(self, result: IngestResult) -> IngestResult | None:
        """As Unbundling.take."""
        return self._unbundling.take(result)

    def results(self, results: Iterable[IngestResult]) -> Iterator[IngestResult]:
        """One result for each event, in order."""
        return (one for one in map(self.take, results) if one is not None)

    def _noted(self, signed: list[SignedEvent]) -> list[SignedEvent]:
        for one in signed:
            self._unbundling.sent(is_bundle=isinstance(one.event, Bundle))
        return signed
