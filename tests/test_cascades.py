"""Deleting many parents with all that depends on them leaves what doing it row by row leaves, and what sqlite3 leaves."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi
from zodbapi.codegen import cascades

TABLES = ("author", "book", "loan", "note", "mark", "tree", "part")
DEFERRED = "DEFERRABLE INITIALLY DEFERRED"


def schema(choose: random.Random) -> list[str]:
    """Children in all ways, some of which are drawn, and children of children."""

    def drawn(*actions: str) -> str:
        return f"ON DELETE {choose.choice(actions)} {choose.choice(('', DEFERRED))}"

    unique = choose.choice(("", "UNIQUE"))
    not_null = choose.choice(("", "", "NOT NULL"))
    return [
        "CREATE TABLE author (id INTEGER PRIMARY KEY, code TEXT UNIQUE, country TEXT)",
        "CREATE TABLE book (id INTEGER PRIMARY KEY AUTOINCREMENT, author_id INTEGER NOT NULL REFERENCES author"
        f" ON DELETE CASCADE, code TEXT REFERENCES author (code) {drawn('SET NULL', 'CASCADE', 'NO ACTION')},"
        " title TEXT UNIQUE, UNIQUE (id, author_id))",
        "CREATE INDEX book_author ON book (author_id, title)",
        f"CREATE TABLE loan (id INTEGER PRIMARY KEY, book_id INTEGER, author_id INTEGER, n INTEGER {unique},"
        " twice INTEGER GENERATED ALWAYS AS (book_id * 2),"
        f" FOREIGN KEY (book_id, author_id) REFERENCES book (id, author_id) {drawn('CASCADE', 'SET NULL', 'SET DEFAULT')})",
        "CREATE INDEX loan_book ON loan (book_id, author_id, n)",
        f"CREATE TABLE note (id INTEGER PRIMARY KEY, author_id INTEGER {not_null} REFERENCES author"
        f" {drawn('SET NULL', 'SET NULL', 'CASCADE')}, n INTEGER, CHECK (author_id IS NOT NULL OR n <> 3))",
        "CREATE INDEX note_author ON note (author_id)",
        "CREATE UNIQUE INDEX note_n ON note (n) WHERE author_id IS NULL AND n > 500",
        f"CREATE TABLE mark (id INTEGER PRIMARY KEY, book_id INTEGER REFERENCES book {drawn('RESTRICT', 'NO ACTION')})",
        f"CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree {drawn('CASCADE', 'SET NULL', 'RESTRICT')})",
        "CREATE INDEX tree_up ON tree (up)",
        "CREATE TABLE part (id INTEGER PRIMARY KEY, note_id INTEGER REFERENCES note ON DELETE CASCADE, up INTEGER"
        " REFERENCES part ON DELETE CASCADE)",
        "CREATE INDEX part_note ON part (note_id)",
    ]


def rows(choose: random.Random, table: str) -> list[tuple[Any, ...]]:
    """Rows that have parents."""
    numbers = range(1, 61)
    some = choose.choice((0, 1, 6))
    match table:
        case "author":
            return [(i, choose.choice((f"c{i}", f"c{i}", None)), choose.choice("xyz")) for i in numbers]
        case "loan":
            return [(i, i, 1 + i * 7 % 60, i) for i in numbers]
        case "note":
            return [(i, 1 + i * 11 % 60, choose.choice((i, 1, 3 if some else 1, 501 + i % 50))) for i in numbers]
        case "mark":
            return [(i, choose.choice(numbers)) for i in range(some)]
        case "tree":
            return [(i, choose.choice((None, i // 3, i // 2)) or None) for i in numbers]
        case _:
            return [(i, choose.choice((None, *numbers)), choose.choice((None, i // 2)) or None) for i in numbers]


def load(connection: Any, seed: int) -> None:
    choose = random.Random(seed)
    for sql in schema(choose):
        connection.execute(sql)
    for table in TABLES:
        if table == "book":
            connection.execute(
                "INSERT INTO book SELECT id, 1 + id * 7 % 60, code, 'the ' || id FROM author ORDER BY id"
            )
            continue
        found = rows(choose, table)
        columns = {"loan": " (id, book_id, author_id, n)"}.get(table, "")
        marks = ", ".join("?" * len(found[0])) if found else "1, 1"
        connection.executemany(f"INSERT INTO {table}{columns} VALUES ({marks})", found)


def statement(choose: random.Random) -> str:
    low = choose.randint(-5, 60)
    where = choose.choice(
        (f"id BETWEEN {low} AND {low + choose.randint(0, 30)}", f"id % {choose.randint(1, 5)} = 1", f"id = {low}")
    )
    table = choose.choice(("author", "author", "author", "book", "tree", "note", "part"))
    return f"DELETE FROM {table} WHERE {where}{choose.choice(('', ' RETURNING *'))}"


def play(connection: Any, seed: int, error: type[Exception]) -> list[Any]:
    """What can be seen of some deletions."""
    choose = random.Random(seed)
    outcome: list[Any] = []
    for _ in range(5):
        sql = statement(choose)
        connection.execute("BEGIN")
        try:
            cursor = connection.execute(sql)
            found = sorted(cursor.fetchall()) if "RETURNING" in sql else cursor.rowcount
            outcome += [sql, found, connection.execute("SELECT changes()").fetchone()]
            outcome += [connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in TABLES]
            connection.execute("COMMIT")
        except error as failure:
            outcome += [sql, str(failure)]
            connection.execute("ROLLBACK")
    return outcome


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether rows are deleted one by one."""
    wanted: list[bool] = []
    find_all = cascades._find_all

    def decline(*args: Any) -> Any:
        if wanted:
            raise cascades._Declined
        return find_all(*args)

    monkeypatch.setattr(cascades, "_find_all", decline)
    return iter([wanted])


@pytest.mark.parametrize("seed", range(60))
def test_deleted_at_once_and_one_by_one(seed: int, one_by_one: Iterator[list[bool]]) -> None:
    wanted = next(one_by_one)
    fast, slow = (zodbapi.connect(":memory:", autocommit=True) for _ in range(2))
    load(fast, seed)
    load(slow, seed)
    found = play(fast, seed, zodbapi.IntegrityError)
    wanted.append(True)
    assert found == play(slow, seed, zodbapi.IntegrityError)
    for side in (fast, slow):
        assert side.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    oracle.execute("PRAGMA foreign_keys = ON")
    load(oracle, seed)
    expected = play(oracle, seed, sqlite3.IntegrityError)
    assert [_kind(item) for item in found] == [_kind(item) for item in expected]


def _kind(item: Any) -> Any:
    """Of an error what failed: which of several constraints is found first is not defined."""
    return "failed" if isinstance(item, str) and " constraint failed" in item else item


SIMPLE = """
    CREATE TABLE a (id INTEGER PRIMARY KEY, k INTEGER);
    CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a ON DELETE CASCADE);
    CREATE INDEX b_a ON b (a_id);
    CREATE TABLE c (id INTEGER PRIMARY KEY, b_id INTEGER REFERENCES b ON DELETE SET NULL);
    CREATE INDEX c_b ON c (b_id);
"""


@pytest.fixture
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.executescript(SIMPLE)
    connection.executemany("INSERT INTO a VALUES (?, ?)", [(i, i % 3) for i in range(300)])
    connection.executemany("INSERT INTO b VALUES (?, ?)", [(i, i // 2) for i in range(600)])
    connection.executemany("INSERT INTO c VALUES (?, ?)", [(i, i // 2) for i in range(1200)])
    yield connection
    connection.close()


def test_each_table_is_changed_once(connection: zodbapi.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    cursor = connection.execute("DELETE FROM a WHERE k = 1")
    assert cursor.rowcount == 100
    assert len(connection._txn.undo) == 1 + 2 + 3  # rows; rows and entries; rows, and entries that go and come
    assert connection.execute("SELECT count(*), count(b_id) FROM c").fetchone() == (1200, 800)
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*), count(b_id) FROM c").fetchone() == (1200, 1200)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("event", ["DELETE", "UPDATE"])
def test_triggers_of_children_fire(connection: zodbapi.Connection, event: str) -> None:
    table = "b" if event == "DELETE" else "c"
    connection.execute("CREATE TABLE log (id INTEGER)")
    connection.execute(f"CREATE TRIGGER t AFTER {event} ON {table} BEGIN INSERT INTO log VALUES (OLD.id); END")
    connection.execute("DELETE FROM a WHERE id < 50")
    assert connection.execute("SELECT count(*) FROM log").fetchone() == (100 if event == "DELETE" else 200,)


def test_foreign_keys_off(connection: zodbapi.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    assert connection.execute("DELETE FROM a WHERE id < 50").rowcount == 50
    assert connection.execute("SELECT count(*) FROM b").fetchone() == (600,)
