"""ALTER TABLE's constraints: adding and dropping primary keys, unique and foreign keys and CHECKs."""

from __future__ import annotations

from zodbapi.binder.alteration import Alteration, definition_of, index_names, key_column
from zodbapi.binder.rename import quote
from zodbapi.binder.rewrite import key_violation, null_violation, rows_query, stored_values
from zodbapi.binder.table import name_indexes, rowid_position
from zodbapi.catalog import Index, Schema, Table
from zodbapi.errors import OperationalError
from zodbapi.plan.commands import AlterStep
from zodbapi.record import replace


def add_constraint(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    """ADD of a constraint that the rows must already keep."""
    added = definition_of(step)
    new, drop = with_constraints(schema, table, added)
    violations = [null_violation(table, table.columns[i]) for i in added.primary_key if not table.columns[i].not_null]
    for check in added.checks:
        query = f"SELECT 1 FROM {quote(table.name)} WHERE NOT ({check.expression}) LIMIT 1"
        violations.append((query, f"CHECK constraint failed: {check.name or check.expression}"))
    violations += [key_violation(schema, table, key) for key in added.foreign_keys]
    schema = schema.with_table(new)
    if new.rowid_column != table.rowid_column:
        rows = rows_query(table, "NULL", stored_values(table))
        return Alteration(schema, table.name, tuple(violations), rows, drop)
    encoded = {name for i in added.primary_key for name in index_names(table, i)}
    fresh = [index.name for index in new.indexes if index.id == 0]
    return Alteration(schema, table.name, tuple(violations), drop=drop, build=(*sorted(encoded - set(fresh)), *fresh))


def with_constraints(schema: Schema, table: Table, added: Table) -> tuple[Table, tuple[int, ...]]:
    """The table with what an ADD brought besides columns, and the ids of indexes that this makes needless."""
    for index in added.indexes:
        if index.name and index.name.lower() in schema.indexes:
            raise OperationalError(f"index {index.name} already exists")
    new = replace(
        table,
        indexes=(*table.indexes, *added.indexes),
        foreign_keys=(*table.foreign_keys, *added.foreign_keys),
        checks=(*table.checks, *added.checks),
        autoincrement=table.autoincrement or added.autoincrement,
    )
    drop: tuple[int, ...] = ()
    if added.primary_key:
        columns = tuple(replace(c, not_null=c.not_null or i in added.primary_key) for i, c in enumerate(new.columns))
        new, drop = with_key(schema, replace(new, columns=columns), added.primary_key, added.primary_key_name)
    return name_indexes(new, schema.indexes), drop


def with_key(schema: Schema, table: Table, key: tuple[int, ...], name: str) -> tuple[Table, tuple[int, ...]]:
    """The table with that primary key: an integer column becomes the rowid, anything else has an index."""
    rowid = rowid_position(table.columns, key)
    old = [index for index in table.indexes if index.origin == "pk"]
    others = tuple(index for index in table.indexes if index.origin != "pk")
    table = replace(
        table,
        primary_key=key,
        primary_key_name=name,
        rowid_column=rowid,
        autoincrement=table.autoincrement and rowid is not None,
    )
    if rowid is not None:
        return replace(table, indexes=others), tuple(index.id for index in old if index.id)
    if key and not old:
        columns = tuple(key_column(table.columns[i], i) for i in key)
        index = Index(0, name, columns, unique=True, origin="pk")
        table = name_indexes(replace(table, indexes=(*table.indexes, index)), schema.indexes)
    return table, ()


def drop_constraint(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    """DROP CONSTRAINT, of any kind, by name."""
    folded = step.name.lower()
    if not step.if_exists:
        check_constraint_exists(table, step.name)
    is_key = folded in primary_key_names(table)
    gone = [
        index
        for index in table.indexes
        if index.origin != "c" and (index.name.lower() == folded or (is_key and index.origin == "pk"))
    ]
    new = replace(
        table,
        indexes=tuple(index for index in table.indexes if index not in gone),
        foreign_keys=tuple(key for key in table.foreign_keys if table.name_of(key).lower() != folded),
        checks=tuple(check for check in table.checks if table.name_of(check).lower() != folded),
    )
    if is_key:
        new = replace(new, primary_key=(), rowid_column=None, primary_key_name="", autoincrement=False)
    return Alteration(schema.with_table(new), table.name, drop=tuple(index.id for index in gone))


def primary_key_names(table: Table) -> frozenset[str]:
    """The folded names by which ALTER TABLE knows the primary key: its own, its index's, or PostgreSQL's ``t_pkey``."""
    if not table.primary_key:
        return frozenset()
    names = [index.name for index in table.indexes if index.origin == "pk"]
    return frozenset(name.lower() for name in (*names, table.primary_key_name or f"{table.name}_pkey"))


def check_constraint_exists(table: Table, name: str) -> None:
    """Raises OperationalError if the table has no constraint of that name."""
    folded = name.lower()
    known = {index.name.lower() for index in table.indexes if index.origin != "c"}
    known |= {table.name_of(check).lower() for check in table.checks} | primary_key_names(table)
    known |= {table.name_of(key).lower() for key in table.foreign_keys}
    if folded not in known:
        raise OperationalError(f"no such constraint: {name}")
