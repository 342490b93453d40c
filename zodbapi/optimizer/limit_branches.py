"""Rule: the first rows of a UNION ALL are among the first rows of its branches, those of a UNION among their different ones.

In: a Limit above a UNION ALL, with a Sort between or without. Out: the same, with a Limit, and the Sort, above each branch
too, so that an index gives a branch's first rows in order, and what is sorted last are a few rows of each::

    Limit 20                      Limit 20
      Sort by at                    Sort by at
        Union all                     Union all
          Project a                     Limit 20
          Project b           =>          Sort by at
                                            Project a
                                        Limit 20
                                          Sort by at
                                            Project b

The branches of a UNION lose rows that are alike before they are limited, which costs nothing where no two are. Rows that only a
collation takes for alike may stand at several places in the order, so such a UNION stays as it is.

Rows that the order does not tell apart stay in the order of the branches, as a stable sort of all rows would have them.
"""

from __future__ import annotations

from typing import Any

from zodbapi.optimizer.context import Context
from zodbapi.optimizer.ordering import Keys
from zodbapi.optimizer.predicates import each_query, emitted, substitute, used, volatile
from zodbapi.optimizer.push_limits import rows_wanted
from zodbapi.plan.expr import Column, Expr
from zodbapi.plan.nodes import Compound, Distinct, Limit, Node, Project, Sort, output_names, output_source
from zodbapi.plan.walk import Part, rebuild_inputs, transform
from zodbapi.record import replace


def limit_branches(node: Node, context: Context) -> Node:
    """The plan with the limits of UNION ALLs on their branches as well."""
    if not (context.occurs(Limit) and context.occurs(Compound)):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _limit(query, context))
    return _limit(node, context)


def _limit(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _limit(child, context))
    if not isinstance(node, Limit) or node.limit is None:
        return node
    rows = rows_wanted(node.limit, node.offset)
    if rows is None:
        return node
    below = _below(node.input, (), rows, context)
    return node if below is node.input else replace(node, input=below)


def _below(node: Node, keys: Keys, rows: Expr, context: Context) -> Node:
    """The node with the branches of the UNION ALL that it reads limited; ``keys`` order its rows."""
    match node:
        case Sort(limit=None) if not keys:
            below = _below(node.input, node.keys, rows, context)
        case Project():
            inner = tuple(replace(key, expr=substitute(key.expr, node.source, node.columns)) for key in keys)
            below = _below(node.input, inner, rows, context)
        case Compound(op="union") if (node.all or (keys and _is_exact(node))) and all(
            used(key.expr) <= emitted(node) for key in keys
        ):
            return _limited(node, keys, rows, context)
        case _:
            return node
    return node if below is node.input else replace(node, input=below)


def _limited(node: Compound, keys: Keys, rows: Expr, context: Context) -> Compound:
    branches: dict[str, Any] = {}
    for side, branch in (("left", node.left), ("right", node.right)):
        if volatile(branch):  # type: ignore[arg-type]
            continue
        own = tuple(replace(key, expr=_of_branch(key.expr, node, branch)) for key in keys)
        if (
            isinstance(branch, Compound)
            and branch.op == "union"
            and branch.all == node.all
            and (node.all or _is_exact(branch))
        ):
            branches[side] = _limited(branch, own, rows, context)
        elif not isinstance(branch, Limit):
            different = branch if node.all else _distinct(branch, context)
            branches[side] = Limit(Sort(different, own) if own else different, rows, None)
    return replace(node, **branches)


def _is_exact(node: Compound) -> bool:
    return all(collation.upper() == "BINARY" for collation in node.collations)


def _distinct(branch: Node, context: Context) -> Distinct:
    context.introduce(Distinct, Sort)
    return Distinct(branch, len(output_names(branch)))


def _of_branch(expr: Expr, node: Compound, branch: Node) -> Expr:
    """What orders the rows of a compound as an expression over a branch, whose columns know more of their values."""
    source = output_source(branch)
    made = branch
    while not isinstance(made, Project) and hasattr(made, "input"):
        made = made.input
    columns = made.columns if isinstance(made, Project) and made.source == source else ()

    def change(part: Part) -> Part:
        if not isinstance(part, Column) or part.source != node.source:
            return part
        if part.position >= len(columns):
            return replace(part, source=source)
        shown = columns[part.position]
        nullable = bool(getattr(shown, "nullable", True))
        return replace(part, source=source, type=shown.type, nullable=nullable)

    return transform(expr, change)
