"""INSERT of many rows by the parameters of a statement for one: ``executemany``, and VALUES with many rows of placeholders.

In: the plan of the statement for one row. Out: a ``RowsInsert``, which makes all rows and hands them to the functions that write
many at once. It takes for granted that no row fails or meets another. If that turns out wrong it raises, and its caller undoes
what was done and runs the statement row by row, which says what is wrong, or does what the statement wants done then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.dml import rowid_name
from zodbapi.codegen.expr import ExprWriter
from zodbapi.codegen.query import QueryWriter
from zodbapi.codegen.runtime import given_rowid
from zodbapi.codegen.table_writer import convert_column
from zodbapi.codegen.unit import Unit, tuple_code
from zodbapi.codegen.writer import Writer, execute
from zodbapi.plan.expr import Column, Const, Expr, Param
from zodbapi.plan.nodes import Insert, Values
from zodbapi.plan.walk import needs_its_row_alone
from zodbapi.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zodbapi.catalog import Table
    from zodbapi.codegen.table_writer import WriterProgram

Row = tuple[Any, ...]


class Declined(Exception):
    """The rows have to be inserted one by one."""


@record(frozen=True, slots=True)
class RowsInsert:
    """The compiled statement."""

    table: Table
    writer: WriterProgram
    make: Callable[[int, Row], Row]  # rowid, parameters -> row
    given: int | None  # the parameter that has the rowid
    careful: bool  # whether the statement says what to do about a row that is there already
    returned: Callable[[int, Row], Row] | None  # rowid, row -> what RETURNING gives
    refers_to_itself: bool  # whether a row may be the parent of one that is inserted with it

    def run(self, txn: Any, parameters: Sequence[Row]) -> list[Row] | None:
        """Inserts a row for each item.

        Raises:
            Declined: a row may be in the way.
            Exception: any other, when something has gone wrong; what was done is for the caller to undo.
        """
        rowids = self._rowids(txn, parameters)
        made = list(map(self.make, rowids, parameters))
        if self.careful and self.writer.conflicts(txn, rowids[0], made[0]):
            raise Declined
        self.writer.many().insert(txn, rowids, made)
        txn.last_rowid = rowids[-1]
        txn.count_changes(len(made))
        return None if self.returned is None else list(map(self.returned, rowids, made))

    def _rowids(self, txn: Any, parameters: Sequence[Row]) -> Sequence[int]:
        table = self.table
        if self.given is not None:
            place, name = self.given, rowid_name(table)
            given = [given_rowid(row[place], name) for row in parameters]
            wanted = [rowid for rowid in given if rowid is not None]
            if len(wanted) == len(given) and txn.are_free(table.id, wanted):
                return wanted
            if wanted:
                raise Declined
        found: Sequence[int] | None = txn.next_rowids(table.id, table.autoincrement, len(parameters))
        if found is None:
            raise Declined
        return found


def generate_rows_insert(
    node: Insert, writer: WriterProgram, collations: Mapping[str, Callable[[Any], Any]]
) -> RowsInsert | None:
    """The program for many rows of a statement that inserts one; None if it is not of the kind that can have one."""
    table, source = node.table, node.input
    if writer.silent is not None or not isinstance(source, Values) or len(source.rows) != 1:
        return None
    position = table.rowid_column
    given = node.rowid if position is None else node.values[position]
    given = _written(given, source)
    if not (given is None or isinstance(given, Param) or (isinstance(given, Const) and given.value is None)):
        return None
    exprs = [*source.rows[0], *(expr for expr in node.values if expr is not None)]
    if not all(map(needs_its_row_alone, (*exprs, *(node.returning or ())))):
        return None
    return RowsInsert(
        table,
        writer,
        _make(_unit(collations), node, writer),
        given.index if isinstance(given, Param) else None,
        bool(node.clauses),
        None if node.returning is None else _returned(_unit(collations), node, node.returning),
        any(key.parent.lower() == table.name.lower() for key in table.foreign_keys),
    )


def _unit(collations: Mapping[str, Callable[[Any], Any]]) -> Unit:
    unit = Unit(collations)
    unit.expr = ExprWriter(unit)
    unit.query = QueryWriter(unit)
    return unit


def _written(expr: Expr | None, source: Values) -> Expr | None:
    """The expression itself, where it is a column of VALUES."""
    if isinstance(expr, Column) and expr.source == source.source:
        return source.rows[0][expr.position]
    return expr


def _make(unit: Unit, node: Insert, writer: WriterProgram) -> Callable[[int, Row], Row]:
    """``make(rowid, p)``: the row of some parameters, as ``make_row`` makes it."""
    table = node.table
    unit.count_uses(node)

    def row() -> None:
        codes = ["None" if expr is None else unit.expr.value(expr) for expr in node.values]
        names = [f"v{i}" for i in range(len(codes))]
        for position, (name, code) in enumerate(zip(names, codes, strict=True)):
            unit.body.line(f"{name} = {'rowid' if position == table.rowid_column else code}")
            if not table.columns[position].generated:
                convert_column(unit, table, position, name)
        made = tuple_code(names) if names else "()"
        unit.body.line(
            f"return {made}"
            if writer.complete is None
            else f"return {unit.call_value(writer.complete, 'complete')}({made})"
        )

    unit.query.produce(node.input, row)
    return _function(unit, "make(rowid, p)")


def _returned(unit: Unit, node: Insert, exprs: tuple[Expr, ...]) -> Callable[[int, Row], Row]:
    """``returned(rowid, row)``: what RETURNING gives."""
    unit.rowids_used.add(node.source)
    unit.env[node.source] = unit.table_row(node.table, "row", "rowid")
    unit.body.line(f"return {tuple_code([unit.expr.value(expr) for expr in exprs])}")
    return _function(unit, "returned(rowid, row)")


def _function(unit: Unit, header: str) -> Callable[[int, Row], Row]:
    scope, writer = unit.scopes[0], Writer()
    with writer.block(f"def {header}"):
        writer.extend(scope.prologue)
        writer.extend(scope.body)
    execute(writer, unit.namespace, header.partition("(")[0])
    made: Callable[[int, Row], Row] = unit.namespace.globals[header.partition("(")[0]]
    return made
