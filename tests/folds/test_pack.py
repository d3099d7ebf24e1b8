"""Trust packs: signed by their curator; a higher version takes the place of a lower one."""

from stores import PackMemberRow, Reader, TrustPackStore, pack_id
from tests.folds.governing import ANA, BEN, OPERATOR, RULES, folded, pack, revocation, said, taken_late
from tests.support.stores import ALL

PACK = pack_id(ANA.agent, "friends")


def versions(reader: Reader, *at: int | None) -> list[int | None]:
    rows = [TrustPackStore(reader).as_of(PACK, one) for one in at]
    return [None if row is None else row.version for row in rows]


def test_pack_is_kept_as_its_curator_gave_it() -> None:
    row = TrustPackStore(folded(said(pack(ANA, 3, note="by hand"), ANA))).get(PACK)
    assert row is not None
    assert (row.curator, row.name, row.version, row.note, row.seq) == (ANA.agent, "friends", 3, "by hand", 0)
    assert row.members == (PackMemberRow(ANA.agent, 500_000), PackMemberRow(BEN.agent, 1_000_000))


def test_higher_version_replaces_and_an_equal_or_lower_one_has_no_effect() -> None:
    steps = [said(pack(ANA, version, note=str(place)), ANA) for place, version in enumerate([2, 2, 1, 5, 4, 2])]
    reader = folded(*steps)
    assert versions(reader, 0, 1, 2, 3, 4, 5, None) == [2, 2, 2, 5, 5, 5, 5]
    assert TrustPackStore(reader).positions(PACK, count_max=ALL) == [0, 3]


def test_nobody_but_the_curator_speaks_for_a_pack() -> None:
    event = pack(ANA, 1)
    assert versions(folded(RULES, said(event, OPERATOR, BEN)), None) == [None]
    assert versions(folded(RULES, said(event, OPERATOR), said(event, ANA)), 1, 2) == [None, 1]


def test_curators_do_not_share_packs() -> None:
    store = TrustPackStore(folded(said(pack(ANA, 1), ANA), said(pack(BEN, 9), BEN)))
    assert {row.version for _, row in store.packs(count_max=ALL)} == {1, 9}


def test_revoked_curators_pack_stays_as_it_was() -> None:
    gone = said(revocation(ANA, ANA), ANA)
    assert versions(folded(said(pack(ANA, 1), ANA), gone, said(pack(ANA, 2), ANA)), None) == [1]


def test_version_that_is_taken_late_holds_until_the_next() -> None:
    steps = [said(pack(ANA, version), ANA) for version in (1, 2, 4)]
    late = taken_late(steps, 1)
    assert versions(late, 0, 1, 2, None) == versions(folded(*steps), 0, 1, 2, None) == [1, 2, 4, 4]
    assert versions(taken_late([said(pack(ANA, version), ANA) for version in (5, 3)], 1), None) == [5]
