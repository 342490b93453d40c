"""Finding the children of a parent: the rows of a table whose foreign key has a value.

In: a table, and its columns or an index whose leading columns they are. Out: a function ``(txn, key, limit)`` that lists the
(rowid, row) of the children, -1 being no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zodbapi import values
from zodbapi.codegen import runtime
from zodbapi.codegen.keys import MIXED, is_raw, prepare
from zodbapi.large import load_value

Found = list[tuple[int, tuple[Any, ...]]]


def scan_children(table_id: int, columns: tuple[int, ...]) -> Callable[[Any, Any, int], Found]:
    """A finder that reads the whole child table. That there are no more children has to be so at the commit too."""

    def find(txn: Any, key: Any, limit: int) -> Found:
        wanted = key if len(columns) > 1 else (key,)
        found = []
        for rowid, row in txn.rows(table_id).items():
            cells = [load_value(row[c]) for c in columns]
            if all(cell is not None and values.eq(cell, v) for cell, v in zip(cells, wanted, strict=True)):
                found.append((rowid, row))
                if len(found) == limit:
                    return found
        txn.read_whole(txn.rows(table_id))
        return found

    return find


def seek_children(
    table: Any, index: Any, parts: tuple[Any, ...], collations: Mapping[str, Callable[[Any], Any]]
) -> Callable[[Any, Any, int], Found]:
    """A finder that reads the entries of an index of the child, and has no others come before the commit."""
    raw = is_raw(table, index)

    def encoded(value: Any, type_: Any, nullable: bool, collation: str) -> Any:
        value = prepare(type_)(value)
        if collation.upper() != "BINARY":
            value = runtime.folding(collation, collations)(value)
        if type_.kind in MIXED:
            return values.sort_key(value)
        return (value,) if nullable else value

    def find(txn: Any, key: Any, limit: int) -> Found:
        prefix = tuple(encoded(key if place is None else key[place], *rest) for place, *rest in parts)
        tree, rows = txn.index(index.id), txn.rows(table.id)
        low, high = (prefix[0], prefix[0]) if raw else (prefix, (*prefix, values.ABOVE))
        rowids = tree.values(low, high) if index.keyed else (entry[-1] for entry in tree.keys(low, high))
        found = []
        for rowid in rowids:
            found.append((rowid, rows[rowid]))
            if len(found) == limit:
                return found
        txn.read_current(tree, low, high)
        return found

    return find
