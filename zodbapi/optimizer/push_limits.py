"""Rule: a LIMIT on what has one row is dropped; a Sort under a LIMIT keeps only as many rows as will be asked for.

In: Limit above Sort, with Projects between. Out: ``Sort.limit`` set to limit + offset, a negative limit staying "all", and
``Sort.presorted`` to the number of leading keys whose order the input has anyway (an index on the first of them, say).
"""

from __future__ import annotations

from zodbapi.catalog import INTEGER
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.ordering import Keys, is_single, ordered
from zodbapi.optimizer.predicates import each_query
from zodbapi.plan.expr import Binary, Case, Compare, Const, Expr, Param, is_positive
from zodbapi.plan.nodes import Limit, Node, Project, Sort
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import replace

ZERO = Const(0, INTEGER)
ALL = Const(-1, INTEGER)
HUGE = Const(2**62, INTEGER)  # a sum of more might be no integer of 64 bits


def push_limits(node: Node, context: Context) -> Node:
    """The plan with LIMIT known to the Sorts below it, or gone."""
    if not context.occurs(Limit):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _push(query, context))
    return _push(node, context)


def _push(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _push(child, context))
    if not isinstance(node, Limit) or node.limit is None:
        return node
    if is_positive(node.limit) and node.offset is None and is_single(node.input, context):
        return node.input
    rows = rows_wanted(node.limit, node.offset)
    if rows is None:
        return node
    below = _limited(node.input, rows, context)
    return node if below is node.input else replace(node, input=below)


def _limited(node: Node, rows: Expr, context: Context) -> Node:
    match node:
        case Sort(limit=None):
            for leading in range(len(node.keys) - 1, 0, -1):
                presorted = ordered(node.input, node.keys[:leading], context)
                if presorted is not None and not _is_idle(presorted, node.keys[:leading], context):
                    return Sort(presorted, node.keys, rows, leading)
            return replace(node, limit=rows)
        case Project():
            below = _limited(node.input, rows, context)
            return node if below is node.input else replace(node, input=below)
        case _:
            return node


def _is_idle(node: Node, keys: Keys, context: Context) -> bool:
    """Whether the keys have the same value in all rows, so that any order is theirs."""
    reversed_keys = tuple(replace(key, descending=not key.descending, nulls_first=not key.nulls_first) for key in keys)
    return ordered(node, reversed_keys, context) is node


def rows_wanted(limit: Expr, offset: Expr | None) -> Expr | None:
    """Rows needed for LIMIT and OFFSET: their sum, where a negative offset is 0 and a negative limit stays negative."""
    if not isinstance(limit, (Const, Param)) or not isinstance(offset, (Const, Param, type(None))):
        return None
    if offset is None:
        return limit
    skipped: Expr = Case(((Compare("<", offset, ZERO), ZERO),), offset, INTEGER)
    if isinstance(limit, Const):
        if not isinstance(limit.value, int) or not 0 <= limit.value <= HUGE.value:
            return None
        if not isinstance(offset, Const):
            return Case(((Compare(">", offset, HUGE), ALL),), Binary("+", limit, skipped, INTEGER), INTEGER)
        if not isinstance(offset.value, int) or offset.value > HUGE.value:
            return None
        return Const(limit.value + max(offset.value, 0), INTEGER)
    unlimited = (Compare("<", limit, ZERO), ALL), (Compare(">", limit, HUGE), ALL), (Compare(">", offset, HUGE), ALL)
    return Case(unlimited, Binary("+", limit, skipped, INTEGER), INTEGER)
