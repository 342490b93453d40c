"""Firing triggers: programs around the functions that write one row.

In: a table's ``WriterProgram``, and what compiles a trigger. Out: the same program, whose functions also fire. They return
True where RAISE(IGNORE) has left the row alone. A BEFORE trigger sees the row after its values were converted to the types
of the columns; constraints are looked at after it. A trigger is compiled when it fires for the first
time, and for each conflict resolution of statements that fire it, which its own statements follow. What it writes does not
start it again, and rows that REPLACE displaces fire nothing, unless ``PRAGMA recursive_triggers`` is on, as in SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any

from zodbapi import values
from zodbapi.errors import IntegrityError, OperationalError
from zodbapi.functions.trigger import RowIgnored
from zodbapi.large import load_row
from zodbapi.record import record, replace

if TYPE_CHECKING:
    from zodbapi.catalog import Table, Trigger
    from zodbapi.codegen.table_writer import WriterProgram
    from zodbapi.codegen.writer import Program

Row = tuple[Any, ...]
DEEPEST = 1000  # triggers that are running at a time, as in SQLite


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
        self._programs: dict[tuple[str, str], TriggerProgram] = {}
        self._positions = {t.name: {table.positions.get(c.lower(), -1) for c in t.columns} for t in triggers}

    def has(self, timing: str, event: str) -> bool:
        """Whether there are any for an event."""
        return any(trigger.event == event and trigger.timing == timing for trigger in self._triggers)

    def fire(self, txn: Any, timing: str, event: str, rows: tuple[Any, ...], assigned: Container[int] = ()) -> None:
        """Runs those for an event. ``assigned`` are the positions of the columns that an UPDATE sets."""
        for trigger in self._triggers:
            if trigger.event != event or trigger.timing != timing:
                continue
            if trigger.name in txn.firing and not txn.recursive_triggers:
                continue
            if trigger.columns and not any(position in assigned for position in self._positions[trigger.name]):
                continue
            self._run(txn, trigger, rows)

    def _run(self, txn: Any, trigger: Trigger, rows: tuple[Any, ...]) -> None:
        if txn.trigger_depth >= DEEPEST:
            raise OperationalError("too many levels of trigger recursion")
        key = (trigger.name, txn.policy)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = self._compile(trigger, txn)
        if self._table.large:
            rows = tuple([load_row(item, self._table.large) if type(item) is tuple else item for item in rows])
        before = txn.last_rowid, txn.firing, txn.policy
        txn.firing = txn.firing | {trigger.name}
        txn.trigger_depth += 1
        try:
            program.run(txn, rows)
        except IntegrityError as error:  # the conflict clause of the statement that fired it has been heard
            error.resolution = error.resolution or "ABORT"
            raise
        finally:
            txn.trigger_depth -= 1
            txn.last_rowid, txn.firing, txn.policy = before

    def instead(self, txn: Any, event: str, old: Row | None, new: Row | None, assigned: Any) -> None:
        """Runs the INSTEAD OF triggers for one row of a view."""
        try:
            self.fire(txn, "INSTEAD OF", event, (None, old, None, new), assigned)
        except RowIgnored:
            return


def with_triggers(
    program: WriterProgram, table: Table, triggers: Triggers, draft: Callable[[], Callable[..., Row]]
) -> WriterProgram:
    """The functions of a table's writer, firing triggers; ``draft`` compiles a ``make_row`` that checks nothing."""

    def before_insert(txn: Any, rowid: int | None, values: Row) -> bool:
        row = draft()(*values)
        if rowid is None:  # what SQLite shows of a rowid that is still to be chosen
            rowid = -1
            if table.rowid_column is not None:
                row = (*row[: table.rowid_column], rowid, *row[table.rowid_column + 1 :])
        try:
            triggers.fire(txn, "BEFORE", "INSERT", (None, None, rowid, row))
        except RowIgnored:
            return True
        return False

    def insert(txn: Any, rowid: int, row: Row) -> bool:
        program.insert(txn, rowid, row)
        txn.last_rowid = rowid
        _after(txn, "INSERT", (None, None, rowid, row))
        return False

    def before_update(
        txn: Any, rowid: int, row: Row, new_rowid: int, new: Row, assigned: Container[int]
    ) -> tuple[Row, Row] | None:
        """The row as it is now, and the values that it is to get; None if a trigger has put an end to that."""
        try:
            triggers.fire(txn, "BEFORE", "UPDATE", (rowid, row, new_rowid, draft()(*new)), assigned)
        except RowIgnored:
            return None
        current = txn.rows(table.id).get(rowid)
        if current is None:
            return None
        if current != row:  # a BEFORE trigger has changed it
            new = tuple([value if i in assigned else current[i] for i, value in enumerate(new)])
        return current, new

    def update_after(
        txn: Any, rowid: int, row: Row, current: Row, new_rowid: int, new: Row, assigned: Container[int]
    ) -> None:
        program.update(txn, rowid, current, new_rowid, new)
        _after(txn, "UPDATE", (rowid, row, new_rowid, new), assigned)

    def update(
        txn: Any, rowid: int, row: Row, new_rowid: int, new: Row, assigned: Container[int] | None = None
    ) -> bool:
        if assigned is None:
            assigned = {i for i, (a, b) in enumerate(zip(row, new, strict=True)) if a != b}
        current = row
        if triggers.has("BEFORE", "UPDATE"):
            ready = before_update(txn, rowid, row, new_rowid, new, assigned)
            if ready is None:
                return True
            current, values = ready
            new = program.make_row(*values)
        update_after(txn, rowid, row, current, new_rowid, new, assigned)
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

    def _after(txn: Any, event: str, rows: tuple[Any, ...], assigned: Container[int] = ()) -> None:
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
        before_insert=before_insert if triggers.has("BEFORE", "INSERT") else None,
        before_update=before_update if triggers.has("BEFORE", "UPDATE") else None,
        update_after=update_after,
    )
