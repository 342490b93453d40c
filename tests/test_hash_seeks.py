"""Correlated queries that run for many rows: a hash table in the place of scans and seeks, with the rows that those find."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import zodbapi
from tests.unoptimised import answer, answer_as_bound, plan

AUTHORS, BOOKS = 1050, 1200


@pytest.fixture(scope="module")
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, g INTEGER NOT NULL, n TEXT, v)")
    connection.execute(
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER NOT NULL, k INTEGER, d INTEGER NOT NULL, t TEXT)"
    )
    connection.execute("CREATE INDEX b_a ON b (a_id)")
    connection.execute("CREATE INDEX b_t ON b (t, d)")
    connection.execute("CREATE TABLE few (id INTEGER PRIMARY KEY, k INTEGER)")
    connection.executemany("INSERT INTO few VALUES (?, ?)", [(i, i % 3) for i in range(5)])
    rng = random.Random(1)
    authors = [(i, i % 50, f"n{i % 100}", rng.choice((i, f"{i}", None, i + 0.0))) for i in range(1, AUTHORS + 1)]
    connection.executemany("INSERT INTO a VALUES (?, ?, ?, ?)", authors)
    keys = (None, *range(1, AUTHORS))
    books = [
        (i, rng.randint(1, AUTHORS), rng.choice(keys), rng.randint(1, 10**6), f"n{rng.randint(1, 200)}")
        for i in range(1, BOOKS + 1)
    ]
    connection.executemany("INSERT INTO b VALUES (?, ?, ?, ?, ?)", books)
    yield connection
    connection.close()


HASHED = [
    "SELECT a.id, (SELECT count(*) FROM b WHERE b.a_id = a.id) FROM a",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.a_id = a.id ORDER BY b.d DESC, b.id LIMIT 1) FROM a",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.k = a.id ORDER BY b.d DESC, b.id LIMIT 1) FROM a",
    "SELECT a.id, (SELECT count(*) FROM b WHERE b.k = a.id AND b.d > 500000) FROM a WHERE a.id < 200",
    "SELECT a.id, (SELECT sum(d) FROM b WHERE b.k = a.id AND b.d > a.g * 1000) FROM a",
    "SELECT a.id FROM a WHERE (SELECT max(d) FROM b WHERE b.k = a.id AND b.a_id <> a.g) > 900000",
    "SELECT a.id, EXISTS (SELECT 1 FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, a.g IN (SELECT b.k FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT count(*) FROM b WHERE b.k = a.v) FROM a",
    "SELECT a.id, (SELECT min(b.d) FROM b WHERE b.k = a.id AND b.t = a.n) FROM a",
    "SELECT a.id, (SELECT max(b.d) FROM b JOIN few ON few.id = b.d % 5 WHERE b.k = a.id) FROM a WHERE a.id < 99",
    "SELECT a.id, (SELECT count(*) FROM b WHERE b.k = a.id"
    " AND EXISTS (SELECT 1 FROM few WHERE few.k = b.d % 7)) FROM a WHERE a.id < 99",
    "SELECT a.g, max((SELECT count(*) FROM b WHERE b.k = a.id)) FROM a GROUP BY a.g",
    "SELECT a.id FROM a ORDER BY (SELECT count(*) FROM b WHERE b.k = a.id), a.id LIMIT 50",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.t = a.n ORDER BY b.d DESC LIMIT 1) FROM a",
    "SELECT a.id, (SELECT b.t FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT b.id FROM b WHERE b.k = a.id ORDER BY b.t DESC, b.d DESC LIMIT 1) FROM a",
    "SELECT a.id, (SELECT b.id FROM b WHERE b.k = a.id ORDER BY b.t DESC, b.d LIMIT 1) FROM a",
    "SELECT a.id, (SELECT b.k * 10 + b.d FROM b WHERE b.a_id = a.id AND b.k > 5 ORDER BY b.k, b.d LIMIT 1) FROM a",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.k = a.id AND b.t = a.n AND b.d > 400000 ORDER BY b.d LIMIT 1) FROM a",
    "SELECT a.id, coalesce((SELECT sum(b.d) FROM b WHERE b.k = a.id GROUP BY b.k), -1) FROM a",
    "SELECT a.id, (SELECT count(*) * 2 + sum(b.d) + b.k FROM b WHERE b.k = a.id GROUP BY b.k) FROM a",
    "SELECT a.id, (SELECT coalesce(sum(b.d), 7) + count(b.t) FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT total(b.d) FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT group_concat(b.id) FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT count(DISTINCT b.t) FILTER (WHERE b.d > 1000) FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT max(b.d) - a.g FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT sum(b.d + a.g) FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, (SELECT sum(b.d) FROM b WHERE b.k = a.id GROUP BY b.t ORDER BY b.t LIMIT 1) FROM a",
    "SELECT a.id, (SELECT sum(b.d) FROM b WHERE b.k = a.id HAVING count(*) > 1) FROM a",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.k = a.id ORDER BY b.d LIMIT 1 OFFSET 1) FROM a",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.k = a.id ORDER BY abs(b.d - a.id), b.id LIMIT 1) FROM a",
    "SELECT a.id FROM a WHERE (SELECT count(*) FROM b WHERE b.k = a.v) = 0",
    "SELECT a.id, (SELECT max(b.d) FROM b WHERE b.k = a.id) IS NULL FROM a WHERE a.id NOT IN (5, 6)",
    "SELECT a.id, NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.id AND b.d > 500000) FROM a",
    "SELECT a.id, EXISTS (SELECT 1 FROM b WHERE b.k = a.id AND b.d > a.id * 1000) FROM a",
    "SELECT a.id, EXISTS (SELECT count(*) FROM b WHERE b.k = a.id) FROM a",
    "SELECT a.id, EXISTS (SELECT b.d FROM b WHERE b.k = a.id ORDER BY b.d LIMIT 1 OFFSET 1) FROM a",
]
SOUGHT = [
    "SELECT a.id, (SELECT b.d FROM b WHERE b.a_id = a.id ORDER BY b.d DESC LIMIT 1) FROM a WHERE a.id = 7",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.k = a.id ORDER BY b.d DESC LIMIT 1) FROM a WHERE a.id = 7",
    "SELECT a.id, (SELECT count(*) FROM b WHERE b.a_id = a.id) FROM a ORDER BY a.n, a.id LIMIT 10",
    "SELECT a.id FROM a WHERE (SELECT count(*) FROM b WHERE b.a_id = a.id) > 1 ORDER BY a.id LIMIT 10 OFFSET 5",
    "SELECT a.id, a.n, count(b.id) FROM a LEFT JOIN b ON b.a_id = a.id GROUP BY a.id",
    "SELECT a.id, (SELECT x.g FROM a x WHERE x.id = a.g) FROM a WHERE a.id < 300",
    "SELECT a.id, (SELECT b.d FROM b WHERE b.t = a.n ORDER BY b.d DESC LIMIT 1) FROM a WHERE a.id < 300",
    "SELECT a.id, (SELECT max(b.d) FROM b WHERE b.d < a.g) FROM a WHERE a.id < 20",
    "SELECT a.id, (SELECT b.d + random() * 0 FROM b WHERE b.k = a.id + random() * 0 LIMIT 1) FROM a WHERE a.id < 5",
    "SELECT a.id, (SELECT count(*) FROM b WHERE b.t COLLATE NOCASE = a.n) FROM a WHERE a.id < 20",
]


@pytest.mark.parametrize("sql", HASHED)
def test_a_hash_table_finds_the_same_rows(connection: zodbapi.Connection, sql: str) -> None:
    assert _is_hashed(connection, sql)
    assert answer(connection, sql) == answer_as_bound(connection, sql)


@pytest.mark.parametrize("sql", SOUGHT)
def test_seeks_and_scans_that_stay(connection: zodbapi.Connection, sql: str) -> None:
    assert not _is_hashed(connection, sql)
    if "random" not in sql:
        assert answer(connection, sql) == answer_as_bound(connection, sql)


@pytest.mark.parametrize(
    ("made", "query"),
    [
        ("FIRST OF EACH k#3 BY d#3 DESC", "SELECT b.t FROM b WHERE b.k = a.id ORDER BY b.d DESC LIMIT 1"),
        ("AGGREGATE sum(d#3) BY k#3", "SELECT sum(b.d) FROM b WHERE b.k = a.id"),
        ("AGGREGATE sum(d#3) BY k#3", "SELECT sum(b.d) FROM b WHERE b.k = a.id GROUP BY b.k"),
    ],
)
def test_what_is_looked_up_is_made_once_for_each_key(connection: zodbapi.Connection, made: str, query: str) -> None:
    assert made in plan(connection, f"SELECT a.id, ({query}) FROM a")


def test_the_table_is_made_anew_for_each_statement(connection: zodbapi.Connection) -> None:
    sql = "SELECT sum((SELECT count(*) FROM b WHERE b.k = a.id)) FROM a"
    ((before,),) = connection.execute(sql)
    connection.execute("INSERT INTO b VALUES (?, 1, 5, 1, 'x')", (BOOKS + 1,))
    assert connection.execute(sql).fetchall() == [(before + 1,)]
    connection.execute("DELETE FROM b WHERE id = ?", (BOOKS + 1,))
    assert connection.execute(sql).fetchall() == [(before,)]


def test_what_writes_sees_what_it_wrote(connection: zodbapi.Connection) -> None:
    sql = "UPDATE a SET g = 1 WHERE id < 300 RETURNING (SELECT count(*) FROM a x WHERE x.n = a.n AND x.g > 0)"
    assert not _is_hashed(connection, sql)


def _is_hashed(connection: zodbapi.Connection, sql: str) -> bool:
    return any(line.startswith("HASH SEEK") for line in plan(connection, sql))
