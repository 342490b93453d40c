"""The queries by which ALTER TABLE reads the rows of a changed table, and finds those that a new constraint forbids.

In: the table before the change. Out: SQL text, run by commands.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from zodbapi.binder.rename import quote
from zodbapi.catalog import Column, ForeignKey, Schema, Table
from zodbapi.errors import OperationalError


def stored_values(table: Table) -> tuple[str, ...]:
    """Each column as a value of a SELECT; NULL for a generated one, which the writer computes."""
    return tuple("NULL" if column.generated is not None else quote(column.name) for column in table.columns)


def rowid_name(table: Table) -> str:
    """The name of the rowid that no column hides."""
    for name in ("rowid", "_rowid_", "oid"):
        if name not in table.positions:
            return name
    raise OperationalError(f"table {table.name} hides its rowid behind columns of all its names")


def rows_query(table: Table, rowid: str, values: Sequence[str]) -> str:
    """The query for the rows of the changed table."""
    return f"SELECT {', '.join([rowid, *values])} FROM {quote(table.name)}"


def null_violation(table: Table, column: Column) -> tuple[str, str]:
    """The query that finds a NULL, and what to say then."""
    query = f"SELECT 1 FROM {quote(table.name)} WHERE {quote(column.name)} IS NULL LIMIT 1"
    return query, f"NOT NULL constraint failed: {table.name}.{column.name}"


def key_violation(schema: Schema, table: Table, key: ForeignKey) -> tuple[str, str]:
    """The query that finds a row without a parent, and what to say then."""
    names = [quote(table.columns[i].name) for i in key.columns]
    where = " AND ".join(f"c.{name} IS NOT NULL" for name in names)
    parent = schema.table(key.parent)
    if parent is not None:
        parents = key.parent_columns or tuple(parent.columns[i].name for i in parent.primary_key)
        if len(parents) != len(names):
            raise OperationalError(f'foreign key mismatch - "{table.name}" referencing "{key.parent}"')
        same = " AND ".join(f"p.{quote(p)} = c.{name}" for p, name in zip(parents, names, strict=True))
        where += f" AND NOT EXISTS (SELECT 1 FROM {quote(key.parent)} AS p WHERE {same})"
    return f"SELECT 1 FROM {quote(table.name)} AS c WHERE {where} LIMIT 1", "FOREIGN KEY constraint failed"
