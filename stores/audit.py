"""Queries and their answers: families AUD, AUDA and AUDH.

An audit is found by its id, by who asked and when, and by the assertions that
its answer rests on.  It says enough to ask again and compare: the question as
it was put, the position that the answer was true for, and the answer's digest.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from keycodec import (
    agent_audit_key,
    agent_audit_prefix,
    agent_audit_start,
    assertion_audit_key,
    assertion_audit_prefix,
    audit_key,
    audit_prefix,
    parse,
)
from stores.kv import Reader
from stores.newest import newest_keys
from stores.records import RecordCodec
from stores.staging import Staging
from stores.view import Status

# Who asks without a token is listed under a key of small order, which no signature verifies for.
NOBODY_HEX: Final = "0" * 64


class Contribution(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An assertion (its hash) that an answer rests on, and how much it weighed under the lens."""

    digest: bytes
    weight: float


class QueryAudit(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One query and what it was answered.

    agent: who asked (32 bytes); None: not known.  predicate: None for a question about a whole subject.
    parameters: as they were given, by name.  position: how many events the answer's state had folded.
    answer_digest: BLAKE3 of the answer.  seq, time: of the audit in the log of audits.
    """

    agent: bytes | None
    subject: str
    predicate: str | None
    lens: str
    lens_version: int
    parameters: tuple[tuple[str, str], ...]
    position: int
    status: Status
    winner: bytes | None
    confidence: float
    conflict: float
    contributions: tuple[Contribution, ...]
    answer_digest: bytes
    seq: int
    time: int


class AuditPlace(NamedTuple):
    """A line of a list of audits: log time, then id, in which order lists are."""

    time: int
    query_id: str


_CODEC: Final = RecordCodec(QueryAudit, version=1)


class AuditStore:
    """Reads audits.  Lists hold at most count_max; after and before are exclusive, to resume a page."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, query_id: str) -> QueryAudit | None:
        """One audit."""
        data = self._reader.get(audit_key(query_id))
        return None if data is None else _CODEC.decode(data)

    def audits(self, *, after: str | None = None, count_max: int) -> Iterator[tuple[str, QueryAudit]]:
        """Audits with their ids in id order."""
        start = None if after is None else audit_key(after)
        for key, data in self._reader.scan(audit_prefix(), after=start, count_max=count_max):
            yield parse(key).text("query_id"), _CODEC.decode(data)

    def oldest_of_agent(
        self, agent_hex: str, *, from_time: int = 0, after: AuditPlace | None = None, count_max: int
    ) -> list[AuditPlace]:
        """An agent's queries at a log time or later, oldest first; NOBODY_HEX asks for those of nobody known."""
        start = agent_audit_start(agent_hex, from_time)
        if after is not None:
            start = max(start, agent_audit_key(agent_hex, *after))
        rows = self._reader.scan(agent_audit_prefix(agent_hex), after=start, count_max=count_max)
        return [_place_of(key) for key, _ in rows]

    def newest_of_agent(self, agent_hex: str, *, before: AuditPlace | None = None, count_max: int) -> list[AuditPlace]:
        """An agent's queries, newest first."""
        keys = newest_keys(
            self._reader,
            agent_audit_prefix(agent_hex),
            lambda time: agent_audit_start(agent_hex, time),
            before=None if before is None else agent_audit_key(agent_hex, *before),
            count_max=count_max,
        )
        return [_place_of(key) for key in keys]

    def of_assertion(self, assertion_hex: str, *, after: AuditPlace | None = None, count_max: int) -> list[AuditPlace]:
        """The queries whose answers rest on an assertion, oldest first."""
        start = None if after is None else assertion_audit_key(assertion_hex, *after)
        rows = self._reader.scan(assertion_audit_prefix(assertion_hex), after=start, count_max=count_max)
        return [_place_of(key) for key, _ in rows]


class AuditWriter(AuditStore):
    """Stages audits."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, query_id: str, audit: QueryAudit) -> None:
        """Keep an audit, and list it under who asked and under what it rests on."""
        agent_hex = NOBODY_HEX if audit.agent is None else audit.agent.hex()
        self._staging.put(audit_key(query_id), _CODEC.encode(audit))
        self._staging.put(agent_audit_key(agent_hex, audit.time, query_id), b"")
        for contribution in audit.contributions:
            self._staging.put(assertion_audit_key(contribution.digest.hex(), audit.time, query_id), b"")


def _place_of(key: bytes) -> AuditPlace:
    parsed = parse(key)
    return AuditPlace(parsed.number("time"), parsed.text("query_id"))
