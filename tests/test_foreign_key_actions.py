"""What becomes of children when their parents go or change, against the sqlite3 module."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import zodbapi

ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
TABLES = ("p", "c", "d", "s")


def outcome(connection: Any, sql: str) -> object:
    """The number of rows changed, or which kind of error it was."""
    try:
        return connection.execute(sql).rowcount
    except (sqlite3.Error, zodbapi.Error) as error:
        return type(error).__name__


def content(connection: Any) -> dict[str, list[Any]]:
    return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in TABLES}


def schema(choose: random.Random) -> list[str]:
    """A parent with two keys, children by either, grandchildren, and a table that refers to itself."""

    def actions() -> str:
        deferred = choose.choice(("", "", " DEFERRABLE INITIALLY DEFERRED"))
        return f"ON DELETE {choose.choice(ACTIONS)} ON UPDATE {choose.choice(ACTIONS)}{deferred}"

    index = choose.choice(
        ("CREATE INDEX ci ON c (y)", "CREATE UNIQUE INDEX du ON d (x, z)", "CREATE INDEX cxy ON c (x, y)")
    )
    return [
        "CREATE TABLE p (a INTEGER PRIMARY KEY, b INT UNIQUE, UNIQUE (a, b))",
        f"CREATE TABLE c (x INT DEFAULT 1 REFERENCES p (a) {actions()}, y INT DEFAULT 0 UNIQUE,"
        f" FOREIGN KEY (x, y) REFERENCES p (a, b) {actions()})",
        f"CREATE TABLE d (x INT DEFAULT 2 REFERENCES c (y) {actions()}, z INT DEFAULT 1 REFERENCES p (b) {actions()})",
        f"CREATE TABLE s (k INTEGER PRIMARY KEY, u INT DEFAULT 1 REFERENCES s (k) {actions()})",
        index,
    ]


def statement(choose: random.Random) -> str:
    def number() -> str:
        return choose.choice(("0", "1", "2", "3", "NULL"))

    table, columns = choose.choice((("p", "ab"), ("c", "xy"), ("d", "xz"), ("s", "ku")))
    first, second = columns
    # not for the table that refers to itself: SQLite then lets orphans in
    replace = "INSERT OR REPLACE" if table != "s" else "INSERT OR IGNORE"
    where = f"{choose.choice(columns)} {choose.choice(('=', '>', '<'))} {number()}"
    return choose.choice(
        (
            f"INSERT INTO {table} VALUES ({number()}, {number()})",
            f"INSERT INTO {table} VALUES ({number()}, {number()})",
            f"{replace} INTO {table} VALUES ({number()}, {number()})",
            f"INSERT INTO {table} VALUES ({number()}, {number()}) ON CONFLICT DO UPDATE SET {second} = {number()}",
            f"DELETE FROM {table} WHERE {where}",
            f"UPDATE {table} SET {choose.choice(columns)} = {number()} WHERE {where}",
            f"UPDATE {table} SET {first} = {second}, {second} = {first} WHERE {where}",
        )
    )


@pytest.mark.parametrize("seed", range(20))
def test_actions_do_what_they_do_in_sqlite(seed: int) -> None:
    choose = random.Random(seed)
    oracle, engine = sqlite3.connect(":memory:", isolation_level=None), zodbapi.connect(":memory:", autocommit=True)
    oracle.execute("PRAGMA foreign_keys = ON")
    told = schema(choose)
    for sql in told:
        oracle.execute(sql)
        engine.execute(sql)
    for _ in range(60):
        sql = statement(choose)
        told.append(sql)
        assert outcome(engine, sql) == outcome(oracle, sql), ";\n".join(told)
        assert content(engine) == content(oracle), ";\n".join(told)
    assert engine.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_default_that_is_the_key_that_goes() -> None:
    engine = zodbapi.connect(":memory:", autocommit=True)
    engine.execute("CREATE TABLE p (b INT UNIQUE)")
    engine.execute("CREATE TABLE c (z INT DEFAULT 0 REFERENCES p (b) ON DELETE SET DEFAULT ON UPDATE SET DEFAULT)")
    engine.execute("INSERT INTO p VALUES (0), (1)")
    engine.execute("INSERT INTO c VALUES (0), (1)")
    for sql in ("DELETE FROM p WHERE b = 0", "UPDATE p SET b = 9 WHERE b = 0"):
        with pytest.raises(zodbapi.IntegrityError, match="FOREIGN KEY constraint failed"):
            engine.execute(sql)
    engine.execute("DELETE FROM p WHERE b = 1")
    assert engine.execute("SELECT z FROM c").fetchall() == [(0,), (0,)]
