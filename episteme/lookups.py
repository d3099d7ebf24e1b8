"""Reading lists and records: the methods that Node and the clients share.

Each names its listing and hands over what it was given; `look` is the one that
differs.  Lists come in pages: give a page's next as the cursor of the one that
follows, with the same question.  min_seq and wait_s are as in Database.query.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, TypeVar, Unpack, cast

from episteme import catalog
from episteme.acts import Blocking, Steps, act
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
from episteme.status import FoldsReport
from episteme.stored import StoredBundle, StoredEvent
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


class LookupActs:
    """What can be read besides answers; a mixin."""

    def look(self, listing: Listing[Any], asked: Mapping[str, object]) -> Any:
        """A step: read a listing; asked: its parameters, and min_seq and wait_s; None stands for what is not asked.

        Raises: InvalidParameter; NotFound; NotApplied; Unreachable and the like.
        """
        raise NotImplementedError

    @act
    def ballot(self, assertion: str, **paged: Unpack[Paged]) -> Steps[Ballot]:
        """The votes on an assertion with their effects, by hash, and the totals."""
        return self._looked(catalog.BALLOT, {"hash": assertion, **paged})

    @act
    def lineage(
        self, assertion: str, *, depth: int | None = None, limit: int | None = None, **wait: Unpack[Wait]
    ) -> Steps[Lineage]:
        """Where an assertion comes from and what it led to, nearest first: up to depth (10) steps, limit (100) each."""
        return self._looked(catalog.LINEAGE, {"hash": assertion, "depth": depth, "limit": limit, **wait})

    @act
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
    ) -> Steps[Page[StoredAssertion]]:
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
        return self._looked(catalog.ASSERTIONS, {**asked, **paged})

    @act
    def get_event(self, event: str, **wait: Unpack[Wait]) -> Steps[StoredEvent]:
        """An event of any kind by its hash, as it was signed.  Raises: NotFound."""
        return self._looked(catalog.EVENT, {"hash": event, **wait})

    @act
    def get_bundle(self, bundle: str, **wait: Unpack[Wait]) -> Steps[StoredBundle]:
        """A bundle by its hash: which events its agent signed by it.  Raises: NotFound."""
        return self._looked(catalog.BUNDLE, {"hash": bundle, **wait})

    @act
    def subjects(self, prefix: str = "", **paged: Unpack[Paged]) -> Steps[Page[str]]:
        """Subjects that begin with prefix, in byte order."""
        return self._looked(catalog.SUBJECTS, {"prefix": prefix or None, **paged})

    @act
    def subject(self, subject: str, **paged: Unpack[Paged]) -> Steps[SubjectReport]:
        """What a subject's pairs come to, by predicate.  Raises: NotFound."""
        return self._looked(catalog.SUBJECT, {"subject": subject, **paged})

    @act
    def agents(self, **paged: Unpack[Paged]) -> Steps[Page[AgentSummary]]:
        """Agents that have signed a claim, in the order of their keys."""
        return self._looked(catalog.AGENTS, paged)

    @act
    def agent(self, agent: str, **paged: Unpack[Paged]) -> Steps[AgentReport]:
        """Trust, counts, quota and revocation of any key; the items are the changes of its score."""
        return self._looked(catalog.AGENT, {"agent": agent, **paged})

    @act
    def epochs(self, **paged: Unpack[Paged]) -> Steps[Page[EpochRecord]]:
        """Epochs in the order of their ids."""
        return self._looked(catalog.EPOCHS, paged)

    @act
    def get_epoch(self, epoch: str, **wait: Unpack[Wait]) -> Steps[EpochReport]:
        """One epoch with the chain of those that hide it.  Raises: NotFound."""
        return self._looked(catalog.EPOCH, {"epoch": epoch, **wait})

    @act
    def sources(self, **paged: Unpack[Paged]) -> Steps[Page[SourceSummary]]:
        """Registered sources in the order of their hashes."""
        return self._looked(catalog.SOURCES, paged)

    @act
    def get_source(self, source_hash: str, **wait: Unpack[Wait]) -> Steps[SourceReport]:
        """One source with its statuses.  Raises: NotFound."""
        return self._looked(catalog.SOURCE, {"source": source_hash, **wait})

    @act
    def impact(self, source_hash: str, **paged: Unpack[Paged]) -> Steps[Impact]:
        """What rests on a source: a page of assertions, their descendants, and the answers that used them."""
        return self._looked(catalog.IMPACT, {"source": source_hash, **paged})

    @act
    def packs(self, **paged: Unpack[Paged]) -> Steps[Page[PackSummary]]:
        """Trust packs in the order of their ids."""
        return self._looked(catalog.PACKS, paged)

    @act
    def get_pack(self, pack: str, **wait: Unpack[Wait]) -> Steps[PackReport]:
        """One trust pack with its members.  Raises: NotFound."""
        return self._looked(catalog.PACK, {"pack": pack, **wait})

    @act
    def gold_standards(
        self, subject: str | None = None, predicate: str | None = None, **paged: Unpack[Paged]
    ) -> Steps[Page[GoldRecord]]:
        """Gold standards by subject, then predicate; those of a subject, or that of a pair."""
        return self._looked(catalog.GOLD_STANDARDS, {"subject": subject, "predicate": predicate, **paged})

    @act
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
    ) -> Steps[Page[EscalationRecord]]:
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
        return self._looked(catalog.ESCALATIONS, {**asked, **paged})

    @act
    def get_escalation(self, escalation: str, **wait: Unpack[Wait]) -> Steps[EscalationRecord]:
        """One escalation.  Raises: NotFound."""
        return self._looked(catalog.ESCALATION, {"id": escalation, **wait})

    @act
    def predicates(self, prefix: str = "", **paged: Unpack[Paged]) -> Steps[Page[PredicateRecord]]:
        """Declared predicates that begin with prefix, in byte order."""
        return self._looked(catalog.PREDICATES, {"prefix": prefix or None, **paged})

    @act
    def aliases(self, prefix: str = "", **paged: Unpack[Paged]) -> Steps[Page[AliasRecord]]:
        """Subjects with an alias that begin with prefix, in byte order."""
        return self._looked(catalog.ALIASES, {"prefix": prefix or None, **paged})

    @act
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
    ) -> Steps[Page[AuditedQuery]]:
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
        return self._looked(catalog.AUDITS, {**asked, **paged})

    @act
    def audit(self, audit_id: str, **wait: Unpack[Wait]) -> Steps[AuditRecord]:
        """One audited query with what its answer rests on.  Raises: NotFound."""
        return self._looked(catalog.AUDIT, {"id": audit_id, **wait})

    @act
    def replay(self, audit_id: str, **wait: Unpack[Wait]) -> Steps[Replayed]:
        """An audited query asked again as of the same position: whether the answer is the same.  Raises: NotFound."""
        return self._looked(catalog.REPLAY, {"id": audit_id, **wait})

    @act
    def folds(self, **paged: Unpack[Paged]) -> Steps[FoldsReport]:
        """How far the folds are; the items are the events that they could not take, in log order."""
        return self._looked(catalog.FOLDS, paged)

    @act
    def lenses(self, **paged: Unpack[Paged]) -> Steps[Page[LensRecord]]:
        """All lenses by name, with version and parameters."""
        return self._looked(catalog.LENSES, paged)

    def _looked(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Steps[Shape]:
        found: Shape = yield self.look(listing, asked)
        return found


class Lookups(LookupActs, Blocking):
    """What Node and Client read besides answers; a mixin."""

    def look(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Shape:
        """Read a listing; asked: its parameters, and min_seq and wait_s; None stands for what is not asked.

        Raises: InvalidParameter; NotFound; NotApplied; Unreachable and the like.
        """
        raise NotImplementedError
