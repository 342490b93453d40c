"""Statements that write: INSERT, UPDATE and DELETE trees in, their plan nodes out.

A scope chain per statement: the CTEs of its WITH are outermost, then the table that is written (with what FROM adds). What
the statement stores in each column is a value expression; coercion to the column's type, generated columns and constraints
are the table writer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from zodbapi.binder.conflict import bind_conflicts
from zodbapi.binder.expr import bind_expr
from zodbapi.binder.instead import bind_instead, view_table, view_target
from zodbapi.binder.scope import Binding, Scope
from zodbapi.binder.select import bind_from, bind_query, bind_with, query_fields
from zodbapi.binder.target import (
    Assignment,
    bind_assignments,
    bind_policy,
    bind_restriction,
    bind_returning,
    find_target,
    is_default,
    rowid_alias,
)
from zodbapi.binder.writer import NULL, bind_default
from zodbapi.catalog import ANY, Table
from zodbapi.errors import NotSupportedError, OperationalError
from zodbapi.plan.expr import Case, Column, Expr, IsNull, Not
from zodbapi.plan.nodes import (
    Delete,
    Insert,
    Instead,
    Join,
    Node,
    Scan,
    Update,
    Values,
    output_source,
)
from zodbapi.record import record

_ROWID = -1  # among the positions of an INSERT's column list
_ACTIONS = {
    "": "abort",
    "ABORT": "abort",
    "IGNORE": "ignore",
    "REPLACE": "replace",
    "FAIL": "fail",
    "ROLLBACK": "rollback",
}


# --- INSERT ---------------------------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class _Source:
    """Where an INSERT's rows come from, and the value that each gives to each named column (None: the default)."""

    input: Node
    values: tuple[Expr | None, ...]


def bind_insert(tree: exp.Expression, binding: Binding) -> Node:
    """INSERT and REPLACE: every column of the table gets a value, from the source or from its default."""
    outer = _with_scope(tree, binding)
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    view = view_target(target, "INSERT", binding)
    table = find_target(target, binding) if view is None else view_table(view, binding)
    named = tree.this.expressions if isinstance(tree.this, exp.Schema) else None
    positions = _named_positions(table, named)
    source = _bind_source(tree, outer, table, positions, explicit=named is not None)
    given: dict[int, Expr | None] = {}
    for position, value in zip(positions, source.values, strict=True):
        given.setdefault(position, value)  # SQLite uses the first when a column is named twice
    if view is not None:
        if tree.args.get("conflict"):
            raise OperationalError("cannot UPSERT a view")
        row = tuple(given.get(i) for i in range(len(table.columns)))
        shown = binding.new_source()
        returned = bind_returning(tree, outer, table, target.alias, shown)
        return Instead("INSERT", table, source.input, None, row, (), shown, *returned, bind_policy(tree))
    written = binding.new_source()
    returning, names = bind_returning(tree, outer, table, target.alias, written)
    clauses = bind_conflicts(tree, table, outer, target.alias)
    values = [_column_value(table, position, given, binding) for position in range(len(table.columns))]
    if any(clause.action == "replace" for clause in clauses):
        values = [_default_for_null(table, i, value, binding) for i, value in enumerate(values)]
    return Insert(
        written,
        table,
        source.input,
        tuple(values),
        given.get(_ROWID),
        clauses,
        returning,
        names,
        bind_policy(tree),
    )


def _named_positions(table: Table, named: Sequence[exp.Expression] | None) -> tuple[int, ...]:
    if named is None:
        return tuple(i for i, column in enumerate(table.columns) if column.generated is None)
    return tuple(_named_position(table, identifier.name) for identifier in named)


def _named_position(table: Table, name: str) -> int:
    position = table.positions.get(name.lower())
    if position is None:
        if not rowid_alias(table, name):
            raise OperationalError(f"table {table.name} has no column named {name}")
        return _ROWID if table.rowid_column is None else table.rowid_column
    if table.columns[position].generated is not None:
        raise OperationalError(f'cannot INSERT into generated column "{name}"')
    return position


def _column_value(table: Table, position: int, given: dict[int, Expr | None], binding: Binding) -> Expr | None:
    column = table.columns[position]
    if column.generated is not None:
        return None
    value = given.get(position)
    return bind_default(column, binding) if value is None else value


def _default_for_null(table: Table, position: int, value: Expr | None, binding: Binding) -> Expr | None:
    """OR REPLACE stores the default of a NOT NULL column in the place of NULL."""
    column = table.columns[position]
    if value is None or not column.not_null or column.default is None or not value.nullable:
        return value
    is_given = Not(IsNull(value), nullable=False)
    return Case(((is_given, value),), bind_default(column, binding), column.type)


def _bind_source(
    tree: exp.Expression, outer: Scope, table: Table, positions: tuple[int, ...], explicit: bool
) -> _Source:
    query = tree.expression
    if query is None:
        if not tree.args.get("default"):
            raise OperationalError("incomplete input")
        return _Source(Values(outer.binding.new_source(), ((),)), (None,) * len(positions))
    if isinstance(query, exp.Values) and not query.args.get("with_"):
        rows = [tuple(row.expressions) if isinstance(row, exp.Tuple) else (row,) for row in query.expressions]
        if len({len(row) for row in rows}) != 1:
            raise OperationalError("all VALUES must have the same number of terms")
        _check_count(table, len(positions), len(rows[0]), explicit)
        return _bind_values(rows, table, positions, outer)
    node = bind_query(query, outer.binding, outer, outer.ctes)
    fields = query_fields(node, outer.binding)
    _check_count(table, len(positions), len(fields), explicit)
    source = output_source(node)
    return _Source(
        node, tuple(Column(source, i, f.type, f.nullable, f.collation, f.name) for i, f in enumerate(fields))
    )


def _check_count(table: Table, columns: int, values: int, explicit: bool) -> None:
    if columns == values:
        return
    if explicit:
        raise OperationalError(f"{values} values for {columns} columns")
    raise OperationalError(f"table {table.name} has {columns} columns but {values} values were supplied")


def _bind_values(
    rows: list[tuple[exp.Expression, ...]], table: Table, positions: tuple[int, ...], scope: Scope
) -> _Source:
    """One row needs no buffer: its expressions are the values. Of several, each is a row of a ``Values`` node."""
    bound = [
        tuple(_bind_cell(cell, table, position, scope) for cell, position in zip(row, positions, strict=True))
        for row in rows
    ]
    source = scope.binding.new_source()
    if len(bound) == 1:
        return _Source(Values(source, ((),)), bound[0])
    columns = tuple(_values_column(source, i, [row[i] for row in bound]) for i in range(len(positions)))
    return _Source(Values(source, tuple(bound)), columns)


def _bind_cell(cell: exp.Expression, table: Table, position: int, scope: Scope) -> Expr:
    if not is_default(cell):
        return bind_expr(cell, scope)
    return NULL if position == _ROWID else bind_default(table.columns[position], scope.binding)


def _values_column(source: int, position: int, cells: list[Expr]) -> Column:
    types = {cell.type for cell in cells}
    nullable = any(cell.nullable for cell in cells)
    return Column(source, position, types.pop() if len(types) == 1 else ANY, nullable)


# --- UPDATE, DELETE -------------------------------------------------------------------------------------------------


def bind_update(tree: exp.Update, binding: Binding) -> Node:
    """UPDATE: the input finds the rows, joined with what FROM adds; assignments see both."""
    outer = _with_scope(tree, binding)
    if (view := view_target(tree.this, "UPDATE", binding)) is not None:
        return bind_instead(tree, view, outer)
    table = find_target(tree.this, binding)
    if not tree.expressions or tree.this.args.get("joins"):
        raise OperationalError("incomplete UPDATE: it has no SET, or a join before it")
    scope, node = _target_scan(tree, outer, table)
    if tree.args.get("from_"):
        node = Join("inner", node, bind_from(tree, scope))
    source = scope.relations[0].source
    assignments = list(bind_assignments(tree.expressions, table, scope))
    returning, names = bind_returning(tree, outer, table, tree.this.alias, source)
    action = _bind_action(tree.args.get("alternative"))
    values = dict(_last_assignments(assignments))
    if action == "replace":
        values = {i: _default_for_null(table, i, value, binding) or value for i, value in values.items()}
    return Update(
        source,
        table,
        bind_restriction(tree, scope, node),
        tuple(values.items()),
        action,
        returning,
        names,
        next((a.value for a in reversed(assignments) if a.position is None), None),
        bind_policy(tree),
    )


def _last_assignments(assignments: list[Assignment]) -> Iterator[tuple[int, Expr]]:
    """The last assignment to each column counts."""
    yield from sorted({a.position: a.value for a in assignments if a.position is not None}.items())


def bind_delete(tree: exp.Delete, binding: Binding) -> Node:
    """DELETE: the input finds the rows."""
    if tree.args.get("using") or tree.args.get("tables"):
        raise NotSupportedError("DELETE ... USING is not supported")
    outer = _with_scope(tree, binding)
    if (view := view_target(tree.this, "DELETE", binding)) is not None:
        return bind_instead(tree, view, outer)
    table = find_target(tree.this, binding)
    scope, node = _target_scan(tree, outer, table)
    source = scope.relations[0].source
    returning, names = bind_returning(tree, outer, table, tree.this.alias, source)
    return Delete(source, table, bind_restriction(tree, scope, node), returning, names)


def _target_scan(tree: exp.Expression, outer: Scope, table: Table) -> tuple[Scope, Node]:
    scope = outer.inner()
    relation = scope.add_table(table, tree.this.alias, outer.binding.new_source())
    return scope, Scan(relation.source, table)


def _bind_action(alternative: str | None) -> str:
    action = _ACTIONS.get((alternative or "").upper())
    if action is None:
        raise NotSupportedError(f"UPDATE OR {alternative} is not supported")
    return action


# --- what all three have --------------------------------------------------------------------------------------------


def _with_scope(tree: exp.Expression, binding: Binding) -> Scope:
    scope = Scope(binding, binding.around)
    bind_with(tree, scope)
    return scope
