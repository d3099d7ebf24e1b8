"""Candidates that say the same, and the agents who stand for each value.  Pure.

An agent stands for one value: that of its latest claim.
Source: docs/lenses.md, "From claims to groups".
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from msgspec import Struct

from episteme.lenses.candidate import Candidate, Signer
from episteme.lenses.values import PLAIN, Comparison, ValueKey, lowest_within

# An agent's latest claim: its timestamp, the position of the signature, the value, the claim, the signer.
Latest = tuple[int, int, ValueKey, Candidate, Signer]
KeyOf = Callable[[Candidate], ValueKey]

log_order = attrgetter("seq", "digest")
_key = attrgetter("key")


class Group(Struct, frozen=True):
    """The candidates that say the same, in log order, and by agent the claim through which it stands for that now."""

    key: ValueKey
    candidates: tuple[Candidate, ...]
    supporters: Mapping[bytes, Latest]

    @property
    def support(self) -> int:
        """How many distinct agents stand for the value."""
        return len(self.supporters)

    @property
    def weight_micros(self) -> int:
        """Their weights in the trust pack, summed; each weighs one million without a pack."""
        return sum([latest[4].weight_micros for latest in self.supporters.values()])

    @property
    def standing(self) -> tuple[Candidate, ...]:
        """The candidates signed by an agent who stands for the value; all of them if nobody does."""
        supporters = self.supporters
        standing = tuple([c for c in self.candidates if any(s.agent in supporters for s in c.signers)])
        return standing or self.candidates


def group_by_value(candidates: Iterable[Candidate], comparison: Comparison = PLAIN) -> list[Group]:
    """Put candidates that say the same together; each agent supports the value of its latest claim.

    Groups come in the order of their keys; within a tolerance, a group's key is that of its lowest number.
    """
    candidates = list(candidates)
    return regroup(candidates, keys_within([candidates], comparison))


def keys_within(levels: Sequence[Sequence[Candidate]], comparison: Comparison) -> KeyOf:
    """The key of the value that a candidate is counted to, by the predicate's tolerance; levels: as it takes them."""
    if comparison.tolerance is None:
        return _key
    lowest = lowest_within([[c.key for c in candidates] for candidates in levels], comparison.tolerance)
    return lambda candidate: lowest.get(candidate.key, candidate.key)


def regroup(candidates: Iterable[Candidate], key_of: KeyOf) -> list[Group]:
    """The same by any other key."""
    members: dict[ValueKey, list[Candidate]] = defaultdict(list)
    latest: dict[bytes, Latest] = {}
    for candidate in candidates:
        key = key_of(candidate)
        members[key].append(candidate)
        for signer in candidate.signers:
            known = latest.get(signer.agent)
            claim = (signer.timestamp, signer.seq, key, candidate, signer)
            if known is None or _is_later(claim, known):
                latest[signer.agent] = claim
    supporters: dict[ValueKey, dict[bytes, Latest]] = {key: {} for key in members}
    for agent, claim in latest.items():
        supporters[claim[2]][agent] = claim
    return [Group(key, tuple(sorted(members[key], key=log_order)), supporters[key]) for key in sorted(members)]


def _is_later(one: Latest, other: Latest) -> bool:
    """Later timestamp, then later position; one event may bring several claims, so then by value and hash."""
    return (one[:3], other[3].digest) > (other[:3], one[3].digest)
