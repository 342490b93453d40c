"""Groups of index entries: what is found by seeks and by passing entries is the same."""

from __future__ import annotations

from itertools import groupby
from math import inf
from typing import Any

import pytest
from BTrees.OOBTree import OOBTree, OOTreeSet

import zodbapi
from zodbapi.codegen.index_groups import FIRST, WORTH_A_SEEK, group_count, group_prefixes, group_sizes
from zodbapi.storage.leaves import WatchedTree, find_leaf

LARGE, SMALL = 3 * WORTH_A_SEEK, 3
SIZES = {
    "none": [],
    "one": [LARGE],
    "few": [SMALL] * (FIRST - 1),
    "just enough to judge by": [SMALL] * FIRST,
    "small": [SMALL] * 200,
    "large": [LARGE] * 20,
    "small ones last": [LARGE] * 12 + [SMALL] * 50,
    "small ones first": [SMALL] * 12 + [LARGE] * 20,
}


class Seeks:
    """A tree that counts what is asked of it."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.seeks = self.passes = 0

    def minKey(self, *low: Any) -> Any:
        self.seeks += 1
        return self.tree.minKey(*low)

    def keys(self, *bounds: Any) -> Any:
        self.passes += len(bounds) == 1
        return self.tree.keys(*bounds)


def entries(sizes: list[int], width: int) -> list[tuple[int, ...]]:
    return [(group // 2, group, i)[-width - 1 :] for group, size in enumerate(sizes) for i in range(size)]


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_all_groups_in_order(sizes: list[int], width: int, watched: bool) -> None:
    keys = entries(sizes, width)
    for tree in (OOTreeSet(keys), OOBTree({key: key[-1] for key in keys})):
        found = WatchedTree(tree, lambda leaf: None) if watched else tree
        expected = [(prefix, len(list(group))) for prefix, group in groupby(keys, lambda key: key[:width])]
        if width == 1:
            expected = [(prefix[0], size) for prefix, size in expected]
        assert list(group_sizes(found, width, inf)) == expected
        assert list(group_prefixes(found, width, inf)) == [prefix for prefix, _ in expected]
        assert group_count(found, width, inf) == len(expected)


@pytest.mark.parametrize("groups", [group_prefixes, group_sizes])
def test_seeks_stop_when_they_do_not_pay(groups: Any) -> None:
    large, small = (Seeks(OOTreeSet(entries(SIZES[name], 1))) for name in ("large", "small"))
    assert len(list(groups(large, 1, inf))) == 20
    assert (large.seeks, large.passes) == (21, 0)
    assert len(list(groups(small, 1, inf))) == 200
    assert (small.seeks, small.passes) == (FIRST + 1, 1)


def test_serializable_notes_the_ends() -> None:
    """A new group between two others, or behind the last one, belongs to a leaf that was noted."""
    tree = OOTreeSet(entries(SIZES["large"], 1))
    noted: list[Any] = []
    assert list(group_prefixes(WatchedTree(tree, noted.append), 1, inf)) == list(range(20))
    leaves = {id(leaf) for leaf in noted}
    for place in range(20):
        assert id(find_leaf(tree, (place, inf))) in leaves


def test_rows_of_the_transaction_count() -> None:
    with zodbapi.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER NOT NULL)")
        connection.execute("CREATE INDEX t_a ON t (a)")
        connection.executemany("INSERT INTO t (a) VALUES (?)", [(i % 3,) for i in range(1000)])
        connection.execute("INSERT INTO t (a) SELECT DISTINCT a + 2 FROM t")
        connection.execute("DELETE FROM t WHERE a = 1")
        assert connection.execute("SELECT a, count(*) FROM t GROUP BY a").fetchall() == [
            (0, 334),
            (2, 334),
            (3, 1),
            (4, 1),
        ]
        assert connection.execute("SELECT count(DISTINCT a) FROM t").fetchone() == (4,)
        connection.execute("DELETE FROM t")
        assert connection.execute("SELECT DISTINCT a FROM t").fetchall() == []
        assert connection.execute("SELECT count(DISTINCT a) FROM t").fetchone() == (0,)
    connection.close()
