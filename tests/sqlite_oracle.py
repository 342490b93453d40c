"""What SQLite says: expressions over parameters evaluated by the sqlite3 module, and comparison of results."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import zodbapi

_database = sqlite3.connect(":memory:")


def ask(expression: str, *args: Any) -> Any:
    """The value of an SQL expression with ``?`` placeholders; a sqlite3.Error is returned, not raised."""
    try:
        return _database.execute(f"SELECT {expression}", args).fetchone()[0]
    except sqlite3.Error as error:
        return error


def rows(statement: str, *args: Any) -> Any:
    """All rows of a statement; a sqlite3.Error is returned, not raised."""
    try:
        return _database.execute(statement, args).fetchall()
    except sqlite3.Error as error:
        return error


@contextmanager
def both_engines(script: str = "", **options: Any) -> Iterator[tuple[Any, Any]]:
    """A connection of the sqlite3 module and one of ours, to databases in memory that the script has filled."""
    with (
        closing(sqlite3.connect(":memory:", **options)) as theirs,
        closing(zodbapi.connect(":memory:", **options)) as ours,
    ):
        for connection in (theirs, ours):
            connection.executescript(script)
        yield theirs, ours


def fill(table: str, columns: str, values: list[tuple[Any, ...]]) -> None:
    """Makes a table with these rows anew."""
    _database.execute(f"DROP TABLE IF EXISTS {table}")
    _database.execute(f"CREATE TABLE {table} ({columns})")
    marks = ", ".join("?" * len(values[0]))
    _database.executemany(f"INSERT INTO {table} VALUES ({marks})", values)


def same(expected: Any, found: Any) -> bool:
    """Whether both are errors, or equal values of one class; floats up to the last digits."""
    if isinstance(expected, Exception) or isinstance(found, Exception):
        return isinstance(expected, Exception) and isinstance(found, Exception)
    if type(expected) is not type(found):
        return False
    if isinstance(expected, float):
        return expected == found or math.isclose(expected, found, rel_tol=1e-13)
    return bool(expected == found)
