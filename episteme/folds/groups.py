"""The values of a pair of many claims and their order: families PG, PO, PS, PU and PB."""

from bisect import bisect_left, insort
from typing import Final

from episteme.folds.ranking import GROUPS_MAX, Ranked, Ranking
from episteme.folds.standing import Place, Standings
from episteme.folds.tally import OBJECT_BYTES_MAX, Unit, object_of
from keycodec import TallyKeys
from stores import (
    AssertionStore,
    GroupTally,
    Member,
    OrderedRows,
    PairClaim,
    PairTotals,
    Staging,
    TallyWriter,
    digest_of,
    pack_unit,
    unpack_unit,
)

MEMBERS_KEPT_MAX: Final = 8  # most values of a pair of many values have few claims
_TIERS_COUNT: Final = 6


class _Group:
    """A group and where it stood when the batch began."""

    __slots__ = ("before", "best_is_known", "tally")

    def __init__(self, tally: GroupTally | None) -> None:
        self.before = None if tally is None else (tally.support, tally.best)
        self.tally = tally or GroupTally(tiers=[0] * _TIERS_COUNT)
        self.best_is_known = tally is not None


class Groups:
    """The values of one pair, for one batch.  Units come and go; rank() says what the answer is."""

    def __init__(self, state: Staging, subject: str, keys: TallyKeys, totals: PairTotals) -> None:
        self._state = state
        self._subject = subject
        self._keys = keys
        self._totals = totals
        self._tallies = TallyWriter(state)
        self._rows = OrderedRows(state)
        self.standings = Standings(state, keys, self._rows, self._move)
        self._groups: dict[bytes, _Group] = {}
        self._objects: dict[bytes, bytes] = {}  # spellings of this batch's units by hash

    def add(self, unit: Unit) -> None:
        """Count a unit."""
        claim, signers = unit.claim, unit.signers
        value, tie = claim.value, claim.tie
        tally = self._of(value).tally
        tally.count += 1
        tally.tiers[tie[0]] += 1
        tally.votes_micros += claim.votes_micros
        self._totals.candidates_count += 1
        self._add_member(value, tally, (claim.seq, tie, claim.votes_micros))
        self._objects[tie] = claim.object
        for agent, timestamp, seq in signers:
            self.standings.add(agent, (timestamp, seq, value, tie))

    def remove(self, unit: Unit) -> None:
        """Count a unit no longer; it is as it was when it was counted, later signers and votes included."""
        claim, signers = unit.claim, unit.signers
        value, tie = claim.value, claim.tie
        tally = self._of(value).tally
        for agent, timestamp, seq in signers:
            self.standings.remove(agent, (timestamp, seq, value, tie))
        tally.count -= 1
        tally.tiers[tie[0]] -= 1
        tally.votes_micros -= claim.votes_micros
        self._totals.candidates_count -= 1
        self._remove_member(value, tally, claim.seq)

    def sign(self, unit: Unit) -> None:
        """A unit that is counted has these signers too."""
        claim, signers = unit.claim, unit.signers
        for agent, timestamp, seq in signers:
            self.standings.add(agent, (timestamp, seq, claim.value, claim.tie))

    def is_counted(self, claim: PairClaim) -> bool:
        """Whether a claim that stands for itself is counted."""
        tally = self._of(claim.value).tally
        place = bisect_left(tally.first, (claim.seq,))
        if place < len(tally.first):
            return tally.first[place][0] == claim.seq
        return self._rows.get(self._keys.unit(claim.value), TallyKeys.of_seq(claim.seq)) is not None

    def vote(self, claim: PairClaim) -> None:
        """The claim of a unit that is counted has the votes that it has now."""
        seq, now = claim.seq, claim.votes_micros
        tally = self._of(claim.value).tally
        place = bisect_left(tally.first, (seq,))
        if place < len(tally.first) and tally.first[place][0] == seq:
            before = tally.first[place][2]
            tally.first[place] = (seq, claim.tie, now)
        else:
            prefix, suffix = self._keys.unit(claim.value), TallyKeys.of_seq(seq)
            data = self._rows.get(prefix, suffix)
            assert data is not None, f"seq {seq} is not counted"
            before = unpack_unit(data)[1]
            self._rows.delete(prefix, suffix)
            self._rows.put(prefix, suffix, pack_unit(claim.tie, now))
        tally.votes_micros += now - before

    def rank(self) -> Ranking:
        """Settle every group that was touched; give the first ones in order, and the numbers of all."""
        supports = dict(self._totals.supports)
        for value, group in self._groups.items():
            self._settle(value, group, supports)
        self._totals.supports = sorted(supports.items())
        first = self._rows.first(self._keys.order, GROUPS_MAX)
        values = [value for _, value in first]
        missing = [value for value in values if value not in self._groups]
        found = dict(zip(missing, self._tallies.groups([self._keys.group(value) for value in missing]), strict=True))
        ranked, left = [], GROUPS_MAX
        for value in values:
            tally = self._groups[value].tally if value in self._groups else found[value]
            assert tally is not None, f"value {value.hex()} is ranked but not counted"
            ranked.append(self._ranked(value, tally, left))
            left -= len(ranked[-1].digests)
        return Ranking(ranked, supports, sum(supports.values()), self._totals.candidates_count)

    def stage(self) -> None:
        """Write what has changed."""
        for value, group in self._groups.items():
            key = self._keys.group(value)
            if group.tally.count:
                self._tallies.put_group(key, group.tally)
            else:
                self._state.delete(key)
        self.standings.stage()
        self._rows.stage()

    def _of(self, value: bytes) -> _Group:
        group = self._groups.get(value)
        if group is None:
            group = self._groups[value] = _Group(self._tallies.group(self._keys.group(value)))
        return group

    def _add_member(self, value: bytes, tally: GroupTally, member: Member) -> None:
        first = tally.first
        if tally.count <= len(first) + 1 or member < first[-1]:
            insort(first, member)
        else:
            self._put_further(value, member)
        if len(first) > MEMBERS_KEPT_MAX:
            self._put_further(value, first.pop())

    def _remove_member(self, value: bytes, tally: GroupTally, seq: int) -> None:
        """tally.count is without it already."""
        first, prefix = tally.first, self._keys.unit(value)
        place = bisect_left(first, (seq,))
        if place == len(first):
            data = self._rows.get(prefix, TallyKeys.of_seq(seq))
            assert data is not None, f"seq {seq} is not counted"
            self._delete_further(value, seq, unpack_unit(data)[0])
            return
        del first[place]
        if tally.count > len(first):
            ((suffix, data),) = self._rows.first(prefix, 1)
            tie, votes_micros = unpack_unit(data)
            first.append((TallyKeys.seq_in(suffix), tie, votes_micros))
            self._delete_further(value, first[-1][0], tie)

    def _put_further(self, value: bytes, member: Member) -> None:
        seq, tie, votes_micros = member
        self._rows.put(self._keys.unit(value), TallyKeys.of_seq(seq), pack_unit(tie, votes_micros))
        self._rows.put(self._keys.best(value), TallyKeys.of_bytes(tie))

    def _delete_further(self, value: bytes, seq: int, tie: bytes) -> None:
        self._rows.delete(self._keys.unit(value), TallyKeys.of_seq(seq))
        self._rows.delete(self._keys.best(value), TallyKeys.of_bytes(tie))

    def _move(self, agent: bytes, before: Place | None, after: Place | None) -> None:
        """An agent is counted elsewhere, or with another claim."""
        if before is not None:
            value, tie = before
            group = self._of(value)
            group.tally.support -= 1
            if tie == group.tally.best:
                group.best_is_known = False
            self._rows.delete(self._keys.support(value), TallyKeys.of_support(tie, agent))
        if after is not None:
            value, tie = after
            group = self._of(value)
            tally = group.tally
            if tally.support == 0:
                tally.best, group.best_is_known = tie, True
            elif tie < tally.best:
                tally.best = tie
            tally.support += 1
            self._rows.put(self._keys.support(value), TallyKeys.of_support(tie, agent))

    def _settle(self, value: bytes, group: _Group, supports: dict[int, int]) -> None:
        """Find a group's best candidate, and its place among the others."""
        tally, before = group.tally, group.before
        after = None
        if tally.count:
            if not tally.support or not group.best_is_known:
                tally.best = self._best(value, tally)
                group.best_is_known = True
            after = (tally.support, tally.best)
        if after == before:
            return
        if before is not None:
            self._rows.delete(self._keys.order, TallyKeys.of_order(*before))
            supports[before[0]] -= 1
            if not supports[before[0]]:
                del supports[before[0]]
        if after is not None:
            self._rows.put(self._keys.order, TallyKeys.of_order(*after), value)
            supports[after[0]] = supports.get(after[0], 0) + 1
            if before is None or before[1] != after[1]:
                tally.object = self._object(tally.best)
        group.before = after

    def _best(self, value: bytes, tally: GroupTally) -> bytes:
        """The best candidate among those of the agents who stand for the value; among all if nobody does."""
        if tally.support:
            ((suffix, _),) = self._rows.first(self._keys.support(value), 1)
            return TallyKeys.tie_in(suffix)
        best = min(tie for _, tie, _ in tally.first)
        if tally.count > len(tally.first):
            ((suffix, _),) = self._rows.first(self._keys.best(value), 1)
            best = min(best, TallyKeys.tie_in(suffix))
        return best

    def _object(self, tie: bytes) -> bytes:
        found = self._objects.get(tie)
        if found is not None:
            return found
        (head,) = AssertionStore(self._state).heads(self._subject, (digest_of(tie),))
        assert head is not None, f"{tie.hex()} is counted but not there"
        spelled = object_of(head.event)
        return spelled if len(spelled) <= OBJECT_BYTES_MAX else b""

    def _ranked(self, value: bytes, tally: GroupTally, left: int) -> Ranked:
        digests = [digest_of(tie) for _, tie, _ in tally.first[:left]]
        if len(digests) < min(left, tally.count):
            further = self._rows.first(self._keys.unit(value), left - len(digests))
            digests.extend(digest_of(unpack_unit(data)[0]) for _, data in further)
        best_tier = next(tier for tier, count in enumerate(tally.tiers) if count)
        return Ranked(tally.support, tally.best, best_tier, tally.votes_micros, tally.object, digests, tally.count)
