"""Lenses: the reader's choice of how contradictory claims resolve.  Source: docs/lenses.md."""

from typing import Final

from episteme.errors import FieldProblem, UnknownLens
from episteme.lenses.base import Figures, Lens, figures, share
from episteme.lenses.candidate import (
    HIDDEN_LIFECYCLES,
    Candidate,
    Group,
    Signer,
    group_by_value,
    key_of,
    make_candidate,
    newest_stages,
    value_key,
)
from episteme.lenses.pick import Confidence, Recency
from episteme.lenses.weigh import Consensus, Votes, lead_of

LENSES: Final[dict[str, Lens]] = {lens.name: lens for lens in (Recency(), Consensus(), Confidence(), Votes())}
DEFAULT_LENS: Final = Consensus.name


def lens_named(name: str) -> Lens:
    """The lens of this name.  Raises: UnknownLens."""
    lens = LENSES.get(name)
    if lens is None:
        detail = f"there is no lens {name[:80]!r}; there are {', '.join(sorted(LENSES))}"
        raise UnknownLens(detail, errors=(FieldProblem("lens", detail),))
    return lens


__all__ = [
    "DEFAULT_LENS",
    "HIDDEN_LIFECYCLES",
    "LENSES",
    "Candidate",
    "Figures",
    "Group",
    "Lens",
    "Signer",
    "figures",
    "group_by_value",
    "key_of",
    "lead_of",
    "lens_named",
    "make_candidate",
    "newest_stages",
    "share",
    "value_key",
]
