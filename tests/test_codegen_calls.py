"""Calls in generated code: patterns against sqlite3, as literals and as parameters."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import zodbapi
from tests.sqlite_oracle import both_engines

TEXTS = [
    "",
    "a",
    "A",
    "Red Book",
    "red book",
    "xxREDxx",
    "é red",
    "É",
    "İstanbul",
    "\u212a",
    "k",
    "100%",
    "a_b",
    "re\nd",
    None,
]
PATTERNS = [
    "%red%", "%RED%", "red%", "RED B%", "%ed", "%", "", "%%", "%é%", "%k%", "\u212a%", "%\\%%", "%a_b%", "r%d", "%i%",
    "%\u212a%", "%İ%", "%É%", "É%", "%Book", "%0\\%", "%É", "%d", "RED BOOK", "k", "K", "\u212a", "é", "%00%", "1%", "%0%",
    "%K", "% %", None,
]  # fmt: skip


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[Any, Any]]:
    with both_engines("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, y TEXT NOT NULL)") as connections:
        for connection in connections:
            connection.executemany("INSERT INTO t (x, y) VALUES (?, ?)", [(text, text or "red") for text in TEXTS])
        yield connections


@pytest.mark.parametrize("column", ["x", "y"])
def test_like(connections: tuple[Any, Any], column: str) -> None:
    forms = "{0} LIKE ?", "{0} NOT LIKE ?", "({0} LIKE ?) IS NULL", "{0} LIKE ? ESCAPE '\\'", "{0} || 'd' LIKE ?"
    for form, pattern in itertools.product(forms, PATTERNS):
        query = f"SELECT id FROM t WHERE {form.format(column)}"
        theirs, ours = (connection.execute(query, [pattern]).fetchall() for connection in connections)
        assert ours == theirs, (query, pattern)


@pytest.mark.parametrize("function", ["CLIKE", "ILIKE"])
def test_patterns_known_before_and_row_by_row(connections: tuple[Any, Any], function: str) -> None:
    _, ours = connections
    for pattern in PATTERNS:
        once = ours.execute(f"SELECT id FROM t WHERE x {function} ?", [pattern]).fetchall()
        each = ours.execute(f"SELECT id FROM t WHERE x {function} CASE WHEN id > 0 THEN ? END", [pattern]).fetchall()
        assert once == each, pattern


def test_counting_distinct_values(connections: tuple[Any, Any]) -> None:
    for query in (
        "SELECT count(DISTINCT x) FROM t", "SELECT count(DISTINCT x COLLATE NOCASE) FROM t WHERE x < 'z'",
        "SELECT count(DISTINCT length(x)) FROM t WHERE id < 0", "SELECT count(DISTINCT y) FILTER (WHERE id > 3) FROM t",
    ):  # fmt: skip
        theirs, ours = (connection.execute(query).fetchall() for connection in connections)
        assert ours == theirs, query


def test_unfolded_characters_come_from_no_other() -> None:
    plain = {chr(code) for code in range(128) if not chr(code).isalpha()}
    folded = {c: c.casefold() + c.lower() for c in map(chr, range(sys.maxunicode + 1))}
    assert not [c for c, becomes in folded.items() if c not in plain and not plain.isdisjoint(becomes)]
    assert all(set(folded[c]) == {c} for c in plain)


def test_functions_of_texts(connections: tuple[Any, Any]) -> None:
    query = "SELECT id, length(x), length(y), lower(y), upper(y) FROM t WHERE x IS NULL OR (x >= ' ' AND x < 'z')"
    theirs, ours = (connection.execute(query).fetchall() for connection in connections)
    assert ours == theirs


@pytest.mark.parametrize("columns", list(itertools.product(["i", "r", "d", "n", "s", "c"], repeat=2)), ids="-".join)
def test_extremes_of_two(columns: tuple[str, str]) -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute(
        "CREATE TABLE t (i INTEGER, r REAL, d DECIMAL(5, 1), n INTEGER NOT NULL, s TEXT, c TEXT NOT NULL)"
    )
    numbers = [None, 1, 2]
    rows = itertools.product(
        numbers, [None, 1.0, 1.5], [None, Decimal("1.0"), Decimal("1.5")], [1, 2], [None, "a"], "ab"
    )
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", list(rows))
    for function in ("greatest", "least", "max", "min"):
        a, b = columns
        for left, right in ((a, b), (f"nullif({a}, 2)", f"nullif({b}, 1)")):
            # With three arguments nothing depends on the classes of the columns.
            query = f"SELECT {function}({left}, {right}), {function}({left}, {right}, {right}) FROM t"
            for found, expected in connection.execute(query):
                assert repr(found) == repr(expected), (query, found, expected)
