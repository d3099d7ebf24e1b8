"""Every builder and prefix builder of keycodec beside its family, for tests that walk all of them."""

from collections.abc import Callable
from typing import Final, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import keycodec
from keycodec import FAMILY_BY_TAG, PREDICATE_BYTES_MAX, SUBJECT_BYTES_MAX, Family, Scope

Builder = Callable[..., bytes]
Parts = tuple[str | int, ...]


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
    Case("VE", keycodec.early_votes_key, None, 0),
    Case("PT", keycodec.pair_tally_key, keycodec.pair_tally_prefix, 1),
    Case("PG", keycodec.tally_group_key, None, 0),
    Case("PO", keycodec.tally_order_key, None, 0),
    Case("PS", keycodec.tally_support_key, None, 0),
    Case("PU", keycodec.tally_unit_key, None, 0),
    Case("PB", keycodec.tally_best_key, None, 0),
    Case("PA", keycodec.tally_agent_key, None, 0),
    Case("PE", keycodec.tally_earlier_key, None, 0),
    Case("PF", keycodec.tally_former_key, None, 0),
    Case("PX", keycodec.tally_worse_key, None, 0),
    Case("PR", keycodec.tally_chain_key, None, 0),
    Case("PL", keycodec.tally_link_key, None, 0),
    Case("PW", keycodec.tally_waiting_key, None, 0),
    Case("GS", keycodec.gold_key, keycodec.gold_prefix, 1),
    Case("J", keycodec.judgement_key, keycodec.judgement_prefix, 2),
    Case("AUDP", keycodec.pair_audit_key, keycodec.pair_audit_prefix, 2),
    Case("ESCP", keycodec.pair_escalations_key, keycodec.pair_escalations_prefix, 1),
    Case("SUPW", keycodec.waiting_supersession_key, keycodec.waiting_supersession_prefix, 2),
    Case("ESCN", keycodec.pair_numbers_key, keycodec.pair_numbers_prefix, 1),
    Case("ESCR", keycodec.regulatory_claim_key, keycodec.regulatory_claim_prefix, 2),
    Case("EVENT", keycodec.event_key, keycodec.event_prefix, 0),
    Case("HASH_SUBJECT", keycodec.hash_subject_key, keycodec.hash_subject_prefix, 0),
    Case("VOTED", keycodec.doubtful_vote_key, keycodec.doubtful_vote_prefix, 1),
    Case("EARLY", keycodec.any_early_votes_key, None, 0),
    Case("SUBJECTS", keycodec.known_subject_key, keycodec.known_subject_prefix, 0),
    Case("CHILD", keycodec.child_key, keycodec.child_prefix, 1),
    Case("SRCA", keycodec.source_assertion_key, keycodec.source_assertion_prefix, 1),
    Case("EA", keycodec.epoch_assertion_key, keycodec.epoch_assertion_prefix, 1),
    Case("AA", keycodec.agent_assertion_key, keycodec.agent_assertion_prefix, 1),
    Case("SUPR", keycodec.replaced_key, keycodec.replaced_prefix, 1),
    Case("TRUST", keycodec.trust_key, keycodec.trust_prefix, 0),
    Case("TRUSTH", keycodec.trust_change_key, keycodec.trust_change_prefix, 1),
    Case("QUOTA", keycodec.quota_key, keycodec.quota_prefix, 1),
    Case("QLIMIT", keycodec.quota_limit_key, keycodec.quota_limit_prefix, 0),
    Case("E", keycodec.epoch_key, keycodec.epoch_prefix, 0),
    Case("SUPERSEDED", keycodec.superseded_epoch_key, keycodec.superseded_epoch_prefix, 0),
    Case("SUP", keycodec.supersession_key, keycodec.supersession_prefix, 0),
    Case("SUPS", keycodec.said_supersession_key, keycodec.said_supersession_prefix, 1),
    Case("SUPWS", keycodec.any_waiting_supersession_key, None, 0),
    Case("AUD", keycodec.audit_key, keycodec.audit_prefix, 0),
    Case("AUDA", keycodec.agent_audit_key, keycodec.agent_audit_prefix, 1),
    Case("ESC", keycodec.escalation_key, keycodec.escalation_prefix, 0),
    Case("ESCI", keycodec.escalation_time_key, keycodec.escalation_time_prefix, 0),
    Case("TP", keycodec.pack_key, keycodec.pack_prefix, 0),
    Case("TPH", keycodec.past_pack_key, keycodec.past_pack_prefix, 1),
    Case("ESCS", keycodec.any_pair_numbers_key, None, 0),
    Case("GS_LIST", keycodec.gold_list_key, keycodec.gold_list_prefix, 1),
    Case("GOLD", keycodec.any_gold_key, None, 0),
    Case("SRC", keycodec.source_key, keycodec.source_prefix, 0),
    Case("SRCT", keycodec.tainted_sources_key, None, 0),
    Case("ALIAS", keycodec.alias_key, keycodec.alias_prefix, 0),
    Case("ALIASH", keycodec.past_alias_key, keycodec.past_alias_prefix, 1),
    Case("ALIASR", keycodec.linked_subject_key, keycodec.linked_subject_prefix, 1),
    Case("PRED", keycodec.predicate_key, keycodec.predicate_prefix, 0),
    Case("PREDH", keycodec.past_predicate_key, keycodec.past_predicate_prefix, 1),
    Case("REVOKED", keycodec.revocation_key, keycodec.revocation_prefix, 0),
    Case("RULES", keycodec.rules_key, None, 0),
    Case("RULED", keycodec.rulings_key, None, 0),
    Case("DEAD", keycodec.dead_letter_key, keycodec.dead_letter_prefix, 0),
    Case("META", keycodec.meta_key, keycodec.meta_prefix, 0),
)
CASE_BY_TAG: Final = {case.tag: case for case in CASES}


def _texts(bytes_max: int) -> SearchStrategy[str]:
    """Anything without a NUL: separators, tags and control characters are welcome."""
    tempting = st.sampled_from(["a", "ab", ":", "S:", "SP:", "a:b", "META:", "\x01", "é", "\U0010ffff"])
    free = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=20)
    longest = st.sampled_from(["a" * bytes_max, "é" * (bytes_max // 2), "😀" * (bytes_max // 4)])
    return st.one_of(tempting, free, longest)


def _hex(length: int) -> SearchStrategy[str]:
    ends = st.sampled_from(["0" * length, "f" * length])
    return st.one_of(ends, st.binary(min_size=length // 2, max_size=length // 2).map(bytes.hex))


def _numbers(bits: int) -> SearchStrategy[int]:
    steps = st.sampled_from([0, 1, 9, 10, 15, 16, 255, 256, 2**31, 2**32 - 1, 2**bits - 1])
    return st.one_of(steps, st.integers(0, 2**bits - 1))


_hex_ids = _hex(64)
PART_STRATEGIES: Final[dict[str, SearchStrategy[str] | SearchStrategy[int]]] = {
    "subject": _texts(SUBJECT_BYTES_MAX),
    "predicate": _texts(PREDICATE_BYTES_MAX),
    "name": st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64),
    "hash": _hex_ids,
    "vh": _hex_ids,
    "parent": _hex_ids,
    "gold": _hex_ids,
    "source_hash": _hex_ids,
    "epoch": _hex_ids,
    "pack": _hex_ids,
    "agent": _hex_ids,
    "query_id": _hex(32),
    "id": _hex(32),
    "pair": _hex(32),
    "value": _hex(32),
    "recency": _hex(32),
    "alias": _hex(32),
    "tie": _hex(82),
    "rank": _numbers(64),
    "inverse": _numbers(64),
    "seq": _numbers(64),
    "time": _numbers(64),
    "window": _numbers(32),
}
_LONGEST: Final[dict[str, str | int]] = {
    "subject": "s" * 256,
    "predicate": "p" * 128,
    "name": "n" * 64,
    "query_id": "f" * 32,
    "id": "f" * 32,
    "pair": "f" * 32,
    "value": "f" * 32,
    "recency": "f" * 32,
    "alias": "f" * 32,
    "tie": "f" * 82,
    "rank": 2**64 - 1,
    "inverse": 2**64 - 1,
    "seq": 2**64 - 1,
    "time": 2**64 - 1,
    "window": 2**32 - 1,
}


def parts_of(case: Case) -> SearchStrategy[Parts]:
    """Arguments for the case's builder."""
    return st.tuples(*(PART_STRATEGIES[name] for name in case.names))


def longest_parts(case: Case) -> Parts:
    """Arguments that make the case's longest key."""
    return tuple(_LONGEST.get(name, "f" * 64) for name in case.names)


def keys() -> SearchStrategy[tuple[Case, Parts]]:
    """A case, and arguments for its builder."""
    return st.sampled_from(CASES).flatmap(lambda case: parts_of(case).map(lambda parts: (case, parts)))
