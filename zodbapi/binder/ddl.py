"""Statements about the schema: definitions with names in, commands with catalog objects out.

Every expression text of a new definition is bound once here, so that unknown names are an error of the statement that brings
them in. Whether an object of that name exists already is for commands.py to say when it runs.
"""

from __future__ import annotations

from sqlglot import exp

from zodbapi.binder.alter import apply_alter
from zodbapi.binder.scope import Binding
from zodbapi.binder.select import bind_query, query_fields
from zodbapi.binder.table import AUTOINDEX, TableBuilder, check_name, name_indexes
from zodbapi.binder.trigger import bind_create_trigger
from zodbapi.binder.types import declared_type
from zodbapi.binder.writer import bind_writer
from zodbapi.catalog import ANY, Column, Index, Kind, Schema, Table, View
from zodbapi.errors import DatabaseError, OperationalError
from zodbapi.parser import parse, parse_one
from zodbapi.parser.syntax import (
    Action,
    AlterDefinition,
    CallDefinition,
    Definition,
    IndexDefinition,
    TableDefinition,
    TriggerDefinition,
    ViewDefinition,
)
from zodbapi.plan.commands import (
    AlterStep,
    AlterTable,
    CallProcedure,
    Command,
    CreateIndex,
    CreateProcedure,
    CreateTable,
    CreateView,
    Drop,
)
from zodbapi.plan.nodes import output_names
from zodbapi.record import replace


def bind_command(tree: Definition | Command, binding: Binding) -> Command:
    """The command of a statement that is no query."""
    match tree:
        case Drop(what="index", name=name) if name.lower() in binding.schema.indexes:
            return _checked_drop_index(tree, binding.schema)
        case CreateProcedure():
            parse(tree.procedure.sql)
            return tree
        case Command():
            return tree
        case CallDefinition():
            return _bind_call(tree, binding)
        case TableDefinition(query=""):
            return _bind_create_table(tree, binding)
        case TableDefinition():
            return _bind_create_table_as(tree, binding)
        case IndexDefinition():
            return _bind_create_index(tree, binding)
        case ViewDefinition():
            return _bind_create_view(tree)
        case TriggerDefinition():
            return bind_create_trigger(tree, binding.schema)
        case AlterDefinition():
            return _bind_alter(tree, binding)
        case _:
            raise AssertionError(type(tree).__name__)


def _bind_call(tree: CallDefinition, binding: Binding) -> CallProcedure:
    procedure = binding.schema.procedures.get(tree.procedure.lower())
    if procedure is None:
        raise OperationalError(f"no such procedure: {tree.procedure}")
    arguments = None
    if tree.arguments:
        query = parse_one(f"SELECT {tree.arguments}").tree
        assert isinstance(query, exp.Expression)
        arguments = bind_query(query, binding)
    if (len(output_names(arguments)) if arguments is not None else 0) != len(procedure.parameters):
        raise OperationalError(f"wrong number of arguments to procedure {procedure.name}()")
    return CallProcedure(procedure, arguments)


def _checked_drop_index(tree: Drop, schema: Schema) -> Drop:
    index = schema.indexes[tree.name.lower()][1]
    if index.origin != "c":
        raise OperationalError("index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped")
    return tree


# --- CREATE ---------------------------------------------------------------------------------------------------------


def _bind_create_table(tree: TableDefinition, binding: Binding) -> Command:
    check_name(tree.name)
    builder = TableBuilder(tree.name, collations=binding.functions.collations)
    for column in tree.columns:
        builder.add_column(column)
    for constraint in tree.constraints:
        builder.add_constraint(constraint)
    table = builder.build()
    if all(column.generated is not None for column in table.columns):
        raise OperationalError("must have at least one non-generated column")
    exists = binding.schema.table(tree.name) is not None
    if not exists:
        check_index_names(binding.schema, table.indexes)
    table = name_indexes(table, {} if exists else binding.schema.indexes)
    bind_writer(binding.schema.with_table(table), table, binding.functions)
    return CreateTable(table, tree.if_not_exists, temporary=tree.temporary)


def _bind_create_table_as(tree: TableDefinition, binding: Binding) -> Command:
    check_name(tree.name)
    query = parse_one(tree.query).tree
    if not isinstance(query, exp.Expression):
        raise OperationalError(f"not a query: {tree.query}")
    binding = replace(binding, sql=tree.query)
    node = bind_query(query, binding)
    columns: list[Column] = []
    used: set[str] = set()
    for name, shown in zip(output_names(node), query_fields(node, binding), strict=True):
        unique, number = name, 0
        while unique.lower() in used:
            number += 1
            unique = f"{name}:{number}"
        used.add(unique.lower())
        kind = ANY if shown.affinity is None else shown.affinity
        columns.append(Column(unique, replace(kind, declared=kind.declared or _declared(kind.kind))))
    return CreateTable(Table(0, tree.name, tuple(columns)), tree.if_not_exists, node, tree.temporary)


def _declared(kind: Kind) -> str:
    return "" if kind is Kind.ANY else kind.value.upper()


def _bind_create_index(tree: IndexDefinition, binding: Binding) -> Command:
    check_name(tree.name)
    table = existing_table(binding.schema, tree.table, "views may not be indexed", prefix="main.")
    builder = TableBuilder(table.name, table.columns, binding.functions.collations)
    index = Index(
        0,
        tree.name,
        builder.key_columns(tree.terms),
        tree.unique,
        tree.where,
        nulls_distinct=tree.nulls_distinct,
        include=builder.positions(tree.include),
    )
    changed = replace(table, indexes=(*table.indexes, index))
    bind_writer(binding.schema.with_table(changed), changed, binding.functions)
    return CreateIndex(table.name, index, tree.if_not_exists)


def _bind_create_view(tree: ViewDefinition) -> Command:
    check_name(tree.name)
    if not isinstance(parse_one(tree.query).tree, exp.Query):
        raise OperationalError(f"not a query: {tree.query}")
    return CreateView(View(tree.name, tree.columns, tree.query, tree.temporary), tree.if_not_exists)


def check_index_names(schema: Schema, indexes: tuple[Index, ...]) -> None:
    """Raises when a named constraint's index would have the name of another index."""
    for index in indexes:
        if index.name and index.name.lower() in schema.indexes:
            raise OperationalError(f"index {index.name} already exists")


def existing_table(schema: Schema, name: str, if_view: str, prefix: str = "") -> Table:
    """The table of that name; an error without one, or when it is a view."""
    table = schema.table(name)
    if table is None:
        if name.lower() in schema.views:
            raise OperationalError(if_view)
        raise OperationalError(f"no such table: {prefix}{name}")
    return table


# --- ALTER ----------------------------------------------------------------------------------------------------------


def _bind_alter(tree: AlterDefinition, binding: Binding) -> Command:
    """Each action is bound against the schema that the actions before it leave."""
    schema, name = binding.schema, tree.table
    if tree.table == "":
        found = schema.indexes.get(tree.actions[0].column.lower())
        if found is None:
            if tree.if_exists:
                return AlterTable("", ())
            raise OperationalError(f"no such index: {tree.actions[0].column}")
        name = found[0].name
    elif tree.if_exists and schema.table(name) is None:
        return AlterTable(name, ())
    steps: list[AlterStep] = []
    first = name
    for action in tree.actions:
        table = existing_table(schema, name, "Cannot alter a view")
        for step in _bind_action(action, table, binding):
            alteration = apply_alter(schema, name, step)
            schema, name = alteration.schema, alteration.table
            steps.append(step)
    table = existing_table(schema, name, "Cannot alter a view")
    bind_writer(schema, table, binding.functions)
    _check_views(binding, schema)
    return AlterTable(first, tuple(steps))


def _check_views(binding: Binding, changed: Schema) -> None:
    """Raises if a view could be read before an ALTER TABLE and cannot be after it."""
    for view in changed.views.values():
        error = _view_error(view, Binding(changed, binding.functions, view.sql))
        if error and not _view_error(binding.schema.views[view.name.lower()], replace(binding, sql=view.sql)):
            raise OperationalError(f"error in view {view.name}: {error}")


def _view_error(view: View, binding: Binding) -> str:
    query = parse_one(view.sql).tree
    assert isinstance(query, exp.Expression)
    try:
        bind_query(query, binding)
    except DatabaseError as error:
        return str(error)
    return ""


def _bind_action(action: Action, table: Table, binding: Binding) -> tuple[AlterStep, ...]:
    match action.kind:
        case "add_column":
            return _bind_add_column(action, table, binding)
        case "add_constraint":
            builder = TableBuilder(
                table.name, table.columns, binding.functions.collations, has_key=bool(table.primary_key)
            )
            assert action.constraint is not None
            builder.add_constraint(action.constraint)
            return (AlterStep("add_constraint", name=action.constraint.name, definition=builder.build()),)
        case "set_type":
            return _bind_set_type(action, table, binding)
        case "set_default":
            return (AlterStep("set_default", column=action.column, default=action.text),)
        case _:
            return (
                AlterStep(action.kind, action.column, action.name, if_exists=action.if_exists, cascade=action.cascade),
            )


def _bind_add_column(action: Action, table: Table, binding: Binding) -> tuple[AlterStep, ...]:
    assert action.definition is not None
    if action.if_exists and action.definition.name.lower() in table.positions:
        return ()
    builder = TableBuilder(table.name, table.columns, binding.functions.collations, has_key=bool(table.primary_key))
    builder.add_column(action.definition)
    return (AlterStep("add_column", column=action.definition.name, definition=builder.build()),)


def _bind_set_type(action: Action, table: Table, binding: Binding) -> tuple[AlterStep, ...]:
    steps = [AlterStep("set_type", action.column, type=declared_type(action.text), using=action.using)]
    position = table.positions.get(action.column.lower())
    collation = action.collation.upper() or "BINARY"
    if position is not None and table.columns[position].collation != collation:
        if collation not in ("BINARY", "NOCASE", "RTRIM") and collation not in binding.functions.collations:
            raise OperationalError(f"no such collation sequence: {action.collation}")
        steps.append(AlterStep("set_collation", action.column, collation))
    return tuple(steps)


__all__ = ["AUTOINDEX", "bind_command"]
