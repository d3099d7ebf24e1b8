"""Events as plain JSON, to be broken one field at a time."""

import json
from typing import Any, Final

from model import canonical_bytes, decode_envelope, kind_of
from tests.support.events import FULL_EVENTS, KEY_A, make_assertion

FULL: Final = {kind_of(event): json.loads(canonical_bytes(event)) for event in FULL_EVENTS}
PLAIN: Final = json.loads(canonical_bytes(make_assertion()))
SIGNATURES: Final = [{"agent": KEY_A.agent_hex, "signature": "0" * 128}]
ABSENT: Final = object()


def assertion(**changes: Any) -> dict[str, Any]:
    """The members of a small assertion, changed; ABSENT takes one away."""
    return changed(PLAIN, changes)


def full(kind: str, /, **changes: Any) -> dict[str, Any]:
    """The members of an event with every field set, changed; ABSENT takes one away."""
    return changed(FULL[kind], changes)


def changed(event: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (event | changes).items() if value is not ABSENT}


def decode(event: dict[str, Any]) -> None:
    """Decode an envelope around the event, and see that nothing of it was changed on the way."""
    body = json.dumps({"event": event, "signatures": SIGNATURES}).encode()
    signed = decode_envelope(body)
    assert json.loads(canonical_bytes(signed.event)) == event


def obj(value_type: str, value: Any) -> dict[str, Any]:
    return assertion(object={"type": value_type, "value": value})
