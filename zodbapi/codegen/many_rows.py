"""The functions that write many rows of a table at once: what ``insert``, ``delete`` and an update do, a step for all rows.

In: a table's bound indexes and foreign keys. Out: functions that take lists. They leave what the functions for one row leave,
but each tree is changed in the order of its keys, so that the leaves are visited one after the other, and each step is one
entry of the undo log. Which row fails first, they cannot tell: who needs to know undoes, and writes row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.constraints import schedule_many, schedule_unique, unique_failed
from zodbapi.codegen.index_writer import inputs
from zodbapi.codegen.unit import raising
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.codegen.foreign_key_writer import ForeignKeyWriter
    from zodbapi.codegen.index_writer import IndexWriter
    from zodbapi.codegen.unit import Unit
    from zodbapi.codegen.writer import Writer
    from zodbapi.plan.writer import BoundForeignKey, BoundIndex, TableWriter

Row = tuple[Any, ...]


@record(frozen=True, slots=True)
class ManyRows:
    """The compiled functions."""

    insert: Callable[[Any, Sequence[int], list[Row]], None]  # (txn, rowids that are free, rows)
    delete: Callable[
        [Any, list[int], list[Row]], None
    ]  # (txn, rowids, rows), of a table whose deletions write no other rows


class ManyRowsWriter:
    """Writes these functions."""

    def __init__(self, unit: Unit, bound: TableWriter, entries: IndexWriter, foreign_keys: ForeignKeyWriter) -> None:
        self.unit = unit
        self.bound = bound
        self.table = bound.table
        self.entries = entries
        self.foreign_keys = foreign_keys

    @property
    def body(self) -> Writer:
        """Where the function being written continues."""
        return self.unit.body

    def insert(self) -> None:
        """``insert_rows(txn, rowids, made)``."""
        body = self.body
        with self.unit.function("def insert_rows(txn, rowids, made)"):
            body = self.body
            if self.table.large:
                body.line(f"made = [txn.put_away(row, {self.table.large}) for row in made]")
            body.line("undo = txn.undo")
            body.line(f"rows = txn.rows({self.table.id})")
            body.line("undo.append((rows, rowids, ADDED))")
            body.line("pairs = list(zip(rowids, made))")
            body.line("rows.update(pairs)")
            for bound in self.bound.indexes:
                self._add_entries(bound, "pairs")
            for number, foreign in enumerate(self.bound.parents):
                self._require_parents(f"writer_of({self.table.id}).checks[{number}]", foreign, "row in made", "row")

    def _require_parents(self, check: str, foreign: BoundForeignKey, loop: str, row: str, test: str = "") -> None:
        """Children were written: their keys must have parents."""
        columns = foreign.key.columns
        tests = " and ".join(filter(None, (test, self.foreign_keys.present(row, columns))))
        keys = f"{{{self.foreign_keys.key(row, columns)} for {loop} if {tests}}}"
        schedule = self.unit.call(schedule_many)
        self.body.line(f"{schedule}(txn, {foreign.key.deferred}, {check}, {keys})")

    def delete(self) -> None:
        """``delete_rows(txn, rowids, gone)``."""
        with self.unit.function("def delete_rows(txn, rowids, gone)"):
            body = self.body
            body.line("undo = txn.undo")
            body.line(f"rows = txn.rows({self.table.id})")
            body.line("undo.append((rows, (rowids, gone), REPLACED))")
            with body.block("for rowid in rowids"):
                body.line("del rows[rowid]")
            if self.table.autoincrement:
                body.line(f"txn.free_rowid({self.table.id}, max(rowids))")
            for bound in self.bound.indexes:
                self._remove_entries(bound)
            if self.bound.children:
                with body.block("if txn.foreign_keys_enabled"), body.block("for row in gone"):
                    for foreign in self.bound.children:
                        self.foreign_keys.on_parent_gone(foreign, foreign.key.on_delete, "delete")

    def _remove_entries(self, bound: BoundIndex) -> None:
        """Removes the entries of rows."""
        number, body = bound.index.id, self.body
        code, test = self._entry(bound)
        body.line(f"x{number} = txn.index({number})")
        item = f"({code}, rowid)" if bound.index.keyed else code
        body.line(f"e{number} = sorted([{item} for rowid, row in zip(rowids, gone){test}])")
        if not bound.index.keyed:
            body.line(f"undo.append((x{number}, e{number}, REMOVED))")
            body.line(f"txn.move_entries(x{number}, e{number}, ())")
            return
        body.line(
            f"undo.append((x{number}, ([key for key, _ in e{number}], [rowid for _, rowid in e{number}]), REPLACED))"
        )
        with body.block(f"for key, _ in e{number}"):
            body.line(f"del x{number}[key]")

    def _entry(self, bound: BoundIndex) -> tuple[str, str]:
        """Code of a row's entry in a comprehension, and of the test whether it has one."""
        code = self.entries.entry_code(bound, "row", "rowid")
        return (code, "") if bound.where is None else ("key", f" if (key := {code}) is not NO_ENTRY")

    def touch(self, indexes: Sequence[BoundIndex], parents: Sequence[tuple[str, BoundForeignKey]]) -> None:
        """``touch_rows(txn, rowids, olds, made)``: entries of indexes that are no mappings, and parents, of updated rows.

        ``parents`` come with code of their checks.
        """
        with self.unit.function("def touch_rows(txn, rowids, olds, made)"):
            self.body.line("undo = txn.undo")
            for bound in indexes:
                self._move_entries(bound)
            for check, foreign in parents:
                changed = f"({self.foreign_keys.changed(foreign.key.columns)})"
                self._require_parents(check, foreign, "row, new in zip(olds, made)", "new", changed)

    def _move_entries(self, bound: BoundIndex) -> None:
        """Entries move when their keys do. An UPDATE passes on the objects of the columns that it leaves alone."""
        number, body = bound.index.id, self.body
        old, new = (self.entries.entry_code(bound, row, "rowid") for row in ("row", "new"))
        same = " or ".join(f"row[{position}] is not new[{position}]" for position in inputs(bound))
        body.line(f"moved{number} = [(old, key) for rowid, row, new in zip(rowids, olds, made)")
        body.line(f"    if {f'({same})' if same else 'True'} and (old := {old}) != (key := {new})]")
        with body.block(f"if moved{number}"):
            test = "" if bound.where is None else " if key is not NO_ENTRY"
            body.line(f"x{number} = txn.index({number})")
            body.line(f"gone{number} = sorted([key for key, _ in moved{number}{test}])")
            body.line(f"undo.append((x{number}, gone{number}, REMOVED))")
            body.line(f"e{number} = sorted([key for _, key in moved{number}{test}])")
            body.line(f"undo.append((x{number}, e{number}, ADDED))")
            body.line(f"txn.move_entries(x{number}, gone{number}, e{number})")
            self._schedule_unique(bound)

    def _add_entries(self, bound: BoundIndex, pairs: str) -> None:
        """Adds the entries of rows that have none yet."""
        number, body = bound.index.id, self.body
        code, test = self._entry(bound)
        item = f"({code}, rowid)" if bound.index.keyed else code
        body.line(f"x{number} = txn.index({number})")
        body.line(f"e{number} = [{item} for rowid, row in {pairs}{test}]")
        body.line(f"e{number}.sort()")
        if not bound.index.keyed:
            self._add_sorted(bound)
            return
        body.line(f"undo.append((x{number}, e{number}, ENTERED))")
        body.line(f"insert = x{number}.insert")
        with body.block(f"for key, rowid in e{number}"), body.block("if not insert(key, rowid)"):
            body.line(raising(self.unit, unique_failed, self.entries.unique_name(bound)))

    def _add_sorted(self, bound: BoundIndex) -> None:
        """Adds the entries ``eN`` to a set."""
        number, body = bound.index.id, self.body
        body.line(f"undo.append((x{number}, e{number}, ADDED))")
        body.line(f"x{number}.update(e{number})")
        self._schedule_unique(bound)

    def _schedule_unique(self, bound: BoundIndex) -> None:
        """The entries ``eN`` were added: other rows may have these keys."""
        number = bound.index.id
        if bound.index.unique:
            with self.body.block(f"for key in e{number}"):
                schedule = self.unit.call(schedule_unique)
                self.body.line(f"{schedule}(txn, {bound.index.deferred}, unique{number}, key)")
