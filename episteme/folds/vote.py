"""Votes: one live vote for each agent and assertion, and the totals.

A vote by a key that was revoked by then is kept, and is not live.
"""

from episteme.folds.event import VOTE, LoggedEvent
from model import Vote
from stores import AssertionStore, RevocationStore, Staging, VoteRow, VoteWriter, live_vote


class VoteFold:
    """Families V, VL, VC, VW, VT and VOTED."""

    name = "vote"
    version = 2
    kinds = frozenset((VOTE,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Keep a vote; if it is the agent's latest, make it the live one and move the totals."""
        if event.kind != VOTE:
            return
        vote = event.event
        assert isinstance(vote, Vote), event.kind
        store = VoteWriter(state)
        digest = event.digest
        if store.get(vote.subject, vote.assertion, digest.hex()) is not None:
            return
        store.put(digest, VoteRow(vote, event.signatures, event.seq, event.time))
        if AssertionStore(state).subject_of(bytes.fromhex(vote.assertion)) != vote.subject:
            store.put_doubtful(digest, vote)
        if RevocationStore(state).is_revoked(vote.agent, event.seq):
            return
        live = live_vote(digest, vote, event.seq)
        before = store.live(vote.subject, vote.assertion, vote.agent)
        if before is not None and before.place > live.place:
            return
        store.put_live(vote.subject, vote.assertion, vote.agent, live)
        tally = store.tally(vote.subject, vote.assertion)
        if before is not None:
            tally = tally.minus(before.weight_micros)
        store.put_tally(vote.subject, vote.assertion, tally.plus(live.weight_micros))
