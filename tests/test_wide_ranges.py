"""Ranges of an index that may be wide: the same program finds the same rows through the index and among all rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree, OOTreeSet

import zodbapi
from tests.unoptimised import answer, answer_as_bound, plan
from zodbapi.codegen.wide_ranges import WORTH_ASKING, found_items, found_rows
from zodbapi.storage.stats import place_of

ROWS = 1500


@pytest.fixture(scope="module")
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT COLLATE NOCASE NOT NULL, n INTEGER, k REAL, v TEXT, f BOOLEAN)"
    )
    connection.execute("CREATE TABLE u (code TEXT PRIMARY KEY, n INTEGER NOT NULL, v)")
    for index in ("t (s)", "t (n)", "t (n, k)", "t (f, n)", "u (n)"):
        connection.execute(f"CREATE INDEX {index.translate(str.maketrans('', '', ' (),'))} ON {index}")
    rng = random.Random(3)
    words = ["Done"] * 60 + ["done"] * 10 + ["new"] * 2 + ["Open"] * 27 + ["rare"]
    for i in range(ROWS):
        n = rng.choice((None, 7, 7, rng.randint(-50, 50), rng.randint(0, 10**6)))
        row = (
            i,
            rng.choice(words),
            n,
            rng.choice((None, 0.5, rng.random())),
            f"v{i % 40}",
            rng.choice((None, True, False)),
        )
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO u VALUES (?, ?, ?)", (f"c{i}", row[2] or 0, row[4]))
    yield connection
    connection.close()


QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT id, v FROM t WHERE s = ?", [("done",), ("RARE",), ("none",), (None,)]),
    ("SELECT id, v FROM t WHERE n = ? AND k > ?", [(7, 0.1), (7, 0.999), (8, 0), (None, 1)]),
    ("SELECT id, v FROM t WHERE n > ?", [(-60,), (999_000,), (7,), (None,), (7.5,), ("6",)]),
    ("SELECT id, v FROM t WHERE n BETWEEN ? AND ?", [(-50, 10**6), (7, 7), (5, 4), (None, 4), (8, 20)]),
    ("SELECT id, v FROM t WHERE n <= ? AND v <> 'v3'", [(0,), (10**6,), (-51,)]),
    ("SELECT round(sum(k), 6), count(v), min(v) FROM t WHERE n >= ?", [(0,), (500_000,), (10**7,)]),
    ("SELECT v, count(*), round(sum(k), 6) FROM t WHERE s = ? GROUP BY v", [("done",), ("new",)]),
    ("SELECT id, v FROM t WHERE f AND n > ?", [(-60,), (999_000,), (None,)]),
    ("SELECT id, v FROM t WHERE NOT f AND n <= ?", [(0,), (10**6,)]),
    ("SELECT rowid, code, v FROM u WHERE n > ?", [(-60,), (999_000,)]),
    ("SELECT a.id, a.v, b.v FROM t a JOIN u b ON b.code = 'c' || a.id WHERE a.n < ?", [(10,), (-49,)]),
]


@pytest.mark.parametrize(("sql", "calls"), QUERIES, ids=[sql for sql, _ in QUERIES])
def test_any_parameters_find_the_same_rows(
    connection: zodbapi.Connection, sql: str, calls: list[tuple[Any, ...]]
) -> None:
    lines = plan(connection, sql, calls[0])
    assert any(line.endswith("OR SCAN") for line in lines), lines
    for params in calls + calls[::-1]:
        assert answer(connection, sql, params) == answer_as_bound(connection, sql, params), params


ORDERED = [
    "SELECT id, v FROM t WHERE n > ? ORDER BY n LIMIT 5",
    "SELECT id, v FROM t WHERE n > ? LIMIT 5",
    "SELECT v FROM t WHERE id = ?",
    "SELECT id FROM t WHERE n > ?",
    "SELECT count(*) FROM t WHERE n > ?",
    "SELECT count(*) FROM t a JOIN t b ON b.n = a.n AND b.v = a.v WHERE a.id < ?",
    "SELECT DISTINCT n FROM t WHERE n > ? ORDER BY n",
]


@pytest.mark.parametrize("sql", ORDERED)
def test_what_needs_the_entries_reads_them(connection: zodbapi.Connection, sql: str) -> None:
    assert not any("OR SCAN" in line for line in plan(connection, sql, (5,)))


class Snapshot:
    """As much of a transaction as the functions ask for."""

    def part_between(self, tree: Any, low: Any, high: Any) -> float:
        return place_of(tree, high) - place_of(tree, low)


@pytest.mark.parametrize("size", [0, 5, WORTH_ASKING - 1, WORTH_ASKING + 1, 1500, 20_000])
@pytest.mark.parametrize("keyed", [False, True])
def test_a_wide_range_gives_all_rows(size: int, keyed: bool) -> None:
    rows: Any = LOBTree({i: (i,) for i in range(20_000)})
    tree: Any = OOBTree({(i,): i for i in range(20_000)}) if keyed else OOTreeSet((i, i) for i in range(20_000))
    found = list(found_rows(Snapshot(), tree, rows, keyed, (0,), (size - 0.5,)))
    expected = list(rows.values()) if size == 20_000 else [(i,) for i in range(size)]
    assert found == expected
    items = list(found_items(Snapshot(), tree, rows, keyed, (0,), (size - 0.5,)))
    assert items == [(row[0], row) for row in expected]
