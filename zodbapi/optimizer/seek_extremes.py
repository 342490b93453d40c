"""Rule: ``min(x)`` and ``max(x)`` read one row where an index, or the rowid, has the rows in the order of x.

In: an Aggregate without keys whose only call is min or max of a column of one table. Out: the same Aggregate over the first
row in that order whose x is not NULL::

    Aggregate max(price)          Aggregate max(price)
      Scan book            =>       Limit 1
                                      Sort price DESC        (which an index scan then spares)
                                        Filter price IS NOT NULL
                                          Scan book
"""

from __future__ import annotations

from zodbapi.catalog import INTEGER
from zodbapi.optimizer.access import paths_to
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.ordering import direction, fixing
from zodbapi.optimizer.predicates import each_input, each_query, filtered, split, volatile
from zodbapi.plan.expr import Column, Const, Expr, IsNull, Not, SortKey
from zodbapi.plan.nodes import Aggregate, Filter, Limit, Node, Scan, Sort
from zodbapi.record import replace


def seek_extremes(node: Node, context: Context) -> Node:
    """The plan with min and max read from one end of an index."""
    if not context.occurs(Aggregate):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _seek(query, context))
    return _seek(node, context)


def _seek(node: Node, context: Context) -> Node:
    node = each_input(node, lambda child: _seek(child, context))
    match node:
        case Aggregate(keys=(), calls=(call,)) if call.filter is None and len(call.args) == 1:
            argument = call.args[0]
        case _:
            return node
    if call.function.name not in ("min", "max") or not isinstance(argument, Column):
        return node
    scan = node.input.input if isinstance(node.input, Filter) else node.input
    terms = split(node.input.predicate) if isinstance(node.input, Filter) else []
    if not isinstance(scan, Scan) or argument.source != scan.source or any(volatile(term) for term in terms):
        return node
    descending = call.function.name == "max"
    key = SortKey(argument, descending, not descending, call.collation)
    if not _comes_in_order(scan, terms, key, context):
        return node
    present: list[Expr] = [Not(IsNull(argument), nullable=False)] if argument.nullable else []
    context.introduce(Sort, Limit)
    first = Limit(Sort(filtered(scan, terms + present), (key,)), Const(1, INTEGER), None)
    return replace(node, input=first)


def _comes_in_order(scan: Scan, terms: list[Expr], key: SortKey, context: Context) -> bool:
    """Whether a path that answers all terms has the rows in the order of the key."""
    fixed = fixing(scan.source, scan.table, terms)
    for path in paths_to(scan.source, scan.table, terms, context, whole=True):
        if direction((key,), path.order, fixed, scan.source, scan.table) is None:
            continue
        answered = path.answered()
        if all(any(term is done for done in answered) for term in terms):
            return True
    return False
