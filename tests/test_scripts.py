"""Scripts of SQL in ``tests/scripts``: every statement gives on sqlite3 what it gives here, rows, number of changes or error.

Rows are compared as sets where a statement has no ORDER BY. A comment ``-- class: DataError`` before a statement says that its
error has another class here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import zodbapi

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.sql"))


def statements(script: str) -> Iterator[str]:
    """The statements of a script, where a trigger is one."""
    text = ""
    for part in re.sub(r"^--(?! class:).*\n", "", script, flags=re.MULTILINE).split(";"):
        text += part + ";"
        if sqlite3.complete_statement(text) and text.strip(" \n;"):
            yield text.strip()
            text = ""


def answer(connection: Any, sql: str) -> Any:
    """What a statement gives, in a form that is equal for equal values of the same class."""
    try:
        cursor = connection.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
    except (sqlite3.Error, zodbapi.Error) as error:
        return type(error).__name__, str(error)
    shown = [repr(row) for row in rows]
    return (shown if "ORDER BY" in sql else sorted(shown)), max(cursor.rowcount, 0)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_as_in_sqlite(path: Path) -> None:
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    theirs.execute("PRAGMA foreign_keys = on")
    ours = zodbapi.connect(":memory:", autocommit=True)
    for sql in statements(path.read_text()):
        expected = answer(theirs, sql)
        if (other := re.match(r"-- class: (\w+)", sql)) is not None:
            expected = other[1], expected[1]
        assert answer(ours, sql) == expected, sql
    theirs.close()
    ours.close()
