"""A short run of the random differential test, and differences that it once found."""

from __future__ import annotations

import datetime

import pytest

from tests.fuzz import Case, complaint_of, run_seed
from tests.random_slt import STYLES, differences

FOUND = [
    pytest.param(
        ["CREATE TABLE t (a INTEGER, b INTEGER NOT NULL)"],
        ["INSERT INTO t VALUES (1, 2), (NULL, 3)"],
        "SELECT a, b FROM t WHERE b <= CASE WHEN a IS NULL THEN b ELSE ?1 END",
        (2,),
        id="a comparison with a test for NULL inside",
    ),
    pytest.param(
        ["CREATE TABLE t (a REAL UNIQUE, b TEXT)"],
        ["INSERT INTO t VALUES (1.5, '1'), (NULL, '2')"],
        "SELECT b FROM t WHERE a < (SELECT max(x.a) FROM t AS x)",
        (),
        id="strict upper end of a unique key",
    ),
    pytest.param(
        ["CREATE TABLE t (a REAL, b REAL NOT NULL, c TEXT)", "CREATE INDEX i ON t (a)", "CREATE INDEX j ON t (b)"],
        ["INSERT INTO t VALUES (1.5, 2.5, 'x'), (NULL, 3.5, 'y')"],
        "SELECT c FROM t WHERE a IS ?1 OR b IS ?1",
        ("b",),
        id="IS with a value of another class",
    ),
    pytest.param(
        ["CREATE TABLE t (a TEXT, b INTEGER)"],
        ["INSERT INTO t VALUES (NULL, 1), ('2', 2)"],
        "SELECT x.b FROM t AS x JOIN t AS y ON x.b = y.a || y.a",
        (),
        id="a hash key that may be NULL inside",
    ),
    pytest.param(
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, a REAL)"],
        ["INSERT INTO t VALUES (-3, 1.0), (1, -3.0)"],
        "SELECT x.id, y.id FROM t AS x JOIN t AS y ON x.a = y.id",
        (),
        id="a float as rowid",
    ),
    pytest.param(
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, a REAL)"],
        ["INSERT INTO t VALUES (1, 5.5), (2, 4.0), (3, 4.0)"],
        "SELECT x.a FROM t AS x LEFT JOIN t AS y ON x.id JOIN t AS z ON x.a IS y.a ORDER BY 1 DESC",
        (),
        id="an order is not fixed by another table",
    ),
    pytest.param(
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, a)"],
        ["INSERT INTO t VALUES (1, 3.0), (2, 'x'), (3, '1'), (4, 2.5), (5, NULL), (6, 5)"],
        "SELECT x.a, y.id FROM t AS x LEFT JOIN t AS y ON y.id = x.a",
        (),
        id="anything as rowid",
    ),
    pytest.param(
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT)"],
        ["INSERT INTO t VALUES (1, NULL, 'x'), (2, NULL, 'x')"],
        "SELECT DISTINCT b FROM t WHERE a IS NULL",
        (),
        id="many NULLs in a unique index",
    ),
    pytest.param(
        ["CREATE TABLE t (a INTEGER, b INTEGER)"],
        ["INSERT INTO t VALUES (NULL, 0), (3, 1)"],
        "SELECT b FROM t WHERE (b, b) NOT IN (SELECT a, b FROM t)",
        (),
        id="a NULL in a row of NOT IN",
    ),
    pytest.param(
        ["CREATE TABLE t (a TEXT COLLATE NOCASE)"],
        ["INSERT INTO t VALUES ('a'), ('A'), ('b')"],
        "SELECT count(*) OVER (PARTITION BY a) FROM t",
        (),
        id="partitions of a collation",
    ),
    pytest.param(
        ["CREATE TABLE t (a TEXT)"],
        ["INSERT INTO t VALUES ('a')"],
        "SELECT a FROM t WHERE (SELECT a FROM t WHERE a = 'none') NOT LIKE 'a%' OR ?1 > ?2",
        (1, 2),
        id="LIKE of NULL, and a comparison of parameters",
    ),
]


FOUND += [
    pytest.param(
        ["CREATE TABLE t (a, b INTEGER)", "CREATE INDEX i ON t (a)"],
        ["INSERT INTO t VALUES (1, 1), ('x', 2), (-5, 3), (NULL, 4)"],
        "SELECT b FROM t WHERE a > coalesce(NULL, ?1) AND a < ifnull(?2, 'z')",
        (-2, None),
        id="a computed bound of an index of anything",
    ),
    pytest.param(
        ["CREATE TABLE t (id INTEGER PRIMARY KEY)"],
        [],
        "SELECT ntile(3) OVER (ORDER BY id) FROM t",
        (),
        id="buckets of no rows",
    ),
]


@pytest.mark.parametrize(("schema", "rows", "sql", "params"), FOUND)
def test_found_differences(schema: list[str], rows: list[str], sql: str, params: tuple[object, ...]) -> None:
    assert complaint_of(Case(schema, [(row, ()) for row in rows], sql, params, ordered="ORDER BY" in sql)) is None


@pytest.mark.parametrize("seed", range(7001, 7007))
def test_random_database(seed: int) -> None:
    found = run_seed(seed, queries=25)
    assert not found, "\n".join(f"{case.script()}\n{case.complaint}" for case in found)


def test_a_value_of_another_class_in_an_index_of_expressions() -> None:
    case = Case(
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, a TIME, b DATE)", "CREATE INDEX i ON t (b, a + 1)"],
        [("INSERT INTO t VALUES (1, ?1, ?2)", (datetime.time(3, 30), datetime.date(2024, 1, 2)))],
        "SELECT x.id FROM t AS x JOIN t AS y ON y.a WHERE x.b IN (1, ?1)",
        (datetime.datetime(2024, 1, 2, 7, 0),),
        ordered=False,
        native=True,
    )
    assert complaint_of(case) is None


@pytest.mark.parametrize("style", STYLES)
def test_sqllogictest_style(style: str) -> None:
    assert not differences(style, 11, 12 if style == "chains" else 60)
