"""Whole databases as SQL text, and from one connection into another.

In: a connection. Out: statements (``iterdump``), or the same tables, rows and views in the target (``backup``).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zodbapi.binder.rename import quote
from zodbapi.binder.schema_sql import statements_after_rows, table_sql
from zodbapi.catalog import Schema
from zodbapi.large import load_row, load_value
from zodbapi.storage import ddl

if TYPE_CHECKING:
    from zodbapi.catalog import Table
    from zodbapi.connection import Connection
    from zodbapi.storage.transaction import Transaction


def dump(connection: Connection) -> Iterator[str]:
    """CREATE and INSERT statements, tables with their rows, then all else."""
    yield "BEGIN TRANSACTION;"
    txn: Transaction = connection._txn
    with txn.reading():
        tables = sorted(txn.stored.tables.values(), key=lambda table: table.id)
        for table in tables:
            yield f"{table_sql(table)};"
            written = [i for i, column in enumerate(table.columns) if column.generated is None]
            names = ", ".join(quote(table.columns[i].name) for i in written)
            start = f"INSERT INTO {quote(table.name)} ({names}) VALUES ("
            for row in txn.rows(table.id).values():
                yield f"{start}{', '.join(literal(load_value(row[i])) for i in written)});"
        for statement in statements_after_rows(txn.stored):
            yield f"{statement};"
    yield "COMMIT;"


def literal(value: Any) -> str:
    """A value as an SQL literal that its column stores as the same value again."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return {"inf": "9e999", "-inf": "-9e999"}.get(str(value), repr(value))
        case int():
            return str(value)
        case str():
            return quote_text(value)
        case bytes():
            return f"X'{value.hex().upper()}'"
        case datetime.timedelta():
            return quote_text(_interval(value))
        case Decimal() | UUID() | datetime.date() | datetime.time():
            return quote_text(str(value))
        case _:
            raise AssertionError(type(value))


def quote_text(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _interval(value: datetime.timedelta) -> str:
    sign = "-" if value < datetime.timedelta() else ""
    value = abs(value)
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{sign}{value.days} {hours:02}:{minutes:02}:{seconds:02}.{value.microseconds:06}"


def _rows(giver: Transaction, receiver: Transaction, table: Table) -> Any:
    """The rows of a table, as the receiver stores them."""
    rows = giver.rows(table.id)
    if not table.large:
        return rows
    return {rowid: receiver.put_away(load_row(row, table.large), table.large) for rowid, row in rows.items()}


def copy_database(source: Connection, target: Connection) -> None:
    """Replaces everything in the target by the source's tables, rows, indexes and views, in one transaction."""
    giver: Transaction = source._txn
    receiver: Transaction = target._txn
    receiver.rollback()
    with giver.reading():
        receiver.begin(write=True)
        try:
            ddl.set_schema(receiver, Schema())
            ddl.set_schema(receiver, giver.stored)
            # Ids are never used again, here as in the source.
            tables = giver.stored.tables.values()
            ids = [table.id for table in tables] + [index.id for table in tables for index in table.indexes]
            (first,) = ddl.allot(receiver, 1)
            ddl.allot(receiver, max(0, max(ids, default=0) - first))
            for table in tables:
                receiver.rows(table.id).update(_rows(giver, receiver, table))
                for index in table.indexes:
                    receiver.index(index.id).update(giver.index(index.id))
                if giver.entry is not None and table.id in giver.entry["sequences"]:
                    receiver.put(receiver.entry["sequences"], table.id, giver.entry["sequences"][table.id])
            receiver.commit()
        except BaseException:
            receiver.rollback()
            raise
