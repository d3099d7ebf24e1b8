"""The lenses that there are, by name."""

from typing import Final

from episteme.errors import FieldProblem, UnknownLens
from episteme.lenses.constraints import Constraints
from episteme.lenses.disagree import Layered, Skeptic
from episteme.lenses.earned import Authority, Trust
from episteme.lenses.lens import Lens
from episteme.lenses.pick import Confidence, Recency
from episteme.lenses.weigh import Consensus, Votes

_ALL: Final[tuple[Lens, ...]] = (
    Recency(),
    Consensus(),
    Confidence(),
    Votes(),
    Trust(),
    Authority(),
    Skeptic(),
    Layered(),
    Constraints(),
)
LENSES: Final[dict[str, Lens]] = {lens.name: lens for lens in _ALL}
DEFAULT_LENS: Final = Consensus.name


def lens_named(name: str) -> Lens:
    """The lens of this name.  Raises: UnknownLens."""
    lens = LENSES.get(name)
    if lens is None:
        detail = f"there is no lens {name[:80]!r}; there are {', '.join(sorted(LENSES))}"
        raise UnknownLens(detail, errors=(FieldProblem("lens", detail),))
    return lens
