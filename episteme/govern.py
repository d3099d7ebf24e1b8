"""Writing what rules, groups and judges claims: the methods that Node and the clients share.  Pure, but for the clock.

Everything well signed is taken and kept; whether it counts is decided by who
signed it (docs/governance.md, "What counts").
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

from blake3 import blake3

from episteme import catalog
from episteme.acts import Steps, act
from episteme.api import StoredAssertion, Value
from episteme.authoring import AuthoringActs, decimal_text, invalid_field, object_of
from episteme.errors import FieldProblem, InvalidField, NotFound
from episteme.lookups import LookupActs, Lookups
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
    agent_of,
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


class GoverningActs(AuthoringActs, LookupActs):
    """Signs governance on behalf of its key; a mixin of Node and the clients.

    Every method returns once the event is durable, and with wait_s, readable, if that suffices.  timestamp:
    milliseconds since 1970, now if left out.
    Raises, all of them: InvalidField; KeyProblem without a key; what submit raises.
    """

    @act
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
    ) -> Steps[Receipt]:
        """Register an epoch; the receipt's hash is its id.

        start, end: milliseconds since 1970.  supersedes: the id of an older epoch, whose claims temporal and
        invalidation hide.
        """
        fields = {"name": name, "start": start, "end": end, "supersedes": supersedes, "supersession": supersession}
        return (yield from self._govern(Epoch, fields, timestamp, wait_s))

    @act
    def supersede(
        self,
        assertion: str,
        replacement: str | None = None,
        *,
        reason: str = "",
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Steps[Receipt]:
        """Hide an assertion in favour of its replacement, or of nothing.

        What this object wrote before is waited for, so a claim can be superseded at once.
        Raises: NotFound if the assertion is not there.
        """
        superseded: StoredAssertion = yield self.get(assertion, min_seq=self._written_seq)
        fields = {
            "assertion": assertion,
            "subject": superseded.event.subject,
            "mode": "invalidate" if replacement is None else "replace",
            "replacement": replacement,
            "reason": reason,
        }
        return (yield from self._govern(Supersession, fields, timestamp, wait_s))

    @act
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
    ) -> Steps[Receipt]:
        """Register a piece of evidence, or change its status.

        source_hash: BLAKE3 of the evidence, that of the content if left out.  label: if left out, label and url stay
        as they are registered.  content: up to 1 MiB of the evidence, kept in the log.
        Raises: InvalidField also if neither hash nor content is given, or the hash is not that of the content;
        NotFound if label is left out and there is no such source.
        """
        made = _hash_of(source_hash, content)
        if label is None:
            known = yield from self._looked(catalog.SOURCE, {"source": made, "min_seq": self._written_seq})
            label, url = known.label, known.url if url is None else url
        fields = {"source_hash": made, "label": label, "status": status, "url": url, "content": content}
        return (yield from self._govern(Source, fields, timestamp, wait_s))

    @act
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
    ) -> Steps[Receipt]:
        """Set the known answer of a pair, or with removed take it away: then the value need not be given.

        Raises: NotFound if it is to be removed and there is none.
        """
        if value is None and removed:
            said = yield from self._gold_value(subject, predicate)
        else:
            said = _object_of(value)
        fields = {
            "subject": subject,
            "predicate": predicate,
            "object": said,
            "tolerance": _tolerance(tolerance),
            "removed": removed or None,
        }
        return (yield from self._govern(GoldStandard, fields, timestamp, wait_s))

    @act
    def pack(
        self,
        name: str,
        version: int,
        members: Iterable[str] | Mapping[str, Weight | None],
        *,
        note: str | None = None,
        timestamp: int | None = None,
        wait_s: float | None = None,
    ) -> Steps[Receipt]:
        """Publish a version of a trust pack of this key.

        members: agents, in hex or as did:keys, or agents with weights of 0 to 1.
        """
        weights = members if isinstance(members, Mapping) else dict.fromkeys(members)
        made = [_member(agent, weight) for agent, weight in weights.items()]
        fields = {"name": name, "version": version, "members": made, "note": note}
        return (yield from self._govern(TrustPack, fields, timestamp, wait_s))

    @act
    def quota_limit(
        self, agent: str, tokens: int, *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Steps[Receipt]:
        """Set how many tokens an hour an agent, in hex or as a did:key, may spend."""
        fields = {"for_agent": _agent_hex("for_agent", agent), "tokens": tokens}
        return (yield from self._govern(QuotaLimit, fields, timestamp, wait_s))

    @act
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
    ) -> Steps[Receipt]:
        """Say how a predicate's values are compared: all of it, what is left out is not kept from before."""
        fields = {
            "predicate": predicate,
            "cardinality": cardinality,
            "tolerance": _tolerance(tolerance),
            "separator": separator,
            "default_lens": default_lens,
        }
        return (yield from self._govern(PredicateRule, fields, timestamp, wait_s))

    @act
    def alias(
        self, subject: str, same_as: str, *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Steps[Receipt]:
        """Make a subject the same as another; the same as itself takes that back."""
        return (yield from self._govern(Alias, {"subject": subject, "same_as": same_as}, timestamp, wait_s))

    @act
    def revoke(
        self, agent: str, reason: str = "", *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Steps[Receipt]:
        """Revoke an agent's key, in hex or as a did:key: from here on it has no voice."""
        fields = {"revoked": _agent_hex("revoked", agent), "reason": reason}
        return (yield from self._govern(KeyRevocation, fields, timestamp, wait_s))

    @act
    def acknowledge(
        self, escalation: str, verdict: str = "", *, timestamp: int | None = None, wait_s: float | None = None
    ) -> Steps[Receipt]:
        """Say that an escalation, by its id, was looked at, and what came of it.

        Raises: NotFound if it is not there.
        """
        self._signer()
        yield from self._looked(catalog.ESCALATION, {"id": escalation, "min_seq": self._written_seq})
        return (
            yield from self._govern(EscalationAck, {"escalation": escalation, "verdict": verdict}, timestamp, wait_s)
        )

    def _gold_value(self, subject: str, predicate: str) -> Steps[AnyValue]:
        asked = {"subject": subject, "predicate": predicate, "min_seq": self._written_seq}
        found = yield from self._looked(catalog.GOLD_STANDARDS, asked)
        if not found.items:
            raise NotFound(f"there is no gold standard of {subject!r} and {predicate!r}")
        return found.items[0].value

    def _govern(
        self, kind: type[_Governance], fields: Mapping[str, Any], timestamp: int | None, wait_s: float | None
    ) -> Steps[Receipt]:
        """Sign and write an event of a kind; fields that are None are left out."""
        signer = self._signer()
        said = {name: value for name, value in fields.items() if value is not None}
        moment = self.clock_ms() if timestamp is None else timestamp
        try:
            event = kind(v=2, agent=signer.agent_hex, timestamp=moment, **said)
        except FieldRule as rule:
            raise invalid_field("/event", rule) from rule
        return (yield from self._write(sign_event(event, signer), wait_s))


class Governing(GoverningActs, Lookups):
    """The acts of a database that returns when they are done: Node and Client."""


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


def _agent_hex(field: str, agent: str) -> str:
    try:
        return agent_of(agent).hex()
    except FieldRule as rule:
        raise _refused(f"/event/{field}", rule.detail) from rule


def _member(agent: str, weight: Weight | None) -> PackMember:
    named = _agent_hex("members", agent)
    if weight is None:
        return PackMember(agent=named)
    try:
        return PackMember(agent=named, weight=decimal_text(weight, "weight"))
    except FieldRule as rule:
        raise invalid_field("/event/members", rule) from rule


def _refused(pointer: str, detail: str) -> InvalidField:
    return InvalidField(f"{pointer}: {detail}", errors=(FieldProblem(pointer, detail),))
