"""ON CONFLICT of an INSERT of many rows: what becomes of those that meet a row that is there, for all of them at once.

In: the plan of the statement. Out: a ``Resolution``, which tells rows that are new from rows that are not, makes of the latter
what DO UPDATE says, or finds the rows that they replace. It takes for granted that no row of the statement has to do with
another of them: then their order does not matter. Where that is not so it raises ``Declined``, and the rows are inserted one by
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
KeyOf = Callable[[int, Row], Any]
Find = Callable[[Any], int | None]
Change = Callable[[int, Row, int, Row, Row], Row | None]  # rowid and row that are there, rowid, row, parameters -> row


class Declined(Exception):
    """The rows have to be inserted one by one."""


@record(frozen=True, slots=True)
class Resolution:
    """What to do about rows that are there already."""

    table: Table
    writer: WriterProgram
    action: str  # ignore, update or replace
    indexes: frozenset[int] | None  # the unique keys meant, 0 for the rowid; None: any
    change: Change | None  # makes the new row of an update, None where WHERE is not true
    touch: Touch | None
    shown: tuple[int, ...]  # assigned columns in which two values may be equal and not the same

    def find_met(self, txn: Any, rowids: Sequence[int], made: list[Row], *, given: bool) -> list[int | None]:
        """For each row the rowid of the one that it meets; ``given``: the rowids are the statement's own.

        Raises:
            Declined: two rows meet each other, or the same row that is to be updated, or one has the rowid of a row that it is
                not to meet.
        """
        met: list[int | None] = [None] * len(made)
        ignores = self.action == "ignore"
        places = list(range(len(made)))
        for key_of, find in self._lookups(txn, rowids, given):
            keys = [key_of(rowids[place], made[place]) for place in places]
            found = _found(keys, find, new=ignores)
            for place, other in zip(places, found, strict=True):
                if other is not None and met[place] is None:
                    met[place] = other
            if ignores:  # a row that is ignored has no more to do with any other
                places = [place for place in places if met[place] is None]
        there = [rowid for rowid in met if rowid is not None]
        if not ignores and len(set(there)) < len(there):
            raise Declined
        return met

    def find_replaced(self, txn: Any, rowids: Sequence[int], made: list[Row], *, given: bool) -> list[int]:
        """The rowids of the rows that are in the way of these, ascending; ``given`` and ``Declined`` as above."""
        found = [
            _found(list(map(key_of, rowids, made)), find, new=False)
            for key_of, find in self._lookups(txn, rowids, given)
        ]
        return sorted({rowid for each in found for rowid in each if rowid is not None})

    def _lookups(self, txn: Any, rowids: Sequence[int], given: bool) -> Iterator[tuple[KeyOf, Find]]:
        """For each key that is meant: what makes it of a row, and what finds the rowid that has it."""
        if given and self._is_meant(0):
            rows = txn.rows(self.table.id)
            yield _rowid_of, lambda rowid: rowid if rowid in rows else None
        elif given and not txn.are_free(self.table.id, rowids):
            raise Declined
        for index in self.table.indexes:
            if index.keyed and self._is_meant(index.id):
                yield self.writer.entries[index.id], txn.index(index.id).get

    def _is_meant(self, index: int) -> bool:
        return self.indexes is None or index in self.indexes

    def update(self, txn: Any, met: list[tuple[int, int, Row, Row]]) -> list[Row | None]:
        """Changes rows that were met; each item is (rowid of such a row, rowid, row, parameters). The new rows, None for none."""
        if not met:
            return []
        assert self.change is not None
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
            entry, is_meant = self.writer.entries[bound.index.id], bound.index.keyed and self._is_meant(bound.index.id)
            if is_meant and list(map(entry, rowids, olds)) != list(map(entry, rowids, news)):
                raise Declined  # the next row may meet this one, or miss it
        if self.table.large:
            news = [txn.put_away(new, self.table.large) for new in news]
        rowids, olds, news = changed(txn, rowids, olds, news, self.shown)
        txn.undo.append((tree, (rowids, olds), REPLACED))
        tree.update(list(zip(rowids, news, strict=True)))
        if not touch.is_nothing:
            touch.many()(txn, rowids, olds, news, in_any_order=True)


def _rowid_of(rowid: int, row: Row) -> int:
    return rowid


def _found(keys: Sequence[Any], find: Find, *, new: bool) -> list[int | None]:
    """The rowids that keys have, None for those that are not there; no two rows may have one key, or one that is ``new``."""
    found = [None if key is NO_ENTRY else find(key) for key in keys]
    if len(set(keys)) < len(keys):
        own = [key for key, other in zip(keys, found, strict=True) if key is not NO_ENTRY]
        if new:
            own = [key for key, other in zip(keys, found, strict=True) if key is not NO_ENTRY and other is None]
        if len(set(own)) < len(own):
            raise Declined
    return found


def make_resolution(
    node: Insert, writer: WriterProgram, unit: Unit, compile_: Callable[[Unit, str], Any]
) -> Resolution | None:
    """The resolution of a statement with one clause that ignores, updates or replaces; None if it has to be done row by row.

    Args:
        node: the plan of the statement.
        writer: the functions of the table.
        unit: an empty one.
        compile_: makes a function of what was written into the unit, and its header.
    """
    if len(node.clauses) != 1:
        return None
    (clause,) = node.clauses
    indexes = None if clause.indexes is None else frozenset(clause.indexes)
    if clause.action == "ignore":
        return Resolution(node.table, writer, "ignore", indexes, None, None, ())
    if clause.action == "replace" and not (writer.cascades or writer.restricts_itself):
        return Resolution(node.table, writer, "replace", indexes, None, None, ())
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
    return Resolution(node.table, writer, "update", indexes, change, touch, shown)


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
