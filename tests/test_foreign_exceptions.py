"""Nothing but PEP 249's exceptions leaves the driver, whatever the values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

import zodbapi
from tests.random_hostile import SCHEMA, HostileStatements


@pytest.mark.parametrize("seed", range(4))
def test_random_statements(seed: int) -> None:
    statements = HostileStatements(seed)
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute(SCHEMA)
    for _ in range(400):
        sql = statements.statement()
        try:
            connection.execute(sql, statements.parameters).fetchmany(100)
        except zodbapi.InternalError:
            raise
        except zodbapi.Error:
            pass
        statements.parameters.clear()
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize(
    ("sql", "value", "error"),
    [
        ("UPDATE t SET m = ?", dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=14))), zodbapi.DataError),
        ("UPDATE t SET d = ?", Decimal("1E+5000"), zodbapi.DataError),
        ("SELECT -h FROM t", None, zodbapi.DataError),
        ("UPDATE t SET g = ?", dt.time(1, tzinfo=dt.UTC), zodbapi.ProgrammingError),
        ("UPDATE t SET b = ?", float("inf"), zodbapi.DataError),
    ],
)
def test_value_out_of_range(sql: str, value: Any, error: type[Exception]) -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute(SCHEMA)
    connection.execute("INSERT INTO t (h) VALUES (?)", [dt.timedelta.max])
    with pytest.raises(error):
        connection.execute(sql, [value] if "?" in sql else ())
    assert connection.in_transaction, "the transaction is unharmed"
    connection.close()


@pytest.mark.parametrize("bound", [float("inf"), float("-inf")])
@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "=", "<>"])
def test_rowid_and_infinity(bound: float, operator: str) -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (-5), (5)")
    count = connection.execute(f"SELECT count(*) FROM t WHERE id {operator} ?", [bound]).fetchone()[0]
    assert count == (2 if operator == "<>" or (operator[0] == "<") is (bound > 0) and operator != "=" else 0)
    connection.close()
