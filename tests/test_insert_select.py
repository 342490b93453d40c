"""INSERT ... SELECT of many rows in one go leaves what inserting them one by one leaves, and what sqlite3 leaves."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import zodbapi
from tests.test_many_rows import COLUMNS, MET_TAILS, TAILS, VERBS, Side, fill, row_of, row_that_may_meet
from zodbapi.codegen import dml
from zodbapi.statement import STATEMENTS

Row = tuple[Any, ...]


class FedSide(Side):
    """A database that inserts what a query finds."""

    def __init__(self) -> None:
        super().__init__()
        self.connection.execute("CREATE TABLE feed (a, b, c, d, e, f, g)")

    def run_query(self, table: str, verb: str, tail: str, rows: list[Row]) -> list[Any]:
        """What can be seen of the outcome."""
        columns = COLUMNS[table]
        width = len(rows[0])
        self.connection.execute("DELETE FROM feed")
        self.connection.executemany(
            f"INSERT INTO feed VALUES ({', '.join('?' * 7)})", [r + (None,) * (7 - width) for r in rows]
        )
        cursor, error, found = self.connection.cursor(), "", None
        total = self.connection.total_changes
        try:
            shown = ", ".join("abcdefg"[:width])
            cursor.execute(f"{verb} INTO {table} ({columns}) SELECT {shown} FROM feed WHERE true ORDER BY rowid {tail}")
            found = cursor.fetchall() if "RETURNING" in tail else None
        except zodbapi.Error as failure:
            error = f"{type(failure).__name__}: {failure}"
        changes = self.connection.execute("SELECT changes(), last_insert_rowid()").fetchall()
        written = self.connection.total_changes - total
        return [error, found, cursor.rowcount, cursor.lastrowid, written, changes, *self.tables()]


def outcomes(monkeypatch: pytest.MonkeyPatch, fast: FedSide, slow: FedSide, *work: Any) -> tuple[list[Any], list[Any]]:
    """What comes of inserting in one go, and row by row."""
    found = []
    for side, limit in ((fast, 1), (slow, 10**9)):
        monkeypatch.setattr(dml, "WORTHWHILE", limit)
        STATEMENTS.clear()
        found.append(side.run_query(*work))
    STATEMENTS.clear()
    return found[0], found[1]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("in_transaction", [False, True])
def test_random_rows(seed: int, in_transaction: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    fast, slow = FedSide(), FedSide()
    for _ in range(8):
        table = rng.choice(list(COLUMNS))
        drawn = [row_of(table, rng, rng.choice((0, 0, 0.1, 1))) for _ in range(rng.choice((2, 5, 40, 200)))]
        rows = [tuple("too large" if value == 2**70 else value for value in row) for row in drawn]
        tail = rng.choice(TAILS[table])
        verb = "INSERT" if tail.startswith("ON") else rng.choice(VERBS)
        if in_transaction and not fast.connection.in_transaction:
            fast.connection.begin()
            slow.connection.begin()
        first, second = outcomes(monkeypatch, fast, slow, table, verb, tail, rows)
        assert first == second, (table, verb, tail, rows)


@pytest.mark.parametrize("seed", range(15))
def test_random_rows_that_meet_others(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    fast, slow = FedSide(), FedSide()
    for side in (fast, slow):
        fill(side.connection)
    for _ in range(8):
        table, often, given = rng.choice(("t", "t", *COLUMNS)), rng.choice((0.05, 0.5, 1)), rng.random() < 0.5
        rows = [row_that_may_meet(table, rng, often, given) for _ in range(rng.choice((4, 9, 25)))]
        verb, tail = rng.choice(
            (("INSERT", rng.choice(MET_TAILS[table])), ("INSERT OR REPLACE", ""), ("INSERT OR IGNORE", ""))
        )
        first, second = outcomes(monkeypatch, fast, slow, table, verb, tail, rows)
        assert first == second, (table, verb, tail, rows)


LIKE_SQLITE = """
    CREATE TABLE source (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL);
    CREATE TABLE up (id INTEGER PRIMARY KEY);
    CREATE TABLE t (
        id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT NOT NULL, c REAL CHECK (c <> 3), d TEXT DEFAULT 'x',
        e INTEGER GENERATED ALWAYS AS (a * 2), f INTEGER REFERENCES up, UNIQUE (b, c)
    );
    CREATE INDEX t_b ON t (b, a);
    CREATE INDEX t_part ON t (c) WHERE a > 5;
    INSERT INTO up VALUES (1), (2);
"""
STATEMENTS_LIKE_SQLITE = [
    "INSERT INTO t (a, b, c) SELECT a, b, c FROM source",
    "INSERT INTO t (a, b, c) SELECT a, b, c FROM source RETURNING id, a + ?, e",
    "INSERT INTO t (id, a, b, c, f) SELECT id + 7, a, b, c, 1 + (a > 25) FROM source",
    "INSERT INTO t (a, b, c, f) SELECT a, b, c, 3 FROM source",
    "INSERT INTO t (a, b, c) SELECT a + 100, upper(b), c FROM source GROUP BY a HAVING min(c) <> 3",
    "INSERT OR IGNORE INTO t (a, b, c) SELECT a % 9, b, c FROM source",
    "INSERT OR REPLACE INTO t (a, b, c) SELECT a % 9, b, c FROM source",
    "INSERT OR REPLACE INTO t (id, a, b, c) SELECT id, a + 200, b, c FROM source WHERE c <> 3",
    "INSERT OR REPLACE INTO t (id, a, b, c) SELECT id, a + ?, 'new ' || id, c FROM source WHERE id <> 3 AND c <> 3 RETURNING *",
    "INSERT INTO t (a, b, c) SELECT a, b, 7 FROM source WHERE true ON CONFLICT (a) DO UPDATE SET b = excluded.b || ?",
    "INSERT INTO t (a, b, c) SELECT a, b, 8 FROM source WHERE true ON CONFLICT (a) DO UPDATE SET b = 'same'",
    "INSERT INTO t (a, b, c) SELECT a, b, 9 FROM source WHERE true ON CONFLICT (a) DO UPDATE SET c = excluded.c WHERE t.a > ?",
    "INSERT INTO t (a, b, c) SELECT a + 1, b, 5 FROM t",
    "INSERT OR FAIL INTO t (a, b, c) SELECT a + 300, b, c FROM source",
    "DELETE FROM t WHERE id % 2",
]


def insert_everywhere(side: Any, integrity_error: type[Exception], seed: int) -> list[Any]:
    """What can be seen of the outcomes of the statements."""
    rng = random.Random(seed)
    side.executemany(
        "INSERT INTO source VALUES (?, ?, ?, ?)",
        [(i, i, f"b{i % 20}", float(rng.choice((i, 4, 3 if seed % 3 else 4)))) for i in range(50)],
    )
    outcome: list[Any] = []
    for sql in rng.choices(STATEMENTS_LIKE_SQLITE, k=10):
        error, rows = "", None
        try:
            cursor = side.execute(sql, (20,) if "?" in sql else ())
            rows = cursor.fetchall() if "RETURNING" in sql else cursor.rowcount
        except integrity_error as failure:
            error = str(failure).partition(":")[0]  # which of several constraints is looked at first is not defined
        outcome += [sql, error, rows, error or side.execute("SELECT changes()").fetchone()]
        outcome.append(side.execute("SELECT * FROM t ORDER BY id").fetchall())
    return outcome


@pytest.mark.parametrize("seed", range(15))
def test_as_sqlite3(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dml, "WORTHWHILE", 1)
    STATEMENTS.clear()
    ours = zodbapi.connect(":memory:", autocommit=True)
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    oracle.execute("PRAGMA foreign_keys = ON")
    for side in (ours, oracle):
        side.executescript(LIKE_SQLITE)
    expected = insert_everywhere(oracle, sqlite3.IntegrityError, seed)
    assert insert_everywhere(ours, zodbapi.IntegrityError, seed) == expected
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize(
    ("sql", "steps"),
    [
        ("INSERT INTO t (a, b, n) SELECT a, b, n FROM feed", 6),  # rows and five indexes
        ("INSERT INTO t (a, b, n) SELECT a, b, n FROM feed RETURNING id", 6),
        ("INSERT OR IGNORE INTO t (a, b, n) SELECT a, b, n FROM feed", 6),
        ("INSERT OR REPLACE INTO t (id, a, b, n) SELECT 1 + rowid, a, b, n FROM feed", 6),
        ("INSERT INTO t (id, a, b, n) SELECT 100 + rowid, a, b, n FROM feed", 6),
        (
            "INSERT INTO t (a, b, n) SELECT a, b, n FROM feed WHERE true ON CONFLICT (a, n) DO UPDATE SET b = 'c' || t.id",
            6,
        ),
    ],
)
def test_rows_are_written_in_one_go(sql: str, steps: int) -> None:
    side = zodbapi.connect(":memory:")
    side.executescript(
        "CREATE TABLE feed (a, b, n);"
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT UNIQUE, n INTEGER, UNIQUE (a, n));"
        "CREATE INDEX t_n ON t (n); CREATE INDEX t_b ON t (b, n); CREATE INDEX t_a ON t (a)"
    )
    side.executemany("INSERT INTO feed VALUES (?, ?, ?)", [(i, f"b{i}", i) for i in range(100)])
    side.commit()
    side.execute("BEGIN IMMEDIATE")
    side.execute(sql)
    assert len(side._txn.undo) == steps
    assert side.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    if "OR " in sql or "ON C" in sql:  # now all rows are there already
        side.execute(sql)
        assert len(side._txn.undo) <= 3 * steps
        assert side.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
