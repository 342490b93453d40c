"""PEP 249, one requirement after the other (https://peps.python.org/pep-0249/)."""

from __future__ import annotations

import datetime
import decimal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi


@pytest.fixture
def connection() -> Iterator[zodbapi.Connection]:
    made = zodbapi.connect(":memory:")
    made.execute("CREATE TABLE booze (name VARCHAR(20))")
    made.commit()
    yield made
    made.close()


@pytest.fixture
def cursor(connection: zodbapi.Connection) -> zodbapi.Cursor:
    return connection.cursor()


SAMPLES = ["Carlton Cold", "Carlton Draft", "Mountain Goat", "Redback", "Victoria Bitter", "XXXX"]


@pytest.fixture
def filled(cursor: zodbapi.Cursor) -> zodbapi.Cursor:
    cursor.executemany("INSERT INTO booze VALUES (?)", [(name,) for name in SAMPLES])
    return cursor


# --- the module -------------------------------------------------------------------------------------------------------


def test_globals() -> None:
    assert zodbapi.apilevel == "2.0"
    assert zodbapi.threadsafety in (0, 1, 2, 3)
    assert zodbapi.paramstyle == "qmark"
    assert callable(zodbapi.connect)


def test_exception_tree() -> None:
    assert issubclass(zodbapi.Warning, Exception)
    assert issubclass(zodbapi.Error, Exception)
    assert zodbapi.InterfaceError.__bases__ == (zodbapi.Error,)
    assert zodbapi.DatabaseError.__bases__ == (zodbapi.Error,)
    for name in "DataError OperationalError IntegrityError InternalError ProgrammingError NotSupportedError".split():
        assert getattr(zodbapi, name).__bases__ == (zodbapi.DatabaseError,)
    assert issubclass(zodbapi.ConflictError, zodbapi.OperationalError)


def test_constructors() -> None:
    assert zodbapi.Date(2024, 2, 29) == datetime.date(2024, 2, 29)
    assert zodbapi.Time(13, 5, 59) == datetime.time(13, 5, 59)
    assert zodbapi.Timestamp(2024, 2, 29, 1, 2, 3) == datetime.datetime(2024, 2, 29, 1, 2, 3)
    assert zodbapi.Binary(b"x\0") == b"x\0"
    ticks = time.mktime((2002, 12, 25, 13, 45, 30, 0, 0, 0))
    assert zodbapi.DateFromTicks(ticks) == datetime.date(2002, 12, 25)
    assert zodbapi.TimeFromTicks(ticks) == datetime.time(13, 45, 30)
    assert zodbapi.TimestampFromTicks(ticks) == datetime.datetime(2002, 12, 25, 13, 45, 30)


def test_type_objects(connection: zodbapi.Connection) -> None:
    connection.execute(
        "CREATE TABLE kinds (a TEXT, b BLOB, c INTEGER, d DECIMAL(10, 2), e REAL, f BOOLEAN, g TIMESTAMP, h DATE)"
    )
    codes = [column[1] for column in connection.execute("SELECT * FROM kinds").description or ()]
    expected = [zodbapi.STRING, zodbapi.BINARY, *[zodbapi.NUMBER] * 4, *[zodbapi.DATETIME] * 2]
    assert codes == expected
    assert codes[0] != zodbapi.NUMBER
    assert zodbapi.STRING != zodbapi.NUMBER
    assert len({zodbapi.STRING, zodbapi.BINARY, zodbapi.NUMBER, zodbapi.DATETIME, zodbapi.ROWID}) == 5


# --- the cursor -------------------------------------------------------------------------------------------------------


def test_cursors_of_one_connection_share_the_transaction(connection: zodbapi.Connection) -> None:
    first, second = connection.cursor(), connection.cursor()
    first.execute("INSERT INTO booze VALUES ('Victoria Bitter')")
    second.execute("SELECT name FROM booze")
    assert second.fetchall() == [("Victoria Bitter",)]
    assert first.connection is connection


def test_description(cursor: zodbapi.Cursor) -> None:
    assert cursor.description is None
    cursor.execute("INSERT INTO booze VALUES ('x')")
    assert cursor.description is None
    cursor.execute("SELECT name, 1 AS one FROM booze")
    assert cursor.description is not None
    assert [len(column) for column in cursor.description] == [7, 7]
    assert [column[0] for column in cursor.description] == ["name", "one"]
    assert cursor.description[0][1] == zodbapi.STRING
    cursor.execute("CREATE TABLE barflys (name VARCHAR(20))")
    assert cursor.description is None


def test_rowcount(cursor: zodbapi.Cursor) -> None:
    assert cursor.rowcount == -1
    cursor.execute("INSERT INTO booze VALUES ('a'), ('b'), ('c')")
    assert cursor.rowcount == 3
    cursor.execute("SELECT name FROM booze")
    assert cursor.rowcount in (-1, 3)
    cursor.execute("UPDATE booze SET name = 'd' WHERE name > 'a'")
    assert cursor.rowcount == 2
    cursor.execute("DELETE FROM booze WHERE name = 'nothing'")
    assert cursor.rowcount == 0
    cursor.execute("DELETE FROM booze RETURNING name")
    assert cursor.rowcount == 3
    cursor.execute("CREATE TABLE barflys (name VARCHAR(20))")
    assert cursor.rowcount == -1


def test_executemany(cursor: zodbapi.Cursor) -> None:
    cursor.executemany("INSERT INTO booze VALUES (?)", [("a",), ["b"]])
    cursor.executemany("INSERT INTO booze VALUES (:beer)", ({"beer": name} for name in "cd"))
    assert cursor.rowcount == 2
    cursor.execute("SELECT name FROM booze ORDER BY name")
    assert cursor.fetchall() == [("a",), ("b",), ("c",), ("d",)]
    with pytest.raises(zodbapi.ProgrammingError, match="can only execute DML statements"):
        cursor.executemany("SELECT ?", [(1,)])


def test_fetch_before_execute_and_after_statements_without_rows(cursor: zodbapi.Cursor) -> None:
    def refuse() -> None:
        for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall, cursor.__next__):
            with pytest.raises(zodbapi.Error):
                fetch()

    refuse()
    cursor.execute("INSERT INTO booze VALUES ('x')")
    refuse()
    cursor.execute("CREATE TABLE barflys (name VARCHAR(20))")
    refuse()
    cursor.executemany("DELETE FROM booze WHERE name = ?", [("x",)])
    refuse()


def test_fetchone(filled: zodbapi.Cursor) -> None:
    filled.execute("SELECT name FROM booze WHERE name = 'XXXX'")
    assert filled.fetchone() == ("XXXX",)
    assert filled.fetchone() is None
    assert filled.fetchone() is None
    filled.execute("SELECT name FROM booze WHERE name = 'nothing'")
    assert filled.fetchone() is None


def test_fetchmany(filled: zodbapi.Cursor) -> None:
    filled.execute("SELECT name FROM booze ORDER BY name")
    assert len(filled.fetchmany()) == 1
    assert len(filled.fetchmany(3)) == 3
    filled.arraysize = 10
    assert filled.fetchmany() == [("Victoria Bitter",), ("XXXX",)]
    assert filled.fetchmany() == []
    filled.execute("SELECT name FROM booze ORDER BY name")
    assert filled.fetchmany(0) == []
    assert [row[0] for row in filled.fetchmany(100)] == SAMPLES


def test_fetchall_and_mixed(filled: zodbapi.Cursor) -> None:
    filled.execute("SELECT name FROM booze ORDER BY name")
    rows = [filled.fetchone(), *filled.fetchmany(2), filled.next(), *filled.fetchall()]
    assert [row[0] for row in rows] == SAMPLES
    assert filled.fetchall() == []


def test_iteration(filled: zodbapi.Cursor) -> None:
    filled.execute("SELECT name FROM booze ORDER BY name")
    assert [name for (name,) in filled] == SAMPLES
    with pytest.raises(StopIteration):
        next(filled)


def test_rownumber(filled: zodbapi.Cursor) -> None:
    assert filled.rownumber is None
    filled.execute("SELECT name FROM booze")
    assert filled.rownumber == 0
    filled.fetchmany(4)
    assert filled.rownumber == 4
    filled.fetchall()
    assert filled.rownumber == 6


def test_lastrowid(connection: zodbapi.Connection) -> None:
    cursor = connection.cursor()
    assert cursor.lastrowid is None
    cursor.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    cursor.execute("INSERT INTO t (a) VALUES ('x'), ('y')")
    assert cursor.lastrowid == 2
    cursor.execute("INSERT INTO t VALUES (50, 'z')")
    assert cursor.lastrowid == 50
    cursor.execute("UPDATE t SET a = 'q'")
    assert cursor.lastrowid == 50
    cursor.executemany("INSERT INTO t (a) VALUES (?)", [(1,), (2,)])
    assert cursor.lastrowid == 52


def test_input_and_output_sizes(cursor: zodbapi.Cursor) -> None:
    cursor.setinputsizes([25])
    cursor.execute("INSERT INTO booze VALUES (?)", ("x" * 50,))
    cursor.setoutputsize(10)
    cursor.setoutputsize(10, 0)
    cursor.execute("SELECT name FROM booze")
    assert cursor.fetchone() == ("x" * 50,)


def test_messages(cursor: zodbapi.Cursor) -> None:
    cursor.execute("SELECT 1")
    assert cursor.messages == []


def test_closed_cursor(connection: zodbapi.Connection) -> None:
    cursor = connection.execute("SELECT 1")
    cursor.close()
    cursor.close()
    for use in (
        lambda: cursor.execute("SELECT 1"),
        lambda: cursor.executemany("DELETE FROM booze WHERE name = ?", []),
        lambda: cursor.executescript("SELECT 1"),
        cursor.fetchone,
        cursor.fetchmany,
        cursor.fetchall,
        lambda: next(cursor),
    ):
        with pytest.raises(zodbapi.ProgrammingError, match=r"Cannot operate on a closed cursor\."):
            use()


def test_cursor_of_closed_connection(filled: zodbapi.Cursor) -> None:
    filled.execute("SELECT name FROM booze")
    filled.connection.close()
    for use in (filled.fetchone, filled.fetchmany, filled.fetchall, lambda: filled.execute("SELECT 1")):
        with pytest.raises(zodbapi.ProgrammingError, match=r"Cannot operate on a closed database\."):
            use()


def test_failed_execute_leaves_cursor_usable(cursor: zodbapi.Cursor) -> None:
    with pytest.raises(zodbapi.OperationalError, match="no such table: missing"):
        cursor.execute("SELECT * FROM missing")
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]


# --- values -----------------------------------------------------------------------------------------------------------

VALUES = [
    ("INTEGER", -(2**63)),
    ("BIGINT", 2**63 - 1),
    ("REAL", 0.1),
    ("DECIMAL(20, 10)", decimal.Decimal("1234567890.0123456789")),
    ("TEXT", "Grüße \0 '\" \U0001f600"),
    ("BLOB", bytes(range(256))),
    ("BOOLEAN", True),
    ("DATE", datetime.date(1, 1, 1)),
    ("TIME", datetime.time(23, 59, 59, 999999)),
    ("TIMESTAMP", datetime.datetime(2024, 2, 29, 12, 30, 0, 1)),
    ("TIMESTAMP WITH TIME ZONE", datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)),
    ("INTERVAL", datetime.timedelta(days=-3, microseconds=7)),
    ("UUID", uuid.UUID(int=5)),
    ("", "anything"),
    ("INTEGER", None),
]


@pytest.mark.parametrize(("declared", "value"), VALUES)
def test_values_come_back(cursor: zodbapi.Cursor, declared: str, value: Any) -> None:
    cursor.execute(f"CREATE TABLE v (a {declared})")
    cursor.execute("INSERT INTO v VALUES (?)", (value,))
    (found,) = cursor.execute("SELECT a FROM v").fetchone()
    assert found == value
    assert type(found) is type(value)
    if value is not None:
        assert cursor.execute("SELECT count(*) FROM v WHERE a = ?", (value,)).fetchone() == (1,)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (2**63, OverflowError),
        (-(2**63) - 1, zodbapi.DataError),
        (object(), zodbapi.ProgrammingError),
        ({"a": 1}, zodbapi.ProgrammingError),
    ],
)
def test_values_that_no_column_can_hold(cursor: zodbapi.Cursor, value: Any, error: type[Exception]) -> None:
    for sql in ("INSERT INTO booze VALUES (?)", "SELECT ?", "SELECT * FROM booze WHERE name = ?"):
        with pytest.raises(error):
            cursor.execute(sql, (value,))
    assert cursor.execute("SELECT * FROM booze").fetchall() == []


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "sql", "parameters"),
    [
        ("qmark", "SELECT ?, ?", (1, "a")),
        ("qmark", "SELECT ?, ?", [1, "a"]),
        ("qmark", "SELECT :x, :y", {"x": 1, "y": "a"}),
        ("named", "SELECT $x, @y", {"x": 1, "y": "a", "unused": object()}),
        ("qmark", "SELECT ?2, ?1", ("a", 1)),
        ("format", "SELECT %s, %s", (1, "a")),
        ("pyformat", "SELECT %(x)s, %(y)s", {"x": 1, "y": "a"}),
        ("format", "SELECT %s, substr('%%a', 2)", (1,)),
    ],
)
def test_paramstyles(style: str, sql: str, parameters: Any) -> None:
    connection = zodbapi.connect(":memory:", paramstyle=style)
    for _ in range(2):
        assert connection.execute(sql, parameters).fetchall() == [(1, "a")]
    connection.close()


def test_format_style_without_parameters_takes_percent_as_it_is() -> None:
    connection = zodbapi.connect(":memory:", paramstyle="format")
    assert connection.execute("SELECT '100%', '%s', 7 % 4").fetchall() == [("100%", "%s", 3)]
    assert connection.execute("SELECT '100%%', 7 %% %s", (4,)).fetchall() == [("100%", 3)]
    connection.close()


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("SELECT ?", (), "The current statement uses 1, and there are 0 supplied."),
        ("SELECT ?", None, "The current statement uses 1, and there are 0 supplied."),
        ("SELECT ?", (1, 2), "The current statement uses 1, and there are 2 supplied."),
        ("SELECT 1", (1,), "The current statement uses 0, and there are 1 supplied."),
        ("SELECT :a", {"b": 1}, "You did not supply a value for binding parameter :a."),
        ("SELECT ?", {"a": 1}, "Binding 1 has no name, but you supplied a dictionary"),
        ("SELECT ?", 5, "parameters are of unsupported type"),
        ("SELECT ?", "abc", "The current statement uses 1, and there are 3 supplied."),
        ("SELECT 1; SELECT 2", (), "You can only execute one statement at a time."),
    ],
)
def test_wrong_parameters(cursor: zodbapi.Cursor, sql: str, parameters: Any, message: str) -> None:
    for _ in range(2):
        with pytest.raises(zodbapi.ProgrammingError) as caught:
            cursor.execute(sql, parameters)
        assert message in str(caught.value)


def test_text_must_be_str(cursor: zodbapi.Cursor) -> None:
    with pytest.raises(TypeError, match="must be str, not int"):
        cursor.execute(1)  # type: ignore[arg-type]


@pytest.mark.parametrize("sql", ["", "   ", ";", "-- nothing"])
def test_empty_statement(cursor: zodbapi.Cursor, sql: str) -> None:
    assert cursor.execute(sql).description is None


@pytest.mark.parametrize(
    ("sql", "parameters", "row"),
    [
        ("SELECT a FROM t WHERE a = ?", (7,), (7,)),
        ("SELECT a FROM t WHERE a = :x", {"x": 7}, (7,)),
        ("SELECT a FROM t WHERE a = %s", (7,), (7,)),
        ("SELECT a FROM t WHERE a = %(x)s", {"x": 7}, (7,)),
        ("SELECT '%s', %s", (1,), ("%s", 1)),
        ("SELECT a %s FROM t WHERE a = ?", (7,), (3,)),  # modulo, for there is another placeholder
        ("SELECT a %s FROM t", None, (3,)),
        ("SELECT a %s FROM t", (), (3,)),
    ],
)
def test_every_paramstyle_is_read(sql: str, parameters: Any, row: tuple[Any, ...]) -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER, s INTEGER)")
    connection.execute("INSERT INTO t VALUES (7, 4)")
    for _ in range(2):  # compiled, and from the cache
        assert connection.execute(sql, parameters).fetchone() == row
    connection.close()


def test_fetchmany_of_a_negative_number_gives_all() -> None:
    cursor = zodbapi.connect(":memory:").execute("VALUES (1), (2), (3)")
    assert cursor.fetchmany(1) == [(1,)]
    assert cursor.fetchmany(-1) == [(2,), (3,)]
