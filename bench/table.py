"""What was measured as one table, and as JSON with every value of every round."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.measured import Key, Measured
from bench.rounds import KINDS, Failure, Figures
from bench.targets import Target, Values, Verdict, verdicts

MIB: Final = 2**20
REASON_MAX: Final = 160  # characters in the table; the JSON has all
WIDTHS: Final = (22, 13, 26, 11, 11, 13)


class Report(NamedTuple):
    """All that is said of a run."""

    about: Mapping[str, Any]  # machine, versions, commit, settings
    peers: Mapping[str, Mapping[str, str]]  # by name: versions and durability, or why there is none
    figures: Figures
    took_s: float


def values_of(figures: Figures) -> Values:
    """The bare values, by round."""
    return {
        key: [one.value if isinstance(one, Measured) else None for one in series] for key, series in figures.items()
    }


def as_text(report: Report) -> str:
    """The table."""
    found = _judged(report)
    return "\n".join([*_head(report), *_rows(report, found), *_summary(found), *_notes(report)])


def as_json(report: Report) -> dict[str, Any]:
    """Every value of every round."""
    return {
        **report.about,
        "took_s": report.took_s,
        "peers": report.peers,
        "rows": [_row_json(key, series) for key, series in report.figures.items()],
        "targets": [_verdict_json(verdict) for verdict in _judged(report)],
    }


def _judged(report: Report) -> list[Verdict]:
    """The targets of the rows that were to be measured."""
    rows = {key.row for key in report.figures}
    return [verdict for verdict in verdicts(values_of(report.figures)) if verdict.target.row in rows]


def show(value: float, unit: str) -> str:
    """A value in the unit that reads best."""
    if unit == "B/s":
        return f"{value / MIB:,.0f} MiB/s"
    if unit == "s":
        return f"{value * 1e3:,.2f} ms" if value >= 0.001 else f"{value * 1e6:,.0f} us"
    return f"{value:,.0f} /s"


def unit_of(key: Key) -> str:
    """A row of peers alone is a rate."""
    return KINDS[key.row].unit if key.row in KINDS else "/s"


def failures(figures: Figures) -> list[str]:
    """What failed that should not have."""
    return [
        f"{key.row}, {key.who}: {one.reason}"
        for key, series in figures.items()
        for one in series
        if isinstance(one, Failure) and not one.expected
    ]


def _head(report: Report) -> Iterator[str]:
    for name, value in report.about.items():
        said = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, Mapping) else value
        yield f"{name}: {said}"
    for name, facts in report.peers.items():
        yield f"{name}: {'; '.join(facts.values())}"
    yield ""
    yield _line("", "median", "lowest to highest", "p99", "server us", "load us") + "  against"


def _rows(report: Report, found: Sequence[Verdict]) -> Iterator[str]:
    for row in dict.fromkeys(key.row for key in report.figures):
        kind = KINDS.get(row)
        yield ""
        yield f"{row}: {kind.what}; durability: {kind.durability}" if kind else f"{row}: of peers alone"
        for key, series in report.figures.items():
            if key.row == row:
                yield from _figure(key, series, [one for one in found if _is_ratio_of(one, key)])


def _figure(key: Key, series: Sequence[Measured | Failure], found: Sequence[Verdict]) -> Iterator[str]:
    measured = [one for one in series if isinstance(one, Measured)]
    failed = [one for one in series if isinstance(one, Failure)]
    if measured:
        unit, values = unit_of(key), [one.value for one in measured]
        spread = f"{show(min(values), unit)} to {show(max(values), unit)}" if len(values) > 1 else ""
        line = _line(
            "  " + key.who,
            show(statistics.median(values), unit),
            spread,
            _median([one.p99_s for one in measured], lambda value: show(value, "s")),
            _median([one.cpu_us for one in measured], lambda value: f"{value:,.0f}"),
            _load(measured, unit),
        )
        yield f"{line}  " + "; ".join(map(_said, found))
    if failed:
        yield f"  {key.who}: {'missing' if failed[0].expected else 'FAILED'}, {failed[0].reason[:REASON_MAX]}"


def _is_ratio_of(verdict: Verdict, key: Key) -> bool:
    return (verdict.target.row, verdict.who) == key and bool(verdict.target.against and verdict.ratios)


def _said(verdict: Verdict) -> str:
    """A verdict beside the figure that it is of."""
    return f"{verdict.median:.2f} x {verdict.target.of}"


def _summary(found: Sequence[Verdict]) -> Iterator[str]:
    """The targets once more, each in a line."""
    yield ""
    yield "Targets"
    for verdict in found:
        who = f"{verdict.target.row}, {verdict.who}"
        yield f"  {who:30} {_bound(verdict.target):46} {_ratio(verdict):24} {_state(verdict)}"


def _notes(report: Report) -> Iterator[str]:
    """What the last round's measurements remarked."""
    yield ""
    yield "Notes, of the last round"
    for key, series in report.figures.items():
        last = series[-1] if series else None
        if isinstance(last, Measured) and last.note:
            yield f"  {key.row}, {key.who}: {last.note}"
    yield f"took {report.took_s:.0f} s"


def _ratio(verdict: Verdict) -> str:
    """The median of the rounds' ratios, and from where to where they went."""
    if not verdict.ratios:
        return "-"
    if not verdict.target.against:
        return f"{verdict.median * 1e3:.2f} ms"
    low, high = min(verdict.ratios), max(verdict.ratios)
    return f"{verdict.median:.2f} x" + (f" ({low:.2f} to {high:.2f})" if len(verdict.ratios) > 1 else "")


def _bound(target: Target) -> str:
    bound = f"{target.factor:.2f} x {target.of}" if target.against else f"{target.factor * 1e3:.0f} ms"
    return f"{target.bound} {bound}"


def _state(verdict: Verdict) -> str:
    return {True: "met", False: "SHORT", None: "not measured"}[verdict.met]


def _median(values: Sequence[float | None], form: Callable[[float], str]) -> str:
    there = [value for value in values if value is not None]
    return form(statistics.median(there)) if there else ""


def _line(*cells: str) -> str:
    first, *others = zip(cells, WIDTHS, strict=True)
    return first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in others)


def _load(measured: Sequence[Measured], unit: str) -> str:
    """The generator's processor time for an operation, and what that is of a core at such a rate."""
    there = [(one.load_us, one.value) for one in measured if one.load_us is not None]
    if not there:
        return ""
    share = statistics.median(us * (rate if unit == "/s" else 1 / rate) / 1e6 for us, rate in there)
    return f"{statistics.median(us for us, _ in there):,.1f} ({share:.0%})"


def _row_json(key: Key, series: Sequence[Measured | Failure]) -> dict[str, Any]:
    kind = KINDS.get(key.row)
    values = [one.value for one in series if isinstance(one, Measured)]
    return {
        "row": key.row,
        "who": key.who,
        "what": kind.what if kind else "",
        "unit": unit_of(key),
        "durability": kind.durability if kind else "",
        "median": statistics.median(values) if values else None,
        "lowest": min(values, default=None),
        "highest": max(values, default=None),
        "rounds": [one._asdict() for one in series],
    }


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "row": verdict.target.row,
        "who": verdict.who,
        "target": _bound(verdict.target),
        "ratios": list(verdict.ratios),
        "median": verdict.median if verdict.ratios else None,
        "met": verdict.met,
    }
