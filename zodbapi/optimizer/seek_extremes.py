"""Rule: ``min(x)`` and ``max(x)`` read one row where an index, or the rowid, has the rows in the order of x.

In: an Aggregate without keys whose only call is min or max of a column of one table. Out: the same Aggregate over the first
row in that order whose x is not NULL::

    Aggregate max(price)          Aggregate max(price)
      Scan book            =>       Limit 1
                                      Sort price DESC        (which an index scan then spares)
                                        Filter price IS NOT NULL
                                          Scan book

Among other calls they become queries of their own, and what is left is aggregated without them.
"""

from __future__ import annotations

from zodbapi.catalog import INTEGER
from zodbapi.optimizer.access import paths_to
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.ordering import fixing, way
from zodbapi.optimizer.predicates import (
    each_query,
    filtered,
    holds_query,
    split,
    volatile,
    with_source,
)
from zodbapi.plan.expr import AggregateCall, Column, Const, Expr, IsNull, Not, ScalarQuery, SortKey
from zodbapi.plan.nodes import Aggregate, Filter, Limit, Node, Project, Scan, Sort, Values
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import replace


def seek_extremes(node: Node, context: Context) -> Node:
    """The plan with min and max read from one end of an index."""
    if not context.occurs(Aggregate):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _seek(query, context))
    return _seek(node, context)


def _seek(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _seek(child, context))
    if not isinstance(node, Aggregate) or node.keys or any(call.of is not None for call in node.calls):
        return node
    if len(node.calls) == 1:
        first = _first(node, node.calls[0], context)
        return node if first is None else replace(node, input=first)
    return _apart(node, context)


def _first(node: Aggregate, call: AggregateCall, context: Context) -> Node | None:
    """The row that gives the call its value, if an index has it at an end."""
    if call.function.name not in ("min", "max") or call.filter is not None or len(call.args) != 1:
        return None
    argument = call.args[0]
    scan = node.input.input if isinstance(node.input, Filter) else node.input
    terms = split(node.input.predicate) if isinstance(node.input, Filter) else []
    if not isinstance(scan, Scan) or not isinstance(argument, Column) or argument.source != scan.source:
        return None
    if any(volatile(term) for term in terms):
        return None
    descending = call.function.name == "max"
    key = SortKey(argument, descending, not descending, call.collation)
    if not _comes_in_order(scan, terms, key, context):
        return None
    present: list[Expr] = [Not(IsNull(argument), nullable=False)] if argument.nullable else []
    context.introduce(Sort, Limit)
    return Limit(Sort(filtered(scan, terms + present), (key,)), Const(1, INTEGER), None)


def _apart(node: Aggregate, context: Context) -> Node:
    """The aggregate with its calls that an index answers as queries beside the others."""
    if isinstance(node.input, Filter) and holds_query(node.input.predicate):
        return node
    queries: dict[int, ScalarQuery] = {}
    for number, call in enumerate(node.calls):
        if (first := _first(node, call, context)) is not None:
            queries[number] = _query(first, call, context)
    if not queries:
        return node
    context.introduce(ScalarQuery, Project, Values)
    others = [number for number in range(len(node.calls)) if number not in queries]
    source = context.new_source()
    rest: Node = Values(source, ((),))
    if others:
        rest = replace(node, source=source, calls=tuple(node.calls[number] for number in others))
    columns: list[Expr] = []
    for number, call in enumerate(node.calls):
        query = queries.get(number)
        columns.append(query or Column(source, others.index(number), call.type, call.nullable))
    return Project(node.source, rest, tuple(columns), tuple(call.function.name for call in node.calls))


def _query(first: Node, call: AggregateCall, context: Context) -> ScalarQuery:
    """The query for the value of one call, over sources of its own."""
    argument = call.args[0]
    assert isinstance(argument, Column) and isinstance(first, Limit)
    new = context.new_source()
    rows = with_source(first.input, argument.source, new)
    shown = Project(context.new_source(), rows, (replace(argument, source=new),), (call.function.name,))
    return ScalarQuery(replace(first, input=shown), call.type, call.nullable)


def _comes_in_order(scan: Scan, terms: list[Expr], key: SortKey, context: Context) -> bool:
    """Whether a path that answers all terms has the rows in the order of the key."""
    fixed = fixing(scan.source, scan.table, terms)
    for path in paths_to(scan.source, scan.table, terms, context, whole=True):
        found = way((key,), path.order, fixed, scan.source, scan.table)
        if found is None or found.rotated is not None:
            continue
        answered = path.answered()
        if all(any(term is done for done in answered) for term in terms):
            return True
    return False
