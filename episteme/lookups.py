"""Reading lists and records: the methods that Node and Client share.

Each names its listing and hands over what it was given; `look` is the one that
differs.  Lists come in pages: give a page's next as the cursor of the one that
follows, with the same question.  min_seq and wait_s are as in Database.query.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, TypedDict, TypeVar, Unpack, cast

from episteme import catalog
from episteme.api import StoredAssertion
from episteme.audit import AuditedQuery, AuditRecord, Order, Replayed
from episteme.catalog import Listing
from episteme.shapes import (
    AgentReport,
    AgentSummary,
    AliasRecord,
    Ballot,
    EpochRecord,
    EpochReport,
    EscalationRecord,
    GoldRecord,
    Impact,
    LensRecord,
    Lineage,
    PackReport,
    PackSummary,
    Page,
    PredicateRecord,
    SourceReport,
    SourceSummary,
    SubjectReport,
)
from stores import EscalationLevel, EscalationStatus

Shape = TypeVar("Shape")


class Wait(TypedDict, total=False):
    """Which position a read must at least see, and how long it may wait for that."""

    min_seq: int | None
    wait_s: float | None


class Paged(Wait, total=False):
    """Which page is wanted: limit is 1 to 1000, by default 100."""

    limit: int | None
    cursor: str | None


def split(asked: Mapping[str, object]) -> tuple[dict[str, object], int | None, float | None]:
    """What is asked of the listing itself, min_seq, and wait_s."""
    wait = cast("Wait", asked)
    given = {name: value for name, value in asked.items() if name not in ("min_seq", "wait_s")}
    return given, wait.get("min_seq"), wait.get("wait_s")


class Lookups:
    """What Node and Client read besides answers; a mixin."""

    def look(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Shape:
        """Read a listing; asked: its parameters, and min_seq and wait_s; None stands for what is not asked.

        Raises: InvalidParameter; NotFound; NotApplied; Unreachable and the like.
        """
        raise NotImplementedError

    def ballot(self, assertion: str, **paged: Unpack[Paged]) -> Ballot:
        """The votes on an assertion with their effects, by hash, and the totals."""
        return self.look(catalog.BALLOT, {"hash": assertion, **paged})

    def lineage(
        self, assertion: str, *, depth: int | None = None, limit: int | None = None, **wait: Unpack[Wait]
    ) -> Lineage:
        """Where an assertion comes from and what it led to, nearest first: up to depth (10) steps, limit (100) each."""
        return self.look(catalog.LINEAGE, {"hash": assertion, "depth": depth, "limit": limit, **wait})

    def assertions(
        self,
        *,
        subject: str | None = None,
        predicate: str | None = None,
        agent: str | None = None,
        source_class: Iterable[str] = (),
        lifecycle: Iterable[str] = (),
        epoch: str | None = None,
        since_seq: int | None = None,
        **paged: Unpack[Paged],
    ) -> Page[StoredAssertion]:
        """Assertions that all of this holds of, in log order; of an agent alone, in the order of its signatures.

        A page may be short, even empty, and still have a next one: it looks at some 10,000 at most.
        """
        asked = {
            "subject": subject,
            "predicate": predicate,
            "agent": agent,
            "source_class": source_class,
            "lifecycle": lifecycle,
            "epoch": epoch,
            "since_seq": since_seq,
        }
        return self.look(catalog.ASSERTIONS, {**asked, **paged})

    def subjects(self, prefix: str = "", **paged: Unpack[Paged]) -> Page[str]:
        """Subjects that begin with prefix, in byte order."""
        return self.look(catalog.SUBJECTS, {"prefix": prefix or None, **paged})

    def subject(self, subject: str, **paged: Unpack[Paged]) -> SubjectReport:
        """What a subject's pairs come to, by predicate.  Raises: NotFound."""
        return self.look(catalog.SUBJECT, {"subject": subject, **paged})

    def agents(self, **paged: Unpack[Paged]) -> Page[AgentSummary]:
        """Agents that have signed a claim, in the order of their keys."""
        return self.look(catalog.AGENTS, paged)

    def agent(self, agent: str, **paged: Unpack[Paged]) -> AgentReport:
        """Trust, counts, quota and revocation of any key; the items are the changes of its score."""
        return self.look(catalog.AGENT, {"agent": agent, **paged})

    def epochs(self, **paged: Unpack[Paged]) -> Page[EpochRecord]:
        """Epochs in the order of their ids."""
        return self.look(catalog.EPOCHS, paged)

    def get_epoch(self, epoch: str, **wait: Unpack[Wait]) -> EpochReport:
        """One epoch with the chain of those that hide it.  Raises: NotFound."""
        return self.look(catalog.EPOCH, {"epoch": epoch, **wait})

    def sources(self, **paged: Unpack[Paged]) -> Page[SourceSummary]:
        """Registered sources in the order of their hashes."""
        return self.look(catalog.SOURCES, paged)

    def get_source(self, source_hash: str, **wait: Unpack[Wait]) -> SourceReport:
        """One source with its statuses.  Raises: NotFound."""
        return self.look(catalog.SOURCE, {"source": source_hash, **wait})

    def impact(self, source_hash: str, **paged: Unpack[Paged]) -> Impact:
        """What rests on a source: a page of assertions, their descendants, and the answers that used them."""
        return self.look(catalog.IMPACT, {"source": source_hash, **paged})

    def packs(self, **paged: Unpack[Paged]) -> Page[PackSummary]:
        """Trust packs in the order of their ids."""
        return self.look(catalog.PACKS, paged)

    def get_pack(self, pack: str, **wait: Unpack[Wait]) -> PackReport:
        """One trust pack with its members.  Raises: NotFound."""
        return self.look(catalog.PACK, {"pack": pack, **wait})

    def gold_standards(
        self, subject: str | None = None, predicate: str | None = None, **paged: Unpack[Paged]
    ) -> Page[GoldRecord]:
        """Gold standards by subject, then predicate; those of a subject, or that of a pair."""
        return self.look(catalog.GOLD_STANDARDS, {"subject": subject, "predicate": predicate, **paged})

    def escalations(
        self,
        *,
        status: Iterable[EscalationStatus] = (),
        level: Iterable[EscalationLevel] = (),
        rule: str | None = None,
        subject: str | None = None,
        order: Literal["newest", "oldest"] | None = None,
        after: int | None = None,
        **paged: Unpack[Paged],
    ) -> Page[EscalationRecord]:
        """Escalations, newest first.

        after: oldest first, and only those that an event after this position raised; if there are none yet, wait_s
        waits for the first.  To follow them, give the seq of a page without a next as the after of the one to come.
        """
        asked = {
            "status": status,
            "level": level,
            "rule": rule,
            "subject": subject,
            "order": order,
            "after": after,
        }
        return self.look(catalog.ESCALATIONS, {**asked, **paged})

    def get_escalation(self, escalation: str, **wait: Unpack[Wait]) -> EscalationRecord:
        """One escalation.  Raises: NotFound."""
        return self.look(catalog.ESCALATION, {"id": escalation, **wait})

    def predicates(self, prefix: str = "", **paged: Unpack[Paged]) -> Page[PredicateRecord]:
        """Declared predicates that begin with prefix, in byte order."""
        return self.look(catalog.PREDICATES, {"prefix": prefix or None, **paged})

    def aliases(self, prefix: str = "", **paged: Unpack[Paged]) -> Page[AliasRecord]:
        """Subjects with an alias that begin with prefix, in byte order."""
        return self.look(catalog.ALIASES, {"prefix": prefix or None, **paged})

    def audits(
        self,
        *,
        agent: str | None = None,
        subject: str | None = None,
        predicate: str | None = None,
        from_time: str | int | None = None,
        to_time: str | int | None = None,
        order: Order | None = None,
        **paged: Unpack[Paged],
    ) -> Page[AuditedQuery]:
        """Audited queries, newest first; by whom, about what, and in which span of time, its end exclusive.

        Times are RFC 3339, or milliseconds since 1970.  A page may be short, even empty, and still have a next
        one: it looks at some 5,000 at most.
        """
        asked = {
            "agent": agent,
            "subject": subject,
            "predicate": predicate,
            "from": from_time,
            "to": to_time,
            "order": order,
        }
        return self.look(catalog.AUDITS, {**asked, **paged})

    def audit(self, audit_id: str, **wait: Unpack[Wait]) -> AuditRecord:
        """One audited query with what its answer rests on.  Raises: NotFound."""
        return self.look(catalog.AUDIT, {"id": audit_id, **wait})

    def replay(self, audit_id: str, **wait: Unpack[Wait]) -> Replayed:
        """An audited query asked again as of the same position: whether the answer is the same.  Raises: NotFound."""
        return self.look(catalog.REPLAY, {"id": audit_id, **wait})

    def lenses(self, **paged: Unpack[Paged]) -> Page[LensRecord]:
        """All lenses by name, with version and parameters."""
        return self.look(catalog.LENSES, paged)
