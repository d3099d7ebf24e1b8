"""Votes: one live vote for each agent and assertion, and the totals."""

from episteme.folds.event import VOTE, LoggedEvent
from model import Vote, to_micros
from stores import LiveVote, Staging, VoteRow, VoteWriter


class VoteFold:
    """Families V, VL, VC, VW and VT."""

    name = "vote"
    version = 1

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
        live = LiveVote(vote.timestamp, event.seq, to_micros(vote.weight), digest)
        before = store.live(vote.subject, vote.assertion, vote.agent)
        if before is not None and (before.timestamp, before.seq) > (live.timestamp, live.seq):
            return
        store.put_live(vote.subject, vote.assertion, vote.agent, live)
        tally = store.tally(vote.subject, vote.assertion)
        if before is not None:
            tally = tally.minus(before.weight_micros)
        store.put_tally(vote.subject, vote.assertion, tally.plus(live.weight_micros))
