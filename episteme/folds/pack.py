"""Trust packs: a curator's list of agents; a higher version takes the place of a lower one."""

from typing import Final

from msgspec import UNSET

from episteme.folds.authority import signers_of, speaking
from episteme.folds.event import LoggedEvent
from model import TrustPack, to_micros
from stores import MICROS, PackMemberRow, Staging, TrustPackRow, TrustPackWriter, pack_id

TRUST_PACK: Final = "trust_pack"


class PackFold:
    """Families TP and TPH."""

    name = "pack"
    version = 1
    kinds = frozenset((TRUST_PACK,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Keep a version that its curator has signed, if it is higher than the one before it.

        One that is taken late holds from its own position until the next, and from there on if it is the highest.
        """
        if event.kind != TRUST_PACK:
            return
        pack = event.event
        assert isinstance(pack, TrustPack), event.kind
        curator = bytes.fromhex(pack.agent)
        if curator not in speaking(signers_of(event, state), event.seq, state):
            return
        store = TrustPackWriter(state)
        before = store.as_of(pack_id(curator, pack.name), event.seq)
        if before is None or before.version < pack.version:
            store.put(_row(event, pack, curator))


def _row(event: LoggedEvent, pack: TrustPack, curator: bytes) -> TrustPackRow:
    members = tuple(
        PackMemberRow(bytes.fromhex(one.agent), MICROS if one.weight is UNSET else to_micros(one.weight))
        for one in pack.members
    )
    note = None if pack.note is UNSET else pack.note
    return TrustPackRow(curator, pack.name, pack.version, members, note, event.digest, event.seq, event.time)
