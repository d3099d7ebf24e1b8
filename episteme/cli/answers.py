"""Answers, comparisons and histories as tables."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from episteme.api import Answer, AnswerGroup, AnyWinner, Comparison, Explanation, History, ManyValue
from episteme.cli.output import bar, counted, print_fields, print_table, short, shown, shown_lines, talk, value_text
from model import SOURCE_CLASSES

_BAR_CELLS: Final = 16
_USUAL_STAGE: Final = "approved"
_CANDIDATE_REST: Final = ("confidence", "trust", "votes", "agents", "hash")


def print_answer(answer: Answer) -> None:
    """An answer as a table."""
    if not answer.candidates_count:
        print_fields([("answer", "none: no claims take part"), *_record_fields(answer)])
    else:
        print_fields(_answer_fields(answer))
        _print_groups(answer.groups, answer.groups_count)
        _print_layers(answer)
        _print_map(answer)
        _print_constraints(answer)
    if answer.explain is not None:
        _print_explanation(answer.explain)
    _print_warnings(answer.warnings)


def _print_warnings(warnings: Iterable[str]) -> None:
    for warning in dict.fromkeys(warnings):
        talk.print(f"warning: {shown_lines(warning)}", style="yellow", markup=False)


def _answer_fields(answer: Answer) -> list[tuple[str, str]]:
    fields = []
    if answer.winner is not None:
        fields.append(("answer", winner_text(answer.winner.value)))
    elif answer.constraints is None:
        fields.append(("answer", "none: see the values below" if answer.groups else "none: no value passes"))
    fields.append(("lens", f"{answer.lens.name}/{answer.lens.version}"))
    if answer.winner is not None:
        fields.append(("confidence", f"{answer.confidence:.2f}"))
    fields.append(("conflict", f"{answer.conflict:.2f} ({answer.status})"))
    fields.append(("claims", f"{answer.candidates_count:,} with {counted(answer.groups_count, 'value')}"))
    if answer.subjects:
        fields.append(("same as", ", ".join(shown(name) for name in answer.subjects if name != answer.subject)))
    return fields + _record_fields(answer)


def _record_fields(answer: Answer) -> list[tuple[str, str]]:
    fields = [("as of", f"seq {answer.seq}")]
    if answer.winner is not None:
        fields.append(("assertion", answer.winner.hash))
    if answer.audit_id is not None:
        fields.append(("audit", answer.audit_id))
    return fields


def winner_text(value: AnyWinner) -> str:
    """A winning value as a person reads it."""
    if value is None:
        return "none"
    if isinstance(value, ManyValue):
        return "; ".join(value_text(one) for one in value.value)
    return value_text(value)


def _print_groups(groups: list[AnswerGroup], groups_count: int) -> None:
    if not groups:
        return
    print_table(
        ("share", "", "agents", "votes", "best tier", "value", "hash"),
        [_group_cells(group) for group in groups],
        right=("share", "agents", "votes"),
    )
    if groups_count > len(groups):
        print_fields([("", f"{groups_count - len(groups):,} more values: --limit")])


def _group_cells(group: AnswerGroup) -> tuple[str, ...]:
    return (
        f"{group.share:.2f}",
        bar(round(group.share * _BAR_CELLS)),
        str(group.support),
        f"{group.votes:g}",
        SOURCE_CLASSES[group.best_tier],
        value_text(group.value),
        short(group.hashes[0]) if group.hashes else "",
    )


def _print_layers(answer: Answer) -> None:
    if answer.layers:
        print_table(
            ("tier", "value", "confidence", "conflict", "claims"),
            [
                (
                    layer.source_class,
                    winner_text(layer.value),
                    f"{layer.confidence:.2f}",
                    f"{layer.conflict:.2f} ({layer.status})",
                    str(layer.candidates_count),
                )
                for layer in answer.layers
            ],
            right=("confidence", "claims"),
        )


def _print_map(answer: Answer) -> None:
    if answer.map:
        print_table(
            ("value", "who stands for it", "from", "to", "confidence", "sources"),
            [
                (
                    value_text(row.value),
                    ", ".join(f"{count} {tier}" for tier, count in row.support_by_tier.items()),
                    time_text(row.first_timestamp),
                    time_text(row.last_timestamp),
                    f"{row.confidence_min:g} to {row.confidence_max:g}",
                    str(row.sources_count),
                )
                for row in answer.map
            ],
            right=("sources",),
        )


def _print_constraints(answer: Answer) -> None:
    if answer.constraints is not None:
        print_table(
            ("", "value", "tier", "agents", "why", "hash"),
            [
                (
                    one.kind.replace("_", " ") if one.holds else f"({one.kind.replace('_', ' ')})",
                    value_text(one.value),
                    one.source_class,
                    str(one.support),
                    one.reason if one.narrative is None else f'{one.reason}: "{shown(one.narrative)}"',
                    short(one.hash),
                )
                for one in answer.constraints
            ],
            right=("agents",),
        )
        left_count = (answer.constraints_count or 0) - len(answer.constraints)
        if left_count > 0:
            print_fields([("", f"{left_count} more constraints: --limit")])


def _print_explanation(explanation: Explanation) -> None:
    print_fields([("why", shown_lines(explanation.why))])
    if explanation.candidates:
        has_stages = any(one.lifecycle != _USUAL_STAGE for one in explanation.candidates)
        print_table(
            ("weight", "value", "tier", *(["stage"] if has_stages else []), *_CANDIDATE_REST),
            [
                (
                    f"{one.weight:.3f}",
                    value_text(one.value),
                    one.source_class,
                    *([one.lifecycle] if has_stages else []),
                    f"{one.confidence_seen:g}",
                    ", ".join(f"{signer.trust:.2f}" for signer in one.signers[:3]),
                    f"{one.votes:g}",
                    str(one.signers_count),
                    short(one.hash),
                )
                for one in explanation.candidates
            ],
            right=("weight", "confidence", "votes", "agents"),
        )
    more = explanation.candidates_count - len(explanation.candidates)
    if more:
        print_fields([("", f"{more:,} more take part: --limit")])
    if explanation.left_out:
        print_table(
            ("left out", "value", "because", "by"),
            [
                (short(one.hash), value_text(one.value), one.detail, "" if one.by is None else short(one.by))
                for one in explanation.left_out
            ],
        )
    hidden = explanation.left_out_count - len(explanation.left_out)
    if hidden:
        print_fields([("", f"{hidden:,} more are left out: --limit")])


def print_comparison(found: Comparison) -> None:
    """What each lens makes of the claims, and the claims that answers hang on."""
    if not any(answer.candidates_count for answer in found.answers):
        print_fields([("answers", "none: no claims take part"), ("as of", f"seq {found.seq}")])
        return
    print_table(
        ("lens", "answer", "confidence", "conflict", "status"),
        [
            (
                answer.lens.name,
                "none" if answer.winner is None else winner_text(answer.winner.value),
                f"{answer.confidence:.2f}",
                f"{answer.conflict:.2f}",
                answer.status,
            )
            for answer in found.answers
        ],
        right=("confidence", "conflict"),
    )
    if found.agree and any(answer.winner is not None for answer in found.answers):
        print_fields([("", "all lenses that name a winner agree")])
    if found.levers:
        print_table(
            ("without", "which says", "lens", "would answer"),
            [
                (short(one.hash), value_text(one.value), one.lens, winner_text(one.winner_without))
                for one in found.levers
            ],
        )
    if not found.levers_complete:
        print_fields([("", "only the heaviest claims were tried as levers")])
    _print_warnings(warning for answer in found.answers for warning in answer.warnings)


def print_history(found: History) -> None:
    """The turns that an answer took, if it took any."""
    if not found.turns:
        return
    print_table(
        ("seq", "time", "cause", "answer", "confidence", "conflict", "claims"),
        [
            (
                str(turn.seq),
                time_text(turn.time_ms),
                turn.cause,
                winner_text(turn.value),
                f"{turn.confidence:.2f}",
                f"{turn.conflict:.2f} ({turn.status})",
                str(turn.candidates_count),
            )
            for turn in found.turns
        ],
        right=("seq", "confidence", "claims"),
    )
    if found.next is not None:
        print_fields([("", f"there is more: --after {found.next}")])


def time_text(time_ms: int) -> str:
    """A moment in UTC, to the second."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):
        return f"{time_ms} ms"
