"""Rowids for new rows: small, increasing, and given to one row only.

In: a transaction and a table. Out: one more than the largest rowid there is or, with AUTOINCREMENT, than the largest that ever
was. That one is stored only when the row that has it goes, so that an insert changes nothing besides its row.

Who writes to a local database on a snapshot that is not the newest asks the newest state, so that two transactions which
overlap do not take the same rowid. Where there is no lock, rowids are reserved in blocks (``Database.reserved_rowid``).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from ZODB.utils import z64

from zodbapi import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zodbapi.storage.changes import Changes

MAX_ROWID: Final = 2**63 - 1


def next_rowid(txn: Changes, table_id: int, rows: Any, autoincrement: bool) -> int:
    """A rowid for a new row of the tree ``rows``."""
    database = txn.database
    if not database.local and rows._p_serial not in (None, z64):
        return database.reserved_rowid(table_id, rows)
    top = _top(txn, table_id, rows, autoincrement)
    if top < MAX_ROWID:
        return top + 1
    if autoincrement:
        raise errors.OperationalError("database or disk is full")
    for _ in range(100):  # as SQLite does once the largest rowid is taken
        candidate = random.randrange(1, 2**62)
        if candidate not in rows:
            return candidate
    raise errors.OperationalError("database or disk is full")


def next_rowids(txn: Changes, table_id: int, rows: Any, autoincrement: bool, count: int) -> Sequence[int] | None:
    """Rowids for ``count`` new rows, ascending; None near the end of them all."""
    if not txn.database.local and rows._p_serial not in (None, z64):
        return [next_rowid(txn, table_id, rows, autoincrement) for _ in range(count)]
    top = _top(txn, table_id, rows, autoincrement)
    return range(top + 1, top + 1 + count) if top <= MAX_ROWID - count else None


def _top(txn: Changes, table_id: int, rows: Any, autoincrement: bool) -> int:
    """The largest rowid that there is or, with ``autoincrement``, that ever was."""
    top: int = rows.maxKey() if rows else 0
    if not txn.alone and rows._p_serial not in (None, z64):
        return max(top, _newest_top(txn, table_id))
    if autoincrement:
        ever: int = txn.home(table_id)["sequences"].get(table_id, 0)
        return max(top, ever)
    return top


def are_free(rows: Any, wanted: Sequence[int]) -> bool:
    """Whether these rowids are all different, and none is a key of the tree ``rows``."""
    return len(set(wanted)) == len(wanted) and not any(map(rows.has_key, wanted))


def _newest_top(txn: Changes, table_id: int) -> int:
    """The largest rowid of the newest state, which cannot change while this transaction has the lock."""
    top = txn.newest_tops.get(table_id)
    if top is None:
        top = txn.newest_tops[table_id] = txn.database.newest_top(table_id)
    return top


def free_rowid(txn: Changes, table_id: int, rows: Any, rowid: int) -> None:
    """Note that an AUTOINCREMENT table's row has gone: no other gets its rowid, also if it was the largest."""
    sequences = txn.home(table_id)["sequences"]
    if (not rows or rows.maxKey() < rowid) and rowid > sequences.get(table_id, 0):
        txn.put(sequences, table_id, rowid)


def highest_rowid(entry: Any, table_id: int) -> int:
    """The largest rowid that a table ever had; 0 for none."""
    rows = entry["rows"].get(table_id)
    return int(max(rows.maxKey() if rows else 0, entry["sequences"].get(table_id, 0)))
