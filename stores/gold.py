"""Known answers, and what they made of those who had claimed: families GS, GS_LIST, GOLD and J.

A gold standard and its line in the list are written and removed together.
Judgements stay: each counts once, also after its gold standard is gone.  GOLD
says that there has been any gold standard at all: without it nobody looks.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from keycodec import (
    any_gold_key,
    gold_key,
    gold_list_key,
    gold_list_start,
    gold_prefix,
    judgement_key,
    judgement_prefix,
    parse,
)
from model import GoldStandard
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging


class GoldRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The gold standard of a pair that counts now, with its hash and the position from which on it does."""

    event: GoldStandard
    digest: bytes
    seq: int
    time: int


class GoldPair(NamedTuple):
    """A pair that has a gold standard."""

    subject: str
    predicate: str


class Judgement(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a gold standard found of one signer of one assertion.

    change_micros: by how much the score was to move, in millionths, before it was clamped.
    seq, time: of the event that led to it, be it the assertion, a later signature or the gold standard.
    """

    is_right: bool
    change_micros: int
    seq: int
    time: int


class JudgementId(NamedTuple):
    """Which gold standard judged which signer, both in hex."""

    gold: str
    agent: str


_GOLD: Final = RecordCodec(GoldRow, version=1)
_JUDGEMENT: Final = RecordCodec(Judgement, version=1)


class GoldStore:
    """Reads gold standards and judgements.  after is an exclusive start, to resume a page."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str, predicate: str) -> GoldRow | None:
        """The pair's gold standard."""
        data = self._reader.get(gold_key(subject, predicate))
        return None if data is None else _GOLD.decode(data)

    def of_subject(self, subject: str, *, after: str | None = None, count_max: int) -> Iterator[GoldRow]:
        """The gold standards of a subject's pairs in predicate order, at most count_max."""
        start = None if after is None else gold_key(subject, after)
        for _, data in self._reader.scan(gold_prefix(subject), after=start, count_max=count_max):
            yield _GOLD.decode(data)

    def pairs(self, start: str = "", *, after: GoldPair | None = None, count_max: int) -> Iterator[GoldPair]:
        """Pairs whose subjects begin with start, by subject, then predicate, at most count_max."""
        last = None if after is None else gold_list_key(*after)
        for key, _ in self._reader.scan(gold_list_start(start), after=last, count_max=count_max):
            parsed = parse(key)
            yield GoldPair(parsed.text("subject"), parsed.text("predicate"))

    def judgement(self, subject: str, assertion_hex: str, which: JudgementId) -> Judgement | None:
        """What a gold standard made of one signer of an assertion; None: it has not counted yet."""
        data = self._reader.get(judgement_key(subject, assertion_hex, *which))
        return None if data is None else _JUDGEMENT.decode(data)

    def judgements(
        self, subject: str, assertion_hex: str, *, after: JudgementId | None = None, count_max: int
    ) -> Iterator[tuple[JudgementId, Judgement]]:
        """All judgements of an assertion by gold standard, then agent, at most count_max."""
        start = None if after is None else judgement_key(subject, assertion_hex, *after)
        rows = self._reader.scan(judgement_prefix(subject, assertion_hex), after=start, count_max=count_max)
        for key, data in rows:
            parsed = parse(key)
            yield JudgementId(parsed.text("gold"), parsed.text("agent")), _JUDGEMENT.decode(data)


class GoldWriter(GoldStore):
    """Stages gold standards and judgements."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, row: GoldRow) -> None:
        """Make a gold standard the pair's, and list the pair."""
        pair = row.event.subject, row.event.predicate
        self._staging.put(gold_key(*pair), _GOLD.encode(row))
        self._staging.put(gold_list_key(*pair), b"")
        self._staging.put(any_gold_key(), b"")

    def remove(self, subject: str, predicate: str) -> None:
        """Take the pair's gold standard away, and the pair off the list."""
        self._staging.delete(gold_key(subject, predicate))
        self._staging.delete(gold_list_key(subject, predicate))

    def put_judgement(self, subject: str, assertion_hex: str, which: JudgementId, judgement: Judgement) -> None:
        """Keep that a gold standard has judged a signer of an assertion."""
        self._staging.put(judgement_key(subject, assertion_hex, *which), _JUDGEMENT.encode(judgement))
