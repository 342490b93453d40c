"""Rule: a Sort whose input comes in its order already is dropped; so is a DISTINCT of rows that cannot be alike.

In: chosen accesses. Out: Sorts gone, the accesses below them reading backwards where the order asks for it. A DISTINCT of rows of
tables with a key among the columns, which a join may multiply, compares rowids alone.
"""

from __future__ import annotations

from zodbapi.optimizer.access import target_of
from zodbapi.optimizer.context import Context
from zodbapi.optimizer.ordering import Keys, has_unique, is_single, ordered, tells_apart
from zodbapi.optimizer.predicates import each_query, emitted, used, volatile
from zodbapi.plan.expr import Column, Const, Rowid, SortKey
from zodbapi.plan.nodes import Aggregate, Distinct, Node, Project, Sort
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import replace


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
            return node.input if _is_distinct(node, context) else _by_rowids(node, context)
        case _:
            return node


def _needed(keys: Keys) -> Keys:
    """The keys without constants."""
    return tuple(key for key in keys if not isinstance(key.expr, Const))


def _by_rowids(node: Distinct, context: Context) -> Distinct:
    """The DISTINCT of columns that the rowids below decide, with these as what is compared."""
    if node.on or not isinstance(node.input, Project) or any(map(volatile, node.input.columns)):
        return node
    columns = node.input.columns[: node.columns]
    collations = node.collations or ("BINARY",) * len(columns)
    sources = sorted(frozenset().union(*map(used, columns)))
    if not emitted(node.input.input).issuperset(sources) or not 0 < len(sources) < len(columns):
        return node
    for source in sources:
        table = context.table_of(source)
        if table is None:
            return node
        targets = {
            target_of(c, source, table, False): collation for c, collation in zip(columns, collations, strict=False)
        }
        if not has_unique(table, targets, []):
            return node
    return replace(node, on=tuple(Rowid(source, nullable=True) for source in sources), collations=())


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
