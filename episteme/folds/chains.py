"""Chains of lifecycle moves in a pair of many claims: families PR, PL and PW.

A claim that is alone has no row here.  A chain is one record by its root, with
all that counts of its members, so a change costs as much as the chain is long,
once a batch.  A claim whose parent is not of the pair waits in a row of its own.
"""

from collections.abc import Container, Iterable
from typing import Final

from episteme.folds.tally import Unit, unit_of, unit_of_chain
from keycodec import TallyKeys
from stores import ChainTally, OrderedRows, PairClaim, PairTotals, Staging, TallyWriter

_CHILDREN_PAGE: Final = 256


class _Chain:
    """A chain being changed: its members, the root of each that the store knows, and what was counted of it."""

    def __init__(self, claims: Iterable[PairClaim], root: bytes | None, counted: Unit | None) -> None:
        self.claims = {claim.digest: claim for claim in claims}
        self.roots = dict.fromkeys(self.claims, root) if root is not None else {}
        self.counted = [] if counted is None else [counted]

    def take(self, other: "_Chain") -> None:
        self.claims.update(other.claims)
        self.roots.update(other.roots)
        self.counted.extend(other.counted)


class Chains:
    """The chains of one pair, for one batch."""

    def __init__(self, state: Staging, keys: TallyKeys, totals: PairTotals) -> None:
        self._state = state
        self._keys = keys
        self._totals = totals
        self._tallies = TallyWriter(state)
        self._waiting = OrderedRows(state)
        self._chains: dict[bytes, _Chain] = {}  # by each member

    def is_changed(self, digest: bytes) -> bool:
        """Whether a claim is in a chain that the batch has touched."""
        return digest in self._chains

    def change(self, claim: PairClaim) -> None:
        """A member has other signers or votes than before."""
        chain = self._of(claim.digest)
        assert chain is not None, f"{claim.digest.hex()} is in no chain"
        chain.claims[claim.digest] = claim

    def member(self, digest: bytes) -> PairClaim | None:
        """A claim as its chain has it, if it is in one."""
        chain = self._of(digest)
        return None if chain is None else chain.claims[digest]

    def wait(self, child: PairClaim, parent: bytes) -> None:
        """The pair does not have a claim's parent."""
        self._waiting.put(self._keys.waiting(parent), TallyKeys.of_bytes(child.digest), child.value)
        self._totals.waiting_count += 1

    def arrive(self, parent: PairClaim) -> list[bytes]:
        """A claim is there that others may wait for; give those that move it on."""
        if not self._totals.waiting_count:
            return []
        prefix = self._keys.waiting(parent.digest)
        children = []
        while page := self._waiting.first(prefix, _CHILDREN_PAGE):
            self._totals.waiting_count -= len(page)
            for suffix, value in page:
                self._waiting.delete(prefix, suffix)
                if value == parent.value:
                    children.append(TallyKeys.digest_in(suffix))
        return children

    def join(self, child: PairClaim, parent: PairClaim, new: Container[bytes]) -> None:
        """A claim moves another on; new: claims that are not counted yet."""
        one, other = self._begin(child, new), self._begin(parent, new)
        if one is other:
            return
        if len(one.claims) < len(other.claims):
            one, other = other, one
        one.take(other)
        self._chains.update(dict.fromkeys(other.claims, one))

    def settle(self) -> tuple[list[Unit], list[Unit]]:
        """Write the chains that were touched; give the units that no longer count, and those that do now."""
        gone: list[Unit] = []
        come: list[Unit] = []
        for chain in {id(one): one for one in self._chains.values()}.values():
            self._stage(chain)
            unit = unit_of_chain(list(chain.claims.values()))
            gone.extend(one for one in chain.counted if one != unit)
            if unit is not None and unit not in chain.counted:
                come.append(unit)
        self._waiting.stage()
        return gone, come

    def _of(self, digest: bytes) -> _Chain | None:
        chain = self._chains.get(digest)
        if chain is None and self._totals.chained_count:
            root = self._state.get(self._keys.link(digest))
            if root is not None:
                stored = self._tallies.chain(self._keys.chain(root))
                assert stored is not None, f"the chain of {root.hex()} is linked but not there"
                chain = _Chain(stored.claims, root, unit_of_chain(stored.claims))
                self._chains.update(dict.fromkeys(chain.claims, chain))
        return chain

    def _begin(self, claim: PairClaim, new: Container[bytes]) -> _Chain:
        chain = self._of(claim.digest)
        if chain is None:
            chain = _Chain((claim,), None, unit_of(claim) if claim.digest not in new else None)
            self._chains[claim.digest] = chain
        return chain

    def _stage(self, chain: _Chain) -> None:
        claims = sorted(chain.claims.values(), key=lambda claim: claim.seq)
        (root,) = (claim.digest for claim in claims if claim.parent not in chain.claims)
        for stored in set(chain.roots.values()) - {root}:
            self._state.delete(self._keys.chain(stored))
        self._tallies.put_chain(self._keys.chain(root), ChainTally(claims))
        for claim in claims:
            if chain.roots.get(claim.digest) != root:
                self._state.put(self._keys.link(claim.digest), root)
        self._totals.chained_count += len(claims) - len(chain.roots)
