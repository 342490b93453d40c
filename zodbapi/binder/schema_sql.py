"""Catalog objects -> the SQL that makes them: for sqlite_master, ``.schema`` and dumps.

In: a table, index or view. Out: text that binds to an equal object (but for ids and the numbers in names of nameless indexes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from zodbapi.binder.rename import quote
from zodbapi.binder.table import AUTOINDEX
from zodbapi.catalog import Check, Column, ForeignKey, Index, IndexColumn, Procedure, Schema, Table, Trigger, View


def statements_after_rows(schema: Schema) -> Iterator[str]:
    """What follows the tables and their rows: indexes and comments by the id of their table, views, triggers, procedures."""
    for table in sorted(schema.tables.values(), key=lambda table: table.id):
        yield from (index_sql(table, index) for index in table.indexes if index.origin == "c")
        yield from comment_statements(table)
    yield from (view_sql(view) for view in schema.views.values())
    yield from (trigger_sql(trigger) for trigger in schema.triggers.values())
    yield from (procedure_sql(procedure) for procedure in schema.procedures.values())


def procedure_sql(procedure: Procedure) -> str:
    """CREATE PROCEDURE."""
    parameters = ", ".join(map(quote, procedure.parameters))
    body = procedure.sql.replace("'", "''")
    return f"CREATE PROCEDURE {quote(procedure.name)} ({parameters}) AS '{body}'"


def table_sql(table: Table) -> str:
    """CREATE TABLE with every constraint."""
    parts = [_column_sql(table, position) for position in range(len(table.columns))]
    parts += _constraints(table)
    return f"CREATE TABLE {quote(table.name)} (\n    " + ",\n    ".join(parts) + "\n)"


def index_sql(table: Table, index: Index) -> str:
    """CREATE INDEX; for the index of a constraint, the constraint is in the table's SQL instead."""
    unique = "UNIQUE " if index.unique else ""
    sql = f"CREATE {unique}INDEX {quote(index.name)} ON {quote(table.name)} ({_keys_sql(table, index)})"
    if index.include:
        sql += f" INCLUDE ({_names_sql(table, index.include)})"
    if not index.nulls_distinct:
        sql += " NULLS NOT DISTINCT"
    return sql if index.where is None else f"{sql} WHERE {index.where}"


def view_sql(view: View) -> str:
    """CREATE VIEW."""
    columns = f" ({', '.join(map(quote, view.columns))})" if view.columns else ""
    return f"CREATE VIEW {quote(view.name)}{columns} AS {view.sql}"


def trigger_sql(trigger: Trigger) -> str:
    """CREATE TRIGGER."""
    of = f" OF {', '.join(map(quote, trigger.columns))}" if trigger.columns else ""
    when = f" WHEN {trigger.when}" if trigger.when else ""
    body = "".join(f" {statement};" for statement in trigger.body)
    event = f"{trigger.timing} {trigger.event}{of}"
    return f"CREATE TRIGGER {quote(trigger.name)} {event} ON {quote(trigger.table)}{when} BEGIN{body} END"


def comment_statements(table: Table) -> Iterator[str]:
    """COMMENT ON for the table, its columns and indexes that have one."""
    if table.comment:
        yield f"COMMENT ON TABLE {quote(table.name)} IS {_literal(table.comment)}"
    for column in table.columns:
        if column.comment:
            yield f"COMMENT ON COLUMN {quote(table.name)}.{quote(column.name)} IS {_literal(column.comment)}"
    for index in table.indexes:
        if index.comment:
            yield f"COMMENT ON INDEX {quote(index.name)} IS {_literal(index.comment)}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column_sql(table: Table, position: int) -> str:
    column = table.columns[position]
    words = [quote(column.name), column.type.declared]
    if _inline_key(table, position):
        words.append("PRIMARY KEY AUTOINCREMENT" if table.autoincrement else "PRIMARY KEY")
    elif column.not_null:
        words.append("NOT NULL")
    if column.collation != "BINARY":
        words.append(f"COLLATE {quote(column.collation)}")
    words += _value_words(column)
    return " ".join(word for word in words if word)


def _value_words(column: Column) -> list[str]:
    if column.generated is not None:
        return [f"GENERATED ALWAYS AS ({column.generated}) {'STORED' if column.stored else 'VIRTUAL'}"]
    return [] if column.default is None else [f"DEFAULT {column.default}"]


def _inline_key(table: Table, position: int) -> bool:
    return table.rowid_column == position and not table.primary_key_name


def _constraints(table: Table) -> Iterator[str]:
    if table.rowid_column is not None and table.primary_key_name:
        words = " AUTOINCREMENT" if table.autoincrement else ""
        key = f"PRIMARY KEY ({_names_sql(table, table.primary_key)}{words})"
        yield _named(table.primary_key_name, key)
    yield from (_key_sql(table, index) for index in table.indexes if index.origin != "c")
    yield from (_check_sql(check) for check in table.checks)
    yield from (_foreign_key_sql(table, key) for key in table.foreign_keys)


def _named(name: str, constraint: str) -> str:
    if not name or name.startswith(AUTOINDEX):
        return constraint
    return f"CONSTRAINT {quote(name)} {constraint}"


def _key_sql(table: Table, index: Index) -> str:
    sql = "PRIMARY KEY" if index.origin == "pk" else "UNIQUE"
    if not index.nulls_distinct:
        sql += " NULLS NOT DISTINCT"
    sql += f" ({_keys_sql(table, index)})"
    if index.include:
        sql += f" INCLUDE ({_names_sql(table, index.include)})"
    if index.deferrable:
        sql += " DEFERRABLE INITIALLY DEFERRED" if index.deferred else " DEFERRABLE"
    return _named(index.name, sql)


def _check_sql(check: Check) -> str:
    return _named(check.name, f"CHECK ({check.expression})")


def _foreign_key_sql(table: Table, key: ForeignKey) -> str:
    sql = f"FOREIGN KEY ({_names_sql(table, key.columns)}) REFERENCES {quote(key.parent)}"
    if key.parent_columns:
        sql += f" ({', '.join(map(quote, key.parent_columns))})"
    if key.on_delete != "NO ACTION":
        sql += f" ON DELETE {key.on_delete}"
    if key.on_update != "NO ACTION":
        sql += f" ON UPDATE {key.on_update}"
    if key.deferrable:
        sql += " DEFERRABLE INITIALLY DEFERRED" if key.deferred else " DEFERRABLE"
    return _named(key.name, sql)


def _names_sql(table: Table, positions: Iterable[int]) -> str:
    return ", ".join(quote(table.columns[position].name) for position in positions)


def _keys_sql(table: Table, index: Index) -> str:
    return ", ".join(_index_column_sql(table, part) for part in index.columns)


def _index_column_sql(table: Table, part: IndexColumn) -> str:
    own = "BINARY"
    if part.position is None:
        sql = part.expression or ""
    else:
        sql, own = quote(table.columns[part.position].name), table.columns[part.position].collation
    if part.collation != own:
        sql += f" COLLATE {quote(part.collation)}"
    return f"{sql} DESC" if part.descending else sql
