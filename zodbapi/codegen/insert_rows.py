"""INSERT of many rows at once: of the parameters of a statement for one (``executemany``, and VALUES with many rows of
placeholders), or of what a query finds.

In: the plan of the statement. Out: a ``RowsInsert``, which makes all rows and hands them to the functions that write
many at once. It takes for granted that no row fails or meets another. If that turns out wrong it undoes what was done, and its
caller runs the statement row by row, which says what is wrong, or does what the statement wants done then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, compress, islice, repeat
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.constraints import rowid_name
from zodbapi.codegen.expr import ExprWriter
from zodbapi.codegen.query import QueryWriter
from zodbapi.codegen.resolve_rows import Declined, Resolution, make_resolution
from zodbapi.codegen.runtime import given_rowid
from zodbapi.codegen.table_writer import convert_column, converted
from zodbapi.codegen.unit import ComputedRow, Unit, tuple_code
from zodbapi.codegen.writer import Writer, execute
from zodbapi.plan.expr import Column, Const, Expr, Param
from zodbapi.plan.nodes import Insert, Values, output_names, output_source
from zodbapi.plan.walk import descend, needs_its_row_alone
from zodbapi.record import record
from zodbapi.uncollected import UNCOLLECTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zodbapi.catalog import Table
    from zodbapi.codegen.table_writer import WriterProgram

Row = tuple[Any, ...]
Outcome = tuple[list[Row] | None] | None  # the rows of RETURNING, or None for nothing done


@record(frozen=True, slots=True)
class RowsInsert:
    """The compiled statement."""

    table: Table
    writer: WriterProgram
    make: Callable[[Sequence[int], Sequence[Row]], list[Row]]  # rowids, parameters (or the query's rows) -> rows
    given: int | None  # the place in these that has the rowid
    careful: bool  # whether the statement says what to do about a row that is there already
    resolution: Resolution | None  # what that is, if it can be done for many rows
    returned: Callable[[int, Row], Row] | None  # rowid, row -> what RETURNING gives
    refers_to_itself: bool  # whether a row may be the parent of one that is inserted with it

    def attempt(self, txn: Any, found: Sequence[Row], params: Row | None = None, statements: bool = False) -> Outcome:
        """Tries to insert a row for each item; if that does not work nothing has happened.

        Args:
            txn: the transaction.
            found: parameters of a statement that inserts one row, or the rows of the statement's query.
            params: the parameters of a statement with a query.
            statements: whether each row is a statement of its own; then the last one's changes count.
        """
        mark, last_rowid, total = txn.mark(), txn.last_rowid, txn.total_changes
        try:
            with UNCOLLECTED:
                returned = self._run(txn, found, params, statements)
            if statements and txn.immediate:
                txn.run_immediate()
            return (returned,)
        except BaseException as error:
            if txn.active:
                txn.undo_to(mark)
                txn.last_rowid, txn.total_changes = last_rowid, total
            if not txn.active or not isinstance(error, Exception):
                raise
            return None

    def _run(self, txn: Any, found: Sequence[Row], params: Row | None, statements: bool) -> list[Row] | None:
        """Inserts the rows.

        Raises:
            Declined: a row may be in the way.
            Exception: any other, when something has gone wrong.
        """
        rowids, given = self._rowids(txn, found)
        made = self.make(rowids, found)
        if self.careful:
            if self.resolution is None:
                if self.writer.conflicts(txn, rowids[0], made[0]):
                    raise Declined
            elif self.resolution.action == "replace":
                gone = self.resolution.find_replaced(txn, rowids, made, given=given)
                if gone:
                    self.writer.many().delete(txn, gone, list(map(txn.rows(self.table.id).__getitem__, gone)))
            else:
                met = self.resolution.find_met(txn, rowids, made, given=given)
                if any(other is not None for other in met):
                    if not given:
                        rowids, made = self._with_rowids_of_new(rowids, made, met, found)
                    if self.resolution.action == "ignore":
                        return self._insert_new(txn, rowids, made, met, statements)
                    given_rows = found if params is None else repeat(params)
                    return self._resolve(self.resolution, txn, given_rows, rowids, made, met, statements)
        return self._insert(txn, rowids, made, statements)

    def _insert(self, txn: Any, rowids: Sequence[int], made: list[Row], last_counts: bool) -> list[Row] | None:
        """Inserts rows that are new; ``last_counts``: the statement of the last of them is the only one that counts."""
        if made:
            self.writer.many().insert(txn, rowids, made)
            txn.last_rowid = rowids[-1]
        txn.count_changes(len(made))
        if last_counts:
            txn.changes = 1
        return None if self.returned is None else list(map(self.returned, rowids, made))

    def _insert_new(
        self, txn: Any, rowids: Sequence[int], made: list[Row], met: list[int | None], statements: bool
    ) -> list[Row] | None:
        """The same of those rows that have met none."""
        new = [other is None for other in met]
        returned = self._insert(txn, list(compress(rowids, new)), list(compress(made, new)), False)
        if statements:
            txn.changes = int(new[-1])
        return returned

    def _resolve(
        self,
        resolution: Resolution,
        txn: Any,
        parameters: Iterable[Row],
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
            for other, rowid, row, given in zip(met, rowids, made, parameters, strict=False)
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
        return rowids, made if self.table.rowid_column is None else self.make(rowids, parameters)

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


def can_insert_many(node: Insert, writer: WriterProgram) -> bool:
    """Whether many rows of a statement can be inserted in one go: those of its query, or of its one row of VALUES."""
    if writer.silent is not None or (isinstance(node.input, Values) and len(node.input.rows) != 1):
        return False
    given = _given(node)
    if not (given is None or isinstance(given, (Param, Column)) or (isinstance(given, Const) and given.value is None)):
        return False
    exprs = [expr for expr in node.values if expr is not None]
    if isinstance(node.input, Values):
        exprs += node.input.rows[0]
    own = (*(node.returning or ()), *(() if isinstance(node.input, Values) else exprs))
    if any(isinstance(part, Param) for expr in own for part in descend(expr)):
        return False
    return all(map(needs_its_row_alone, (*exprs, *(node.returning or ()))))


def generate_rows_insert(
    node: Insert, writer: WriterProgram, collations: Mapping[str, Callable[[Any], Any]]
) -> RowsInsert:
    """The program for many rows of a statement that inserts one, or those of a query."""
    table, given = node.table, _given(node)
    make = _make if isinstance(node.input, Values) else _make_all
    return RowsInsert(
        table,
        writer,
        make(_unit(collations), node, writer),
        given.index if isinstance(given, Param) else given.position if isinstance(given, Column) else None,
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


def _given(node: Insert) -> Expr | None:
    """What the statement gives as rowid: of VALUES the expression itself, of a query its column."""
    expr = node.rowid if node.table.rowid_column is None else node.values[node.table.rowid_column]
    if isinstance(node.input, Values) and isinstance(expr, Column) and expr.source == node.input.source:
        return node.input.rows[0][expr.position]
    return expr


def _make_all(unit: Unit, node: Insert, writer: WriterProgram) -> Callable[[Sequence[int], Sequence[Row]], list[Row]]:
    """``make(rowids, found)``: the rows that are made of those of a query."""
    table, body = node.table, unit.body
    unit.count_uses(node)
    columns = [f"given{i}" for i in range(len(output_names(node.input)))]
    body.line("made = []")
    with body.block(f"for rowid, {tuple_code(columns)} in zip(rowids, found)"):
        with unit.bound({output_source(node.input): ComputedRow(list(columns))}):
            codes = ["None" if expr is None else unit.expr.value(expr) for expr in node.values]
        for position, column in enumerate(table.columns):
            if position == table.rowid_column:
                codes[position] = "rowid"
            elif not column.generated:
                codes[position] = converted(unit, table, position, codes[position])
        made = tuple_code(codes) if codes else "()"
        body.line(f"made.append({_completed(unit, writer, made)})")
    unit.comprehend(0, "made")
    body.line("return made")
    return _function(unit, "make(rowids, found)")  # type: ignore[no-any-return]


def _completed(unit: Unit, writer: WriterProgram, made: str) -> str:
    """Code of a row with generated columns, for which CHECKs hold."""
    return made if writer.complete is None else f"{unit.call_value(writer.complete, 'complete')}({made})"


def _make(unit: Unit, node: Insert, writer: WriterProgram) -> Callable[[Sequence[int], Sequence[Row]], list[Row]]:
    """The rows of some parameters, as ``make_row`` makes them: ``make(rowid, p)`` for each."""
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
        unit.body.line(f"return {_completed(unit, writer, made)}")

    unit.query.produce(node.input, row)
    make: Callable[[int, Row], Row] = _function(unit, "make(rowid, p)")
    return lambda rowids, parameters: list(map(make, rowids, parameters))


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
