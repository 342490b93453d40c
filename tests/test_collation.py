"""Which collation decides, against the sqlite3 module: expressions of all kinds with COLLATE somewhere inside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

import zodbapi

SCHEMA = """
CREATE TABLE t (n TEXT COLLATE NOCASE, b TEXT, r TEXT COLLATE RTRIM, i INTEGER);
INSERT INTO t VALUES ('a', 'A', 'a ', 1), ('A', 'a', 'A', 2), ('b', 'B', 'b ', 3), (NULL, 'a', NULL, 4), ('B', 'a ', 'a', 1);
CREATE TABLE u (n TEXT COLLATE RTRIM, z);
INSERT INTO u VALUES ('a', 'A'), ('B ', 'b'), ('A', NULL);
CREATE VIEW v AS SELECT n, b COLLATE NOCASE AS bn, b || '' AS e, +n AS p, (SELECT n) AS q, i FROM t;
"""

OPERANDS = ["n", "b", "r", "'A' COLLATE NOCASE", "b COLLATE NOCASE", "n COLLATE BINARY", "(b COLLATE RTRIM)"]

FORMS = """
{}
+{}
{} COLLATE BINARY
CAST({} AS TEXT)
{} || ''
'' || {}
coalesce({}, 'z')
coalesce('A', {})
iif(i, {}, 'x')
nullif({}, 'b')
min({}, 'zz')
max('A', {}, 'A')
upper({})
(SELECT {})
CASE WHEN {} IS NULL THEN 'x' ELSE 'A' END
CASE WHEN 1 THEN {} ELSE 'b' END
CASE WHEN i = 9 THEN 'x' ELSE {} END
CASE {} WHEN 'A' THEN 'A' ELSE 'b' END
CASE 'A' WHEN {} THEN 'A' ELSE 'b' END
CASE WHEN NOT {} = 'a' THEN 'A' ELSE 'b' END
CASE WHEN {} LIKE 'a' THEN 'A' ELSE 'b' END
CASE WHEN {} BETWEEN 'a' AND 'b' THEN 'A' ELSE 'b' END
CASE WHEN b BETWEEN {} AND 'B' THEN 'A' ELSE 'b' END
CASE WHEN {} IN ('a', 'x') THEN 'A' ELSE 'b' END
CASE WHEN 'a' IN ('c', {}) THEN 'A' ELSE 'b' END
CASE WHEN 'a' IN ({}) THEN 'A' ELSE 'b' END
CASE WHEN 'a' IN (SELECT {}) THEN 'A' ELSE 'b' END
CASE WHEN EXISTS (SELECT {}) THEN 'A' ELSE 'b' END
CASE WHEN ({}, 1) = ('a', 1) THEN 'A' ELSE 'b' END
""".strip().splitlines()

COMPARISONS = """
{0} = {1}
{1} = {0}
{0} < {1}
{0} IS {1}
{0} IN ({1})
{0} IN ({1}, 'q')
{1} IN ({0}, 'q')
{0} IN (SELECT {1})
{0} IN (VALUES ({1}), ('q'))
{0} IN (SELECT 'q' UNION ALL SELECT {1})
{0} BETWEEN {1} AND 'b'
'a' BETWEEN {0} AND {1}
({0}, 1) < ({1}, 2)
({0}, 1) IN (SELECT {1}, 1)
({0}, i) = (SELECT {1}, 1)
{0} = (SELECT {1})
CASE {0} WHEN {1} THEN 1 ELSE 0 END
nullif({0}, {1})
min({0}, {1})
max({0}, {1}, 'A')
""".strip().splitlines()

QUERIES = """
SELECT coalesce(n, b COLLATE NOCASE) AS z FROM t WHERE z = 'a'
SELECT 'A' AS z, r COLLATE NOCASE AS y FROM t ORDER BY z, quote(y)
SELECT b COLLATE NOCASE AS y, i FROM t ORDER BY y, i
SELECT count(*) FROM t WHERE (SELECT max(n) FROM t) = 'B'
SELECT max(n) = 'B', max(b COLLATE NOCASE) = 'B', min(b COLLATE NOCASE) < 'A' FROM t
SELECT upper(max(n) OVER ()), upper(min(b COLLATE NOCASE) OVER (ORDER BY i)) FROM t ORDER BY i, b
SELECT count(*) FROM (SELECT 'a' UNION SELECT n FROM t)
SELECT count(*) FROM (SELECT b FROM t UNION SELECT n FROM t)
SELECT count(*) FROM (SELECT b || '' FROM t UNION SELECT n FROM t)
SELECT b FROM t UNION ALL SELECT n FROM t ORDER BY 1
SELECT b || '' FROM t UNION ALL SELECT n FROM t ORDER BY 1 COLLATE RTRIM, 1
SELECT count(*) FROM (SELECT DISTINCT coalesce(b COLLATE NOCASE, 'x') FROM t)
SELECT count(*) FROM t GROUP BY coalesce(b COLLATE NOCASE, 'x') ORDER BY 1
SELECT count(DISTINCT b COLLATE NOCASE), count(DISTINCT n), count(DISTINCT n || '') FROM t
SELECT i FROM v WHERE bn = 'a' ORDER BY i
SELECT i FROM v WHERE e = n ORDER BY i
SELECT i FROM v WHERE p = 'a' AND q != 'A' ORDER BY i
WITH w AS (SELECT b COLLATE NOCASE AS c FROM t) SELECT count(*) FROM w WHERE c = 'a'
SELECT z FROM u WHERE 'B' || '' <= z COLLATE NOCASE
SELECT z FROM u WHERE z COLLATE NOCASE BETWEEN 'B' || '' AND 'C'
SELECT count(*) FROM t WHERE +i IN (VALUES (1), (CAST('2' AS TEXT)))
SELECT b FROM t WHERE b COLLATE BINARY IN (SELECT DISTINCT u.n FROM t AS u WHERE u.i <= t.i) ORDER BY rowid
SELECT b FROM t WHERE n IN (SELECT DISTINCT u.b FROM t AS u WHERE u.i <= t.i) ORDER BY rowid
SELECT count(*) FROM t WHERE CAST(i AS TEXT) IN (SELECT i FROM t UNION ALL SELECT b FROM t)
""".strip().splitlines()


@pytest.fixture(scope="module")
def oracle() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


@pytest.mark.parametrize("form", FORMS)
def test_the_collation_of_a_comparison(form: str, oracle: sqlite3.Connection, engine: Any) -> None:
    for operand in OPERANDS:
        tests = [c.format(form.format(operand), other) for c in COMPARISONS for other in ("'a'", "b", "n")]
        sql = f"SELECT {', '.join(tests)} FROM t ORDER BY rowid"
        expected = oracle.execute(sql).fetchall()
        for row, found in zip(expected, engine.execute(sql).fetchall(), strict=True):
            assert dict(zip(tests, found, strict=True)) == dict(zip(tests, row, strict=True))


@pytest.mark.parametrize("sql", QUERIES)
def test_the_collation_of_a_query(sql: str, oracle: sqlite3.Connection, engine: Any) -> None:
    assert engine.execute(sql).fetchall() == oracle.execute(sql).fetchall()


def test_a_parameter_is_folded_before_it_is_compared_with_a_column_of_any_class(engine: Any) -> None:
    for sql in ("SELECT z FROM u WHERE z COLLATE NOCASE >= ?", "SELECT z FROM u WHERE ? <= z COLLATE NOCASE"):
        assert engine.execute(sql, ["B"]).fetchall() == [("b",)]


def backwards(a: str, b: str) -> int:
    """Texts the other way round, whatever their case."""
    return (a.lower() < b.lower()) - (a.lower() > b.lower())


OWN = """
SELECT z FROM w ORDER BY z COLLATE backwards, y
SELECT min(z COLLATE backwards), max(z COLLATE backwards) FROM w
SELECT min('a', 'b' COLLATE backwards, 3), max('a' COLLATE backwards, 'B')
SELECT max(z COLLATE backwards) OVER (ORDER BY rowid) FROM w
SELECT z FROM w WHERE z COLLATE backwards > ?1
SELECT z FROM w WHERE z COLLATE backwards BETWEEN 'c' AND ?1
SELECT z FROM w WHERE z IN (?1 COLLATE backwards)
SELECT ?1 < z COLLATE backwards FROM w
SELECT count(*) FROM w GROUP BY z COLLATE backwards ORDER BY 1
SELECT DISTINCT y COLLATE backwards FROM w ORDER BY 1
SELECT count(DISTINCT z COLLATE backwards) FROM w
SELECT count(*) FROM (SELECT z COLLATE backwards FROM w UNION SELECT y FROM w)
SELECT a.z, b.y FROM w a JOIN w b ON a.z = b.y COLLATE backwards ORDER BY 1, 2
SELECT z, rank() OVER (ORDER BY z COLLATE backwards) FROM w ORDER BY 2, 1
""".strip().splitlines()


@pytest.mark.parametrize("sql", OWN)
def test_a_collation_of_the_connection(sql: str, oracle: sqlite3.Connection, engine: Any) -> None:
    found = []
    for connection in (oracle, engine):
        connection.create_collation("backwards", backwards)
        connection.execute("DROP TABLE IF EXISTS w")
        connection.execute("CREATE TABLE w (z, y TEXT)")
        rows = [("A", "A"), ("b", "b"), (3, "c"), (None, None), (b"0", "q"), ("a", "c")]
        connection.executemany("INSERT INTO w VALUES (?, ?)", rows)
        found.append(connection.execute(sql, ["B"] if "?" in sql else []).fetchall())
    assert found[1] == found[0]


PARTS = (
    *("SELECT trim(x) FROM a", "SELECT x FROM b", "SELECT trim(x) COLLATE NOCASE FROM d", "SELECT x || '' FROM b"),
    "SELECT 'AB' COLLATE NOCASE",
)


def test_all_operations_of_a_compound_tell_rows_apart_in_one_way() -> None:
    connections = sqlite3.connect(":memory:"), zodbapi.connect(":memory:")
    for connection in connections:
        connection.executescript("CREATE TABLE a (x TEXT); CREATE TABLE b (x TEXT); CREATE TABLE d (x TEXT)")
        connection.executescript("INSERT INTO a VALUES ('ab'), ('%'); INSERT INTO b VALUES ('aB')")
        connection.executescript("INSERT INTO d VALUES ('aB'), ('%')")
    operations = ("UNION", "EXCEPT", "INTERSECT", "UNION ALL")
    for a, b, c, x, y in product(PARTS[:2], PARTS, PARTS[::2], operations, operations):
        order = " ORDER BY 1" if len(a + b + c) % 2 else ""
        sql = f"{a} {x} {b} {y} {c}{order}"
        expected, found = (sorted(row[0].lower() for row in each.execute(sql)) for each in connections)
        assert found == expected, sql
