"""Compares what should be the same: indexes with rows, trees with themselves, the schema with the trees.

In: a transaction and, for indexes whose keys only compiled code can make, functions that make them. Out: what is wrong,
one sentence each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from BTrees import check as btrees_check
from BTrees.OOBTree import OOBTree

from zodbapi.storage import keys
from zodbapi.storage.transaction import Transaction
from zodbapi.undo import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zodbapi.catalog import Index, Table

# Rowid and row -> the key of a unique index, or the whole entry of another; MISSING when a partial index leaves the row out.
KeyOf = "Callable[[int, tuple[Any, ...]], Any]"


def verify(
    txn: Transaction,
    key_functions: Mapping[int, Callable[[int, tuple[Any, ...]], Any]] | None = None,
    collations: Mapping[str, Callable[[str], Any]] | None = None,
    sort_key: Callable[[Any], Any] | None = None,
) -> list[str]:
    """Everything that is wrong with the database as the transaction sees it; an empty list is what one wants.

    ``key_functions`` has a function for each index id; those of indexes that it leaves out are made here from the rule in
    ``keys`` where that can be done: columns only, no predicate, no mixed kinds unless ``sort_key`` is given.
    """
    problems: list[str] = []
    if txn.entry is None:
        return problems
    problems += _stray_trees(txn)
    for table in txn.stored.tables.values():
        rows = txn.entry["rows"].get(table.id)
        if rows is None:
            problems.append(f"table {table.name}: its rows are missing")
            continue
        problems += _check_tree(f"table {table.name}", rows)
        problems += _check_rows(table, rows)
        for index in table.indexes:
            tree = txn.entry["indexes"].get(index.id)
            if tree is None:
                problems.append(f"index {index.name}: its entries are missing")
                continue
            problems += _check_tree(f"index {index.name}", tree)
            if isinstance(tree, OOBTree) != index.keyed:
                problems.append(f"index {index.name}: its tree is of the wrong kind")
                continue
            key_of = (key_functions or {}).get(index.id) or _plain_key(table, index, collations, sort_key)
            if key_of is not None:
                problems += _check_entries(index, tree, rows, key_of)
    return problems


def _stray_trees(txn: Transaction) -> Iterator[str]:
    tables = {table.id for table in txn.stored.tables.values()}
    indexes = {index.id for table in txn.stored.tables.values() for index in table.indexes}
    for name, known in (("rows", tables), ("indexes", indexes), ("sequences", tables)):
        for found in txn.entry[name]:
            if found not in known:
                yield f"{name}: id {found} belongs to nothing in the schema"


def _check_tree(what: str, tree: Any) -> Iterator[str]:
    try:
        tree._check()
        btrees_check.check(tree)
    except AssertionError as error:
        yield f"{what}: damaged tree: {str(error).strip()}"


def _check_rows(table: Table, rows: Any) -> Iterator[str]:
    width = len(table.columns)
    for rowid, row in rows.items():
        if type(row) is not tuple or len(row) != width:
            yield f"table {table.name}: row {rowid} does not have {width} columns"
            continue
        if table.rowid_column is not None and row[table.rowid_column] != rowid:
            yield f"table {table.name}: row {rowid} says that it is {row[table.rowid_column]}"
        for column, value in zip(table.columns, row, strict=True):
            if value is None and column.not_null:
                yield f"table {table.name}: row {rowid} has NULL in {column.name}"


def _plain_key(
    table: Table,
    index: Index,
    collations: Mapping[str, Callable[[str], Any]] | None,
    sort_key: Callable[[Any], Any] | None,
) -> Callable[[int, tuple[Any, ...]], Any] | None:
    """The key function of an index of columns, or None when compiled code is needed."""
    positions = [column.position for column in index.columns]
    if index.where is not None or None in positions:
        return None
    names = {c.collation for c in index.columns} - {"BINARY"}
    if names - (collations or {}).keys():
        return None
    if sort_key is None and any(table.columns[p].type.kind in keys.MIXED for p in positions if p is not None):
        return None
    parts = keys.column_parts(table, index, dict(collations or {}), sort_key or keys.same)

    def key_of(rowid: int, row: tuple[Any, ...]) -> Any:
        values = [row[p] for p in positions if p is not None]
        if index.keyed:
            return keys.unique_key(parts, values, rowid, index.nulls_distinct)
        return keys.entry(parts, values, rowid)

    return key_of


def _check_entries(index: Index, tree: Any, rows: Any, key_of: Callable[[int, tuple[Any, ...]], Any]) -> Iterator[str]:
    expected: dict[tuple[Any, ...], int] = {}
    for rowid, row in rows.items():
        key = key_of(rowid, row)
        if key is not MISSING:
            expected[(key, rowid) if index.keyed else key] = rowid
    found = set(tree.items() if index.keyed else tree)
    for entry in sorted(expected.keys() - found, key=repr):
        yield f"index {index.name}: row {expected[entry]} has no entry {entry!r}"
    for entry in sorted(found - expected.keys(), key=repr):
        yield f"index {index.name}: entry {entry!r} has no row"
