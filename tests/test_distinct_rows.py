"""DISTINCT rows of tables that a join multiplies: rowids tell them apart as all their columns do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sqlite_oracle import both_engines
from tests.unoptimised import plan, unoptimised

SCHEMA = """
CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL, code TEXT UNIQUE COLLATE NOCASE, k INTEGER);
CREATE TABLE b (key TEXT NOT NULL PRIMARY KEY, a_id INTEGER, n INTEGER) WITHOUT ROWID;
CREATE INDEX b_a ON b (a_id);
"""
BY_ROWIDS = [
    "SELECT DISTINCT a.id, a.name FROM a JOIN b ON b.a_id = a.id WHERE n > 2",
    "SELECT DISTINCT name, a.id, name || 'x' FROM a JOIN b ON b.a_id = a.id ORDER BY name DESC, a.id LIMIT 9",
    "SELECT count(*) FROM (SELECT DISTINCT a.* FROM a JOIN b ON b.a_id = a.id)",
    "SELECT DISTINCT a.id, a.name, b.key, b.n FROM a LEFT JOIN b ON b.a_id = a.id LEFT JOIN a c ON c.k = a.k",
    "SELECT DISTINCT b.key, b.n FROM a LEFT JOIN b ON b.a_id = a.id",
    "SELECT DISTINCT a.id, a.name, 7 FROM a JOIN b ON b.a_id = a.id WHERE EXISTS (SELECT 1 FROM b c WHERE c.n = a.k)",
    "SELECT DISTINCT x.id, x.name, y.id FROM a x JOIN a y ON x.k = y.k JOIN b ON b.a_id = x.id",
]
BY_COLUMNS = [
    "SELECT DISTINCT b.key, b.n FROM b JOIN a ON a.k = b.n",  # a semi join
    "SELECT DISTINCT a.name, a.k FROM a JOIN b ON b.a_id = a.id",
    "SELECT DISTINCT a.code, a.k FROM a JOIN b ON b.a_id = a.id",
    "SELECT DISTINCT a.id, a.name, b.n FROM a JOIN b ON b.a_id = a.id",
    "SELECT DISTINCT a.id, a.name, abs(random()) >= 0 FROM a JOIN b ON b.a_id = a.id",
    "SELECT (SELECT count(*) FROM (SELECT DISTINCT a.id, b.n FROM b WHERE b.a_id = a.id)) FROM a",
]


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[Any, Any]]:
    rows = [(i, f"name {i % 5}", f"c{i}" if i % 3 else None, i % 7) for i in range(40)]
    with both_engines(SCHEMA) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO a VALUES (?, ?, ?, ?)", rows)
            connection.executemany("INSERT INTO b VALUES (?, ?, ?)", [(f"b{i}", i * 7 % 30, i % 6) for i in range(150)])
        yield connections


@pytest.mark.parametrize("query", BY_ROWIDS + BY_COLUMNS)
def test_rows(connections: tuple[Any, Any], query: str) -> None:
    theirs, ours = connections
    found = ours.execute(query).fetchall()
    with unoptimised():
        assert sorted(map(repr, found)) == sorted(map(repr, ours.execute(query).fetchall()))
    assert sorted(map(repr, found)) == sorted(map(repr, theirs.execute(query).fetchall()))
    if "ORDER BY" in query:
        assert found == theirs.execute(query).fetchall()


@pytest.mark.parametrize("query", BY_ROWIDS)
def test_plan(connections: tuple[Any, Any], query: str) -> None:
    assert any("DISTINCT ON (rowid" in line for line in plan(connections[1], query))


@pytest.mark.parametrize("query", BY_COLUMNS)
def test_other_plans(connections: tuple[Any, Any], query: str) -> None:
    assert not any("DISTINCT ON" in line for line in plan(connections[1], query))
