"""What commands.py does with definitions, without storage: statements in, the schema that they leave out."""

from __future__ import annotations

from itertools import count
from typing import Any

from zodbapi.binder.alter import apply_alter, apply_comment
from zodbapi.binder.alteration import Alteration
from zodbapi.binder.ddl import bind_command
from zodbapi.binder.scope import Binding
from zodbapi.catalog import ANY, INTEGER, TEXT, Schema, Table
from zodbapi.functions.registry import Function, Functions
from zodbapi.parser import parse, parse_one
from zodbapi.plan.commands import AlterTable, Command, Comment, CreateIndex, CreateTable, CreateView, Drop
from zodbapi.record import replace

FUNCTIONS = Functions().extended(
    Function("lower", lambda v: v.lower(), 1, 1, result=TEXT),
    Function("abs", abs, 1, 1, result=ANY),
    Function("random", lambda: 4, 0, 0, deterministic=False, result=INTEGER),
)


def bind(sql: str, schema: Schema | None = None) -> Command:
    """The command of one statement."""
    tree: Any = parse_one(sql).tree
    return bind_command(tree, Binding(schema or Schema(), FUNCTIONS, sql))


def define(sql: str, schema: Schema | None = None) -> Schema:
    """The schema after a script of definitions."""
    schema = schema or Schema()
    for parsed in parse(sql):
        tree: Any = parsed.tree
        schema = apply(schema, bind_command(tree, Binding(schema, FUNCTIONS, parsed.sql)))
    return schema


def apply(schema: Schema, command: Command) -> Schema:
    """The schema after one command."""
    match command:
        case CreateTable(table=table):
            return allot(schema.with_table(replace(table, id=_next(schema))))
        case CreateIndex(table=name, index=index):
            table = schema.tables[name.lower()]
            return allot(schema.with_table(replace(table, indexes=(*table.indexes, index))))
        case CreateView(view=view):
            return schema.with_view(view)
        case Drop(what="table", name=name):
            return schema.without_table(name)
        case Comment():
            return apply_comment(schema, command)
        case AlterTable():
            for alteration in alterations(schema, command):
                schema = alteration.schema
            return allot(schema)
        case _:
            raise AssertionError(command)


def alterations(schema: Schema, command: Command) -> list[Alteration]:
    """What the steps of an ALTER TABLE come to, one after the other."""
    assert isinstance(command, AlterTable)
    found, name = [], command.table
    for step in command.steps:
        found.append(apply_alter(schema, name, step))
        schema, name = allot(found[-1].schema), found[-1].table
    return found


def allot(schema: Schema) -> Schema:
    """The schema with an id for each index that has none."""
    ids = count(_next(schema))
    for table in schema.tables.values():
        indexes = tuple(index if index.id else replace(index, id=next(ids)) for index in table.indexes)
        schema = schema.with_table(replace(table, indexes=indexes))
    return schema


def _next(schema: Schema) -> int:
    return max([0, *(t.id for t in schema.tables.values()), *(i.id for _, i in schema.indexes.values())]) + 1


def table(sql: str, name: str = "t") -> Table:
    """One table of a script."""
    return define(sql).tables[name]
