"""Cheap numbers about tables for the optimizer.

In: a transaction. Out: estimates. Nothing is kept for them: a BTree is a histogram already, whose nodes say where between the
first key and the last any key would stand. A few paths from the root of a tree to a leaf are read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import ne
from typing import TYPE_CHECKING, Any

from zodbapi.values import ABOVE

if TYPE_CHECKING:
    from zodbapi.storage.transaction import Transaction

_FEW = 200  # rowids this close together are not worth a closer look
ENOUGH = (
    500  # keys of a tree that tells something about those that it will have, for plans are cached while tables grow
)
_EACH = 3  # of so many rows of a leaf one is looked at
_PLACES = (0.5, 0.125, 0.875)  # where in a tree samples are taken


class Stats:
    """Estimates for one transaction's snapshot, each made once: an object is to be used for one statement."""

    __slots__ = ("_places", "_sizes", "_txn")

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn
        self._sizes: dict[tuple[str, int], int] = {}
        self._places: dict[tuple[str, int, Any], float] = {}

    def row_count(self, table_id: int, few: int = _FEW) -> int:
        """About how many rows the table has: right for rowids without gaps, and never less than one if there is a row.

        Up to ``few`` the answer is the cheapest one, the number of rowids from the first to the last.
        """
        home = self._txn.home(table_id)
        rows = home["rows"].get(table_id) if home is not None else None
        if not rows:
            return 0
        spread = int(rows.maxKey() - rows.minKey() + 1)
        return spread if spread <= few else min(spread, tree_size(rows))

    def part_between(self, index_id: int, low: Any, high: Any) -> float | None:
        """The part of an index's entries from the key ``low`` to ``high`` (None: no bound); None if there are too few to tell."""
        return self._part("indexes", index_id, low, high)

    def part_of_rowids(self, table_id: int, low: Any, high: Any) -> float | None:
        """The part of a table's rows with rowids from ``low`` to ``high``, as above."""
        return self._part("rows", table_id, low, high)

    def part_of_key(self, index_id: int, width: int) -> float | None:
        """The part of an index's entries that have the same first ``width`` parts, on average; None as above.

        Entries stand in order, so a leaf shows how often the parts change from one to the next.
        """
        tree = self._tree("indexes", index_id)
        if tree is None:
            return None
        steps = changes = 0
        keys: list[Any] = []
        for leaf in _leaves(tree):
            keys = list(leaf.keys())
            if type(keys[0]) is tuple:
                keys = [key[:width] for key in keys]
            steps += len(keys) - 1
            changes += sum(map(ne, keys, keys[1:]))
        if changes:
            return max(1.0, steps / changes) / self._sizes["indexes", index_id]
        return self.part_between(index_id, keys[0], (*keys[0], ABOVE)) if type(keys[0]) is tuple else None

    def sample_rows(self, table_id: int) -> list[tuple[Any, ...]]:
        """Some rows of a table; none if it is too small to tell anything."""
        tree = self._tree("rows", table_id)
        return [] if tree is None else [row for leaf in _leaves(tree) for row in list(leaf.values())[::_EACH]]

    def _tree(self, name: str, number: int) -> Any:
        """A tree that has enough keys, or None."""
        home = self._txn.home(number)
        tree = home[name].get(number) if home is not None else None
        if not tree:
            return None
        if (name, number) not in self._sizes:
            self._sizes[name, number] = tree_size(tree)
        return tree if self._sizes[name, number] >= ENOUGH else None

    def _part(self, name: str, number: int, low: Any, high: Any) -> float | None:
        tree = self._tree(name, number)
        if tree is None:
            return None
        places = [0.0, 1.0]
        for i, key in enumerate((low, high)):
            if key is not None:
                place = self._places.get((name, number, key))
                if place is None:
                    try:
                        place = self._places[name, number, key] = place_of(tree, key)
                    except TypeError:  # a key that does not compare with these
                        return None
                places[i] = place
        return max(0.0, places[1] - places[0])


def tree_size(tree: Any) -> int:
    """About how many keys a BTree has, if all its nodes are like those half way down."""
    size = 1
    while hasattr(tree, "_firstbucket"):
        state = tree.__getstate__()
        if state is None or len(state) == 1:
            return size * len(tree)
        children = state[0][::2]
        size *= len(children)
        tree = children[len(children) // 2]
    return size * len(tree)


def place_of(tree: Any, key: Any) -> float:
    """The part of a BTree's keys that are below ``key``, if all nodes of a level are alike."""
    low, width = 0.0, 1.0
    while hasattr(tree, "_firstbucket"):
        state = tree.__getstate__()
        if state is None or len(state) == 1:
            break
        children = state[0]  # child0, key1, child1, key2, ...
        at = bisect_right(children[1::2], key)
        width /= len(children) // 2 + 1
        low += at * width
        tree = children[2 * at]
    keys = list(tree.keys())
    return low + width * bisect_left(keys, key) / max(1, len(keys))


def _leaves(tree: Any) -> Iterator[Any]:
    """Leaves from several places of a BTree, each once."""
    seen = set()
    for place in _PLACES:
        leaf = tree
        while hasattr(leaf, "_firstbucket"):
            state = leaf.__getstate__()
            if state is None or len(state) == 1:
                break
            children = state[0][::2]
            leaf = children[int(len(children) * place)]
        if id(leaf) not in seen:
            seen.add(id(leaf))
            yield leaf
