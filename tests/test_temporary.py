"""TEMP tables, views and triggers: they belong to one connection, and behave as SQLite's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transaction

import zodbapi

SCRIPTS = {
    "table": """
        CREATE TABLE kept (a INTEGER PRIMARY KEY, b TEXT);
        INSERT INTO kept VALUES (1, 'one'), (2, 'two');
        CREATE TEMP TABLE chosen (a INTEGER PRIMARY KEY, c REAL DEFAULT 1.5, UNIQUE (c));
        INSERT INTO chosen (a) VALUES (2);
        INSERT INTO chosen VALUES (3, 1.5);
        SELECT * FROM chosen;
        SELECT b, c FROM kept JOIN chosen USING (a);
        CREATE INDEX chosen_c ON chosen (c, a);
        SELECT a FROM chosen WHERE c = 1.5;
        UPDATE chosen SET c = c + 1 RETURNING *;
        SELECT type, name, tbl_name FROM sqlite_temp_master ORDER BY name;
        SELECT type, name, tbl_name FROM sqlite_master;
        SELECT schema, name FROM pragma_table_list WHERE name IN ('kept', 'chosen') ORDER BY 2;
        ALTER TABLE chosen ADD COLUMN d;
        ALTER TABLE chosen RENAME TO taken;
        SELECT * FROM temp.taken;
        SELECT * FROM main.taken;
        DROP TABLE taken;
        SELECT * FROM taken;
        SELECT name FROM sqlite_temp_master;
        """,
    "as select": """
        CREATE TABLE t (a, b);
        INSERT INTO t VALUES (1, 2), (3, 4);
        CREATE TEMPORARY TABLE u AS SELECT a + b AS s FROM t;
        CREATE TABLE temp.v AS SELECT s * 2 AS s FROM u;
        CREATE TEMP TABLE IF NOT EXISTS u (x);
        SELECT * FROM u, v;
        """,
    "hiding": """
        CREATE TABLE t (a INTEGER);
        CREATE INDEX t_a ON t (a);
        INSERT INTO t VALUES (1);
        CREATE TEMP TABLE t (b INTEGER);
        INSERT INTO t VALUES (2);
        SELECT * FROM t;
        CREATE TEMP TABLE later (d);
        CREATE TABLE later AS SELECT * FROM t;
        INSERT INTO later VALUES (3);
        DROP TABLE later;
        SELECT * FROM later;
        CREATE TABLE other (c);
        DROP TABLE t;
        SELECT * FROM t WHERE a = 1;
        CREATE TEMP VIEW t AS SELECT 5;
        SELECT * FROM t;
        DROP VIEW t;
        SELECT * FROM t;
        DROP TABLE t;
        SELECT * FROM t;
        """,
    "view": """
        CREATE TABLE t (a);
        INSERT INTO t VALUES (1), (2);
        CREATE TEMP VIEW v AS SELECT a FROM t WHERE a > 1;
        CREATE TEMP VIEW v AS SELECT 1;
        SELECT * FROM v;
        SELECT name FROM sqlite_master ORDER BY 1;
        DROP VIEW v;
        DROP VIEW v;
        """,
    "trigger": """
        CREATE TABLE t (a);
        CREATE TEMP TABLE log (a);
        CREATE TEMP TRIGGER note AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END;
        INSERT INTO t VALUES (1), (2);
        SELECT * FROM log;
        SELECT type, name FROM sqlite_temp_master ORDER BY 2;
        SELECT name FROM sqlite_master;
        DROP TRIGGER note;
        INSERT INTO t VALUES (3);
        SELECT count(*) FROM log;
        """,
    "transactions": """
        CREATE TEMP TABLE t (a INTEGER UNIQUE);
        INSERT INTO t VALUES (1);
        BEGIN;
        INSERT INTO t VALUES (2);
        UPDATE t SET a = 10 WHERE a = 1;
        CREATE TEMP TABLE u (b);
        CREATE TEMP VIEW v AS SELECT 1;
        ROLLBACK;
        SELECT * FROM t;
        SELECT * FROM u;
        SELECT * FROM v;
        BEGIN;
        DELETE FROM t;
        DROP TABLE t;
        ROLLBACK;
        SELECT * FROM t WHERE a = 1;
        BEGIN;
        INSERT INTO t VALUES (3);
        SAVEPOINT s;
        INSERT INTO t VALUES (4);
        CREATE TEMP TABLE u (b);
        ROLLBACK TO s;
        COMMIT;
        SELECT * FROM t;
        SELECT * FROM u;
        INSERT INTO t VALUES (5), (3);
        SELECT * FROM t;
        """,
    "autoincrement": """
        CREATE TEMP TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b);
        INSERT INTO t (b) VALUES (1), (2);
        DELETE FROM t;
        INSERT INTO t (b) VALUES (3);
        SELECT * FROM t;
        """,
    "what the database has does not see it": """
        CREATE TABLE t (a);
        INSERT INTO t VALUES (1);
        CREATE TABLE log (a);
        CREATE VIEW v AS SELECT a FROM t;
        CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log SELECT count(*) FROM t; END;
        CREATE TEMP TABLE t (b);
        CREATE TEMP TABLE u (c);
        CREATE VIEW w AS SELECT c FROM u;
        SELECT * FROM v;
        SELECT * FROM w;
        INSERT INTO t VALUES (7), (8);
        SELECT * FROM log;
        INSERT INTO main.t VALUES (2);
        UPDATE main.t SET a = a + 1;
        SELECT * FROM log;
        SELECT main.t.a, temp.t.b FROM main.t, temp.t;
        DELETE FROM main.t WHERE a = 2;
        SELECT * FROM main.t;
        DROP TABLE t;
        INSERT INTO t VALUES (4);
        SELECT * FROM log;
        """,
    "refused": """
        CREATE TEMP INDEX i ON t (a);
        CREATE TEMP TABLE t (a);
        CREATE TEMP TABLE t (a);
        CREATE TEMP TABLE sqlite_t (a);
        INSERT INTO main.t VALUES (1);
        """,
}


def answers(connection: Any, script: str) -> list[Any]:
    """The rows of each statement, or that it failed."""
    found: list[Any] = []
    for sql in (line.strip() for line in script.strip().splitlines()):
        try:
            cursor = connection.execute(sql)
            found.append((sql, cursor.fetchall() if cursor.description else []))
        except (sqlite3.Error, zodbapi.Error):
            found.append((sql, "error"))
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_in_sqlite(name: str) -> None:
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    engine = zodbapi.connect(":memory:", autocommit=True)
    assert answers(engine, SCRIPTS[name]) == answers(oracle, SCRIPTS[name])
    assert engine.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    oracle.close()
    engine.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[zodbapi.Connection, zodbapi.Connection]]:
    first, second = (zodbapi.connect(tmp_path / "a.fs", autocommit=True) for _ in range(2))
    first.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
    first.execute("INSERT INTO t VALUES (1, 'kept')")
    yield first, second
    first.close()
    second.close()


def test_no_other_connection_sees_it(two: tuple[zodbapi.Connection, zodbapi.Connection], tmp_path: Path) -> None:
    first, second = two
    first.execute("CREATE TEMP TABLE u (a, b, c)")
    first.execute("CREATE TEMP TABLE t (z)")
    second.execute("CREATE TEMP TABLE u (x)")
    second.execute("INSERT INTO u VALUES (1)")
    second.execute("CREATE TABLE later (a)")
    assert second.execute("SELECT * FROM t").fetchall() == [(1, "kept")]
    assert first.execute("SELECT * FROM t").fetchall() == []
    assert first.execute("SELECT * FROM u").fetchall() == []
    assert first.execute("SELECT * FROM later").fetchall() == []
    first.execute("INSERT INTO later VALUES (1)")
    first.execute("CREATE TABLE last (a)")
    assert "CREATE TABLE u" not in "".join(first.iterdump())
    first.close()
    second.close()
    with zodbapi.connect(tmp_path / "a.fs") as again:
        names = [name for (name,) in again.execute("SELECT name FROM sqlite_master ORDER BY 1")]
    again.close()
    assert names == ["last", "later", "t"]


def test_another_connection_changes_the_schema(two: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = two
    first.execute("CREATE TEMP TABLE mine (a)")
    first.execute("INSERT INTO mine VALUES (7)")
    second.execute("ALTER TABLE t ADD COLUMN c DEFAULT 5")
    assert first.execute("SELECT t.*, mine.a FROM t, mine").fetchall() == [(1, "kept", 5, 7)]
    second.execute("CREATE TABLE mine (other)")
    assert first.execute("SELECT a FROM mine").fetchall() == [(7,)]
    first.execute("DROP TABLE mine")
    assert [item[0] for item in first.execute("SELECT * FROM mine").description or ()] == ["other"]


def test_backup_leaves_it_out(two: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, _ = two
    first.execute("CREATE TEMP TABLE u (a)")
    target = zodbapi.connect(":memory:")
    first.backup(target)
    assert target.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    assert target.execute("SELECT name FROM sqlite_temp_master").fetchall() == []
    target.close()


def test_in_a_transaction_that_others_manage() -> None:
    manager = transaction.TransactionManager(explicit=True)
    connection = zodbapi.connect(":memory:", transaction_manager=manager)
    with manager:
        connection.execute("CREATE TEMP TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
    manager.begin()
    connection.execute("INSERT INTO t VALUES (2)")
    manager.abort()
    with manager:
        assert connection.execute("SELECT * FROM t").fetchall() == [(1,)]
    connection.close()
