"""The table that a statement writes, and the assignments to its columns.

In: the target of INSERT, UPDATE or DELETE and its SET clause. Out: the table, and a value expression a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from zodbapi.binder.expr import bind_expr, bind_predicate, bind_projection
from zodbapi.binder.scope import Binding, Scope, database_of
from zodbapi.binder.select import bind_limit, bind_query, query_fields
from zodbapi.binder.writer import bind_default
from zodbapi.catalog import Table
from zodbapi.errors import OperationalError
from zodbapi.plan.expr import Column, Expr, ScalarQuery, SortKey
from zodbapi.plan.nodes import Filter, Limit, Node, Project, Sort, output_source
from zodbapi.record import record

_ROWID_NAMES = frozenset({"rowid", "_rowid_", "oid"})


@record(frozen=True, slots=True)
class Assignment:
    """``column = value``; position None is the rowid of a table without INTEGER PRIMARY KEY."""

    position: int | None
    value: Expr


def find_target(tree: exp.Expression, binding: Binding) -> Table:
    """The table that the statement writes; views and tables that do not exist are errors."""
    table = database_of(tree, binding.schema).table(tree.name)
    if table is not None:
        return table
    if tree.name.lower() in binding.schema.views:
        raise OperationalError(f"cannot modify {tree.name} because it is a view")
    if tree.name.lower() in ("sqlite_master", "sqlite_schema", "sqlite_sequence"):
        raise OperationalError(f"table {tree.name} may not be modified")
    raise OperationalError(f"no such table: {tree.name}")


def rowid_alias(table: Table, name: str) -> bool:
    """Whether the name means the rowid, which no column hides."""
    return name.lower() in _ROWID_NAMES and name.lower() not in table.positions


def bind_policy(tree: exp.Expression) -> str:
    """The word of INSERT OR and UPDATE OR, which triggers that fire go by too, in lower case; empty if there is none."""
    return (tree.args.get("alternative") or "").lower()


def is_default(tree: exp.Expression) -> bool:
    """Whether a value is the keyword DEFAULT, which sqlglot reads as a variable or as a column."""
    if isinstance(tree, exp.Column):
        return isinstance(tree.this, exp.Identifier) and not tree.this.quoted and tree.sql().upper() == "DEFAULT"
    return isinstance(tree, exp.Var) and tree.name.upper() == "DEFAULT"


def bind_assignments(trees: Sequence[exp.Expression], table: Table, scope: Scope) -> Iterator[Assignment]:
    """The assignments of a SET clause, with row values taken apart."""
    for tree in trees:
        if not isinstance(tree, exp.EQ):
            raise OperationalError(f'near "{tree.sql(dialect="sqlite")}": syntax error')
        left, right = tree.this, tree.expression
        if isinstance(left, exp.Paren):
            left = left.this
        if isinstance(left, exp.Tuple):
            yield from _bind_row(left.expressions, right, table, scope)
        else:
            yield bind_value(_position(table, left), right, table, scope)


def _position(table: Table, tree: exp.Expression) -> int | None:
    if isinstance(tree, exp.Column) and tree.args.get("table") is not None:
        raise OperationalError('near ".": syntax error')
    position = table.positions.get(tree.name.lower())
    if position is None:
        if not rowid_alias(table, tree.name):
            raise OperationalError(f"no such column: {tree.name}")
        return table.rowid_column
    if table.columns[position].generated is not None:
        raise OperationalError(f'cannot UPDATE generated column "{tree.name}"')
    return position


def bind_value(position: int | None, tree: exp.Expression, table: Table, scope: Scope) -> Assignment:
    """One assignment; DEFAULT means the column's default."""
    if is_default(tree) and position is not None and "default" not in table.positions:
        return Assignment(position, bind_default(table.columns[position], scope.binding))
    return Assignment(position, bind_expr(tree, scope))


def _bind_row(
    left: Sequence[exp.Expression], right: exp.Expression, table: Table, scope: Scope
) -> Iterator[Assignment]:
    """``(a, b) = (x, y)`` or ``(a, b) = (SELECT x, y)``: the query is bound once for each column."""
    positions = [_position(table, column) for column in left]
    if isinstance(right, exp.Tuple):
        _check_width(len(positions), len(right.expressions))
        for position, value in zip(positions, right.expressions, strict=True):
            yield bind_value(position, value, table, scope)
        return
    if not isinstance(right, exp.Subquery):
        _check_width(len(positions), 1)
        yield bind_value(positions[0], right, table, scope)
        return
    for i, position in enumerate(positions):
        yield Assignment(position, _bind_part(right.this, i, len(positions), scope))


def _bind_part(query: exp.Expression, i: int, width: int, scope: Scope) -> Expr:
    node = bind_query(query, scope.binding, scope, scope.ctes)
    fields = query_fields(node, scope.binding)
    _check_width(width, len(fields))
    column = Column(output_source(node), i, fields[i].type, fields[i].nullable, fields[i].collation, fields[i].name)
    if width > 1:
        node = Project(scope.binding.new_source(), node, (column,), (fields[i].name,))
    return ScalarQuery(node, fields[i].type)


def _check_width(columns: int, values: int) -> None:
    if columns != values:
        raise OperationalError(f"{columns} columns assigned {values} values")


def bind_restriction(tree: exp.Expression, scope: Scope, node: Node) -> Node:
    """WHERE, ORDER BY and LIMIT above what finds the rows."""
    where = tree.args.get("where")
    predicate = bind_predicate(where.this if where else None, scope)
    if predicate is not None:
        node = Filter(node, predicate)
    if order := tree.args.get("order"):
        node = Sort(node, tuple(_bind_sort_key(term, scope) for term in order.expressions))
    if tree.args.get("limit"):
        node = Limit(node, *bind_limit(tree, scope))
    return node


def _bind_sort_key(term: exp.Expression, scope: Scope) -> SortKey:
    expr = bind_expr(term.this, scope)
    collation = getattr(expr, "collation", "BINARY")
    return SortKey(expr, bool(term.args.get("desc")), bool(term.args.get("nulls_first")), collation)


def bind_returning(
    tree: exp.Expression, outer: Scope, table: Table, alias: str, source: int
) -> tuple[tuple[Expr, ...] | None, tuple[str, ...]]:
    """RETURNING sees the written row alone, as ``source``."""
    returning = tree.args.get("returning")
    if returning is None:
        return None, ()
    scope = outer.inner()
    scope.add_table(table, alias, source)
    return bind_projection(returning.expressions, scope)
