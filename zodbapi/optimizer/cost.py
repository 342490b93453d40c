"""What work costs, in microseconds as measured on cached rows, and how many rows to expect.

Guesses, as there are no histograms. They lean towards indexes: a plan is cached while its tables grow, and an index
that was not worth it costs a few times a scan, a scan that was not worth it a thousand times a seek.
"""

from __future__ import annotations

from zodbapi.catalog import Kind
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import kind_of, split
from zodbapi.plan.expr import Between, Call, Compare, Const, Expr, InList, IsNull, Not
from zodbapi.plan.lists import alternatives, how_many
from zodbapi.plan.nodes import (
    Aggregate,
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

SCAN_ROW = 0.1  # one row of a scan, filters included
SEEK = 1.0  # finding a key in an index or among the rows
FETCH = 0.5  # one row through an index entry
BUILD = 0.3  # putting one row into a hash table
PROBE = 0.15  # looking one row up in it
SORT = 0.5  # one row of a sort
UNKNOWN_LIMIT = 100.0  # rows that a LIMIT given as parameter lets pass

ONE_SIDED = 1 / 12  # part of the rows between a bound and the end
TWO_SIDED = 1 / 30


def selectivity(term: Expr) -> float:
    """The part of rows for which a term is expected to be true."""
    match term:
        case Compare(op="=" | "is"):
            return 0.5 if kind_of(term.left) is Kind.BOOLEAN else 0.1
        case Compare(op="!=" | "is not") | Not(operand=IsNull()):
            return 0.9
        case Compare():
            return 0.3
        case Between() | IsNull():
            return 0.1
        case InList():
            return min(0.5, 0.1 * how_many(term.items))
        case Call(function=function) if function.name in ("like", "clike", "ilike", "glob", "regexp"):
            return 0.1
        case Not():
            return 0.8
        case _:
            return 0.5


def passing(rows: float, terms: list[Expr]) -> float:
    """Rows expected to pass all terms."""
    for term in terms:
        rows *= selectivity(term)
    return max(rows, 1.0)


def rows_of(node: Node, context: Context) -> float:
    """Rows that a node is expected to emit; of a right input that uses left's sources, for one left row."""
    match node:
        case Scan():
            return context.rows(node.table)
        case RowidSeek():
            return float(how_many(node.rowids))
        case RowidRange() | IndexRange():
            rows = context.rows(node.table)
            bounds = (node.lower is not None) + (node.upper is not None)
            if isinstance(node, IndexRange) and node.prefix:
                rows = context.matching(node.table, rows, seek_positions(node, len(node.prefix)))
            return max(1.0, rows * (1.0, ONE_SIDED, TWO_SIDED)[bounds])
        case IndexSeek():
            width = len(node.alternatives[0]) if node.alternatives else 0
            if node.index.keyed and width == len(node.index.columns):
                return float(alternatives(node))
            rows = context.matching(node.table, context.rows(node.table), seek_positions(node, width))
            return rows * alternatives(node)
        case Filter():
            return passing(rows_of(node.input, context), split(node.predicate))
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


def seek_positions(node: IndexSeek | IndexRange, width: int) -> list[int | None]:
    """The positions of the leading columns of an access's index."""
    return [column.position for column in node.index.columns[:width]]


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
    found = passing(found, split(node.on))
    return max(found, left) if node.kind == "left" else found
