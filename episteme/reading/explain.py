"""Why an answer is what it is: every candidate with what it weighed, why the winner won, what was left out.

Source: docs/questions.md, "Explanations".
"""

from collections.abc import Sequence
from typing import Final

from episteme.api import ExplainedCandidate, ExplainedSigner, Explanation, LeftOutCandidate
from episteme.lenses import Candidate, value_of
from episteme.reading.admit import LeftOut
from episteme.reading.resolve import Resolved
from model import SOURCE_CLASSES
from stores import MICROS, GroupRow, Resolution

SIGNERS_SHOWN_MAX: Final = 16
_WITHOUT_WINNER: Final = ("skeptic", "constraints")
_NONE_PASSES: Final = "The predicate has many values, and no value has the share that it takes to pass."
_WHY: Final = {
    "revoked": "every key that signed it is revoked",
    "moved": "a later stage of its chain stands for it",
    "superseded": "it is superseded",
    "superseded-epoch": "its epoch is superseded",
    "lifecycle": "its stage is not asked for",
    "other-epoch": "it is of another epoch than asked for",
    "source-class": "its source class is not asked for",
    "not-valid-then": "its span of time does not hold the moment asked for",
    "not-in-pack": "no member of the trust pack that has weight signed it",
}


def explanation_of(resolved: Resolved, limit: int) -> Explanation:
    """The explanation of a full read; limit bounds both lists, the heaviest candidates first."""
    assert resolved.admitted is not None, "a view keeps nothing to explain it with"
    candidates = resolved.admitted.candidates
    weights = resolved.finding.weights
    ordered = sorted(candidates, key=lambda one: (-weights.get(one.digest, 0.0), one.tie))
    left_out = resolved.admitted.left_out
    return Explanation(
        why=_why(resolved),
        candidates=[_candidate(one, weights.get(one.digest, 0.0)) for one in ordered[:limit]],
        candidates_count=len(candidates),
        left_out=[_left_out(one) for one in left_out[:limit]],
        left_out_count=len(left_out),
    )


def _why(resolved: Resolved) -> str:
    """One sentence from numbers and names of ours alone."""
    resolution = resolved.finding.resolution
    if not resolution.candidates_count:
        count = len(resolved.admitted.left_out) if resolved.admitted else 0
        return f"No claim takes part; {count} left out." if count else "There are no claims."
    if resolution.winner is None:
        return _RULES[resolution.lens] if resolution.lens in _WITHOUT_WINNER else _NONE_PASSES
    lead = "" if resolution.margin is None else f", ahead of the next by {resolution.margin:g}"
    count = resolved.groups_count
    others = "the only value" if count == 1 else f"the first of {count} values"
    return f"{_RULES[resolution.lens]} The winner is {others}, with a share of {_share(resolution)}{lead}."


def _share(resolution: Resolution) -> str:
    groups: Sequence[GroupRow] = resolution.groups
    return f"{groups[0].share:g}"


_RULES: Final = {
    "recency": "The latest timestamp wins.",
    "consensus": "The value that most agents stand for wins.",
    "confidence": "The claim with the highest confidence wins.",
    "votes": "The value with the most positive live vote weight wins; without any, the one most agents stand for.",
    "trust": "The value whose supporters' confidence times trust sums highest wins.",
    "authority": "The best tier decides; within it, confidence times trust.",
    "layered": "Each tier decides by consensus, and the best tier that has claims speaks for all.",
    "skeptic": "This lens names no winner: it shows how the claims disagree.",
    "constraints": "This lens names no winner: it lists what must be used and what is forbidden.",
}


def _candidate(candidate: Candidate, weight: float) -> ExplainedCandidate:
    claim = candidate.claim
    shown = candidate.signers[:SIGNERS_SHOWN_MAX]
    return ExplainedCandidate(
        hash=candidate.digest.hex(),
        seq=candidate.seq,
        subject=claim.subject,
        value=value_of(claim.object),
        weight=weight,
        source_class=SOURCE_CLASSES[candidate.tier],
        lifecycle=claim.lifecycle,
        timestamp=claim.timestamp,
        confidence=claim.confidence,
        confidence_seen=candidate.confidence_micros / MICROS,
        votes=candidate.tally.sum_micros / MICROS,
        signers=[
            ExplainedSigner(s.agent.hex(), s.seq, s.trust_micros / MICROS, s.weight_micros / MICROS) for s in shown
        ],
        signers_count=len(candidate.signers),
    )


def _left_out(left: LeftOut) -> LeftOutCandidate:
    return LeftOutCandidate(
        hash=left.candidate.digest.hex(),
        seq=left.candidate.seq,
        value=value_of(left.candidate.claim.object),
        reason=left.reason,
        detail=_WHY[left.reason],
        by=None if left.by is None else left.by.hex(),
    )
