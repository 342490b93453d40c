"""Cheap numbers about tables for the optimizer.

In: a transaction. Out: estimates; one path from the root of a tree to a leaf is read, and its two ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zodbapi.storage.transaction import Transaction

_FEW = 200  # rowids this close together are not worth a closer look


class Stats:
    """Estimates for one transaction's snapshot."""

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

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
