"""Rule: a Sort under a LIMIT keeps only as many rows as will be asked for.

In: Limit above Sort, with Projects between. Out: ``Sort.limit`` set to limit + offset, a negative limit staying "all".
"""

from __future__ import annotations

from dataclasses import replace

from zodbapi.catalog import INTEGER
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import each_input, each_query
from zodbapi.plan.expr import Binary, Case, Compare, Const, Expr, Param
from zodbapi.plan.nodes import Limit, Node, Project, Sort

ZERO = Const(0, INTEGER)
ALL = Const(-1, INTEGER)


def push_limits(node: Node, context: Context) -> Node:
    """The plan with LIMIT known to the Sorts below it."""
    if not context.occurs(Limit) or not context.occurs(Sort):
        return node
    if context.has_queries:
        node = each_query(node, _push)
    return _push(node)


def _push(node: Node) -> Node:
    node = each_input(node, _push)
    if not isinstance(node, Limit) or node.limit is None:
        return node
    rows = _rows(node.limit, node.offset)
    if rows is None:
        return node
    below = _limited(node.input, rows)
    return node if below is node.input else replace(node, input=below)


def _limited(node: Node, rows: Expr) -> Node:
    match node:
        case Sort(limit=None):
            return replace(node, limit=rows)
        case Project():
            below = _limited(node.input, rows)
            return node if below is node.input else replace(node, input=below)
        case _:
            return node


def _rows(limit: Expr, offset: Expr | None) -> Expr | None:
    """Rows needed for LIMIT and OFFSET: their sum, where a negative offset is 0 and a negative limit stays negative."""
    if not isinstance(limit, (Const, Param)) or not isinstance(offset, (Const, Param, type(None))):
        return None
    if offset is None:
        return limit
    if isinstance(limit, Const) and isinstance(offset, Const):
        if not isinstance(limit.value, int) or not isinstance(offset.value, int):
            return None
        return Const(limit.value + max(offset.value, 0), INTEGER) if limit.value >= 0 else None
    skipped = Case(((Compare("<", offset, ZERO), ZERO),), offset, INTEGER)
    return Case(((Compare("<", limit, ZERO), ALL),), Binary("+", limit, skipped, INTEGER), INTEGER)
