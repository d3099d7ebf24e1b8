"""A pair of few claims: what counts of each of them is kept in one row, and resolved as a whole."""

from collections.abc import Iterable, Sequence

import msgspec

from episteme.folds.event import LoggedEvent
from episteme.folds.tally import Ground, claim_of
from stores import PairClaim, Reader, VoteStore


def changed(
    reader: Reader,
    subject: str,
    claims: Sequence[PairClaim],
    events: Iterable[LoggedEvent],
    voted: Iterable[bytes],
    superseded: frozenset[bytes],
    ground: Ground,
    *,
    may_have_votes: bool,
) -> list[PairClaim]:
    """The pair's claims after a batch, in log order.

    events: the assertions that it brings, known ones too.  voted: those that it votes on.  superseded: those of
    all that it touches that are.  may_have_votes: whether a new one may have votes from before the batch.
    """
    by_digest = {claim.digest: claim for claim in claims}
    recount = set(voted)
    for event in events:
        digest, seq = event.digest, event.seq
        known = by_digest.get(digest)
        if known is None:
            signatures = event.signatures
            if len(signatures) == 1:  # as most have
                signers: tuple[tuple[bytes, int], ...] = ((signatures[0].agent, seq),)
            else:
                signers = tuple([(signature.agent, seq) for signature in signatures])
            by_digest[digest] = claim_of(digest, seq, event.raw, signers, 0, ground)
            if may_have_votes:
                recount.add(digest)
        else:
            by_digest[digest] = _signed(known, event)
    for digest in recount:
        votes_micros = VoteStore(reader).tally(subject, digest.hex()).sum_micros
        by_digest[digest] = msgspec.structs.replace(by_digest[digest], votes_micros=votes_micros)
    for digest in superseded:
        by_digest[digest] = msgspec.structs.replace(by_digest[digest], is_hidden=True)
    return list(by_digest.values())


def _signed(claim: PairClaim, event: LoggedEvent) -> PairClaim:
    known = {agent for agent, _ in claim.signers}
    joined = tuple((s.agent, event.seq) for s in event.signatures if s.agent not in known)
    return msgspec.structs.replace(claim, signers=claim.signers + joined) if joined else claim
