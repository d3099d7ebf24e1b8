"""The demo's claims: several agents, seven subjects, in the order of the days on which they were said.

All of it is invented and stands for nobody's finding; sources lead to example.org.  Days lie in the past, so that
the same story gives the same hashes at any time.
"""

from decimal import Decimal
from typing import Final, NamedTuple

from model import SourceClass

Said = str | bool | int | Decimal


class Claim(NamedTuple):
    """by: who signs it.  source: the label of one.  era: the name of an epoch."""

    day: str
    by: str
    subject: str
    predicate: str
    value: Said
    tier: SourceClass
    confidence: str
    source: str | None = None
    era: str | None = None
    narrative: str | None = None


class Vote(NamedTuple):
    """On what an agent said of a pair."""

    day: str
    by: str
    of: str
    subject: str
    predicate: str
    weight: str
    reason: str | None = None


class Source(NamedTuple):
    """A piece of evidence, which is its label."""

    day: str
    by: str
    label: str
    url: str


class Era(NamedTuple):
    """An epoch; from the one that it supersedes the claims are hidden."""

    day: str
    name: str
    supersedes: str | None = None


class Known(NamedTuple):
    """A known answer, by which trust is earned and lost."""

    day: str
    subject: str
    predicate: str
    value: Said
    tolerance: str | None = None


class Many(NamedTuple):
    """A predicate with several values, parted by '; '."""

    day: str
    predicate: str


class Replaced(NamedTuple):
    """An agent's older claim about a pair makes way for its newer one."""

    day: str
    by: str
    subject: str
    predicate: str
    reason: str


Act = Claim | Vote | Source | Era | Known | Many | Replaced

_DRUG: Final = ("Semaglutide", "causes_muscle_loss")
_EVEREST: Final = ("Mount_Everest", "height_m")
_NILE: Final = ("Nile", "length_km")
_VOSTOK: Final = ("Vostok_Station", "lowest_celsius")
_PLUTO: Final = ("Pluto", "is_a")
_BOOK: Final = ("isbn:0201633612", "authors")
_AUTHORS: Final = "Gamma, Erich; Helm, Richard; Johnson, Ralph; Vlissides, John"
_OLD, _NEW = "planets, old sense", "planets, new sense"

STORY: Final[tuple[Act, ...]] = (
    Many("2025-01-06", "authors"),
    Era("2025-01-06", _OLD),
    Source("2025-01-07", "trial-registry", "example trial A", "https://example.org/trials/a"),
    Source("2025-01-07", "trial-registry", "example trial B", "https://example.org/trials/b"),
    Source("2025-01-07", "label-reader", "example label", "https://example.org/labels/1"),
    # A number that everybody measures otherwise.
    Claim("2025-01-08", "atlas-bot", *_NILE, 6650, "expert", "0.8"),
    Claim("2025-01-08", "old-encyclopedia", *_NILE, 6695, "expert", "0.7"),
    Claim("2025-01-09", "river-survey", *_NILE, 6853, "observational", "0.75"),
    Claim("2025-01-09", "forum-scout", *_NILE, 6650, "anecdotal", "0.5"),
    Vote("2025-01-10", "map-student", "river-survey", *_NILE, "1", "measured from another spring"),
    # One who corrects himself.
    Claim("2025-01-13", "atlas-bot", *_EVEREST, 8848, "expert", "0.9"),
    Claim("2025-01-13", "old-encyclopedia", *_EVEREST, 8848, "expert", "0.8"),
    Claim("2025-01-14", "survey-office", *_EVEREST, Decimal("8848.86"), "regulatory", "0.97"),
    Claim("2025-01-14", "forum-scout", *_EVEREST, 8850, "anecdotal", "0.6"),
    Claim("2025-01-15", "atlas-bot", *_EVEREST, Decimal("8848.86"), "expert", "0.95"),
    Replaced("2025-01-15", "atlas-bot", *_EVEREST, "an older survey"),
    Claim("2025-01-20", "atlas-bot", *_VOSTOK, Decimal("-89.2"), "expert", "0.95"),
    Claim("2025-01-20", "survey-office", *_VOSTOK, Decimal("-89.2"), "observational", "0.99"),
    Claim("2025-01-21", "forum-scout", *_VOSTOK, -91, "anecdotal", "0.7"),
    Claim("2025-01-21", "old-encyclopedia", *_VOSTOK, Decimal("-88.3"), "expert", "0.6"),
    # What a word means changes: claims of the old sense are hidden, not gone.
    Claim("2025-01-27", "old-encyclopedia", *_PLUTO, "planet", "expert", "0.95", era=_OLD),
    Claim("2025-01-27", "school-book", *_PLUTO, "planet", "community", "0.9", era=_OLD),
    Era("2025-02-03", _NEW, supersedes=_OLD),
    Claim("2025-02-03", "atlas-bot", *_PLUTO, "dwarf planet", "expert", "0.95", era=_NEW),
    Claim("2025-02-04", "survey-office", *_PLUTO, "dwarf planet", "regulatory", "0.99", era=_NEW),
    Claim("2025-02-05", "forum-scout", *_PLUTO, "planet", "anecdotal", "0.8", narrative="It will always be one to me."),
    # The same book in several shops.
    Claim("2025-02-10", "shop-one", *_BOOK, _AUTHORS, "community", "0.8"),
    Claim("2025-02-10", "shop-two", *_BOOK, _AUTHORS, "community", "0.8"),
    Claim("2025-02-11", "shop-three", *_BOOK, "Gamma, Erich; Helm, Richard; Johnson, Ralph", "community", "0.7"),
    Claim("2025-02-11", "shop-four", *_BOOK, "Gamma, Erich", "community", "0.7"),
    # What an agent may and may not do, for the lens `constraints`.
    Claim("2025-02-17", "security-desk", "login", "must_use", "passkeys", "regulatory", "0.95"),
    Claim("2025-02-17", "security-desk", "login", "forbidden", "codes by SMS", "regulatory", "0.9"),
    Claim("2025-02-18", "helpdesk-notes", "login", "must_use", "codes by SMS", "community", "0.6"),
    # The question on which everybody stands somewhere else.
    Claim("2025-03-03", "forum-scout", *_DRUG, True, "anecdotal", "0.4", narrative="Several posts tell of it."),
    Claim("2025-03-11", "trial-registry", *_DRUG, True, "clinical", "0.85", "example trial A"),
    Claim("2025-04-02", "label-reader", *_DRUG, False, "regulatory", "0.95", "example label"),
    Claim("2025-05-20", "hospital-notes", *_DRUG, True, "observational", "0.7"),
    Claim("2025-06-09", "review-bot", *_DRUG, True, "clinical", "0.8", "example trial B"),
    Claim("2025-07-01", "sports-lab", *_DRUG, False, "clinical", "0.6", narrative="Not with resistance training."),
    Claim("2025-07-14", "second-scout", *_DRUG, True, "anecdotal", "0.3"),
    Claim("2025-08-05", "newsletter", *_DRUG, False, "expert", "0.55"),
    Vote("2025-08-06", "hospital-notes", "trial-registry", *_DRUG, "1", "seen here too"),
    Vote("2025-08-06", "review-bot", "trial-registry", *_DRUG, "0.5"),
    Vote("2025-08-07", "sports-lab", "trial-registry", *_DRUG, "-0.5", "no control group"),
    Vote("2025-08-07", "survey-office", "label-reader", *_DRUG, "1", "the label says so"),
    Vote("2025-08-08", "atlas-bot", "label-reader", *_DRUG, "1"),
    Vote("2025-08-08", "security-desk", "sports-lab", *_DRUG, "0.5"),
    Vote("2025-08-09", "trial-registry", "forum-scout", *_DRUG, "-1", "hearsay"),
    Vote("2025-08-09", "forum-scout", "newsletter", *_DRUG, "-0.5"),
    # What turns out to be known: whoever said so gains trust, and whoever did not loses some.
    Known("2025-08-10", *_EVEREST, Decimal("8848.86"), "0.01"),
    Known("2025-08-10", *_VOSTOK, Decimal("-89.2"), "0.05"),
)
