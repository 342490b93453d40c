"""Running totals over windows, against sqlite3 and the accumulators that make them where there is a FILTER."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import zodbapi
from tests.sqlite_oracle import both_engines

FRAMES = ("", "ROWS UNBOUNDED PRECEDING", "RANGE UNBOUNDED PRECEDING", "ROWS 2 PRECEDING", "GROUPS UNBOUNDED PRECEDING")
WINDOWS = ("ORDER BY id", "ORDER BY k", "PARTITION BY k ORDER BY n, id", "PARTITION BY k ORDER BY n", "PARTITION BY n")


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[Any, Any]]:
    rows = [
        (i, "abc"[i % 3], i % 7 if i % 5 else None, (i % 11 - 4) / 8, str(i) if i % 2 else "x", i % 13 - 5)
        for i in range(60)
    ]
    with both_engines(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT, n INTEGER, r REAL, s TEXT, m INTEGER NOT NULL)"
    ) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
        yield connections


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("call", ["count(*)", "count({})", "sum({})", "avg({})", "total({})", "max({})"])
def test_numbers(connections: tuple[Any, Any], call: str, window: str) -> None:
    for column, frame in itertools.product(("n", "r", "m", "s", "m * 0.5"), FRAMES):
        aggregate = call.format(column)
        query = f"SELECT id, {aggregate} OVER ({window} {frame}) FROM t ORDER BY id"
        theirs, ours = (connection.execute(query).fetchall() for connection in connections)
        assert ours == theirs, query
        filtered = f"SELECT id, {aggregate} FILTER (WHERE 1) OVER ({window} {frame}) FROM t ORDER BY id"
        assert repr(ours) == repr(connections[1].execute(filtered).fetchall()), query


def test_an_overflow_is_an_error_where_it_is_shown() -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE big (id INTEGER PRIMARY KEY, n INTEGER)")
    connection.executemany("INSERT INTO big (n) VALUES (?)", [(2**62,), (2**62,), (-(2**62),)])
    with pytest.raises(zodbapi.OperationalError, match="integer overflow"):
        connection.execute("SELECT sum(n) OVER (ORDER BY id) FROM big").fetchall()
    assert connection.execute("SELECT sum(n) OVER (ORDER BY 1) FROM big").fetchall() == [(2**62,)] * 3


@pytest.mark.parametrize("call", ["sum({})", "avg({})", "count({})"])
def test_other_classes(call: str) -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, d DECIMAL(9, 2), i INTERVAL, x, b BOOLEAN, e REAL)")
    some: list[Any] = [1, 0.5, Decimal("1.5"), "7", None, float("inf")]
    rows = [
        (Decimal(i) / 4, datetime.timedelta(hours=i), some[i % 6], i % 2 == 0, float("inf") if i == 9 else 1.5)
        for i in range(20)
    ]
    connection.executemany("INSERT INTO t (d, i, x, b, e) VALUES (?, ?, ?, ?, ?)", rows)
    for column in ("d", "i", "x", "b", "e", "d + 1"):
        query = "SELECT {0} OVER (ORDER BY id) FROM t"
        found, expected = (
            connection.execute(query.format(call.format(column) + suffix)).fetchall()
            for suffix in ("", " FILTER (WHERE 1)")
        )
        assert repr(found) == repr(expected), column
