"""Rolling back in memory: afterwards every object is what its record in the storage is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import zodbapi
from zodbapi.storage.leaves import find_leaf

SCHEMA = """
    CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER, b TEXT UNIQUE);
    CREATE INDEX t_a ON t (a);
    CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t ON DELETE CASCADE);
"""


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    made = zodbapi.connect(str(tmp_path / "db.fs"), autocommit=True)
    made.executescript(SCHEMA)
    made.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(i % 7, f"b{i}") for i in range(500)])
    made.executemany("INSERT INTO child (t_id) VALUES (?)", [(i,) for i in range(1, 500, 3)])
    yield made
    made.close()


def content(connection: Any) -> list[Any]:
    return [
        connection.execute(query).fetchall()
        for query in (
            "SELECT * FROM t",
            "SELECT a, id FROM t ORDER BY a, id",
            "SELECT b FROM t ORDER BY b",
            "SELECT * FROM child",
        )
    ]


WRITES = (
    "UPDATE t SET a = a + 1 WHERE id = {n}",
    "UPDATE t SET b = b || 'x' WHERE id = {n}",
    "INSERT INTO t (a, b) VALUES ({n}, 'new{n}')",
    "DELETE FROM t WHERE id = {n}",
    "UPDATE t SET a = 3 WHERE a = 2",
    "DELETE FROM t WHERE id BETWEEN {n} AND {n} + 80",
    "CREATE INDEX t_ab ON t (a, b)",
)


def test_random_transactions(connection: Any, tmp_path: Path) -> None:
    rng = random.Random(5)
    for number in range(120):
        before = content(connection)
        connection.begin()
        try:
            for _ in range(rng.choice((1, 1, 2, 5, 60))):
                write = rng.choice(WRITES[: 4 if number % 3 else None])
                connection.execute(write.format(n=rng.randint(1, 520)))
        except zodbapi.Error:
            pass
        if number % 4 == 3:
            connection.commit()
        else:
            connection.rollback()
            assert content(connection) == before
        if number % 10 == 0:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    expected = content(connection)
    connection.close()
    again = zodbapi.connect(str(tmp_path / "db.fs"))
    assert content(again) == expected
    assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    again.close()


def leaf_of(connection: Any, rowid: int) -> Any:
    txn = connection._txn
    connection.begin()
    leaf = find_leaf(txn.rows(txn.schema.table("t").id), rowid)
    connection.rollback()
    return leaf


def test_leaves_need_not_be_read_again(connection: Any) -> None:
    leaf = leaf_of(connection, 250)
    connection.begin()
    connection.execute("UPDATE t SET a = 9 WHERE id = 250")
    assert leaf._p_changed
    connection.rollback()
    assert leaf._p_changed is False
    assert leaf[250][1] == 249 % 7


def test_leaves_that_were_split_are_read_again(connection: Any) -> None:
    leaf = leaf_of(connection, 500)
    connection.begin()
    connection.executemany("INSERT INTO t (a) VALUES (?)", [(i,) for i in range(200)])
    assert leaf._p_changed
    connection.rollback()
    assert leaf._p_changed is None
    assert connection.execute("SELECT max(id) FROM t").fetchall() == [(500,)]


def test_another_connection_sees_nothing_of_it(connection: Any, tmp_path: Path) -> None:
    other = zodbapi.connect(str(tmp_path / "db.fs"), autocommit=True)
    for number in range(3):
        connection.begin()
        connection.execute("UPDATE t SET a = -1 WHERE id = 7")
        connection.rollback()
        other.execute("UPDATE t SET a = ? WHERE id = 7", [number])
        assert connection.execute("SELECT a FROM t WHERE id = 7").fetchall() == [(number,)]
    other.close()


def test_serializable_transactions(connection: Any) -> None:
    connection.isolation_level = "SERIALIZABLE"
    before = content(connection)
    connection.begin()
    connection.execute("UPDATE t SET a = 5 WHERE id BETWEEN 3 AND 30")
    connection.execute("UPDATE child SET t_id = 4 WHERE id < 3")
    connection.rollback()
    assert content(connection) == before
    connection.begin()
    connection.execute("UPDATE t SET a = 5 WHERE id BETWEEN 3 AND 30")
    connection.commit()
    assert connection.execute("SELECT count(*) FROM t WHERE a = 5 AND id BETWEEN 3 AND 30").fetchall() == [(28,)]
