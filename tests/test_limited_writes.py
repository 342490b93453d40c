"""UPDATE and DELETE with ORDER BY, LIMIT and OFFSET: what the same clauses of a SELECT find is changed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sqlite_oracle import both_engines

TABLES = {
    "rowid": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT)",
    "hidden": "CREATE TABLE t (id INTEGER, a INTEGER, b TEXT)",
    "indexed": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT); CREATE INDEX i ON t (a, b)",
    "parent": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT);"
    "CREATE TABLE k (p INTEGER REFERENCES t (id) ON DELETE CASCADE)",
    "triggered": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT); CREATE TABLE log (id);"
    "CREATE TRIGGER r AFTER DELETE ON t BEGIN INSERT INTO log VALUES (old.id); END",
}
CLAUSES = [
    *("LIMIT 2", "LIMIT 0", "LIMIT -1", "LIMIT 3 OFFSET 2", "LIMIT 100 OFFSET 6", "LIMIT -1 OFFSET 5"),
    *(
        "WHERE a > 1 ORDER BY b DESC, id LIMIT 2",
        "ORDER BY a, id LIMIT 1 OFFSET 1",
        "WHERE a IN (1, 2) ORDER BY id DESC LIMIT 3",
    ),
]
ROWS = [(1, 2, "x"), (2, 1, "y"), (3, 3, None), (4, 2, "a"), (5, None, "z"), (6, 1, "b"), (7, 2, "x")]


@pytest.fixture(params=TABLES)
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    with both_engines(TABLES[request.param]) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
        yield connections


@pytest.mark.parametrize("clauses", CLAUSES)
@pytest.mark.parametrize("verb", ["DELETE FROM t", "UPDATE t SET b = 'new'", "UPDATE t SET a = a + 1, b = b || a"])
def test_limited(both: tuple[Any, Any], verb: str, clauses: str) -> None:
    oracle, engine = both
    # Which rows they are is asked of SQLite, because not all builds of it know LIMIT here.
    chosen = [row[0] for row in oracle.execute(f"SELECT id FROM t {clauses}")]
    marks = ", ".join("?" * len(chosen))
    expected = oracle.execute(f"{verb} WHERE id IN ({marks})", chosen).rowcount
    assert engine.execute(f"{verb} {clauses}").rowcount == expected
    assert (
        engine.execute("SELECT * FROM t ORDER BY id").fetchall()
        == oracle.execute("SELECT * FROM t ORDER BY id").fetchall()
    )


def test_limit_by_parameters_with_returning(both: tuple[Any, Any]) -> None:
    _, engine = both
    found = engine.execute("DELETE FROM t RETURNING id ORDER BY id LIMIT ? OFFSET ?", (2, 3)).fetchall()
    assert found == [(4,), (5,)]
    assert engine.execute("SELECT count(*) FROM t").fetchone() == (5,)
