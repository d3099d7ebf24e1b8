"""How much the regulatory claims of a pair disagree: as a question for them alone, under consensus, would find."""

from collections.abc import Container, Sequence
from typing import Final

import msgspec

from episteme.folds.authority import speaking
from episteme.lenses import Candidate, Comparison, Signer, lens_named, make_candidate, make_terms
from episteme.reading import Question
from episteme.reading.admit import admit, find_hidden
from episteme.reading.gather import Pool, comparison_of
from stores import (
    MICROS,
    NO_VOTES,
    AliasStore,
    AssertionStore,
    ClaimRow,
    PredicateStore,
    RulingsStore,
    Staging,
)

_LENS: Final = lens_named("consensus")


def conflict_micros(state: Staging, subject: str, predicate: str, digests: Sequence[bytes], seq: int) -> int:
    """The conflict, in millionths, among the live regulatory ones of these claims of a pair, after the event at seq.

    digests: in log order; all stages of the chains that regulatory claims are in.
    """
    rows = [row for row in AssertionStore(state).claims(subject, digests) if row is not None]
    assert len(rows) == len(digests), "a claim is listed but not there"
    rulings = RulingsStore(state).get()
    comparison = _comparison_of(state, predicate, rows)
    agents = {signature.agent for row in rows for signature in row.signatures}
    voices = set(speaking(sorted(agents), seq, state)) if rulings.revocation >= 0 else agents
    candidates = [_candidate(*one, comparison, voices) for one in zip(digests, rows, strict=True)]
    heard = tuple(candidate for candidate in candidates if candidate.signers)
    pool = Pool((subject,), comparison, heard, (), rulings)
    question = Question(subject=subject, predicate=predicate, source_class=("regulatory",))
    admitted = admit(pool, find_hidden(state, heard, None, pool), question)
    finding = _LENS.resolve(admitted.candidates, make_terms(_LENS, {}, comparison))
    return round(finding.resolution.conflict * MICROS)


def _candidate(digest: bytes, row: ClaimRow, comparison: Comparison, voices: Container[bytes]) -> Candidate:
    signers = [Signer(s.agent, row.claim.timestamp, s.seq) for s in row.signatures if s.agent in voices]
    return make_candidate(digest, row.claim, row.seq, tuple(signers), NO_VOTES, comparison)


def _comparison_of(state: Staging, predicate: str, rows: Sequence[ClaimRow]) -> Comparison:
    comparison = comparison_of(PredicateStore(state).get(predicate))
    names = {str(row.claim.object.value) for row in rows if row.claim.object.type == "reference"}
    if not names:
        return comparison
    aliases = AliasStore(state)
    return msgspec.structs.replace(comparison, same_as={name: aliases.canonical(name) for name in sorted(names)})
