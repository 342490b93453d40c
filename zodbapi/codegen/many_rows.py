"""The functions that write many rows of a table at once: what ``insert``, ``delete`` and an update do, a step for all rows.

In: a table's bound indexes and foreign keys. Out: functions that take lists. They leave what the functions for one row leave,
but each tree is changed in the order of its keys, so that the leaves are visited one after the other, and each step is one
entry of the undo log. Which row fails first, they cannot tell: who needs to know undoes, and writes row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.constraints import schedule_many, schedule_unique, unique_failed
from zodbapi.codegen.unit import raising

if TYPE_CHECKING:
    from zodbapi.codegen.foreign_key_writer import ForeignKeyWriter
    from zodbapi.codegen.index_writer import IndexWriter
    from zodbapi.codegen.unit import Unit
    from zodbapi.codegen.writer import Writer
    from zodbapi.plan.nodes import BoundIndex, TableWriter

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ManyRows:
    """The compiled functions."""

    insert: Callable[[Any, Sequence[int], list[Row]], None]  # (txn, rowids that are free, rows)


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
                columns = foreign.key.columns
                key, present = self.foreign_keys.key("row", columns), self.foreign_keys.present("row", columns)
                keys = f"{{{key} for row in made if {present}}}"
                check = f"writer_of({self.table.id}).checks[{number}]"
                body.line(f"{self.unit.call(schedule_many)}(txn, {foreign.key.deferred}, {check}, {keys})")

    def _add_entries(self, bound: BoundIndex, pairs: str) -> None:
        """Adds the entries of rows that have none yet."""
        number, body = bound.index.id, self.body
        code = self.entries.entry_code(bound, "row", "rowid")
        test = ""
        if bound.where is not None:
            code, test = "key", f" if (key := {code}) is not NO_ENTRY"
        item = f"({code}, rowid)" if bound.index.keyed else code
        body.line(f"x{number} = txn.index({number})")
        body.line(f"e{number} = [{item} for rowid, row in {pairs}{test}]")
        body.line(f"e{number}.sort()")
        if not bound.index.keyed:
            body.line(f"undo.append((x{number}, e{number}, ADDED))")
            body.line(f"x{number}.update(e{number})")
            if bound.index.unique:
                with body.block(f"for key in e{number}"):
                    schedule = self.unit.call(schedule_unique)
                    body.line(f"{schedule}(txn, {bound.index.deferred}, unique{number}, key)")
            return
        body.line(f"undo.append((x{number}, e{number}, ENTERED))")
        body.line(f"insert = x{number}.insert")
        with body.block(f"for key, rowid in e{number}"), body.block("if not insert(key, rowid)"):
            body.line(raising(self.unit, unique_failed, self.entries.unique_name(bound)))
