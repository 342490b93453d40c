"""Correlated queries of statements that write: a hash table where all of them run before the first write, and only there."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi
from tests.unoptimised import plan, unoptimised

PARENTS, CHILDREN = 1300, 1600


def _load(connection: Any) -> None:
    rng = random.Random(3)
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, g INTEGER NOT NULL, n TEXT, v INTEGER)")
    connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER, d INTEGER NOT NULL)")
    connection.execute("CREATE INDEX b_a ON b (a_id)")
    connection.execute("CREATE TABLE few (id INTEGER PRIMARY KEY, g INTEGER NOT NULL, v INTEGER)")
    connection.execute("CREATE INDEX few_g ON few (g)")
    connection.executemany("INSERT INTO few VALUES (?, ?, ?)", [(i, i // 150, i % 5) for i in range(1, 401)])
    connection.executemany(
        "INSERT INTO a VALUES (?, ?, ?, ?)", [(i, i % 50, f"n{i % 90}", i) for i in range(1, PARENTS + 1)]
    )
    keys = (None, *range(1, PARENTS + 1))
    connection.executemany(
        "INSERT INTO b VALUES (?, ?, ?)",
        [(i, rng.choice(keys), rng.randint(1, 10**6)) for i in range(1, CHILDREN + 1)],
    )


@pytest.fixture
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    _load(connection)
    yield connection
    connection.close()


HASHED = [
    "UPDATE a SET v = (SELECT max(b.d) FROM b WHERE b.a_id = a.id)",
    "UPDATE a SET v = (SELECT b.d FROM b WHERE b.a_id = a.id ORDER BY b.d, b.id LIMIT 1), g = g + 1",
    "UPDATE a SET v = (SELECT count(*) FROM b WHERE b.a_id = a.id) + v RETURNING id, v",
    "UPDATE a SET n = (SELECT sum(b.d) FROM b WHERE b.a_id = a.id GROUP BY b.a_id) WHERE g <> 7",
    "UPDATE few SET v = (SELECT sum(b.d) FROM b WHERE b.a_id = few.id)",
    "UPDATE few SET v = (SELECT max(b.d) FROM b WHERE b.a_id = few.id) WHERE v <> 3",
    "UPDATE a SET id = id + 5000, v = (SELECT count(*) FROM b WHERE b.a_id = a.id)",
    "DELETE FROM a WHERE (SELECT count(*) FROM b WHERE b.a_id = a.id) > 1",
    "DELETE FROM b WHERE d < (SELECT max(o.d) FROM b o WHERE o.a_id = b.a_id) RETURNING id",
    "INSERT INTO b SELECT NULL, a.id, (SELECT count(*) FROM b WHERE b.a_id = a.id) FROM a",
]
FEW = [  # rows, as far as can be told: for them a whole table is not read
    "UPDATE few SET v = (SELECT sum(b.d) FROM b WHERE b.a_id = few.id) WHERE g = 3",
    "UPDATE few SET v = (SELECT b.d FROM b WHERE b.a_id = few.id) WHERE id IN (5, 6, 7)",
]
SEEKING = [  # each of these queries may see what was written for the row before
    "UPDATE b SET d = 1 RETURNING id, (SELECT sum(o.d) FROM b o WHERE o.a_id = b.a_id)",
    "DELETE FROM b RETURNING id, (SELECT count(*) FROM b o WHERE o.a_id = b.a_id)",
    "INSERT INTO b SELECT NULL, id, 5 FROM a WHERE true RETURNING id, (SELECT count(*) FROM b o WHERE o.a_id = b.a_id)",
    "INSERT INTO b SELECT id, a_id, 7 FROM b WHERE true ON CONFLICT (id)"
    " DO UPDATE SET d = (SELECT coalesce(sum(o.d), 0) FROM b o WHERE o.a_id = b.a_id)",
]


OF_ITSELF = "UPDATE b SET d = (SELECT sum(o.d) FROM b o WHERE o.a_id = b.a_id) WHERE a_id IS NOT NULL"


def _results(connection: Any, sql: str) -> list[list[tuple[Any, ...]]]:
    connection.execute("BEGIN")
    cursor = connection.execute(sql)
    found = [sorted(cursor.fetchall()) if cursor.description else []]
    found += [connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in ("a", "b", "few")]
    connection.execute("ROLLBACK")
    return found


def _plan(connection: zodbapi.Connection, sql: str) -> str:
    return "\n".join(plan(connection, sql))


@pytest.mark.parametrize("sql", HASHED)
def test_query_of_many_rows_is_made_for_all_before_the_first_is_written(
    connection: zodbapi.Connection, sql: str
) -> None:
    assert "HASH SEEK" in _plan(connection, sql)
    found = _results(connection, sql)
    with unoptimised():
        assert found == _results(connection, sql)
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    _load(oracle)
    assert found == _results(oracle, sql)
    oracle.close()


@pytest.mark.parametrize("sql", SEEKING)
def test_query_between_writes_sees_what_was_written(connection: zodbapi.Connection, sql: str) -> None:
    assert "HASH SEEK" not in _plan(connection, sql)
    found = _results(connection, sql)
    with unoptimised():
        assert found == _results(connection, sql)


@pytest.mark.parametrize("sql", FEW)
def test_few_rows_seek(connection: zodbapi.Connection, sql: str) -> None:
    assert "HASH SEEK" not in _plan(connection, sql)
    found = _results(connection, sql)
    with unoptimised():
        assert found == _results(connection, sql)


def test_update_from_the_table_itself_reads_it_as_it_was(connection: zodbapi.Connection) -> None:
    assert "HASH SEEK" in _plan(connection, OF_ITSELF)
    found = _results(connection, OF_ITSELF)
    before = connection.execute("SELECT id, a_id, d FROM b").fetchall()
    sums: dict[int, int] = {}
    for _, key, number in before:
        sums[key] = sums.get(key, 0) + number
    assert found[2] == [(id_, key, number if key is None else sums[key]) for id_, key, number in before]
    with unoptimised():
        assert found == _results(connection, OF_ITSELF)
