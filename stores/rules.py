"""The rules of the database that are in force, and who its operators are: family RULES.

Source: docs/governance.md, "Rules of the database".
"""

from typing import Final

from msgspec import Struct

from keycodec import rules_key
from model import DatabaseRules
from stores.kv import Reader
from stores.records import RecordCodec
from stores.revocation import RevocationStore
from stores.staging import Staging


class RulesRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The rules in force, with the position from which on they hold."""

    seq: int
    time: int
    rules: DatabaseRules


_CODEC: Final = RecordCodec(RulesRow, version=1)


class OperatorStore:
    """Reads the rules in force."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def row(self) -> RulesRow | None:
        """The rules with their place; None: the log has set none."""
        data = self._reader.get(rules_key())
        return None if data is None else _CODEC.decode(data)

    def rules(self) -> DatabaseRules:
        """The rules; the defaults, without any operator, if the log has set none."""
        row = self.row()
        return DatabaseRules() if row is None else row.rules

    def is_operator(self, agent: bytes, at: int | None = None) -> bool:
        """Whether the rules in force name an agent (32 bytes) and its key was not revoked at a position.

        at: None for the newest.
        """
        if agent not in self.rules().operators:
            return False
        revoked = RevocationStore(self._reader).get(agent.hex())
        return revoked is None or (at is not None and at < revoked.seq)


class OperatorWriter(OperatorStore):
    """Stages rules."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, row: RulesRow) -> None:
        """Set the rules, unless later ones are in force already."""
        known = self.row()
        if known is None or known.seq <= row.seq:
            self._staging.put(rules_key(), _CODEC.encode(row))
