"""Which assertions come from which: by parent, source, epoch, signer and replacement.

Families CHILD, SRCA, EA, AA and SUPR.  Each list is in log order and says the
assertion's hash at the position that put it there, so that it can be read as
of a position.  For impact, lineage and whatever must be looked at again when a
source, an epoch or a key changes.

A row holds the entries of one block of positions, as postings are laid out.
"""

from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from keycodec import (
    agent_assertion_prefix,
    block_of,
    child_prefix,
    epoch_assertion_prefix,
    family_prefix,
    of_block,
    parse,
    replaced_prefix,
    signer_list,
    source_assertion_prefix,
)
from stores.errors import UnsupportedValue
from stores.index import Posting, pack_posting, unpack_postings
from stores.kv import POSTING_BYTES, Reader
from stores.staging import Staging

_SEQ_BYTES: Final = 8
_SEQ_MAX: Final = (1 << 64) - 1
_ANY_AGENT_HEX: Final = "0" * 64


class LineageStore:
    """Reads lineage.

    Lists hold at most count_max in log order; after: an exclusive position, to resume a page; at: the last
    position that counts, None for the newest.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def children(
        self, parent_hex: str, *, after: int | None = None, at: int | None = None, count_max: int
    ) -> list[Posting]:
        """The assertions that name this one as their parent."""
        return self._list(child_prefix(parent_hex), after, at, count_max)

    def of_source(
        self, source_hex: str, *, after: int | None = None, at: int | None = None, count_max: int
    ) -> list[Posting]:
        """The assertions that rest on a source."""
        return self._list(source_assertion_prefix(source_hex), after, at, count_max)

    def of_epoch(
        self, epoch_hex: str, *, after: int | None = None, at: int | None = None, count_max: int
    ) -> list[Posting]:
        """The assertions that belong to an epoch."""
        return self._list(epoch_assertion_prefix(epoch_hex), after, at, count_max)

    def of_agent(
        self, agent_hex: str, *, after: int | None = None, at: int | None = None, count_max: int
    ) -> list[Posting]:
        """The assertions that an agent has signed, at the positions of its signatures."""
        return self._list(agent_assertion_prefix(agent_hex), after, at, count_max)

    def agents(self, *, after: str | None = None, count_max: int) -> list[str]:
        """Agents that have signed an assertion, in the order of their keys, at most count_max: a seek each.

        after: an exclusive agent.
        """
        family = family_prefix(agent_assertion_prefix(_ANY_AGENT_HEX))
        found: list[str] = []
        while len(found) < count_max:
            behind = None if after is None else of_block(agent_assertion_prefix(after), _SEQ_MAX)
            row = next(self._reader.scan(family, after=behind, count_max=1), None)
            if row is None:
                break
            after = parse(row[0]).text("agent")
            found.append(after)
        return found

    def replaced_by(
        self, replacement_hex: str, *, after: int | None = None, at: int | None = None, count_max: int
    ) -> list[Posting]:
        """The assertions that this one replaces, at the positions from which on it does."""
        return self._list(replaced_prefix(replacement_hex), after, at, count_max)

    def descendants(self, assertion_hex: str, *, at: int | None = None, count_max: int) -> list[Posting]:
        """Children, then their children, and so on, each once, at most count_max; near ones first."""
        found: dict[bytes, Posting] = {}
        waiting = deque([assertion_hex])
        while waiting and len(found) < count_max:
            for child in self.children(waiting.popleft(), at=at, count_max=count_max - len(found)):
                if child.digest not in found:
                    found[child.digest] = child
                    waiting.append(child.digest.hex())
        return list(found.values())

    def _list(self, prefix: bytes, after: int | None, at: int | None, count_max: int) -> list[Posting]:
        found: list[Posting] = []
        start = None if after is None or not block_of(after) else of_block(prefix, block_of(after) - 1)
        for _, data in self._reader.scan(prefix, after=start, count_max=count_max + 1):  # the first may be passed
            for posting in _unpacked(data):
                if after is not None and posting.seq <= after:
                    continue
                if len(found) == count_max or (at is not None and posting.seq > at):
                    return found
                found.append(posting)
        return found


class LineageWriter(LineageStore):
    """Stages lineage.  Entries are as pack_posting makes them, in log order; one that is there is not added again."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def add_children(self, parent_hex: str, entries: Sequence[bytes]) -> None:
        """List assertions under their parent, which need not be there."""
        self._add(child_prefix(parent_hex), entries)

    def add_to_source(self, source_hex: str, entries: Sequence[bytes]) -> None:
        """List assertions under their source."""
        self._add(source_assertion_prefix(source_hex), entries)

    def add_to_epoch(self, epoch_hex: str, entries: Sequence[bytes]) -> None:
        """List assertions under their epoch."""
        self._add(epoch_assertion_prefix(epoch_hex), entries)

    def add_to_agent(self, agent: bytes, entries: Sequence[bytes]) -> None:
        """List assertions under a signer (32 bytes), at the positions of its signatures."""
        self._add(signer_list(agent), entries)

    def add_replaced(self, replacement_hex: str, replaced: Posting) -> None:
        """List an assertion under its replacement, at the position from which on it is replaced."""
        self._add(replaced_prefix(replacement_hex), [pack_posting(*replaced)])

    def remove_replaced(self, replacement_hex: str, replaced: Posting) -> None:
        """Take an assertion off again."""
        key = of_block(replaced_prefix(replacement_hex), replaced.seq)
        known = self._staging.get(key) or b""
        left = [pack_posting(*one) for one in _unpacked(known) if one != replaced]
        if left:
            self._staging.put(key, b"".join(left))
        else:
            self._staging.delete(key)

    def _add(self, prefix: bytes, entries: Sequence[bytes]) -> None:
        first = _block_of_entry(entries[0])
        if _block_of_entry(entries[-1]) == first:  # as of most batches
            self._add_to_block(of_block(prefix, first), list(entries))
            return
        for block, added in groupby(entries, _block_of_entry):
            self._add_to_block(of_block(prefix, block), list(added))

    def _add_to_block(self, key: bytes, entries: list[bytes]) -> None:
        known = self._staging.get(key)
        if known is not None:
            if known[-POSTING_BYTES:] >= entries[0]:  # an event that comes late, or again
                entries = sorted({*(pack_posting(*posting) for posting in _unpacked(known)), *entries})
            else:
                entries.insert(0, known)
        self._staging.put(key, b"".join(entries))


def _block_of_entry(entry: bytes) -> int:
    return block_of(int.from_bytes(entry[:_SEQ_BYTES], "big"))


def _unpacked(data: bytes) -> list[Posting]:
    if not data or len(data) % POSTING_BYTES:
        raise UnsupportedValue(f"a row of a list has entries of {POSTING_BYTES} bytes, found {len(data)} in all")
    return unpack_postings(data)
