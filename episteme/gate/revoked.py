"""Keys that no longer speak: those that the state knows, and those whose revocation is not folded yet."""

from collections.abc import Collection, Iterable

from model import KeyRevocation, SignedEvent
from stores import OperatorStore, Reader, RevocationStore, RulingsStore, Snapshot


class RevokedKeys:
    """For one thread at a time; what it remembers is bounded by the fold's lag."""

    def __init__(self) -> None:
        self._recent: dict[bytes, int] = {}  # revoked by an event that is not folded, and its position
        self._any_folded = (-1, False)  # whether anybody is revoked as of a state, and its position

    def now(self, snapshot: Snapshot) -> "RevokedNow":
        """Who is revoked as of a state; of a state that was asked for before nothing is read."""
        if self._any_folded[0] != snapshot.position:
            self._any_folded = snapshot.position, RulingsStore(snapshot).get().revocation >= 0
        return RevokedNow(snapshot, is_any=self._any_folded[1])

    def forget_before(self, cursor: int) -> None:
        """Drop what a state with this cursor knows."""
        if self._recent:
            self._recent = {agent: seq for agent, seq in self._recent.items() if seq >= cursor}

    def forget_from(self, seq: int) -> None:
        """Drop what the log has refused: nothing from seq on is there."""
        if self._recent:
            self._recent = {agent: at for agent, at in self._recent.items() if at < seq}

    def add(self, agent: bytes, seq: int) -> None:
        """Remember a key that the event at seq revokes."""
        self._recent.setdefault(agent, seq)

    def find(self, agents: Iterable[bytes]) -> bytes | None:
        """The first of these whose revocation is not folded."""
        return next((agent for agent in agents if agent in self._recent), None) if self._recent else None


class RevokedNow:
    """Who is revoked as of one state."""

    def __init__(self, reader: Reader, *, is_any: bool) -> None:
        self._reader = reader
        self._is_any = is_any

    def find(self, agents: Collection[bytes]) -> bytes | None:
        """The first of these whose key is revoked."""
        if not self._is_any:
            return None
        rows = RevocationStore(self._reader).get_many(agents)
        return next((agent for agent, row in zip(agents, rows, strict=True) if row is not None), None)

    def revoked_by(self, signed: SignedEvent, signers: Collection[bytes]) -> bytes | None:
        """The key that an event revokes, if it counts; signers: all so far, whose keys speak."""
        event = signed.event
        if not isinstance(event, KeyRevocation):
            return None
        key = bytes.fromhex(event.revoked)
        operators = OperatorStore(self._reader).rules().operators
        return key if key in signers or any(agent in operators for agent in signers) else None
