"""Audited answers by the assertions that they rest on."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from episteme.listings.context import AnswersUsed, ClaimPlace
from episteme.shapes import ImpactedAnswer
from stores import AuditStore, QueryAudit, Reader, asked_ms

_CHUNK: Final = 250
_CHUNKS_MAX: Final = 20  # 5,000 audits looked at: at 50 us each, a quarter of a second

_Pair = tuple[str, str]


class AuditedAnswers:
    """Finds answers in a state of audits."""

    def __init__(self, reading: Callable[[], AbstractContextManager[Reader]]) -> None:
        """reading: gives the newest state of audits."""
        self._reading = reading

    def using(self, claims: Sequence[ClaimPlace], *, count_max: int) -> AnswersUsed:
        """As AnswerIndex.using."""
        digests: dict[_Pair, set[bytes]] = {}
        for claim in claims:
            digests.setdefault((claim.subject, claim.predicate), set()).add(claim.digest)
        if not digests:
            return AnswersUsed([], True)
        with self._reading() as reader:
            return _search(AuditStore(reader), digests, count_max)


def _search(store: AuditStore, digests: dict[_Pair, set[bytes]], count_max: int) -> AnswersUsed:
    """Pair by pair, each oldest first; an answer about several pairs is found once."""
    found: dict[str, ImpactedAnswer] = {}
    chunks_left = _CHUNKS_MAX
    for pair, wanted in digests.items():
        after = None
        while True:
            if not chunks_left:
                return AnswersUsed(list(found.values()), False)
            chunks_left -= 1
            ids = store.of_pair(*pair).oldest(after=after, count_max=_CHUNK)
            for query_id, row in zip(ids, store.get_many(ids), strict=True):
                used = set() if row is None else _rests_on(row.audit) & wanted
                if row is None or not used or query_id in found:
                    continue
                if len(found) == count_max:
                    return AnswersUsed(list(found.values()), False)
                found[query_id] = ImpactedAnswer(
                    query_id, asked_ms(query_id), [digest.hex() for digest in sorted(used)]
                )
            if len(ids) < _CHUNK:
                break
            after = ids[-1]
    return AnswersUsed(list(found.values()), True)


def _rests_on(audit: QueryAudit) -> set[bytes]:
    return {contribution.digest for contribution in audit.contributions}
