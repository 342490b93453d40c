"""Rule: where the order of a table's rows does not matter, an index that has all that is wanted of them is read instead.

In: chosen accesses. Out: under aggregates, DISTINCT, and on the right of semi and anti joins, whole scans of the narrowest
covering index, if the table is large or the entries lie together in memory. They are smaller than rows, and they come sorted:
groups and joined rows that are alike come one after the other, in memory that was just touched::

    SELECT author_id, count(*) FROM book GROUP BY author_id

    Aggregate count(*) BY author_id    =>    Aggregate count(*) BY author_id
      Scan book                                IndexRange book USING book_author
"""

from __future__ import annotations

from collections import defaultdict

from zodbapi.catalog import Index
from zodbapi.optimizer.context import SEVERAL, Context
from zodbapi.optimizer.predicates import each_query
from zodbapi.plan.entries import covers
from zodbapi.plan.expr import Column, Rowid
from zodbapi.plan.nodes import Aggregate, Distinct, Filter, HashJoin, IndexRange, Join, Node, Project, Scan
from zodbapi.plan.walk import descend, rebuild_inputs
from zodbapi.record import replace

Uses = dict[int, set[int]]
_ROWID = -1

# Aggregates whose result does not depend on the order of the rows: the values that an index gives are exact.
_ORDERLESS = frozenset({"count", "sum", "total", "avg", "min", "max"})


def cover_scans(node: Node, context: Context) -> Node:
    """The plan with covering indexes for scans."""
    if not context.occurs(Aggregate, Distinct, Join) or context.most_rows() < SEVERAL:
        return node
    uses: Uses = defaultdict(set)
    for part in descend(node):
        if isinstance(part, Column):
            uses[part.source].add(part.position)
        elif isinstance(part, Rowid):
            uses[part.source].add(_ROWID)
    if context.has_queries:
        node = each_query(node, lambda query: _cover(query, uses, context))
    return _cover(node, uses, context)


def _cover(node: Node, uses: Uses, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _cover(child, uses, context))
    match node:
        case Aggregate() if node.each is None and all(
            call.function.name in _ORDERLESS and not call.order for call in node.calls
        ):
            return _below(node, uses, context)
        case Distinct() if not node.on:
            return _below(node, uses, context)
        case HashJoin(kind="semi" | "anti"):
            right = _below(node.right, uses, context)
            return node if right is node.right else replace(node, right=right)
        case _:
            return node


def _below(node: Node, uses: Uses, context: Context) -> Node:
    """The node with another access for the table that the outermost loop below it reads."""
    match node:
        case Aggregate() | Distinct() | Filter() | Project():
            child = _below(node.input, uses, context)
            return node if child is node.input else replace(node, input=child)
        case Join() if node.kind != "full":
            left = _below(node.left, uses, context)
            return node if left is node.left else replace(node, left=left)
        case HashJoin() if node.kind != "full":
            left, right = _below(node.left, uses, context), _below(node.right, uses, context)
            return node if left is node.left and right is node.right else replace(node, left=left, right=right)
        case Scan() if context.rows(node.table) >= SEVERAL:
            return _covered(node, uses[node.source], context)
        case _:
            return node


def _covered(scan: Scan, positions: set[int], context: Context) -> Node:
    table = scan.table
    if not positions - {table.rowid_column} or _ROWID in positions:  # a count of all rows looks at none
        return scan
    found = [i for i in table.indexes if i.where is None and covers(table, i, positions)]
    if not found:
        return scan
    narrowest = min(found, key=_width)
    return IndexRange(scan.source, table, narrowest) if context.prefers_entries(table, narrowest) else scan


def _width(index: Index) -> tuple[int, bool, int]:
    return len(index.columns), index.keyed, index.id
