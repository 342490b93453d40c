"""What a step of an ALTER TABLE comes to, and the parts of a table that steps look at and change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zodbapi.binder.rename import mentions_column
from zodbapi.catalog import Column, Index, IndexColumn, Kind, Schema, Table
from zodbapi.errors import OperationalError
from zodbapi.plan.commands import AlterStep
from zodbapi.record import record, replace


@record(frozen=True, slots=True)
class Alteration:
    """What one step comes to. Everything but ``schema`` and ``table`` is empty when no data has to change."""

    schema: Schema
    table: str  # the table's name afterwards
    violations: tuple[tuple[str, str], ...] = ()  # (query that must emit no row, message of the IntegrityError)
    rows: str | None = None  # query for the new rows: rowid first, then one value a column of the new table
    drop: tuple[int, ...] = ()  # ids of indexes that are gone
    build: tuple[str, ...] = ()  # names of indexes to fill from the stored rows
    restart: bool = False  # AUTOINCREMENT goes on after the largest rowid that is there


def definition_of(step: AlterStep) -> Table:
    """What an ADD brings, as a table of its own."""
    assert step.definition is not None
    return step.definition


def position_of(table: Table, column: str) -> int:
    """The position of a column; OperationalError if there is none of that name."""
    position = table.positions.get(column.lower())
    if position is None:
        raise OperationalError(f'no such column: "{column}"')
    return position


def with_column(table: Table, position: int, **changes: Any) -> Table:
    """The table with a column changed."""
    column = replace(table.columns[position], **changes)
    return replace(table, columns=(*table.columns[:position], column, *table.columns[position + 1 :]))


def map_texts(table: Table, change: Callable[[str], str]) -> Table:
    """The table with every SQL text about its row changed. (DEFAULT cannot name a column.)"""

    def changed(text: str | None) -> str | None:
        return None if text is None else change(text)

    def index(index: Index) -> Index:
        columns = tuple(replace(c, expression=changed(c.expression)) for c in index.columns)
        return replace(index, columns=columns, where=changed(index.where))

    return replace(
        table,
        columns=tuple(replace(c, generated=changed(c.generated)) for c in table.columns),
        checks=tuple(replace(check, expression=change(check.expression)) for check in table.checks),
        indexes=tuple(index(i) for i in table.indexes),
    )


def index_uses(table: Table, index: Index, position: int) -> bool:
    """Whether the entries of an index depend on a column."""
    texts = [c.expression for c in index.columns if c.expression is not None]
    texts += [index.where] if index.where is not None else []
    name = table.columns[position].name
    return any(c.position == position for c in index.columns) or any(
        mentions_column(text, table.name, name) for text in texts
    )


def index_names(table: Table, position: int) -> tuple[str, ...]:
    """The indexes whose entries depend on a column."""
    return tuple(index.name for index in table.indexes if index_uses(table, index, position))


def key_column(column: Column, position: int) -> IndexColumn:
    """The part of a key that a column is."""
    return IndexColumn(position, None, column.collation, numbered=column.type.kind is Kind.UUID)
