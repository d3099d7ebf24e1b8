"""Queries and their answers: families AUD, AUDA and AUDP.

An audit is found by its id, by who asked, and by the pair that it is about, always in
order of time: an id begins with when it was asked.  It says enough to ask again
and compare: the question as it was put, the position that the answer was true for,
and the answer's digest.  Which answers rest on an assertion is read from the audits
of its pair: a row for each assertion of an answer would cost more than the answer.

Source: docs/format-keys.md, "Records"; docs/audit.md.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from keycodec import (
    agent_audit_key,
    agent_audit_prefix,
    agent_audit_start,
    audit_key,
    audit_prefix,
    audit_row_keys,
    audit_start,
    pair_audit_key,
    pair_audit_prefix,
    pair_audit_start,
    parse,
)
from stores.errors import UnsupportedValue
from stores.kv import Reader
from stores.newest import newest_keys
from stores.records import RecordCodec
from stores.staging import Staging
from stores.view import Status

_DIGEST_BYTES: Final = 32
_MS_DIGITS: Final = 12  # of an id: milliseconds since 1970, 48 bits in hex
_COUNTER_BITS: Final = 16  # below the milliseconds of a time, as in a log's


class Contribution(NamedTuple):
    """An assertion that an answer rests on; weight: its value's share, which all that say it have together."""

    digest: bytes
    weight: float


class QueryAudit(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One query and what it was answered.

    agent: who asked (32 bytes); None: not known.  predicates: what the answer has read of the subject: the one that
    was asked for, or those that a lens for a whole context takes.  parameters: what else was asked, by name, in
    order of names.  now_ms: from which the ages of claims were counted, milliseconds since 1970.  position: the log
    position that the answer is of, -1 for an empty log.  digests: of the assertions that the answer rests on, 32 bytes
    each, value by value; shares: of each value, and how many of them say it.  answer_digest: docs/audit.md, "Digest".
    """

    agent: bytes | None
    subject: str
    predicates: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    now_ms: int
    position: int
    lens: str
    lens_version: int
    status: Status
    winner: bytes | None
    confidence: float
    conflict: float
    digests: bytes
    shares: tuple[tuple[float, int], ...]
    answer_digest: bytes

    @property
    def predicate(self) -> str | None:
        """The one that was asked for; None for a question about a whole context."""
        return self.predicates[0] if len(self.predicates) == 1 else None

    @property
    def contributions(self) -> list[Contribution]:
        """What the answer rests on, in its order."""
        starts = range(0, len(self.digests), _DIGEST_BYTES)
        weights = (weight for weight, count in self.shares for _ in range(count))
        return [
            Contribution(self.digests[start : start + _DIGEST_BYTES], weight)
            for start, weight in zip(starts, weights, strict=False)
        ]


class AuditRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An audit and its position in the log of audits."""

    seq: int
    audit: QueryAudit


class RawAudit(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The same row as AuditRow, the audit as it stands in the log."""

    seq: int
    audit: Raw


class AuditHead(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of a QueryAudit: what its lists go by.  What follows them is not read."""

    agent: bytes | None
    subject: str
    predicates: tuple[str, ...]


_CODEC: Final = RecordCodec(AuditRow, version=1)
_RAW_CODEC: Final = RecordCodec(RawAudit, version=1)
_decode_head = msgspec.msgpack.Decoder(AuditHead).decode


def asked_ms(query_id: str) -> int:
    """When a query was asked, by its id: milliseconds since 1970."""
    return int(query_id[:_MS_DIGITS], 16)


def asked_time(ms: int) -> int:
    """Milliseconds as the times of lists have them."""
    return ms << _COUNTER_BITS


class AuditList:
    """A list of audits by id, which is in order of time: of an agent, of a pair, or of all."""

    def __init__(
        self, reader: Reader, prefix: bytes, start_of: Callable[[int], bytes], key_of: Callable[[str], bytes]
    ) -> None:
        """Use AuditStore's everybodys, of_agent or of_pair."""
        self._reader = reader
        self._prefix = prefix
        self._start_of = start_of
        self._key_of = key_of

    def oldest(self, *, from_ms: int = 0, after: str | None = None, count_max: int) -> list[str]:
        """Ids from a moment on, oldest first; after is an exclusive start, to resume a page."""
        start = self._start_of(asked_time(from_ms))
        if after is not None:
            start = max(start, self._key_of(after))
        return [_id_in(key) for key, _ in self._reader.scan(self._prefix, after=start, count_max=count_max)]

    def newest(self, *, to_ms: int | None = None, before: str | None = None, count_max: int) -> list[str]:
        """Ids before a moment, newest first; before is an exclusive end, to resume a page."""
        ends = [] if to_ms is None else [self._start_of(asked_time(to_ms))]
        if before is not None:
            ends.append(self._key_of(before))
        end = min(ends, default=None)
        keys = newest_keys(self._reader, self._prefix, self._start_of, before=end, count_max=count_max)
        return [_id_in(key) for key in keys]


class AuditStore:
    """Reads audits."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, query_id: str) -> AuditRow | None:
        """One audit."""
        data = self._reader.get(audit_key(query_id))
        return None if data is None else _CODEC.decode(data)

    def get_many(self, query_ids: Sequence[str]) -> list[AuditRow | None]:
        """Audits in the order of the ids."""
        found = self._reader.get_many([audit_key(query_id) for query_id in query_ids])
        return [None if data is None else _CODEC.decode(data) for data in found]

    def heads(self, query_ids: Sequence[str]) -> list[tuple[int, AuditHead] | None]:
        """Of audits their seq in the log of audits and what their lists go by, in the order of the ids."""
        found = self._reader.get_many([audit_key(query_id) for query_id in query_ids])
        return [None if data is None else _head_of(_RAW_CODEC.decode(data)) for data in found]

    def everybodys(self) -> AuditList:
        """All audits, whoever asked."""
        return AuditList(self._reader, audit_prefix(), audit_start, audit_key)

    def of_agent(self, agent_hex: str) -> AuditList:
        """What an agent asked."""
        return AuditList(
            self._reader,
            agent_audit_prefix(agent_hex),
            partial(agent_audit_start, agent_hex),
            lambda query_id: agent_audit_key(agent_hex, asked_time(asked_ms(query_id)), query_id),
        )

    def of_pair(self, subject: str, predicate: str) -> AuditList:
        """What was asked about a pair."""
        return AuditList(
            self._reader,
            pair_audit_prefix(subject, predicate),
            partial(pair_audit_start, subject, predicate),
            lambda query_id: pair_audit_key(subject, predicate, asked_time(asked_ms(query_id)), query_id),
        )


class AuditWriter(AuditStore):
    """Stages audits."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, query_id: str, row: AuditRow) -> None:
        """Keep an audit, and list it under who asked, if that is known, and under what it is about."""
        self._put(_row_keys(query_id, row.audit), _CODEC.encode(row))

    def put_raw(self, query_id: str, head: AuditHead, row: RawAudit) -> None:
        """As put, of an audit whose bytes are at hand."""
        self._put(_row_keys(query_id, head), _RAW_CODEC.encode(row))

    def remove(self, query_id: str, head: AuditHead) -> None:
        """Let an audit go that is there, and its lines in all lists."""
        for key in _row_keys(query_id, head):
            self._staging.delete(key)

    def _put(self, keys: list[bytes], data: bytes) -> None:
        put = self._staging.put
        put(keys[0], data)
        for key in keys[1:]:
            put(key, b"")


def _row_keys(query_id: str, head: AuditHead | QueryAudit) -> list[bytes]:
    """Of the audit, then of its lines."""
    agents = () if head.agent is None else (head.agent.hex(),)
    return audit_row_keys(query_id, asked_time(asked_ms(query_id)), agents, head.subject, head.predicates)


def _head_of(row: RawAudit) -> tuple[int, AuditHead]:
    try:
        return row.seq, _decode_head(row.audit)
    except msgspec.DecodeError as error:
        raise UnsupportedValue(f"QueryAudit: {error}") from error


def _id_in(key: bytes) -> str:
    return parse(key).text("query_id")
