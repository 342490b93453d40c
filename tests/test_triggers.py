"""Triggers: the same statements on sqlite3 and on this engine; what is stored, dumped, copied and renamed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import zodbapi

SCHEMA = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT, before, after);
CREATE VIEW cheap AS SELECT id, name FROM item WHERE price < 10;
INSERT INTO item VALUES (1, 'a', 1.5), (2, 'b', 20), (3, 'c', 3);
"""


def outcomes(*statements: str) -> list[Any]:
    """What sqlite3 and this engine answer, which must be the same; the last answer."""
    connections = (sqlite3.connect(":memory:", isolation_level=None), zodbapi.connect(":memory:", autocommit=True))
    answers: list[list[Any]] = [[], []]
    for connection, found in zip(connections, answers, strict=True):
        connection.executescript(SCHEMA)
        for sql in (*statements, "SELECT * FROM item ORDER BY id", "SELECT what, before, after FROM log ORDER BY id"):
            try:
                cursor = connection.execute(sql)
                found.append(cursor.fetchall() if cursor.description else cursor.rowcount)
            except (sqlite3.Error, zodbapi.Error) as error:
                found.append((type(error).__name__, str(error)))
        connection.close()
    assert answers[0] == answers[1]
    return answers[1]


@pytest.mark.parametrize(
    "trigger",
    [
        "AFTER INSERT ON item BEGIN INSERT INTO log (what, after) VALUES ('insert', new.name); END",
        "BEFORE INSERT ON item WHEN new.price > 50 BEGIN SELECT RAISE(ABORT, 'too dear'); END",
        "BEFORE INSERT ON item BEGIN SELECT CASE WHEN new.price > 50 THEN RAISE(IGNORE) END; END",
        "AFTER UPDATE OF price ON item BEGIN INSERT INTO log (what, before, after) VALUES ('price', old.price, new.price); END",
        "BEFORE UPDATE ON item WHEN old.id = 2 BEGIN SELECT RAISE(FAIL, 'not this one'); END",
        "UPDATE ON item WHEN old.id = 2 BEGIN SELECT RAISE(IGNORE); END",
        "AFTER DELETE ON item FOR EACH ROW BEGIN INSERT INTO log (what, before) SELECT 'gone', count(*) FROM item; END",
        "BEFORE DELETE ON item BEGIN DELETE FROM item WHERE id = old.id + 1; END",
        "AFTER INSERT ON item BEGIN UPDATE item SET price = price * 2 WHERE id = new.id; SELECT 1; END",
        "AFTER INSERT ON item BEGIN INSERT INTO item (name) VALUES ('again'); END",
        "INSTEAD OF INSERT ON cheap BEGIN INSERT INTO item VALUES (new.id, new.name, 0.5); END",
        "INSTEAD OF UPDATE ON cheap BEGIN UPDATE item SET name = old.name || new.name WHERE id = new.id; END",
        "INSTEAD OF DELETE ON cheap BEGIN DELETE FROM item WHERE id = old.id; END",
        "INSTEAD OF DELETE ON item BEGIN SELECT 1; END",
        "AFTER DELETE ON cheap BEGIN SELECT 1; END",
        "AFTER DELETE ON missing BEGIN SELECT 1; END",
    ],
)
def test_fires_as_in_sqlite(trigger: str) -> None:
    outcomes(
        f"CREATE TRIGGER watch {trigger}",
        "INSERT INTO item (name, price) VALUES ('d', 60), ('e', 5)",
        "SELECT last_insert_rowid()",
        "UPDATE item SET name = name || '!'",
        "UPDATE item SET price = price + 1 WHERE id < 4",
        "INSERT OR REPLACE INTO item VALUES (1, 'z', 2)",
        "INSERT INTO item VALUES (1, 'y', 2) ON CONFLICT (id) DO UPDATE SET price = excluded.price + 5",
        "INSERT INTO cheap VALUES (40, 'view'), (41, 'view')",
        "UPDATE cheap SET name = 'q' WHERE id > 2",
        "DELETE FROM cheap WHERE id = 3",
        "DELETE FROM item WHERE id <> 40",
        "DROP TRIGGER IF EXISTS watch",
        "DELETE FROM item",
    )


def test_names_of_triggers_are_checked() -> None:
    found = outcomes(
        "CREATE TRIGGER a DELETE ON item BEGIN SELECT 1; END",
        "CREATE TRIGGER A DELETE ON item BEGIN SELECT 1; END",
        "CREATE TRIGGER IF NOT EXISTS a DELETE ON item BEGIN SELECT 1; END",
        "DROP TRIGGER a",
        "DROP TRIGGER a",
    )
    assert found[1] == ("OperationalError", "trigger A already exists")
    assert found[4] == ("OperationalError", "no such trigger: a")


def test_they_are_stored_dumped_renamed_and_dropped(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.fs")
    with zodbapi.connect(path) as connection:
        connection.executescript(SCHEMA)
        connection.execute(
            "CREATE TRIGGER watch AFTER DELETE ON item BEGIN INSERT INTO log (what) VALUES ('gone'); END"
        )
    connection.close()
    connection = zodbapi.connect(path, autocommit=True)
    connection.execute("DELETE FROM item WHERE id = 1")
    assert connection.execute("SELECT count(*) FROM log").fetchone() == (1,)
    copy = zodbapi.connect(":memory:", autocommit=True)
    copy.executescript("\n".join(connection.iterdump()))
    copy.execute("ALTER TABLE log RENAME TO journal")
    copy.execute("DELETE FROM item")
    assert copy.execute("SELECT count(*) FROM journal").fetchone() == (3,)
    query = "SELECT type, name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    assert copy.execute(query).fetchall() == [("trigger", "watch", "item")]
    copy.execute("DROP TABLE item")
    assert copy.execute(query).fetchall() == []
    copy.close()
    connection.close()


@pytest.mark.parametrize("action", ["FAIL", "ROLLBACK", "ABORT", "IGNORE", "REPLACE"])
@pytest.mark.parametrize("sql", ["INSERT OR {} INTO t VALUES (1), (2), (3)", "UPDATE OR {} t SET a = 2"])
def test_conflict_resolutions(action: str, sql: str) -> None:
    answers = []
    for connect in (
        lambda: sqlite3.connect(":memory:", isolation_level=None),
        lambda: zodbapi.connect(":memory:", autocommit=True),
    ):
        connection: Any = connect()
        connection.executescript("CREATE TABLE t (a INTEGER UNIQUE); INSERT INTO t VALUES (2), (9);")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (100)")
        try:
            connection.execute(sql.format(action))
        except (sqlite3.IntegrityError, zodbapi.IntegrityError) as error:
            answers.append(str(error))
        answers.append((connection.in_transaction, connection.execute("SELECT a FROM t ORDER BY a").fetchall()))
        connection.close()
    assert answers[: len(answers) // 2] == answers[len(answers) // 2 :]


SCRIPTS = {
    "before triggers fire for a row that is ignored": """
        CREATE TABLE t (a INTEGER PRIMARY KEY, b);
        CREATE TABLE log (a);
        CREATE TRIGGER r BEFORE INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END;
        CREATE TRIGGER s AFTER INSERT ON t BEGIN INSERT INTO log VALUES (-new.a); END;
        INSERT INTO t VALUES (1, 1);
        INSERT OR IGNORE INTO t VALUES (1, 2), (2, 2);
        INSERT OR REPLACE INTO t VALUES (1, 3);
        INSERT INTO t VALUES (1, 4), (3, 4) ON CONFLICT DO UPDATE SET b = 5;
        SELECT * FROM log;
        SELECT * FROM t;
        """,
    "a renamed column": """
        CREATE TABLE t (a INTEGER, b);
        CREATE TABLE log (a, c);
        CREATE TRIGGER r AFTER UPDATE OF a ON t WHEN new.a > old.a
            BEGIN INSERT INTO log VALUES (new.a, (SELECT max(a) FROM t)); UPDATE t SET b = a WHERE t.a = old.a; END;
        CREATE TRIGGER s AFTER INSERT ON log BEGIN UPDATE t SET a = a + 1 WHERE a = new.a - 1; END;
        INSERT INTO t VALUES (1, 1), (2, 2);
        ALTER TABLE t RENAME COLUMN a TO z;
        UPDATE t SET z = 5 WHERE z = 2;
        SELECT * FROM t;
        SELECT * FROM log;
        """,
    "names that are not there are an error of the statement": """
        CREATE TABLE t (a INTEGER, b);
        CREATE TRIGGER r AFTER DELETE ON t BEGIN INSERT INTO nowhere VALUES (1); END;
        CREATE TRIGGER s AFTER UPDATE OF b ON t BEGIN SELECT new.z; END;
        DELETE FROM t;
        INSERT INTO t VALUES (1, 1);
        UPDATE t SET b = 1 WHERE a = 7;
        UPDATE t SET a = 2;
        SELECT * FROM t;
        """,
}


def answers_of(connection: Any, script: str) -> list[Any]:
    """The rows of each statement, or that it failed."""
    found: list[Any] = []
    for sql in script.strip().replace("\n            BEGIN", " BEGIN").splitlines():
        try:
            cursor = connection.execute(sql)
            found.append((sql, cursor.fetchall() if cursor.description else []))
        except (sqlite3.Error, zodbapi.Error):
            found.append((sql, "error"))
    connection.close()
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_as_in_sqlite(name: str) -> None:
    expected = answers_of(sqlite3.connect(":memory:", isolation_level=None), SCRIPTS[name])
    assert answers_of(zodbapi.connect(":memory:", autocommit=True), SCRIPTS[name]) == expected
