"""Cheap numbers about tables for the optimizer.

In: a transaction. Out: estimates; nothing is read but the ends of a tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zodbapi.storage.transaction import Transaction


class Stats:
    """Estimates for one transaction's snapshot."""

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def row_count(self, table_id: int) -> int:
        """About how many rows the table has: right for rowids without gaps, and never less than one if there is a row."""
        rows = self._txn.entry["rows"].get(table_id) if self._txn.entry is not None else None
        if not rows:
            return 0
        return int(rows.maxKey() - rows.minKey() + 1)
