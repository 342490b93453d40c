"""Orders by an index with the NULLs at the end where the index does not have them, against sqlite3 and the plan as bound."""

from __future__ import annotations

import itertools
import sqlite3
from typing import Any

import pytest

import zodbapi
from tests.unoptimised import unoptimised


@pytest.fixture(scope="module")
def connections() -> list[Any]:
    made: list[Any] = [zodbapi.connect(":memory:"), sqlite3.connect(":memory:")]
    for connection in made:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL, n INTEGER, m REAL, u TEXT UNIQUE, x)"
        )
        for index in (
            "t_n ON t (n)",
            "t_k ON t (k, n, m)",
            "t_m ON t (m DESC)",
            "t_x ON t (x)",
            "t_p ON t (n) WHERE k > 'a'",
        ):
            connection.execute(f"CREATE INDEX {index}")
        rows = [
            (i, "abc"[i % 3], i * 7 % 50 if i % 4 else None, i % 11 / 2 if i % 3 else None, f"u{i}" if i % 5 else None,
             [None, i, str(i)][i % 3])
            for i in range(700)
        ]  # fmt: skip
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
    return made


WHERE = ("", "k = 'b'", "k > 'a'", "n > 20", "n BETWEEN 3 AND 30", "k = 'b' AND n < 20", "n IS NULL", "k = 'c' AND n IS NULL",
         "k IN ('a', 'c')", "m > 1 OR n = 4")  # fmt: skip


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("column", ["n", "m", "u", "x", "n, m"])
def test_order(connections: list[Any], column: str, where: str) -> None:
    ours, theirs = connections
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
def test_plan(connections: list[Any], query: str) -> None:
    plan = "\n".join(row[-1] for row in connections[0].execute(f"EXPLAIN QUERY PLAN {query}"))
    assert "ROTATED" in plan and "SORT" not in plan
