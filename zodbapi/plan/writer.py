"""What the functions that write a table are compiled from: everything bound over source 0, the row.

In: made by the binder from the catalog. Out: read by codegen; of indexes by the optimizer too.
"""

from __future__ import annotations

from zodbapi.catalog import Check, ForeignKey, Index, Table
from zodbapi.plan.expr import Expr
from zodbapi.record import record


@record(frozen=True, slots=True)
class BoundIndex:
    """An index with its key parts and predicate bound over source 0, the row."""

    index: Index
    keys: tuple[Expr, ...]
    where: Expr | None


@record(frozen=True, slots=True)
class BoundForeignKey:
    """A foreign key resolved: parent table, and the unique index (None: its rowid) that the key refers to.

    ``child_index`` is an index of the child whose leading columns are the key's, for finding the children of a parent.
    ``parent`` None: the parent table does not exist. ``mismatch`` True: it has no such unique key.
    """

    key: ForeignKey
    child: Table
    parent: Table | None
    parent_positions: tuple[int, ...]
    parent_index: Index | None
    child_index: Index | None
    mismatch: bool = False


@record(frozen=True, slots=True)
class TableWriter:
    """Everything that writing one row of ``table`` evaluates, bound over source 0, the row being written."""

    table: Table
    defaults: tuple[Expr, ...]  # one a column; Const(None) without DEFAULT. SET DEFAULT uses them
    generated: tuple[tuple[int, Expr], ...]  # in an order in which each uses only columns before it
    checks: tuple[tuple[Check, Expr], ...]
    indexes: tuple[BoundIndex, ...]
    parents: tuple[BoundForeignKey, ...]  # foreign keys of this table
    children: tuple[BoundForeignKey, ...]  # foreign keys that refer to this table
