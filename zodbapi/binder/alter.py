"""ALTER TABLE as a function on the catalog: schema and step in, new schema and the work it leaves for storage out.

How commands.py applies one ``AlterTable``, in one transaction and with statement atomicity::

    for step in command.steps:
        alteration = apply_alter(schema, command.table, step)
        for sql, message in alteration.violations:      # run against the OLD schema
            if it emits a row: raise IntegrityError(message)
        rows = run(alteration.rows) if alteration.rows  # OLD schema; emits (rowid, *a value for every column of the new table)
        schema = alteration.schema                      # allot an id to each index of the table that has id 0, persist
        drop the trees of alteration.drop               # index ids
        if rows is not None:                            # rewrite: clear the row tree, make every index of the table empty,
            insert each row through the NEW table's writer, at its rowid (None: the new rowid column's value, or a new one)
        else:
            build the index trees named in alteration.build, emptied first, from the stored rows
        command.table = alteration.table                # the name to use for the next step (rename)

Values in ``rows`` are not coerced yet and generated columns are None: the writer does both, and checks NOT NULL, CHECK and
UNIQUE on the way. Foreign keys that refer to the table are not affected by a rewrite: do not cascade.
Names in the SQL text of CHECK, DEFAULT, generated columns, indexes, views and triggers follow a rename.
"""

from __future__ import annotations

from collections.abc import Callable

from zodbapi.binder.alter_constraints import (
    add_constraint,
    check_constraint_exists,
    drop_constraint,
    primary_key_names,
    with_constraints,
    with_key,
)
from zodbapi.binder.alteration import (
    Alteration,
    definition_of,
    index_names,
    index_uses,
    map_texts,
    position_of,
    with_column,
)
from zodbapi.binder.rename import (
    mentions_column,
    quote,
    rename_column_in,
    rename_column_in_trigger,
    rename_column_of,
    rename_table_in,
)
from zodbapi.binder.rewrite import null_violation, rowid_name, rows_query, stored_values
from zodbapi.binder.table import AUTOINDEX, check_name
from zodbapi.catalog import ForeignKey, Index, Kind, Schema, Table, Type
from zodbapi.errors import OperationalError
from zodbapi.plan.commands import AlterStep, Comment
from zodbapi.record import replace


def apply_alter(schema: Schema, table: str, step: AlterStep) -> Alteration:
    """The schema after one action of an ALTER TABLE, and what has to happen to the rows."""
    old = schema.table(table)
    if old is None:
        raise OperationalError(f"no such table: {table}")
    return _ACTIONS[step.action](schema, old, step)


def apply_comment(schema: Schema, comment: Comment) -> Schema:
    """The schema with the text of a COMMENT ON in its place."""
    if comment.what == "index":
        found = schema.indexes.get(comment.table.lower())
        if found is None:
            raise OperationalError(f"no such index: {comment.table}")
        table, index = found
        indexes = tuple(replace(i, comment=comment.text) if i is index else i for i in table.indexes)
        return schema.with_table(replace(table, indexes=indexes))
    target = schema.table(comment.table)
    if target is None:
        raise OperationalError(f"no such table: {comment.table}")
    if comment.what == "table":
        return schema.with_table(replace(target, comment=comment.text))
    position = position_of(target, comment.column)
    return schema.with_table(with_column(target, position, comment=comment.text))


# --- names ----------------------------------------------------------------------------------------------------------


def _rename_table(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    new = step.name
    check_name(new)
    taken = new.lower() in schema.tables or new.lower() in schema.views or new.lower() in schema.indexes
    if taken and new.lower() != table.name.lower():
        raise OperationalError(f"there is already another table or index with this name: {new}")
    indexes = tuple(replace(index, name=_renamed_autoindex(index.name, table.name, new)) for index in table.indexes)
    renamed = map_texts(replace(table, name=new, indexes=indexes), lambda text: rename_table_in(text, table.name, new))
    schema = schema.with_table(renamed, instead_of=table.name)
    for child in tuple(schema.tables.values()):
        keys = tuple(
            replace(key, parent=new) if key.parent.lower() == table.name.lower() else key for key in child.foreign_keys
        )
        if keys != child.foreign_keys:
            schema = schema.with_table(replace(child, foreign_keys=keys))
    for view in tuple(schema.views.values()):
        schema = schema.with_view(replace(view, sql=rename_table_in(view.sql, table.name, new)))
    for trigger in schema.triggers.values():
        on = new if trigger.table.lower() == table.name.lower() else trigger.table
        body = tuple(rename_table_in(statement, table.name, new) for statement in trigger.body)
        schema = schema.with_trigger(replace(trigger, table=on, body=body))
    return Alteration(schema, new)


def _renamed_autoindex(name: str, old: str, new: str) -> str:
    prefix = f"{AUTOINDEX}{old}_"
    return f"{AUTOINDEX}{new}_{name[len(prefix) :]}" if name.startswith(prefix) else name


def _rename_column(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    position = position_of(table, step.column)
    if table.positions.get(step.name.lower(), position) != position:
        raise OperationalError(f"error in table {table.name} after rename: duplicate column name: {step.name}")
    old = table.columns[position].name
    renamed = map_texts(table, lambda text: rename_column_in(text, table.name, old, step.name))
    schema = schema.with_table(with_column(renamed, position, name=step.name))
    for child in tuple(schema.tables.values()):
        keys = tuple(_renamed_parent_column(key, table.name, old, step.name) for key in child.foreign_keys)
        if keys != child.foreign_keys:
            schema = schema.with_table(replace(child, foreign_keys=keys))

    def ambiguous(name: str) -> bool:
        other = schema.table(name)
        return name in schema.views or (other is not None and old.lower() in other.positions)

    for view in tuple(schema.views.values()):
        sql = rename_column_of(view.sql, table.name, old, step.name, ambiguous)
        schema = schema.with_view(replace(view, sql=sql))
    for trigger in schema.triggers.values():
        schema = schema.with_trigger(rename_column_in_trigger(trigger, table.name, old, step.name, ambiguous))
    return Alteration(schema, table.name)


def _renamed_parent_column(key: ForeignKey, parent: str, old: str, new: str) -> ForeignKey:
    if key.parent.lower() != parent.lower():
        return key
    return replace(key, parent_columns=tuple(new if c.lower() == old.lower() else c for c in key.parent_columns))


def _rename_constraint(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    check_constraint_exists(table, step.column)
    return Alteration(schema.with_table(_with_constraint_name(schema, table, step.column, step.name)), table.name)


def _with_constraint_name(schema: Schema, table: Table, old: str, new: str) -> Table:
    folded = old.lower()
    if any(index.name.lower() == folded for index in table.indexes):
        table = _with_index_name(schema, table, old, new)
    if folded in primary_key_names(table):
        table = replace(table, primary_key_name=new)
    return replace(
        table,
        foreign_keys=tuple(
            replace(key, name=new) if table.name_of(key).lower() == folded else key for key in table.foreign_keys
        ),
        checks=tuple(replace(c, name=new) if table.name_of(c).lower() == folded else c for c in table.checks),
    )


def _rename_index(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    return Alteration(schema.with_table(_with_index_name(schema, table, step.column, step.name)), table.name)


def _with_index_name(schema: Schema, table: Table, old: str, new: str) -> Table:
    if new.lower() in schema.indexes or new.lower() in schema.tables:
        raise OperationalError(f"index {new} already exists")
    return replace(
        table, indexes=tuple(replace(i, name=new) if i.name.lower() == old.lower() else i for i in table.indexes)
    )


# --- columns --------------------------------------------------------------------------------------------------------


def _add_column(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    added = definition_of(step)
    widened = replace(table, columns=(*table.columns, *added.columns))
    new, _ = with_constraints(schema, widened, added)
    values = [*stored_values(table)]
    for position, column in enumerate(new.columns[len(table.columns) :], len(table.columns)):
        if position == new.rowid_column and column.default is None:
            values.append(rowid_name(table))
        else:
            values.append("NULL" if column.generated is not None or column.default is None else f"({column.default})")
    return Alteration(schema.with_table(new), table.name, rows=rows_query(table, rowid_name(table), values))


def _drop_column(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    if step.column.lower() not in table.positions and step.if_exists:
        return Alteration(schema, table.name)
    dropped = position_of(table, step.column)
    name = table.columns[dropped].name
    if len([column for column in table.columns if column.generated is None]) == (
        table.columns[dropped].generated is None
    ):
        raise OperationalError(f'cannot drop column "{name}": no other columns exist')
    for column in table.columns:
        if column.generated is not None and mentions_column(column.generated, table.name, name) and column.name != name:
            raise OperationalError(f"error in table {table.name} after drop column: no such column: {name}")
    schema = _without_references(schema, table, name, step.cascade)
    table = schema.tables[table.name.lower()]
    keep = tuple(index for index in table.indexes if not index_uses(table, index, dropped))
    keys = tuple(key for key in table.foreign_keys if dropped not in key.columns)
    checks = tuple(check for check in table.checks if not mentions_column(check.expression, table.name, name))
    new = replace(table, indexes=keep, foreign_keys=keys, checks=checks)
    if dropped in table.primary_key:
        new = replace(new, primary_key=(), rowid_column=None, primary_key_name="", autoincrement=False)
    new = _without_position(new, dropped)
    values = [value for position, value in enumerate(stored_values(table)) if position != dropped]
    gone = tuple(index.id for index in table.indexes if index not in keep)
    return Alteration(schema.with_table(new), table.name, rows=rows_query(table, rowid_name(table), values), drop=gone)


def _without_references(schema: Schema, table: Table, column: str, cascade: bool) -> Schema:
    """The schema without the foreign keys that refer to a column that goes; an error unless CASCADE is said."""
    for child, key in schema.children.get(table.name.lower(), ()):
        parent_columns = key.parent_columns or tuple(table.columns[i].name for i in table.primary_key)
        own = child.id == table.id and table.positions[column.lower()] in key.columns
        if column.lower() not in [c.lower() for c in parent_columns] or own:
            continue
        if not cascade:
            raise OperationalError(f'cannot drop column "{column}": a foreign key of table {child.name} refers to it')
        current = schema.tables[child.name.lower()]
        schema = schema.with_table(replace(current, foreign_keys=tuple(k for k in current.foreign_keys if k != key)))
    return schema


def _without_position(table: Table, dropped: int) -> Table:
    def shift(position: int) -> int:
        return position - (position > dropped)

    def shifted(index: Index) -> Index:
        columns = tuple(c if c.position is None else replace(c, position=shift(c.position)) for c in index.columns)
        return replace(index, columns=columns, include=tuple(shift(i) for i in index.include if i != dropped))

    return replace(
        table,
        columns=(*table.columns[:dropped], *table.columns[dropped + 1 :]),
        primary_key=tuple(shift(position) for position in table.primary_key),
        rowid_column=None if table.rowid_column is None else shift(table.rowid_column),
        indexes=tuple(shifted(index) for index in table.indexes),
        foreign_keys=tuple(replace(k, columns=tuple(shift(i) for i in k.columns)) for k in table.foreign_keys),
    )


def _set_type(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    position = position_of(table, step.column)
    assert step.type is not None
    column = table.columns[position]
    new = with_column(table, position, type=step.type)
    if step.using is None and _same_values(column.type, step.type):
        return Alteration(schema.with_table(new), table.name)
    new = replace(new, indexes=tuple(_of_type(index, position, step.type) for index in new.indexes))
    new, drop = with_key(schema, new, table.primary_key, table.primary_key_name)
    values = list(stored_values(table))
    if step.using is not None:
        values[position] = f"({step.using})"
    elif column.generated is None and column.type.kind in _CAST_AWAY.get(step.type.kind, ()):
        values[position] = f"CAST({quote(column.name)} AS {step.type.kind.value})"
    rowid = "NULL" if new.rowid_column == position else rowid_name(table)
    return Alteration(schema.with_table(new), table.name, rows=rows_query(table, rowid, values), drop=drop)


def _of_type(index: Index, position: int, type_: Type) -> Index:
    """An index that is made anew because the type of a column changes."""
    numbered = type_.kind is Kind.UUID
    return replace(
        index, columns=tuple(replace(c, numbered=numbered) if c.position == position else c for c in index.columns)
    )


# Changes of type that may lose a part of the value, and are meant to: (new kind: old kinds).
_CAST_AWAY = {
    Kind.DATE: (Kind.TIMESTAMP, Kind.TIMESTAMPTZ),
    Kind.TIME: (Kind.TIMESTAMP, Kind.TIMESTAMPTZ),
    Kind.INTEGER: (Kind.REAL, Kind.DECIMAL, Kind.NUMERIC),
    Kind.TEXT: tuple(Kind),
}


def _same_values(old: Type, new: Type) -> bool:
    """Whether every value of the old type is stored in the same way under the new one."""
    if old.kind is Kind.DECIMAL and new.kind is Kind.DECIMAL:
        return old.scale == new.scale and (new.precision is None or (old.precision or 10**9) <= new.precision)
    return old.kind is new.kind


def _set_default(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    position = position_of(table, step.column)
    if table.columns[position].generated is not None:
        raise OperationalError("cannot use DEFAULT on a generated column")
    default = None if step.action == "drop_default" else step.default
    return Alteration(schema.with_table(with_column(table, position, default=default)), table.name)


def _set_not_null(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    position = position_of(table, step.column)
    column = table.columns[position]
    wanted = step.action == "set_not_null"
    if column.not_null == wanted:
        return Alteration(schema, table.name)
    if position in table.primary_key:
        raise OperationalError(f'column "{column.name}" is in a primary key')
    new = with_column(table, position, not_null=wanted)
    violations = (null_violation(table, column),) if wanted else ()
    return Alteration(schema.with_table(new), table.name, violations, build=index_names(table, position))


def _set_collation(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    position = position_of(table, step.column)
    old = table.columns[position].collation
    new = with_column(table, position, collation=step.name)

    def changed(index: Index) -> Index:
        columns = tuple(
            replace(c, collation=step.name) if c.position == position and c.collation == old else c
            for c in index.columns
        )
        return replace(index, columns=columns)

    new = replace(new, indexes=tuple(changed(index) for index in new.indexes))
    return Alteration(schema.with_table(new), table.name, build=index_names(table, position))


# --- identity -------------------------------------------------------------------------------------------------------


def _set_identity(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    """AUTOINCREMENT on or off. Only the INTEGER PRIMARY KEY counts up; for any other column there is nothing to change."""
    if table.rowid_column != position_of(table, step.column):
        return Alteration(schema, table.name)
    return Alteration(schema.with_table(replace(table, autoincrement=step.action == "set_identity")), table.name)


def _restart_identity(schema: Schema, table: Table, step: AlterStep) -> Alteration:
    position_of(table, step.column)
    return Alteration(schema, table.name, restart=True)


_ACTIONS: dict[str, Callable[[Schema, Table, AlterStep], Alteration]] = {
    "rename_table": _rename_table,
    "rename_column": _rename_column,
    "rename_constraint": _rename_constraint,
    "rename_index": _rename_index,
    "add_column": _add_column,
    "drop_column": _drop_column,
    "set_type": _set_type,
    "set_default": _set_default,
    "drop_default": _set_default,
    "set_not_null": _set_not_null,
    "drop_not_null": _set_not_null,
    "set_collation": _set_collation,
    "add_constraint": add_constraint,
    "drop_constraint": drop_constraint,
    "set_identity": _set_identity,
    "drop_identity": _set_identity,
    "restart_identity": _restart_identity,
}
