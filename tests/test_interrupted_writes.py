"""An interrupt at any line of a generated program leaves rows and indexes as they were before the statement."""

from __future__ import annotations

from typing import Any

import pytest

import zodbapi
from tests.interrupts import interrupted

SCHEMA = """
    CREATE TABLE p (id INTEGER PRIMARY KEY, n TEXT UNIQUE);
    CREATE TABLE t (
        id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, b INTEGER UNIQUE,
        pid INTEGER REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, CHECK (b <> 77)
    );
    CREATE INDEX i ON t (a);
    CREATE INDEX j ON t (b, a) WHERE b > 1;
    INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO t (a, b, pid) VALUES ('1', 1, 1), ('2', 2, 2), ('3', 3, 3), ('4', 4, 1);
"""
STATEMENTS = [
    "INSERT INTO t (a, b) VALUES ('x', 11), ('y', 12), ('z', 13)",
    "UPDATE t SET a = a || 'q', b = b + 100",
    "DELETE FROM p WHERE id < 3",
    "INSERT OR REPLACE INTO t (id, a, b) VALUES (1, 'n', 2), (9, 'm', 3)",
    "UPDATE p SET id = id + 50",
    "INSERT INTO t (a, b) SELECT a, b + 50 FROM t WHERE true ON CONFLICT (b) DO UPDATE SET a = 'u'",
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_interrupt_at_every_line(sql: str) -> None:
    connection = zodbapi.connect(":memory:")
    connection.executescript(SCHEMA)
    connection.execute("INSERT INTO p VALUES (40, 'kept')")

    def state() -> list[list[Any]]:
        return [connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in "pt"]

    def run() -> None:
        connection.savepoint("s")
        connection.execute(sql)

    before, line = state(), 0
    for line in interrupted(run):
        assert state() == before, line
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], line
    assert line > 10
    assert state() != before
    connection.close()
