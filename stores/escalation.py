"""What the rules have raised for people to look at, and what they count for that.

Families ESC, ESCI and ESCP; ESCN, ESCR and ESCS.

An escalation is kept under the log time at which it was raised, found by its
id, and listed under its pair for as long as it is not resolved.  The three are
written together.

A pair of which the rules count something has its numbers in ESCN, and its
regulatory claims in ESCR; ESCS says that there is such a pair at all.

Source: docs/format-keys.md, "Records".
"""

import struct
from typing import Final, Literal, NamedTuple

from blake3 import blake3
from msgspec import Struct

from keycodec import (
    InvalidKeyPart,
    any_pair_numbers_key,
    escalation_key,
    escalation_prefix,
    escalation_start,
    escalation_time_key,
    pair_escalations_key,
    pair_numbers_key,
    parse,
    regulatory_claim_key,
    regulatory_claim_prefix,
)
from stores.errors import UnsupportedValue
from stores.kv import Reader
from stores.newest import newest_keys
from stores.records import RecordCodec
from stores.staging import Staging
from stores.tally import short_id

EscalationLevel = Literal["info", "warning", "critical"]
EscalationStatus = Literal["open", "acknowledged", "resolved"]

_ID_TAG: Final = b"episteme/escalation-id/v1\n"
_ID_BYTES: Final = 16
_TIME: Final = struct.Struct("<Q")


class Acknowledgement(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An operator (32 bytes) has looked at it, by which event (its hash), and what it said."""

    agent: bytes
    verdict: str
    digest: bytes
    seq: int
    time: int


class LogPlace(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The event that did something: its position and log time."""

    seq: int
    time: int


class EscalationRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An escalation: which rule found what on which pair, and what became of it since.

    raised: the event that made the rule true.  resolved: the event that took its ground away.
    """

    rule: str
    level: EscalationLevel
    status: EscalationStatus
    subject: str
    predicate: str
    detail: str
    raised: LogPlace
    acknowledged: Acknowledgement | None
    resolved: LogPlace | None


class EscalationPlace(NamedTuple):
    """A line of the list of escalations: log time, then id, in which order the list is."""

    time: int
    escalation_id: str


class UnresolvedEscalations(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The places of a pair's unresolved escalations, oldest first; rules bound how many there are."""

    places: tuple[EscalationPlace, ...]


class PairNumbers(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What rules count of a pair: every claim there has been, whatever became of it.

    regulatory_count: of those that are regulatory or in a chain with one that is.
    has_better: whether there is one of tier 0 to 2; None: nobody has looked at those from before the first count.
    is_cluster: whether an escalation about its anecdotal claims is not resolved.
    """

    anecdotal_count: int
    regulatory_count: int
    has_better: bool | None
    is_cluster: bool


NO_NUMBERS: Final = PairNumbers(0, 0, None, False)
_CODEC: Final = RecordCodec(EscalationRow, version=1)
_NUMBERS: Final = RecordCodec(PairNumbers, version=1)
_UNRESOLVED: Final = RecordCodec(UnresolvedEscalations, version=1)


def make_escalation_id(rule: str, subject: str, predicate: str, seq: int) -> str:
    """The id of what a rule raises on a pair at a position: 32 hex digits, the same in every replay."""
    parts = (rule.encode(), subject.encode(), predicate.encode(), b"%d" % seq)
    return blake3(_ID_TAG + b"\x00".join(parts)).digest(length=_ID_BYTES).hex()


class EscalationStore:
    """Reads escalations.  Lists hold at most count_max; after and before are exclusive, to resume a page."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, escalation_id: str) -> EscalationRow | None:
        """One escalation; None also for a text that is no id, as an acknowledgement may hold one."""
        try:
            key = escalation_time_key(escalation_id)
        except InvalidKeyPart:
            return None
        data = self._reader.get(key)
        return None if data is None else self._at(EscalationPlace(_time_of(data), escalation_id))

    def unresolved(self, subject: str, predicate: str) -> list[tuple[str, EscalationRow]]:
        """A pair's escalations that are open or acknowledged, with their ids, oldest first."""
        found = [(place.escalation_id, self._at(place)) for place in self._places(subject, predicate)]
        return [(escalation_id, row) for escalation_id, row in found if row is not None]

    def oldest(
        self, *, from_time: int = 0, after: EscalationPlace | None = None, count_max: int
    ) -> list[tuple[EscalationPlace, EscalationRow]]:
        """Escalations raised at a log time or later, oldest first."""
        start = escalation_start(from_time)
        if after is not None:
            start = max(start, escalation_key(*after))
        rows = self._reader.scan(escalation_prefix(), after=start, count_max=count_max)
        return [(_place_of(key), _CODEC.decode(data)) for key, data in rows]

    def newest(
        self, *, before: EscalationPlace | None = None, count_max: int
    ) -> list[tuple[EscalationPlace, EscalationRow]]:
        """Escalations, newest first."""
        end = None if before is None else escalation_key(*before)
        keys = newest_keys(self._reader, escalation_prefix(), escalation_start, before=end, count_max=count_max)
        found = zip(keys, self._reader.get_many(keys), strict=True)
        return [(_place_of(key), _CODEC.decode(data)) for key, data in found if data is not None]

    def numbers(self, subject: str, predicate: str) -> PairNumbers | None:
        """What rules count of a pair; None: nothing."""
        data = self._reader.get(pair_numbers_key(subject, predicate))
        return None if data is None else _NUMBERS.decode(data)

    def regulatory(self, subject: str, predicate: str, *, count_max: int) -> list[bytes]:
        """The hashes of a pair's claims that are regulatory or in a chain with one, in log order, at most count_max."""
        prefix = regulatory_claim_prefix(subject, _short(predicate))
        return [data for _, data in self._reader.scan(prefix, count_max=count_max)]

    def is_regulatory(self, subject: str, predicate: str, seq: int) -> bool:
        """Whether the pair's claim that was first logged at seq is listed as regulatory."""
        return self._reader.get(regulatory_claim_key(subject, _short(predicate), seq)) is not None

    def _at(self, place: EscalationPlace) -> EscalationRow | None:
        data = self._reader.get(escalation_key(*place))
        return None if data is None else _CODEC.decode(data)

    def _places(self, subject: str, predicate: str) -> tuple[EscalationPlace, ...]:
        data = self._reader.get(pair_escalations_key(subject, predicate))
        return () if data is None else _UNRESOLVED.decode(data).places


class EscalationWriter(EscalationStore):
    """Stages escalations."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, escalation_id: str, row: EscalationRow) -> None:
        """Set an escalation; its place, rule and pair never change."""
        place = EscalationPlace(row.raised.time, escalation_id)
        self._staging.put(escalation_key(*place), _CODEC.encode(row))
        self._staging.put(escalation_time_key(escalation_id), _TIME.pack(place.time))
        listed = set(self._places(row.subject, row.predicate)) - {place}
        if row.status != "resolved":
            listed.add(place)
        self._put_places(row.subject, row.predicate, tuple(sorted(listed)))

    def put_numbers(self, subject: str, predicate: str, numbers: PairNumbers) -> None:
        """Set what rules count of a pair."""
        self._staging.put(pair_numbers_key(subject, predicate), _NUMBERS.encode(numbers))
        self._staging.put(any_pair_numbers_key(), b"")

    def add_regulatory(self, subject: str, predicate: str, seq: int, digest: bytes) -> None:
        """List a regulatory claim of a pair, or one in a chain with one, first logged at seq."""
        self._staging.put(regulatory_claim_key(subject, _short(predicate), seq), digest)

    def _put_places(self, subject: str, predicate: str, places: tuple[EscalationPlace, ...]) -> None:
        key = pair_escalations_key(subject, predicate)
        if places:
            self._staging.put(key, _UNRESOLVED.encode(UnresolvedEscalations(places)))
        else:
            self._staging.delete(key)


def _short(predicate: str) -> str:
    return short_id(predicate.encode("utf-8")).hex()


def _time_of(data: bytes) -> int:
    if len(data) != _TIME.size:
        raise UnsupportedValue(f"a time has {_TIME.size} bytes, found {len(data)}")
    return int(_TIME.unpack(data)[0])


def _place_of(key: bytes) -> EscalationPlace:
    parsed = parse(key)
    return EscalationPlace(parsed.number("time"), parsed.text("id"))
