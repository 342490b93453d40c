"""What a connection needs of the engine: loaded with the first one, as it takes as long as loading Django."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django_zodb.functions import FUNCTIONS
from zodbapi.binder.writer import bind_writer
from zodbapi.catalog import Kind
from zodbapi.cursor import Cursor
from zodbapi.plan.expr import Column
from zodbapi.plan.walk import descend

if TYPE_CHECKING:
    from zodbapi.catalog import Check, Schema, Table

__all__ = ["FUNCTIONS", "LocalCursor", "LoggedCursor", "check_columns"]


class LocalCursor(Cursor):
    """Gives moments in the time zone ``zone``, or without one if it is None: what psycopg does for PostgreSQL.

    The database has them in UTC. Without USE_TZ they are wall clocks, stored as if they were UTC's.
    """

    zone: datetime.tzinfo | None = datetime.UTC

    @property
    def row_factory(self) -> Any:  # type: ignore[override]
        return self.description and _localize(self.description, self.zone)


class LoggedCursor(LocalCursor):
    """Remembers what it was last asked, which the wrappers around ``execute`` may have changed, for connection.queries."""

    executed: tuple[str, Any] | None = None

    def execute(self, sql: str, parameters: Any = None, /) -> Cursor:
        self.executed = sql, parameters
        return super().execute(sql, parameters)


@lru_cache(maxsize=500)
def _localize(description: Sequence[Sequence[Any]], zone: datetime.tzinfo | None) -> Any:
    if zone is datetime.UTC:
        return None
    moments = [i for i, column in enumerate(description) if column[1] == Kind.TIMESTAMPTZ.value]

    def make(cursor: Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for i in moments:
            moment = values[i]
            if moment is not None:
                values[i] = moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone)
        return tuple(values)

    return make if moments else None


def check_columns(schema: Schema, table: Table) -> Iterator[tuple[Check, list[int]]]:
    """Each CHECK of a table with the positions of the columns that its bound expression uses."""
    for check, expression in bind_writer(schema, table, FUNCTIONS).checks if table.checks else ():
        positions = [part.position for part in descend(expression) if isinstance(part, Column)]
        yield check, list(dict.fromkeys(positions))
