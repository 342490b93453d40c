"""Firing triggers: programs around the functions that write one row.

In: a table's ``WriterProgram``, and what compiles a trigger. Out: the same program, whose functions also fire. They return
True where RAISE(IGNORE) has left the row alone. A BEFORE trigger sees the row after its values were converted to the types
of the columns. A trigger is compiled when it fires for the first time. What it writes does not start it again, and rows
that REPLACE displaces fire nothing, unless ``PRAGMA recursive_triggers`` is on, as in SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zodbapi import values
from zodbapi.errors import OperationalError
from zodbapi.functions.trigger import RowIgnored
from zodbapi.large import load_row
from zodbapi.record import record, replace

if TYPE_CHECKING:
    from zodbapi.catalog import Table, Trigger
    from zodbapi.codegen.table_writer import WriterProgram
    from zodbapi.codegen.writer import Program

Row = tuple[Any, ...]


@record(frozen=True, slots=True)
class TriggerProgram:
    """The compiled statements of a trigger, whose parameters are old rowid, old row, new rowid, new row."""

    when: Program | None
    body: tuple[Program, ...]

    def run(self, txn: Any, rows: tuple[Any, ...]) -> None:
        """Runs the statements, unless WHEN says no."""
        if self.when is not None:
            answer = self.when.run(txn, rows)
            if not answer or not values.truth(answer[0][0]):
                return
        for program in self.body:
            program.run(txn, rows)


class Triggers:
    """The triggers of one table or view."""

    def __init__(
        self, table: Table, triggers: Sequence[Trigger], compile_: Callable[[Trigger, Any], TriggerProgram]
    ) -> None:
        self._table = table
        self._triggers = triggers
        self._compile = compile_
        self._programs: dict[str, TriggerProgram] = {}
        self._positions = {t.name: {table.positions.get(c.lower(), -1) for c in t.columns} for t in triggers}

    def fire(self, txn: Any, timing: str, event: str, rows: tuple[Any, ...], assigned: Any = ()) -> None:
        """Runs those for an event. ``assigned`` are the positions of the columns that an UPDATE sets."""
        for trigger in self._triggers:
            if trigger.event != event or trigger.timing != timing:
                continue
            if trigger.name in txn.firing and not txn.recursive_triggers:
                continue
            if trigger.columns and self._positions[trigger.name].isdisjoint(assigned):
                continue
            self._run(txn, trigger, rows)

    def _run(self, txn: Any, trigger: Trigger, rows: tuple[Any, ...]) -> None:
        program = self._programs.get(trigger.name)
        if program is None:
            program = self._programs[trigger.name] = self._compile(trigger, txn)
        if self._table.large:
            rows = tuple([load_row(item, self._table.large) if type(item) is tuple else item for item in rows])
        last_rowid, before = txn.last_rowid, txn.firing
        txn.firing = before | {trigger.name}
        try:
            program.run(txn, rows)
        except RecursionError:
            raise OperationalError("too many levels of trigger recursion") from None
        finally:
            txn.firing = before
            txn.last_rowid = last_rowid

    def instead(self, txn: Any, event: str, old: Row | None, new: Row | None, assigned: Any) -> None:
        """Runs the INSTEAD OF triggers for one row of a view."""
        try:
            self.fire(txn, "INSTEAD OF", event, (None, old, None, new), assigned)
        except RowIgnored:
            return


def with_triggers(program: WriterProgram, table: Table, triggers: Triggers) -> WriterProgram:
    """The functions of a table's writer, firing triggers."""

    def insert(txn: Any, rowid: int, row: Row) -> bool:
        return before_insert(txn, rowid, row) or insert_after(txn, rowid, row)

    def before_insert(txn: Any, rowid: int, row: Row) -> bool:
        try:
            triggers.fire(txn, "BEFORE", "INSERT", (None, None, rowid, row))
        except RowIgnored:
            return True
        return False

    def insert_after(txn: Any, rowid: int, row: Row) -> bool:
        program.insert(txn, rowid, row)
        txn.last_rowid = rowid
        _after(txn, "INSERT", (None, None, rowid, row))
        return False

    def update(txn: Any, rowid: int, row: Row, new_rowid: int, new: Row, assigned: Any = None) -> bool:
        if assigned is None:
            assigned = {i for i, (a, b) in enumerate(zip(row, new, strict=True)) if a != b}
        try:
            triggers.fire(txn, "BEFORE", "UPDATE", (rowid, row, new_rowid, new), assigned)
        except RowIgnored:
            return True
        current = txn.rows(table.id).get(rowid)
        if current is None:
            return True
        if current != row:  # a BEFORE trigger has changed it
            new = tuple(v if i in assigned else current[i] for i, v in enumerate(new))
        program.update(txn, rowid, current, new_rowid, new)
        _after(txn, "UPDATE", (rowid, row, new_rowid, new), assigned)
        return False

    def delete(txn: Any, rowid: int, row: Row) -> bool:
        try:
            triggers.fire(txn, "BEFORE", "DELETE", (rowid, row, None, None))
        except RowIgnored:
            return True
        current = txn.rows(table.id).get(rowid)
        if current is None:
            return True
        program.delete(txn, rowid, current)
        _after(txn, "DELETE", (rowid, row, None, None))
        return False

    def displace(txn: Any, rowid: int, row: Row) -> None:
        (delete if txn.recursive_triggers else program.delete)(txn, rowid, row)

    def _after(txn: Any, event: str, rows: tuple[Any, ...], assigned: Any = ()) -> None:
        try:
            triggers.fire(txn, "AFTER", event, rows, assigned)
        except RowIgnored:
            return

    return replace(
        program,
        insert=insert,
        update=update,
        delete=delete,
        silent=program,
        displace=displace,
        before_insert=before_insert,
        insert_after=insert_after,
    )
