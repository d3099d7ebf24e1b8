"""What holds for every lens and any claims."""

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from episteme.lenses import LENSES, Candidate
from tests.lenses.claims import candidates, claim, resolve
from tests.support.events import NOW_MS

ROOT = Path(__file__).parents[2]
ROUNDING = 5e-7  # of a number of six digits
lenses = st.sampled_from(sorted(LENSES))


@given(lenses, candidates(), st.randoms(use_true_random=False))
def test_the_order_of_the_claims_does_not_change_a_byte(lens: str, claims: list[Candidate], random: Random) -> None:
    shuffled = list(claims)
    random.shuffle(shuffled)
    assert msgspec.json.encode(resolve(lens, shuffled)) == msgspec.json.encode(resolve(lens, claims))


@given(lenses, candidates())
def test_the_winner_is_one_of_the_claims_and_its_group_is_first(lens: str, claims: list[Candidate]) -> None:
    found = resolve(lens, claims)
    assert (found.winner is None) is (not claims)
    if found.winner is not None:
        winner = next(candidate for candidate in claims if candidate.digest == found.winner)
        assert found.winner in found.groups[0].hashes
        assert found.groups[0].value == winner.event.object


@given(lenses, candidates())
def test_every_claim_is_listed_once(lens: str, claims: list[Candidate]) -> None:
    found = resolve(lens, claims)
    listed = Counter(digest for row in found.groups for digest in row.hashes)
    assert listed == Counter(candidate.digest for candidate in claims)
    assert found.candidates_count == len(claims) == sum(row.hashes_count for row in found.groups)


@given(lenses, candidates())
def test_shares_sum_to_one(lens: str, claims: list[Candidate]) -> None:
    groups = resolve(lens, claims).groups
    if groups:
        assert abs(math.fsum(row.share for row in groups) - 1) <= len(groups) * ROUNDING + 1e-12
        assert all(0 <= row.share <= 1 for row in groups)


@given(lenses, candidates())
def test_conflict_and_confidence_lie_between_zero_and_one(lens: str, claims: list[Candidate]) -> None:
    found = resolve(lens, claims)
    assert 0 <= found.conflict <= 1
    assert 0 <= found.confidence <= 1
    assert found.margin is None or found.margin >= 0


@given(lenses, candidates())
def test_every_number_is_finite_and_no_zero_is_negative(lens: str, claims: list[Candidate]) -> None:
    for number in floats_in(msgspec.to_builtins(resolve(lens, claims))):
        assert math.isfinite(number)
        assert math.copysign(1, number) == 1 or number != 0


@given(lenses, candidates())
def test_the_status_follows_from_the_numbers(lens: str, claims: list[Candidate]) -> None:
    found = resolve(lens, claims)
    count = len(found.groups)
    assert (found.status == "none") is (count == 0)
    assert (found.status == "unanimous") is (count == 1)
    assert (found.margin is None) is (count < 2)
    if count >= 2:
        share = max(row.share for row in found.groups)
        # The rule is applied to exact numbers; six digits cannot tell which side of it the nearest are on.
        assume(abs(share - 0.8) > 1e-6 and abs(found.conflict - 0.4) > 1e-6)
        agreed = found.conflict < 0.4 or share >= 0.8
        assert found.status == ("agreed" if agreed else "contested")


@given(candidates(), st.sampled_from(["consensus", "votes"]))
def test_the_groups_of_a_weighing_lens_come_by_falling_share(claims: list[Candidate], lens: str) -> None:
    found = resolve(lens, claims)
    parts = [row.share for row in found.groups]
    assert parts == sorted(parts, reverse=True)
    assert found.confidence == (parts[0] if parts else 0.0)


@given(candidates())
def test_consensus_is_what_counting_by_hand_gives(claims: list[Candidate]) -> None:
    stands_for: dict[bytes, tuple[int, int, object]] = {}
    for candidate in claims:
        for signer in candidate.signers:
            said = (candidate.timestamp, candidate.seq, candidate.key)
            stands_for[signer.agent] = max(said, stands_for.get(signer.agent, said))
    support = Counter(key for _, _, key in stands_for.values())
    key_of = {candidate.digest: candidate.key for candidate in claims}
    for row in resolve("consensus", claims).groups:
        expected = support[key_of[row.hashes[0]]]
        assert row.support == expected
        assert row.share == round(float(Fraction(expected, len(stands_for))), 6)


@given(candidates().filter(bool), st.integers(0, 11))
def test_one_more_agent_who_agrees_never_lowers_a_share(claims: list[Candidate], index: int) -> None:
    joined = claims[index % len(claims)]
    newcomer = claim(joined.event.object, "newcomer", seq=len(claims), at=NOW_MS + 50)
    before, after = resolve("consensus", claims), resolve("consensus", [*claims, newcomer])
    share_before = next(row.share for row in before.groups if joined.digest in row.hashes)
    share_after = next(row.share for row in after.groups if joined.digest in row.hashes)
    assert share_after >= share_before


@given(candidates(), st.integers(0, 11))
def test_an_agent_that_says_it_again_changes_no_share(claims: list[Candidate], index: int) -> None:
    if not claims:
        return
    latest = max(claims, key=lambda candidate: (candidate.timestamp, candidate.seq))
    name = latest.signers[index % len(latest.signers)].agent.decode()
    again = claim(latest.event.object, name, seq=len(claims), at=NOW_MS + 50)
    before, after = resolve("consensus", claims), resolve("consensus", [*claims, again])
    assert sorted(row.share for row in after.groups) == sorted(row.share for row in before.groups)


@pytest.mark.parametrize("lens", sorted(LENSES))
@settings(max_examples=15)
@given(count=st.integers(2, 400))
def test_equal_groups_have_conflict_one_however_many(lens: str, count: int) -> None:
    assert resolve(lens, [claim(str(n), f"a{n}", seq=n) for n in range(count)]).conflict == 1.0


SCRIPT = """
import sys
from random import Random
import msgspec
from episteme.lenses import LENSES, newest_stages
from tests.lenses.claims import claim, resolve

random = Random(7)
claims = []
for seq in range(60):
    follows = random.choice(claims) if claims and seq % 3 == 0 else None
    value = random.choice(["a", "b", "c", True, 1])
    agents = random.sample(["ana", "ben", "cho", "dan", "eve"], 2)
    claims.append(claim(value, *agents, seq=seq, at=random.randrange(9), follows=follows, votes=["0.5"] * (seq % 2)))
for lens in sorted(LENSES):
    sys.stdout.buffer.write(msgspec.json.encode(resolve(lens, newest_stages(claims))) + b"\\n")
"""


def test_the_seed_of_python_hashes_does_not_change_a_byte() -> None:
    one, other = (output_under_hash_seed(seed) for seed in ("1", "2"))
    assert one.count(b"\n") == len(LENSES)
    assert one == other


def output_under_hash_seed(seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=60
    )
    return done.stdout


def floats_in(tree: object) -> Iterator[float]:
    if isinstance(tree, float):
        yield tree
    elif isinstance(tree, dict):
        for one in tree.values():
            yield from floats_in(one)
    elif isinstance(tree, list | tuple):
        for one in tree:
            yield from floats_in(one)
