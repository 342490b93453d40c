"""Reads that have a short cut, against sqlite3 and against the plan as it was bound."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import zodbapi
from tests.unoptimised import unoptimised

ROWS = 4000
SCHEMA = """
CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INTEGER);
CREATE TABLE b (
    id INTEGER PRIMARY KEY, a INTEGER, n INTEGER, x REAL, kind TEXT NOT NULL, u INTEGER NOT NULL, UNIQUE (kind, n, id)
);
CREATE INDEX b_a ON b (a);
CREATE INDEX b_kind_x ON b (kind, x);
CREATE INDEX b_x ON b (x) WHERE kind = 'k1';
CREATE TABLE few (id INTEGER PRIMARY KEY, n INTEGER);
CREATE INDEX few_n ON few (n);
"""


def _filled(connection: Any) -> Any:
    rng = random.Random(3)
    connection.executescript(SCHEMA)
    parents = [(i, f"name {i}", None if rng.random() < 0.1 else rng.randint(1, 50)) for i in range(1, 401)]
    shuffled = rng.sample(range(ROWS), ROWS)
    rows = [
        (
            i,
            None if rng.random() < 0.4 else rng.randint(1, 300),
            None if rng.random() < 0.2 else rng.randint(-50, 50),
            None if rng.random() < 0.3 else round(rng.uniform(-9, 9), 1),
            f"k{rng.randint(1, 5)}",
            shuffled[i - 1],
        )
        for i in range(1, ROWS + 1)
    ]
    connection.executemany("INSERT INTO a VALUES (?, ?, ?)", parents)
    connection.executemany("INSERT INTO b VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.executemany("INSERT INTO few VALUES (?, ?)", [(1, None), (2, 5), (3, None)])
    connection.commit()
    return connection


@pytest.fixture(scope="module")
def connections() -> list[Any]:
    return [_filled(zodbapi.connect(":memory:")), _filled(sqlite3.connect(":memory:"))]


COUNTS = [
    "SELECT count(*) FROM b WHERE a IS NULL",
    "SELECT count(*) FROM b WHERE a IS NOT NULL",
    "SELECT count(*) FROM b WHERE a IS NOT NULL AND a > 100",
    "SELECT count(*) FROM b WHERE a IS NOT NULL AND n IS NULL",
    "SELECT count(*) FROM b WHERE kind = 'k2' AND x IS NOT NULL",
    "SELECT count(*) FROM b WHERE kind = 'k2' AND x IS NULL",
    "SELECT count(*) FROM b WHERE kind = 'k2' AND n IS NOT NULL",
    "SELECT count(*) FROM b WHERE kind IN ('k1', 'k2', 'k9') AND x IS NOT NULL",
    "SELECT count(*) FROM b WHERE kind IN ('k1', 'k2', 'k9')",
    "SELECT count(*) FROM b WHERE kind >= 'k2'",
    "SELECT count(*) FROM b WHERE kind = 'k1' AND x IS NOT NULL AND x < 3",
    "SELECT count(*), count(*) FROM b WHERE a BETWEEN 10 AND 250",
    "SELECT count(*) FROM few WHERE n IS NOT NULL",
    "SELECT count(*) FROM few WHERE n IS NULL",
    "SELECT a.id, (SELECT count(*) FROM b WHERE b.a = a.id AND b.a IS NOT NULL) FROM a ORDER BY a.id",
    "SELECT max(x) FROM b WHERE kind = 'k3' AND x IS NOT NULL",
    "SELECT x, id FROM b WHERE kind = 'k3' AND x IS NOT NULL ORDER BY x, id LIMIT 7",
    "SELECT x, id FROM b WHERE kind = 'k3' AND x IS NOT NULL ORDER BY x DESC, id DESC LIMIT 7",
    "SELECT x, id FROM b WHERE kind = 'k3' AND x IS NOT NULL ORDER BY x DESC NULLS FIRST, id DESC LIMIT 7",
    "SELECT x, id FROM b WHERE kind = 'k3' AND x IS NOT NULL ORDER BY x NULLS LAST, id LIMIT 7",
]
FIRSTS = [
    "SELECT id, (SELECT b.n FROM b WHERE b.a = a.id ORDER BY b.u LIMIT 1) FROM a ORDER BY id",
    "SELECT id, (SELECT b.kind || b.u FROM b WHERE b.a = a.id ORDER BY b.u DESC LIMIT 1) FROM a ORDER BY id",
    "SELECT id, (SELECT b.rowid FROM b WHERE b.a = a.id ORDER BY b.u DESC LIMIT 1) FROM a ORDER BY id",
    "SELECT id, (SELECT b.u FROM b WHERE b.a = a.n ORDER BY b.kind DESC, b.u LIMIT 1) FROM a ORDER BY id",
    "SELECT n, (SELECT b.x FROM b WHERE b.kind = 'k' || few.n ORDER BY b.x DESC LIMIT 1) FROM few",
    "SELECT n, (SELECT b.x FROM b WHERE b.kind = 'k' || few.id AND b.x < few.n ORDER BY b.x DESC LIMIT 1) FROM few",
    "SELECT n, (SELECT b.x FROM b WHERE b.kind > 'k' || few.id ORDER BY b.kind DESC, b.x DESC LIMIT 1) FROM few",
    "SELECT a.id FROM a JOIN b ON b.a = a.id WHERE a.name = 'name 7' ORDER BY b.u",
    "SELECT b.u, a.id FROM b JOIN a ON a.name = 'name ' || b.a WHERE b.u < 400 ORDER BY b.u",
    "SELECT b.u FROM b JOIN a ON a.name = 'name ' || b.a WHERE b.u < 400 ORDER BY b.u",
    "SELECT count(*) FROM (SELECT DISTINCT kind FROM b)",
    "SELECT count(*) FROM (SELECT DISTINCT a FROM b)",
    "SELECT count(*) FROM (SELECT DISTINCT kind, x FROM b)",
    "SELECT count(*) FROM (SELECT n FROM a)",
]


LISTS = [
    "SELECT id, a FROM b WHERE a IN (5, 7, 7, NULL, 9.0, 'x', 300) ORDER BY id",
    "SELECT id FROM b WHERE a IN (5, 7, 300) ORDER BY a, id LIMIT 9",
    "SELECT id FROM b WHERE a IN (5, 7, 300) ORDER BY a DESC, id DESC LIMIT 9",
    "SELECT u FROM b WHERE kind IN ('k2', 'k7', 'k4') AND n IN (1, 2, 3) ORDER BY id",
    "SELECT u FROM b WHERE kind IN ('k2', NULL) AND x IN (1.5, 2, -0.0) ORDER BY id",
    "SELECT count(*) FROM b WHERE a IN (NULL)",
    "SELECT count(*) FROM b WHERE kind IN ('k2', 'k3') AND x IS NULL",
    "SELECT instr(kind, 'k'), instr(kind, 3), instr(n, 1), substr(kind, 1, 1), substr(kind, 2, 0) FROM b ORDER BY id",
    "SELECT substr(kind, -1, 1), substr(kind, 2), substr(kind, 1, -1), substr(n, 1, 2), substr(kind, 1, 9) FROM b ORDER BY id",
    "SELECT mod(n, 7), mod(n, -7), mod(n, 0), mod(x, 2), mod(n, 2.5), sqrt(n), sqrt(x), exp(n), pow(x, 2) FROM b ORDER BY id",
]
WINDOWS = [
    "SELECT id, sum(n) OVER (PARTITION BY kind) FROM b ORDER BY id",
    "SELECT id, sum(n) OVER (PARTITION BY a) FROM b ORDER BY id",
    "SELECT id, sum(x) OVER (PARTITION BY a), count(n) OVER (PARTITION BY a), count(*) OVER (PARTITION BY a) FROM b ORDER BY id",
    "SELECT id, count(n) OVER (PARTITION BY kind, a) FROM b ORDER BY id",
    "SELECT id, total(n) OVER (PARTITION BY kind), sum(kind) OVER (PARTITION BY a) FROM b ORDER BY id",
    "SELECT id, sum(n) FILTER (WHERE x > 0) OVER (PARTITION BY kind) FROM b ORDER BY id",
    "SELECT id, sum(n) OVER (PARTITION BY kind ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM b WHERE u < 0",
    "SELECT sum(n) OVER (), count(*) OVER (), id FROM b ORDER BY id",
    "SELECT id, row_number() OVER (PARTITION BY CASE WHEN u % 3 THEN n ELSE kind END ORDER BY u) FROM b ORDER BY id",
]


@pytest.mark.parametrize("sql", COUNTS + FIRSTS + LISTS + WINDOWS)
def test_same_rows(sql: str, connections: list[Any]) -> None:
    ours, theirs = connections
    expected = theirs.execute(sql).fetchall()
    assert ours.execute(sql).fetchall() == expected
    with unoptimised():
        assert ours.execute(sql).fetchall() == expected


GIVEN = [0, 3, -2, 2.5, "k3", "", b"k3", None, float("nan"), float("inf"), True]


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=", "!="])
@pytest.mark.parametrize("given", GIVEN, ids=repr)
@pytest.mark.parametrize(
    "loose", ["coalesce(n, kind)", "max(n, coalesce(x, ?1))", "CASE WHEN u % 2 THEN kind ELSE x END", "coalesce(n, ?1)"]
)
def test_values_of_any_class(loose: str, given: Any, op: str, connections: list[Any]) -> None:
    ours, theirs = connections
    sql = f"SELECT count(*), sum(id) FROM b WHERE {loose} {op} ?1 OR ?1 {op} {loose}"
    expected = theirs.execute(sql, (given,)).fetchall()
    assert ours.execute(sql, (given,)).fetchall() == expected
    between = f"SELECT count(*), sum(id) FROM b WHERE {loose} BETWEEN ?1 AND 4 OR {loose} NOT BETWEEN -1 AND ?1"
    assert ours.execute(between, (given,)).fetchall() == theirs.execute(between, (given,)).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM b WHERE a IS NULL",
        "SELECT count(*) FROM b WHERE a IS NOT NULL",
        "SELECT count(*) FROM b WHERE kind = 'k2' AND x IS NOT NULL",
        "SELECT count(*) FROM b WHERE kind >= 'k2'",
    ],
)
def test_a_tree_counts_its_entries(sql: str, connections: list[Any]) -> None:
    plan = "\n".join(str(row[1]) for row in connections[0].execute(f"EXPLAIN {sql}"))
    assert "len(x0.keys(" in plan or "len(x0.items(" in plan or "len(x0.values(" in plan
