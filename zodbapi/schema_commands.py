"""Executing DDL: the catalog change, and what it means for rows and indexes.

In: bound commands. Out: another schema of the transaction, with trees that agree with it. Everything goes through the
transaction's undo log, so that DDL is undone with its statement, its savepoint or its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from zodbapi.binder.alter import apply_alter, apply_comment
from zodbapi.binder.alteration import Alteration
from zodbapi.catalog import Index, Schema, Table
from zodbapi.codegen import NO_ENTRY
from zodbapi.errors import IntegrityError, OperationalError
from zodbapi.large import Oversize
from zodbapi.plan.commands import (
    AlterTable,
    Comment,
    CreateIndex,
    CreateProcedure,
    CreateTable,
    CreateTrigger,
    CreateView,
    Drop,
    Truncate,
)
from zodbapi.record import replace
from zodbapi.storage import ddl

if TYPE_CHECKING:
    from zodbapi.codegen import WriterProgram
    from zodbapi.commands import Stages
    from zodbapi.storage.transaction import Transaction


# --- names --------------------------------------------------------------------------------------------------------


def _check_new_name(schema: Schema, what: str, name: str) -> None:
    """Raises if a table, view or index of that name exists; tables, views and indexes share one set of names."""
    folded = name.lower()
    if folded.startswith("sqlite_") and what != "index":
        raise OperationalError(f"object name reserved for internal use: {name}")
    for kind, names in (("table", schema.tables), ("view", schema.views), ("index", schema.indexes)):
        if folded in names:
            if (kind == "index") == (what == "index"):
                raise OperationalError(f"{kind} {name} already exists")
            raise OperationalError(f"there is already {'an index' if kind == 'index' else 'a table'} named {name}")


def _find_table(schema: Schema, name: str) -> Table:
    table = schema.table(name)
    if table is None:
        raise OperationalError(f"no such table: {name}")
    return table


# --- CREATE -------------------------------------------------------------------------------------------------------


def create_table(command: CreateTable, stages: Stages, txn: Transaction, params: tuple[Any, ...]) -> None:
    """CREATE TABLE, and the rows of CREATE TABLE AS."""
    name = command.table.name.lower()
    part = ddl.part(txn, command.temporary)
    if command.if_not_exists and (name in part.tables or name in part.views):
        return
    _check_new_name(part, "table", command.table.name)
    for index in command.table.indexes:
        _check_new_name(part, "index", index.name)
    rows: Iterable[tuple[Any, ...]] = ()
    if command.query is not None:
        rows = stages.generate(stages.optimize(command.query, txn.schema), txn.schema).run(txn, params) or ()
    table = ddl.number(txn, command.table, temporary=command.temporary)
    ddl.set_part(txn, part.with_table(table), command.temporary)
    if command.query is not None:
        _fill(table, [(None, *row) for row in rows], stages, txn)


def create_index(command: CreateIndex, stages: Stages, txn: Transaction) -> None:
    """CREATE INDEX, filled from the rows."""
    table = txn.schema.table(command.table)
    part = ddl.part(txn, table is not None and table.temporary)
    if command.if_not_exists and command.index.name.lower() in part.indexes:
        return
    _check_new_name(part, "index", command.index.name)
    if table is None:
        raise OperationalError(f"no such table: main.{command.table}")
    table = ddl.number(txn, replace(table, indexes=(*table.indexes, command.index)))
    ddl.set_schema(txn, txn.schema.with_table(table))
    fill_index(stages, txn, table, table.indexes[-1])


def create_view(command: CreateView, txn: Transaction) -> None:
    """CREATE VIEW."""
    name = command.view.name.lower()
    part = ddl.part(txn, command.view.temporary)
    if command.if_not_exists and (name in part.tables or name in part.views):
        return
    _check_new_name(part, "view", command.view.name)
    ddl.set_part(txn, part.with_view(command.view), command.view.temporary)


def create_trigger(command: CreateTrigger, txn: Transaction) -> None:
    """CREATE TRIGGER. Names in the body are looked up when the trigger fires, as in SQLite."""
    schema, trigger = txn.schema, command.trigger
    if trigger.key in schema.triggers:
        if command.if_not_exists:
            return
        raise OperationalError(f"trigger {trigger.name} already exists")
    number = 1 + max((other.number for other in schema.triggers.values()), default=0)
    ddl.set_schema(txn, schema.with_trigger(replace(trigger, number=number)))


def create_procedure(command: CreateProcedure, txn: Transaction) -> None:
    """CREATE PROCEDURE."""
    procedure = command.procedure
    if procedure.name.lower() in txn.schema.procedures and not command.or_replace:
        raise OperationalError(f"procedure {procedure.name} already exists")
    ddl.set_schema(txn, txn.schema.with_procedure(procedure))


# --- indexes ------------------------------------------------------------------------------------------------------


def fill_index(stages: Stages, txn: Transaction, table: Table, index: Index) -> None:
    """Puts the entries of all rows into an index whose tree is new and empty, so that nothing needs undoing."""
    if not txn.rows(table.id):
        return  # as in a migration: no need for the code that makes keys
    key_of = stages.writer(txn.schema, table.id).entries[index.id]
    found = [(key_of(rowid, row), rowid) for rowid, row in txn.rows(table.id).items()]
    entries = sorted(pair for pair in found if pair[0] is not NO_ENTRY)
    tree = txn.index(index.id)
    # The entry of an index that is not keyed ends with the rowid; one with a NULL is never double.
    keys = [key if index.keyed else key[:-1] for key, _ in entries if index.keyed or () not in key]
    for key, following in pairwise(keys if index.unique else ()):
        if key == following:
            raise IntegrityError(f"UNIQUE constraint failed: {describe_index(table, index)}")
    tree.update(entries if index.keyed else [key for key, _ in entries])


def describe_index(table: Table, index: Index) -> str:
    """How error messages name a unique key: its columns, or the index when it has expressions."""
    if any(part.position is None for part in index.columns):
        return f"index '{index.name}'"
    return ", ".join(f"{table.name}.{table.columns[part.position or 0].name}" for part in index.columns)


def reindex(name: str, stages: Stages, txn: Transaction) -> None:
    """Builds indexes anew: all of them, those of a table, or the one of that name."""
    folded = name.lower()
    schema = txn.schema
    if not name:
        chosen = list(schema.indexes.values())
    elif folded in schema.tables:
        chosen = [(schema.tables[folded], index) for index in schema.tables[folded].indexes]
    elif folded in schema.indexes:
        chosen = [schema.indexes[folded]]
    elif folded.upper() in stages.functions.collations or folded in ("binary", "nocase", "rtrim"):
        parts = ((table, index, part) for table, index in schema.indexes.values() for part in index.columns)
        chosen = list({i.id: (t, i) for t, i, part in parts if part.collation.lower() == folded}.values())
    else:
        raise OperationalError("unable to identify the object to be reindexed")
    for table, index in chosen:
        ddl.clear_index(txn, index)
        fill_index(stages, txn, table, index)


# --- DROP ---------------------------------------------------------------------------------------------------------


def drop(command: Drop, stages: Stages, txn: Transaction) -> None:
    """DROP TABLE, INDEX, VIEW, TRIGGER or PROCEDURE."""
    schema, folded = txn.schema, command.name.lower()
    kinds: Mapping[str, Mapping[str, object]] = {
        "table": schema.tables,
        "view": schema.views,
        "index": schema.indexes,
        "procedure": schema.procedures,
    }
    known = schema.trigger(folded) if command.what == "trigger" else kinds[command.what].get(folded)
    if known is None:
        if command.what == "table" and folded in schema.views:
            raise OperationalError(f"use DROP VIEW to delete view {command.name}")
        if command.what == "view" and folded in schema.tables:
            raise OperationalError(f"use DROP TABLE to delete table {command.name}")
        if not command.if_exists:
            raise OperationalError(f"no such {command.what}: {command.name}")
    elif command.what == "view":
        ddl.set_schema(txn, schema.without_view(folded))
    elif command.what == "trigger":
        ddl.set_schema(txn, schema.without_trigger(folded))
    elif command.what == "procedure":
        ddl.set_schema(txn, schema.without_procedure(folded))
    elif command.what == "table":
        if command.cascade:
            _drop_foreign_keys_to(folded, txn)
        _drop_table(txn.schema.tables[folded], stages, txn)
    else:
        _drop_index(*schema.indexes[folded], txn)


def _drop_table(table: Table, stages: Stages, txn: Transaction) -> None:
    """Rows that other tables refer to are deleted first, with all that their foreign keys ask for, as SQLite does."""
    children = [child for child, _ in txn.schema.children.get(table.name.lower(), ()) if child.id != table.id]
    if txn.foreign_keys_enabled and any(txn.rows(child.id) for child in children):
        delete = stages.writer(txn.schema, table.id).without_triggers.delete
        for rowid, row in list(txn.rows(table.id).items()):
            delete(txn, rowid, row)
        txn.run_pending()  # once the table is gone nobody can look into it
        txn.run_immediate()
    ddl.set_schema(txn, txn.schema.without_triggers(table.name).without_table(table.name))


def _drop_foreign_keys_to(parent: str, txn: Transaction) -> None:
    """Takes the foreign keys that refer to a table away from the others."""
    schema = txn.schema
    for child, _ in schema.children.get(parent, ()):
        kept = tuple(key for key in child.foreign_keys if key.parent.lower() != parent)
        schema = schema.with_table(replace(child, foreign_keys=kept))
    ddl.set_schema(txn, schema)


def truncate(command: Truncate, txn: Transaction) -> None:
    """TRUNCATE: new trees in the place of those that are not empty."""
    tables = {table.id: table for table in (_find_table(txn.schema, name) for name in command.tables)}
    queue = list(tables.values())
    while queue:
        parent = queue.pop()
        for child, _ in txn.schema.children.get(parent.name.lower(), ()):
            if child.id in tables:
                continue
            if command.cascade:
                tables[child.id] = child
                queue.append(child)
            elif txn.foreign_keys_enabled and txn.rows(child.id) and txn.rows(parent.id):
                raise IntegrityError(
                    f"cannot truncate {parent.name}: a foreign key of {child.name}, which has rows, refers to it"
                )
    for table in tables.values():
        if txn.rows(table.id):
            ddl.clear_rows(txn, table)
        if command.restart:
            ddl.restart_sequence(txn, table)


def _drop_index(table: Table, index: Index, txn: Transaction) -> None:
    if index.origin != "c":
        raise OperationalError("index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped")
    kept = tuple(i for i in table.indexes if i.id != index.id)
    ddl.set_schema(txn, txn.schema.with_table(replace(table, indexes=kept)))


# --- ALTER, COMMENT -----------------------------------------------------------------------------------------------


def alter_table(command: AlterTable, stages: Stages, txn: Transaction) -> None:
    """ALTER TABLE, one action after the other."""
    name = command.table
    for step in command.steps:
        alteration = apply_alter(txn.schema, name, step)
        name = alteration.table
        _apply(alteration, stages, txn)


def _apply(alteration: Alteration, stages: Stages, txn: Transaction) -> None:
    old = txn.schema
    for query, message in alteration.violations:
        if stages.query(query, old).run(txn, ()):
            raise IntegrityError(message)
    rows = stages.query(alteration.rows, old, as_stored=True).run(txn, ()) if alteration.rows is not None else None
    ddl.set_schema(txn, _numbered(txn, alteration))
    if alteration.restart:
        ddl.restart_sequence(txn, _find_table(txn.schema, alteration.table))
    if rows is not None:
        table = _find_table(txn.schema, alteration.table)
        ddl.clear_rows(txn, table)
        _fill(table, rows, stages, txn)
        return
    for name in alteration.build:
        table, index = txn.schema.indexes[name.lower()]
        ddl.clear_index(txn, index)
        fill_index(stages, txn, table, index)


def _numbered(txn: Transaction, alteration: Alteration) -> Schema:
    """The new schema with an id for every new index."""
    schema = alteration.schema
    table = schema.table(alteration.table)
    return schema.with_table(ddl.number(txn, table)) if table is not None else schema


def _fill(table: Table, rows: Sequence[tuple[Any, ...]], stages: Stages, txn: Transaction) -> None:
    """Stores rows in an empty table: each a rowid, or None, and its values. Foreign keys are not looked at: no key changes."""
    enabled, txn.foreign_keys_enabled = txn.foreign_keys_enabled, False
    try:
        _store_rows(table, rows, stages.writer(txn.schema, table.id).without_triggers, txn)
    except Oversize as found:
        ddl.mark_large(txn, table.id, found.position)
        ddl.clear_rows(txn, table)
        _fill(table, rows, stages, txn)
    finally:
        txn.foreign_keys_enabled = enabled


def _store_rows(table: Table, rows: Sequence[tuple[Any, ...]], writer: WriterProgram, txn: Transaction) -> None:
    for rowid, *values in rows:
        row = writer.make_row(*values)
        if rowid is None:
            rowid = row[table.rowid_column] if table.rowid_column is not None else None
        if rowid is None:
            rowid = txn.next_rowid(table.id, table.autoincrement)
        if table.rowid_column is not None and row[table.rowid_column] is None:
            row = (*row[: table.rowid_column], rowid, *row[table.rowid_column + 1 :])
        writer.insert(txn, rowid, row)


def comment(command: Comment, txn: Transaction) -> None:
    """COMMENT ON TABLE, COLUMN or INDEX."""
    ddl.set_schema(txn, apply_comment(txn.schema, command))
