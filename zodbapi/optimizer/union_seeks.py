"""Rule: ``a = ? OR b = ?`` over one table, with an index for each side, becomes the union of what the indexes find.

In: a Filter over the only table of a query with an OR of seekable sides. Out: the rowids that the sides find, each once and in
ascending order, drive seeks into the table, whose rows so come as a scan would emit them::

    Filter a = ?1 OR b = ?2         Join
      Scan t                  =>      Sort rowid
                                        Union
                                          Project rowid  (Filter a = ?1 over Scan t)
                                          Project rowid  (Filter b = ?2 over Scan t)
                                      RowidSeek t
"""

from __future__ import annotations

from zodbapi.catalog import INTEGER
from zodbapi.optimizer.access import paths_to
from zodbapi.optimizer.context import LIKELY_ROWS, Context
from zodbapi.optimizer.cost import GET, SCAN_ROW
from zodbapi.optimizer.predicates import each_query, filtered, holds_query, rename, split, volatile
from zodbapi.plan.expr import Column, Expr, Or, Rowid, SortKey
from zodbapi.plan.nodes import (
    Aggregate,
    Compound,
    Delete,
    Distinct,
    Filter,
    Join,
    Limit,
    Node,
    Project,
    RowidSeek,
    Scan,
    Sort,
    Update,
    Window,
    output_source,
)
from zodbapi.plan.walk import rebuild_inputs

OVERHEAD = 20.0  # microseconds of buffering, uniting and sorting


def union_seeks(node: Node, context: Context) -> Node:
    """The plan with ORs of seeks as unions."""
    if not context.occurs(Or):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _unite(query, context))
    return _unite(node, context)


def _unite(node: Node, context: Context) -> Node:
    match node:
        case Filter(input=Scan() as scan):
            return _united(node, scan, context)
        case (
            Project()
            | Aggregate()
            | Sort()
            | Limit()
            | Distinct()
            | Window()
            | Filter()
            | Update()
            | Delete()
            | Compound()
        ):
            return rebuild_inputs(node, lambda child: _unite(child, context))
        case _:
            return node  # below a join, the union would be made again for each row


def _united(node: Filter, scan: Scan, context: Context) -> Node:
    terms = split(node.predicate)
    either = next((term for term in terms if isinstance(term, Or)), None)
    if either is None or any(holds_query(term) or volatile(term) for term in either.terms):
        return node
    rest = [term for term in terms if term is not either]
    scanning = min(paths_to(scan.source, scan.table, rest, context), key=lambda path: path.cost).cost
    if _cost(either, scan, context) >= min(scanning, max(context.rows(scan.table), LIKELY_ROWS) * SCAN_ROW):
        return node
    context.introduce(Join, Sort, Compound)
    first, *others = [_rowids(term, scan, context) for term in either.terms]
    union: Node = first
    for side in others:
        union = Compound(context.new_source(), "union", False, union, side)
    rowid = Column(output_source(union), 0, INTEGER, False, "BINARY", "rowid")
    seek = RowidSeek(scan.source, scan.table, (rowid,))
    return Join("inner", Sort(union, (SortKey(rowid),)), filtered(seek, rest))


def _cost(either: Or, scan: Scan, context: Context) -> float:
    """Microseconds that the union takes; infinite when a side needs a scan."""
    total = OVERHEAD
    for term in either.terms:
        seeks = [path for path in paths_to(scan.source, scan.table, split(term), context) if path.equal]
        if not seeks:
            return float("inf")
        best = min(seeks, key=lambda path: path.cost)
        total += best.cost + best.rows * GET
    return total


def _rowids(term: Expr, scan: Scan, context: Context) -> Project:
    """The rowids of the rows for which one side is true."""
    source = context.new_source()
    renamed = [rename(part, scan.source, source) for part in split(term)]
    position = scan.table.rowid_column
    rowid = Rowid(source) if position is None else Column(source, position, INTEGER, False, "BINARY", "rowid")
    return Project(context.new_source(), filtered(Scan(source, scan.table), renamed), (rowid,), ("rowid",))
