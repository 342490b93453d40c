"""min and max among other aggregates: read from the ends of indexes, with the values that a scan finds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zodbapi
from tests.unoptimised import answer, answer_as_bound, plan


@pytest.fixture(scope="module")
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT NOT NULL COLLATE NOCASE, c, d INTEGER)"
    )
    connection.execute("CREATE INDEX t_a ON t (a)")
    connection.execute("CREATE INDEX t_b ON t (b)")
    connection.execute("CREATE INDEX t_c ON t (c)")
    connection.execute("CREATE INDEX t_d_a ON t (d, a)")
    rows = [(None, "b", 1, 1), (3, "A", "x", 1), (7, "C", 2.5, 2), (None, "a", None, 2), (1, "B", b"y", 3)]
    connection.executemany("INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?)", rows)
    connection.execute("CREATE TABLE empty (id INTEGER PRIMARY KEY, a INTEGER)")
    connection.execute("CREATE INDEX empty_a ON empty (a)")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("sql", "apart"),
    [
        ("SELECT min(a), max(a) FROM t", True),
        ("SELECT min(a), count(*), sum(d), max(b) FROM t", True),
        ("SELECT min(c), max(c), count(c) FROM t", True),
        ("SELECT max(a) - min(a), avg(a) FROM t", True),
        ("SELECT min(id), max(id), min(a) FROM t", True),
        ("SELECT min(a), max(a), count(*) FROM t WHERE d = 2", True),
        ("SELECT min(a), max(a) FROM t WHERE d = 9", True),
        ("SELECT min(a), max(a), count(*) FROM empty", True),
        ("SELECT min(a), max(a) FROM t HAVING max(a) > 5", True),
        ("SELECT d, (SELECT max(a) - min(a) FROM t u WHERE u.d = t.d) FROM t ORDER BY id", True),
        ("SELECT min(a), max(d) FROM t WHERE b <> 'x'", False),
        ("SELECT min(a), b FROM t WHERE d = 1", False),
        ("SELECT min(a) FILTER (WHERE d = 1), max(b || 'x') FROM t", False),
        ("SELECT min(a), max(a) FROM t WHERE id IN (SELECT id FROM t WHERE d = 1)", False),
        ("SELECT d, min(a), max(a) FROM t GROUP BY d ORDER BY d", False),
    ],
)
def test_extremes(connection: zodbapi.Connection, sql: str, apart: bool) -> None:
    assert any("(SELECT ...) AS m" in line for line in plan(connection, sql)) == apart
    assert answer(connection, sql) == answer_as_bound(connection, sql)
