"""The object tree below the root, for people who look: ``root`` in a console, and the lines of a dump.

In: a transaction. Out: tables by name as read-only mappings of rowid to row, and (path, value) pairs of everything::

    /zodbapi                                 (no value: something is below it)
    /zodbapi/tables/city                     ("id", "name")         the columns
    /zodbapi/tables/city/1                   (1, "Oslo")            a row
    /zodbapi/indexes/city_name               "city (name)"          its entries are below it, where they are asked for
    /zodbapi/views/big_city                  "SELECT ..."
    /zodbapi/sequences/city                  17
    /settings                                what else the root has
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from zodbapi.catalog import Index, Table
from zodbapi.large import load_row
from zodbapi.storage.ddl import ENTRY
from zodbapi.storage.failures import translated
from zodbapi.storage.transaction import Transaction

KEPT = 2_000  # rows between two times that the connection's cache is emptied
Row = tuple[Any, ...]
Place = tuple[tuple[str, ...], Any]  # a path, and the value there


@contextmanager
def _reading(txn: Transaction) -> Iterator[None]:
    """Sees one snapshot in the block, whose failures are the driver's."""
    with txn.reading(), translated():
        yield


class Rows(Mapping[int, Row]):
    """The rows of a table by rowid, in that order. Writing takes SQL: rows, indexes and constraints belong together."""

    def __init__(self, txn: Transaction, table: Table) -> None:
        self._txn, self._table = txn, table

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what a row has."""
        return tuple(column.name for column in self._table.columns)

    def __getitem__(self, rowid: int) -> Row:
        with _reading(self._txn):
            return load_row(self._txn.rows(self._table.id)[rowid], self._table.large)

    def __iter__(self) -> Iterator[int]:
        # In pieces, with no transaction open in between: the loop's body may run SQL.
        after: int | None = None
        while True:
            with _reading(self._txn):
                piece = list(islice(self._txn.rows(self._table.id).keys(after, None, after is not None), KEPT))
                self._txn.shrink_cache()
            yield from piece
            if len(piece) < KEPT:
                return
            after = piece[-1]

    def __len__(self) -> int:
        with _reading(self._txn):
            return len(self._txn.rows(self._table.id))

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {self._table.name} ({', '.join(self.columns)})>"


class Root(Mapping[str, Rows]):
    """The tables of a database by name."""

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    @property
    def objects(self) -> Any:
        """ZODB's own root object, with everything that other programs keep in it."""
        return self._txn.root

    def walk(
        self, tables: Collection[str] | None = None, limit: int | None = None, entries: bool = False
    ) -> Iterator[Place]:
        """Every object below the root with its path, parents first; None where there is no value of its own.

        ``tables`` leaves out everything but those, ``limit`` all but the first rows of each, ``entries`` adds those of
        indexes.
        """
        txn = self._txn
        with _reading(txn):
            everything = sorted(txn.stored.tables.values(), key=lambda table: table.name)
            chosen = [table for table in everything if tables is None or table.name in tables]
            yield (ENTRY,), None
            yield (ENTRY, "tables"), None
            for table in chosen:
                path = (ENTRY, "tables", table.name)
                yield path, tuple(column.name for column in table.columns)
                for rowid, row in _thrifty(txn, islice(txn.rows(table.id).items(), limit)):
                    yield (*path, str(rowid)), load_row(row, table.large)
            yield from _walk_indexes(txn, chosen, limit, entries)
            if tables is None:
                yield from _walk_rest(txn)

    def __getitem__(self, name: str) -> Rows:
        with _reading(self._txn):
            table = self._txn.stored.tables.get(name.lower())
        if table is None:
            raise KeyError(name)
        return Rows(self._txn, table)

    def __iter__(self) -> Iterator[str]:
        with _reading(self._txn):
            names = sorted(table.name for table in self._txn.stored.tables.values())
        return iter(names)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<ZODB with tables: {list(self)}>"


def _walk_indexes(txn: Transaction, tables: list[Table], limit: int | None, entries: bool) -> Iterator[Place]:
    yield (ENTRY, "indexes"), None
    for table in tables:
        for index in table.indexes:
            path = (ENTRY, "indexes", index.name)
            yield path, _describe(table, index)
            if entries:
                tree = txn.index(index.id)
                pairs = tree.items() if hasattr(tree, "items") else ((entry, None) for entry in tree)
                for key, rowid in _thrifty(txn, islice(pairs, limit)):
                    yield (*path, repr(key)), rowid


def _describe(table: Table, index: Index) -> str:
    parts = [part.expression if part.position is None else table.columns[part.position].name for part in index.columns]
    where = f" WHERE {index.where}" if index.where else ""
    return f"{'unique ' if index.unique else ''}{table.name} ({', '.join(map(str, parts))}){where}"


def _walk_rest(txn: Transaction) -> Iterator[Place]:
    """Views, sequences, and what does not belong to us."""
    yield (ENTRY, "views"), None
    for view in sorted(txn.stored.views.values(), key=lambda view: view.name):
        yield (ENTRY, "views", view.name), view.sql
    yield (ENTRY, "sequences"), None
    names = {table.id: table.name for table in txn.stored.tables.values()}
    entry: Any = txn.entry
    if entry is not None:
        for table_id, rowid in entry["sequences"].items():
            yield (ENTRY, "sequences", names[table_id]), rowid
    for key, value in txn.root.items():
        if key != ENTRY:
            yield from _walk_object(txn, (str(key),), value)


def _walk_object(txn: Transaction, path: tuple[str, ...], value: Any) -> Iterator[Place]:
    """An object that other code keeps in the root: mappings are entered, the rest is shown."""
    if not hasattr(value, "items") or len(path) > 50:
        yield path, value
        return
    yield path, None
    for key, item in _thrifty(txn, value.items()):
        yield from _walk_object(txn, (*path, str(key)), item)


def _thrifty(txn: Transaction, items: Any) -> Iterator[Any]:
    """The same items, with what was read for them forgotten as it goes: a dump must not need the memory of its database."""
    for count, item in enumerate(items, 1):
        yield item
        if count % KEPT == 0:
            txn.empty_cache()
