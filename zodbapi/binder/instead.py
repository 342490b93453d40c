"""INSERT, UPDATE and DELETE of a view with INSTEAD OF triggers: the rows that the triggers are handed.

In: statements whose target is such a view. Out: ``Instead`` nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from zodbapi.binder.from_clause import bind_from, bind_view
from zodbapi.binder.scope import Binding, Field, Relation, Scope
from zodbapi.binder.select import query_fields
from zodbapi.binder.target import bind_assignments, bind_policy, bind_restriction, bind_returning
from zodbapi.catalog import Column as TableColumn
from zodbapi.catalog import Table, View
from zodbapi.plan.expr import Column, Expr
from zodbapi.plan.nodes import Instead, Join, Node, output_source


def view_target(tree: exp.Expression, event: str, binding: Binding) -> View | None:
    """The view that the statement writes, if it has INSTEAD OF triggers for that."""
    view = binding.schema.views.get(tree.name.lower())
    if view is None or all(trigger.event != event for trigger in binding.schema.triggers_of(view.name)):
        return None
    return view


def bind_view_fields(view: View, binding: Binding) -> tuple[Node, Sequence[Field]]:
    """The plan of a view, and what its columns are."""
    node = bind_view(view, binding)
    return node, query_fields(node, binding)


def view_table(view: View, binding: Binding) -> Table:
    """A table with the columns of the view, for resolving names of columns."""
    fields = bind_view_fields(view, binding)[1]
    return Table(-1, view.name, tuple(TableColumn(field.name, field.type) for field in fields))


def bind_instead(tree: exp.Update | exp.Delete, view: View, outer: Scope) -> Node:
    """UPDATE and DELETE of a view."""
    binding = outer.binding
    table = view_table(view, binding)
    node, fields = bind_view_fields(view, binding)
    scope = outer.inner()
    relation = scope.add(Relation(tree.this.alias or view.name, output_source(node), fields))
    shown = binding.new_source()
    returned = bind_returning(tree, outer, table, tree.this.alias, shown)
    if tree.args.get("from_"):
        node = Join("inner", node, bind_from(tree, scope))
    node = bind_restriction(tree, scope, node)
    old: tuple[Column, ...] = tuple(relation.column(i) for i in range(len(fields)))
    if isinstance(tree, exp.Delete):
        return Instead("DELETE", table, node, old, None, (), shown, *returned)
    new: list[Expr] = list(old)
    assigned = []
    for assignment in bind_assignments(tree.expressions, table, scope):
        if assignment.position is not None:
            new[assignment.position] = assignment.value
            assigned.append(assignment.position)
    return Instead("UPDATE", table, node, old, tuple(new), tuple(assigned), shown, *returned, bind_policy(tree))
