"""Rule: a Sort whose input comes in its order already is dropped; so is a DISTINCT of rows that cannot be alike.

In: chosen accesses. Out: Sorts gone, the accesses below them reading backwards where the order asks for it.
"""

from __future__ import annotations

from zodbapi.optimizer.context import Context
from zodbapi.optimizer.ordering import Keys, is_single, ordered, tells_apart
from zodbapi.optimizer.predicates import each_query
from zodbapi.plan.expr import Column, Const, SortKey
from zodbapi.plan.nodes import Aggregate, Distinct, Node, Project, Sort
from zodbapi.plan.walk import rebuild_inputs


def drop_sorts(node: Node, context: Context) -> Node:
    """The plan without needless Sort and Distinct nodes."""
    if not context.occurs(Sort, Distinct):
        return node
    if context.has_queries:
        node = each_query(node, lambda query: _drop(query, context))
    return _drop(node, context)


def _drop(node: Node, context: Context) -> Node:
    node = rebuild_inputs(node, lambda child: _drop(child, context))
    match node:
        case Sort():
            found = ordered(node.input, _needed(node.keys), context)
            return node if found is None else found
        case Distinct():
            return node.input if _is_distinct(node, context) else node
        case _:
            return node


def _needed(keys: Keys) -> Keys:
    """The keys without constants."""
    return tuple(key for key in keys if not isinstance(key.expr, Const))


def _is_distinct(node: Distinct, context: Context) -> bool:
    """Whether the rows of a DISTINCT's input differ in the columns that it looks at."""
    if is_single(node.input, context):
        return True
    project = node.input
    if not isinstance(project, Project) or node.on:
        return False
    columns = project.columns[: node.columns]
    match project.input:
        case Aggregate(keys=keys, source=source):
            shown = {c.position for c in columns if isinstance(c, Column) and c.source == source}
            return bool(keys) and shown.issuperset(range(len(keys)))
        case _:
            collations = node.collations or ("BINARY",) * len(columns)
            seen = tuple(SortKey(column, collation=c) for column, c in zip(columns, collations, strict=False))
            return tells_apart(project.input, seen, [], context)
