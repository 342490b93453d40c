"""The CREATE statements of catalog objects: what sqlite_master shows, and what ``.schema`` and dumps print.

In: catalog objects. Out: SQL text that gives an equal object when it is run (ids apart).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zodbapi.catalog import Column, ForeignKey, Index, IndexColumn, Schema, Table, View
from zodbapi.words import RESERVED

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_AUTOINDEX = "sqlite_autoindex_"


def quote_name(name: str) -> str:
    """The name as SQL text, in double quotes where it would not read as a name otherwise."""
    if _PLAIN.match(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def define_schema(schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    """(type, name, table name, SQL) of everything, in an order in which it can be created again."""
    for table in sorted(schema.tables.values(), key=lambda t: t.id):
        yield "table", table.name, table.name, define_table(table)
        for index in table.indexes:
            if index.origin == "c":
                yield "index", index.name, table.name, define_index(table, index)
    for view in schema.views.values():
        yield "view", view.name, view.name, define_view(view)


def define_comments(table: Table) -> Iterator[str]:
    """The COMMENT ON statements of a table, its columns and its indexes."""
    name = quote_name(table.name)
    if table.comment:
        yield f"COMMENT ON TABLE {name} IS {quote_text(table.comment)}"
    for column in table.columns:
        if column.comment:
            yield f"COMMENT ON COLUMN {name}.{quote_name(column.name)} IS {quote_text(column.comment)}"
    for index in table.indexes:
        if index.comment:
            yield f"COMMENT ON INDEX {quote_name(index.name)} IS {quote_text(index.comment)}"


def define_table(table: Table) -> str:
    """CREATE TABLE with all constraints; indexes made by CREATE INDEX are not part of it."""
    items = [_define_column(table, i, column) for i, column in enumerate(table.columns)]
    if table.primary_key and table.rowid_column is None:
        items.append(_define_key(table, next(i for i in table.indexes if i.origin == "pk"), "PRIMARY KEY"))
    items += [_define_key(table, index, "UNIQUE") for index in table.indexes if index.origin == "u"]
    items += [f"{_named(check.name)}CHECK ({check.expression})" for check in table.checks]
    items += [_define_foreign_key(table, key) for key in table.foreign_keys]
    return f"CREATE TABLE {quote_name(table.name)} ({', '.join(items)})"


def _define_column(table: Table, position: int, column: Column) -> str:
    words = [quote_name(column.name)]
    if column.type.declared:
        words.append(column.type.declared)
    if column.generated is not None:
        words.append(f"GENERATED ALWAYS AS ({column.generated}) {'STORED' if column.stored else 'VIRTUAL'}")
    if position == table.rowid_column:
        words.append(f"{_named(table.primary_key_name)}PRIMARY KEY{' AUTOINCREMENT' if table.autoincrement else ''}")
    elif column.not_null:
        words.append("NOT NULL")
    if column.default is not None:
        words.append(f"DEFAULT ({column.default})")
    if column.collation != "BINARY":
        words.append(f"COLLATE {quote_name(column.collation)}")
    return " ".join(words)


def _named(name: str) -> str:
    return f"CONSTRAINT {quote_name(name)} " if name and not name.startswith(_AUTOINDEX) else ""


def _define_key(table: Table, index: Index, kind: str) -> str:
    distinct = "" if index.nulls_distinct else " NULLS NOT DISTINCT"
    deferred = " DEFERRABLE INITIALLY DEFERRED" if index.deferred else ""
    parts = _define_parts(table, index)
    return f"{_named(index.name)}{kind}{distinct} ({parts}){_define_include(table, index)}{deferred}"


def _define_include(table: Table, index: Index) -> str:
    names = ", ".join(quote_name(table.columns[i].name) for i in index.include)
    return f" INCLUDE ({names})" if names else ""


def _define_parts(table: Table, index: Index) -> str:
    return ", ".join(_define_part(table, part) for part in index.columns)


def _define_part(table: Table, part: IndexColumn) -> str:
    if part.position is None:
        text, usual = part.expression or "", "BINARY"
    else:
        column = table.columns[part.position]
        text, usual = quote_name(column.name), column.collation
    collation = f" COLLATE {quote_name(part.collation)}" if part.collation != usual else ""
    return f"{text}{collation}{' DESC' if part.descending else ''}"


def _define_foreign_key(table: Table, key: ForeignKey) -> str:
    columns = ", ".join(quote_name(table.columns[i].name) for i in key.columns)
    target = ", ".join(quote_name(name) for name in key.parent_columns)
    words = [f"{_named(key.name)}FOREIGN KEY ({columns}) REFERENCES {quote_name(key.parent)}"]
    words += [f"({target})"] if target else []
    words += [f"ON DELETE {key.on_delete}"] if key.on_delete != "NO ACTION" else []
    words += [f"ON UPDATE {key.on_update}"] if key.on_update != "NO ACTION" else []
    words += ["DEFERRABLE INITIALLY DEFERRED"] if key.deferred else ["DEFERRABLE"] if key.deferrable else []
    return " ".join(words)


def define_index(table: Table, index: Index) -> str:
    """CREATE INDEX."""
    unique = "UNIQUE " if index.unique else ""
    distinct = "" if index.nulls_distinct else " NULLS NOT DISTINCT"
    where = f" WHERE {index.where}" if index.where is not None else ""
    return (
        f"CREATE {unique}INDEX {quote_name(index.name)} ON {quote_name(table.name)} "
        f"({_define_parts(table, index)}){_define_include(table, index)}{distinct}{where}"
    )


def define_view(view: View) -> str:
    """CREATE VIEW."""
    columns = f" ({', '.join(quote_name(name) for name in view.columns)})" if view.columns else ""
    return f"CREATE VIEW {quote_name(view.name)}{columns} AS {view.sql}"
