"""Orders by an index with the NULLs at the end where the index does not have them, against sqlite3 and the plan as bound."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sqlite_oracle import both_engines
from tests.unoptimised import plan, unoptimised

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL, n INTEGER, m REAL, u TEXT UNIQUE, x);
CREATE INDEX t_n ON t (n);
CREATE INDEX t_k ON t (k, n, m);
CREATE INDEX t_m ON t (m DESC);
CREATE INDEX t_x ON t (x);
CREATE INDEX t_p ON t (n) WHERE k > 'a';
"""


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[Any, Any]]:
    rows = [
        (i, "abc"[i % 3], i * 7 % 50 if i % 4 else None, i % 11 / 2 if i % 3 else None, f"u{i}" if i % 5 else None,
         [None, i, str(i)][i % 3])
        for i in range(700)
    ]  # fmt: skip
    with both_engines(SCHEMA) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.commit()
        yield connections


WHERE = ("", "k = 'b'", "k > 'a'", "n > 20", "n BETWEEN 3 AND 30", "k = 'b' AND n < 20", "n IS NULL", "k = 'c' AND n IS NULL",
         "k IN ('a', 'c')", "m > 1 OR n = 4")  # fmt: skip


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("column", ["n", "m", "u", "x", "n, m"])
def test_order(connections: tuple[Any, Any], column: str, where: str) -> None:
    theirs, ours = connections
    for (direction, nulls), rows in itertools.product(
        itertools.product(("ASC", "DESC"), ("FIRST", "LAST")), ("LIMIT 7", "LIMIT 300 OFFSET 150", "")
    ):
        keys = ", ".join(f"{name} {direction} NULLS {nulls}" for name in column.split(", "))
        query = f"SELECT id, k, n FROM t WHERE {where or '1'} ORDER BY {keys}, id {direction} {rows}"
        found = ours.execute(query).fetchall()
        assert found == theirs.execute(query).fetchall(), query
        with unoptimised():
            assert found == ours.execute(query).fetchall(), query


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM t ORDER BY n NULLS LAST LIMIT 5",
        "SELECT n FROM t ORDER BY n DESC NULLS FIRST LIMIT 5",
        "SELECT * FROM t WHERE k = 'b' ORDER BY n NULLS LAST LIMIT 5",
        "SELECT * FROM t ORDER BY m DESC NULLS FIRST LIMIT 5",
    ],
)
def test_plan(connections: tuple[Any, Any], query: str) -> None:
    lines = "\n".join(plan(connections[1], query))
    assert "ROTATED" in lines and "SORT" not in lines
