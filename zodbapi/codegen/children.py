"""Finding the children of parents: the rows of a table whose foreign key has a value.

In: a table, and its columns or an index whose leading columns they are. Out: a ``Finder``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zodbapi import values
from zodbapi.codegen import runtime
from zodbapi.codegen.keys import MIXED, is_raw, prepare
from zodbapi.large import load_value
from zodbapi.record import record

Row = tuple[Any, ...]
Found = list[tuple[int, Row]]


@record(frozen=True, slots=True)
class Finder:
    """Functions that find children, and have no others come before the commit."""

    one: Callable[[Any, Any, int], Found]  # (txn, key, limit) -> (rowid, row) of the children of a parent, -1: of all
    many: Callable[[Any, Iterable[Any]], dict[int, Row]]  # (txn, keys) -> rows by rowid of all children of parents


def scan_children(table_id: int, columns: tuple[int, ...]) -> Finder:
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

    def find_many(txn: Any, keys: Iterable[Any]) -> dict[int, Row]:
        return {rowid: row for key in keys for rowid, row in find(txn, key, -1)}

    return Finder(find, find_many)


def seek_children(
    table: Any, index: Any, parts: tuple[Any, ...], collations: Mapping[str, Callable[[Any], Any]]
) -> Finder:
    """A finder that reads the entries of an index of the child."""
    raw, keyed = is_raw(table, index), index.keyed
    encoders = [(place, _encoder(type_, nullable, folding, collations)) for place, type_, nullable, folding in parts]
    width = len(encoders)

    def lower(key: Any) -> Any:
        prefix = tuple([encode(key if place is None else key[place]) for place, encode in encoders])
        return prefix[0] if raw else prefix

    def upper(low: Any) -> Any:
        return low if raw else (*low, values.ABOVE)

    def find(txn: Any, key: Any, limit: int) -> Found:
        low = lower(key)
        high = upper(low)
        tree, rows = txn.index(index.id), txn.rows(table.id)
        rowids = tree.values(low, high) if keyed else (entry[-1] for entry in tree.keys(low, high))
        found = []
        for rowid in rowids:
            found.append((rowid, rows[rowid]))
            if len(found) == limit:
                return found
        txn.read_current(tree, low, high)
        return found

    def find_many(txn: Any, keys: Iterable[Any]) -> dict[int, Row]:
        tree, rows = txn.index(index.id), txn.rows(table.id)
        found: list[int] = []
        for low in sorted({lower(key) for key in keys}):  # one leaf after the other
            if keyed:
                found += tree.values(low, upper(low))
            else:
                for entry in tree.keys(low):  # where they end is found sooner by looking at them
                    if entry[:width] != low:
                        break
                    found.append(entry[-1])
            if not txn.alone:
                txn.read_current(tree, low, upper(low))
        return {rowid: rows[rowid] for rowid in found}

    return Finder(find, find_many)


def _encoder(
    type_: Any, nullable: bool, collation: str, collations: Mapping[str, Callable[[Any], Any]]
) -> Callable[[Any], Any]:
    """What makes a part of an entry of a parent's value."""
    ready = prepare(type_)
    fold = None if collation.upper() == "BINARY" else runtime.folding(collation, collations)

    def encode(value: Any) -> Any:
        value = ready(value)
        if fold is not None:
            value = fold(value)
        if type_.kind in MIXED:
            return values.sort_key(value)
        return (value,) if nullable else value

    return encode
