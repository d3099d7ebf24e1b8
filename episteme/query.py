"""The read path: index, hydrate, filter, lens, answer.

A question that the pair's view answers exactly takes one get; any other reads
the pair's posting list, hydrates the claims and resolves them.  Both give the
same answer, which a test proves over random histories.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from episteme.errors import TooManyCandidates
from episteme.lenses import (
    DEFAULT_LENS,
    HIDDEN_LIFECYCLES,
    Candidate,
    Lens,
    Signer,
    Terms,
    lens_named,
    make_candidate,
    newest_stages,
)
from model import SIGNATURES_MAX, Lifecycle, SourceClass
from stores import AssertionRow, AssertionStore, IndexStore, Reader, Resolution, ViewRow, ViewStore, VoteStore

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1000
CANDIDATES_MAX: Final = 100_000  # a full read of one pair: about 200 MB of claims of the usual size
_UNBOUNDED: Final = 2**31


class Question(Struct, frozen=True, kw_only=True):
    """What is asked of a pair; limit bounds the groups, and the hashes in all of them together."""

    subject: str
    predicate: str
    lens: str = DEFAULT_LENS
    source_class: tuple[SourceClass, ...] = ()  # empty: all
    lifecycle: tuple[Lifecycle, ...] = ()  # empty: all but deprecated and rejected
    full: bool = False  # read the claims even where the view would do
    limit: int = LIMIT_DEFAULT

    @property
    def fits_view(self) -> bool:
        """Whether the pair's view, made under the default lens without filters, answers it exactly."""
        return (
            not self.full
            and self.lens == DEFAULT_LENS
            and not self.source_class
            and not self.lifecycle
            and self.limit == LIMIT_DEFAULT
        )


class Resolved(Struct, frozen=True):
    """A resolution, cut to the limit, with the winner's row at hand."""

    resolution: Resolution
    groups_count: int
    winner: AssertionRow | None


def ask(reader: Reader, question: Question) -> Resolved:
    """Answer a question from one snapshot.

    Raises: UnknownLens; TooManyCandidates.
    """
    lens = lens_named(question.lens)
    if question.fits_view:
        row = ViewStore(reader).get(question.subject, question.predicate)
        if row is not None and row.resolution.lens_version == lens.version:
            return Resolved(row.resolution, row.groups_count, row.winner)
    return resolve_pair(reader, lens, question, count_max=CANDIDATES_MAX)


def compute_view(reader: Reader, subject: str, predicate: str, seq: int, time: int) -> ViewRow:
    """The pair's view by a full read: what the fold's tallies are held against.

    seq and time are those of the last event that touched the pair.
    """
    question = Question(subject=subject, predicate=predicate)
    found = resolve_pair(reader, lens_named(DEFAULT_LENS), question, count_max=_UNBOUNDED)
    return ViewRow(found.resolution, found.groups_count, found.winner, seq, time)


def resolve_pair(reader: Reader, lens: Lens, question: Question, *, count_max: int) -> Resolved:
    """The full read.  Raises: TooManyCandidates if the pair has more than count_max claims."""
    candidates_by_hash = hydrate(reader, question.subject, question.predicate, count_max=count_max)
    candidates = keep(list(candidates_by_hash.values()), question)
    resolution = lens.resolve(candidates, Terms()).resolution
    winner = None
    if resolution.winner is not None:
        winner = AssertionStore(reader).get(question.subject, resolution.winner)
        assert winner is not None, "the winner is one of the candidates"
        # As many as an envelope holds: the answer's can be sent as it is, and a view stays small.
        winner = msgspec.structs.replace(winner, signatures=winner.signatures[:SIGNATURES_MAX])
    return Resolved(cut(resolution, question.limit), len(resolution.groups), winner)


def hydrate(reader: Reader, subject: str, predicate: str, *, count_max: int) -> dict[bytes, Candidate]:
    """All claims of a pair by hash, in log order.  Raises: TooManyCandidates."""
    postings = IndexStore(reader).of_pair(subject, predicate, count_max=min(count_max + 1, _UNBOUNDED))
    if len(postings) > count_max:
        raise TooManyCandidates(f"the pair has more than {count_max} claims")
    digests = [posting.digest for posting in postings]
    rows = AssertionStore(reader).claims(subject, digests)
    tallies = VoteStore(reader).tallies(subject, digests)
    candidates = {}
    for digest, row, tally in zip(digests, rows, tallies, strict=True):
        assert row is not None, f"{digest.hex()} is listed but not there"
        signers = tuple(Signer(s.agent, row.claim.timestamp, s.seq) for s in row.signatures)
        candidates[digest] = make_candidate(digest, row.claim, row.seq, signers, tally)
    return candidates


def keep(candidates: Sequence[Candidate], question: Question) -> list[Candidate]:
    """The candidates that the question admits: newest stages, then lifecycle, then source class."""
    kept = []
    for candidate in newest_stages(candidates):
        event = candidate.claim
        if question.lifecycle:
            if event.lifecycle not in question.lifecycle:
                continue
        elif event.lifecycle in HIDDEN_LIFECYCLES:
            continue
        if question.source_class and event.source_class not in question.source_class:
            continue
        kept.append(candidate)
    return kept


def cut(resolution: Resolution, limit: int) -> Resolution:
    """At most limit groups, and at most limit hashes in all of them together, first groups first."""
    left = limit
    groups = []
    for group in resolution.groups[:limit]:
        hashes = group.hashes[:left]
        left -= len(hashes)
        groups.append(msgspec.structs.replace(group, hashes=hashes))
    return msgspec.structs.replace(resolution, groups=tuple(groups))
