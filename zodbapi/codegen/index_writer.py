"""Index entries, in the functions that write a table: the key of a row in each index, and adding, removing and moving it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zodbapi import values
from zodbapi.codegen.constraints import schedule_unique, unique_failed
from zodbapi.codegen.keys import encode, is_raw, part_type
from zodbapi.codegen.unit import raising, tuple_code
from zodbapi.plan.entries import is_whole
from zodbapi.plan.expr import Column
from zodbapi.plan.walk import descend

if TYPE_CHECKING:
    from collections.abc import Callable

    from zodbapi.catalog import Table
    from zodbapi.codegen.unit import Unit
    from zodbapi.codegen.writer import Writer
    from zodbapi.plan.writer import BoundIndex


class IndexWriter:
    """Writes the code about the entries of a table's indexes."""

    def __init__(self, unit: Unit, table: Table) -> None:
        self.unit = unit
        self.table = table

    @property
    def body(self) -> Writer:
        """Where the function being written continues."""
        return self.unit.body

    def functions(self, bound: BoundIndex) -> None:
        """What other code calls: ``entryN`` and, for a deferrable unique constraint, ``uniqueN``."""
        self._entry_function(bound)
        if bound.index.unique and not bound.index.keyed:
            self._unique_function(bound)

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
                code = unit.expr.folded(unit.expr.value(expr), column.folding)
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

    def entry_code(self, bound: BoundIndex, row: str, rowid: str) -> str:
        """Code of a row's key: written out where it is made of columns, else a call of ``entryN``."""
        index = bound.index
        if not is_plain(bound) or (index.keyed and index.nulls_distinct and not is_whole(self.table, index)):
            return f"entry{index.id}({rowid}, {row})"
        codes = []
        with self.unit.bound({0: self.unit.table_row(self.table, row, rowid)}):
            for column, expr in zip(index.columns, bound.keys, strict=True):
                type_, nullable = part_type(self.table, column)
                code = self.unit.expr.folded(self.unit.expr.value(expr), column.folding)
                codes.append(encode(self.unit, code, type_, nullable, maybe_null=True))
        if not index.keyed:
            return tuple_code([*codes, rowid])
        return codes[0] if is_raw(self.table, index) else tuple_code(codes)

    def unique_name(self, bound: BoundIndex) -> str:
        """The constraint as messages name it."""
        if any(column.position is None for column in bound.index.columns):
            return f"index '{bound.index.name}'"
        return ", ".join(self.column_name(c.position) for c in bound.index.columns if c.position is not None)

    def add_entry(self, bound: BoundIndex, key: str, rowid: str = "rowid") -> None:
        """Writes the adding of a row's key."""
        tree = f"x{bound.index.id}"
        if bound.index.keyed:
            self.insert_new(tree, key, rowid, raising(self.unit, unique_failed, self.unique_name(bound)))
        else:
            self.body.line(f"undo.append(({tree}, {key}, MISSING))")
            self.body.line(f"{tree}.add({key})")
            if bound.index.unique:
                self.body.line(
                    f"{self.unit.call(schedule_unique)}(txn, {bound.index.deferred}, unique{bound.index.id}, {key})"
                )

    def insert_new(self, tree: str, key: str, value: str, otherwise: str) -> None:
        """Adds a key that must not be there; what is there belongs to another row, and is not ours to undo."""
        self.body.line(f"undo.append(({tree}, (({key}, {value}),), ENTERED))")
        with self.body.block(f"if not {tree}.insert({key}, {value})"):
            self.body.line("undo.pop()  # the value that is there may be an equal one")
            self.body.line(otherwise)

    def _unique_function(self, bound: BoundIndex) -> None:
        """``uniqueN(txn, parts)``: fails when a deferrable constraint has two entries with the same parts."""
        with self.unit.function(f"def unique{bound.index.id}(txn, parts)"):
            above = self.unit.call_value(values.ABOVE, "above")
            self.body.line(f"tree = txn.index({bound.index.id})")
            with self.body.block(f"if len(tree.keys(parts, (*parts, {above}))) > 1"):
                self.body.line(raising(self.unit, unique_failed, self.unique_name(bound)))
            self.body.line(f"txn.read_current(tree, parts, (*parts, {above}))")

    def remove_entry(self, bound: BoundIndex, key: str) -> None:
        """Writes the removal of a row's key."""
        tree = f"x{bound.index.id}"
        if bound.index.keyed:
            self.body.line(f"undo.append(({tree}, {key}, rowid))")
            self.body.line(f"del {tree}[{key}]")
        else:
            self.body.line(f"undo.append(({tree}, {key}, PRESENT))")
            self.body.line(f"{tree}.remove({key})")

    def entry(self, bound: BoundIndex, then: Callable[[BoundIndex, str], None]) -> None:
        """Computes the row's key and, unless a partial index leaves the row out, does something with it."""
        number = bound.index.id
        self.body.line(f"k{number} = {self.entry_code(bound, 'row', 'rowid')}")
        if bound.where is None:
            self.body.line(f"x{number} = txn.index({number})")
            then(bound, f"k{number}")
            return
        with self.body.block(f"if k{number} is not NO_ENTRY"):
            self.body.line(f"x{number} = txn.index({number})")
            then(bound, f"k{number}")

    def update_entry(self, bound: BoundIndex, new_rowid: str) -> None:
        """The entry moves when its key does. An UPDATE passes on the objects of the columns that it leaves alone."""
        same = [f"row[{position}] is not new[{position}]" for position in inputs(bound)]
        if new_rowid != "rowid":
            same.append(f"rowid != {new_rowid}")
        with self.body.test(" or ".join(same)):
            self._move_entry(bound, new_rowid)

    def _move_entry(self, bound: BoundIndex, new_rowid: str) -> None:
        number, body = bound.index.id, self.body
        body.line(f"k{number} = {self.entry_code(bound, 'row', 'rowid')}")
        body.line(f"n{number} = {self.entry_code(bound, 'new', new_rowid)}")
        # A unique entry also holds the rowid; that of any other index is part of its key.
        moved = f" or rowid != {new_rowid}" if bound.index.keyed and new_rowid != "rowid" else ""
        with body.block(f"if k{number} != n{number}{moved}"):
            body.line(f"x{number} = txn.index({number})")
            if bound.where is None:
                self.remove_entry(bound, f"k{number}")
                self.add_entry(bound, f"n{number}", new_rowid)
                return
            with body.block(f"if k{number} is not NO_ENTRY"):
                self.remove_entry(bound, f"k{number}")
            with body.block(f"if n{number} is not NO_ENTRY"):
                self.add_entry(bound, f"n{number}", new_rowid)

    def column_name(self, position: int) -> str:
        """The column as messages name it."""
        return f"{self.table.name}.{self.table.columns[position].name}"


def is_plain(bound: BoundIndex) -> bool:
    """Whether an index has all rows, and its keys are made of columns alone."""
    return bound.where is None and all(isinstance(expr, Column) for expr in bound.keys)


def inputs(bound: BoundIndex) -> list[int]:
    """The columns that an index is computed from."""
    exprs = (*bound.keys, bound.where) if bound.where is not None else bound.keys
    return sorted({part.position for expr in exprs for part in descend(expr) if isinstance(part, Column)})
