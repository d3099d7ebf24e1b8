"""Which assertions come from which: by parent, source, epoch and signer: families CHILD, SRCA, EA and AA.

Each list is in log order and says the assertion's hash at the position that
put it there, so that it can be read as of a position.  For impact, lineage and
whatever must be looked at again when a source, an epoch or a key changes.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from keycodec import (
    agent_assertion_key,
    agent_assertion_prefix,
    child_key,
    child_prefix,
    epoch_assertion_key,
    epoch_assertion_prefix,
    parse,
    source_assertion_key,
    source_assertion_prefix,
)
from stores.errors import UnsupportedValue
from stores.index import Posting
from stores.kv import Reader
from stores.staging import Staging

_DIGEST_BYTES: Final = 32


class LineageStore:
    """Reads lineage.  Lists hold at most count_max; after is an exclusive position, to resume a page."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def children(self, parent_hex: str, *, after: int | None = None, count_max: int) -> list[Posting]:
        """The assertions that name this one as their parent."""
        return self._list(child_prefix(parent_hex), child_key, parent_hex, after, count_max)

    def of_source(self, source_hex: str, *, after: int | None = None, count_max: int) -> list[Posting]:
        """The assertions that rest on a source."""
        return self._list(source_assertion_prefix(source_hex), source_assertion_key, source_hex, after, count_max)

    def of_epoch(self, epoch_hex: str, *, after: int | None = None, count_max: int) -> list[Posting]:
        """The assertions that belong to an epoch."""
        return self._list(epoch_assertion_prefix(epoch_hex), epoch_assertion_key, epoch_hex, after, count_max)

    def of_agent(self, agent_hex: str, *, after: int | None = None, count_max: int) -> list[Posting]:
        """The assertions that an agent has signed, at the positions of its signatures."""
        return self._list(agent_assertion_prefix(agent_hex), agent_assertion_key, agent_hex, after, count_max)

    def descendants(self, assertion_hex: str, *, count_max: int) -> list[Posting]:
        """Children, then their children, and so on, each once, at most count_max; near ones first."""
        found: dict[bytes, Posting] = {}
        waiting = deque([assertion_hex])
        while waiting and len(found) < count_max:
            for child in self.children(waiting.popleft(), count_max=count_max - len(found)):
                if child.digest not in found:
                    found[child.digest] = child
                    waiting.append(child.digest.hex())
        return list(found.values())

    def _list(
        self, prefix: bytes, key_of: Callable[[str, int], bytes], id_hex: str, after: int | None, count_max: int
    ) -> list[Posting]:
        start = None if after is None else key_of(id_hex, after)
        rows = self._reader.scan(prefix, after=start, count_max=count_max)
        return [Posting(parse(key).number("seq"), _digest(data)) for key, data in rows]


class LineageWriter(LineageStore):
    """Stages lineage."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def add_child(self, parent_hex: str, posting: Posting) -> None:
        """List an assertion under its parent, which need not be there."""
        self._staging.put(child_key(parent_hex, posting.seq), posting.digest)

    def add_to_source(self, source_hex: str, posting: Posting) -> None:
        """List an assertion under its source."""
        self._staging.put(source_assertion_key(source_hex, posting.seq), posting.digest)

    def add_to_epoch(self, epoch_hex: str, posting: Posting) -> None:
        """List an assertion under its epoch."""
        self._staging.put(epoch_assertion_key(epoch_hex, posting.seq), posting.digest)

    def add_to_agent(self, agent_hex: str, posting: Posting) -> None:
        """List an assertion under a signer, at the position of its signature."""
        self._staging.put(agent_assertion_key(agent_hex, posting.seq), posting.digest)


def _digest(data: bytes) -> bytes:
    if len(data) != _DIGEST_BYTES:
        raise UnsupportedValue(f"a hash has {_DIGEST_BYTES} bytes, found {len(data)}")
    return data
