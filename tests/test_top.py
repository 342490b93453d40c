"""The first rows in an order of values that may be NULL, out of more rows than are kept meanwhile, against sqlite3."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sqlite_oracle import both_engines

ROWS = 4000


SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, some INTEGER, many REAL, few TEXT, day DATE, g INTEGER)"


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[Any, Any]]:
    rng = random.Random(7)
    day = datetime.date(2020, 1, 1)
    rows = [
        (
            i,
            None if rng.random() < 0.001 else rng.randint(1, 500),
            None if rng.random() < 0.9 else round(rng.uniform(-5, 5), 1),
            None if rng.random() < 0.999 else f"x{rng.randint(1, 9)}",
            None if rng.random() < 0.5 else (day + datetime.timedelta(days=rng.randint(0, 300))).isoformat(),
            rng.randint(1, 3),
        )
        for i in range(ROWS)
    ]
    with both_engines(SCHEMA) as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.commit()
        yield connections


COLUMNS = [
    "some",
    "many",
    "few",
    "day",
    "some + many",
    "few COLLATE NOCASE",
    "CASE g WHEN 1 THEN some WHEN 2 THEN few ELSE 5 END",
    "CASE WHEN g = 1 THEN 'b' WHEN some > 300 THEN NULL WHEN g = 2 THEN 3.5 ELSE 7 END",
    "CASE g WHEN 1 THEN 'B' WHEN 2 THEN 'a' WHEN 3 THEN few END COLLATE NOCASE",
]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("direction", ["", "DESC", "NULLS LAST", "DESC NULLS FIRST"])
def test_first_rows(connections: tuple[Any, Any], column: str, direction: str) -> None:
    for limit, offset, rest in itertools.product((1, 10, 700), (0, 15), ("id", "g DESC, id", "id DESC")):
        order = f"ORDER BY {column} {direction}, {rest} LIMIT {limit} OFFSET {offset}"
        for condition in ("", "WHERE g = 2 AND id > 300"):
            query = f"SELECT id, g FROM t {condition} {order}"
            theirs, ours = (connection.execute(query).fetchall() for connection in connections)
            assert ours == theirs, query
