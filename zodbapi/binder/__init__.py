"""Binding: sqlglot trees and a schema in, plans without names out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from zodbapi.plan.nodes import Command, Node

if TYPE_CHECKING:
    from zodbapi.catalog import Schema
    from zodbapi.functions.registry import Functions
    from zodbapi.parser import Parsed


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound statement. ``parameters`` has one entry a parameter index: its name, or None for a positional one."""

    node: Node | Command
    parameters: tuple[str | None, ...]


def bind(parsed: Parsed, schema: Schema, functions: Functions) -> Bound:
    """The plan of one statement.

    ``dml.bind_insert / bind_update / bind_delete(tree, binding) -> Node`` and ``ddl.bind_command(tree, binding) -> Command``
    take what is no query.
    """
    raise NotImplementedError


__all__ = ["Bound", "bind", "exp"]
