"""The first rows of a UNION ALL: branches that are limited give the same rows, in the same order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi
from tests.unoptimised import plan, unoptimised

ROWS = 1500


@pytest.fixture(scope="module")
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    rng = random.Random(4)
    for table, kind in (("a", "INTEGER"), ("b", "REAL"), ("c", "TEXT COLLATE NOCASE")):
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, k {kind}, g INTEGER NOT NULL)")
        connection.execute(f"CREATE INDEX {table}_k ON {table} (k)")
        rows = [
            (i, rng.choice((None, rng.randint(1, 300), rng.randint(1, 300))), rng.randint(1, 9)) for i in range(ROWS)
        ]
        if table == "c":
            rows = [(i, None if k is None else rng.choice("xX") + str(k), g) for i, k, g in rows]
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
    yield connection
    connection.close()


UNIONS = [
    "SELECT id, k FROM a UNION ALL SELECT id, k FROM b",
    "SELECT id, k FROM a UNION ALL SELECT id, k FROM c",
    "SELECT id, k FROM a WHERE g < 3 UNION ALL SELECT id, k FROM b WHERE g > 7 UNION ALL SELECT id, k FROM c",
    "SELECT g, max(k) FROM a GROUP BY g UNION ALL SELECT DISTINCT id, k FROM a",
    "SELECT id, k FROM a UNION SELECT id, k FROM b UNION ALL SELECT id, k FROM c",
    "SELECT id, k FROM c UNION ALL SELECT id, k FROM a UNION SELECT id, k FROM b",
    "SELECT 1, 2 UNION ALL VALUES (3, 4), (5, NULL) UNION ALL SELECT id, k FROM b",
    "SELECT * FROM (SELECT id, k FROM a ORDER BY k DESC, id LIMIT 7) UNION ALL SELECT id, k FROM b",
    "SELECT id, k FROM a UNION SELECT id, k FROM b",
    "SELECT g, k FROM a UNION SELECT id, k FROM b UNION SELECT g, k FROM c",
    "SELECT g, k FROM a UNION SELECT g, k FROM a WHERE g < 5 UNION SELECT 3, 7",
    "SELECT id, k FROM c UNION SELECT id, upper(k) FROM c",
    "SELECT g, k FROM a UNION ALL SELECT g, k FROM a UNION SELECT id, k FROM b",
    "SELECT id, k FROM a INTERSECT SELECT id, k FROM b UNION SELECT id, k FROM c",
    "SELECT id + 1, k + 0 FROM a UNION ALL SELECT id, abs(k) FROM b",
]
ORDERS = ["", "ORDER BY 2", "ORDER BY 2 DESC", "ORDER BY 2 DESC NULLS FIRST, 1 DESC", "ORDER BY 2 COLLATE NOCASE, 1"]


@pytest.mark.parametrize("union", UNIONS)
def test_first_rows_are_the_same(connection: zodbapi.Connection, union: str) -> None:
    pages = [("LIMIT 10", ()), ("LIMIT 0", ()), ("LIMIT ? OFFSET ?", (25, 3)), ("LIMIT ? OFFSET 990", (-1,))]
    for order, (page, params) in itertools.product(ORDERS, pages):
        if not order and page != "LIMIT 0":
            continue  # any rows may be first
        sql = f"{union} {order} {page}"
        found, expected = connection.execute(sql, params).fetchall(), _unoptimised(connection, sql, params)
        assert [row[1] for row in found] == [row[1] for row in expected], sql
        if "1" in order:
            assert found == expected, sql


def test_without_order_there_are_as_many_rows(connection: zodbapi.Connection) -> None:
    assert len(connection.execute(f"{UNIONS[0]} LIMIT 2000").fetchall()) == 2000
    assert len(connection.execute(f"{UNIONS[0]} LIMIT 3 OFFSET {2 * ROWS - 1}").fetchall()) == 1


def test_indexes_give_the_first_rows(connection: zodbapi.Connection) -> None:
    assert sum("INDEX SCAN" in line for line in plan(connection, f"{UNIONS[0]} ORDER BY 2 LIMIT 10")) == 2


def _unoptimised(connection: zodbapi.Connection, sql: str, params: tuple[Any, ...]) -> list[Any]:
    with unoptimised():
        return connection.execute(sql, params).fetchall()
