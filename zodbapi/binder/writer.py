"""What writing a row of a table evaluates: the SQL texts of its definition, bound over source 0, the row.

In: a table of a schema. Out: its ``TableWriter``. Because binding finds every unknown name, this is also how CREATE TABLE,
CREATE INDEX and ALTER TABLE check what they are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zodbapi.binder.collation import uncollated
from zodbapi.binder.expr import bind_expr
from zodbapi.binder.scope import Binding, Scope
from zodbapi.catalog import Column as TableColumn
from zodbapi.catalog import ForeignKey, Index, IndexColumn, Schema, Table
from zodbapi.depth import roomy
from zodbapi.errors import NotSupportedError, OperationalError
from zodbapi.parser import parse_expression
from zodbapi.plan.expr import Call, Column, Const, Exists, Expr, InQuery, Param, ScalarQuery
from zodbapi.plan.walk import descend
from zodbapi.plan.writer import BoundForeignKey, BoundIndex, TableWriter
from zodbapi.values import COLLATIONS

if TYPE_CHECKING:
    from zodbapi.functions.registry import Functions

NULL = Const(None)


@roomy
def bind_writer(schema: Schema, table: Table, functions: Functions) -> TableWriter:
    """Everything that inserting, updating or deleting a row of the table evaluates, and the foreign keys both ways."""
    scope = row_scope(schema, table, functions)
    return TableWriter(
        table,
        defaults=tuple(bind_default(column, scope.binding) for column in table.columns),
        generated=_bind_generated(table, scope),
        checks=tuple(
            (check, _bind_text(check.expression, scope, "CHECK constraints", False)) for check in table.checks
        ),
        indexes=tuple(bind_index(table, index, scope) for index in table.indexes),
        parents=tuple(resolve_foreign_key(schema, table, key) for key in table.foreign_keys),
        children=tuple(  # as in SQLite the last one acts first, where two have the same column
            resolve_foreign_key(schema, child, key)
            for child, key in reversed(schema.children.get(table.name.lower(), ()))
        ),
    )


def row_scope(schema: Schema, table: Table, functions: Functions) -> Scope:
    """The scope in which the row of the table is source 0."""
    scope = Scope(Binding(schema, functions))
    scope.add_table(table, source=scope.binding.new_source())
    return scope


def bind_default(column: TableColumn, binding: Binding) -> Expr:
    """The DEFAULT of a column; NULL without one."""
    if column.default is None:
        return NULL
    try:
        return _bind_text(column.default, Scope(binding), "DEFAULT", False)
    except OperationalError as error:
        if str(error).startswith("no such column"):
            raise OperationalError(f"default value of column [{column.name}] is not constant") from None
        raise


def bind_index(table: Table, index: Index, scope: Scope) -> BoundIndex:
    """The index with its keys and predicate as expressions over the row in the scope."""
    for part in index.columns:
        if part.collation.upper() not in COLLATIONS:  # other connections could not keep the order
            raise NotSupportedError(f"an index cannot use the collation {part.collation}, which is a connection's own")
    keys = tuple(_bind_key(table, part, scope) for part in index.columns)
    where = None
    if index.where is not None:
        where = _bind_text(index.where, scope, "partial index WHERE clauses")
    return BoundIndex(index, keys, where)


def _bind_key(table: Table, part: IndexColumn, scope: Scope) -> Expr:
    if part.position is None:
        assert part.expression is not None
        return _bind_text(part.expression, scope, "index expressions")
    return column_expr(table, part.position, scope.relations[0].source)


def column_expr(table: Table, position: int, source: int) -> Column:
    """The column at a position of the table's row under ``source``."""
    column = table.columns[position]
    nullable = not column.not_null and position != table.rowid_column
    return Column(source, position, column.type, nullable, column.collation, column.name)


def _bind_text(text: str, scope: Scope, where: str, deterministic: bool = True) -> Expr:
    expr = bind_expr(parse_expression(text), scope)
    for part in descend(expr):
        match part:
            case Exists() | ScalarQuery() | InQuery():
                raise OperationalError(f"subqueries prohibited in {where}")
            case Param():
                raise OperationalError(f"parameters prohibited in {where}")
            case Call(function=function) if deterministic and not function.deterministic:
                raise OperationalError(f"non-deterministic functions prohibited in {where}")
    return uncollated(expr, scope.binding)


def _bind_generated(table: Table, scope: Scope) -> tuple[tuple[int, Expr], ...]:
    """Generated columns, each after those it uses."""
    waiting = {
        position: _bind_text(column.generated, scope, "generated columns")
        for position, column in enumerate(table.columns)
        if column.generated is not None
    }
    ordered: list[tuple[int, Expr]] = []
    while waiting:
        ready = [position for position, expr in waiting.items() if not _positions_used(expr) & waiting.keys()]
        if not ready:
            raise OperationalError(f'generated column loop on "{table.columns[min(waiting)].name}"')
        ordered += [(position, waiting.pop(position)) for position in ready]
    return tuple(ordered)


def _positions_used(expr: Expr) -> frozenset[int]:
    return frozenset(part.position for part in descend(expr) if isinstance(part, Column))


# --- foreign keys ---------------------------------------------------------------------------------------------------


def resolve_foreign_key(schema: Schema, child: Table, key: ForeignKey) -> BoundForeignKey:
    """The foreign key with the parent's unique key that it refers to, and a child's index that finds its rows."""
    parent = child if key.parent.lower() == child.name.lower() else schema.table(key.parent)
    child_index = _prefix_index(child, key.columns)
    if parent is None:
        return BoundForeignKey(key, child, None, (), None, child_index)
    positions = _parent_positions(parent, key)
    if positions is None:
        return BoundForeignKey(key, child, parent, (), None, child_index, mismatch=True)
    if positions == (parent.rowid_column,):
        return BoundForeignKey(key, child, parent, positions, None, child_index)
    index = _unique_index(parent, positions)
    return BoundForeignKey(key, child, parent, positions, index, child_index, mismatch=index is None)


def _parent_positions(parent: Table, key: ForeignKey) -> tuple[int, ...] | None:
    if not key.parent_columns:
        return parent.primary_key if len(parent.primary_key) == len(key.columns) else None
    positions = [parent.positions.get(name.lower()) for name in key.parent_columns]
    if len(positions) != len(key.columns) or None in positions:
        return None
    return tuple(position for position in positions if position is not None)


def _unique_index(table: Table, positions: tuple[int, ...]) -> Index | None:
    """A whole unique index over exactly these columns, in any order; one in the same order is preferred."""
    found = None
    for index in table.indexes:
        parts = tuple(part.position for part in index.columns)
        if index.unique and index.where is None and _plain(table, index) and set(parts) == set(positions):
            if parts == positions:
                return index
            found = found or index
    return found


def _prefix_index(table: Table, positions: tuple[int, ...]) -> Index | None:
    """A whole index whose leading columns are these; the shortest."""
    fitting = [
        index
        for index in table.indexes
        if index.where is None
        and tuple(part.position for part in index.columns[: len(positions)]) == positions
        and _plain(table, index, len(positions))
    ]
    return min(fitting, key=lambda index: len(index.columns), default=None)


def _plain(table: Table, index: Index, parts: int | None = None) -> bool:
    """Whether the (first) parts of the index are columns in their own collation."""
    return all(
        part.position is not None and part.collation == table.columns[part.position].collation
        for part in index.columns[:parts]
    )
