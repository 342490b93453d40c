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
Names in the SQL text of CHECK, DEFAULT, generated columns, indexes and views follow a rename.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zodbapi.catalog import Schema
    from zodbapi.plan.nodes import AlterStep


@dataclass(frozen=True, slots=True)
class Alteration:
    """What one step comes to. Everything but ``schema`` and ``table`` is empty when no data has to change."""

    schema: Schema
    table: str  # the table's name afterwards
    violations: tuple[tuple[str, str], ...] = ()  # (query that must emit no row, message of the IntegrityError)
    rows: str | None = None  # query for the new rows: rowid first, then one value a column of the new table
    drop: tuple[int, ...] = ()  # ids of indexes that are gone
    build: tuple[str, ...] = ()  # names of indexes to fill from the stored rows


def apply_alter(schema: Schema, table: str, step: AlterStep) -> Alteration:
    """The schema after one action of an ALTER TABLE, and what has to happen to the rows."""
    raise NotImplementedError
