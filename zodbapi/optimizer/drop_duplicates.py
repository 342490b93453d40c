"""Rule: under DISTINCT a join that only asks whether there are related rows stops at the first of them.

In: ordered joins. Out: inner joins whose right input nothing above reads become semi joins::

    Distinct                          Distinct
      Project a.country        =>       Project a.country
        Join(b.a_id = a.id)               SemiJoin(b.a_id = a.id)
          Scan a                            Scan a
          Scan b                            Scan b

More rows of the right input would only give more rows that are alike.
"""

from __future__ import annotations

from typing import Any

from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import each_query, emitted, used, volatile
from zodbapi.plan.nodes import Distinct, Filter, Join, Node, Project, Sort
from zodbapi.plan.walk import rebuild_inputs
from zodbapi.record import replace


def drop_duplicates(node: Node, context: Context) -> Node:
    """The plan with semi joins where DISTINCT drops what an inner join multiplies."""
    if not context.occurs(Distinct) or not context.occurs(Join):
        return node
    if context.has_queries:
        node = each_query(node, _drop)
    return _drop(node)


def _drop(node: Node) -> Node:
    node = rebuild_inputs(node, _drop)
    if not isinstance(node, Distinct) or node.on:
        return node
    changed = _below(node.input)
    return node if changed is node.input else replace(node, input=changed)


def _below(node: Node) -> Node:
    """The input of a DISTINCT; a Project whose columns are not all compared would have to keep the first of the others."""
    match node:
        case Sort(limit=None) as sort:
            changed = _below(sort.input)
            return node if changed is sort.input else replace(sort, input=changed)
        case Project(input=child) as project if not any(map(volatile, project.columns)):
            changed = _semi(child, _used(project.columns))
            return node if changed is child else replace(project, input=changed)
        case _:
            return node


def _used(parts: Any) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    return found.union(*(used(part) for part in parts if part is not None))


def _semi(node: Node, wanted: frozenset[int]) -> Node:
    """The node with inner joins made semi joins where none of the sources on the right is wanted."""
    match node:
        case Filter() if not volatile(node.predicate):
            changed = _semi(node.input, wanted | used(node.predicate))
            return node if changed is node.input else replace(node, input=changed)
        case Join(kind="inner" | "cross" | "semi" | "anti" | "left") if node.on is None or not volatile(node.on):
            kind = node.kind
            if kind in ("inner", "cross") and wanted.isdisjoint(emitted(node.right)):
                kind = "semi"
            # A right input may read the rows of the left one.
            left = _semi(node.left, wanted | _used((node.on, node.right)))
            return node if kind == node.kind and left is node.left else replace(node, kind=kind, left=left)
        case _:
            return node
