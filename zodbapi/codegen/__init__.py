"""Plans -> Python programs.

In: an optimised plan. Out: a ``Program``, whose ``run(txn, p)`` does the work, or a ``WriterProgram`` for a table.
A program holds no persistent object: it looks its trees up in the transaction it is given, so one program serves
all connections and threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zodbapi.codegen import dml
from zodbapi.codegen.expr import ExprWriter
from zodbapi.codegen.insert_rows import RowsInsert, can_insert_many, generate_rows_insert
from zodbapi.codegen.query import QueryWriter
from zodbapi.codegen.table_writer import NO_ENTRY, WriterProgram, generate_writer
from zodbapi.codegen.trigger import TriggerProgram, Triggers, with_triggers
from zodbapi.codegen.unit import StoredRow, Unit
from zodbapi.codegen.writer import Program, Writer, execute
from zodbapi.depth import roomy
from zodbapi.plan.nodes import NEW_ROW, OLD_ROW, Delete, Insert, Instead, Node, Update

__all__ = [
    "NO_ENTRY",
    "Program",
    "RowsInsert",
    "TriggerProgram",
    "Triggers",
    "WriterProgram",
    "can_insert_many",
    "generate",
    "generate_rows_insert",
    "generate_stream",
    "generate_writer",
    "with_triggers",
]


@roomy
def generate(
    node: Node,
    resolve_writer: Callable[[int], WriterProgram],
    collations: Mapping[str, Callable[[Any], Any]],
    *,
    in_trigger: bool = False,
    instead: Callable[..., None] | None = None,
    as_stored: bool = False,
) -> Program:
    """Compiles a query or a statement that writes.

    Args:
        node: the optimised plan.
        resolve_writer: gives the program that writes a table, by id.
        collations: the sort keys of the collations, by upper-case name.
        in_trigger: the statement is a trigger's, and its parameters are the rows.
        instead: fires the triggers of the view that the statement writes.
        as_stored: a query gives columns as rows have them, with markers in the places of large values.
    """
    unit = _start_unit(node, collations)
    unit.as_stored = as_stored
    if in_trigger:
        unit.prologue.line("old_rowid, old, new_rowid, new = p")
        unit.env[OLD_ROW] = StoredRow("old", "old_rowid")
        unit.env[NEW_ROW] = StoredRow("new", "new_rowid")
    match node:
        case Instead():
            assert instead is not None
            dml.write_instead(unit, node, instead)
        case Insert() | Update() | Delete():
            dml.write(unit, node, resolve_writer(node.table.id))
        case _:
            unit.query.collect(node)
    return _finish_program(unit, type(node).__name__.lower())


@roomy
def generate_stream(node: Node, collations: Mapping[str, Callable[[Any], Any]]) -> Program:
    """Compiles a query whose ``run`` gives an iterator: rows are made as they are asked for."""
    unit = _start_unit(node, collations)
    unit.query.stream(node)
    return _finish_program(unit, "stream")


def _start_unit(node: Node, collations: Mapping[str, Callable[[Any], Any]]) -> Unit:
    unit = Unit(collations)
    unit.expr = ExprWriter(unit)
    unit.query = QueryWriter(unit)
    unit.count_uses(node)
    unit.prologue.depth = unit.body.depth = 1  # inside of ``run``
    return unit


def _finish_program(unit: Unit, title: str) -> Program:
    scope = unit.scopes[0]
    writer = Writer()
    writer.line("def run(txn, p):")
    writer.lines += scope.prologue.lines
    writer.lines += scope.body.lines
    source = execute(writer, unit.namespace, title)
    return Program(source, unit.namespace, unit.namespace.globals["run"])
