"""By whose word an event counts: what all folds of governance ask in the same way.

An event that is sent again with a new signer is a frame of its own with the
same hash.  Every fold looks at each such frame with all signers so far, which
the assertion fold has put into the event's row before, so an event that came
without the signature that it needs counts from the frame that brings it.

Who is an operator and whose key is revoked is what the state says when the
event is folded.  An event that is taken late, after others behind it, is judged
by the rules then in force, and by revocations as of its own position.

Source: docs/governance.md, "What counts".
"""

from collections.abc import Callable, Iterable

import msgspec

from episteme.folds.event import LoggedEvent
from stores import EventWriter, OperatorStore, RevocationStore, Staging


def signers_of(event: LoggedEvent, state: Staging) -> tuple[bytes, ...]:
    """All who have signed an event that is not an assertion, in that order; this frame's are among them."""
    row = EventWriter(state).get(event.digest)
    return () if row is None else row.agents


def speaking(agents: Iterable[bytes], seq: int, state: Staging) -> list[bytes]:
    """Those whose keys were not revoked at a position, in the order given."""
    asked = list(agents)
    revoked = RevocationStore(state).get_many(asked)
    return [agent for agent, row in zip(asked, revoked, strict=True) if row is None or seq < row.seq]


def operator_among(agents: Iterable[bytes], seq: int, state: Staging) -> bytes | None:
    """The first who is an operator by the rules in force, with a key that was not revoked at a position."""
    operators = OperatorStore(state).rules().operators
    found = speaking((agent for agent in agents if agent in operators), seq, state)
    return found[0] if found else None


def authorised(event: LoggedEvent, state: Staging, also: Callable[[], bool] | None = None) -> bool:
    """Whether this is the frame from which on an operator's signature makes an event count: once for each event.

    For kinds that only operators may sign.  The event's row remembers the position, so that the same event sent
    again, after another has taken its place, does not count again.
    also: what must hold besides; asked only of what an operator has signed.
    """
    store = EventWriter(state)
    row = store.get(event.digest)
    if row is None or row.since is not None or operator_among(row.agents, event.seq, state) is None:
        return False
    if also is not None and not also():
        return False
    store.put(event.digest, msgspec.structs.replace(row, since=event.seq))
    return True
