"""INSERT with many rows of placeholders: it runs the program for one row, and must give what a program for all gives."""

from typing import Any

import pytest

import zodbapi

ROWS = ("x", 1, "y", 2, "z", 3)
MANY = "(?, ?), (?, ?), (?, ?)"


@pytest.fixture
def connection() -> zodbapi.Connection:
    opened = zodbapi.connect(":memory:", autocommit=True)
    opened.execute(
        'CREATE TABLE note (id INTEGER PRIMARY KEY AUTOINCREMENT, "the text" TEXT UNIQUE, n INTEGER CHECK (n > 0))'
    )
    return opened


def rows_of(connection: zodbapi.Connection) -> list[Any]:
    return connection.execute("SELECT * FROM note ORDER BY id").fetchall()


@pytest.mark.parametrize("style", ["?", "%s"])
def test_all_rows_are_counted_and_returned(connection: zodbapi.Connection, style: str) -> None:
    connection.paramstyle = "qmark" if style == "?" else "format"
    sql = f'INSERT INTO note ("the text", n) VALUES {MANY} RETURNING id, "the text"'.replace("?", style)
    cursor = connection.execute(sql, ROWS)
    assert cursor.fetchall() == [(1, "x"), (2, "y"), (3, "z")]
    assert (cursor.rowcount, cursor.lastrowid, connection.total_changes) == (3, 3, 3)


def test_a_row_that_fails_leaves_none(connection: zodbapi.Connection) -> None:
    with pytest.raises(zodbapi.IntegrityError, match="CHECK"):
        connection.execute(f'INSERT INTO note ("the text", n) VALUES {MANY}', ("x", 1, "y", 2, "z", 0))
    assert rows_of(connection) == []


def test_conflicts(connection: zodbapi.Connection) -> None:
    connection.execute(f'INSERT INTO note ("the text", n) VALUES {MANY}', ROWS)
    assert connection.execute(f'INSERT OR IGNORE INTO note ("the text", n) VALUES {MANY}', ROWS).rowcount == 0
    upsert = (
        f'INSERT INTO note ("the text", n) VALUES {MANY} ON CONFLICT ("the text") DO UPDATE SET n = excluded.n * 10'
    )
    assert connection.execute(upsert, ROWS).rowcount == 3
    assert rows_of(connection) == [(1, "x", 10), (2, "y", 20), (3, "z", 30)]


def test_the_number_of_parameters_is_checked(connection: zodbapi.Connection) -> None:
    with pytest.raises(zodbapi.ProgrammingError, match="uses 6, and there are 5 supplied"):
        connection.execute(f'INSERT INTO note ("the text", n) VALUES {MANY}', ROWS[:5])


@pytest.mark.parametrize(
    "values",
    [
        "(?, ?), (?, ?), ('z', 3)",
        "(?, ?), ('z', 3), (?, ?)",
        "(?, ?), (?, ?), (upper('z'), ?)",
    ],
)
def test_rows_that_are_not_alike(connection: zodbapi.Connection, values: str) -> None:
    count = values.count("?")
    connection.execute(f'INSERT INTO note ("the text", n) VALUES {values}', ("x", 1, "y", 2, 3)[:count])
    assert len(rows_of(connection)) == 3


def test_the_text_of_a_name_is_no_row(connection: zodbapi.Connection) -> None:
    connection.execute('CREATE TABLE odd ("a) VALUES (?), (?" TEXT)')
    connection.execute('INSERT INTO odd ("a) VALUES (?), (?") VALUES (?), (?)', ("x", "y"))
    assert connection.execute("SELECT * FROM odd").fetchall() == [("x",), ("y",)]
