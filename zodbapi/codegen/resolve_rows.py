"""ON CONFLICT of an INSERT of many rows: what becomes of those that meet a row that is there, for all of them at once.

In: the plan of the statement for one row. Out: a ``Resolution``, which tells rows that are new from rows that are not, and
makes of the latter what DO UPDATE says. It takes for granted that no row of the statement has to do with another of them: then
their order does not matter. Where that is not so it raises ``Declined``, and the rows are inserted one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zodbapi.codegen.runtime import changed
from zodbapi.codegen.table_writer import NO_ENTRY, PLAIN, Touch, convert_column
from zodbapi.codegen.unit import Unit, tuple_code
from zodbapi.plan.walk import needs_its_row_alone
from zodbapi.record import record
from zodbapi.undo import REPLACED

if TYPE_CHECKING:
    from zodbapi.catalog import Table
    from zodbapi.codegen.table_writer import WriterProgram
    from zodbapi.plan.nodes import ConflictClause, Insert

Row = tuple[Any, ...]
Change = Callable[[int, Row, int, Row, Row], Row | None]  # rowid and row that are there, rowid, row, parameters -> row


class Declined(Exception):
    """The rows have to be inserted one by one."""


@record(frozen=True, slots=True)
class Resolution:
    """What to do about rows that are there already."""

    table: Table
    writer: WriterProgram
    indexes: frozenset[int] | None  # the unique keys meant, 0 for the rowid; None: any
    change: Change | None  # makes the new row, None where WHERE is not true; None: DO NOTHING
    touch: Touch | None
    shown: tuple[int, ...]  # assigned columns in which two values may be equal and not the same

    def find_met(self, txn: Any, rowids: Sequence[int], made: list[Row], *, given: bool) -> list[int | None]:
        """For each row the rowid of the one that it meets; ``given``: the rowids are the statement's own.

        Raises:
            Declined: two rows meet each other, or the same row, or one has the rowid of a row that it is not to meet.
        """
        found: list[list[int | None]] = []
        if given:
            rows = txn.rows(self.table.id)
            taken = _found(rowids, lambda rowid: rowid if rowid in rows else None)
            if self._is_meant(0):
                found.append(taken)
            elif any(rowid is not None for rowid in taken):
                raise Declined
        found += [
            _found(list(map(self.writer.entries[index.id], rowids, made)), txn.index(index.id).get)
            for index in self.table.indexes
            if index.keyed and self._is_meant(index.id)
        ]
        if len(found) == 1:
            (met,) = found
        else:
            met = [next((rowid for rowid in each if rowid is not None), None) for each in zip(*found, strict=True)]
        there = [rowid for rowid in met if rowid is not None]
        if len(set(there)) < len(there):
            raise Declined
        return met or [None] * len(made)

    def _is_meant(self, index: int) -> bool:
        return self.indexes is None or index in self.indexes

    def update(self, txn: Any, met: list[tuple[int, int, Row, Row]]) -> list[Row | None]:
        """Changes rows that were met; each item is (rowid of such a row, rowid, row, parameters). The new rows, None for none."""
        if self.change is None or not met:
            return [None] * len(met)
        tree = txn.rows(self.table.id)
        olds = [tree[other] for other, _, _, _ in met]
        news = [self.change(item[0], old, *item[1:]) for item, old in zip(met, olds, strict=True)]
        found = [(item[0], old, new) for item, old, new in zip(met, olds, news, strict=True) if new is not None]
        if found:
            self._store(txn, tree, sorted(found, key=lambda item: item[0]))
        return news

    def _store(self, txn: Any, tree: Any, found: list[tuple[int, Row, Row]]) -> None:
        touch = self.touch
        assert touch is not None
        rowids, olds, news = map(list, zip(*found, strict=True))
        for bound in touch.indexes:
            entry = self.writer.entries[bound.index.id]
            if bound.index.keyed and list(map(entry, rowids, olds)) != list(map(entry, rowids, news)):
                raise Declined  # the next row may meet this one, or miss it
        if self.table.large:
            news = [txn.put_away(new, self.table.large) for new in news]
        rowids, olds, news = changed(txn, rowids, olds, news, self.shown)
        txn.undo.append((tree, (rowids, olds), REPLACED))
        tree.update(list(zip(rowids, news, strict=True)))
        if not touch.is_nothing:
            touch.many()(txn, rowids, olds, news)


def _found(keys: Sequence[Any], find: Callable[[Any], int | None]) -> list[int | None]:
    """The rowids that keys have, None for those that are not there; no two rows may have one key."""
    found = [None if key is NO_ENTRY else find(key) for key in keys]
    if len(set(keys)) < len(keys):
        there = [key for key in keys if key is not NO_ENTRY]
        if len(set(there)) < len(there):
            raise Declined
    return found


def make_resolution(
    node: Insert, writer: WriterProgram, unit: Unit, compile_: Callable[[Unit, str], Any]
) -> Resolution | None:
    """The resolution of a statement with one clause that ignores or updates; None if it has to be done row by row.

    Args:
        node: the plan of the statement for one row.
        writer: the functions of the table.
        unit: an empty one.
        compile_: makes a function of what was written into the unit, and its header.
    """
    if len(node.clauses) != 1:
        return None
    (clause,) = node.clauses
    indexes = None if clause.indexes is None else frozenset(clause.indexes)
    if clause.action == "ignore":
        return Resolution(node.table, writer, indexes, None, None, ())
    assigned = frozenset(position for position, _ in clause.assignments)
    exprs = [expr for _, expr in clause.assignments] + ([] if clause.where is None else [clause.where])
    if clause.action != "update" or node.table.rowid_column in assigned or not all(map(needs_its_row_alone, exprs)):
        return None
    touch = writer.touch(assigned)
    if touch.cascades:
        return None
    shown = tuple(sorted(i for i in touch.assigned if node.table.columns[i].type.kind not in PLAIN))
    _write_change(unit, node, writer, clause)
    change = compile_(unit, "change(other, old, rowid, row, p)")
    return Resolution(node.table, writer, indexes, change, touch, shown)


def _write_change(unit: Unit, node: Insert, writer: WriterProgram, clause: ConflictClause) -> None:
    """``change(other, old, rowid, row, p)``: what DO UPDATE makes of a row, or None."""
    unit.count_uses(node)
    unit.rowids_used.update((clause.existing, clause.excluded))
    unit.env[clause.existing] = unit.table_row(node.table, "old", "other")
    unit.env[clause.excluded] = unit.table_row(node.table, "row", "rowid")
    if clause.where is not None:
        with unit.body.block(f"if not ({unit.expr.is_true(clause.where)})"):
            unit.body.line("return None")
    codes = [f"old[{position}]" for position in range(len(node.table.columns))]
    for position, expr in clause.assignments:
        codes[position] = f"new{position}"
        unit.body.line(f"new{position} = {unit.expr.value(expr)}")
        convert_column(unit, node.table, position, f"new{position}")
    made = tuple_code(codes)
    if writer.complete is not None:
        made = f"{unit.call_value(writer.complete, 'complete')}({made})"
    unit.body.line(f"return {made}")
