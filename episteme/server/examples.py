"""Requests that work on any database, for the OpenAPI document: claims that are really signed, and questions for them.

The key that signs them is a public one, of 32 equal bytes: nobody's.
"""

from typing import Any, Final

import msgspec

from episteme.server.endpoints import NDJSON, Endpoint
from model import (
    Assertion,
    BooleanValue,
    Epoch,
    SignedEvent,
    SigningKey,
    Vote,
    encode_envelope,
    sign_bundle,
    sign_event,
    to_envelope,
)

_KEY: Final = SigningKey(bytes([0x45]) * 32)
_TIMESTAMP: Final = 1_767_225_600_000  # the first moment of 2026
_ASSERTION: Final = sign_event(
    Assertion(
        v=2,
        subject="Semaglutide",
        predicate="causes_muscle_loss",
        object=BooleanValue(True),
        confidence="0.8",
        source_class="clinical",
        lifecycle="approved",
        timestamp=_TIMESTAMP,
    ),
    _KEY,
)
_VOTE: Final = sign_event(
    Vote(
        v=2,
        agent=_KEY.agent_hex,
        timestamp=_TIMESTAMP,
        assertion=_ASSERTION.hash_hex,
        subject="Semaglutide",
        weight="0.5",
    ),
    _KEY,
)
_EPOCH: Final = sign_event(
    Epoch(v=2, agent=_KEY.agent_hex, timestamp=_TIMESTAMP, name="trials of 2026", start=_TIMESTAMP), _KEY
)
_BY_KIND: Final = {"assertion": _ASSERTION, "vote": _VOTE, "epoch": _EPOCH}
_BUNDLE, _BUNDLED = sign_bundle([msgspec.structs.replace(_ASSERTION.event, timestamp=_TIMESTAMP + 1)], _KEY, _TIMESTAMP)
_LINES: Final = (*_BY_KIND.values(), _BUNDLE, *_BUNDLED)

# Of what must be given; a parameter that may be left out is better left out.
_PARAMETERS: Final = {
    "subject": "Semaglutide",
    "predicate": "causes_muscle_loss",
    "hash": _ASSERTION.hash_hex,
    "agent": _KEY.agent_hex,
}


def _envelope(signed: SignedEvent) -> Any:
    return msgspec.to_builtins(to_envelope(signed.event, signed.signatures))


def of_parameter(endpoint: Endpoint, name: str) -> str | None:
    """What may be asked for by this parameter; None if there is no example of it."""
    return _BUNDLE.hash_hex if (endpoint.path, name) == ("/v1/bundles/{hash}", "hash") else _PARAMETERS.get(name)


def of(endpoint: Endpoint) -> Any:
    """A body that the endpoint takes; None if there is no example of it."""
    if endpoint.scope != "write" or endpoint.body is None:
        return None
    if endpoint.body.media_type == NDJSON:
        return "".join(f"{encode_envelope(signed).decode()}\n" for signed in _LINES)
    kind = next((one for one in _BY_KIND if one in endpoint.path), "assertion" if "assert" in endpoint.path else "vote")
    return _envelope(_BY_KIND[kind])
