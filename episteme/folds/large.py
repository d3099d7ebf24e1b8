"""A pair of many claims: each new claim, signature and vote moves its tallies, however much is there already."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from episteme.folds.chains import Chains
from episteme.folds.groups import Groups
from episteme.folds.ranking import Ranking
from episteme.folds.tally import claim_of, moves, predicate_of, unit_of
from keycodec import TallyKeys
from stores import AssertionHead, AssertionStore, PairClaim, PairTotals, Staging, VoteStore, short_id


class LargePair:
    """One pair, for one batch: take in what is new, then settle."""

    def __init__(self, state: Staging, subject: str, predicate: str, totals: PairTotals) -> None:
        """totals: changed in place; new ones for a pair that has just become large."""
        self._subject = subject
        self._predicate = predicate
        keys = TallyKeys(subject, short_id(predicate.encode()))
        self._groups = Groups(state, subject, keys, totals)
        self._chains = Chains(state, keys, totals)
        self._assertions = AssertionStore(state)
        self._votes = VoteStore(state)

    def change(self, seqs: Mapping[bytes, set[int]], voted: Iterable[bytes], *, may_have_votes: bool) -> None:
        """Take in a batch.

        seqs: the assertions that the batch names, and the positions at which it does.  voted: those that it
        votes on.  may_have_votes: whether a new one may have votes from before the batch.
        """
        voted = set(voted)
        digests = list(seqs)
        new = []
        for digest, head in zip(digests, self._assertions.heads(self._subject, digests), strict=True):
            assert head is not None, f"{digest.hex()} is folded but not there"
            if head.seq in seqs[digest]:
                new.append(self._claim(digest, head, has_votes=may_have_votes or digest in voted))
            else:
                self._sign(digest, head, seqs[digest])
        new_digests = {claim.digest for claim in new}
        for digest in voted - new_digests:
            self._vote(digest)
        self.absorb(new)

    def absorb(self, new: Sequence[PairClaim]) -> None:
        """Take in new claims, each with all its signers and votes."""
        by_digest = {claim.digest: claim for claim in new}
        for claim in new:
            if claim.parent is not None:
                parent = by_digest.get(claim.parent) or self._find(claim.parent)
                if parent is None:
                    self._chains.wait(claim, claim.parent)
                elif moves(claim, parent):
                    self._chains.join(claim, parent, by_digest)
            for digest in self._chains.arrive(claim):
                self._chains.join(by_digest.get(digest) or self._get(digest), claim, by_digest)
        for claim in new:
            if not self._chains.is_changed(claim.digest):
                unit = unit_of(claim)
                if unit is not None:
                    self._groups.add(unit)

    def settle(self) -> Ranking:
        """Bring all tallies up to date and write them."""
        gone, come = self._chains.settle()
        for unit in gone:
            self._groups.remove(unit)
        for unit in come:
            self._groups.add(unit)
        ranking = self._groups.rank()
        self._groups.stage()
        return ranking

    def _sign(self, digest: bytes, head: AssertionHead, seqs: set[int]) -> None:
        """A known claim may have signatures that came with this batch, at one of its positions.

        Later positions may be counted already: a dead letter that is tried again is behind them.
        """
        signers = tuple((s.agent, s.seq) for s in head.signatures if s.seq in seqs)
        if not signers:
            return
        member = self._chains.member(digest)
        if member is not None:
            self._chains.change(msgspec.structs.replace(member, signers=member.signers + signers))
            return
        unit = unit_of(claim_of(digest, head.seq, head.event, signers, 0))
        if unit is not None:
            self._groups.sign(unit)

    def _vote(self, digest: bytes) -> None:
        """A known claim has other votes."""
        member = self._chains.member(digest)
        if member is not None:
            self._chains.change(msgspec.structs.replace(member, votes_micros=self._votes_on(digest)))
            return
        claim = self._get(digest)
        if not claim.is_hidden:
            self._groups.vote(claim)

    def _find(self, digest: bytes) -> PairClaim | None:
        """A claim of the pair as it is now."""
        (head,) = self._assertions.heads(self._subject, (digest,))
        if head is None or predicate_of(head.event) != self._predicate:
            return None
        return self._claim(digest, head, has_votes=True)

    def _get(self, digest: bytes) -> PairClaim:
        claim = self._find(digest)
        assert claim is not None, f"{digest.hex()} is counted but not there"
        return claim

    def _claim(self, digest: bytes, head: AssertionHead, *, has_votes: bool) -> PairClaim:
        signers = tuple((s.agent, s.seq) for s in head.signatures)
        votes_micros = self._votes_on(digest) if has_votes else 0
        return claim_of(digest, head.seq, head.event, signers, votes_micros)

    def _votes_on(self, digest: bytes) -> int:
        return self._votes.tally(self._subject, digest.hex()).sum_micros
