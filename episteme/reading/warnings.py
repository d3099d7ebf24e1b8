"""What an answer should be doubted for: the sources that it rests on.

An answer rests on the claims for the winning value, or, if its lens names no
winner, on all that take part.  What a warning says is made of hashes and
numbers; a source's label is another agent's text and stays out.
"""

from collections import Counter
from collections.abc import Sequence

from episteme.lenses import Candidate
from stores import Reader, Resolution, Rulings, SourceStore


def warnings_of(
    reader: Reader,
    candidates: Sequence[Candidate],
    resolution: Resolution,
    *,
    is_many: bool,
    at: int | None,
    rulings: Rulings,
) -> tuple[str, ...]:
    """Warnings in the order of the sources' hashes.

    resolution: before it is cut to a limit.  is_many: all its groups have won.
    """
    if rulings.source < 0:
        return ()
    grounds = _grounds(candidates, resolution, is_many=is_many)
    counts = Counter(c.claim.source_hash for c in grounds if isinstance(c.claim.source_hash, str))
    sources = sorted(counts)
    found = []
    for source, record in zip(sources, SourceStore(reader).get_many(sources), strict=True):
        status = None if record is None else (record.statuses[-1] if at is None else record.status_at(at))
        if status is not None and status.status != "active":
            claims = "claim" if len(grounds) == 1 else "claims"
            found.append(
                f"source {source} is {status.status}: {counts[source]} of the {len(grounds)} {claims} "
                "that the answer rests on cite it"
            )
    return tuple(found)


def _grounds(candidates: Sequence[Candidate], resolution: Resolution, *, is_many: bool) -> list[Candidate]:
    if resolution.winner is None:
        return list(candidates)
    winning: set[bytes] = set()
    for group in resolution.groups:
        if is_many or resolution.winner in group.hashes:
            winning.update(group.hashes)
    return [candidate for candidate in candidates if candidate.digest in winning]
