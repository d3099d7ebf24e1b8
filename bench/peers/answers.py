"""From the groups that a query found to an answer of the same form and figures as ours: docs/lenses.md, consensus."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec


class Found(NamedTuple):
    """The claims of one value as a query gives them; the winning value first."""

    object_type: str  # of the claim that represents the value
    object_value: str
    hash: bytes
    envelope: bytes | None  # of the first group only
    support: int
    best_tier: int
    hashes: Sequence[bytes]  # in log order, at most 100
    hashes_count: int
    seq: int  # the highest of its claims


def answer(subject: str, predicate: str, groups: Sequence[Found]) -> bytes:
    """The answer of `consensus` as JSON."""
    supports = [group.support for group in groups]
    total = sum(supports)
    conflict = _conflict(supports, total)
    first = groups[0] if groups else None
    return msgspec.json.encode(
        {
            "subject": subject,
            "predicate": predicate,
            "status": _status(supports, total, conflict),
            "confidence": round(_share(supports[0], total, len(groups)), 6) if supports else 0.0,
            "conflict": conflict,
            "margin": round((supports[0] - supports[1]) / max(total, 1), 6) if len(supports) > 1 else None,
            "winner": None if first is None else _winner(first),
            "groups": [_group(group, _share(group.support, total, len(groups))) for group in groups],
            "groups_count": len(groups),
            "candidates_count": sum(group.hashes_count for group in groups),
            "lens": {"name": "consensus", "version": 1, "params": {}},
            "seq": max((group.seq for group in groups), default=-1),
            "as_of": None,
            "warnings": [],
            "audit_id": None,
        }
    )


def _winner(group: Found) -> dict[str, Any]:
    assert group.envelope is not None, group.hash.hex()
    return {"value": _value(group), "hash": group.hash.hex(), "assertion": msgspec.Raw(group.envelope)}


def _group(group: Found, share: float) -> dict[str, Any]:
    return {
        "value": _value(group),
        "share": round(share, 6),
        "support": group.support,
        "best_tier": group.best_tier,
        "votes": 0.0,
        "hashes": [digest.hex() for digest in group.hashes],
        "hashes_count": group.hashes_count,
    }


def _value(group: Found) -> dict[str, Any]:
    value: str | bool = group.object_value
    if group.object_type == "boolean":
        value = value == "true"
    return {"type": group.object_type, "value": value}


def _share(support: int, total: int, count: int) -> float:
    return support / total if total else 1 / count


def _conflict(supports: list[int], total: int) -> float:
    if len(supports) < 2:
        return 0.0
    if not total:
        return 1.0
    shares = [support / total for support in supports if support]
    return min(1.0, abs(round(-math.fsum(part * math.log(part) for part in shares) / math.log(len(supports)), 6)))


def _status(supports: list[int], total: int, conflict: float) -> str:
    if len(supports) < 2:
        return "unanimous" if supports else "none"
    return "agreed" if conflict < 0.4 or 0 < total * 4 <= max(supports) * 5 else "contested"
