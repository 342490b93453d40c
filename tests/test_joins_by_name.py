"""Joins with USING and NATURAL: the common column is the left one, the right one of a RIGHT join, what there is for FULL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sqlite_oracle import both_engines

SCHEMA = """
CREATE TABLE a (i INTEGER, t TEXT, r REAL, x, n TEXT COLLATE NOCASE);
CREATE TABLE b (i TEXT, t INTEGER, r INTEGER, x TEXT, n TEXT);
CREATE TABLE c (i REAL, t TEXT, r, x INTEGER, n TEXT COLLATE NOCASE);
INSERT INTO a VALUES (1, '1', 1.0, 1, 'a'), (2, 'b', 2.5, '2', 'B'), (NULL, NULL, NULL, NULL, NULL);
INSERT INTO b VALUES ('1', 1, 1, '1', 'A'), ('3', 3, 3, 'c', 'b'), (NULL, NULL, NULL, NULL, NULL);
INSERT INTO c VALUES (1.0, '1', '1', 1, 'a'), (2.5, 'b', 2, 2, 'B'), (3.0, '3', 'x', 3, 'c');
"""


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Any, Any]]:
    with both_engines(SCHEMA) as connections:
        yield connections


def same(both: tuple[Any, Any], sql: str) -> None:
    expected, found = (
        sorted([[(type(value).__name__, value) for value in row] for row in connection.execute(sql)], key=repr)
        for connection in both
    )
    assert found == expected, sql


@pytest.mark.parametrize("kind", ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
@pytest.mark.parametrize("tables", ["ab", "ba", "bc", "cb", "ac"])
@pytest.mark.parametrize("column", list("itrxn"))
def test_a_common_column(both: tuple[Any, Any], kind: str, tables: str, column: str) -> None:
    left, right = tables
    join = f"FROM {left} {kind} {right} USING ({column})"
    for shown in ("*", column, f"{column}, {left}.{column}, {right}.{column}, typeof({column})"):
        for condition in ("", f"WHERE {column} > 1", f"WHERE {column} = '1'", f"WHERE {column} IN ('1', 'A', 3)"):
            same(both, f"SELECT {shown} {join} {condition}")
    same(both, f"SELECT count(*) {join} GROUP BY {column}")
    same(both, f"SELECT * FROM {left} NATURAL {kind} {right}")
