"""Binding: sqlglot trees and a schema in, plans without names out.

``select`` binds queries, ``dml`` statements that write, ``ddl`` everything else, ``writer`` what writing a row of a
table evaluates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlglot import exp

from zodbapi.binder.collation import uncollated
from zodbapi.binder.scope import Binding
from zodbapi.binder.writer import bind_writer
from zodbapi.depth import roomy
from zodbapi.errors import NotSupportedError, OperationalError
from zodbapi.parser.syntax import ExplainDefinition, ViewDefinition
from zodbapi.plan.commands import Command, Explain
from zodbapi.plan.nodes import Node
from zodbapi.record import record

if TYPE_CHECKING:
    from zodbapi.catalog import Schema
    from zodbapi.functions.registry import Functions
    from zodbapi.parser import Parsed
    from zodbapi.parser.syntax import Definition

__all__ = ["Bound", "bind", "bind_writer"]


@record(frozen=True, slots=True)
class Bound:
    """A bound statement. ``parameters`` has one entry a parameter index: its name, or None for a positional one.

    ``for_update`` is what a FOR UPDATE says of a lock that is not free: wait, nowait or skip locked; "" without one.
    """

    node: Node | Command
    parameters: tuple[str | None, ...]
    for_update: str = ""


@roomy
def bind(parsed: Parsed, schema: Schema, functions: Functions) -> Bound:
    """The plan of one statement."""
    if parsed.parameters and isinstance(parsed.tree, ViewDefinition):
        raise OperationalError("parameters are not allowed in views")
    binding = Binding(schema, functions, parsed.sql)
    node = bind_tree(parsed.tree, binding)
    return Bound(node, parsed.parameters, binding.for_update)


def bind_tree(tree: exp.Expression | Definition | Command, binding: Binding) -> Node | Command:
    """The plan of one statement's tree."""
    node = _bind_tree(tree, binding)
    return uncollated(node, binding) if isinstance(node, Node) else node


def _bind_tree(tree: exp.Expression | Definition | Command, binding: Binding) -> Node | Command:
    match tree:
        case exp.Query() | exp.Values():
            from zodbapi.binder.select import bind_query

            return bind_query(cast("exp.Expression", tree), binding, binding.around)
        case exp.Insert():
            from zodbapi.binder.dml import bind_insert

            return bind_insert(tree, binding)
        case exp.Update():
            from zodbapi.binder.dml import bind_update

            return bind_update(tree, binding)
        case exp.Delete():
            from zodbapi.binder.dml import bind_delete

            return bind_delete(tree, binding)
        case exp.Expression():
            raise AssertionError(f"{type(tree).__name__} is no statement")
        case ExplainDefinition():
            return _bind_explain(tree, binding)
        case _:
            from zodbapi.binder.ddl import bind_command

            return bind_command(tree, binding)


def _bind_explain(tree: ExplainDefinition, binding: Binding) -> Explain:
    from zodbapi.parser import parse_one

    explained = parse_one(tree.statement)
    binding.sql = explained.sql
    node = bind_tree(explained.tree, binding)
    if isinstance(node, Command):
        raise NotSupportedError("only SELECT, INSERT, UPDATE and DELETE can be explained")
    return Explain(node, tree.query_plan)
