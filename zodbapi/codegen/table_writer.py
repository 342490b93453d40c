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

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from zodbapi import values
from zodbapi.catalog import Kind, Table
from zodbapi.codegen import runtime
from zodbapi.codegen.children import scan_children, seek_children
from zodbapi.codegen.constraints import (
    check_failed,
    foreign_key_failed,
    key_mismatch,
    missing_parent,
    not_null_failed,
    schedule,
    schedule_unique,
    unique_failed,
)
from zodbapi.codegen.expr import ExprWriter
from zodbapi.codegen.keys import encode, is_raw, part_type
from zodbapi.codegen.query import QueryWriter
from zodbapi.codegen.unit import Unit, tuple_code
from zodbapi.codegen.writer import Namespace, Writer, execute
from zodbapi.depth import roomy
from zodbapi.large import LIMIT, Oversize, load_value
from zodbapi.plan.expr import Column
from zodbapi.plan.nodes import BoundForeignKey, BoundIndex, TableWriter
from zodbapi.plan.walk import descend
from zodbapi.record import record
from zodbapi.undo import MISSING, PRESENT

# Kinds of which a value of the right class may have to change: rounded, checked, moved to UTC.
_RECAST = frozenset({Kind.DECIMAL, Kind.JSON, Kind.TIMESTAMPTZ, Kind.TIMESTAMP})
_ZONES = {Kind.TIMESTAMPTZ: UTC, Kind.TIMESTAMP: None}
NO_ENTRY = object()  # what an entry function gives for a row that a partial index leaves out


@record(frozen=True, slots=True)
class Touch:
    """What an update of certain columns, which leaves the rowid, does besides storing the row."""

    run: Callable[[Any, int, tuple[Any, ...], tuple[Any, ...]], None] | None  # (txn, rowid, row, new); None: nothing
    cascades: bool  # whether it may write other rows


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
    cascades: bool  # whether deleting a row may write others
    silent: WriterProgram | None = None  # the same that fires no triggers, where there are any
    before_insert: Callable[[Any, int, tuple[Any, ...]], bool] | None = None  # fires the BEFORE triggers alone
    insert_after: Callable[[Any, int, tuple[Any, ...]], bool] | None = None  # inserts, and fires the others

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
        return _TableWriter(bound, resolve_writer, collations).generate_touch(positions)

    return _TableWriter(bound, resolve_writer, collations).generate(touch)


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


class _TableWriter:
    def __init__(
        self,
        bound: TableWriter,
        resolve_writer: Callable[[int], WriterProgram],
        collations: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        self.bound = bound
        self.table = bound.table
        self.unit = unit = Unit(collations)
        unit.expr = ExprWriter(unit)
        unit.query = QueryWriter(unit)
        # The outermost scope is the module: what does not depend on a row is computed when the writer is made.
        unit.env[0] = unit.table_row(self.table, "row", "rowid")
        unit.rowids_used.add(0)
        unit.call_value(resolve_writer, "writer_of")
        unit.call_value(NO_ENTRY, "NO_ENTRY")
        unit.call_value(MISSING, "MISSING")
        unit.call_value(PRESENT, "PRESENT")

    def generate_touch(self, positions: frozenset[int]) -> Touch:
        """What an update of some columns does: nothing if neither index nor foreign key has any of them."""
        assigned = positions | {position for position, _ in self.bound.generated}
        indexes = [b for b in self.bound.indexes if not assigned.isdisjoint(_inputs(b))]
        parents = [(n, f) for n, f in enumerate(self.bound.parents) if not assigned.isdisjoint(f.key.columns)]
        children = [f for f in self.bound.children if not assigned.isdisjoint(f.parent_positions)]
        if not indexes and not parents and not children:
            return Touch(None, cascades=False)
        for bound in indexes:
            self._entry_function(bound)
            if bound.index.unique and not bound.index.keyed:
                self._unique_function(bound)
        with self.unit.function("def touch(txn, rowid, row, new)"):
            self.body.line("undo = txn.undo")
            self._touch(
                indexes, [(f"writer_of({self.table.id}).checks[{n}]", f) for n, f in parents], children, "rowid"
            )
        writer = Writer()
        writer.extend(self.unit.scopes[0].prologue)
        execute(writer, self.unit.namespace, f"update of table {self.table.id}")
        return Touch(self.unit.namespace.globals["touch"], cascades=bool(children))

    def generate(self, touch: Callable[[frozenset[int]], Touch]) -> WriterProgram:
        """All functions of the table."""
        for number, foreign in enumerate(self.bound.parents):
            self._check_function(number, foreign)
        for index in self.bound.indexes:
            self._entry_function(index)
            if index.index.unique and not index.index.keyed:
                self._unique_function(index)
        if self.bound.generated or self.bound.checks:
            self._complete()
        self._make_row()
        self._defaults()
        self._conflicts()
        self._insert()
        self._delete()
        self._update()
        writer = Writer()
        writer.extend(self.unit.scopes[0].prologue)
        source = execute(writer, self.unit.namespace, f"writer of table {self.table.id}")
        scope = self.unit.namespace.globals
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
            any(foreign.key.on_delete in ("CASCADE", "SET NULL", "SET DEFAULT") for foreign in self.bound.children),
        )

    @property
    def body(self) -> Writer:
        return self.unit.body

    def _raise(self, error: Callable[..., Exception], *names: str) -> str:
        arguments = ", ".join(self.unit.namespace.constant(name) for name in names)
        return f"raise {self.unit.call(error)}({arguments})"

    def _column_name(self, position: int) -> str:
        return f"{self.table.name}.{self.table.columns[position].name}"

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
                    self.body.line(self._raise(check_failed, check.name or check.expression))
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

    def _entry_function(self, bound: BoundIndex) -> None:
        """``entryN(rowid, row)``: the key of the row in index N, as ``keys`` describes it."""
        unit, index = self.unit, bound.index
        with unit.function(f"def entry{index.id}(rowid, row)"):
            if bound.where is not None:
                with self.body.block(f"if not {unit.expr.is_true(bound.where)}"):
                    self.body.line("return NO_ENTRY")
            codes, null_tests = [], []
            for column, expr in zip(index.columns, bound.keys, strict=True):
                type_, nullable = part_type(self.table, column)
                code = unit.expr.folded(unit.expr.value(expr), column.collation)
                if nullable and index.keyed and index.nulls_distinct:
                    first, code = unit.expr.hold(code)
                    null_tests.append(f"{first} is None")
                    if first != code:
                        self.body.line(f"{code} = {first.split(':=', 1)[1].strip()[:-1]}")
                        null_tests[-1] = f"{code} is None"
                codes.append(encode(unit, code, type_, nullable, maybe_null=True))
            if not index.keyed:
                self.body.line(f"return {tuple_code([*codes, 'rowid'])}")
                return
            if null_tests:
                with self.body.block(f"if {' or '.join(null_tests)}"):
                    self.body.line(f"return {tuple_code([*codes, 'rowid'])}")
            self.body.line(f"return {codes[0] if is_raw(self.table, index) else tuple_code(codes)}")

    def _entry_code(self, bound: BoundIndex, row: str, rowid: str) -> str:
        """Code of a row's key: written out where it is made of columns, else a call of ``entryN``."""
        index = bound.index
        plain = bound.where is None and all(isinstance(expr, Column) for expr in bound.keys)
        if not plain or (index.keyed and not is_raw(self.table, index)):
            return f"entry{index.id}({rowid}, {row})"
        codes = []
        with self.unit.bound({0: self.unit.table_row(self.table, row, rowid)}):
            for column, expr in zip(index.columns, bound.keys, strict=True):
                type_, nullable = part_type(self.table, column)
                code = self.unit.expr.folded(self.unit.expr.value(expr), column.collation)
                codes.append(encode(self.unit, code, type_, nullable, maybe_null=True))
        return codes[0] if index.keyed else tuple_code([*codes, rowid])

    def _unique_name(self, bound: BoundIndex) -> str:
        if any(column.position is None for column in bound.index.columns):
            return f"index '{bound.index.name}'"
        return ", ".join(self._column_name(c.position) for c in bound.index.columns if c.position is not None)

    def _primary_key_name(self) -> str:
        positions = self.table.primary_key
        return ", ".join(map(self._column_name, positions)) if positions else f"{self.table.name}.rowid"

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

    def _add_entry(self, bound: BoundIndex, key: str, rowid: str = "rowid") -> None:
        tree = f"x{bound.index.id}"
        if bound.index.keyed:
            self._insert_new(tree, key, rowid, self._raise(unique_failed, self._unique_name(bound)))
        else:
            self.body.line(f"undo.append(({tree}, {key}, MISSING))")
            self.body.line(f"{tree}.add({key})")
            if bound.index.unique:
                self.body.line(
                    f"{self.unit.call(schedule_unique)}(txn, {bound.index.deferred}, unique{bound.index.id}, {key})"
                )

    def _insert_new(self, tree: str, key: str, value: str, otherwise: str) -> None:
        """Adds a key that must not be there; what is there belongs to another row, and is not ours to undo."""
        self.body.line(f"undo.append(({tree}, {key}, MISSING))")
        with self.body.block(f"if not {tree}.insert({key}, {value})"):
            self.body.line("undo.pop()")
            self.body.line(otherwise)

    def _unique_function(self, bound: BoundIndex) -> None:
        """``uniqueN(txn, parts)``: fails when a deferrable constraint has two entries with the same parts."""
        with self.unit.function(f"def unique{bound.index.id}(txn, parts)"):
            above = self.unit.call_value(values.ABOVE, "above")
            self.body.line(f"tree = txn.index({bound.index.id})")
            with self.body.block(f"if len(tree.keys(parts, (*parts, {above}))) > 1"):
                self.body.line(self._raise(unique_failed, self._unique_name(bound)))
            self.body.line(f"txn.read_current(tree, parts, (*parts, {above}))")

    def _remove_entry(self, bound: BoundIndex, key: str) -> None:
        tree = f"x{bound.index.id}"
        if bound.index.keyed:
            self.body.line(f"undo.append(({tree}, {key}, rowid))")
            self.body.line(f"del {tree}[{key}]")
        else:
            self.body.line(f"undo.append(({tree}, {key}, PRESENT))")
            self.body.line(f"{tree}.remove({key})")

    def _entry(self, bound: BoundIndex, then: Callable[[BoundIndex, str], None]) -> None:
        """Computes the row's key and, unless a partial index leaves the row out, does something with it."""
        number = bound.index.id
        self.body.line(f"k{number} = {self._entry_code(bound, 'row', 'rowid')}")
        if bound.where is None:
            self.body.line(f"x{number} = txn.index({number})")
            then(bound, f"k{number}")
            return
        with self.body.block(f"if k{number} is not NO_ENTRY"):
            self.body.line(f"x{number} = txn.index({number})")
            then(bound, f"k{number}")

    # --- writing ----------------------------------------------------------------------------------------------------

    def _insert(self) -> None:
        with self.unit.function("def insert(txn, rowid, row)"):
            self._put_away("row")
            self.body.line("undo = txn.undo")
            self.body.line(f"rows = txn.rows({self.table.id})")
            self._insert_new("rows", "rowid", "row", self._raise(unique_failed, self._primary_key_name()))
            for bound in self.bound.indexes:
                self._entry(bound, self._add_entry)
            for number, foreign in enumerate(self.bound.parents):
                self._require_parent(f"check{number}", foreign, "row")

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
                self._entry(bound, self._remove_entry)
            if self.bound.children:
                with self.body.block("if txn.foreign_keys_enabled"):
                    for foreign in self.bound.children:
                        self._on_parent_gone(foreign, foreign.key.on_delete, "delete")

    def _update(self) -> None:
        with self.unit.function("def update(txn, rowid, row, new_rowid, new)"):
            self._put_away("new")
            self.body.line("undo = txn.undo")
            self.body.line(f"rows = txn.rows({self.table.id})")
            with self.body.block("if rowid == new_rowid"):
                self.body.line("undo.append((rows, rowid, row))")
                self.body.line("rows[rowid] = new")
            with self.body.block("else"):
                self.body.line("undo.append((rows, rowid, row))")
                self._remove_row()
                self._insert_new("rows", "new_rowid", "new", self._raise(unique_failed, self._primary_key_name()))
            checks = [(f"check{n}", foreign) for n, foreign in enumerate(self.bound.parents)]
            self._touch(list(self.bound.indexes), checks, list(self.bound.children), "new_rowid")

    def _remove_row(self) -> None:
        self.body.line("del rows[rowid]")
        if self.table.autoincrement:
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
            self._update_entry(bound, new_rowid)
        for check, foreign in parents:
            with self.body.block(f"if {self._changed(foreign.key.columns)}"):
                self._require_parent(check, foreign, "new")
        if children:
            with self.body.block("if txn.foreign_keys_enabled"):
                for foreign in children:
                    with self.body.block(f"if {self._changed(foreign.parent_positions) or 'False'}"):
                        self._on_parent_gone(foreign, foreign.key.on_update, "update")

    def _update_entry(self, bound: BoundIndex, new_rowid: str) -> None:
        """The entry moves when its key does. An UPDATE passes on the objects of the columns that it leaves alone."""
        same = [f"row[{position}] is not new[{position}]" for position in _inputs(bound)]
        if new_rowid != "rowid":
            same.append(f"rowid != {new_rowid}")
        with self.body.test(" or ".join(same)):
            self._move_entry(bound, new_rowid)

    def _move_entry(self, bound: BoundIndex, new_rowid: str) -> None:
        number, body = bound.index.id, self.body
        body.line(f"k{number} = {self._entry_code(bound, 'row', 'rowid')}")
        body.line(f"n{number} = {self._entry_code(bound, 'new', new_rowid)}")
        # A unique entry also holds the rowid; that of any other index is part of its key.
        moved = f" or rowid != {new_rowid}" if bound.index.keyed and new_rowid != "rowid" else ""
        with body.block(f"if k{number} != n{number}{moved}"):
            body.line(f"x{number} = txn.index({number})")
            if bound.where is None:
                self._remove_entry(bound, f"k{number}")
                self._add_entry(bound, f"n{number}", new_rowid)
                return
            with body.block(f"if k{number} is not NO_ENTRY"):
                self._remove_entry(bound, f"k{number}")
            with body.block(f"if n{number} is not NO_ENTRY"):
                self._add_entry(bound, f"n{number}", new_rowid)

    # --- foreign keys -----------------------------------------------------------------------------------------------

    def _require_parent(self, check: str, foreign: BoundForeignKey, row: str) -> None:
        """A child was written: its key must have a parent."""
        columns = foreign.key.columns
        present = " and ".join(f"{row}[{c}] is not None" for c in columns)
        key = self._key(row, columns)
        with self.body.block(f"if {present}"):
            self.body.line(f"{self.unit.call(schedule)}(txn, {foreign.key.deferred}, {check}, {key})")

    def _cell(self, row: str, position: int) -> str:
        code = f"{row}[{position}]"
        return f"{self.unit.call(load_value)}({code})" if position in self.table.large else code

    def _key(self, row: str, positions: tuple[int, ...]) -> str:
        codes = [self._cell(row, position) for position in positions]
        return codes[0] if len(codes) == 1 else tuple_code(codes)

    def _changed(self, columns: tuple[int, ...]) -> str:
        return " or ".join(f"{self._cell('row', c)} != {self._cell('new', c)}" for c in columns)

    def _check_function(self, number: int, foreign: BoundForeignKey) -> None:
        """``checkN(txn, key)``: fails when a child has the key and no parent does."""
        with self.unit.function(f"def check{number}(txn, key)"):
            if foreign.parent is None:
                with self.body.block(f"if {self._has_child(foreign)}"):
                    self.body.line(self._raise(missing_parent, foreign.key.parent))
                return
            if foreign.mismatch:
                self.body.line(self._raise(key_mismatch, foreign.child.name, foreign.key.parent))
                return
            self._parent_key(foreign)
            # What was found, or not found, has to be so at the commit too.
            with self.body.block("if parent is not None and parent in tree"):
                self.body.line("txn.read_current(tree, parent)")
            with self.body.block(f"elif {self._has_child(foreign)}"):
                self.body.line(self._raise(foreign_key_failed))

    def _parent_key(self, foreign: BoundForeignKey) -> None:
        """Writes the assignment of ``tree``, where a parent would be, and ``parent``, its key there."""
        parent = foreign.parent
        assert parent is not None
        if foreign.parent_index is None:
            kind = parent.columns[parent.rowid_column].type.kind if parent.rowid_column is not None else Kind.INTEGER
            self.body.line(f"tree = txn.rows({parent.id})")
            affine = self.unit.call(values.affine(kind))
            self.body.line(f"parent = {self.unit.call(runtime.rowid_of)}({affine}(key))")
            return
        codes = []
        single = len(foreign.key.columns) == 1
        order = {position: place for place, position in enumerate(foreign.parent_positions)}
        for column in foreign.parent_index.columns:
            assert column.position is not None
            type_, nullable = part_type(parent, column)
            code = "key" if single else f"key[{order[column.position]}]"
            code = self.unit.expr.folded(f"{self.unit.call(values.comparable(type_.kind))}({code})", column.collation)
            codes.append(encode(self.unit, code, type_, nullable, maybe_null=False))
        key = codes[0] if is_raw(parent, foreign.parent_index) else tuple_code(codes)
        self.body.line(f"tree = txn.index({foreign.parent_index.id})")
        self.body.line(f"parent = {key}")

    def _has_child(self, foreign: BoundForeignKey) -> str:
        return f"{self._children_function(foreign)}(txn, key, 1)"

    def _children_function(self, foreign: BoundForeignKey) -> str:
        """A function (txn, key, limit) that lists the (rowid, row) of the children with that key."""
        child, columns = foreign.child, foreign.key.columns
        single = len(columns) == 1
        if foreign.child_index is None:
            finder = scan_children(child.id, columns)
        else:
            order = {position: place for place, position in enumerate(columns)}
            parts = []
            for column in foreign.child_index.columns[: len(columns)]:
                assert column.position is not None
                type_, nullable = part_type(child, column)
                parts.append((None if single else order[column.position], type_, nullable, column.collation))
            finder = seek_children(child, foreign.child_index, tuple(parts), self.unit.collations)
        return self.unit.namespace.callable(finder)

    def _on_parent_gone(self, foreign: BoundForeignKey, action: str, event: str) -> None:
        """A parent's key has gone (deleted or changed): cascade, or have the key checked."""
        positions = foreign.parent_positions
        key = self._key("row", positions)
        present = " and ".join(f"row[{p}] is not None" for p in positions)
        child = f"writer_of({foreign.child.id})"
        number = foreign.child.foreign_keys.index(foreign.key)
        find = self._children_function(foreign)
        with self.body.block(f"if {present}"):
            self.body.line(f"key = {key}")
            match action:
                case "RESTRICT":
                    with self.body.block(f"if {find}(txn, key, 1)"):
                        self.body.line(self._raise(foreign_key_failed))
                case "CASCADE" if event == "delete":
                    with self.body.block(f"for i, r in {find}(txn, key, -1)"):
                        self.body.line(f"if txn.rows({foreign.child.id}).get(i) == r: {child}.delete(txn, i, r)")
                case "CASCADE" | "SET NULL" | "SET DEFAULT":
                    self._rewrite_children(foreign, action, child, find)
                case _:
                    self.body.line(
                        f"{self.unit.call(schedule)}(txn, {foreign.key.deferred}, {child}.checks[{number}], key)"
                    )

    def _rewrite_children(self, foreign: BoundForeignKey, action: str, child: str, find: str) -> None:
        """ON UPDATE CASCADE, SET NULL and SET DEFAULT: the child's key columns get new values."""
        codes = []
        for column, position in zip(foreign.key.columns, foreign.parent_positions, strict=True):
            value = {"CASCADE": self._cell("new", position), "SET NULL": "None"}.get(
                action, f"{child}.defaults()[{column}]"
            )
            codes.append(f"{column}: {value}")
        table = foreign.child
        rowid = "i" if table.rowid_column not in foreign.key.columns else f"after[{table.rowid_column}]"
        with self.body.block(f"for i, r in {find}(txn, key, -1)"):
            self.body.line(f"changed = {{{', '.join(codes)}}}")
            self.body.line(f"after = {child}.make_row(*(changed.get(n, v) for n, v in enumerate(r)))")
            self.body.line(f"{child}.update(txn, i, r, {rowid}, after)")


def _inputs(bound: BoundIndex) -> list[int]:
    """The columns that an index is computed from."""
    inputs = (*bound.keys, bound.where) if bound.where is not None else bound.keys
    return sorted({part.position for expr in inputs for part in descend(expr) if isinstance(part, Column)})
