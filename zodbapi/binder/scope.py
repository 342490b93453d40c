"""What names mean: the relations that are visible at a place of the statement.

In: tables, views, CTEs and subqueries as FROM introduces them. Out: ``Column`` and ``Rowid`` expressions for names.
A ``Binding`` is shared by the whole statement; a ``Scope`` belongs to one SELECT (or to the row of a writing statement)
and knows its outer scope, so that a name not found here makes the query correlated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zodbapi.catalog import Column as TableColumn
from zodbapi.catalog import Schema, Table, Type
from zodbapi.plan.expr import Expr

if TYPE_CHECKING:
    from zodbapi.functions.registry import Functions


@dataclass(slots=True)
class Binding:
    """Statement-wide state: what is known, and the numbers given out so far."""

    schema: Schema
    functions: Functions
    sql: str = ""
    _sources: int = 0
    _ctes: int = 0

    def new_source(self) -> int:
        """A source number that nothing else in the statement has."""
        self._sources += 1
        return self._sources - 1

    def new_cte(self) -> int:
        """A CTE number that nothing else in the statement has."""
        self._ctes += 1
        return self._ctes - 1


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a relation shows: ``affinity`` is None for a computed column without one."""

    name: str
    type: Type
    nullable: bool
    collation: str = "BINARY"
    affinity: Type | None = None


@dataclass(slots=True)
class Relation:
    """One FROM item. ``table`` is set when it has rowids. ``nullable``: an outer join may extend it with NULLs."""

    name: str
    source: int
    fields: tuple[Field, ...]
    table: Table | None = None
    nullable: bool = False


@dataclass(slots=True)
class Scope:
    """The relations of one query level; ``outer`` is the enclosing level."""

    binding: Binding
    outer: Scope | None = None
    relations: list[Relation] = field(default_factory=list)

    def add_table(self, table: Table, alias: str = "", source: int | None = None) -> Relation:
        """Makes the row of a table visible under its name or alias (``excluded``, ``new``); gives the new relation."""
        raise NotImplementedError

    def resolve(self, name: str, qualifier: str = "") -> Expr:
        """The expression that a column name means here, searched outwards."""
        raise NotImplementedError


def table_field(column: TableColumn) -> Field:
    """The field that a table's column shows."""
    return Field(column.name, column.type, not column.not_null, column.collation, column.type)
