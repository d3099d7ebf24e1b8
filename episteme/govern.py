"""Writing what rules, groups and judges claims: the methods that Node and Client share.  Pure, but for the clock.

Everything well signed is taken and kept; whether it counts is decided by who
signed it (docs/governance.md, "What counts").
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

from blake3 import blake3

from episteme.api import Value
from episteme.authoring import Authoring, decimal_text, invalid_field, object_of
from episteme.errors import FieldProblem, InvalidField, NotFound
from episteme.lookups import Lookups
from episteme.receipts import Receipt
from model import (
    Alias,
    AnyValue,
    Epoch,
    EscalationAck,
    FieldRule,
    GoldStandard,
    KeyRevocation,
    PackMember,
    PredicateRule,
    QuotaLimit,
    Source,
    Supersession,
    TrustPack,
    sign_event,
)

Weight = str | float | Decimal
_Governance = (
    Epoch
    | Supersession
    | Source
    | GoldStandard
    | TrustPack
    | QuotaLimit
    | PredicateRule
    | Alias
    | KeyRevocation
    | EscalationAck
)


class Governing(Authoring, Lookups):
    """Signs governance on behalf of its key; a mixin of Node and Client.

    Every method returns once the event is durable, and with wait_s, readable, if that suffices.  timestamp:
    milliseconds since 1970, now if left out.
    Raises, all of them: InvalidField; KeyProblem without a key; what submit raises.
    """

    def epoch(
        self,
        name: str,
        start: int,
        *,
        end: int | None = None,
        supersedes: str | None = None,
        supersession: Literal["temporal", "invalidation", "additive"] | None = None,
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Receipt:
        """Register an epoch; the receipt's hash is its id.

        start, end: milliseconds since 1970.  supersedes: the id of an older epoch, whose claims temporal and
        invalidation hide.
        """
        fields = {"name": name, "start": start, "end": end, "supersedes": supersedes, "supersession": supersession}
        return self._govern(Epoch, fields, timestamp, wait_s)

    def supersede(
        self,
        assertion: str,
        replacement: str | None = None,
        *,
        reason: str = "",
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Receipt:
        """Hide an assertion in favour of its replacement, or of nothing.

        What this object wrote before is waited for, so a claim can be superseded at once.
        Raises: NotFound if the assertion is not there.
        """
        fields = {
            "assertion": assertion,
            "subject": self.get(assertion, min_seq=self._written_seq).event.subject,
            "mode": "invalidate" if replacement is None else "replace",
            "replacement": replacement,
            "reason": reason,
        }
        return self._govern(Supersession, fields, timestamp, wait_s)

    def source(
        self,
        source_hash: str | None = None,
        *,
        label: str | None = None,
        status: Literal["active", "suspect", "retracted"] = "active",
        url: str | None = None,
        content: str | None = None,
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Receipt:
        """Register a piece of evidence, or change its status.

        source_hash: BLAKE3 of the evidence, that of the content if left out.  label: if left out, label and url stay
        as they are registered.  content: up to 1 MiB of the evidence, kept in the log.
        Raises: InvalidField also if neither hash nor content is given, or the hash is not that of the content;
        NotFound if label is left out and there is no such source.
        """
        made = _hash_of(source_hash, content)
        if label is None:
            known = self.get_source(made, min_seq=self._written_seq)
            label, url = known.label, known.url if url is None else url
        fields = {"source_hash": made, "label": label, "status": status, "url": url, "content": content}
        return self._govern(Source, fields, timestamp, wait_s)

    def gold(
        self,
        subject: str,
        predicate: str,
        value: Value | None = None,
        *,
        tolerance: Weight | None = None,
        removed: bool = False,
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Receipt:
        """Set the known answer of a pair, or with removed take it away: then the value need not be given.

        Raises: NotFound if it is to be removed and there is none.
        """
        fields = {
            "subject": subject,
            "predicate": predicate,
            "object": self._gold_value(subject, predicate) if value is None and removed else _object_of(value),
            "tolerance": _tolerance(tolerance),
            "removed": removed or None,
        }
        return self._govern(GoldStandard, fields, timestamp, wait_s)

    def pack(
        self,
        name: str,
        version: int,
        members: Iterable[str] | Mapping[str, Weight | None],
        *,
        note: str | None = None,
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Receipt:
        """Publish a version of a trust pack of this key; members: agents, or agents with weights of 0 to 1."""
        weights = members if isinstance(members, Mapping) else dict.fromkeys(members)
        made = [_member(agent, weight) for agent, weight in weights.items()]
        fields = {"name": name, "version": version, "members": made, "note": note}
        return self._govern(TrustPack, fields, timestamp, wait_s)

    def quota_limit(
        self, agent: str, tokens: int, *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Receipt:
        """Set how many tokens an hour an agent may spend."""
        return self._govern(QuotaLimit, {"for_agent": agent, "tokens": tokens}, timestamp, wait_s)

    def predicate(
        self,
        predicate: str,
        *,
        cardinality: Literal["one", "many"] = "one",
        tolerance: Weight | None = None,
        separator: str | None = None,
        default_lens: str | None = None,
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Receipt:
        """Say how a predicate's values are compared: all of it, what is left out is not kept from before."""
        fields = {
            "predicate": predicate,
            "cardinality": cardinality,
            "tolerance": _tolerance(tolerance),
            "separator": separator,
            "default_lens": default_lens,
        }
        return self._govern(PredicateRule, fields, timestamp, wait_s)

    def alias(
        self, subject: str, same_as: str, *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Receipt:
        """Make a subject the same as another; the same as itself takes that back."""
        return self._govern(Alias, {"subject": subject, "same_as": same_as}, timestamp, wait_s)

    def revoke(
        self, agent: str, reason: str = "", *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Receipt:
        """Revoke an agent's key: from here on it has no voice."""
        return self._govern(KeyRevocation, {"revoked": agent, "reason": reason}, timestamp, wait_s)

    def acknowledge(
        self, escalation: str, verdict: str = "", *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Receipt:
        """Say that an escalation, by its id, was looked at, and what came of it.

        Raises: NotFound if it is not there.
        """
        self._signer()
        self.get_escalation(escalation, min_seq=self._written_seq)
        return self._govern(EscalationAck, {"escalation": escalation, "verdict": verdict}, timestamp, wait_s)

    def _gold_value(self, subject: str, predicate: str) -> AnyValue:
        found = self.gold_standards(subject, predicate, min_seq=self._written_seq).items
        if not found:
            raise NotFound(f"there is no gold standard of {subject!r} and {predicate!r}")
        return found[0].value

    def _govern(
        self, kind: type[_Governance], fields: Mapping[str, Any], timestamp: int | None, wait_s: float | None
    ) -> Receipt:
        """Sign and write an event of a kind; fields that are None are left out."""
        signer = self._signer()
        said = {name: value for name, value in fields.items() if value is not None}
        moment = self.clock_ms() if timestamp is None else timestamp
        try:
            event = kind(v=2, agent=signer.agent_hex, timestamp=moment, **said)
        except FieldRule as rule:
            raise invalid_field("/event", rule) from rule
        return self._write(sign_event(event, signer), wait_s)


def _hash_of(source_hash: str | None, content: str | None) -> str:
    if content is None:
        if source_hash is None:
            raise _refused("/event/source_hash", "is missing, and there is no content to make it of")
        return source_hash
    made = blake3(content.encode("utf-8")).hexdigest()
    if source_hash not in (None, made):
        raise _refused("/event/source_hash", f"is not that of the content, which is {made}")
    return made


def _object_of(value: Value | None) -> AnyValue:
    if value is None:
        raise _refused("/event/object", "is missing")
    return object_of(value)


def _tolerance(value: Weight | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return f"{Decimal(str(value)):f}"


def _member(agent: str, weight: Weight | None) -> PackMember:
    if weight is None:
        return PackMember(agent=agent)
    try:
        return PackMember(agent=agent, weight=decimal_text(weight, "weight"))
    except FieldRule as rule:
        raise invalid_field("/event/members", rule) from rule


def _refused(pointer: str, detail: str) -> InvalidField:
    return InvalidField(f"{pointer}: {detail}", errors=(FieldProblem(pointer, detail),))
