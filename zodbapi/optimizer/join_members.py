"""Rule: ``x IN (SELECT ...)`` that is tested for many rows becomes a semi join, NOT IN an anti join.

In: AND-ed terms that are left when ``drive_by_keys`` has taken what it can seek by. Out: ``Join("semi" | "anti")``, which
``choose_access`` makes a hash join: its table is there before the rows are read, an expression has to ask for it at each row.
Where rows are few, and in queries that run for each row of another one, the expression stays.
"""

from __future__ import annotations

from zodbapi.optimizer.context import Context
from zodbapi.optimizer.cost import rows_of
from zodbapi.optimizer.predicates import conjoin, emitted, filtered, split, used, volatile
from zodbapi.optimizer.unnest_subqueries import as_join
from zodbapi.plan.expr import Expr, InQuery, Not
from zodbapi.plan.nodes import Aggregate, Compound, Distinct, Filter, Join, Limit, Node, Project, Sort, Window
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import replace

MANY_ROWS = 1000.0


def join_members(node: Node, context: Context) -> Node:
    """The plan with IN subqueries that many rows are tested for as joins."""
    return _join(node, context) if context.occurs(InQuery) else node


def _join(node: Node, context: Context) -> Node:
    match node:
        case Filter():
            below = _join(node.input, context)
            node = node if below is node.input else replace(node, input=below)
            return _joined(node, context)
        case Project() | Aggregate() | Sort() | Limit() | Distinct() | Window() | Compound():
            return rebuild_inputs(node, lambda child: _join(child, context))
        case Join(kind="inner" | "left" | "semi" | "anti"):
            left = _join(node.left, context)
            return node if left is node.left else replace(node, left=left)
        case _:
            return node


def _joined(node: Filter, context: Context) -> Node:
    terms, left = split(node.predicate), emitted(node.input)
    found = [(term, join) for term in terms if (join := _as_join(term, left)) is not None]
    rest = [term for term in terms if not any(term is done for done, _ in found)]
    result = filtered(node.input, rest)
    if not found or rows_of(result, context) < MANY_ROWS:
        return node
    context.introduce(Join)
    for _, (kind, right, on) in found:
        result = Join(kind, result, right, conjoin(on))
    return result


def _as_join(term: Expr, left: frozenset[int]) -> tuple[str, Node, list[Expr]] | None:
    within = term.operand if isinstance(term, Not) else term
    if not isinstance(within, InQuery) or used(within.query) or volatile(within):
        return None
    return as_join(term, left, correlated=False)
