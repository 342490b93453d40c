"""The functions that write one row of a table: make_row, insert, update, delete, and what finds conflicts and
children.

In: a ``TableWriter``, everything bound over source 0, the row. Out: a ``WriterProgram``. Statements that write,
cascades of foreign keys, ALTER TABLE and the consistency check all go through these functions, so a constraint is
enforced in one place. Every change of a tree is noted in ``txn.undo``, which is what makes a statement atomic: before
it is made, because an interrupt can come between any two steps, and undoing what was not done yet does nothing.

Foreign keys are checked through keys, not rows: ``pending[check]`` is a set of key values, and ``check(txn, key)``
fails when some child has that key and no parent does. A child that is inserted, a parent that is deleted, and
either that is updated all add the key and leave the rest to the end of the statement or, when deferred, to the
commit. What a later statement repairs is then simply found in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from zodbapi import values
from zodbapi.catalog import Kind, Table
from zodbapi.codegen.cascades import ACTIONS, Dependent, delete_all
from zodbapi.codegen.constraints import check_failed, not_null_failed, unique_failed
from zodbapi.codegen.expr import ExprWriter
from zodbapi.codegen.foreign_key_writer import ForeignKeyWriter
from zodbapi.codegen.index_writer import IndexWriter, inputs
from zodbapi.codegen.many_rows import ManyRows, ManyRowsWriter
from zodbapi.codegen.query import QueryWriter
from zodbapi.codegen.unit import Unit, raising, tuple_code
from zodbapi.codegen.writer import Namespace, Writer, execute
from zodbapi.depth import roomy
from zodbapi.large import LIMIT, Oversize
from zodbapi.plan.expr import Column, Expr
from zodbapi.plan.walk import descend, needs_its_row_alone
from zodbapi.plan.writer import BoundForeignKey, BoundIndex, TableWriter
from zodbapi.record import record
from zodbapi.undo import ADDED, ENTERED, MISSING, PRESENT, REMOVED, REPLACED

# Kinds of which a value of the right class may have to change: rounded, checked, moved to UTC.
_RECAST = frozenset({Kind.DECIMAL, Kind.JSON, Kind.TIMESTAMPTZ, Kind.TIMESTAMP})
_ZONES = {Kind.TIMESTAMPTZ: UTC, Kind.TIMESTAMP: None}
Row = tuple[Any, ...]
# Kinds of which two values that are equal are the same. 0.0 and -0.0 are not, nor are decimals with more zeros.
PLAIN = frozenset(
    {
        Kind.BLOB,
        Kind.BOOLEAN,
        Kind.DATE,
        Kind.INTEGER,
        Kind.INTERVAL,
        Kind.JSON,
        Kind.TEXT,
        Kind.TIMESTAMPTZ,
        Kind.UUID,
    }
)
NO_ENTRY = object()  # what an entry function gives for a row that a partial index leaves out


@record(frozen=True, slots=True)
class Touch:
    """What an update of certain columns, which leaves the rowid, does besides storing the row."""

    assigned: frozenset[int]  # the columns that may get other values, generated ones included
    indexes: tuple[BoundIndex, ...]
    parents: tuple[tuple[str, BoundForeignKey], ...]  # with code of their checks
    cascades: bool  # whether it may write other rows
    one: Callable[[], Callable[[Any, int, Row, Row], None]]  # compiles the function (txn, rowid, row, new)
    many: Callable[[], Callable[..., None]]  # the same with lists, see ``ManyRowsWriter.touch``

    @property
    def is_nothing(self) -> bool:
        """Whether neither indexes nor foreign keys have any of the columns."""
        return not (self.indexes or self.parents or self.cascades)

    @property
    def fits_many(self) -> bool:
        """Whether rows can be updated at once, because no others are written."""
        return not self.cascades


@record(frozen=True, slots=True)
class WriterProgram:
    """The compiled functions of one table."""

    source: str
    namespace: Namespace
    make_row: Callable[..., tuple[Any, ...]]  # one value a column -> the row as it is stored
    complete: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None  # generated columns and CHECK, where there are any
    insert: Callable[[Any, int, tuple[Any, ...]], bool | None]
    update: Callable[[Any, int, tuple[Any, ...], int, tuple[Any, ...]], bool | None]  # rowid, row -> new rowid, new row
    delete: Callable[[Any, int, tuple[Any, ...]], bool | None]
    conflicts: Callable[[Any, int, tuple[Any, ...]], list[tuple[int, int]]]  # (index id or 0, rowid) in the way
    entries: Mapping[int, Callable[[int, tuple[Any, ...]], Any]]  # index id -> (rowid, row) -> its key, or NO_ENTRY
    defaults: Callable[[], tuple[Any, ...]]  # the value of DEFAULT of each column
    checks: tuple[Callable[[Any, Any], None], ...]  # one a foreign key: (txn, key value)
    touch: Callable[[frozenset[int]], Touch]
    many: Callable[[], ManyRows]
    cascades: bool  # whether deleting a row may write others
    has_children: bool  # whether rows of other tables, or of this one, may refer to its rows
    restricts_itself: bool  # whether a row may keep another of the same table from being deleted
    generated_from: frozenset[int]  # the columns that generated columns are computed from
    conditions: tuple[tuple[Expr, frozenset[int]], ...]  # of CHECKs, over source 0, and their columns
    dependents: tuple[Dependent, ...]
    delete_all: Callable[..., bool]  # (txn, found=rows by rowid), with what depends on them; see ``cascades``
    silent: WriterProgram | None = None  # the same that fires no triggers, where there are any
    displace: Callable[[Any, int, tuple[Any, ...]], None] | None = None  # deletes a row in the way, where there are
    before_insert: Callable[[Any, int | None, tuple[Any, ...]], bool] | None = (
        None  # fires BEFORE triggers, if there are any
    )
    before_update: Callable[..., tuple[Row, Row] | None] | None = None
    update_after: Callable[..., None] | None = None  # updates, and fires AFTER triggers

    @property
    def without_triggers(self) -> WriterProgram:
        """The functions that fire no triggers."""
        return self.silent or self


@roomy
def generate_writer(
    bound: TableWriter,
    resolve_writer: Callable[[int], WriterProgram],
    collations: Mapping[str, Callable[[Any], Any]],
) -> WriterProgram:
    """Compiles the functions that write a table.

    Args:
        bound: the table's expressions, bound.
        resolve_writer: gives the program of another table when a cascade needs it, at run time.
        collations: the sort keys of the collations.
    """

    @cache
    def touch(positions: frozenset[int]) -> Touch:
        def one() -> Callable[[Any, int, Row, Row], None]:
            return _TableWriter(bound, resolve_writer, collations).generate_touch(found)

        def many() -> Callable[..., None]:
            return _TableWriter(bound, resolve_writer, collations).generate_touch_rows(found)

        found = _touched(bound, positions, cache(one), cache(many))
        return found

    @cache
    def many() -> ManyRows:
        return _TableWriter(bound, resolve_writer, collations).generate_many()

    return _TableWriter(bound, resolve_writer, collations).generate(touch, many)


def convert_column(unit: Unit, table: Table, position: int, name: str) -> None:
    """Writes the conversion of the value in a variable to its column's type, and NOT NULL."""
    column = table.columns[position]
    label = f"{table.name}.{column.name}"
    exact = values.exact_class(column.type.kind)
    test = f"if {name} is not None"
    if exact is not None and column.type.kind not in _RECAST:
        test = f"if type({name}) is not {unit.call_value(exact, exact.__name__)} and {name} is not None"
    elif column.type.kind in _ZONES:  # of a moment only the zone may have to change
        zone = unit.call_value(_ZONES[column.type.kind], "utc") if _ZONES[column.type.kind] else "None"
        right = f"type({name}) is {unit.call_value(datetime, 'datetime')} and {name}.tzinfo is {zone}"
        test = f"if {name} is not None and not ({right})"
    if column.large:
        test += f" and type({name}) is not tuple"
    with unit.body.block(test):
        store = unit.call(values.store(column.type))
        unit.body.line(f"{name} = {store}({name}, {unit.namespace.constant(label)})")
    if column.not_null and position != table.rowid_column:
        with unit.body.block(f"if {name} is None"):
            unit.body.line(f"raise {unit.call(not_null_failed)}({unit.namespace.constant(label)})")
    if not column.large and not table.keeps_in_rows(position):
        present = f"{name} is not None" if exact is not None else f"type({name}) in (str, bytes)"
        with unit.body.block(f"if {present} and len({name}) > {LIMIT}"):
            unit.body.line(f"raise {unit.call(Oversize)}({table.id}, {position})")


def converted(unit: Unit, table: Table, position: int, code: str) -> str:
    """The same as an expression: code of a value, converted to its column's type."""
    column = table.columns[position]
    size = None if column.large or table.keeps_in_rows(position) else LIMIT
    convert = unit.call_value(_converter(table, position, size), f"convert{position}")
    exact = values.exact_class(column.type.kind)
    if column.type.kind in _RECAST and column.type.kind is not Kind.JSON and not column.large:
        first, again = unit.expr.hold(code)
        stored = (
            f"{unit.call(values.store(column.type))}({again}, {unit.namespace.constant(f'{table.name}.{column.name}')})"
        )
        return f"({stored} if {first} is not None else {f'{convert}(None)' if column.not_null else None})"
    if exact is None or column.type.kind in _RECAST:
        return f"{convert}({code})"
    first, again = unit.expr.hold(code)
    test = f"type({first}) is {unit.call_value(exact, exact.__name__)}"
    if size is not None:
        test += f" and len({again}) <= {size}"
    return f"({again} if {test} else {convert}({again}))"


def _converter(table: Table, position: int, size: int | None) -> Callable[[Any], Any]:
    column = table.columns[position]
    store, label = values.store(column.type), f"{table.name}.{column.name}"

    def convert(value: Any) -> Any:
        if value is None:
            if column.not_null:
                raise not_null_failed(label)
            return None
        if type(value) is not tuple:  # which stands for a large value
            value = store(value, label)
            if size is not None and type(value) in (str, bytes) and len(value) > size:
                raise Oversize(table.id, position)
        return value

    return convert


def differs(new: str, row: str, table: Table, positions: Iterable[int]) -> str:
    """Code of the question whether a row has to be stored in the place of one that has other values at these positions.

    Storing a row that stays as it is may be what tells others that this transaction relies on it.
    """
    code = f"{new} != {row} or txn.must_store"
    if PLAIN.issuperset(table.columns[position].type.kind for position in positions):
        return code
    return f"{code} or repr({new}) != repr({row})"


def _touched(bound: TableWriter, positions: frozenset[int], one: Any, many: Any) -> Touch:
    assigned = positions | {position for position, _ in bound.generated}
    checks = [(f"writer_of({bound.table.id}).checks[{n}]", foreign) for n, foreign in enumerate(bound.parents)]
    return Touch(
        assigned,
        tuple(index for index in bound.indexes if not assigned.isdisjoint(inputs(index))),
        tuple((check, foreign) for check, foreign in checks if not assigned.isdisjoint(foreign.key.columns)),
        any(not assigned.isdisjoint(foreign.parent_positions) for foreign in bound.children),
        one,
        many,
    )


def _columns_of(expr: Expr, table: Table) -> frozenset[int]:
    """The columns that a value depends on; all, if it depends on other things too."""
    if not needs_its_row_alone(expr):
        return frozenset(range(len(table.columns)))
    return frozenset(part.position for part in descend(expr) if isinstance(part, Column))


class _TableWriter:
    def __init__(
        self,
        bound: TableWriter,
        resolve_writer: Callable[[int], WriterProgram],
        collations: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        self.bound = bound
        self.table = bound.table
        self.resolve_writer = resolve_writer
        self.unit = unit = Unit(collations)
        self.entries = IndexWriter(unit, bound.table)
        self.foreign_keys = ForeignKeyWriter(unit, bound.table)
        unit.expr = ExprWriter(unit)
        unit.query = QueryWriter(unit)
        # The outermost scope is the module: what does not depend on a row is computed when the writer is made.
        unit.env[0] = unit.table_row(self.table, "row", "rowid")
        unit.rowids_used.add(0)
        unit.call_value(resolve_writer, "writer_of")
        unit.call_value(NO_ENTRY, "NO_ENTRY")
        unit.call_value(MISSING, "MISSING")
        unit.call_value(PRESENT, "PRESENT")
        unit.call_value(ADDED, "ADDED")
        unit.call_value(ENTERED, "ENTERED")
        unit.call_value(REMOVED, "REMOVED")
        unit.call_value(REPLACED, "REPLACED")

    def generate_touch(self, touch: Touch) -> Callable[[Any, int, Row, Row], None]:
        """The function for one row of an update that writes no rows but those it updates."""
        for bound in touch.indexes:
            self.entries.functions(bound)
        with self.unit.function("def touch(txn, rowid, row, new)"):
            self.body.line("undo = txn.undo")
            self._touch(list(touch.indexes), list(touch.parents), [], "rowid")
        return self._execute(f"update of table {self.table.id}")[1]["touch"]  # type: ignore[no-any-return]

    def generate_touch_rows(self, touch: Touch) -> Callable[..., None]:
        """The function for many rows."""
        for bound in touch.indexes:
            self.entries.functions(bound)
        writer = ManyRowsWriter(self.unit, self.bound, self.entries, self.foreign_keys)
        writer.touch(touch)
        return self._execute(f"updates of table {self.table.id}")[1]["touch_rows"]  # type: ignore[no-any-return]

    def generate_many(self) -> ManyRows:
        """The functions that write many rows at once."""
        for index in self.bound.indexes:
            self.entries.functions(index)
        writer = ManyRowsWriter(self.unit, self.bound, self.entries, self.foreign_keys)
        writer.insert()
        writer.delete()
        scope = self._execute(f"rows of table {self.table.id}")[1]
        return ManyRows(scope["insert_rows"], scope["delete_rows"])

    def _execute(self, title: str) -> tuple[str, dict[str, Any]]:
        """Compiles what was written; its source and namespace."""
        writer = Writer()
        writer.extend(self.unit.scopes[0].prologue)
        source = execute(writer, self.unit.namespace, title)
        return source, self.unit.namespace.globals

    def generate(self, touch: Callable[[frozenset[int]], Touch], many: Callable[[], ManyRows]) -> WriterProgram:
        """All functions of the table."""
        for number, foreign in enumerate(self.bound.parents):
            self.foreign_keys.check_function(number, foreign)
        for index in self.bound.indexes:
            self.entries.functions(index)
        if self.bound.generated or self.bound.checks:
            self._complete()
        self._make_row()
        self._defaults()
        self._conflicts()
        self._insert()
        self._delete()
        self._update()
        source, scope = self._execute(f"writer of table {self.table.id}")
        return WriterProgram(
            source,
            self.unit.namespace,
            scope["make_row"],
            scope.get("complete"),
            scope["insert"],
            scope["update"],
            scope["delete"],
            scope["conflicts"],
            {b.index.id: scope[f"entry{b.index.id}"] for b in self.bound.indexes},
            scope["defaults"],
            tuple(scope[f"check{n}"] for n in range(len(self.bound.parents))),
            touch,
            many,
            any(foreign.key.on_delete in ACTIONS for foreign in self.bound.children),
            bool(self.bound.children),
            any(f.key.on_delete == "RESTRICT" and f.child.id == self.table.id for f in self.bound.children),
            frozenset().union(*(_columns_of(expr, self.table) for _, expr in self.bound.generated)),
            tuple((expr, _columns_of(expr, self.table)) for _, expr in self.bound.checks),
            self.foreign_keys.dependents(self.bound.children),
            partial(delete_all, table=self.table.id, writer_of=self.resolve_writer),
        )

    @property
    def body(self) -> Writer:
        return self.unit.body

    # --- rows -------------------------------------------------------------------------------------------------------

    def _make_row(self) -> None:
        """``make_row(v0, v1, ...)``: the row of these values, converted to the columns' types, NOT NULL and complete."""
        names = [f"v{i}" for i in range(len(self.table.columns))]
        generated = dict(self.bound.generated)
        with self.unit.function(f"def make_row({', '.join(names)})"):
            for position, name in enumerate(names):
                if position not in generated:
                    convert_column(self.unit, self.table, position, name)
            row = tuple_code(names) if names else "()"
            complete = self.bound.generated or self.bound.checks
            self.body.line(f"return complete({row})" if complete else f"return {row}")

    def _complete(self) -> None:
        """``complete(row)``: the row with its generated columns, for which all CHECKs hold."""
        with self.unit.function("def complete(row)"):
            if self.bound.generated:
                self._generate([f"v{i}" for i in range(len(self.table.columns))])
            for check, predicate in self.bound.checks:
                with self.body.block(f"if {self.unit.expr.is_false(predicate)}"):
                    self.body.line(raising(self.unit, check_failed, check.name or check.expression))
            self.body.line("return row")

    def _defaults(self) -> None:
        with self.unit.function("def defaults()"):
            codes = [self.unit.expr.value(expr) for expr in self.bound.defaults]
            self.body.line(f"return {tuple_code(codes) if codes else '()'}")

    def _generate(self, names: list[str]) -> None:
        """Each generated column sees the columns computed before it."""
        self.body.line(f"{tuple_code(names)} = row")
        for position, _ in self.bound.generated:
            self.body.line(f"{names[position]} = None")
        for position, expr in self.bound.generated:
            self.body.line(f"row = {tuple_code(names)}")
            self.body.line(f"{names[position]} = {self.unit.expr.value(expr)}")
            convert_column(self.unit, self.table, position, names[position])
        self.body.line(f"row = {tuple_code(names)}")

    # --- indexes ----------------------------------------------------------------------------------------------------

    def _primary_key_name(self) -> str:
        positions = self.table.primary_key
        return ", ".join(map(self.entries.column_name, positions)) if positions else f"{self.table.name}.rowid"

    def _conflicts(self) -> None:
        """``conflicts(txn, rowid, row)``: (index id, rowid of the row in the way), 0 being the rowid itself."""
        with self.unit.function("def conflicts(txn, rowid, row)"):
            self.body.line("found = []")
            with self.body.block(f"if rowid in txn.rows({self.table.id})"):
                self.body.line("found.append((0, rowid))")
            for bound in self.bound.indexes:
                if bound.index.keyed:
                    self.body.line(f"key = entry{bound.index.id}(rowid, row)")
                    self.body.line(f"other = None if key is NO_ENTRY else txn.index({bound.index.id}).get(key)")
                    with self.body.block("if other is not None"):
                        self.body.line(f"found.append(({bound.index.id}, other))")
            self.body.line("return found")

    # --- writing ----------------------------------------------------------------------------------------------------

    def _insert(self) -> None:
        with self.unit.function("def insert(txn, rowid, row)"):
            self._put_away("row")
            self.body.line("undo = txn.undo")
            self.body.line(f"rows = txn.rows({self.table.id})")
            self.entries.insert_new("rows", "rowid", "row", raising(self.unit, unique_failed, self._primary_key_name()))
            for bound in self.bound.indexes:
                self.entries.entry(bound, self.entries.add_entry)
            for number, foreign in enumerate(self.bound.parents):
                self.foreign_keys.require_parent(f"check{number}", foreign, "row")

    def _put_away(self, row: str) -> None:
        if self.table.large:
            self.body.line(f"{row} = txn.put_away({row}, {self.table.large})")

    def _delete(self) -> None:
        with self.unit.function("def delete(txn, rowid, row)"):
            self.body.line("undo = txn.undo")
            self.body.line(f"rows = txn.rows({self.table.id})")
            self.body.line("undo.append((rows, rowid, row))")
            self._remove_row()
            for bound in self.bound.indexes:
                self.entries.entry(bound, self.entries.remove_entry)
            if self.bound.children:
                with self.body.block("if txn.foreign_keys_enabled"):
                    for foreign in self.bound.children:
                        self.foreign_keys.on_parent_gone(foreign, foreign.key.on_delete, "delete")

    def _update(self) -> None:
        with self.unit.function("def update(txn, rowid, row, new_rowid, new)"):
            self._put_away("new")
            self.body.line("undo = txn.undo")
            self.body.line(f"rows = txn.rows({self.table.id})")
            with self.body.block("if rowid == new_rowid"):
                everywhere = range(len(self.table.columns))
                with self.body.block(f"if not ({differs('new', 'row', self.table, everywhere)})"):
                    self.body.line("return")
                self.body.line("undo.append((rows, rowid, row))")
                self.body.line("rows[rowid] = new")
            with self.body.block("else"):
                self.body.line("undo.append((rows, rowid, row))")
                self._remove_row()
                self.entries.insert_new(
                    "rows", "new_rowid", "new", raising(self.unit, unique_failed, self._primary_key_name())
                )
            checks = [(f"check{n}", foreign) for n, foreign in enumerate(self.bound.parents)]
            self._touch(list(self.bound.indexes), checks, list(self.bound.children), "new_rowid")

    def _remove_row(self) -> None:
        self.body.line("del rows[rowid]")
        if self.table.autoincrement:
            with self.body.block("if not rows or rows.maxKey() < rowid"):
                self.body.line(f"txn.free_rowid({self.table.id}, rowid)")

    def _touch(
        self,
        indexes: list[BoundIndex],
        parents: list[tuple[str, BoundForeignKey]],
        children: list[BoundForeignKey],
        new_rowid: str,
    ) -> None:
        """Index entries and foreign keys of a row that was updated; ``parents`` with code of their checks."""
        for bound in indexes:
            self.entries.update_entry(bound, new_rowid)
        for check, foreign in parents:
            with self.body.block(f"if {self.foreign_keys.changed(foreign.key.columns)}"):
                self.foreign_keys.require_parent(check, foreign, "new")
        if children:
            with self.body.block("if txn.foreign_keys_enabled"):
                for foreign in children:
                    with self.body.block(f"if {self.foreign_keys.changed(foreign.parent_positions) or 'False'}"):
                        self.foreign_keys.on_parent_gone(foreign, foreign.key.on_update, "update")
