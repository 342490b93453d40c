"""LIMIT and OFFSET over plain scans and ranges, which trees slice, against sqlite3."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sqlite_oracle import both_engines
from zodbapi.codegen.page import page

ROWS = 500


SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b TEXT);
CREATE INDEX t_a ON t (a);
CREATE TABLE empty (id INTEGER PRIMARY KEY, a INTEGER NOT NULL);
"""


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[Any, Any]]:
    rows = [(i * 3, (i * 7919) % ROWS, None if i % 5 == 0 else f"b{i}") for i in range(ROWS)]
    with both_engines(SCHEMA) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
            connection.commit()
        yield connections


LIMITS = (0, 1, 7, ROWS, ROWS * 2, -1, 2**63 - 1)
OFFSETS = (0, 1, 100, ROWS - 1, ROWS, ROWS * 3, -5, 2**63 - 1)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, b FROM t ORDER BY id",
        "SELECT id, b FROM t ORDER BY id DESC",
        "SELECT * FROM t ORDER BY id",
        "SELECT a FROM t ORDER BY a",
        "SELECT a, b, (SELECT count(*) FROM t u WHERE u.id < t.id AND u.a < 5) FROM t ORDER BY a DESC",
        "SELECT a, b || 'x' FROM t WHERE id > 300 AND id <= 900 ORDER BY id",
        "SELECT a, b FROM t WHERE a >= 450 ORDER BY a",
        "SELECT a, b FROM t WHERE id BETWEEN 90 AND 30 ORDER BY id",
        "SELECT id FROM t WHERE b IS NOT NULL ORDER BY id",
        "SELECT id FROM empty ORDER BY id",
    ],
)
@pytest.mark.parametrize("isolation", ["SNAPSHOT", "SERIALIZABLE"])
def test_pages(connections: tuple[Any, Any], query: str, isolation: str) -> None:
    theirs, ours = connections
    for limit, offset in itertools.product(LIMITS, OFFSETS):
        ours.commit()
        ours.execute(f"BEGIN ISOLATION LEVEL {isolation}")
        for form, params in ((f"LIMIT {limit} OFFSET {offset}", ()), ("LIMIT ? OFFSET ?", (limit, offset))):
            paged = f"{query} {form}"
            assert ours.execute(paged, params).fetchall() == theirs.execute(paged, params).fetchall(), (paged, params)
        inner = f"SELECT count(*), max(1) FROM ({query} LIMIT {limit})"
        assert ours.execute(inner).fetchall() == theirs.execute(inner).fetchall()
    ours.rollback()


def test_a_first_page_does_not_ask_for_the_length_of_a_tree() -> None:
    from BTrees.LOBTree import LOBTree

    class Counted:
        def __init__(self, items: Any) -> None:
            self.items, self.seen = items, 0

        def __iter__(self) -> Any:
            for item in self.items:
                self.seen += 1
                yield item

        def __getitem__(self, place: slice) -> Any:
            return self.items[place]

    tree = LOBTree({i: i for i in range(5000)})
    first = Counted(tree.keys())
    assert list(page(first, 10, None)) == list(range(10))
    assert first.seen == 10
    last = Counted(tree.keys())
    assert list(page(last, 10, 4995)) == list(range(4995, 5000))
    assert last.seen == 0
