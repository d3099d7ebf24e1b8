"""The seam of all lenses: what one is told, and what it comes to."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from episteme.errors import FieldProblem, InvalidParameter
from episteme.lenses.candidate import Candidate
from episteme.lenses.values import PLAIN, Comparison
from model import AnyValue, to_micros
from stores import Resolution

THRESHOLD: Final = "threshold"
THRESHOLD_DEFAULT_MICROS: Final = 500_000  # half of all who have a say
_UNIT = re.compile(r"0(\.[0-9]{1,6})?|1(\.0{1,6})?")

ConstraintKind = Literal["must_use", "forbidden"]
Reason = Literal["unopposed", "better-tier", "worse-tier", "more-weight", "less-weight", "tie-break"]


class Terms(Struct, frozen=True):
    """What a lens is told besides candidates.

    threshold_micros: the share from which on a value of a many-valued predicate passes.
    params: the lens's own as they were asked for, for the answer to name them.
    """

    comparison: Comparison = PLAIN
    threshold_micros: int = THRESHOLD_DEFAULT_MICROS
    params: Mapping[str, str] = {}


class LayerFinding(Struct, frozen=True):
    """What one tier comes to by itself, under consensus; values: those that pass, of a many-valued predicate."""

    tier: int
    resolution: Resolution
    values: tuple[AnyValue, ...] = ()


class ChartFinding(Struct, frozen=True):
    """One value of a disagreement.

    support_by_tier: (tier, agents), best tier first, each agent by the claim through which it stands for the value.
    The rest is of all claims of the value: milliseconds since 1970, millionths, distinct sources named.
    """

    value: AnyValue
    support_by_tier: tuple[tuple[int, int], ...]
    first_timestamp: int
    last_timestamp: int
    confidence_min_micros: int
    confidence_max_micros: int
    sources_count: int


class ConstraintFinding(Struct, frozen=True):
    """A value that a context must use or that is forbidden in it, and whether that holds.

    reason: by what it holds, or is overruled.  tier: its best.  support: agents who stand for it.
    weight_micros: their confidence times trust, summed within that tier.  best: the claim that represents it.
    digests: of all claims of it, in log order.
    """

    kind: ConstraintKind
    value: AnyValue
    holds: bool
    reason: Reason
    tier: int
    support: int
    weight_micros: int
    best: bytes
    digests: tuple[bytes, ...]


class Finding(Struct, frozen=True):
    """What a lens comes to.

    values: those that pass, of a many-valued predicate, in the order of the groups; else none.
    weights: what each candidate weighed, as a part of all weight; all zero if nothing weighs anything.
    layers, chart, constraints: of the lens that makes them.
    """

    resolution: Resolution
    values: tuple[AnyValue, ...] = ()
    weights: Mapping[bytes, float] = {}
    layers: tuple[LayerFinding, ...] = ()
    chart: tuple[ChartFinding, ...] = ()
    constraints: tuple[ConstraintFinding, ...] = ()


class Lens(Protocol):
    """A rule that decides among candidates.  Pure."""

    @property
    def name(self) -> str:
        """As it is asked for."""

    @property
    def version(self) -> int:
        """Counts the changes of the rule."""

    @property
    def uses_trust(self) -> bool:
        """Whether signers must come with their trust."""

    @property
    def takes_predicate(self) -> bool:
        """Whether it decides one pair; else a whole context."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that it takes."""

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """Decide; candidates in any order, newest stages only, compared as the terms say."""


def make_terms(lens: Lens, params: Mapping[str, str], comparison: Comparison = PLAIN) -> Terms:
    """Terms with every parameter checked.  Raises: InvalidParameter for an unknown or an invalid one."""
    for name in sorted(params):
        if name not in lens.parameters:
            takes = f"takes {', '.join(lens.parameters)}" if lens.parameters else "takes no parameters"
            raise _invalid(name[:80], f"is not known: lens {lens.name} {takes}")
    threshold = params.get(THRESHOLD)
    threshold_micros = THRESHOLD_DEFAULT_MICROS if threshold is None else _threshold(threshold)
    return Terms(comparison, threshold_micros, dict(params))


def _threshold(text: str) -> int:
    micros = to_micros(text) if _UNIT.fullmatch(text) else 0
    if not micros:
        raise _invalid(THRESHOLD, f"is {text[:40]!r}; it is a decimal above 0, at most 1, of at most 6 digits")
    return micros


def _invalid(name: str, detail: str) -> InvalidParameter:
    return InvalidParameter(f"{name} {detail}", errors=(FieldProblem(name, detail),))
