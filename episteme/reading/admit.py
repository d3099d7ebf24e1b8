"""Filters: which claims of a pool take part in an answer, and why the others do not.

In this order: who has a voice, the newest stage of each chain of lifecycle
moves, then what is judged of that stage alone.  A claim is left out for the
first reason that holds.

Source: docs/questions.md, "Which claims take part".
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct

from episteme.lenses import HIDDEN_LIFECYCLES, Candidate, newest_stages
from episteme.reading.gather import Pool, in_log_order
from episteme.reading.question import Question
from stores import EpochStore, Reader, SupersededEpoch, SupersessionRow, SupersessionStore

Reason = Literal[
    "revoked",
    "moved",
    "superseded",
    "superseded-epoch",
    "lifecycle",
    "other-epoch",
    "source-class",
    "not-valid-then",
    "not-in-pack",
]


class LeftOut(NamedTuple):
    """A claim that does not take part, and why; by: the hash or id of what hides it, if something does."""

    candidate: Candidate
    reason: Reason
    by: bytes | None = None


class Admitted(NamedTuple):
    """Who takes part, and who does not, each in log order."""

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]


class Hidden(Struct, frozen=True):
    """What is superseded as of the answer's position: claims by hash, epochs by id."""

    claims: Mapping[bytes, SupersessionRow]
    epochs: Mapping[str, SupersededEpoch]


def find_hidden(reader: Reader, candidates: Sequence[Candidate], at: int | None, pool: Pool) -> Hidden:
    """Look up what supersedes any of these claims or their epochs: one get each, none where there is no such thing."""
    claims: dict[bytes, SupersessionRow] = {}
    if pool.rulings.supersession >= 0:
        digests = [candidate.digest for candidate in candidates]
        rows = SupersessionStore(reader).get_many(digests)
        claims = {d: row for d, row in zip(digests, rows, strict=True) if row is not None and _is_by(row.since, at)}
    epochs: dict[str, SupersededEpoch] = {}
    if pool.rulings.epoch >= 0:
        named = sorted({c.claim.epoch for c in candidates if isinstance(c.claim.epoch, str)})
        markers = zip(named, EpochStore(reader).superseded_many(named), strict=True)
        epochs = {epoch: m for epoch, m in markers if m is not None and _is_by(m.seq, at)}
    return Hidden(claims, epochs)


def admit(pool: Pool, hidden: Hidden, question: Question) -> Admitted:
    """Split a pool into those that take part and those that do not."""
    newest = newest_stages(pool.candidates)
    kept, left_out = [], [LeftOut(candidate, "revoked") for candidate in pool.silenced]
    if len(newest) < len(pool.candidates):
        standing = {candidate.digest for candidate in newest}
        left_out.extend(LeftOut(c, "moved") for c in pool.candidates if c.digest not in standing)
    plain = not (question.epoch or question.source_class or question.pack or question.valid_at is not None)
    for candidate in newest:
        found = _hidden_by(candidate, hidden, question)
        if found is None and not plain:
            found = _filtered(candidate, question)
        if found is None:
            kept.append(candidate)
        else:
            left_out.append(found)
    if question.pack is not None:
        kept = [_members_only(candidate) for candidate in kept]
    left_out.sort(key=lambda one: (one.candidate.seq, one.candidate.digest))
    return Admitted(in_log_order(kept), tuple(left_out))


def _hidden_by(candidate: Candidate, hidden: Hidden, question: Question) -> LeftOut | None:
    """What hides a claim unless it is asked for."""
    if hidden.claims and "superseded" not in question.include:
        row = hidden.claims.get(candidate.digest)
        if row is not None:
            return LeftOut(candidate, "superseded", row.digest)
    epoch = candidate.claim.epoch
    if hidden.epochs and isinstance(epoch, str) and question.epoch is None:
        marker = hidden.epochs.get(epoch)
        if marker is not None and "superseded_epochs" not in question.include:
            return LeftOut(candidate, "superseded-epoch", marker.by)
    lifecycle = candidate.claim.lifecycle
    if (lifecycle not in question.lifecycle) if question.lifecycle else (lifecycle in HIDDEN_LIFECYCLES):
        return LeftOut(candidate, "lifecycle")
    return None


def _filtered(candidate: Candidate, question: Question) -> LeftOut | None:
    """What the question does not want."""
    claim = candidate.claim
    if question.epoch is not None and claim.epoch != question.epoch:
        return LeftOut(candidate, "other-epoch")
    if question.source_class and claim.source_class not in question.source_class:
        return LeftOut(candidate, "source-class")
    if question.valid_at is not None and not _holds_at(candidate, question.valid_at):
        return LeftOut(candidate, "not-valid-then")
    if question.pack is not None and not any(signer.weight_micros for signer in candidate.signers):
        return LeftOut(candidate, "not-in-pack")
    return None


def _holds_at(candidate: Candidate, moment_ms: int) -> bool:
    claim = candidate.claim
    start = claim.timestamp if claim.valid_from is UNSET else claim.valid_from
    return start <= moment_ms and (claim.valid_to is UNSET or moment_ms < claim.valid_to)


def _members_only(candidate: Candidate) -> Candidate:
    members = tuple(signer for signer in candidate.signers if signer.weight_micros)
    return msgspec.structs.replace(candidate, signers=members)


def _is_by(seq: int, at: int | None) -> bool:
    return at is None or seq <= at
