"""DDL from text to trees: definitions, existence errors, ALTER TABLE on tables with rows, PRAGMA, undoing all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import zodbapi


@pytest.fixture
def connection() -> Iterator[zodbapi.Connection]:
    made = zodbapi.connect(":memory:", autocommit=True)
    yield made
    if made.in_transaction:
        made.rollback()
    assert made.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    made.close()


def rows(connection: Any, sql: str) -> list[Any]:
    return connection.execute(sql).fetchall()  # type: ignore[no-any-return]


SAME_ERRORS = [
    "DROP TABLE nope",
    "DROP INDEX nope",
    "DROP VIEW nope",
    "CREATE TABLE t (a)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE INDEX i ON t (a)",
    "CREATE INDEX t ON t (a)",
    "CREATE TABLE i (a)",
    "CREATE TABLE v (a)",
    "DROP TABLE v",
    "DROP VIEW t",
    "DROP INDEX t",
    "DROP INDEX sqlite_autoindex_t_1",
    "CREATE INDEX j ON nope (a)",
    "CREATE INDEX j ON t (nope)",
    "ALTER TABLE nope RENAME TO x",
    "ALTER TABLE t RENAME TO v",
    "CREATE TABLE u (a, A)",
    "CREATE TABLE u (a INTEGER PRIMARY KEY, b INTEGER PRIMARY KEY)",
    "CREATE TABLE u (a TEXT PRIMARY KEY AUTOINCREMENT)",
    "CREATE TABLE sqlite_x (a)",
    "ALTER TABLE t ADD COLUMN a INTEGER",
    "REINDEX nope",
    "INSERT INTO nope VALUES (1)",
]


@pytest.mark.parametrize("sql", SAME_ERRORS)
def test_errors_as_sqlite_words_them(connection: zodbapi.Connection, sql: str) -> None:
    reference = sqlite3.connect(":memory:")
    for each in (connection, reference):
        each.execute("CREATE TABLE t (a TEXT UNIQUE, b)")
        each.execute("CREATE INDEX i ON t (b)")
        each.execute("CREATE VIEW v AS SELECT a FROM t")
    with pytest.raises(sqlite3.OperationalError) as expected:
        reference.execute(sql)
    with pytest.raises(zodbapi.DatabaseError) as found:
        connection.execute(sql)
    assert str(found.value) == str(expected.value)
    assert isinstance(found.value, zodbapi.OperationalError)
    reference.close()


def test_if_exists(connection: zodbapi.Connection) -> None:
    for _ in range(2):
        connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
        connection.execute("CREATE INDEX IF NOT EXISTS i ON t (a)")
        connection.execute("CREATE VIEW IF NOT EXISTS v AS SELECT a FROM t")
    for _ in range(2):
        connection.execute("DROP VIEW IF EXISTS v")
        connection.execute("DROP INDEX IF EXISTS i")
        connection.execute("DROP TABLE IF EXISTS t")
    assert rows(connection, "SELECT count(*) FROM sqlite_master") == [(0,)]


def test_create_table_as(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    connection.execute("CREATE TABLE copy AS SELECT a + 10 AS big, b FROM t WHERE a > ?", (0,))
    assert rows(connection, "SELECT rowid, * FROM copy") == [(1, 11, "x"), (2, 12, "y")]
    connection.execute("INSERT INTO copy VALUES (13, 'z')")
    assert rows(connection, "SELECT max(rowid) FROM copy") == [(3,)]


def test_create_index_on_rows(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE TABLE t (a INTEGER, b TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'x'), (2, 'X'), (NULL, 'y'), (NULL, NULL)")
    connection.execute("CREATE UNIQUE INDEX t_a ON t (a)")
    connection.execute("CREATE INDEX t_lower ON t (lower(b)) WHERE a IS NOT NULL")
    assert rows(connection, "SELECT a FROM t WHERE lower(b) = 'x' AND a IS NOT NULL ORDER BY a") == [(1,), (2,)]
    with pytest.raises(zodbapi.IntegrityError, match="UNIQUE constraint failed: index 't_u'"):
        connection.execute("CREATE UNIQUE INDEX t_u ON t (lower(b))")
    assert "t_u" not in connection.schema.indexes
    connection.execute("REINDEX")
    connection.execute("REINDEX t")
    connection.execute("REINDEX t_a")


def test_view(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE TABLE t (a, b)")
    connection.execute("CREATE VIEW v (x, y) AS SELECT a, b * 2 FROM t")
    connection.execute("INSERT INTO t VALUES (1, 2)")
    assert rows(connection, "SELECT x, y FROM v") == [(1, 4)]
    assert [row[1] for row in rows(connection, "PRAGMA table_info(v)")] == ["x", "y"]
    with pytest.raises(zodbapi.OperationalError, match="cannot modify v because it is a view"):
        connection.execute("INSERT INTO v VALUES (1, 2)")


# --- ALTER TABLE ------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(connection: zodbapi.Connection) -> zodbapi.Connection:
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE)")
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT DEFAULT 'd', "
        "p INTEGER REFERENCES parent (id), CHECK (a < 100))"
    )
    connection.execute("CREATE INDEX t_b ON t (b)")
    connection.execute("INSERT INTO parent VALUES (1, 'one'), (2, 'two')")
    connection.execute("INSERT INTO t VALUES (1, 10, 'x', 1), (2, 20, 'y', 2), (7, NULL, NULL, NULL)")
    return connection


def test_rename_table(table: zodbapi.Connection) -> None:
    table.execute("CREATE VIEW v AS SELECT a FROM t")
    table.execute("ALTER TABLE t RENAME TO s")
    assert rows(table, "SELECT id, a FROM s WHERE b = 'y'") == [(2, 20)]
    table.execute("ALTER TABLE parent RENAME TO mother")
    with pytest.raises(zodbapi.IntegrityError, match="FOREIGN KEY constraint failed"):
        table.execute("INSERT INTO s (p) VALUES (99)")
    assert rows(table, "SELECT count(a) FROM v") == [(2,)]


def test_rename_column(table: zodbapi.Connection) -> None:
    table.execute("ALTER TABLE t RENAME COLUMN a TO amount")
    assert rows(table, "SELECT amount FROM t ORDER BY id") == [(10,), (20,), (None,)]
    with pytest.raises(zodbapi.IntegrityError, match="CHECK constraint failed"):
        table.execute("INSERT INTO t (amount) VALUES (100)")
    table.execute("ALTER TABLE parent RENAME COLUMN id TO key")
    with pytest.raises(zodbapi.IntegrityError, match="FOREIGN KEY constraint failed"):
        table.execute("DELETE FROM parent WHERE key = 1")


def test_add_column(table: zodbapi.Connection) -> None:
    table.execute("ALTER TABLE t ADD COLUMN c DECIMAL(6, 2) NOT NULL DEFAULT '1.5'")
    table.execute("ALTER TABLE t ADD COLUMN d INTEGER GENERATED ALWAYS AS (a * 2) VIRTUAL")
    table.execute("ALTER TABLE t ADD COLUMN e INTEGER UNIQUE")
    assert rows(table, "SELECT id, c, d, e FROM t ORDER BY id") == [
        (1, Decimal("1.50"), 20, None),
        (2, Decimal("1.50"), 40, None),
        (7, Decimal("1.50"), None, None),
    ]
    with pytest.raises(zodbapi.DatabaseError):
        table.execute("ALTER TABLE t ADD COLUMN f INTEGER NOT NULL")
    table.execute("UPDATE t SET e = id")
    with pytest.raises(zodbapi.IntegrityError, match=r"UNIQUE constraint failed: t\.e"):
        table.execute("UPDATE t SET e = 1")


def test_drop_column(table: zodbapi.Connection) -> None:
    table.execute("ALTER TABLE t DROP COLUMN p")
    assert rows(table, "SELECT * FROM t") == [(1, 10, "x"), (2, 20, "y"), (7, None, None)]
    assert rows(table, "SELECT id FROM t WHERE b = 'y'") == [(2,)]
    table.execute("DELETE FROM parent")
    with pytest.raises(zodbapi.OperationalError, match="no such column"):
        table.execute("ALTER TABLE t DROP COLUMN p")


def test_change_type(table: zodbapi.Connection) -> None:
    table.execute("ALTER TABLE t ALTER COLUMN a TYPE DECIMAL(8, 2)")
    assert rows(table, "SELECT a FROM t WHERE id = 1") == [(Decimal("10.00"),)]
    table.execute("ALTER TABLE t ALTER COLUMN b TYPE INTEGER USING length(b) + id")
    assert rows(table, "SELECT b FROM t ORDER BY id") == [(2,), (3,), (None,)]
    assert rows(table, "SELECT id FROM t WHERE b = 3") == [(2,)]
    table.execute("ALTER TABLE t ALTER COLUMN b TYPE TEXT USING 'n' || b")
    with pytest.raises(zodbapi.DatabaseError):
        table.execute("ALTER TABLE t ALTER COLUMN b TYPE INTEGER")
    assert rows(table, "SELECT id FROM t WHERE b = 'n2'") == [(1,)]


def test_nullability_and_default(table: zodbapi.Connection) -> None:
    with pytest.raises(zodbapi.IntegrityError, match=r"NOT NULL constraint failed: t\.a"):
        table.execute("ALTER TABLE t ALTER COLUMN a SET NOT NULL")
    table.execute("UPDATE t SET a = 0 WHERE a IS NULL")
    table.execute("ALTER TABLE t ALTER COLUMN a SET NOT NULL, ALTER COLUMN b SET DEFAULT 'new'")
    with pytest.raises(zodbapi.IntegrityError, match=r"NOT NULL constraint failed: t\.a"):
        table.execute("INSERT INTO t (b) VALUES ('q')")
    table.execute("ALTER TABLE t ALTER COLUMN a DROP NOT NULL")
    table.execute("INSERT INTO t (id) VALUES (8)")
    assert rows(table, "SELECT a, b FROM t WHERE id = 8") == [(None, "new")]


def test_constraints(table: zodbapi.Connection) -> None:
    table.execute("ALTER TABLE t ADD CONSTRAINT t_ab UNIQUE (a, b)")
    with pytest.raises(zodbapi.IntegrityError, match=r"UNIQUE constraint failed: t\.a, t\.b"):
        table.execute("INSERT INTO t (a, b) VALUES (10, 'x')")
    table.execute("ALTER TABLE t DROP CONSTRAINT t_ab")
    table.execute("INSERT INTO t (a, b) VALUES (10, 'x')")
    with pytest.raises(zodbapi.IntegrityError, match="UNIQUE"):
        table.execute("ALTER TABLE t ADD CONSTRAINT t_ab UNIQUE (a, b)")
    table.execute("ALTER TABLE t ADD CONSTRAINT small CHECK (a < 50)")
    with pytest.raises(zodbapi.IntegrityError, match="CHECK constraint failed"):
        table.execute("ALTER TABLE t ADD CONSTRAINT tiny CHECK (a < 5)")
    with pytest.raises(zodbapi.IntegrityError, match="CHECK constraint failed: small"):
        table.execute("UPDATE t SET a = 60")
    with pytest.raises(zodbapi.IntegrityError, match="FOREIGN KEY constraint failed"):
        table.execute("ALTER TABLE t ADD CONSTRAINT t_fk FOREIGN KEY (b) REFERENCES parent (code)")


def test_failing_action_undoes_those_before(table: zodbapi.Connection) -> None:
    with pytest.raises(zodbapi.DatabaseError):
        table.execute("ALTER TABLE t ADD COLUMN z INTEGER DEFAULT 5, DROP COLUMN missing")
    assert "z" not in table.schema.tables["t"].positions
    assert rows(table, "SELECT count(*) FROM t") == [(3,)]


def test_alter_in_transaction_rolls_back(table: zodbapi.Connection) -> None:
    before = list(table.iterdump())
    table.begin()
    table.execute("ALTER TABLE t ADD COLUMN z INTEGER DEFAULT 5")
    table.execute("UPDATE t SET z = id, b = 'changed'")
    table.savepoint("s")
    table.execute("ALTER TABLE t DROP COLUMN b")
    table.rollback_to("s")
    assert rows(table, "SELECT id, z FROM t WHERE b = 'changed' ORDER BY id") == [(1, 1), (2, 2), (7, 7)]
    table.rollback()
    assert list(table.iterdump()) == before


def test_drop_parent_table(table: zodbapi.Connection) -> None:
    with pytest.raises(zodbapi.IntegrityError, match="FOREIGN KEY constraint failed"):
        table.execute("DROP TABLE parent")
    assert rows(table, "SELECT count(*) FROM parent") == [(2,)]
    table.execute("UPDATE t SET p = NULL")
    table.execute("DROP TABLE parent")
    table.execute("DROP TABLE t")


@pytest.mark.parametrize("key", ["id", "code"])
def test_drop_a_parent_that_nobody_refers_to(connection: zodbapi.Connection, key: str) -> None:
    """Its rows are deleted, and what that puts off to the commit is checked while the table is there."""
    connection.executescript(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, code INTEGER UNIQUE);"
        f"CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent ({key}) DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO parent VALUES (1, 1)"
    )
    connection.execute("DROP TABLE parent")
    connection.execute("INSERT INTO child VALUES (1, NULL)")
    connection.commit()


def test_comments(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE TABLE t (a INTEGER)")
    connection.execute("CREATE INDEX i ON t (a)")
    connection.execute("COMMENT ON TABLE t IS 'It''s a table'")
    connection.execute("COMMENT ON COLUMN t.a IS 'a column'")
    connection.execute("COMMENT ON INDEX i IS 'an index'")
    table = connection.schema.tables["t"]
    assert (table.comment, table.columns[0].comment, table.indexes[0].comment) == (
        "It's a table", "a column", "an index",
    )  # fmt: skip
    with pytest.raises(zodbapi.OperationalError, match="no such table: u"):
        connection.execute("COMMENT ON TABLE u IS 'x'")


# --- PRAGMA -----------------------------------------------------------------------------------------------------------

SCRIPT = """
    CREATE TABLE p (id INTEGER PRIMARY KEY, b TEXT UNIQUE);
    CREATE TABLE t (
        id INTEGER PRIMARY KEY AUTOINCREMENT, a varchar(10) NOT NULL DEFAULT 'x', c INT AS (id + 2),
        d INT AS (id + 1) STORED, r INT REFERENCES p (id) ON DELETE CASCADE, s TEXT REFERENCES p (b), UNIQUE (a, r)
    );
    CREATE TABLE k (a TEXT, b TEXT, PRIMARY KEY (b, a));
    CREATE INDEX i ON t (a DESC, s COLLATE NOCASE);
    CREATE UNIQUE INDEX j ON t (r) WHERE r > 5;
    CREATE VIEW v AS SELECT a AS q FROM t;
    CREATE TABLE own (a integer, b Text, c varchar(3), d real, e blob, f int, g Double);
"""


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA table_xinfo(t)",
        "PRAGMA table_info(t)",
        "PRAGMA table_info('T')",
        "PRAGMA table_info(nope)",
        "PRAGMA table_info(own)",
        "SELECT DISTINCT name, type FROM pragma_function_list WHERE name IN ('abs', 'upper', 'sum') ORDER BY name",
        "PRAGMA foreign_key_list(t)",
        "PRAGMA foreign_key_list(p)",
        "PRAGMA index_list(t)",
        "PRAGMA index_list(k)",
        "PRAGMA index_info(i)",
        "PRAGMA index_xinfo(i)",
        "PRAGMA index_info(sqlite_autoindex_k_1)",
        "PRAGMA foreign_key_check",
        "PRAGMA foreign_key_check(t)",
        "PRAGMA integrity_check",
        "PRAGMA encoding",
        "PRAGMA user_version",
        "PRAGMA nosuch",
        "PRAGMA synchronous = OFF",
        "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2",
        "SELECT name FROM pragma_table_info('t') ORDER BY cid",
    ],
)
def test_pragma_as_sqlite_answers(connection: zodbapi.Connection, sql: str) -> None:
    reference = sqlite3.connect(":memory:")
    connection.executescript(SCRIPT)
    reference.executescript(SCRIPT)
    found, expected = connection.execute(sql), reference.execute(sql)
    if expected.description is not None:
        assert [column[0] for column in found.description or ()] == [column[0] for column in expected.description]
        assert found.fetchall() == expected.fetchall()
    else:
        assert found.description is None
    reference.close()


def test_pragma_settings(connection: zodbapi.Connection) -> None:
    assert rows(connection, "PRAGMA foreign_keys") == [(1,)]
    connection.execute("PRAGMA foreign_keys = OFF")
    assert rows(connection, "PRAGMA foreign_keys") == [(0,)]
    connection.executescript(SCRIPT)
    connection.execute("INSERT INTO t (r, s) VALUES (1, 'none')")
    assert rows(connection, "PRAGMA foreign_key_check") == [("t", 1, "p", 0), ("t", 1, "p", 1)]
    connection.execute("DELETE FROM t")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA user_version = 7")
    assert rows(connection, "PRAGMA user_version") == [(7,)]
    connection.begin()
    connection.execute("PRAGMA defer_foreign_keys = ON")
    connection.execute("INSERT INTO t (r) VALUES (3)")
    connection.execute("INSERT INTO p (id) VALUES (3)")
    connection.commit()
    assert rows(connection, "PRAGMA defer_foreign_keys") == [(0,)]


def test_maintenance(connection: zodbapi.Connection) -> None:
    connection.executescript(SCRIPT)
    connection.execute("ANALYZE")
    connection.execute("VACUUM")
    connection.begin()
    with pytest.raises(zodbapi.OperationalError, match="cannot VACUUM from within a transaction"):
        connection.execute("VACUUM")


def test_explain(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT a FROM t WHERE id = ?", (1,))
    assert [column[0] for column in plan.description or ()] == ["id", "parent", "notused", "detail"]
    found = plan.fetchall()
    assert [row[:2] for row in found] == [(1, 0), (2, 1)]
    assert "rowid" in found[-1][3]
    source = [row[1] for row in connection.execute("EXPLAIN SELECT a FROM t WHERE a = 'secret'")]
    assert source[0].startswith("def run(txn, p)")
    assert "secret" not in "".join(source)
    assert rows(connection, "EXPLAIN DELETE FROM t")
    assert rows(connection, "SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize(
    "name", ['a"b', "it's", "x; DROP TABLE t", "def", "r0", "Ünï", "a.b", "%s", "{0}", "txn", "\\n"]
)
def test_hostile_names(connection: zodbapi.Connection, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    connection.execute(f"CREATE TABLE {quoted} ({quoted} TEXT UNIQUE CHECK ({quoted} <> ''), b INTEGER)")
    connection.execute(f'CREATE INDEX {quoted[:-1]}_i" ON {quoted} (b, {quoted})')
    connection.execute(f"INSERT INTO {quoted} VALUES (?, 1)", (name,))
    assert rows(connection, f"SELECT {quoted} FROM {quoted} WHERE {quoted} = {quoted} GROUP BY {quoted}") == [(name,)]
    source = "\n".join(row[1] for row in connection.execute(f"EXPLAIN SELECT {quoted} FROM {quoted}"))
    assert name in ("r0", "txn", "def") or name not in source
    copy = zodbapi.connect(":memory:")
    copy.executescript("\n".join(connection.iterdump()))
    assert list(copy.iterdump()) == list(connection.iterdump())
    copy.close()
