"""IN (SELECT ...) that many rows are tested for: as a join it gives the same rows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import zodbapi
from tests.unoptimised import answer, answer_as_bound, plan


@pytest.fixture(scope="module")
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, g INTEGER, t TEXT, n INTEGER NOT NULL)")
    connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, k INTEGER, d INTEGER NOT NULL, t TEXT COLLATE NOCASE)")
    rng = random.Random(6)
    rows = [(i, rng.choice((None, i % 90)), rng.choice(("x1", "X1", "x2", None)), i % 70) for i in range(1500)]
    connection.executemany("INSERT INTO a VALUES (?, ?, ?, ?)", rows)
    books = [(i, rng.choice((None, rng.randint(0, 99))), rng.randint(0, 60), f"x{i % 9}") for i in range(300)]
    connection.executemany("INSERT INTO b VALUES (?, ?, ?, ?)", books)
    yield connection
    connection.close()


JOINED = [
    "SELECT id FROM a WHERE g IN (SELECT k FROM b)",
    "SELECT count(*) FROM a WHERE g IN (SELECT d FROM b WHERE t = 'X3') AND n > 5",
    "SELECT id FROM a WHERE n NOT IN (SELECT d FROM b WHERE k > 50)",
    "SELECT id FROM a WHERE n NOT IN (SELECT d FROM b WHERE k > 1000)",
    "SELECT id FROM a WHERE (g, n) IN (SELECT k, d FROM b)",
    "SELECT id FROM a WHERE t IN (SELECT t FROM b)",
    "SELECT id FROM a WHERE g IN (SELECT b.k FROM b JOIN a c ON c.id = b.d WHERE c.n < 40)",
    "SELECT g, count(*) FROM a WHERE n IN (SELECT DISTINCT d FROM b ORDER BY d) GROUP BY g",
    "SELECT x.id FROM a x LEFT JOIN b ON b.id = x.n WHERE x.g IN (SELECT k FROM b) AND b.t IS NOT NULL",
]
KEPT = [
    "SELECT id FROM a WHERE g NOT IN (SELECT k FROM b)",
    "SELECT id FROM a WHERE n NOT IN (SELECT k FROM b WHERE k IS NOT NULL)",
    "SELECT id FROM a WHERE id < 20 AND g IN (SELECT k FROM b)",
    "SELECT id FROM a WHERE g IN (SELECT k FROM b LIMIT 5)",
    "SELECT id FROM a WHERE g IN (SELECT max(k) FROM b GROUP BY d)",
    "SELECT id FROM a WHERE g IN (SELECT k FROM b) OR n = 5",
    "SELECT id, (SELECT count(*) FROM a c WHERE c.n = b.d AND c.g IN (SELECT k FROM b)) FROM b WHERE id < 5",
]


@pytest.mark.parametrize("sql", JOINED)
def test_as_a_join(connection: zodbapi.Connection, sql: str) -> None:
    assert _is_joined(connection, sql)
    assert answer(connection, sql) == answer_as_bound(connection, sql)


@pytest.mark.parametrize("sql", KEPT)
def test_as_an_expression(connection: zodbapi.Connection, sql: str) -> None:
    assert not _is_joined(connection, sql)
    assert answer(connection, sql) == answer_as_bound(connection, sql)


def test_what_is_written_is_the_same(connection: zodbapi.Connection) -> None:
    connection.execute("BEGIN")
    sql = "a WHERE n IN (SELECT d FROM b WHERE k > 50)"
    ((found,),) = connection.execute(f"SELECT count(*) FROM {sql}")
    assert connection.execute(f"DELETE FROM {sql}").rowcount == found > 0
    connection.execute("ROLLBACK")


def _is_joined(connection: zodbapi.Connection, sql: str) -> bool:
    return any("SEMI JOIN" in line or "ANTI JOIN" in line for line in plan(connection, sql))
