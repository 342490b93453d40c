"""Rule: a subquery in FROM that only filters and computes becomes part of the query around it.

In: Projects below joins, filters and aggregates. Out: their columns substituted where they were used, so that the
other rules see one join tree. A CTE that is used once is taken for a subquery in FROM.
"""

from __future__ import annotations

from collections import Counter

from zodbapi.optimizer.context import Context
from zodbapi.optimizer.predicates import (
    LEAVES,
    each_query,
    emitted,
    holds_query,
    rename,
    substitute,
    volatile,
)
from zodbapi.plan.expr import Affine, Binary, Column, Compare, Expr, IsNull, Not, Rowid, Unary
from zodbapi.plan.nodes import (
    Aggregate,
    Compound,
    Delete,
    Distinct,
    Filter,
    HashJoin,
    Insert,
    Join,
    Limit,
    Materialize,
    Node,
    Project,
    Recursive,
    Sort,
    Update,
    Window,
    output_source,
)
from zodbapi.plan.walk import descend, rebuild_inputs, transform
from zodbapi.record import record, replace

CHEAP = LEAVES | {Affine, Binary, Compare, IsNull, Not, Unary}


@record(frozen=True, slots=True)
class _Place:
    """Where a node stands below its consumer."""

    mergeable: bool = False  # nothing between needs the rows of one source
    extended: bool = False  # on the side of an outer join that it can make NULL
    joined: bool = False  # its rows may be multiplied


_FREE = _Place(mergeable=True)
_FIXED = _Place()


def merge_projects(node: Node, context: Context) -> Node:
    """The plan without Projects that their consumer can do without."""
    if context.occurs(Materialize):
        node = _inline_materialized(node)
    if context.occurs(Sort) and context.occurs(Join):
        if context.has_queries:
            node = each_query(node, _without_idle_sorts)
        node = _without_idle_sorts(node)
    if context.has_queries:
        node = each_query(node, _merge)
    return _merge(node)


def _without_idle_sorts(node: Node) -> Node:
    """The plan without Sorts whose order a join above does not keep anyway."""
    if isinstance(node, Join):
        left, right = _unsorted(node.left), _unsorted(node.right)
        if left is not node.left or right is not node.right:
            node = replace(node, left=left, right=right)
    return rebuild_inputs(node, _without_idle_sorts)


def _unsorted(node: Node) -> Node:
    match node:
        case Sort(limit=None):
            return _unsorted(node.input)
        case Filter() | Project():
            below = _unsorted(node.input)
            return node if below is node.input else replace(node, input=below)
        case _:
            return node


def _merge(root: Node) -> Node:
    while (found := _find(root, _FIXED, root)) is not None:
        root = _merged(root, found)
    return root


def _merged(root: Node, project: Project) -> Node:
    without = transform(root, lambda part: project.input if part is project else part)
    return substitute(without, project.source, project.columns)


def _find(node: Node, place: _Place, root: Node) -> Project | None:
    """A Project that can be merged, outermost first."""
    match node:
        case Project():
            if place.mergeable and _worth_merging(node, place, root):
                return node
            return _find(node.input, _FREE, root)
        case Filter() | Sort() | Window():
            return _find(node.input, place, root)
        case Join() | HashJoin():
            left = _Place(place.mergeable, place.extended or node.kind == "full", True)
            right = _Place(place.mergeable, place.extended or node.kind in ("left", "full"), True)
            return _find(node.left, left, root) or _find(node.right, right, root)
        case Aggregate() | Update() | Delete():
            return _find(node.input, _FREE, root)
        case Distinct() | Limit() | Materialize() | Insert():
            return _find(node.input, _FIXED, root)
        case Compound():
            return _find(node.left, _FIXED, root) or _find(node.right, _FIXED, root)
        case Recursive():
            return _find(node.initial, _FIXED, root) or _find(node.step, _FIXED, root)
        case _:
            return None


def _worth_merging(project: Project, place: _Place, root: Node) -> bool:
    inner = emitted(project.input)
    if place.extended:
        return all(isinstance(c, (Column, Rowid)) and c.source in inner for c in project.columns)
    costly = {i: column for i, column in enumerate(project.columns) if column.__class__ not in LEAVES}
    if not costly:
        return True
    if any(volatile(column) for column in costly.values()):
        return False
    uses = Counter(p.position for p in descend(root) if isinstance(p, Column) and p.source == project.source)
    return all(_may_move(column, uses[i], place) for i, column in costly.items())


def _may_move(column: Expr, uses: int, place: _Place) -> bool:
    if uses == 0:
        return True
    if uses == 1:
        return not (place.joined and holds_query(column))
    parts = list(descend(column))
    return len(parts) <= 4 and all(part.__class__ in CHEAP for part in parts)


def _inline_materialized(root: Node) -> Node:
    """The plan with CTEs used once, outside expressions and recursion, in the place of their use."""
    uses = Counter(part.cte for part in descend(root) if isinstance(part, Materialize))
    renamed: list[tuple[int, int]] = []

    def inline(node: Node) -> Node:
        if isinstance(node, Recursive):
            return node
        node = rebuild_inputs(node, inline)
        if isinstance(node, Materialize) and uses[node.cte] == 1:
            renamed.append((node.source, output_source(node.input)))
            return node.input
        return node

    root = inline(root)
    for old, new in renamed:
        root = rename(root, old, new)
    return root
