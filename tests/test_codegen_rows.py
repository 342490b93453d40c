"""Result rows of many columns, whose stored rows are taken apart at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi

SETUP = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL, d TEXT, e INTEGER);
CREATE TABLE u (id INTEGER PRIMARY KEY, t_id INTEGER, v TEXT, w TEXT, x TEXT);
CREATE INDEX u_t ON u (t_id, v);
INSERT INTO t VALUES (1, 10, 'x', 1.5, NULL, 3), (2, NULL, 'y', 2.5, 'd', 4), (3, 10, NULL, NULL, 'e', 5);
INSERT INTO u VALUES (1, 1, 'p', 'q', 'r'), (2, 1, 's', NULL, 't'), (3, 3, 'p', 'v', NULL), (4, 9, 'w', 'w', 'w');
"""
QUERIES = (
    "SELECT id, b, a, d, c, e FROM t ORDER BY id",
    "SELECT e, d, c, b FROM t WHERE a = 10 OR b = 'y' ORDER BY id DESC LIMIT 2",
    "SELECT e, d, c, b FROM t ORDER BY b, id LIMIT 5 OFFSET 1",
    "SELECT e, d, c, b, a, id FROM t WHERE id = 2",
    "SELECT a, a, b, b, c, c FROM t ORDER BY id",
    "SELECT a, b, c, d || '!', e, a + 1 FROM t ORDER BY id",
    "SELECT t.a, t.b, t.c, t.d, u.v, u.w, u.x, u.id FROM t LEFT JOIN u ON u.t_id = t.id ORDER BY t.id, u.id",
    "SELECT u.v, u.w, u.x, u.id, t.e, t.d, t.c, t.b FROM u JOIN t ON u.t_id = t.id ORDER BY u.id",
    "SELECT u.v, u.w, u.x, u.id, t.e, t.d, t.c, t.b FROM u LEFT JOIN t ON u.t_id = t.id WHERE u.v > 'p' ORDER BY u.id",
    "SELECT t_id, v, id, t_id, v FROM u WHERE t_id = 1 ORDER BY v",
    "SELECT DISTINCT a, b, c, d FROM t ORDER BY 1, 2",
    "SELECT a, b, c, d FROM t UNION ALL SELECT w, v, t_id, id FROM u ORDER BY 1, 2",
    "SELECT d, c, b, a, (SELECT count(*) FROM u WHERE t_id = t.id) FROM t ORDER BY id",
    "SELECT b, a, c, d, count(*) FROM t GROUP BY id ORDER BY id",
)


@pytest.fixture
def databases() -> Iterator[tuple[Any, Any]]:
    ours, theirs = zodbapi.connect(":memory:", autocommit=True), sqlite3.connect(":memory:")
    for connection in (ours, theirs):
        connection.executescript(SETUP)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("sql", QUERIES)
def test_rows_are_sqlites(databases: tuple[Any, Any], sql: str) -> None:
    ours, theirs = databases
    assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
    assert list(ours.execute(sql)) == theirs.execute(sql).fetchall()


def test_rows_after_columns_came_and_went(databases: tuple[Any, Any]) -> None:
    for connection in databases:
        connection.execute("ALTER TABLE t ADD COLUMN f TEXT DEFAULT 'f'")
        connection.execute("ALTER TABLE t DROP COLUMN a")
    found, expected = (c.execute("SELECT f, e, d, c, b, id FROM t ORDER BY id").fetchall() for c in databases)
    assert found == expected


def test_a_row_is_taken_apart_once(databases: tuple[Any, Any]) -> None:
    """Not where few of its columns are asked for."""
    ours, _ = databases
    assert " = r0\n" in ours._prepare("SELECT e, d, c, b FROM t WHERE id = ?", "qmark").program.source
    assert " = r0\n" not in ours._prepare("SELECT e, d, c FROM t WHERE id = ?", "qmark").program.source
    assert "for r0_0, r0_1" in ours._prepare("SELECT e, d, c, b FROM t WHERE a = ?", "qmark").program.source


def test_large_values_are_loaded(databases: tuple[Any, Any]) -> None:
    for connection in databases:
        connection.execute("INSERT INTO t VALUES (4, 1, ?, 2, ?, 3)", ("b" * 100_000, "d" * 100_000))
    found, expected = (c.execute("SELECT e, d, c, b, a, id FROM t ORDER BY id").fetchall() for c in databases)
    assert found == expected


@pytest.mark.parametrize(
    ("where", "tests"),
    [
        ("a >= 1 AND a < 20", 1),
        ("a >= 1 AND a IS NOT NULL", 1),
        ("a IS NOT NULL AND a > 1 AND c > a", 2),
        ("a > 1 AND (a < 5 OR c > 2)", 3),
        ("NOT (a > 1 OR a < -5)", 1),
    ],
)
def test_a_column_is_tested_for_null_once(databases: tuple[Any, Any], where: str, tests: int) -> None:
    """In each conjunction."""
    sql = f"SELECT id FROM t WHERE {where} ORDER BY id"
    ours, theirs = databases
    assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
    assert ours._prepare(sql, "qmark").program.source.count("is not None") == tests
