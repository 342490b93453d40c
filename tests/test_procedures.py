"""Stored procedures: statements under a name, in the schema like everything else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import zodbapi


@pytest.fixture
def connection() -> Iterator[zodbapi.Connection]:
    opened = zodbapi.connect(":memory:", autocommit=True)
    opened.execute("CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER CHECK (balance >= 0))")
    opened.execute("INSERT INTO account VALUES ('a', 10), ('b', 0)")
    opened.execute(
        "CREATE PROCEDURE transfer (source TEXT, target TEXT, amount INTEGER) AS '"
        "UPDATE account SET balance = balance + :amount WHERE name = :target;"
        "UPDATE account SET balance = balance - :amount WHERE name = :source'"
    )
    yield opened
    opened.close()


def balances(connection: zodbapi.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT name, balance FROM account").fetchall())


def test_call(connection: zodbapi.Connection) -> None:
    connection.execute("CALL transfer('a', ?, 1 + ?)", ("b", 2))
    assert balances(connection) == {"a": 7, "b": 3}
    assert connection.cursor().callproc("Transfer", ["b", "a", 1]) == ["b", "a", 1]
    assert balances(connection) == {"a": 8, "b": 2}
    connection.cursor().callproc("transfer", ["a"], {"AMOUNT": 3, "target": "b"})
    assert balances(connection) == {"a": 5, "b": 5}
    with pytest.raises(zodbapi.ProgrammingError, match="no parameter nobody"):
        connection.cursor().callproc("transfer", [], {"nobody": 1})


def test_a_call_that_fails_leaves_nothing(connection: zodbapi.Connection) -> None:
    with pytest.raises(zodbapi.IntegrityError):
        connection.execute("CALL transfer('a', 'b', 11)")
    assert balances(connection) == {"a": 10, "b": 0}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CALL nothing()", "no such procedure: nothing"),
        ("CALL transfer('a')", "wrong number of arguments to procedure transfer"),
        ("CREATE PROCEDURE transfer () AS 'SELECT 1'", "procedure transfer already exists"),
        ("CREATE PROCEDURE broken () AS 'SELEKT 1'", "syntax error"),
        ("CREATE PROCEDURE unquoted () AS SELECT 1", "syntax error"),
        ("DROP PROCEDURE nothing", "no such procedure: nothing"),
    ],
)
def test_errors(connection: zodbapi.Connection, sql: str, message: str) -> None:
    with pytest.raises(zodbapi.DatabaseError, match=message):
        connection.execute(sql)


def test_a_procedure_cannot_commit(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE PROCEDURE finish () AS 'COMMIT'")
    with pytest.raises(zodbapi.OperationalError, match="cannot begin or end transactions"):
        connection.execute("CALL finish()")


def test_replace_and_drop(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE OR REPLACE PROCEDURE transfer () AS 'DELETE FROM account'")
    connection.execute("CALL transfer()")
    assert balances(connection) == {}
    connection.execute("DROP PROCEDURE transfer")
    connection.execute("DROP PROCEDURE IF EXISTS transfer")


def test_ddl_rolls_back(connection: zodbapi.Connection) -> None:
    connection.begin()
    connection.execute("DROP PROCEDURE transfer")
    connection.rollback()
    connection.execute("CALL transfer('a', 'b', 1)")


def test_procedures_are_stored_and_dumped(connection: zodbapi.Connection, tmp_path: Path) -> None:
    path = str(tmp_path / "bank.fs")
    with zodbapi.connect(path) as copy:
        connection.backup(copy)
    copy.close()
    again = zodbapi.connect(path, autocommit=True)
    again.execute("CALL transfer('a', 'b', 1)")
    assert balances(again) == {"a": 9, "b": 1}
    again.close()
    assert any(
        line.startswith('CREATE PROCEDURE "transfer" ("source", "target", "amount") AS ')
        for line in connection.iterdump()
    )


def test_a_function_is_called_as_a_procedure(connection: zodbapi.Connection) -> None:
    cursor = connection.cursor()
    assert list(cursor.callproc("lower", ("FOO",))) == ["FOO"]
    assert cursor.fetchall() == [("foo",)]
    connection.create_function("twice", 1, lambda n: n * 2)
    cursor.callproc("twice", [21])
    assert cursor.fetchone() == (42,)
    with pytest.raises(zodbapi.OperationalError, match="no such procedure: missing"):
        cursor.callproc("missing", [1])
