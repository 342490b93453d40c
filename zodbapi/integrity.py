"""Compares what should agree: rows with their constraints, indexes with their rows, children with their parents.

In: the stages and a transaction. Out: what is wrong, one sentence each. The compiled functions that write a table are asked
again for each row: what ``make_row`` makes of a stored row has to be that row, and the entries of an index have to be those
that its entry function gives. So no rule is written down twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from zodbapi.binder.rename import quote
from zodbapi.catalog import ForeignKey, Index, Table
from zodbapi.codegen import NO_ENTRY
from zodbapi.errors import Error, OperationalError
from zodbapi.large import Oversize, load_row
from zodbapi.storage.check import damage_of_index, damage_of_rows, stray_trees

if TYPE_CHECKING:
    from zodbapi.commands import Stages
    from zodbapi.storage.transaction import Transaction

Row = tuple[Any, ...]
Orphan = tuple[str, int, str, int]  # table, rowid, parent table, number of the foreign key


def find_problems(txn: Transaction, stages: Stages, only: Table | None = None) -> Iterator[str]:
    """Sentences about damaged trees, rows that break a constraint, and indexes that disagree with their rows.

    Foreign keys are not looked at: ``find_orphans`` does that. ``only`` is the one table to look at.
    """
    if only is None:
        yield from stray_trees(txn)
    for table in (only,) if only is not None else tuple(txn.schema.tables.values()):
        damage = damage_of_rows(txn, table.id)
        if damage is not None:
            yield f"table {table.name}: {damage}"
            continue
        try:
            yield from _check_table(txn, stages, table)
        except Error as error:  # a function or collation that this connection does not have
            yield f"table {table.name}: cannot be checked: {error}"


def _check_table(txn: Transaction, stages: Stages, table: Table) -> Iterator[str]:
    writer = stages.writer(txn.schema, table.id)
    rows = txn.rows(table.id)
    broken = set()
    for rowid, row in rows.items():
        for problem in _check_row(table, rowid, row, writer.make_row):
            broken.add(rowid)
            yield f"table {table.name}: row {rowid} {problem}"
    for index in table.indexes:
        damage = damage_of_index(txn, index)
        if damage is not None:
            yield f"index {index.name}: {damage}"
            continue
        for problem in _check_entries(index, txn.index(index.id), rows, broken, writer.entries[index.id]):
            yield f"index {index.name}: {problem}"


def _check_row(table: Table, rowid: int, row: Any, make_row: Callable[..., Row]) -> Iterator[str]:
    width = len(table.columns)
    if type(row) is not tuple or len(row) != width:
        yield f"does not have {width} columns"
        return
    if table.rowid_column is not None and row[table.rowid_column] != rowid:
        yield f"says that it is {row[table.rowid_column]}"
    try:
        loaded = load_row(row, table.large)
        made = make_row(*loaded)
    except Oversize:
        return  # written before large values left their rows
    except Error as error:
        yield f"breaks a constraint: {error}"
        return
    for place in table.large:
        if type(row[place]) is tuple and row[place][0] != len(loaded[place]):
            yield f"has {len(loaded[place])} of {row[place][0]} characters or bytes in {table.columns[place].name}"
    for column, found, expected in zip(table.columns, loaded, made, strict=True):
        if found is not expected and (type(found) is not type(expected) or found != expected):
            yield f"has {found!r} in {column.name}, where {expected!r} belongs"


def _check_entries(
    index: Index, tree: Any, rows: Any, broken: set[int], entry_of: Callable[[int, Row], Any]
) -> Iterator[str]:
    expected: dict[Any, int] = {}
    for rowid, row in rows.items():
        if rowid in broken:  # has been reported, and may have no entry
            continue
        key = entry_of(rowid, row)
        if key is not NO_ENTRY:
            expected[(key, rowid) if index.keyed else key] = rowid
    found = set(tree.items() if index.keyed else tree)
    for entry in sorted(expected.keys() - found, key=repr):
        yield f"row {expected[entry]} has no entry {entry!r}"
    for entry in sorted(found - expected.keys(), key=repr):
        if type(entry) is not tuple or not entry or entry[-1] not in broken:
            yield f"entry {entry!r} has no row"
    if index.unique and not index.keyed:  # deferrable: the tree itself does not exclude doubles
        for entry, following in pairwise(sorted(expected)):
            if entry[:-1] == following[:-1] and () not in entry:
                yield f"rows {entry[-1]} and {following[-1]} have the same key"


# --- foreign keys ---------------------------------------------------------------------------------------------------


def numbered_keys(table: Table) -> list[tuple[int, ForeignKey]]:
    """The foreign keys with SQLite's ids: the last one declared is 0."""
    return list(enumerate(reversed(table.foreign_keys)))


def find_orphans(txn: Transaction, stages: Stages, name: str | None = None) -> Iterator[Orphan]:
    """The rows that refer to a row that is not there, of all tables or of one."""
    if name is not None and txn.schema.table(name) is None:
        raise OperationalError(f"no such table: {name}")
    for table in list(txn.schema.tables.values()):
        if name is None or table.name.lower() == name.lower():
            for number, key in numbered_keys(table):
                for (rowid,) in stages.query(_orphans(txn, table, key), txn.schema).run(txn, ()) or ():
                    yield table.name, rowid, key.parent, number


def _orphans(txn: Transaction, table: Table, key: ForeignKey) -> str:
    """A query for the rowids of the rows whose parent is missing."""
    names = [quote(table.columns[position].name) for position in key.columns]
    conditions = [f"c.{name} IS NOT NULL" for name in names]
    parent = txn.schema.table(key.parent)
    if parent is not None:
        targets = key.parent_columns or tuple(parent.columns[i].name for i in parent.primary_key)
        if len(targets) != len(names):
            raise OperationalError(f'foreign key mismatch - "{table.name}" referencing "{key.parent}"')
        pairs = " AND ".join(f"p.{quote(to)} = c.{name}" for to, name in zip(targets, names, strict=True))
        conditions.append(f"NOT EXISTS (SELECT 1 FROM {quote(parent.name)} AS p WHERE {pairs})")
    return f"SELECT c.rowid FROM {quote(table.name)} AS c WHERE {' AND '.join(conditions)}"
