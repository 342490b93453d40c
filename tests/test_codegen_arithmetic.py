"""Operations of columns and parameters of all classes against sqlite3, with and without the optimizer."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import zodbapi
from tests.sqlite_oracle import both_engines
from zodbapi import values

NUMBERS = [None, 0, 1, -1, 7, -7, 2, 0x7FFFFFFFFFFFFFFF, -0x8000000000000000, 0.5, -2.5, 0.0, 1e308, "3", "x", b"1"]
SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, r REAL, m INTEGER NOT NULL)"


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[Any, Any]]:
    rows = [(n, i, r, i or 3) for n, (i, r) in enumerate(itertools.product(
        [None, 0, 1, -1, 7, -7, 2**63 - 1, -(2**63)], [None, 0.0, 0.5, -2.5, 1e308])
    )]  # fmt: skip
    with both_engines(SCHEMA) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        yield connections


def check(connections: tuple[Any, Any], sql: str, *params: object) -> None:
    theirs, ours = (connection.execute(sql, params).fetchall() for connection in connections)
    assert list(map(repr, ours)) == list(map(repr, theirs)), (sql, params)


@pytest.mark.parametrize("op", ["+", "-", "*", "/", "%"])
def test_values(connections: tuple[Any, Any], op: str) -> None:
    for left, right in itertools.product(["i", "r", "m", "3", "-2", "0", "1.5"], repeat=2):
        check(connections, f"SELECT id, {left} {op} {right} FROM t WHERE {op!r} != '%' OR {left} {op} {right} IS NOT 9")
    for column, value in itertools.product(["i", "r", "m"], NUMBERS):
        check(connections, f"SELECT id, {column} {op} ? FROM t", value)
        check(connections, f"SELECT id, ? {op} {column} FROM t", value)


@pytest.mark.parametrize("op", ["=", "<", ">=", "<>"])
def test_comparisons_with_what_may_be_no_number(connections: tuple[Any, Any], op: str) -> None:
    for column, other, value in itertools.product(["i", "r", "m"], ["i + ?", "m / ?", "nullif(?, r)"], NUMBERS):
        check(connections, f"SELECT id FROM t WHERE {column} {op} {other}", value)
        check(connections, f"SELECT id FROM t WHERE NOT ({other} {op} {column})", value)


@pytest.mark.parametrize("call", ["count(*)", "count({})", "sum({})", "avg({})", "min({})", "max({})", "total({})"])
def test_one_aggregate_of_all_rows(connections: tuple[Any, Any], call: str) -> None:
    for column, test in itertools.product(["m % 100", "r / 1e10", "id"], ["1", "i > 0", "r < 1 AND i", "id < 0"]):
        check(connections, f"SELECT {call.format(column)} FROM t WHERE {test}")
        check(connections, f"SELECT {call.format(column)} FILTER (WHERE {test}) FROM t")
        check(connections, f"SELECT {test}, {call.format(column)}, count(*) FROM t GROUP BY {test} ORDER BY 1")


def test_the_negation_of_the_smallest_integer_is_a_float() -> None:
    sql = "SELECT -(-9223372036854775808), - -9223372036854775808, -(9223372036854775808), -'9223372036854775808'"
    assert zodbapi.connect(":memory:").execute(sql).fetchone() == sqlite3.connect(":memory:").execute(sql).fetchone()


SOME = [None, 3, -7, 2**62, 0.5, "x"]


def test_operations_inside_operations(connections: tuple[Any, Any]) -> None:
    forms = (
        "i * ? + ?",
        "(m + ?) * i - ?",
        "r * ? - i * ?",
        "? - (i - ?)",
        "(i * ? + m) / ?",
        "(i + m) % ? * ?",
        "i / ? + ?",
    )
    for form, left, right in itertools.product(forms, SOME, SOME):
        check(connections, f"SELECT id, {form} FROM t", left, right)
        for test in (f"m > {form}", f"{form} = i", f"NOT (r <= {form})"):
            check(connections, f"SELECT id FROM t WHERE {test}", left, right)


def test_operations_inside_operations_on_decimals() -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE d (id INTEGER PRIMARY KEY, x DECIMAL(9, 2), i INTEGER, r REAL)")
    numbers = [None, Decimal("1.10"), Decimal("-3.00")]
    rows = list(itertools.product(numbers, [None, 7, 2**63 - 1], [None, 0.5]))
    connection.executemany("INSERT INTO d (x, i, r) VALUES (?, ?, ?)", rows)
    forms = {
        "x * ? + ?": lambda x, i, r, p, q: values.add(values.mul(x, p), q),
        "(i * ? + ?) - x": lambda x, i, r, p, q: values.sub(values.add(values.mul(i, p), q), x),
        "x * (i + ?) * ?": lambda x, i, r, p, q: values.mul(values.mul(x, values.add(i, p)), q),
        "(x - ?) * r - ?": lambda x, i, r, p, q: values.sub(values.mul(values.sub(x, p), r), q),
    }
    for (form, compute), p, q in itertools.product(forms.items(), [None, 3, 0.5, Decimal("0.3")], [2, Decimal("0.3")]):
        expected = [compute(*row, p, q) for row in rows]
        found = connection.execute(f"SELECT {form} FROM d", (p, q)).fetchall()
        assert list(map(repr, found)) == [repr((value,)) for value in expected], (form, p, q)
        for test, passes in (("x < {}", values.lt), ("x = {}", values.eq), ("x >= {}", values.ge)):
            found = connection.execute(f"SELECT id FROM d WHERE {test.format(form)}", (p, q)).fetchall()
            kept = [
                (n,)
                for n, (row, value) in enumerate(zip(rows, expected, strict=True), 1)
                if row[0] is not None and value is not None and passes(row[0], value)
            ]
            assert found == kept, (test, form, p, q)
