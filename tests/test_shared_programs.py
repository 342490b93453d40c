"""Texts that differ in literals, in pages or in the lengths of lists share a program, and mean what they say."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi
from tests.sqlite_oracle import both_engines
from zodbapi.plan.explain import explain
from zodbapi.statement import STATEMENTS

LISTS = (
    "SELECT id FROM t WHERE id IN ({}) ORDER BY id",
    "SELECT id FROM t WHERE a IN ({}) ORDER BY id",
    "SELECT id FROM t WHERE a NOT IN ({}) AND id < 50 ORDER BY id",
    "SELECT id FROM t WHERE a = 3 AND b IN ({}) ORDER BY id",
    "SELECT id, 'IN (?, ?)', a IN ({}) FROM t WHERE id < 9 ORDER BY id",
    "SELECT x.id, y.id FROM t x JOIN t y ON y.a = x.id AND y.b IN ({}) ORDER BY 1, 2",
    "SELECT id FROM t WHERE a IN ({0}) AND b IN ({0}) ORDER BY id DESC LIMIT 5",
)


@pytest.mark.parametrize("sql", LISTS)
def test_lists_of_all_lengths_share_a_program(sql: str) -> None:
    with both_engines(
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b VARCHAR(10) NOT NULL);
        CREATE INDEX t_a ON t (a);
        CREATE UNIQUE INDEX t_b ON t (b, a);
        """
    ) as (theirs, ours):
        rows = [(i, i % 7 if i % 5 else None, f"x{i}") for i in range(1, 300)]
        for connection in (theirs, ours):
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        programs = set()
        for values in ((3, 4), (3, "4", 4.0), ("x3", None, 3, "x17"), (None, None), (2.5, b"x", "", 6, "x", 1)):
            text = sql.format(", ".join("?" * len(values)))
            params = values * text.replace("'IN (?, ?)'", "").count("IN (")
            assert ours.execute(text, params).fetchall() == theirs.execute(text, params).fetchall()
            programs.add(id(ours._prepare(text, "qmark").program))
        assert len(programs) == 1
        with pytest.raises(zodbapi.ProgrammingError):
            ours.execute(text, params[1:])


ROWS = (
    "SELECT id FROM t WHERE (a, b) IN ({}) ORDER BY id",
    "SELECT id FROM t WHERE (b, a) IN ({}) AND id < 50 ORDER BY b, id",
    "SELECT id FROM t WHERE (a, d) IN ({}) ORDER BY id",
    "SELECT id FROM t WHERE (a, c) IN ({}) ORDER BY id",
    "SELECT id FROM t WHERE (c, d) IN ({}) ORDER BY id",
    "SELECT id FROM t WHERE (id, b) IN ({}) ORDER BY id DESC",
    "SELECT id FROM t WHERE (a, b) NOT IN ({}) ORDER BY id",
    "SELECT id, (a, b) IN ({}) FROM t ORDER BY id",
    "SELECT x.id, y.id FROM t x JOIN t y ON y.a = x.id WHERE (y.a, y.b) IN ({}) ORDER BY 1, 2",
    "SELECT x.id, y.id FROM t x LEFT JOIN t y ON y.a = x.id AND (y.a, y.b) IN ({}) ORDER BY 1, 2",
    "SELECT id FROM t WHERE (a, b) IN ({0}) OR (a, d) IN ({0}) ORDER BY id",
)


@pytest.mark.parametrize("form", ["{}", "VALUES {}"])
@pytest.mark.parametrize("sql", ROWS)
def test_lists_of_rows_of_all_lengths_share_a_program(sql: str, form: str) -> None:
    """And are looked up in an index as SQLite compares them, whatever the classes of the values."""
    with both_engines(
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b VARCHAR(10), c REAL, d);
        CREATE INDEX t_ab ON t (a, b);
        CREATE INDEX t_b ON t (b COLLATE NOCASE);
        """
    ) as (theirs, ours):
        rows = [(i, i % 97 if i % 5 else None, f"x{i % 7}" if i % 9 else None, i / 2, i) for i in range(1, 2000)]
        for connection in (theirs, ours):
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        programs = set()
        lists: tuple[tuple[tuple[Any, Any], ...], ...] = (
            ((1, "x1"), (3, "x3")),
            ((1, "x1"), ("1", "x1"), (1.0, "x1"), (2, 7), (8.5, "x1")),
            ((None, "x1"), (3, None), (4, "x4"), (None, None)),
            (("x1", 1), (b"x", "x2"), ("X1", 1), ("no", "x3"), (3, 1.5), (3, 100)),
        )
        for values in lists:
            text = sql.format(form.format(", ".join(["(?, ?)"] * len(values))))
            params = [value for row in values for value in row] * text.count("IN (")
            expected = theirs.execute(sql.format("VALUES " + ", ".join(["(?, ?)"] * len(values))), params).fetchall()
            assert ours.execute(text, params).fetchall() == expected, values
            programs.add(id(ours._prepare(text, "qmark").program))
        assert len(programs) == 1
        with pytest.raises(zodbapi.ProgrammingError):
            ours.execute(text, params[1:])
        with pytest.raises(zodbapi.OperationalError):
            ours.execute(text.replace("(?, ?)", "(?, ?, ?)"), (1,) * (len(params) // 2 * 3))


def test_a_long_list_of_rows_is_looked_up() -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER, b TEXT, PRIMARY KEY (a, b))")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"x{i}") for i in range(5000)])
    text = f"SELECT * FROM t WHERE (a, b) IN ({', '.join(['(?, ?)'] * 50)})"
    plan = "\n".join(explain(connection._prepare(text, "qmark").node))
    assert "INDEX SEEK" in plan
    assert "SCAN t" not in plan.replace("INDEX SEEK", "")
    connection.close()


PAGES = (
    ("qmark", "SELECT id FROM t WHERE a < ? ORDER BY a, id LIMIT 5 OFFSET {}", (4,)),
    ("qmark", "SELECT id FROM t ORDER BY id LIMIT 5 OFFSET {}", None),
    ("qmark", "SELECT id, ' OFFSET 3' FROM t WHERE id IN (?, ?, ?, ?) UNION SELECT a, 'x' FROM t ORDER BY 1 LIMIT 9 OFFSET {}",
     (3, 9, 99, 27)),
    ("auto", "SELECT id FROM t WHERE a < ? ORDER BY id LIMIT -1 OFFSET {}", (4,)),
    ("auto", "SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 40 OFFSET 7) ORDER BY id LIMIT 3 OFFSET {}", ()),
    ("format", "SELECT id FROM t WHERE a < %s ORDER BY id LIMIT 4 OFFSET {}", (4,)),
    ("format", "SELECT id FROM t ORDER BY id DESC LIMIT 4 OFFSET {}", ()),
)  # fmt: skip


@pytest.mark.parametrize(("style", "sql", "params"), PAGES)
def test_pages_share_a_program(style: str, sql: str, params: Any) -> None:
    ours, theirs = zodbapi.connect(":memory:", paramstyle=style), sqlite3.connect(":memory:")
    for connection, mark in ((ours, "%s" if style == "format" else "?"), (theirs, "?")):
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
        connection.executemany(f"INSERT INTO t VALUES ({mark}, {mark})", [(i, i % 7) for i in range(1, 100)])
        connection.commit()
    programs = set()
    for number in (0, 1, 7, 50, 200, 999):
        text = sql.format(number)
        expected = theirs.execute(text.replace("%s", "?"), params or ()).fetchall()
        assert ours.execute(text, params).fetchall() == expected
        programs.add(id(ours._prepare(text, style if params else "qmark").program))
    assert len(programs) == 1
    with pytest.raises(zodbapi.ProgrammingError, match=f"uses {len(params or ())}, and there are 9 supplied"):
        ours.execute(text, (1,) * 9)
    ours.close()
    theirs.close()


LITERALS = (
    ("SELECT id, b FROM t WHERE a = {} ORDER BY id", (0, 3, "'3'", "'it''s'", 2.5, -1)),
    ("select id from t where a<{} and id>={} order by id", (0, 3, "'3'", 2.5, -1)),
    ("SELECT id FROM t WHERE (a != {0} OR b = {0}) AND d > '2024-01-03' ORDER BY id LIMIT 7", (1, "'x4'", 2.0)),
    ("SELECT id FROM t WHERE d <= {} ORDER BY id", ("'2024-01-05'", "'2024-01-09 10:30'", "'no day'", 5)),
    ("SELECT id FROM t WHERE id IN ({}) ORDER BY id", ("1", "1, 2, 500", "'3', '4','5'", "4,5,-6")),
    ("SELECT id FROM t WHERE b IN ({}) AND a = ? ORDER BY id", ("'x1', 'x8'", "'x1','x8', 'x15', ''", "1, 2")),
    ("SELECT id FROM t WHERE b > ? AND a = {} AND id > ? ORDER BY id LIMIT 3 OFFSET 2", (1, 2, "'2'")),
    ("SELECT id FROM t WHERE a IN (?, ?) AND id < {} AND b IN (?, ?) ORDER BY id", (100, 20)),
    ("SELECT t.id, y.id FROM t JOIN t y ON y.a = t.id WHERE t.id < {} AND EXISTS (SELECT 1 FROM t z WHERE z.id = {})", (2, 6)),
    ("SELECT count(*) FROM t WHERE a = {} OR a IS NULL", (1, 2, 3)),
)  # fmt: skip


SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b VARCHAR(10), d TEXT);
CREATE INDEX t_a ON t (a);
"""


@pytest.fixture
def engines() -> Iterator[tuple[Any, Any]]:
    """The same table in sqlite3 and here."""
    rows = [(i, i % 7 if i % 5 else None, f"x{i}", f"2024-01-{i % 28 + 1:02}") for i in range(1, 100)]
    with both_engines(SCHEMA) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
            connection.commit()
        yield connections


@pytest.mark.parametrize(("sql", "literals"), LITERALS)
def test_statements_with_other_literals_share_a_program(
    engines: tuple[Any, Any], sql: str, literals: tuple[Any, ...]
) -> None:
    """And give what SQLite gives."""
    theirs, ours = engines
    programs = set()
    params = (1, 2, "x3", "x9")[: sql.count("?")]
    for literal in literals:
        text = sql.format(literal, literal)
        assert ours.execute(text, params).fetchall() == theirs.execute(text, params).fetchall(), text
        programs.add(id(ours._prepare(text, "qmark").program))
    assert len(programs) == len({_kind(literal) for literal in literals})
    with pytest.raises(zodbapi.ProgrammingError, match=f"uses {len(params)}, and there are 9 supplied"):
        ours.execute(text, (1,) * 9)


def _kind(literal: object) -> str:
    """The type of a literal, which plans may depend on."""
    text = str(literal)
    return "text" if text[0] == "'" else "real" if "." in text else "integer"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET a = {0}, b = '{1}' WHERE id > {0} AND b <> 'x{0}' RETURNING id, a, b, a = 1",
        "UPDATE t SET a = a + 1, d = '{0}' WHERE b = 'x{1}'",
        "DELETE FROM t WHERE a = {0} OR id = {1}",
    ],
)
def test_writing_statements_with_other_literals_share_a_program(engines: tuple[Any, Any], sql: str) -> None:
    theirs, ours = engines
    programs = set()
    for numbers in ((3, 4), (5, 77), (2, 6)):
        text = sql.format(*numbers)
        cursor, expected = ours.execute(text), theirs.execute(text).fetchall()
        assert (cursor.fetchall() if cursor.description else []) == expected
        assert ours.execute("SELECT * FROM t").fetchall() == theirs.execute("SELECT * FROM t").fetchall()
        programs.add(id(ours._prepare(text, "qmark").program))
    assert len(programs) == 1


STAYING = (
    "SELECT a = 1, b = 'x' FROM t WHERE a = 1 AND id < 9",
    "SELECT a = 1 FROM t WHERE id < 30 GROUP BY a = 1 ORDER BY a = 1",
    "SELECT count(*) FILTER (WHERE a = 1), (SELECT id FROM t WHERE a = 1 AND b = 'x8') FROM t",
    "SELECT id FROM t WHERE 1 = 1 AND 2.5 > 1 AND id < 5 ORDER BY 1",
    "SELECT id FROM t WHERE a = 1 -- AND b = 'x1'\n AND id < 20",
    "SELECT id FROM t WHERE a = 1 /* = 'a' */ AND id < 20",
    "SELECT [id], `b` FROM t WHERE a = 1 AND id = 8",
    "SELECT id FROM t WHERE b = 'x1' || '5' OR a = 1 + 2 OR a = 1.5e0 OR d = '2024-01-01' COLLATE NOCASE",
    "SELECT id FROM t WHERE b = '? %s' OR b = ':x' OR a = 99999999999999999999",
    "SELECT id FROM t WHERE a BETWEEN 1 AND 2 AND b LIKE 'x1%' AND a IS 1",
    "SELECT id FROM t WHERE b -> '$' = 'x' OR b = 'x1'",
    "WITH s AS (SELECT id FROM t WHERE a = 1) SELECT id = 1 FROM s WHERE id < 9",
    "SELECT x FROM (SELECT a = 1 AS x FROM t WHERE a = 1) WHERE x = 1",
    "SELECT id FROM t WHERE a = 1 UNION SELECT a = 1 FROM t WHERE a = 2 ORDER BY 1",
    "SELECT id FROM t WHERE nothing = 1",
    "SELECT id FROM t WHERE a = 1 AND",
    "SELECT id FROM t WHERE a = 'x",
)


@pytest.mark.parametrize("sql", STAYING)
def test_literals_mean_what_they_say(engines: tuple[Any, Any], sql: str) -> None:
    """Rows, names and kinds of errors are SQLite's."""

    def ask(connection: Any) -> Any:
        try:
            cursor = connection.execute(sql)
            return [column[0] for column in cursor.description], sorted(cursor.fetchall(), key=repr)
        except (sqlite3.Error, zodbapi.Error) as error:
            return type(error).__name__

    theirs, ours = engines
    assert ask(ours) == ask(theirs)


def test_errors_name_what_the_text_says(engines: tuple[Any, Any]) -> None:
    """Not the text in which literals are placeholders."""
    _, ours = engines
    with pytest.raises(zodbapi.OperationalError, match=r'near "FROM": syntax error \(line 2, column 3\)'):
        ours.execute("SELECT id FROM t WHERE a = 123456\n  FROM t")


def test_many_literals_stay(engines: tuple[Any, Any]) -> None:
    """Each would cost a step whenever the statement runs."""
    theirs, ours = engines
    for many in (20, 21):
        sql = f"SELECT id FROM t WHERE {' OR '.join(f'id = {i * 3}' for i in range(many))} ORDER BY id"
        assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
        assert len(ours._prepare(sql, "qmark").literals) == (many if many == 20 else 0)


def test_literals_that_tell_an_index_stay() -> None:
    """A partial index is for those that ask for what it has."""
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, state TEXT, n INTEGER, u TEXT)")
    connection.execute("CREATE INDEX some ON t (n) WHERE state = 'new'")
    connection.execute("CREATE INDEX tail ON t (substr(u, 3))")
    connection.executemany("INSERT INTO t (state, n, u) VALUES (?, ?, ?)", [("old", i, f"u{i}") for i in range(500)])
    connection.commit()
    for sql, index in (
        ("SELECT id FROM t WHERE state = 'new' AND n = 5", "some"),
        ("SELECT id FROM t WHERE substr(u, 3) = '23'", "tail"),
    ):
        plan = connection._prepare(sql, "qmark").node
        assert index in "".join(explain(plan))
    connection.close()


NO_PAGES = (
    "SELECT 1 LIMIT 1 -- OFFSET 3",
    "SELECT 1 LIMIT 1 OFFSET 99999999999999999999",
    "SELECT 7 LIMIT 1 OFFSET 1000",
    "SELECT 7 OFFSET 1",
    "SELECT a FROM (SELECT 1 a LIMIT 1 OFFSET 0",
    "SELECT 'a%s' LIMIT 1 OFFSET 0",
)


@pytest.mark.parametrize("sql", NO_PAGES)
def test_what_only_looks_like_a_page_means_what_it_says(sql: str) -> None:
    with both_engines() as (theirs, ours):
        try:
            expected: Any = theirs.execute(sql).fetchall()
        except sqlite3.Error as error:
            expected = type(error).__name__
        try:
            found: Any = ours.execute(sql).fetchall()
        except zodbapi.Error as error:
            found = type(error).__name__
        assert found == expected


ROWS_OF_LITERALS = (
    "INSERT INTO t VALUES (101, 1, 'a''b', '2024-01-01')",
    "INSERT INTO t VALUES (102, -1, NULL, 'NULL'), (103,2.0,'', null)",
    "insert into \"t\" (id, b) values (104, '? :x %s -- /*') ;",
    "INSERT OR IGNORE INTO t VALUES (1, 0, 'ignored', ''), (105, '7', 5, 1.5)",
    "REPLACE INTO t (id, a) VALUES (1, 1)",
    "INSERT INTO t VALUES (106, 1 + 1, lower('X'), 'z')",
    "INSERT INTO t VALUES (107, 1)",
    "INSERT INTO t VALUES (107, 1, 2, 3), (1, 2)",
    "INSERT INTO t VALUES (1, 1, 1, 1)",
    "INSERT INTO t VALUES (108, 1, 1, 1), (1, 1, 1, 1)",
    "INSERT INTO t (id, nothing) VALUES (109, 1)",
    "INSERT INTO nothing VALUES (1)",
    "INSERT INTO t (a) VALUES (123456789012345678), (-123456789012345678)",
    "INSERT INTO t (a, b) VALUES (1, 'x",
)


def test_rows_of_literals_are_what_they_say(engines: tuple[Any, Any]) -> None:
    """One by one and as a script."""
    theirs, ours = engines

    def run(connection: Any, sql: str) -> Any:
        try:
            return connection.execute(sql).rowcount
        except (sqlite3.Error, zodbapi.Error) as error:
            return isinstance(error, (sqlite3.IntegrityError, zodbapi.IntegrityError))

    for sql in ROWS_OF_LITERALS:
        assert run(ours, sql) == run(theirs, sql), sql
        assert ours.execute("SELECT * FROM t").fetchall() == theirs.execute("SELECT * FROM t").fetchall(), sql
    found = ours.execute("SELECT * FROM t WHERE id < 107").fetchall()
    ours.rollback()
    ours.executescript(";\n".join(ROWS_OF_LITERALS[:6]))
    assert ours.execute("SELECT * FROM t WHERE id < 107").fetchall() == found


def test_rows_of_literals_share_the_program_for_parameters() -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    connection.execute("INSERT INTO t VALUES (?, ?)", (1, "x"))
    program = connection._prepare("INSERT INTO t VALUES (?, ?)", "qmark").program
    for sql in ("INSERT INTO t VALUES (2, 'y')", "INSERT INTO t VALUES (3,NULL),(4, 'z')"):
        assert connection._prepare(sql, "qmark").program is program
        connection.execute(sql)
        with pytest.raises(zodbapi.ProgrammingError, match="uses 0, and there are 2 supplied"):
            connection.execute(sql, (1, "x"))
    assert connection.execute("SELECT * FROM t").fetchall() == [(1, "x"), (2, "y"), (3, None), (4, "z")]
    connection.close()


def test_texts_that_assign_null_elsewhere_share_a_program() -> None:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c DATE, d TEXT NOT NULL)")
    connection.executemany("INSERT INTO t VALUES (?, 1, 'b', '2024-02-29', 'd')", [(1,), (2,), (3,)])
    programs = set()
    for text, parameters in (
        ("UPDATE t SET a = ?, b = NULL, c = ? WHERE t.id = ?", (7, "2025-01-01", 1)),
        ("UPDATE t SET a = NULL, b = ?, c = NULL WHERE t.id = ?", ("x", 2)),
        ("UPDATE t SET a = NULL, b = NULL, c = NULL WHERE t.id = 3", ()),
    ):
        connection.execute(text, parameters)
        programs.update(id(found.program) for found in STATEMENTS.young.values() if found.sql == text)
    assert connection.execute("SELECT a, b, c FROM t ORDER BY id").fetchall() == [
        (7, None, datetime.date(2025, 1, 1)),
        (None, "x", None),
        (None, None, None),
    ]
    assert len(programs) == 2  # the last has a number for an id
    assert connection.execute("UPDATE t SET a = 3 WHERE b = NULL").rowcount == 0
    with pytest.raises(zodbapi.IntegrityError, match=r"NOT NULL constraint failed: t\.d"):
        connection.execute("UPDATE t SET d = NULL, a = ? WHERE id = ?", (1, 2))
    connection.close()
