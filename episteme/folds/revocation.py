"""Revocations: a key takes its own voice away, or an operator does; from the first one on it is gone."""

from typing import Final

from episteme.folds.authority import operator_among, signers_of, speaking
from episteme.folds.event import LoggedEvent
from model import KeyRevocation
from stores import RevocationRow, RevocationWriter, RulingsWriter, Staging

KEY_REVOCATION: Final = "key_revocation"


class RevocationFold:
    """Family REVOKED."""

    name = "revocation"
    version = 1
    kinds = frozenset((KEY_REVOCATION,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Revoke a key from this position on.

        One that is taken late revokes from its own position, but what others behind it have done by the key stays.
        """
        if event.kind != KEY_REVOCATION:
            return
        revocation = event.event
        assert isinstance(revocation, KeyRevocation), event.kind
        store = RevocationWriter(state)
        known = store.get(revocation.revoked)
        if known is not None and known.seq <= event.seq:
            return
        signers = signers_of(event, state)
        key = bytes.fromhex(revocation.revoked)
        if key in speaking(signers, event.seq, state) or operator_among(signers, event.seq, state) is not None:
            store.put(RevocationRow(revocation, event.digest, event.seq, event.time))
            RulingsWriter(state).note("revocation", event.seq)
