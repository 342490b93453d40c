"""Rule: where the order of a large table's rows does not matter, an index that has all that is wanted of them is read instead.

In: chosen accesses. Out: under aggregates and DISTINCT, whole scans of the narrowest covering index. Its entries are
smaller than rows, and they come sorted: groups and joined rows that are alike come one after the other, in memory that was
just touched::

    SELECT author_id, count(*) FROM book GROUP BY author_id

    Aggregate count(*) BY author_id    =>    Aggregate count(*) BY author_id
      Scan book                                IndexRange book USING book_author
"""

from __future__ import annotations

from collections import defaultdict

from zodbapi.catalog import Index
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import each_query
from zodbapi.plan.entries import covers
from zodbapi.plan.expr import Column, Rowid
from zodbapi.plan.nodes import Aggregate, Distinct, Filter, HashJoin, IndexRange, Join, Node, Project, Scan
from zodbapi.plan.walk import descend, rebuild_inputs
from zodbapi.record import replace

MANY = 100_000  # rows of a table from which on the groups and joined rows of a scan fall out of the processor's caches
Uses = dict[int, set[int]]
_ROWID = -1

# Aggregates whose result does not depend on the order of the rows: the values that an index gives are exact.
_ORDERLESS = frozenset({"count", "sum", "total", "avg", "min", "max"})


def cover_scans(node: Node, context: Context) -> Node:
    """The plan with covering indexes for scans."""
    if not context.occurs(Aggregate, Distinct) or context.most_rows() < MANY:
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
        case _:
            return node


def _below(node: Node, uses: Uses, context: Context) -> Node:
    """The node with another access for the table that the outermost loop below it reads."""
    match node:
        case Aggregate() | Distinct() | Filter() | Project():
            child = _below(node.input, uses, context)
            return node if child is node.input else replace(node, input=child)
        case Join() | HashJoin() if node.kind != "full":
            left = _below(node.left, uses, context)
            return node if left is node.left else replace(node, left=left)
        case Scan() if context.rows(node.table) >= MANY:
            return _covered(node, uses[node.source])
        case _:
            return node


def _covered(scan: Scan, positions: set[int]) -> Node:
    table = scan.table
    if not positions - {table.rowid_column} or _ROWID in positions:  # a count of all rows looks at none
        return scan
    found = [i for i in table.indexes if i.where is None and covers(table, i, positions)]
    if not found:
        return scan
    return IndexRange(scan.source, table, min(found, key=_width))


def _width(index: Index) -> tuple[int, bool, int]:
    return len(index.columns), index.keyed, index.id
