"""Foreign keys, in the functions that write a table: what a new or changed child needs, and what becomes of the children
of a parent that goes.

Keys are checked, not rows: see ``table_writer``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zodbapi import values
from zodbapi.catalog import Kind
from zodbapi.codegen import runtime
from zodbapi.codegen.cascades import ACTIONS, Dependent
from zodbapi.codegen.children import Finder, scan_children, seek_children
from zodbapi.codegen.constraints import foreign_key_failed, key_mismatch, missing_parent, schedule, schedule_many
from zodbapi.codegen.keys import encode, is_raw, part_type, prepare
from zodbapi.codegen.unit import raising, tuple_code
from zodbapi.large import load_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zodbapi.catalog import Table
    from zodbapi.codegen.unit import Unit
    from zodbapi.codegen.writer import Writer
    from zodbapi.plan.writer import BoundForeignKey

# Kinds of which all values that a column can hold have one class, and are compared as they are.
SAME_CLASS: Final = frozenset({Kind.BLOB, Kind.DATE, Kind.INTEGER, Kind.TEXT, Kind.UUID})


class ForeignKeyWriter:
    """Writes the code about foreign keys from and to a table."""

    def __init__(self, unit: Unit, table: Table) -> None:
        self.unit = unit
        self.table = table

    @property
    def body(self) -> Writer:
        """Where the function being written continues."""
        return self.unit.body

    def require_parent(self, check: str, foreign: BoundForeignKey, row: str) -> None:
        """A child was written: its key must have a parent."""
        columns = foreign.key.columns
        with self.body.block(f"if {self.present(row, columns)}"):
            code = f"(txn, {foreign.key.deferred}, {check}, {self.key(row, columns)})"
            self.body.line(f"{self.unit.call(schedule)}{code}")

    def present(self, row: str, columns: tuple[int, ...]) -> str:
        """Code of the question whether none of the columns is NULL."""
        return " and ".join(f"{row}[{c}] is not None" for c in columns)

    def _cell(self, row: str, position: int) -> str:
        code = f"{row}[{position}]"
        return f"{self.unit.call(load_value)}({code})" if position in self.table.large else code

    def key(self, row: str, positions: tuple[int, ...]) -> str:
        """Code of a row's values at these positions: one value, or a tuple."""
        codes = [self._cell(row, position) for position in positions]
        return codes[0] if len(codes) == 1 else tuple_code(codes)

    def changed(self, columns: tuple[int, ...]) -> str:
        """Code of the question whether an update changes one of the columns."""
        return " or ".join(f"{self._cell('row', c)} != {self._cell('new', c)}" for c in columns)

    def check_function(self, number: int, foreign: BoundForeignKey) -> None:
        """``checkN(txn, key)``: fails when a child has the key and no parent does."""
        with self.unit.function(f"def check{number}(txn, key)"):
            if foreign.parent is None:
                with self.body.block(f"if {self._has_child(foreign)}"):
                    self.body.line(raising(self.unit, missing_parent, foreign.key.parent))
                return
            if foreign.mismatch:
                self.body.line(raising(self.unit, key_mismatch, foreign.child.name, foreign.key.parent))
                return
            self._parent_key(foreign)
            # What was found, or not found, has to be so at the commit too.
            with self.body.block("if parent is not None and parent in tree"):
                self.body.line("txn.read_current(tree, parent)")
            if foreign.child_index is None:
                with self.body.block(f"elif {self._has_child(foreign)}"):
                    self.body.line(raising(self.unit, foreign_key_failed))
                return
            with self.body.block("else"):
                self._require_no_child(foreign)

    def _require_no_child(self, foreign: BoundForeignKey) -> None:
        """Seeks one child with the key in the index; that there is none has to be so at the commit too."""
        index, child = foreign.child_index, foreign.child
        assert index is not None
        columns, codes = foreign.key.columns, []
        for part in index.columns[: len(columns)]:
            assert part.position is not None
            place = columns.index(part.position)
            type_, nullable = part_type(child, part)
            code = "key" if len(columns) == 1 else f"key[{place}]"
            if not (type_.kind in SAME_CLASS and self._parent_kind(foreign, place) is type_.kind):
                code = f"{self.unit.call(prepare(type_))}({code})"
            code = self.unit.expr.folded(code, part.folding)
            codes.append(encode(self.unit, code, type_, nullable, maybe_null=False))
        body = self.body
        body.line(f"children = txn.index({index.id})")
        if is_raw(child, index):
            body.line(f"low = high = {codes[0]}")
        else:
            body.line(f"low = {tuple_code(codes)}")
            body.line(f"high = (*low, {self.unit.call_value(values.ABOVE, 'above')})")
        with body.block("for _ in children.keys(low, high)"):
            body.line(raising(self.unit, foreign_key_failed))
        body.line("txn.read_current(children, low, high)")

    def _parent_kind(self, foreign: BoundForeignKey, place: int) -> Kind:
        """The kind of the parent's column that a column of the key refers to."""
        assert foreign.parent is not None
        position = foreign.parent_positions[place]
        return foreign.parent.columns[position].type.kind if position >= 0 else Kind.INTEGER

    def _parent_key(self, foreign: BoundForeignKey) -> None:
        """Writes the assignment of ``tree``, where a parent would be, and ``parent``, its key there."""
        parent = foreign.parent
        assert parent is not None
        if foreign.parent_index is None:
            kind = parent.columns[parent.rowid_column].type.kind if parent.rowid_column is not None else Kind.INTEGER
            self.body.line(f"tree = txn.rows({parent.id})")
            if kind is Kind.INTEGER and foreign.child.columns[foreign.key.columns[0]].type.kind is kind:
                self.body.line("parent = key")
                return
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
            code = self.unit.expr.folded(f"{self.unit.call(prepare(type_))}({code})", column.folding)
            codes.append(encode(self.unit, code, type_, nullable, maybe_null=False))
        key = codes[0] if is_raw(parent, foreign.parent_index) else tuple_code(codes)
        self.body.line(f"tree = txn.index({foreign.parent_index.id})")
        self.body.line(f"parent = {key}")

    def _has_child(self, foreign: BoundForeignKey) -> str:
        return f"{self._children_function(foreign)}(txn, key, 1)"

    def _children_function(self, foreign: BoundForeignKey) -> str:
        return self.unit.namespace.callable(self._finder(foreign).one)

    def dependents(self, children: Sequence[BoundForeignKey]) -> tuple[Dependent, ...]:
        """Those of the keys of children whose action on deletion is more than a check at the end."""
        return tuple(
            Dependent(
                foreign.child,
                foreign.key.columns,
                foreign.parent_positions,
                foreign.key.on_delete,
                None if foreign.mismatch else self._finder(foreign),
            )
            for foreign in children
            if foreign.key.on_delete in (*ACTIONS, "RESTRICT")
        )

    def _finder(self, foreign: BoundForeignKey) -> Finder:
        """What finds the children of parents."""
        child, columns = foreign.child, foreign.key.columns
        single = len(columns) == 1
        if foreign.child_index is None:
            return scan_children(child.id, columns)
        order = {position: place for place, position in enumerate(columns)}
        parts = []
        for column in foreign.child_index.columns[: len(columns)]:
            assert column.position is not None
            type_, nullable = part_type(child, column)
            parts.append((None if single else order[column.position], type_, nullable, column.folding))
        return seek_children(child, foreign.child_index, tuple(parts), self.unit.collations)

    def on_parent_gone(self, foreign: BoundForeignKey, action: str, event: str) -> None:
        """A parent's key has gone (deleted or changed): cascade, or have the key checked.

        What a trigger keeps a cascade from changing has to have a parent again at the end.
        """
        if foreign.mismatch:
            self.body.line(raising(self.unit, key_mismatch, foreign.child.name, foreign.key.parent))
            return
        positions = foreign.parent_positions
        key = self.key("row", positions)
        child = f"writer_of({foreign.child.id})"
        find = self._children_function(foreign)
        with self.body.block(f"if {self.present('row', positions)}"):
            self.body.line(f"key = {key}")
            match action:
                case "RESTRICT":
                    with self.body.block(f"if {find}(txn, key, 1)"):
                        self.body.line(raising(self.unit, foreign_key_failed))
                case "CASCADE" if event == "delete":
                    gone = f"txn.rows({foreign.child.id}).get(i) == r and {child}.delete(txn, i, r)"
                    with self.body.block(f"for i, r in {find}(txn, key, -1)"), self.body.block(f"if {gone}"):
                        self._check_later(foreign, child)
                case "CASCADE" | "SET NULL" | "SET DEFAULT":
                    self._rewrite_children(foreign, action, child, find)
                    if action == "SET DEFAULT":  # which may be the very key that has gone
                        self._check_later(foreign, child)
                case _:
                    self._check_later(foreign, child)

    def on_parents_gone(self, foreign: BoundForeignKey, rows: str) -> bool:
        """The same for a list of rows that were deleted, all at once; False if it has to be done one by one.

        What an action writes was done before: see ``cascades``.
        """
        if foreign.mismatch or foreign.key.on_delete == "RESTRICT":
            return False
        if foreign.key.on_delete in ACTIONS:
            return True
        positions = foreign.parent_positions
        keys = f"{{{self.key('row', positions)} for row in {rows} if {self.present('row', positions)}}}"
        number = foreign.child.foreign_keys.index(foreign.key)
        check = f"writer_of({foreign.child.id}).checks[{number}]"
        self.body.line(f"{self.unit.call(schedule_many)}(txn, {foreign.key.deferred}, {check}, {keys})")
        return True

    def _check_later(self, foreign: BoundForeignKey, child: str) -> None:
        number = foreign.child.foreign_keys.index(foreign.key)
        self.body.line(f"{self.unit.call(schedule)}(txn, {foreign.key.deferred}, {child}.checks[{number}], key)")

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
            with self.body.block(f"if {child}.update(txn, i, r, {rowid}, after)"):
                self._check_later(foreign, child)
