"""The read path: index, hydrate, filter, lens, answer.  Source: docs/questions.md, docs/governance.md."""

from episteme.reading.answer import make_answer, make_group, make_stored
from episteme.reading.compare import COMPARED, compare
from episteme.reading.history import Page, history
from episteme.reading.question import (
    CANDIDATES_MAX,
    INCLUDES,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    AsOf,
    Moment,
    Question,
    as_parameters,
)
from episteme.reading.resolve import (
    PastClock,
    Resolved,
    ask,
    ask_soon,
    ask_view,
    compute_view,
    default_lens,
    moment_of,
    resolve_full,
)

__all__ = [
    "CANDIDATES_MAX",
    "COMPARED",
    "INCLUDES",
    "LIMIT_DEFAULT",
    "LIMIT_MAX",
    "AsOf",
    "Moment",
    "Page",
    "PastClock",
    "Question",
    "Resolved",
    "as_parameters",
    "ask",
    "ask_soon",
    "ask_view",
    "compare",
    "compute_view",
    "default_lens",
    "history",
    "make_answer",
    "make_group",
    "make_stored",
    "moment_of",
    "resolve_full",
]
