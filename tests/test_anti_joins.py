"""Outer joins of which only the rows without a match are kept, whatever else is said of the row of NULLs, against sqlite3."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

import zodbapi

JOIN = "a LEFT JOIN b ON b.aid = a.id"


def filled(connection: Any) -> Any:
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL, v INTEGER)")
    connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, aid INTEGER NOT NULL, price INTEGER)")
    connection.executemany("INSERT INTO a VALUES (?, ?, ?)", [(i, f"n{i}", i % 3) for i in range(1, 9)])
    connection.executemany("INSERT INTO b VALUES (?, ?, ?)", [(i, i % 5, i) for i in range(1, 20)])
    return connection


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT a.name FROM {JOIN} WHERE b.id IS NULL ORDER BY a.id",
        f"SELECT a.name FROM {JOIN} WHERE b.id IS NULL ORDER BY b.price, a.id",
        f"SELECT count(b.price), count(*), max(b.id) FROM {JOIN} WHERE b.id IS NULL",
        f"SELECT a.id, row_number() OVER (ORDER BY b.price, a.id) FROM {JOIN} WHERE b.id IS NULL ORDER BY a.id",
        f"SELECT b.price, count(*) FROM {JOIN} WHERE b.id IS NULL GROUP BY b.price",
        f"SELECT a.id FROM {JOIN} WHERE b.id IS NULL AND (b.price IS NULL OR a.v = 1) ORDER BY 1",
        f"SELECT a.id FROM {JOIN} WHERE b.id IS NULL AND a.v IN (SELECT coalesce(b.price, 1)) ORDER BY 1",
        f"SELECT a.id, (SELECT b.price) FROM {JOIN} WHERE b.id IS NULL ORDER BY 1",
        f"SELECT a.id, c.id FROM {JOIN} LEFT JOIN b c ON c.price = b.price WHERE b.id IS NULL ORDER BY 1",
        f"SELECT a.id, c.id FROM {JOIN} LEFT JOIN b c ON c.aid = a.v WHERE b.id IS NULL ORDER BY 1, 2",
        f"SELECT DISTINCT a.v FROM {JOIN} JOIN b d ON d.id = a.id WHERE b.id IS NULL ORDER BY 1",
        f"SELECT a.id FROM {JOIN} WHERE b.id IS NULL AND b.aid IS NULL ORDER BY 1",
    ],
)
def test_queries(sql: str) -> None:
    ours, theirs = (filled(module.connect(":memory:")).execute(sql).fetchall() for module in (zodbapi, sqlite3))
    assert ours == theirs


def test_an_update_from_the_row_that_is_not_there() -> None:
    with zodbapi.connect(":memory:") as connection:
        filled(connection).execute(
            "UPDATE a SET v = b.price FROM a AS c LEFT JOIN b ON b.aid = c.id WHERE c.id = a.id AND b.id IS NULL"
        )
        found = connection.execute("SELECT id FROM a WHERE v IS NULL ORDER BY id").fetchall()
        assert found == [(5,), (6,), (7,), (8,)]
