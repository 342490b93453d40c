"""Deleting rows with all that goes with them: ON DELETE CASCADE, SET NULL and RESTRICT for many parents at once.

In: the rows that a statement deletes. Out: they are gone, and so are their children and the children of these; other children
have NULL where their key was. First it is found out, level by level, what there is to do, and nothing is changed::

    deleted       author 1, 2
    their children       book 10, 11, 20 (CASCADE)      note 5 (SET NULL)
    the children of these       loan 7, 8 (CASCADE)

Then each table is changed once. Where the order of rows matters, or something fails, nothing has happened, and the rows are
deleted one by one: so it comes to what SQL says, or to the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from zodbapi.large import load_value
from zodbapi.record import record
from zodbapi.undo import REPLACED

if TYPE_CHECKING:
    from zodbapi.catalog import Table
    from zodbapi.codegen.children import Finder
    from zodbapi.codegen.table_writer import WriterProgram

Row = tuple[Any, ...]
ACTIONS = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})  # those of ON DELETE that write other rows


class _Declined(Exception):
    """The rows have to be deleted one by one."""


@record(frozen=True, slots=True)
class Dependent:
    """A foreign key to a table whose action is more than to look for children at the end."""

    child: Table
    columns: tuple[int, ...]
    positions: tuple[int, ...]  # of the parent's columns
    action: str
    find: Finder | None  # None: the key is no unique one

    def keys(self, rows: Iterable[Row]) -> set[Any]:
        """The keys of rows, without those that have a NULL."""
        if len(self.positions) == 1:
            (position,) = self.positions
            return {load_value(row[position]) for row in rows if row[position] is not None}
        keys = {tuple([load_value(row[position]) for position in self.positions]) for row in rows}
        return {key for key in keys if None not in key}


def delete_all(txn: Any, table: int, found: dict[int, Row], writer_of: Callable[[int], WriterProgram]) -> bool:
    """Deletes rows of a table and what depends on them; False if that has to be done one by one, and nothing has happened.

    Args:
        txn: the transaction.
        table: its id.
        found: the rows by their rowids, as they are now.
        writer_of: gives the functions that write a table, by id.
    """
    mark = len(txn.undo)
    try:
        gone = {table: dict(found)}
        if txn.foreign_keys_enabled:
            for dependent, orphans in _find_all(txn, gone, table, writer_of):
                _set_null(txn, dependent, orphans, writer_of(dependent.child.id))
        for number, rows in gone.items():
            rowids = sorted(rows)
            writer_of(number).many().delete(txn, rowids, [rows[rowid] for rowid in rowids])
    except Exception:
        txn.undo_to(mark)
        return False
    return True


def _find_all(
    txn: Any, gone: dict[int, dict[int, Row]], table: int, writer_of: Callable[[int], WriterProgram]
) -> list[tuple[Dependent, set[int]]]:
    """Adds all rows that go to ``gone``, by table; those that lose their key come out, by foreign key."""
    nulls: list[tuple[Dependent, set[int]]] = []
    level: dict[int, dict[int, Row]] = dict(gone)
    own = frozenset(gone[table])
    while level:
        following: dict[int, dict[int, Row]] = {}
        for number, rows in level.items():
            for dependent in writer_of(number).dependents:
                children = _children(txn, dependent, rows.values())
                if not children:
                    continue
                child = dependent.child.id
                if dependent.action != "CASCADE":
                    nulls.append((dependent, set(children)))
                    continue
                if writer_of(child).silent is not None or (child == table and not own.isdisjoint(children)):
                    raise _Declined  # a trigger may see, or the number of deleted rows tells, what goes first
                known = gone.setdefault(child, {})
                new = {rowid: row for rowid, row in children.items() if rowid not in known}
                known.update(new)
                following.setdefault(child, {}).update(new)
        level = following
    if any(not rowids.isdisjoint(gone.get(dependent.child.id, ())) for dependent, rowids in nulls):
        raise _Declined  # changed or gone: if a constraint of the changed row fails, it matters what comes first
    return nulls


def _children(txn: Any, dependent: Dependent, rows: Iterable[Row]) -> dict[int, Row]:
    """The children of rows, by rowid."""
    find, keys = dependent.find, dependent.keys(rows)
    if find is None or dependent.action == "SET DEFAULT":
        raise _Declined
    if dependent.action != "RESTRICT":
        return find.many(txn, keys)
    if any(find.one(txn, key, 1) for key in keys):
        raise _Declined
    return {}


def _set_null(txn: Any, dependent: Dependent, rowids: set[int], writer: WriterProgram) -> None:
    """ON DELETE SET NULL for rows that stay."""
    table, columns = dependent.child, dependent.columns
    touch = writer.touch(frozenset(columns))
    if writer.silent is not None or touch.cascades or table.rowid_column in columns:
        raise _Declined
    if any(table.columns[column].not_null for column in columns):
        raise _Declined
    tree, ordered = txn.rows(table.id), sorted(rowids)
    olds = [tree[rowid] for rowid in ordered]
    news = [tuple([None if i in columns else value for i, value in enumerate(row)]) for row in olds]
    if writer.complete is not None:
        news = list(map(writer.complete, news))
    if table.large:
        news = [txn.put_away(new, table.large) for new in news]
    txn.undo.append((tree, (ordered, olds), REPLACED))
    tree.update(list(zip(ordered, news, strict=True)))
    touch.many()(txn, ordered, olds, news, in_any_order=True)
