"""Skeptic and layered: a disagreement shown whole."""

import msgspec

from model import TextValue
from tests.lenses.claims import claim, find, resolve, shares_of, values_of
from tests.support.events import HASH_1, HASH_2, NOW_MS

# Skeptic


def test_skeptic_has_no_winner_and_the_numbers_of_consensus() -> None:
    claims = [claim("yes", "ana", "ben"), claim("no", "cho", seq=1)]
    skeptic, consensus = resolve("skeptic", claims), resolve("consensus", claims)
    assert (skeptic.winner, skeptic.confidence) == (None, 0.0)
    assert (skeptic.groups, skeptic.conflict, skeptic.status) == (
        consensus.groups,
        consensus.conflict,
        consensus.status,
    )
    assert (skeptic.margin, skeptic.candidates_count) == (consensus.margin, 2)


def test_the_chart_tells_for_each_value_who_since_when_how_sure_and_on_how_many_sources() -> None:
    claims = [
        claim("yes", "ana", "ben", tier="clinical", confidence="0.9", source=HASH_1),
        claim("yes", "cho", tier="expert", confidence="0.4", at=NOW_MS + 5, seq=1, source=HASH_1),
        claim("yes", "dan", tier="expert", confidence="0.7", at=NOW_MS - 5, seq=2, source=HASH_2),
        claim("no", "eve", tier="anecdotal", confidence="0.2", seq=3),
    ]
    chart = find("skeptic", claims).chart
    assert msgspec.to_builtins(chart) == (
        {
            "value": {"type": "text", "value": "yes"},
            "support_by_tier": ((1, 2), (3, 2)),
            "first_timestamp": NOW_MS - 5,
            "last_timestamp": NOW_MS + 5,
            "confidence_min_micros": 400_000,
            "confidence_max_micros": 900_000,
            "sources_count": 2,
        },
        {
            "value": {"type": "text", "value": "no"},
            "support_by_tier": ((5, 1),),
            "first_timestamp": NOW_MS,
            "last_timestamp": NOW_MS,
            "confidence_min_micros": 200_000,
            "confidence_max_micros": 200_000,
            "sources_count": 0,
        },
    )


def test_the_chart_counts_an_agent_once_in_the_tier_of_its_latest_claim() -> None:
    claims = [
        claim("yes", "ana", tier="clinical"),
        claim("yes", "ana", tier="expert", at=NOW_MS + 1, seq=1),
        claim("no", "ben", tier="expert", seq=2),
        claim("yes", "ben", tier="community", at=NOW_MS + 1, seq=3),
    ]
    chart = {row.value: row.support_by_tier for row in find("skeptic", claims).chart}
    assert chart == {TextValue("yes"): ((3, 1), (4, 1)), TextValue("no"): ()}


def test_the_chart_is_in_the_order_of_the_groups() -> None:
    claims = [claim(value, *value, seq=seq) for seq, value in enumerate(["a", "bcd", "ef"])]
    found = find("skeptic", claims)
    assert [row.value.value for row in found.chart] == values_of(found.resolution) == ["bcd", "ef", "a"]


def test_the_other_lenses_have_no_chart_and_no_layers() -> None:
    found = find("consensus", [claim("yes", "ana")])
    assert (found.chart, found.layers, found.constraints, found.values) == ((), (), (), ())


# Layered


def layered() -> list:
    return [
        claim("yes", "ana", tier="observational"),
        claim("no", "ben", "cho", tier="observational", seq=1),
        claim("yes", "dan", "eve", "fay", tier="community", seq=2),
        claim("maybe", "gus", tier="anecdotal", seq=3),
        claim("yes", "hal", tier="anecdotal", seq=4),
    ]


def test_each_tier_with_claims_decides_by_consensus_best_tier_first() -> None:
    claims = layered()
    found = find("layered", claims)
    assert [layer.tier for layer in found.layers] == [2, 4, 5]
    for layer in found.layers:
        alone = [candidate for candidate in claims if candidate.tier == layer.tier]
        assert layer.resolution == resolve("consensus", alone)
    assert [layer.resolution.status for layer in found.layers] == ["contested", "unanimous", "contested"]


def test_the_best_tier_speaks_for_all() -> None:
    claims = layered()
    found = resolve("layered", claims)
    best = resolve("consensus", claims[:2])
    assert (found.winner, found.confidence, found.conflict) == (claims[1].digest, best.confidence, best.conflict)
    assert (found.margin, found.status, found.candidates_count) == (best.margin, "contested", 5)
    assert (values_of(found), shares_of(found)) == (["no", "yes", "maybe"], [0.666667, 0.333333, 0.0])
    assert [row.support for row in found.groups] == [2, 5, 1]


def test_an_agent_stands_in_each_layer_for_its_latest_claim_there() -> None:
    claims = [
        claim("yes", "ana", tier="clinical"),
        claim("no", "ana", tier="anecdotal", at=NOW_MS + 1, seq=1),
    ]
    found = find("layered", claims)
    assert [(layer.tier, values_of(layer.resolution)) for layer in found.layers] == [(1, ["yes"]), (5, ["no"])]
    assert [layer.resolution.groups[0].support for layer in found.layers] == [1, 1]
    assert (found.resolution.status, found.resolution.confidence, found.resolution.margin) == ("agreed", 1.0, 1.0)


def test_a_single_layer_is_consensus() -> None:
    claims = [claim("yes", "ana", "ben"), claim("no", "cho", seq=1)]
    by_layer, by_support = resolve("layered", claims), resolve("consensus", claims)
    assert msgspec.structs.replace(by_layer, lens="consensus") == by_support
