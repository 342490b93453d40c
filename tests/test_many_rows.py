"""Writing many rows in one go leaves what writing them row by row leaves, and fails as that does."""

from __future__ import annotations

import random
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

import zodbapi
from tests.interrupts import interrupted
from zodbapi import compiled
from zodbapi.codegen import dml
from zodbapi.statement import STATEMENTS

SCHEMA = """
    CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
    INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c');
    CREATE TABLE t (
        id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b TEXT COLLATE NOCASE UNIQUE, price DECIMAL(5, 2), n INTEGER,
        double INTEGER GENERATED ALWAYS AS (n * 2) STORED, pid INTEGER REFERENCES parent,
        code TEXT REFERENCES parent (code) DEFERRABLE INITIALLY DEFERRED,
        CHECK (n <> 13), UNIQUE (a, n)
    );
    CREATE INDEX t_n ON t (n DESC, a);
    CREATE INDEX t_part ON t (price) WHERE n > 5;
    CREATE INDEX t_expr ON t (lower(b), a + n);
    CREATE TABLE plain (word TEXT, n INTEGER, at TIMESTAMP);
    CREATE UNIQUE INDEX plain_word ON plain (word) WHERE n < 8;
    CREATE TABLE tree (id INTEGER PRIMARY KEY AUTOINCREMENT, up INTEGER REFERENCES tree);
    CREATE TABLE key (n INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED, id INTEGER PRIMARY KEY);
"""
COLUMNS = {"t": "id, a, b, price, n, pid, code", "plain": "word, n, at", "tree": "id, up", "key": "n, id"}


def row_of(table: str, rng: random.Random, wild: float) -> tuple[Any, ...]:
    """A row that is likely to be good, or, when it is to be wild, is not."""
    is_wild = rng.random() < wild
    number = rng.randint(1, 10**6)
    match table:
        case "t":
            rowid = rng.choice((None, number, rng.randint(1, 30))) if is_wild else None
            b = rng.choice(("Word", "wOrd", None, number)) if is_wild else f"b{number}"
            n = rng.choice((13, None, "x", 2**70, 4)) if is_wild else rng.randint(20, 10**6)
            pid = rng.choice((1, 2, None, 99)) if is_wild else 3
            code = rng.choice(("a", None, "zz")) if is_wild else "b"
            return (rowid, rng.choice((None, 1, 2)) if is_wild else number, b, Decimal("1.239"), n, pid, code)
        case "plain":
            word = rng.choice(("w", "x", None)) if is_wild else f"w{number}"
            return (word, rng.randint(1, 20), rng.choice(("2020-01-01 10:00", None, "nonsense" if is_wild else None)))
        case "tree":
            return (rng.choice((None, number)) if is_wild else None, rng.choice((None, 1, 2)) if is_wild else None)
        case _:
            return (rng.randint(1, 50) if is_wild else number, rng.choice((None, number)) if is_wild else None)


class Side:
    """A database that inserts in one go, or never does."""

    def __init__(self) -> None:
        self.connection = zodbapi.connect(":memory:", autocommit=True)
        self.connection.executescript(SCHEMA)

    def run(self, many: bool, table: str, verb: str, tail: str, rows: list[tuple[Any, ...]]) -> list[Any]:
        """What can be seen of the outcome."""
        columns = COLUMNS[table]
        marks = f"({', '.join('?' * len(rows[0]))})"
        cursor = self.connection.cursor()
        error = ""
        found = None
        try:
            if many:
                cursor.executemany(f"{verb} INTO {table} ({columns}) VALUES {marks} {tail}", rows)
            else:
                flat = [value for row in rows for value in row]
                cursor.execute(f"{verb} INTO {table} ({columns}) VALUES {', '.join([marks] * len(rows))} {tail}", flat)
                found = cursor.fetchall() if "RETURNING" in tail else None
        except zodbapi.Error as failure:
            error = f"{type(failure).__name__}: {failure}"
        changes = self.connection.execute("SELECT changes(), last_insert_rowid()").fetchall()
        return [error, found, cursor.rowcount, cursor.lastrowid, self.connection.total_changes, changes, *self.tables()]

    def tables(self) -> list[Any]:
        """All there is."""
        queries = [f"SELECT rowid, * FROM {table} ORDER BY rowid" for table in COLUMNS]
        queries.append("PRAGMA integrity_check")
        return [self.connection.execute(query).fetchall() for query in queries]


VERBS = ("INSERT", "INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "INSERT OR FAIL", "INSERT OR ROLLBACK")
TAILS = {
    "t": ("", "RETURNING id, b, double", "ON CONFLICT (b) DO UPDATE SET a = excluded.a + 1", "ON CONFLICT DO NOTHING"),
    "plain": ("", "RETURNING rowid, upper(word)"),
    "tree": ("", "RETURNING id"),
    "key": ("", "RETURNING n + 1, (SELECT count(*) FROM key)"),
}


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("in_transaction", [False, True])
def test_random_rows(seed: int, in_transaction: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    fast, slow = Side(), Side()
    for _ in range(12):
        table = rng.choice(list(COLUMNS))
        rows = [row_of(table, rng, rng.choice((0, 0, 0.1, 1))) for _ in range(rng.choice((2, 5, 40, 200)))]
        many = rng.random() < 0.5
        tail = rng.choice(TAILS[table])
        verb = "INSERT" if tail.startswith("ON") else rng.choice(VERBS)
        if in_transaction and not fast.connection.in_transaction:
            fast.connection.begin()
            slow.connection.begin()
        monkeypatch.setattr(compiled, "WORTHWHILE", 1)
        monkeypatch.setattr(compiled, "WORTH_COMPILING", 1)
        found = fast.run(many, table, verb, tail, rows)
        monkeypatch.setattr(compiled, "WORTHWHILE", 10**9)
        assert found == slow.run(many, table, verb, tail, rows), (table, verb, tail, rows)
        if in_transaction and rng.random() < 0.5:
            for side in (fast, slow):
                try:
                    side.connection.commit() if seed % 2 else side.connection.rollback()
                except zodbapi.IntegrityError:
                    side.connection.rollback()
            assert fast.tables() == slow.tables()


MET_TAILS = {
    "t": (
        "ON CONFLICT (b) DO UPDATE SET a = excluded.a + 1",
        "ON CONFLICT (b) DO UPDATE SET n = excluded.n, price = t.price + 1 WHERE t.a % 2 RETURNING id, b, n, double",
        "ON CONFLICT (b) DO UPDATE SET b = excluded.b, pid = excluded.pid RETURNING id, b",
        "ON CONFLICT (b) DO UPDATE SET pid = CASE WHEN excluded.id % 3 THEN 2 ELSE 99 END",
        "ON CONFLICT (id) DO UPDATE SET b = excluded.b",
        "ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.pid RETURNING *",
        "ON CONFLICT (a, n) DO UPDATE SET b = excluded.b || 'z'",
        "ON CONFLICT DO UPDATE SET code = 'c', price = excluded.price RETURNING id",
        "ON CONFLICT DO NOTHING RETURNING id, b",
        "ON CONFLICT (b) DO NOTHING",
    ),
    "plain": ("ON CONFLICT (word) WHERE n < 8 DO UPDATE SET at = NULL RETURNING rowid", "ON CONFLICT DO NOTHING"),
    "tree": ("ON CONFLICT (id) DO UPDATE SET up = excluded.id", "ON CONFLICT DO NOTHING RETURNING id"),
    "key": ("ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1 RETURNING n", "ON CONFLICT DO NOTHING"),
}


def row_that_may_meet(table: str, rng: random.Random, often: float, given: bool) -> tuple[Any, ...]:
    """A good row, which has a key of one of the rows of ``fill`` so often; ``given``: with a rowid."""
    number = rng.randint(1, 10**6)
    old = rng.randint(0, 59)
    meets = rng.random() < often
    match table:
        case "t":
            b = f"b{old}" if meets and not given else f"B{number}"
            rowid = (old + 1 if meets else number) if given else None
            a, n = (old, old + 20) if rng.random() < often / 4 else (number, 50)
            return (rowid, a, b, Decimal("1.5"), n, rng.choice((1, 2, None)), "b")
        case "plain":
            return (f"w{old}" if meets else f"x{number}", rng.randint(1, 20), None)
        case "tree":
            return ((old + 1 if meets else number) if given else None, 1)
        case _:
            return (number, old + 1 if meets else number)


@pytest.mark.parametrize("seed", range(40))
def test_random_rows_that_meet_others(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    fast, slow = Side(), Side()
    for side in (fast, slow):
        fill(side.connection)
    monkeypatch.setattr(compiled, "WORTH_COMPILING", 1)
    for _ in range(8):
        table, often, given = rng.choice(("t", "t", *COLUMNS)), rng.choice((0.05, 0.5, 1)), rng.random() < 0.5
        rows = [row_that_may_meet(table, rng, often, given) for _ in range(rng.choice((4, 9, 25)))]
        many, tail = rng.random() < 0.4, rng.choice(MET_TAILS[table])
        if many:
            tail = tail.partition(" RETURNING")[0]
        monkeypatch.setattr(compiled, "WORTHWHILE", 1)
        found = fast.run(many, table, "INSERT", tail, rows)
        monkeypatch.setattr(compiled, "WORTHWHILE", 10**9)
        assert found == slow.run(many, table, "INSERT", tail, rows), (table, tail, rows)


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> zodbapi.Connection:
    monkeypatch.setattr(compiled, "WORTH_COMPILING", 1)
    opened = zodbapi.connect(":memory:")
    opened.executescript(SCHEMA)
    return opened


ROWS = [(n, f"b{n}", n + 20) for n in range(100)]
INSERT = "INSERT INTO t (a, b, n) VALUES (?, ?, ?)"
UPSERT = f"{INSERT} ON CONFLICT (b) DO UPDATE SET n = excluded.n + 1000"


def flat(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [value for row in rows for value in row]


@pytest.mark.parametrize("sql", [INSERT, UPSERT, f"{INSERT} ON CONFLICT DO NOTHING", f"{INSERT} RETURNING id, n + 1"])
def test_rows_are_written_in_one_go(connection: zodbapi.Connection, sql: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(sql, ROWS)
    written = len(connection._txn.undo)
    assert written == 6  # rows and five indexes
    connection.execute(
        sql.replace("(?, ?, ?)", ", ".join(["(?, ?, ?)"] * 100)), flat([(a + 100, b + "x", n) for a, b, n in ROWS])
    )
    assert len(connection._txn.undo) == 2 * written
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize(
    ("tail", "steps"),
    [
        ("(b) DO UPDATE SET code = excluded.b", 7),  # rows and five indexes of what is new, rows of what was there
        ("(b) DO UPDATE SET b = excluded.b, code = NULL", 7),
        ("(b) DO UPDATE SET price = 3 WHERE t.a > 5", 9),  # the entries of an index go and come
        ("DO NOTHING", 6),
        ("(b) DO UPDATE SET b = 'c' || excluded.b", 550),
    ],
)
def test_rows_that_meet_others_are_written_in_one_go(connection: zodbapi.Connection, tail: str, steps: int) -> None:
    connection.executemany(INSERT, ROWS[::2])
    connection.commit()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(f"{INSERT} ON CONFLICT {tail}", ROWS)
    assert len(connection._txn.undo) == steps


def test_a_savepoint_takes_them_back(connection: zodbapi.Connection) -> None:
    connection.executemany(INSERT, ROWS[:10])
    before = connection.execute("SELECT * FROM t ORDER BY id").fetchall()
    connection.execute("SAVEPOINT s")
    connection.executemany(INSERT, ROWS[10:])
    connection.execute("ROLLBACK TO s")
    assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == before
    connection.executemany(INSERT, ROWS[10:])
    connection.commit()
    assert connection.execute("SELECT count(*), max(id) FROM t").fetchone() == (100, 100)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("start", range(5))
def test_interrupt_at_every_line(connection: zodbapi.Connection, start: int) -> None:
    connection.executemany(INSERT, ROWS[:10])
    connection.execute("SAVEPOINT s")
    sql = INSERT.replace("(?, ?, ?)", ", ".join(["(?, ?, ?)"] * 10))
    rows = [(a, b, n) for n, (a, b, _) in enumerate(ROWS[50:59], 200)] + [(1, "b3", 5)]  # the last one is there already
    with pytest.raises(zodbapi.IntegrityError):
        connection.execute(sql, flat(rows))  # so that everything is compiled

    def run() -> None:
        with suppress(zodbapi.IntegrityError):
            connection.execute(sql, flat(rows))

    before, line = connection.execute("SELECT * FROM t ORDER BY id").fetchall(), 0
    for line in interrupted(run, first=1 + start):
        assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == before, line
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], line
    assert line > 200


def test_what_the_parameters_raise_comes_after_the_rows_before(connection: zodbapi.Connection) -> None:
    def rows() -> Any:
        yield from ROWS[:50]
        raise LookupError("no more")

    connection.begin()
    with pytest.raises(LookupError):
        connection.executemany(INSERT, rows())
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (50,)
    with pytest.raises(zodbapi.ProgrammingError, match="uses 3, and there are 2 supplied"):
        connection.executemany(INSERT, [*ROWS[50:70], (1, 2), *ROWS[70:]])
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (70,)


def test_a_row_that_is_there_already_stays(connection: zodbapi.Connection) -> None:
    insert = "INSERT INTO plain (rowid, word) VALUES (?, ?)"
    connection.execute(insert, (5, "same"))
    for _ in range(2):
        with pytest.raises(zodbapi.IntegrityError, match=r"plain\.rowid"):
            connection.execute(insert, (5, "same"))
        with pytest.raises(zodbapi.IntegrityError, match=r"plain\.rowid"):
            connection.execute(insert.replace("(?, ?)", "(?, ?), (?, ?)"), (6, "other", 5, "same"))
    assert connection.execute("SELECT rowid, word FROM plain").fetchall() == [(5, "same")]


CHANGES = (
    "UPDATE t SET a = a + 10000, n = NULL WHERE id > {low}",
    "UPDATE t SET price = a * 1.0 / 7 WHERE n BETWEEN {low} AND {high} RETURNING id, price",
    "UPDATE t SET price = 3.456, pid = {small} WHERE id BETWEEN {low} AND {high}",
    "UPDATE t SET n = n + {small} WHERE a < {high}",
    "UPDATE t SET b = b || 'x', code = 'c' WHERE id < {high}",
    "UPDATE t SET n = CASE WHEN a = {low} THEN 13 ELSE n END",
    "UPDATE t SET a = CASE WHEN id = {low} THEN 'word' ELSE 5 + id END RETURNING (SELECT count(*) FROM t WHERE a > 7)",
    "UPDATE plain SET n = n + 1, word = upper(word) WHERE n < {high}",
    "UPDATE plain SET at = '2021-02-03 04:05' WHERE rowid > {low} RETURNING rowid, at",
    "UPDATE t SET b = 'b' || (a + {small}) WHERE id BETWEEN {low} AND {high} RETURNING id, b",
    "UPDATE t SET b = 'b' || (a - 1)",
    "UPDATE t SET a = a + {small}, n = 5 WHERE id < {high}",
    "UPDATE t SET a = a - 1, b = CASE WHEN id > {high} THEN NULL ELSE b END",
    "UPDATE plain SET word = 'w' || (rowid + {small}) WHERE rowid > {low}",
    "UPDATE plain SET n = n - {small}, word = CASE WHEN rowid < 9 THEN 'w9' ELSE word END",
    "UPDATE key SET n = n + 1",
    "UPDATE tree SET up = NULL WHERE id < {low}",
    "DELETE FROM t WHERE id BETWEEN {low} AND {high} RETURNING id, double",
    "DELETE FROM t WHERE a % 5 = {small}",
    "DELETE FROM plain WHERE n > {small} * 3",
    "DELETE FROM key WHERE n < {low}",
    "DELETE FROM tree WHERE id > {low}",
    "DELETE FROM parent WHERE id = {small}",
    "DELETE FROM t WHERE EXISTS (SELECT 1 FROM plain p WHERE p.n = t.n - {low}) RETURNING id",
    "DELETE FROM tree WHERE NOT EXISTS (SELECT 1 FROM key k WHERE k.id = tree.id AND k.n > {high})",
    "UPDATE t SET a = a + 1000, b = NULL WHERE EXISTS (SELECT 1 FROM plain p WHERE p.n = t.id % {high})",
    "UPDATE t SET pid = 1 WHERE n IN (SELECT n + {low} FROM plain) RETURNING id, pid",
)


def fill(connection: zodbapi.Connection) -> None:
    for n in range(60):
        connection.execute(
            "INSERT INTO t (a, b, price, n, pid, code) VALUES (?, ?, ?, ?, ?, ?)",
            (n, f"b{n}", 1.25, n + 20 if n % 9 else None, n % 3 + 1 if n % 4 else None, "abc"[n % 3]),
        )
        connection.execute("INSERT INTO plain (word, n) VALUES (?, ?)", (f"w{n}", n % 12))
        connection.execute("INSERT INTO tree (up) VALUES (?)", (n if n % 5 == 2 else None,))
        connection.execute("INSERT INTO key (n, id) VALUES (?, ?)", (n * 2, n + 1))


def changed(side: Side, sql: str) -> list[Any]:
    """What a statement, compiled anew, leaves."""
    STATEMENTS.clear()
    try:
        cursor = side.connection.execute(sql)
        found = sorted(cursor.fetchall()) if "RETURNING" in sql else cursor.rowcount
    except zodbapi.Error as error:
        found = f"{type(error).__name__}: {error}"
    return [found, side.connection.total_changes, *side.tables()]


@pytest.mark.parametrize("seed", range(20))
def test_changes_of_many_rows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    fast, slow = Side(), Side()
    for side in (fast, slow):
        fill(side.connection)
        side.connection.begin()
    for _ in range(15):
        low = rng.randint(1, 70)
        sql = rng.choice(CHANGES).format(low=low, high=low + rng.randint(0, 40), small=rng.randint(0, 4))
        is_kept = rng.random() < 0.7
        for side in (fast, slow):
            side.connection.execute("SAVEPOINT s")
        before, found = fast.tables(), changed(fast, sql)
        with monkeypatch.context() as patched:  # every row by the functions for one row
            patched.setattr(dml, "simple_touch", lambda *_: None)
            patched.setattr(dml, "comes_once", lambda *_: False)
            assert found == changed(slow, sql), sql
        STATEMENTS.clear()
        for side in (fast, slow):
            side.connection.execute("RELEASE s" if is_kept else "ROLLBACK TO s")
        if not is_kept:
            assert fast.tables() == before
    outcomes = []
    for side in (fast, slow):
        try:
            side.connection.commit()
            outcomes.append("")
        except zodbapi.IntegrityError as error:
            outcomes.append(str(error))
            side.connection.rollback()
    assert outcomes[0] == outcomes[1]
    assert fast.tables() == slow.tables()


@pytest.mark.parametrize(
    ("sql", "entries"),
    [
        ("UPDATE t SET price = 2.5", 3),  # rows, and what goes from and comes into an index
        ("UPDATE t SET code = 'c'", 1),
        ("UPDATE t SET a = a + 100", 7),
        ("UPDATE t SET b = b || 'x'", 5),
        ("DELETE FROM plain", 2),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM plain p WHERE p.n = t.n - 20)", 6),
        ("DELETE FROM t", 6),
    ],
)
def test_rows_are_changed_in_one_go(connection: zodbapi.Connection, sql: str, entries: int) -> None:
    fill(connection)
    connection.commit()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(sql)
    assert len(connection._txn.undo) == entries


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET a = a + 70, n = NULL",
        "UPDATE t SET b = 'b' || (a - 1)",
        "UPDATE t SET price = id",
        "DELETE FROM t",
    ],
)
def test_interrupt_of_a_change(connection: zodbapi.Connection, sql: str) -> None:
    fill(connection)
    connection.execute("SAVEPOINT s")
    connection.execute(sql)  # so that everything is compiled
    connection.execute("ROLLBACK TO s")
    query = "SELECT * FROM t ORDER BY id"
    before, line = connection.execute(query).fetchall(), 0
    for line in interrupted(lambda: connection.execute(sql), every=7):
        assert connection.execute(query).fetchall() == before, line
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], line
    assert line > 50
