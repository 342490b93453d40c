"""Rule: a LEFT JOIN of which only the rows without a match are kept is an anti join.

In: a Filter just above a LEFT JOIN, with ``b.x IS NULL`` for a column of the right table that is never NULL. Out: the anti join,
which stops at the first match and needs no row of NULLs, where nothing above reads the right table.
"""

from __future__ import annotations

from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import NONE, each_query, emitted, filtered, split, used
from zodbapi.plan.expr import Column, Expr, IsNull, Rowid
from zodbapi.plan.nodes import Filter, Join, Node, Scan
from zodbapi.plan.walk import Part, parts, rebuild
from zodbapi.record import replace


def anti_joins(node: Node, context: Context) -> Node:
    """The plan with such outer joins as anti joins."""
    if not context.occurs(Join) or not context.occurs(IsNull):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _rewrite(query, NONE, context))
    return _rewrite(node, NONE, context)


def _rewrite(node: Node, above: frozenset[int], context: Context) -> Node:
    """``above``: the sources that the nodes above read."""
    if isinstance(node, Filter) and isinstance(node.input, Join) and node.input.kind == "left":
        terms = split(node.predicate)
        for term in terms:
            others = [other for other in terms if other is not term]
            if _keeps_the_unmatched(term, node.input, above.union(*map(used, others))):
                return _rewrite(filtered(replace(node.input, kind="anti"), others), above, context)
    reads = above.union(*map(used, parts(node)))

    def changed(part: Part) -> Part:
        return _rewrite(part, reads, context) if isinstance(part, Node) else part

    return rebuild(node, changed)


def _keeps_the_unmatched(term: Expr, join: Join, others: frozenset[int]) -> bool:
    """Whether the term is true for rows without a match alone, and what else is said above does not read the right table."""
    scan = join.right.input if isinstance(join.right, Filter) else join.right
    if not isinstance(term, IsNull) or not isinstance(scan, Scan) or not others.isdisjoint(emitted(join.right)):
        return False
    match term.operand:
        case Column(source=source, position=position) if source == scan.source:
            return position == scan.table.rowid_column or scan.table.columns[position].not_null
        case Rowid(source=source):
            return source == scan.source
        case _:
            return False
