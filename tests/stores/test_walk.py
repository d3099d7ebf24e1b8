"""Walks over any links: bounded, each node once, and told where a loop begins."""

from hypothesis import given
from hypothesis import strategies as st

from stores.walk import walk


@given(st.dictionaries(st.integers(0, 8), st.integers(0, 8)), st.integers(0, 8), st.integers(1, 12))
def test_a_walk_follows_the_links_as_far_as_its_bound_and_its_first_loop(
    links: dict[int, int], start: int, count_max: int
) -> None:
    nodes, loop_start = walk(start, links.get, count_max=count_max)
    assert nodes[0] == start
    assert [links[node] for node in nodes[:-1]] == nodes[1:]
    assert len(set(nodes)) == len(nodes) <= count_max
    if loop_start is not None:
        assert links[nodes[-1]] == nodes[loop_start]
    elif len(nodes) < count_max:
        assert nodes[-1] not in links
