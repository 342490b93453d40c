"""Writes to views with INSTEAD OF triggers: which rows the triggers are handed, and what RETURNING shows; NEW and excluded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi
from tests.sqlite_oracle import both_engines

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, u INTEGER, v TEXT);
CREATE VIEW vw AS SELECT u, v, id AS k FROM t;
CREATE TRIGGER i INSTEAD OF INSERT ON vw BEGIN INSERT INTO t (id, u, v) VALUES (new.k, new.u, new.v); END;
CREATE TRIGGER c INSTEAD OF UPDATE ON vw BEGIN UPDATE t SET u = new.u, v = new.v WHERE id = old.k; END;
CREATE TRIGGER d INSTEAD OF DELETE ON vw BEGIN DELETE FROM t WHERE id = old.k; END;
INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, NULL), (4, 5, 'd');
"""


@pytest.fixture
def both() -> Iterator[tuple[Any, Any]]:
    with both_engines(SCHEMA) as connections:
        yield connections


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO vw (k, u) VALUES (7, 1), (8, 2) RETURNING k, u * 2 AS d, v",
        "INSERT INTO vw (u, v, k) SELECT u, v, k + 10 FROM vw RETURNING *",
        "UPDATE vw SET u = u + 1 WHERE v IS NOT NULL RETURNING u, v",
        "UPDATE vw SET (u, v) = (SELECT 7, 'z') WHERE k = 1 RETURNING vw.u, v || '!'",
        "UPDATE vw SET u = t.u + 5 FROM t WHERE t.id = vw.k + 1",
        "DELETE FROM vw WHERE u > 9 RETURNING k, v",
        "DELETE FROM vw WHERE 0 RETURNING *",
        "DELETE FROM vw WHERE u = 20",
    ],
)
def test_returning(both: tuple[Any, Any], sql: str) -> None:
    expected, found = (connection.execute(sql) for connection in both)
    assert (found.description is None) == (expected.description is None)
    if expected.description is not None:
        assert [column[0] for column in found.description] == [column[0] for column in expected.description]
        assert sorted(found.fetchall(), key=repr) == sorted(expected.fetchall(), key=repr)
    rows = [connection.execute("SELECT * FROM t ORDER BY id").fetchall() for connection in both]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "clauses", ["ORDER BY u LIMIT 1", "ORDER BY k DESC LIMIT 2 OFFSET 1", "WHERE u > 5 ORDER BY v LIMIT 2"]
)
@pytest.mark.parametrize("verb", ["DELETE FROM vw", "UPDATE vw SET u = 0"])
def test_limit(both: tuple[Any, Any], verb: str, clauses: str) -> None:
    oracle, engine = both
    # Which rows they are is asked of SQLite, because not all builds of it know LIMIT here.
    chosen = [row[0] for row in oracle.execute(f"SELECT k FROM vw {clauses}")]
    oracle.execute(f"{verb} WHERE k IN ({', '.join('?' * len(chosen))})", chosen)
    engine.execute(f"{verb} {clauses}")
    assert (
        engine.execute("SELECT * FROM t ORDER BY id").fetchall()
        == oracle.execute("SELECT * FROM t ORDER BY id").fetchall()
    )


def test_columns_of_new_and_excluded_are_compared_as_those_of_their_table() -> None:
    connection = zodbapi.connect(":memory:", isolation_level=None)
    connection.executescript(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n INTEGER); CREATE TABLE log (id);"
        "CREATE TRIGGER r AFTER INSERT ON t WHEN new.a > new.n BEGIN INSERT INTO log VALUES (new.id); END"
    )
    connection.execute("INSERT INTO t VALUES (1, '10', 9), (2, '8', 9)")
    assert connection.execute("SELECT id FROM log").fetchall() == [(1,)]
    connection.execute("INSERT INTO t VALUES (1, '1', 1) ON CONFLICT (id) DO UPDATE SET n = 100 WHERE excluded.a = 1")
    assert connection.execute("SELECT n FROM t WHERE id = 1").fetchone() == (100,)
    connection.close()
