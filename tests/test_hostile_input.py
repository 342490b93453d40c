"""Text of the user never becomes generated source, and wrong input is a clear error that harms nothing."""

import linecache
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import zodbapi

HOSTILE = [
    '"; import os; os._exit(3); "',
    "'; DROP TABLE t; --",
    '"""); __import__(\'os\')._exit(3); ("""',
    "x\n    raise SystemExit(3)",
    "x\\",
    "{0} %s %(a)s {{ x }}",
    "__class__",
    "txn",
    "lambda: 0",
    "\x01",
    "\u202e\ufeff",
    "é" * 300,
    "",
]


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture
def connection() -> "zodbapi.Connection":
    return zodbapi.connect(":memory:", autocommit=True)


def source_of(connection: "zodbapi.Connection", sql: str) -> str:
    """The generated Python of a statement."""
    source = "\n".join(str(row[-1]) for row in connection.execute(f"EXPLAIN {sql}", [None] * sql.count("?")))
    assert "def " in source
    return source


def everything_generated() -> Iterator[str]:
    """The names and lines of all generated source that is alive."""
    for name, entry in linecache.cache.items():
        if name.startswith("<zodbapi"):
            yield name
            yield from entry[2]


@pytest.mark.parametrize("text", [text for text in HOSTILE if text], ids=lambda text: ascii(text)[:30])
def test_identifiers_never_reach_the_source(connection: "zodbapi.Connection", text: str) -> None:
    table, column = quote(f"{text} table"), quote(text)
    connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {column} TEXT CHECK ({column} <> 'no'))")
    connection.execute(f"CREATE UNIQUE INDEX {quote(text + ' index')} ON {table} ({column})")
    connection.execute(f"INSERT INTO {table} ({column}) VALUES (?)", [text])
    query = f"SELECT {column} AS {quote(text + ' alias')} FROM {table} AS {quote(text + ' source')} WHERE {column} = ?"
    cursor = connection.execute(query, [text])
    assert cursor.fetchall() == [(text,)]
    assert cursor.description[0][0] == f"{text} alias"
    for sql in [query, f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table} WHERE {column} > 'a'"]:
        assert text not in source_of(connection, sql) or text in ("txn", "__class__", "x\\")
    # What EXPLAIN does not show too: the functions that write the table's rows and indexes.
    if text not in ("txn", "__class__", "x\\"):
        assert not any(text in line for line in everything_generated())


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_literals_never_reach_the_source(connection: "zodbapi.Connection", text: str) -> None:
    connection.execute("CREATE TABLE t (a TEXT)")
    connection.execute(f"INSERT INTO t VALUES ({literal(text)})")
    query = f"SELECT a, {literal(text)} FROM t WHERE a = {literal(text)} ORDER BY a LIMIT 5"
    assert connection.execute(query).fetchall() == [(text, text)]
    for word in re.findall(r"\w{3,}", text):
        if word not in ("txn", "raise", "lambda", "import", "__class__"):
            assert word not in source_of(connection, query)


WRONG: list[tuple[str, tuple[object, ...] | dict[str, object], type[zodbapi.Error], str]] = [
    ("SELEC 1", (), zodbapi.DatabaseError, "SELEC"),
    ("SELECT * FROM", (), zodbapi.DatabaseError, "syntax error|incomplete input"),
    ("SELECT (1", (), zodbapi.DatabaseError, "syntax error|incomplete input"),
    ("SELECT * FROM nowhere", (), zodbapi.OperationalError, "no such table: nowhere"),
    ("SELECT nothing FROM t", (), zodbapi.OperationalError, "no such column: nothing"),
    ("SELECT nothing(a) FROM t", (), zodbapi.OperationalError, "no such function: nothing"),
    ("INSERT INTO t (b) VALUES (1)", (), zodbapi.OperationalError, "b"),
    ("INSERT INTO t VALUES (1, 2, 3)", (), zodbapi.OperationalError, "t has 2 columns but 3 values were supplied"),
    ("SELECT ?", (), zodbapi.ProgrammingError, "0 supplied|0 were supplied"),
    ("SELECT ?", (1, 2), zodbapi.ProgrammingError, "2 supplied|2 were supplied"),
    ("SELECT :a", {}, zodbapi.ProgrammingError, ":?a|supplied"),
    ("SELECT '\0'", (), zodbapi.ProgrammingError, "null character"),
    ("SELECT ?", (object(),), zodbapi.ProgrammingError, "object"),
    ("SELECT ?", (2**63,), zodbapi.DataError, "range|64|too large"),
    ("INSERT INTO t (a) VALUES (?)", (2**64,), zodbapi.DataError, "range|64|too large"),
    ("INSERT INTO t (a) VALUES ('many')", (), zodbapi.DataError, "t.a"),
    ("INSERT INTO t (id, a) VALUES (1, 5)", (), zodbapi.IntegrityError, "UNIQUE constraint failed: t.id"),
    ("SELECT 1; SELECT 2", (), zodbapi.ProgrammingError, "one statement"),
    ("CREATE TABLE t (x)", (), zodbapi.OperationalError, "table t already exists"),
    ("DROP TABLE nowhere", (), zodbapi.OperationalError, "no such table: nowhere"),
    ("ROLLBACK TO nowhere", (), zodbapi.OperationalError, "no such savepoint: nowhere"),
]


@pytest.mark.parametrize(("sql", "params", "error", "message"), WRONG, ids=[sql for sql, *_ in WRONG])
def test_wrong_statement_is_a_clear_error(
    connection: "zodbapi.Connection",
    sql: str,
    params: tuple[object, ...] | dict[str, object],
    error: type[zodbapi.Error],
    message: str,
) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(error, match=message):
        connection.execute(sql, params)
    assert connection.execute("SELECT * FROM t").fetchall() == [(1, 1)], "the transaction is unharmed"
    connection.execute("COMMIT")
    assert connection.execute("SELECT * FROM t").fetchall() == [(1, 1)]


@pytest.mark.parametrize(
    "content", [b"not a ZODB file, but text\n", b"SQLite format 3\x00" + bytes(4080), b"\x00" * 5000]
)
def test_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.txt"
    path.write_bytes(content)
    with pytest.raises(zodbapi.DatabaseError):
        zodbapi.connect(str(path)).execute("SELECT 1")
    assert path.read_bytes() == content


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(zodbapi.OperationalError, match="unable to open database file"):
        zodbapi.connect(str(tmp_path / "nowhere" / "db.fs"))


def test_directory_in_the_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(zodbapi.OperationalError):
        zodbapi.connect(str(tmp_path))


def test_closed_objects(connection: "zodbapi.Connection") -> None:
    cursor = connection.execute("SELECT 1")
    cursor.close()
    with pytest.raises(zodbapi.ProgrammingError, match="closed"):
        cursor.fetchone()
    connection.close()
    with pytest.raises(zodbapi.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


MARKED = [
    *['MARK"; import os; os._exit(3); "', "MARK'); DROP TABLE t; --", "MARK\n    raise SystemExit(3)", "MARK\\"],
    *["{MARK} %s", "MARK\x01é"],
]


@pytest.mark.parametrize("text", MARKED, ids=ascii)
def test_no_other_place_reaches_the_source(connection: "zodbapi.Connection", text: str) -> None:
    """Names of constraints, indexes, views, CTEs, windows, functions, collations; CHECK and DEFAULT; JSON paths."""

    def name(prefix: str) -> str:
        return quote(prefix + text)

    value, table, column = literal(text), name("table"), name("")
    connection.create_function(text, 1, lambda argument: argument)
    connection.create_collation(text, lambda a, b: (a > b) - (a < b))
    connection.execute(f"CREATE TABLE p (id INTEGER PRIMARY KEY, {column} TEXT UNIQUE)")
    for sql in [
        f"""CREATE TABLE {table} (
            id INTEGER PRIMARY KEY, {column} TEXT DEFAULT {value}, {name("g")} TEXT AS ({column} || {value}), j JSON,
            CONSTRAINT {name("check")} CHECK ({column} <> {literal(text + "!")}), CONSTRAINT {name("key")} UNIQUE ({column}),
            {name("r")} INTEGER, CONSTRAINT {name("foreign")} FOREIGN KEY ({name("r")}) REFERENCES p (id))""",
        f"CREATE INDEX {name('index')} ON {table} (({column} || {value})) WHERE {column} <> {value}",
        f"CREATE VIEW {name('view')} ({name('c')}) AS SELECT {column} FROM {table}",
        f"INSERT INTO {table} (id) VALUES (1)",
        f"INSERT INTO {table} (id, {column}, j) VALUES (2, 'z', '{{}}')",
        f"SELECT {column}(id) AS {name('a')}, j ->> {value} FROM {table} ORDER BY {name('a')} COLLATE {column}",
        f"WITH {name('cte')} ({name('k')}) AS (SELECT * FROM {name('view')}) SELECT count(*) OVER {name('w')} FROM {name('cte')} "
        f"WINDOW {name('w')} AS (ORDER BY {name('k')})",
        f"INSERT INTO {table} (id, {column}) VALUES (2, 'y') "
        f"ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column} || {value}",
        f"UPDATE {table} SET {column} = {column} || {value} RETURNING {column} AS {name('returned')}",
        f"ALTER TABLE {table} ADD COLUMN {name('added')} TEXT DEFAULT {value}",
        f"ALTER TABLE {table} RENAME COLUMN {name('added')} TO {name('renamed')}",
        f"DELETE FROM {table} WHERE {name('renamed')} = {value}",
    ]:
        connection.execute(sql)
    assert not any("MARK" in line for line in everything_generated())


def test_collation_of_a_connection_in_an_index(connection: "zodbapi.Connection") -> None:
    """Its order is a function of one connection; others could not keep it."""
    connection.create_collation("mine", lambda a, b: (a > b) - (a < b))
    connection.execute("CREATE TABLE t (a TEXT COLLATE mine)")
    for sql in ["CREATE INDEX i ON t (a)", "CREATE TABLE u (a TEXT COLLATE mine UNIQUE)"]:
        with pytest.raises(zodbapi.NotSupportedError, match="collation MINE"):
            connection.execute(sql)
