"""Lenses: the reader's choice of how contradictory claims resolve.  Source: docs/lenses.md."""

from episteme.lenses.base import Figures, Lead, figures, lead_of, share
from episteme.lenses.candidate import HIDDEN_LIFECYCLES, Candidate, Signer, make_candidate, newest_stages
from episteme.lenses.constraints import CONSTRAINT_PREDICATES
from episteme.lenses.groups import Group, group_by_value
from episteme.lenses.lens import ChartFinding, ConstraintFinding, Finding, LayerFinding, Lens, Terms, make_terms
from episteme.lenses.registry import DEFAULT_LENS, LENSES, lens_named
from episteme.lenses.values import PLAIN, Comparison, key_of, same_value, value_key, value_of

__all__ = [
    "CONSTRAINT_PREDICATES",
    "DEFAULT_LENS",
    "HIDDEN_LIFECYCLES",
    "LENSES",
    "PLAIN",
    "Candidate",
    "ChartFinding",
    "Comparison",
    "ConstraintFinding",
    "Figures",
    "Finding",
    "Group",
    "LayerFinding",
    "Lead",
    "Lens",
    "Signer",
    "Terms",
    "figures",
    "group_by_value",
    "key_of",
    "lead_of",
    "lens_named",
    "make_candidate",
    "make_terms",
    "newest_stages",
    "same_value",
    "share",
    "value_key",
    "value_of",
]
