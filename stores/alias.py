"""Subjects that are the same thing under another name: families ALIAS, ALIASH and ALIASR.

ALIAS is the alias of a subject that counts now, ALIASH those that counted
before it, by position; one that names the subject itself stands for none.
ALIASR leads back: who was ever made the same as a subject.  So the class of a
subject, all that aliases connect with it, is found from any of its members and
as of any position.

A class has at most ALIAS_CLASS_MAX subjects and a subject at most
ALIAS_LINKS_MAX that were ever made the same as it: a writer refuses what would
make more, so a reader never sees a part of a class.

Source: docs/governance.md, "Aliases"; docs/format-keys.md, "Records".
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from keycodec import (
    alias_key,
    alias_prefix,
    inverse_of,
    linked_subject_key,
    linked_subject_prefix,
    past_alias_key,
    past_alias_prefix,
)
from model import Alias
from stores.kv import Reader
from stores.past import in_turn, past_positions, past_row
from stores.records import RecordCodec
from stores.staging import Staging
from stores.tally import short_id
from stores.walk import walk

ALIAS_CLASS_MAX: Final = 100  # a query for one of them reads the claims of all
ALIAS_LINKS_MAX: Final = 1000  # ever, those taken back too: all are looked at to find a class


class AliasRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An alias of a subject, with its hash and the position from which on it counts."""

    event: Alias
    digest: bytes
    seq: int
    time: int

    @property
    def same_as(self) -> str | None:
        """The other subject; None: the alias was taken back."""
        return None if self.event.same_as == self.event.subject else self.event.same_as


_CODEC: Final = RecordCodec(AliasRow, version=1)


class AliasStore:
    """Reads aliases.  at: the last position that counts, None for the newest."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str) -> AliasRow | None:
        """What was last said of a subject; one that was taken back is there too."""
        data = self._reader.get(alias_key(subject))
        return None if data is None else _CODEC.decode(data)

    def as_of(self, subject: str, at: int | None) -> AliasRow | None:
        """What had been said last of a subject by a position: a get, or a short scan if there is something newer."""
        newest = self.get(subject)
        if newest is None or at is None or newest.seq <= at:
            return newest
        data = past_row(self._reader, past_alias_prefix(subject), lambda inverse: past_alias_key(subject, inverse), at)
        return None if data is None else _CODEC.decode(data)

    def same_as(self, subject: str, at: int | None = None) -> str | None:
        """The subject that this one is said to be the same as."""
        row = self.as_of(subject, at)
        return None if row is None else row.same_as

    def canonical(self, subject: str, at: int | None = None) -> str:
        """The subject that stands for this one's class: where the aliases end.

        Aliases that lead back make all subjects of the loop the same; the first of them in byte order stands for all.
        """
        names, loop_start = walk(subject, lambda name: self.same_as(name, at), count_max=ALIAS_CLASS_MAX)
        return names[-1] if loop_start is None else min(names[loop_start:], key=str.encode)

    def same(self, subject: str, at: int | None = None, *, count_max: int = ALIAS_CLASS_MAX) -> tuple[str, ...]:
        """All subjects of this one's class in byte order, itself among them; of more than count_max those nearest."""
        return self._class(subject, lambda name: self.same_as(name, at), count_max)

    def same_with(self, row: AliasRow, *, count_max: int) -> tuple[str, ...]:
        """The class of an alias's subject as it would be now if the alias were its newest, at most count_max."""
        subject, other = row.event.subject, row.same_as
        return self._class(subject, lambda name: other if name == subject else self.same_as(name), count_max)

    def ever_same(self, subject: str, *, count_max: int = ALIAS_CLASS_MAX) -> tuple[str, ...]:
        """All subjects that were ever in a class with this one, or may have been: as same, by all aliases ever."""

        def neighbours(name: str) -> Iterator[str]:
            yield from (row.same_as for row in self._said(name) if row.same_as is not None)
            yield from self._linked(name)

        return _connected(subject, neighbours, count_max)

    def links_count(self, subject: str) -> int:
        """How many subjects were ever made the same as this one."""
        return len(self._linked(subject))

    def has_linked(self, subject: str, alias: str) -> bool:
        """Whether alias was ever made the same as subject."""
        return self._reader.get(linked_subject_key(subject, _short(alias))) is not None

    def positions(self, subject: str, *, count_max: int) -> list[int]:
        """The positions at which a subject's own alias changed, in log order; of more than count_max the last ones."""
        return past_positions(self._reader, past_alias_prefix(subject), self.get(subject), count_max=count_max)

    def aliases(self, start: str = "", *, after: str | None = None, count_max: int) -> Iterator[AliasRow]:
        """What was last said of the subjects that begin with start, in byte order, at most count_max.

        after: an exclusive subject.  Aliases that were taken back are among them.
        """
        last = None if after is None else alias_key(after)
        for _, data in self._reader.scan(alias_prefix(start), after=last, count_max=count_max):
            yield _CODEC.decode(data)

    def _class(self, subject: str, same_as: Callable[[str], str | None], count_max: int) -> tuple[str, ...]:
        def neighbours(name: str) -> Iterator[str]:
            other = same_as(name)
            if other is not None:
                yield other
            yield from (one for one in self._linked(name) if same_as(one) == name)

        return _connected(subject, neighbours, count_max)

    def _said(self, subject: str) -> Iterator[AliasRow]:
        newest = self.get(subject)
        if newest is not None:
            yield newest
        for _, data in self._reader.scan(past_alias_prefix(subject), count_max=ALIAS_LINKS_MAX):
            yield _CODEC.decode(data)

    def _linked(self, subject: str) -> list[str]:
        rows = self._reader.scan(linked_subject_prefix(subject), count_max=ALIAS_LINKS_MAX)
        return [data.decode("utf-8") for _, data in rows]


class AliasWriter(AliasStore):
    """Stages aliases."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, row: AliasRow) -> None:
        """Keep an alias and its way back; it is its subject's now unless a later one is."""
        subject = row.event.subject
        newest, past = in_turn(self.get(subject), row)
        self._staging.put(alias_key(subject), _CODEC.encode(newest))
        if past is not None:
            self._staging.put(past_alias_key(subject, inverse_of(past.seq)), _CODEC.encode(past))
        if row.same_as is not None:
            self._staging.put(linked_subject_key(row.same_as, _short(subject)), subject.encode())


def _short(subject: str) -> str:
    return short_id(subject.encode()).hex()


def _connected(start: str, neighbours: Callable[[str], Iterator[str]], count_max: int) -> tuple[str, ...]:
    """What can be reached, nearest first until count_max are found, then in byte order."""
    found = {start}
    waiting = deque(found)
    while waiting and len(found) < count_max:
        for other in neighbours(waiting.popleft()):
            if other not in found and len(found) < count_max:
                found.add(other)
                waiting.append(other)
    return tuple(sorted(found, key=str.encode))
