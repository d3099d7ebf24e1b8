"""Every builder and prefix builder of keycodec beside its family, for tests that walk all of them."""

from collections.abc import Callable
from typing import Final, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import keycodec
from keycodec import FAMILY_BY_TAG, PREDICATE_BYTES_MAX, SUBJECT_BYTES_MAX, Family, Scope

Builder = Callable[..., bytes]


class Case(NamedTuple):
    """One family; prefix_parts is how many of the key's parts its prefix builder takes."""

    tag: str
    build: Builder
    prefix: Builder | None
    prefix_parts: int

    @property
    def family(self) -> Family:
        return FAMILY_BY_TAG[self.tag]

    @property
    def names(self) -> tuple[str, ...]:
        """What the builder takes, in order."""
        return (("subject",) if self.family.scope is Scope.SUBJECT else ()) + self.family.components


CASES: Final = (
    Case("H", keycodec.assertion_key, keycodec.assertion_prefix, 1),
    Case("S", keycodec.subject_postings_key, None, 0),
    Case("SP", keycodec.pair_postings_key, keycodec.pair_postings_prefix, 1),
    Case("MV", keycodec.view_key, keycodec.view_prefix, 1),
    Case("V", keycodec.vote_key, keycodec.vote_prefix, 2),
    Case("VL", keycodec.live_vote_key, keycodec.live_vote_prefix, 2),
    Case("VC", keycodec.vote_count_key, keycodec.vote_count_prefix, 1),
    Case("VW", keycodec.vote_weight_key, keycodec.vote_weight_prefix, 1),
    Case("VT", keycodec.vote_tally_key, keycodec.vote_tally_prefix, 1),
    Case("EVENT", keycodec.event_key, keycodec.event_prefix, 0),
    Case("HASH_SUBJECT", keycodec.hash_subject_key, keycodec.hash_subject_prefix, 0),
    Case("SUBJECTS", keycodec.known_subject_key, keycodec.known_subject_prefix, 0),
    Case("META", keycodec.meta_key, keycodec.meta_prefix, 0),
)


def _texts(bytes_max: int) -> SearchStrategy[str]:
    """Anything without a NUL: separators, tags and control characters are welcome."""
    tempting = st.sampled_from(["a", "ab", ":", "S:", "SP:", "a:b", "META:", "\x01", "é", "\U0010ffff"])
    free = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=20)
    longest = st.sampled_from(["a" * bytes_max, "é" * (bytes_max // 2), "😀" * (bytes_max // 4)])
    return st.one_of(tempting, free, longest)


hex_ids: Final = st.one_of(st.sampled_from(["0" * 64, "f" * 64]), st.binary(min_size=32, max_size=32).map(bytes.hex))
PART_STRATEGIES: Final = {
    "subject": _texts(SUBJECT_BYTES_MAX),
    "predicate": _texts(PREDICATE_BYTES_MAX),
    "hash": hex_ids,
    "agent": hex_ids,
    "name": st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64),
}


def parts_of(case: Case) -> SearchStrategy[tuple[str, ...]]:
    """Arguments for the case's builder."""
    return st.tuples(*(PART_STRATEGIES[name] for name in case.names))


def longest_parts(case: Case) -> tuple[str, ...]:
    """Arguments that make the case's longest key."""
    longest = {"subject": "s" * 256, "predicate": "p" * 128, "hash": "f" * 64, "agent": "f" * 64, "name": "n" * 64}
    return tuple(longest[name] for name in case.names)


def keys() -> SearchStrategy[tuple[Case, tuple[str, ...]]]:
    """A case, and arguments for its builder."""
    return st.sampled_from(CASES).flatmap(lambda case: parts_of(case).map(lambda parts: (case, parts)))
