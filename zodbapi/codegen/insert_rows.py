"""INSERT of many rows by the parameters of a statement for one: ``executemany``, and VALUES with many rows of placeholders.

In: the plan of the statement for one row. Out: a ``RowsInsert``, which makes all rows and hands them to the functions that write
many at once. It takes for granted that no row fails or meets another. If that turns out wrong it raises, and its caller undoes
what was done and runs the statement row by row, which says what is wrong, or does what the statement wants done then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.dml import rowid_name
from zodbapi.codegen.expr import ExprWriter
from zodbapi.codegen.query import QueryWriter
from zodbapi.codegen.resolve_rows import Declined, Resolution, make_resolution
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


@record(frozen=True, slots=True)
class RowsInsert:
    """The compiled statement."""

    table: Table
    writer: WriterProgram
    make: Callable[[int, Row], Row]  # rowid, parameters -> row
    given: int | None  # the parameter that has the rowid
    careful: bool  # whether the statement says what to do about a row that is there already
    resolution: Resolution | None  # what that is, if it can be done for many rows
    returned: Callable[[int, Row], Row] | None  # rowid, row -> what RETURNING gives
    refers_to_itself: bool  # whether a row may be the parent of one that is inserted with it

    def run(self, txn: Any, parameters: Sequence[Row], statements: bool = False) -> list[Row] | None:
        """Inserts a row for each item; ``statements``: each is a statement of its own, and the last one's changes count.

        Raises:
            Declined: a row may be in the way.
            Exception: any other, when something has gone wrong; what was done is for the caller to undo.
        """
        rowids, given = self._rowids(txn, parameters)
        made = list(map(self.make, rowids, parameters))
        if self.careful:
            if self.resolution is None:
                if self.writer.conflicts(txn, rowids[0], made[0]):
                    raise Declined
            else:
                met = self.resolution.find_met(txn, rowids, made, given=given)
                if any(other is not None for other in met):
                    if not given:
                        rowids, made = self._with_rowids_of_new(rowids, made, met, parameters)
                    return self._resolve(self.resolution, txn, parameters, rowids, made, met, statements)
        self.writer.many().insert(txn, rowids, made)
        txn.last_rowid = rowids[-1]
        txn.count_changes(len(made))
        if statements:
            txn.changes = 1
        return None if self.returned is None else list(map(self.returned, rowids, made))

    def _resolve(
        self,
        resolution: Resolution,
        txn: Any,
        parameters: Sequence[Row],
        rowids: Sequence[int],
        made: list[Row],
        met: list[int | None],
        statements: bool,
    ) -> list[Row] | None:
        """The same where rows are there already: ``met`` has their rowids, None for a new row."""
        new = [(rowid, row) for rowid, row, other in zip(rowids, made, met, strict=True) if other is None]
        if new:
            self.writer.many().insert(txn, [rowid for rowid, _ in new], [row for _, row in new])
            txn.last_rowid = new[-1][0]
        there = [
            (other, rowid, row, given)
            for other, rowid, row, given in zip(met, rowids, made, parameters, strict=True)
            if other is not None
        ]
        updated = iter(resolution.update(txn, there))
        outcome = [
            (rowid, row) if other is None else (other, next(updated))
            for rowid, row, other in zip(rowids, made, met, strict=True)
        ]
        written = [(rowid, row) for rowid, row in outcome if row is not None]
        txn.count_changes(len(written))
        if statements:
            txn.changes = int(outcome[-1][1] is not None)
        return None if self.returned is None else [self.returned(rowid, row) for rowid, row in written]

    def _with_rowids_of_new(
        self, rowids: Sequence[int], made: list[Row], met: list[int | None], parameters: Sequence[Row]
    ) -> tuple[Sequence[int], list[Row]]:
        """Rowids and rows where only new rows take a rowid; others have that of the next new one."""
        taken = accumulate((other is None for other in met), initial=0)
        rowids = [rowids[place] for place in islice(taken, len(met))]
        return rowids, made if self.table.rowid_column is None else list(map(self.make, rowids, parameters))

    def _rowids(self, txn: Any, parameters: Sequence[Row]) -> tuple[Sequence[int], bool]:
        """Rowids, and whether they are given by the parameters."""
        table = self.table
        if self.given is not None:
            place, name = self.given, rowid_name(table)
            given = [given_rowid(row[place], name) for row in parameters]
            wanted = [rowid for rowid in given if rowid is not None]
            if len(wanted) == len(given) and (self.resolution is not None or txn.are_free(table.id, wanted)):
                return wanted, True
            if wanted:
                raise Declined
        found: Sequence[int] | None = txn.next_rowids(table.id, table.autoincrement, len(parameters))
        if found is None:
            raise Declined
        return found, False


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
        make_resolution(node, writer, _unit(collations), _function),
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
    made: Callable[[int, Row], Row] = _function(unit, "make(rowid, p)")
    return made


def _returned(unit: Unit, node: Insert, exprs: tuple[Expr, ...]) -> Callable[[int, Row], Row]:
    """``returned(rowid, row)``: what RETURNING gives."""
    unit.rowids_used.add(node.source)
    unit.env[node.source] = unit.table_row(node.table, "row", "rowid")
    unit.body.line(f"return {tuple_code([unit.expr.value(expr) for expr in exprs])}")
    made: Callable[[int, Row], Row] = _function(unit, "returned(rowid, row)")
    return made


def _function(unit: Unit, header: str) -> Any:
    scope, writer = unit.scopes[0], Writer()
    with writer.block(f"def {header}"):
        writer.extend(scope.prologue)
        writer.extend(scope.body)
    execute(writer, unit.namespace, header.partition("(")[0])
    return unit.namespace.globals[header.partition("(")[0]]
