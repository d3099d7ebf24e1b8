"""A pair of many claims: each new claim, signature and vote moves its tallies, however much is there already."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from episteme.folds.chains import Chains
from episteme.folds.ground import Governance
from episteme.folds.groups import Groups
from episteme.folds.ranking import Ranking
from episteme.folds.tally import Ground, claim_of, moves, predicate_of, unit_of
from keycodec import TallyKeys
from stores import AssertionHead, AssertionStore, PairClaim, PairTotals, Staging, VoteStore, short_id


class LargePair:
    """One pair, for one batch: take in what is new, then settle."""

    def __init__(
        self, state: Staging, subject: str, predicate: str, totals: PairTotals, ground: Ground, governance: Governance
    ) -> None:
        """totals: changed in place; new ones for a pair that has just become large."""
        self._subject = subject
        self._predicate = predicate
        self.totals = totals
        self._ground = ground
        self._governance = governance
        keys = TallyKeys(subject, short_id(predicate.encode()))
        self._groups = Groups(state, subject, keys, totals)
        self._chains = Chains(state, keys, totals)
        self._assertions = AssertionStore(state)
        self._votes = VoteStore(state)

    def change(
        self,
        seqs: Mapping[bytes, set[int]],
        voted: frozenset[bytes],
        superseded: frozenset[bytes],
        *,
        may_have_votes: bool,
    ) -> None:
        """Take in a batch.

        seqs: the assertions that the batch names, and the positions at which it does.  voted: those that it
        votes on.  superseded: those of all that it touches that are.  may_have_votes: whether a new one may have
        votes from before the batch.
        """
        digests = list(seqs)
        new = []
        for digest, head in zip(digests, self._assertions.heads(self._subject, digests), strict=True):
            assert head is not None, f"{digest.hex()} is folded but not there"
            if head.seq in seqs[digest]:
                claim = self._claim(digest, head, has_votes=may_have_votes or digest in voted)
                new.append(_hidden(claim) if digest in superseded else claim)
            else:
                self._sign(digest, head, seqs[digest], is_superseded=digest in superseded)
        new_digests = {claim.digest for claim in new}
        for digest in sorted(voted - new_digests):
            self._vote(digest, is_superseded=digest in superseded)
        for digest in sorted(superseded - new_digests):  # with the signers and votes of this batch, so after them
            self._hide(digest)
        self.absorb(new)

    def absorb(self, new: Sequence[PairClaim]) -> None:
        """Take in new claims, each with all its signers and votes."""
        self.totals.claims_count += len(new)
        by_digest = {claim.digest: claim for claim in new}
        for claim in new:
            if claim.parent is not None:
                parent = by_digest.get(claim.parent) or self._known(claim.parent)
                if parent is None:
                    self._chains.wait(claim, claim.parent)
                elif moves(claim, parent):
                    self._chains.join(claim, parent, by_digest)
            for digest in self._chains.arrive(claim):
                child = by_digest.get(digest) or self._known(digest)
                assert child is not None, f"{digest.hex()} waits but is not there"
                self._chains.join(child, claim, by_digest)
        for claim in new:
            unit = None if self._chains.is_changed(claim.digest) else unit_of(claim)
            if unit is not None:
                self._groups.add(unit)
            else:
                self._meet(claim.signers)

    def settle(self, at: int) -> Ranking:
        """Bring all tallies up to date and write them; at: the position at which the pair was touched last."""
        gone, come = self._chains.settle()
        for unit in gone:
            self._groups.remove(unit)
        for unit in come:
            self._groups.add(unit)
        self._look_for_revoked(at)
        ranking = self._groups.rank()
        self._groups.stage()
        return ranking

    def _look_for_revoked(self, at: int) -> None:
        """A key that is revoked stays so: who signs anew is looked at, and all again when there are new revocations."""
        totals, standings = self.totals, self._groups.standings
        if not totals.has_revoked:
            revoked = self._governance.revoked_since(totals.checked_seq, at)
            totals.has_revoked = (
                revoked is None
                or any(standings.has_met(agent) for agent in revoked)
                or (self._governance.has_revocations and self._governance.is_any_revoked(standings.touched, at))
            )
        totals.checked_seq = at

    def _sign(self, digest: bytes, head: AssertionHead, seqs: set[int], *, is_superseded: bool) -> None:
        """A known claim may have signatures that came with this batch, at one of its positions.

        Later positions may be counted already: a dead letter that is tried again is behind them.
        """
        signers = tuple((s.agent, s.seq) for s in head.signatures if s.seq in seqs)
        if not signers:
            return
        member = self._chains.member(digest)
        if member is not None:
            self._chains.change(msgspec.structs.replace(member, signers=member.signers + signers))
            self._meet(signers)
            return
        claim = claim_of(digest, head.seq, head.event, signers, 0, self._ground)
        unit = unit_of(claim) if self._is_counted(claim, is_superseded=is_superseded) else None
        if unit is not None:
            self._groups.sign(unit)
        else:
            self._meet(signers)

    def _vote(self, digest: bytes, *, is_superseded: bool) -> None:
        """A known claim has other votes."""
        member = self._chains.member(digest)
        if member is not None:
            self._chains.change(msgspec.structs.replace(member, votes_micros=self._votes_on(digest)))
            return
        claim = self._get(digest)
        if self._is_counted(claim, is_superseded=is_superseded):
            self._groups.vote(claim)

    def _hide(self, digest: bytes) -> None:
        """A known claim is superseded, and may have been before."""
        member = self._chains.member(digest)
        if member is not None:
            self._chains.change(_hidden(member))
            return
        unit = unit_of(claim := self._get(digest))
        if unit is not None and self._groups.is_counted(claim):
            self._groups.remove(unit)

    def _is_counted(self, claim: PairClaim, *, is_superseded: bool) -> bool:
        """Whether a known claim that is in no chain is in the tallies; a superseded one may have just become so."""
        return not claim.is_hidden and (not is_superseded or self._groups.is_counted(claim))

    def _meet(self, signers: Iterable[tuple[bytes, int]]) -> None:
        """Who signed what may not be counted is known to the pair all the same."""
        for agent, _ in signers:
            self._groups.standings.meet(agent)

    def _find(self, digest: bytes) -> PairClaim | None:
        """A claim of the pair as it is now, hidden only by its stage."""
        (head,) = self._assertions.heads(self._subject, (digest,))
        if head is None or predicate_of(head.event) != self._predicate:
            return None
        return self._claim(digest, head, has_votes=True)

    def _known(self, digest: bytes) -> PairClaim | None:
        """As _find, hidden if it is superseded."""
        claim = self._find(digest)
        if claim is not None and self._governance.has_supersessions and self._governance.superseded((digest,)):
            return _hidden(claim)
        return claim

    def _get(self, digest: bytes) -> PairClaim:
        """As _find, of a claim that is there."""
        claim = self._find(digest)
        assert claim is not None, f"{digest.hex()} is counted but not there"
        return claim

    def _claim(self, digest: bytes, head: AssertionHead, *, has_votes: bool) -> PairClaim:
        signers = tuple((s.agent, s.seq) for s in head.signatures)
        votes_micros = self._votes_on(digest) if has_votes else 0
        return claim_of(digest, head.seq, head.event, signers, votes_micros, self._ground)

    def _votes_on(self, digest: bytes) -> int:
        return self._votes.tally(self._subject, digest.hex()).sum_micros


def _hidden(claim: PairClaim) -> PairClaim:
    return msgspec.structs.replace(claim, is_hidden=True)
