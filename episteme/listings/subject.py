"""Known subjects, and what each pair of one comes to."""

from collections.abc import Iterable

from episteme.errors import NotFound, TooManyCandidates
from episteme.listings.context import Context
from episteme.listings.paging import Paging, text_place
from episteme.reading import Question, ask, make_answer
from episteme.reading.gather import same_subjects
from episteme.shapes import Page, SubjectPair, SubjectReport
from stores import IndexStore, RulingsStore


def subjects(context: Context, paging: Paging, *, prefix: str = "") -> Page[str]:
    """Subjects that begin with prefix, in byte order."""
    index = IndexStore(context.reader)
    found = list(index.subjects(prefix, after=paging.after(text_place), count_max=paging.limit + 1))
    shown, more = paging.cut(found, lambda subject: subject)
    return Page(list(shown), more, context.seq)


def subject_report(context: Context, paging: Paging, *, subject: str) -> SubjectReport:
    """A subject's pairs by predicate, those of the subjects that aliases make one with it among them.

    Each is as a query without options answers it.

    Raises: NotFound for a subject that nobody has claimed anything about, and that no alias names.
    """
    same = same_subjects(context.reader, subject, None, RulingsStore(context.reader).get())
    found = _predicates(context, same, paging.after(text_place), paging.limit + 1)
    if not found and paging.place is None and len(same) == 1:
        raise NotFound(f"nothing is claimed about {subject!r} up to seq {context.seq}")
    shown, more = paging.cut(found, lambda predicate: predicate)
    return SubjectReport(
        subject=subject,
        same_as=[name for name in same if name != subject],
        items=[_pair(context, subject, predicate) for predicate in shown],
        next=more,
        seq=context.seq,
    )


def _predicates(context: Context, subjects: Iterable[str], after: str | None, count_max: int) -> list[str]:
    """The first predicates of any of them, in byte order."""
    index = IndexStore(context.reader)
    found: set[str] = set()
    for subject in subjects:
        found.update(index.predicates(subject, after=after, count_max=count_max))
    return sorted(found)[:count_max]  # of code points, which is the order of their UTF-8


def _pair(context: Context, subject: str, predicate: str) -> SubjectPair:
    question = Question(subject=subject, predicate=predicate, full=context.is_outdated)
    try:
        resolved = ask(context.reader, question, context.now_ms, context.past)
    except TooManyCandidates:
        return SubjectPair(predicate, None, None, None, 0.0, 0.0, 0, "")
    answer = make_answer(context.reader, question, resolved)
    return SubjectPair(
        predicate=predicate,
        status=answer.status,
        value=None if answer.winner is None else answer.winner.value,
        hash=None if answer.winner is None else answer.winner.hash,
        confidence=answer.confidence,
        conflict=answer.conflict,
        candidates_count=answer.candidates_count,
        lens=answer.lens.name,
    )
