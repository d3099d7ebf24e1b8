"""Lists and records of the state, besides the answers to queries.  Source: docs/http.md, "Lists and records"."""

from episteme.listings.agent import agent_report, agents
from episteme.listings.answers import AuditedAnswers
from episteme.listings.assertion import assertions
from episteme.listings.context import AnswerIndex, AnswersUsed, ClaimPlace, Context
from episteme.listings.epoch import epoch_report, epochs
from episteme.listings.escalation import LEVELS, ORDERS, STATUSES, escalation_record, escalations
from episteme.listings.event import bundle, stored_event
from episteme.listings.fold import folds_report
from episteme.listings.gold import gold_standards
from episteme.listings.lineage import DEPTH_DEFAULT, DEPTH_MAX, lineage_of
from episteme.listings.pack import pack_report, packs
from episteme.listings.paging import CURSOR_CHARS_MAX, PAGE_DEFAULT, PAGE_MAX, Paging, bad_cursor, open_cursor, seal_of
from episteme.listings.rule import aliases, lenses, predicates
from episteme.listings.source import impact, source_report, sources
from episteme.listings.subject import subject_report, subjects
from episteme.listings.vote import ballot

__all__ = [
    "CURSOR_CHARS_MAX",
    "DEPTH_DEFAULT",
    "DEPTH_MAX",
    "LEVELS",
    "ORDERS",
    "PAGE_DEFAULT",
    "PAGE_MAX",
    "STATUSES",
    "AnswerIndex",
    "AnswersUsed",
    "AuditedAnswers",
    "ClaimPlace",
    "Context",
    "Paging",
    "agent_report",
    "agents",
    "aliases",
    "assertions",
    "bad_cursor",
    "ballot",
    "bundle",
    "epoch_report",
    "epochs",
    "escalation_record",
    "escalations",
    "folds_report",
    "gold_standards",
    "impact",
    "lenses",
    "lineage_of",
    "open_cursor",
    "pack_report",
    "packs",
    "predicates",
    "seal_of",
    "source_report",
    "sources",
    "stored_event",
    "subject_report",
    "subjects",
]
