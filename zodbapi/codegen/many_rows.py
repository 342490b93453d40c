"""The functions that write many rows of a table at once: what ``insert``, ``delete`` and an update do, a step for all rows.

In: a table's bound indexes and foreign keys. Out: functions that take lists. They leave what the functions for one row leave,
but each tree is changed in the order of its keys, so that the leaves are visited one after the other, and each step is one
entry of the undo log. Which row fails first, they cannot tell: who needs to know undoes, and writes row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.constraints import schedule_many, schedule_unique, unique_failed
from zodbapi.codegen.index_writer import inputs, is_plain
from zodbapi.codegen.unit import raising
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.codegen.foreign_key_writer import ForeignKeyWriter
    from zodbapi.codegen.index_writer import IndexWriter
    from zodbapi.codegen.table_writer import Touch
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


class KeyExists(Exception):
    """A new key of a unique index belongs to a row already."""


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
                with body.block("if txn.foreign_keys_enabled"):
                    self._check_children()

    def _check_children(self) -> None:
        """Deleted rows must have had no children, now or later."""
        for foreign in self.bound.children:
            if not self.foreign_keys.on_parents_gone(foreign, "gone"):
                with self.body.block("for row in gone"):
                    self.foreign_keys.on_parent_gone(foreign, foreign.key.on_delete, "delete")

    def _remove_entries(self, bound: BoundIndex) -> None:
        """Removes the entries of rows."""
        number, body = bound.index.id, self.body
        code, test = self._entry(bound)
        body.line(f"x{number} = txn.index({number})")
        if bound.index.keyed:
            body.line(f"going{number} = {{{code}: rowid for rowid, row in zip(rowids, gone){test}}}")
            self._remove_keys(bound)
            return
        body.line(f"going{number} = sorted([{code} for rowid, row in zip(rowids, gone){test}])")
        body.line(f"undo.append((x{number}, going{number}, REMOVED))")
        body.line(f"txn.move_entries(x{number}, going{number}, ())")

    def _entry(self, bound: BoundIndex) -> tuple[str, str]:
        """Code of a row's entry in a comprehension, and of the test whether it has one."""
        code = self.entries.entry_code(bound, "row", "rowid")
        return (code, "") if bound.where is None else ("key", f" if (key := {code}) is not NO_ENTRY")

    def touch(self, touch: Touch) -> None:
        """``touch_rows(txn, rowids, olds, made, in_any_order=False)``: index entries, and parents, of updated rows.

        Where a new key of a unique index is there already, the row that has it may be about to get another one: then it is
        their order that says whether the statement fails, and the rows are touched one after the other; or ``KeyExists`` is
        raised, if they come ``in_any_order``.
        """
        keyed = [bound for bound in touch.indexes if bound.index.keyed]
        with self.unit.function("def touch_rows(txn, rowids, olds, made, in_any_order=False)"):
            self.body.line("undo = txn.undo")
            if keyed:
                self.body.line("mark = len(undo)")
                with self.body.block("try"):
                    for bound in keyed:
                        self._move_keys(bound, touch.assigned)
                with self.body.block(f"except {self.unit.call_value(KeyExists, 'KeyExists')}"):
                    with self.body.block("if in_any_order"):
                        self.body.line("raise")
                    self.body.line("txn.undo_to(mark)")
                    self.body.line(f"touch = {self.unit.call_value(touch.one, 'touch_one')}()")
                    with self.body.block("for rowid, row, new in zip(rowids, olds, made)"):
                        self.body.line("touch(txn, rowid, row, new)")
                    self.body.line("return")
            for bound in touch.indexes:
                if not bound.index.keyed:
                    self._move_entries(bound, touch.assigned)
            for check, foreign in touch.parents:
                changed = f"({self.foreign_keys.changed(foreign.key.columns)})"
                self._require_parents(check, foreign, "row, new in zip(olds, made)", "new", changed)

    def _keys(self, bound: BoundIndex, assigned: frozenset[int], item: str) -> tuple[str, str]:
        """Code of what a comprehension makes of the keys that updated rows had, and of those they have, where these differ.

        ``item`` has the name ``key`` for one of them. Columns that an UPDATE leaves alone are not looked at.
        """
        number, loop = bound.index.id, "for rowid, row, new in zip(rowids, olds, made)"
        old, new = (self.entries.entry_code(bound, row, "rowid") for row in ("row", "new"))
        positions = [position for position in inputs(bound) if position in assigned]
        if is_plain(bound):
            test = " or ".join(f"row[{position}] != new[{position}]" for position in positions)
            return f"{item.format(key=old)} {loop} if {test}", f"{item.format(key=new)} {loop} if {test}"
        test = " or ".join(f"row[{position}] is not new[{position}]" for position in positions)
        self.body.line(f"moved{number} = [(old, key, rowid) {loop}")
        self.body.line(f"    if {f'({test})' if test else 'True'} and (old := {old}) != (key := {new})]")
        there = "" if bound.where is None else " if key is not NO_ENTRY"
        return (
            f"{item.format(key='key')} for key, _, rowid in moved{number}{there}",
            f"{item.format(key='key')} for _, key, rowid in moved{number}{there}",
        )

    def _move_keys(self, bound: BoundIndex, assigned: frozenset[int]) -> None:
        """Moves the entries of a mapping, unless one of the new keys is there, or is that of several rows."""
        number, body = bound.index.id, self.body
        exists = f"raise {self.unit.call_value(KeyExists, 'KeyExists')}"
        going, coming = self._keys(bound, assigned, "({key}, rowid)")
        body.line(f"going{number} = dict([{going}])")
        body.line(f"pairs{number} = [{coming}]")
        with body.block(f"if going{number} or pairs{number}"):
            body.line(f"x{number} = txn.index({number})")
            self._enter(bound, exists)
            self._remove_keys(bound)

    def _enter(self, bound: BoundIndex, otherwise: str) -> None:
        """Adds the ``pairsN`` of key and rowid to a mapping; ``otherwise`` is for a key that is there, or comes twice."""
        number, body = bound.index.id, self.body
        body.line(f"coming{number} = dict(pairs{number})")
        with body.block(f"if len(coming{number}) < len(pairs{number})"):
            body.line(otherwise)
        body.line(f"undo.append((x{number}, coming{number}.items(), ENTERED))")
        body.line(f"insert = x{number}.insert")
        with body.block(f"for key in sorted(coming{number})"), body.block(f"if not insert(key, coming{number}[key])"):
            body.line(otherwise)

    def _remove_keys(self, bound: BoundIndex) -> None:
        """Removes the keys of ``goingN``, which has their rowids, from a mapping."""
        number, body = bound.index.id, self.body
        body.line(f"undo.append((x{number}, (going{number}.keys(), going{number}.values()), REPLACED))")
        with body.block(f"for key in sorted(going{number})"):
            body.line(f"del x{number}[key]")

    def _move_entries(self, bound: BoundIndex, assigned: frozenset[int]) -> None:
        """Moves the entries of a set."""
        number, body = bound.index.id, self.body
        going, coming = self._keys(bound, assigned, "{key}")
        body.line(f"going{number} = sorted([{going}])")
        body.line(f"e{number} = sorted([{coming}])")
        with body.block(f"if going{number} or e{number}"):
            body.line(f"x{number} = txn.index({number})")
            body.line(f"undo.append((x{number}, going{number}, REMOVED))")
            body.line(f"undo.append((x{number}, e{number}, ADDED))")
            body.line(f"txn.move_entries(x{number}, going{number}, e{number})")
            self._schedule_unique(bound)

    def _add_entries(self, bound: BoundIndex, pairs: str) -> None:
        """Adds the entries of rows that have none yet."""
        number, body = bound.index.id, self.body
        code, test = self._entry(bound)
        body.line(f"x{number} = txn.index({number})")
        if bound.index.keyed:
            body.line(f"pairs{number} = [({code}, rowid) for rowid, row in {pairs}{test}]")
            self._enter(bound, raising(self.unit, unique_failed, self.entries.unique_name(bound)))
            return
        body.line(f"e{number} = [{code} for rowid, row in {pairs}{test}]")
        body.line(f"e{number}.sort()")
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
