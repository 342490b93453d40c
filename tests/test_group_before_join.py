"""Aggregates of the rows that belong to each row of a table: made before the join or after it, they are the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

import pytest

import zodbapi
from tests.unoptimised import answer, answer_as_bound, plan

AUTHORS, BOOKS = 1200, 2500


@pytest.fixture(scope="module")
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT NOT NULL, g INTEGER)")
    connection.execute(
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER NOT NULL, k INTEGER, t TEXT COLLATE NOCASE, d INTEGER,"
        " price DECIMAL(8, 2))"
    )
    connection.execute("CREATE INDEX b_a ON b (a_id)")
    connection.execute("CREATE UNIQUE INDEX a_n ON a (n)")
    rng = random.Random(2)
    authors = [(i, f"n{i}", rng.choice((None, i % 7))) for i in range(1, AUTHORS + 1)]
    connection.executemany("INSERT INTO a VALUES (?, ?, ?)", authors)
    books = [
        (
            i,
            rng.randint(1, AUTHORS + 50),
            rng.choice((None, rng.randint(1, AUTHORS))),
            rng.choice((None, f"n{rng.randint(1, AUTHORS)}", f"N{rng.randint(1, 50)}")),
            rng.choice((None, rng.randint(-99, 99))),
            Decimal(rng.randint(1, 9999)) / 100,
        )
        for i in range(1, BOOKS + 1)
    ]
    connection.executemany("INSERT INTO b VALUES (?, ?, ?, ?, ?, ?)", books)
    yield connection
    connection.close()


EARLY = [
    "SELECT a.id, count(b.id) FROM a LEFT JOIN b ON b.a_id = a.id GROUP BY a.id",
    "SELECT a.n, a.g, count(b.d), sum(b.d), min(b.d), max(b.d), avg(b.d) FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.n",
    "SELECT a.id, sum(b.price), avg(b.price) FROM a LEFT JOIN b ON b.a_id = a.id GROUP BY a.id, a.n",
    "SELECT a.id, count(DISTINCT b.t), count(DISTINCT b.d) FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.id",
    "SELECT a.id, count(b.id) FILTER (WHERE b.d > 3) FROM a LEFT JOIN b ON b.a_id = a.id GROUP BY a.id",
    "SELECT a.id, count(b.id) FILTER (WHERE b.d > 3) FROM a JOIN b ON b.k = a.id GROUP BY a.id",
    "SELECT a.id, count(b.id) FILTER (WHERE b.d > 3), sum(b.d) FILTER (WHERE b.t > 'n5')"
    " FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.id",
    "SELECT count(*) FROM (SELECT a.id FROM a LEFT JOIN b ON b.a_id = a.id GROUP BY a.id HAVING count(b.id) > 2)",
    "SELECT a.n, count(b.id), max(b.price), sum(b.d) FROM a LEFT JOIN b ON b.k = a.id AND b.d > 0 GROUP BY a.n",
    "SELECT avg(c), max(c) FROM (SELECT count(b.id) AS c FROM a LEFT JOIN b ON b.a_id = a.id GROUP BY a.id)",
    "SELECT a.id, sum(b.d) AS s FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.id HAVING s > 20 ORDER BY s DESC, a.id LIMIT 20",
    "SELECT a.id, count(b.id) FROM a LEFT JOIN b ON b.k = a.id WHERE a.g = 3 OR a.g < 6 GROUP BY a.id ORDER BY a.id",
]
LATE = [
    "SELECT a.id, a.n, count(*) FROM a JOIN b ON b.a_id = a.id GROUP BY a.id",
    "SELECT a.n, count(b.id), max(b.d) FROM a LEFT JOIN b ON b.k = a.id AND b.d > 0 GROUP BY a.id",
    "SELECT a.id, sum(b.d + a.g) FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.id",
    "SELECT a.id, total(b.d) FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.id",
    "SELECT a.id, max(b.d), b.t FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.id HAVING count(*) < 2",
    "SELECT a.id, count(b.id) FROM a LEFT JOIN b ON b.k = a.id AND b.d > a.g GROUP BY a.id",
    "SELECT a.id, max(json_extract(b.t, '$')) FROM a LEFT JOIN b ON b.k = a.id AND b.t IS NULL GROUP BY a.id",
    "SELECT a.id, count(b.id) FROM a LEFT JOIN b ON b.a_id = a.id WHERE a.id < 20 GROUP BY a.id",
    "SELECT a.g, count(b.id) FROM a LEFT JOIN b ON b.k = a.id GROUP BY a.g",
    "SELECT a.id, count(b.id), count(c.id) FROM a JOIN b ON b.k = a.id LEFT JOIN b c ON c.k = a.id GROUP BY a.id",
]


@pytest.mark.parametrize("sql", EARLY)
def test_groups_before_the_join_give_the_same(connection: zodbapi.Connection, sql: str) -> None:
    assert _is_early(connection, sql)
    assert answer(connection, sql) == answer_as_bound(connection, sql)


@pytest.mark.parametrize("sql", LATE)
def test_groups_after_the_join(connection: zodbapi.Connection, sql: str) -> None:
    assert not _is_early(connection, sql)
    assert answer(connection, sql) == answer_as_bound(connection, sql)


def _is_early(connection: zodbapi.Connection, sql: str) -> bool:
    """Whether what a join reads has been grouped."""
    lines = plan(connection, sql)
    join = next((i for i, line in enumerate(lines) if "JOIN" in line), len(lines))
    return any(line.startswith(("AGGREGATE", "INDEX GROUPS")) for line in lines[join:])
