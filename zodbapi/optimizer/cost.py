"""What work costs, in microseconds as measured on cached rows, and how many rows to expect.

What is known of the data is seen in its trees (see ``storage.stats``), the rest are guesses. They lean towards indexes: a
plan is cached while its tables grow, and an index that was not worth it costs a few times a scan, a scan that was not worth it
a thousand times a seek.
"""

from __future__ import annotations

from collections.abc import Sequence

from zodbapi.catalog import Index, Table
from zodbapi.optimizer.context import LIKELY_ROWS, Context
from zodbapi.optimizer.predicates import split
from zodbapi.optimizer.selectivity import passing
from zodbapi.plan.expr import Const, Expr
from zodbapi.plan.lists import alternatives, how_many
from zodbapi.plan.nodes import (
    Aggregate,
    Bound,
    Compound,
    Distinct,
    Filter,
    HashJoin,
    IndexRange,
    IndexSeek,
    Join,
    Limit,
    Node,
    RowidRange,
    RowidSeek,
    Scan,
    Values,
)

SCAN_ROW = 0.05  # one row of a scan, filters included
SEEK = 1.6  # finding a key in an index
COUNT = 1.25 * SEEK  # finding both ends of a range of entries, which are counted
COUNTED = 0.0005  # one of these
GET = 0.3  # one row by its rowid
FETCH = 0.5  # one row through an index entry: rows in the order of another column are all over the memory
ENTRY = 0.25  # one entry alone
SKIP = 0.05  # one entry that an OFFSET skips
BUILD = 0.1  # putting one row into a hash table
PROBE = 0.03  # looking one row up in it
SORT = 0.4  # one row of a sort
UNKNOWN_LIMIT = 100.0  # rows that a LIMIT given as parameter lets pass

UNKNOWN_NULLS = 0.1  # part of the rows that have NULL in a column
ONE_SIDED = 1 / 12  # part of the rows between a bound and the end
TWO_SIDED = 1 / 30
# The largest part of an index that a parameter is taken to ask for: with another value it may be a small one, and then a plan
# that does not use the index would be a bad one, by far.
WIDEST = 0.08


def rows_of(node: Node, context: Context) -> float:
    """Rows that a node is expected to emit; of a right input that uses left's sources, for one left row."""
    match node:
        case Scan():
            return context.rows(node.table)
        case RowidSeek():
            return float(how_many(node.rowids))
        case RowidRange():
            return range_rows(node.table, node.lower, node.upper, context)
        case IndexRange():
            found = entries_found(node.table, node.index, node.prefix, node.lower, node.upper, context)
            return (
                max(1.0, found - nulls_found(node.table, node.index, node.prefix, context)) if node.present else found
            )
        case IndexSeek():
            if not node.alternatives:
                return 0.0
            return entries_found(node.table, node.index, node.alternatives[0], None, None, context) * alternatives(node)
        case Filter():
            return passing(rows_of(node.input, context), split(node.predicate), context)
        case Join() | HashJoin():
            return _joined_rows(node, context)
        case Aggregate():
            return max(1.0, rows_of(node.input, context) / 10) if node.keys else 1.0
        case Distinct():
            return max(1.0, rows_of(node.input, context) / 2)
        case Limit():
            return min(rows_of(node.input, context), limit_rows(node.limit))
        case Compound():
            return rows_of(node.left, context) + rows_of(node.right, context)
        case Values():
            return float(len(node.rows))
        case _ if hasattr(node, "input"):
            return rows_of(node.input, context)
        case _:
            return 100.0


def entry_cost(source: int, table: Table, index: Index, context: Context) -> float:
    """Microseconds that reading a row through an index entry takes."""
    return ENTRY if context.is_covered(source, table, index) else FETCH


def range_rows(table: Table, lower: Bound | None, upper: Bound | None, context: Context) -> float:
    """Rows expected to have a rowid between two bounds."""
    seen = context.part_seen(table, None, (), lower, upper)
    part = _guessed_part(lower, upper) if seen is None else seen[0]
    return max(1.0, context.rows(table) * part)


def entries_found(
    table: Table, index: Index, keys: Sequence[Expr], lower: Bound | None, upper: Bound | None, context: Context
) -> float:
    """Entries of an index expected to have one combination of ``keys`` in its first columns, and the next one in a range."""
    if index.keyed and len(keys) == len(index.columns):
        return 1.0
    rows = max(context.rows(table), LIKELY_ROWS)
    if not keys and lower is None and upper is None:
        return rows
    seen = context.part_seen(table, index, keys, lower, upper)
    if seen is not None and (seen[0] or lower or upper):
        part, is_fixed = seen
        return max(1.0, rows * (part if is_fixed else min(part, WIDEST)))
    positions = [column.position for column in index.columns[: len(keys)]]
    targets = [-1 if position == table.rowid_column else position for position in positions]
    return max(1.0, context.matching(table, rows, targets) * _guessed_part(lower, upper))


def nulls_found(table: Table, index: Index, keys: Sequence[Expr], context: Context) -> float:
    """Entries expected to have NULL after ``keys``."""
    found = entries_found(table, index, keys, None, None, context)
    seen = context.part_seen(table, index, [*keys, Const(None)], None, None)
    return found * UNKNOWN_NULLS if seen is None else min(found, context.rows(table) * seen[0])


def _guessed_part(lower: Bound | None, upper: Bound | None) -> float:
    return TWO_SIDED if lower and upper else ONE_SIDED if lower or upper else 1.0


def limit_rows(limit: Expr | None) -> float:
    """Rows that a LIMIT lets pass, as far as can be told."""
    if limit is None:
        return float("inf")
    if isinstance(limit, Const) and isinstance(limit.value, int):
        return float(limit.value) if limit.value >= 0 else float("inf")
    return UNKNOWN_LIMIT


def _joined_rows(node: Join | HashJoin, context: Context) -> float:
    left, right = rows_of(node.left, context), rows_of(node.right, context)
    if node.kind in ("semi", "anti"):
        return max(1.0, left / 2)
    if isinstance(node, HashJoin):
        found = left * right / max(1.0, min(left, right))
    else:
        found = left * right
    found = passing(found, split(node.on), context)
    return max(found, left) if node.kind == "left" else found
