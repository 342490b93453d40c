"""Deep statements work up to SQLite's limits, wherever on the stack they are run, and are a clear error above."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zodbapi

DEEP = {
    "union": (" UNION ".join(f"SELECT {i}" for i in range(500)), 500),
    "union all": (" UNION ALL ".join(f"SELECT {i % 7}" for i in range(300)), 300),
    "mixed compound": (" UNION ALL SELECT -1 UNION ".join(f"SELECT {i}" for i in range(100)), 101),
    "intersect": ("SELECT 1 " + "INTERSECT SELECT 1 " * 200, 1),
    "concatenation": ("SELECT " + " || ".join(["a"] * 500) + " FROM t", 1),
    "concatenated literals": ("SELECT " + " || ".join(["'x'"] * 500) + " FROM t", 1),
    "literals in a subquery": (
        "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.a || " + " || ".join(["'x'"] * 300) + " <> t.a)",
        1,
    ),
    "sum": ("SELECT " + " + ".join(["id"] * 900) + " FROM t", 1),
    "calls": ("SELECT " + "abs(" * 200 + "id" + ")" * 200 + " FROM t", 1),
    "not": ("SELECT " + "NOT " * 200 + "id FROM t", 1),
    "subqueries": ("SELECT * FROM " + "(SELECT * FROM " * 100 + "t" + ")" * 100, 1),
    "or": ("SELECT 1 FROM t WHERE " + " OR ".join(f"(id = {i} AND a = 'x')" for i in range(1500)), 1),
}
TOO_DEEP = {
    "terms": (" UNION ".join(["SELECT 1"] * 501), "too many terms in compound SELECT"),
    "sum": ("SELECT " + " + ".join(["1"] * 5000), "Expression tree is too large"),
    "brackets": ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "parser stack overflow"),
    "subqueries": ("SELECT * FROM " + "(SELECT * FROM " * 20_000 + "t" + ")" * 20_000, "parser stack overflow"),
    "calls": ("SELECT " + "abs(" * 5000 + "1" + ")" * 5000, "parser stack overflow"),
    "not": ("SELECT " + "NOT " * 5000 + "1", "parser stack overflow"),
    "open brackets": ("SELECT " + "(" * 20_000, "parser stack overflow"),
}


@pytest.fixture
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True, check_same_thread=False)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'x')")
    yield connection
    connection.close()


@pytest.mark.parametrize("name", DEEP)
def test_deep_statement(connection: zodbapi.Connection, name: str) -> None:
    sql, rows = DEEP[name]
    limit = sys.getrecursionlimit()
    assert len(connection.execute(sql).fetchall()) == rows
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize("name", TOO_DEEP)
def test_too_deep_statement(connection: zodbapi.Connection, name: str) -> None:
    sql, message = TOO_DEEP[name]
    with pytest.raises(zodbapi.OperationalError, match=message):
        connection.execute(sql)


def test_deep_schema(connection: zodbapi.Connection) -> None:
    long = " || ".join(["a"] * 300)
    connection.execute(
        f"CREATE TABLE d (a TEXT, b TEXT AS ({long}), c TEXT DEFAULT ({' || '.join(['1'] * 300)}), CHECK (length({long}) > 3))"
    )
    connection.execute(f"CREATE INDEX i ON d ({long})")
    connection.execute(f"CREATE VIEW v AS SELECT {long} AS x FROM d")
    connection.execute("INSERT INTO d (a) VALUES ('y')")
    assert connection.execute("SELECT b, c, x FROM d, v").fetchall() == [("y" * 300, "1" * 300, "y" * 300)]
    assert connection.execute("EXPLAIN SELECT x FROM v").fetchall()


def test_deep_in_a_caller_that_is_deep(connection: zodbapi.Connection) -> None:
    def descend(calls: int) -> int:
        return descend(calls - 1) if calls else len(connection.execute(DEEP["concatenation"][0]).fetchall())

    assert descend(sys.getrecursionlimit() // 2) == 1


def test_deep_in_many_threads() -> None:
    """The limit that one of them needs must not let another overrun its stack, which ends the process."""
    found: list[Any] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def start(work: Callable[[], Any]) -> threading.Thread:
        thread = threading.Thread(target=lambda: found.append(work()))
        thread.start()
        return thread

    def query(i: int) -> int:
        with zodbapi.connect(":memory:") as own:
            value: int = own.execute("SELECT " + " + ".join(["?", *["1"] * (400 + i)]), [i]).fetchone()[0]
        own.close()
        return value

    try:
        for number in range(0, 40, 8):
            for thread in [start(lambda i=i: query(i)) for i in range(number, number + 8)]:  # type: ignore[misc]
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(found) == list(range(400, 480, 2))
