"""ALTER TABLE on tables with rows: what they hold afterwards, and that indexes agree with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import zodbapi
from zodbapi.errors import DatabaseError, DataError, IntegrityError

START = """
CREATE TABLE author (id integer PRIMARY KEY, name text UNIQUE, rank int);
INSERT INTO author VALUES (1, 'Ada', 10), (2, 'Bob', NULL), (5, '7', 30);
CREATE TABLE book (id integer PRIMARY KEY AUTOINCREMENT, title text NOT NULL, author int REFERENCES author ON DELETE CASCADE,
    price decimal(6, 2) DEFAULT 1, double decimal(8, 2) AS (price * 2) STORED, made timestamp);
INSERT INTO book (title, author, price, made) VALUES ('A', 1, 1.25, '2020-01-02 03:04:05'), ('B', 1, 2, NULL), ('C', 5, 3, NULL);
CREATE INDEX by_author ON book (author, lower(title));
CREATE UNIQUE INDEX dear ON book (title) WHERE price > 1;
"""


class Session:
    """A connection, and statements in one line."""

    def __init__(self) -> None:
        self.connection = zodbapi.connect(":memory:", isolation_level=None)

    def run(self, sql: str, *params: Any) -> Any:
        cursor = self.connection.cursor()
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else None

    def script(self, sql: str) -> None:
        for statement in sql.strip().rstrip(";").split(";\n"):
            self.run(statement)


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session()
    made.run("PRAGMA foreign_keys = ON")
    made.script(START)
    yield made
    assert made.run("PRAGMA integrity_check") == [("ok",)]
    assert made.run("PRAGMA foreign_key_check") == []
    made.connection.close()


def test_add_column(session: Session) -> None:
    session.run("ALTER TABLE book ADD pages int DEFAULT 7 NOT NULL CHECK (pages > 0), ADD thick int AS (pages * 2)")
    assert session.run("SELECT id, pages, thick, double FROM book") == [
        (1, 7, 14, Decimal("2.50")),
        (2, 7, 14, Decimal("4.00")),
        (3, 7, 14, Decimal("6.00")),
    ]
    with pytest.raises(IntegrityError, match=r"CHECK constraint failed"):
        session.run("UPDATE book SET pages = -1")
    assert session.run("INSERT INTO book (title) VALUES ('D') RETURNING id, pages, thick") == [(4, 7, 14)]


def test_add_column_that_the_rows_do_not_allow(session: Session) -> None:
    for column in ("x int NOT NULL", "x int DEFAULT 1 UNIQUE", "x int DEFAULT 1 CHECK (x > 1)"):
        with pytest.raises(IntegrityError):
            session.run(f"ALTER TABLE book ADD {column}")
    with pytest.raises(DatabaseError, match=r"no such column: x"):
        session.run("SELECT x FROM book")


def test_drop_column(session: Session) -> None:
    session.run("ALTER TABLE book DROP double, DROP title")
    assert session.run("SELECT * FROM book WHERE author = 1") == [
        (1, 1, Decimal("1.25"), dt.datetime(2020, 1, 2, 3, 4, 5)),
        (2, 1, Decimal("2.00"), None),
    ]
    session.run("DELETE FROM author WHERE id = 1")
    assert session.run("SELECT id FROM book") == [(3,)]


def test_rename(session: Session) -> None:
    session.run("ALTER TABLE author RENAME TO writer")
    session.run("ALTER TABLE writer RENAME COLUMN id TO number")
    session.run("ALTER TABLE book RENAME COLUMN title TO name, RENAME price TO cost")
    assert session.run(
        "SELECT book.name, double FROM book JOIN writer ON author = number WHERE lower(book.name) = 'c'"
    ) == [("C", Decimal("6.00"))]
    session.run("UPDATE writer SET number = 50 WHERE number = 1 AND NOT EXISTS (SELECT 1 FROM book WHERE author = 1)")
    session.run("DELETE FROM writer WHERE number = 5")
    assert session.run("SELECT name FROM book") == [("A",), ("B",)]


def test_change_type(session: Session) -> None:
    session.run("ALTER TABLE book ALTER author TYPE bigint, ALTER price TYPE text, ALTER made TYPE date")
    assert session.run("SELECT price, made, typeof(price) FROM book WHERE id = 1") == [
        ("1.25", dt.date(2020, 1, 2), "text")
    ]
    session.run("ALTER TABLE author ALTER rank TYPE text USING 'no ' || rank")
    assert session.run("SELECT rank FROM author") == [("no 10",), (None,), ("no 30",)]


def test_change_text_to_times(session: Session) -> None:
    session.run("CREATE TABLE t (a text, b text, c text)")
    session.run("INSERT INTO t VALUES ('2020-01-02', '2020-01-02 3:04:05.5', '3:16:17.4567')")
    session.run("ALTER TABLE t ALTER a TYPE date, ALTER b TYPE timestamp, ALTER c TYPE time")
    moment = dt.datetime(2020, 1, 2, 3, 4, 5, 500000)
    assert session.run("SELECT * FROM t") == [(moment.date(), moment, dt.time(3, 16, 17, 456700))]


def test_change_type_that_loses(session: Session) -> None:
    with pytest.raises(DataError):
        session.run("ALTER TABLE author ALTER name TYPE int")
    assert session.run("SELECT name FROM author WHERE name = 'Ada'") == [("Ada",)]


def test_change_type_of_the_primary_key(session: Session) -> None:
    session.run("ALTER TABLE book DROP CONSTRAINT book_author_fkey")
    session.run("ALTER TABLE author ALTER id TYPE text")
    assert session.run("SELECT name FROM author WHERE id = '5'") == [("7",)]
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: author.id"):
        session.run("INSERT INTO author (id) VALUES ('5')")
    session.run("ALTER TABLE author ALTER id TYPE integer")
    assert session.run("INSERT INTO author (name) VALUES ('new') RETURNING id") == [(6,)]


def test_nullability(session: Session) -> None:
    with pytest.raises(IntegrityError, match=r"NOT NULL constraint failed: author.rank"):
        session.run("ALTER TABLE author ALTER rank SET NOT NULL")
    session.run("ALTER TABLE author ALTER name SET NOT NULL")
    assert session.run("SELECT id FROM author WHERE name = 'Bob'") == [(2,)]
    with pytest.raises(IntegrityError, match=r"NOT NULL constraint failed: author.name"):
        session.run("INSERT INTO author (rank) VALUES (1)")
    session.run("ALTER TABLE author ALTER name DROP NOT NULL")
    session.run("INSERT INTO author (rank) VALUES (1), (2)")
    assert session.run("SELECT count(*) FROM author WHERE name IS NULL") == [(2,)]


def test_collation(session: Session) -> None:
    session.run("ALTER TABLE author ALTER name TYPE text COLLATE NOCASE")
    assert session.run("SELECT id FROM author WHERE name = 'BOB'") == [(2,)]
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: author.name"):
        session.run("INSERT INTO author (name) VALUES ('ADA')")


def test_constraints(session: Session) -> None:
    session.run("ALTER TABLE book ADD CONSTRAINT one UNIQUE (author, title), ADD CONSTRAINT cheap CHECK (price < 100)")
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: book.author, book.title"):
        session.run("INSERT INTO book (title, author) VALUES ('A', 1)")
    with pytest.raises(IntegrityError, match=r"CHECK constraint failed: cheap"):
        session.run("UPDATE book SET price = 100")
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: book.author"):
        session.run("ALTER TABLE book ADD UNIQUE (author)")
    with pytest.raises(IntegrityError, match=r"CHECK constraint failed: price < 3"):
        session.run("ALTER TABLE book ADD CHECK (price < 3)")
    session.run("ALTER TABLE book DROP CONSTRAINT one, DROP CONSTRAINT cheap")
    session.run("INSERT INTO book (title, author, price) VALUES ('E', 1, 100), ('E', 1, 1)")


def test_foreign_keys(session: Session) -> None:
    session.run("ALTER TABLE book DROP CONSTRAINT book_author_fkey")
    session.run("INSERT INTO book (title, author) VALUES ('D', 99)")
    with pytest.raises(IntegrityError, match=r"FOREIGN KEY constraint failed"):
        session.run("ALTER TABLE book ADD CONSTRAINT f FOREIGN KEY (author) REFERENCES author")
    session.run("DELETE FROM book WHERE author = 99")
    session.run("ALTER TABLE book ADD CONSTRAINT f FOREIGN KEY (author) REFERENCES author")
    with pytest.raises(IntegrityError, match=r"FOREIGN KEY constraint failed"):
        session.run("DELETE FROM author WHERE id = 1")


def test_primary_key(session: Session) -> None:
    session.run("CREATE TABLE t (a int, b text)")
    session.run("INSERT INTO t VALUES (30, 'x'), (10, 'y')")
    session.run("ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)")
    assert session.run("SELECT rowid, b FROM t") == [(10, "y"), (30, "x")]
    session.run("ALTER TABLE t DROP CONSTRAINT k, ADD PRIMARY KEY (b)")
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: t.b"):
        session.run("INSERT INTO t VALUES (1, 'x')")
    session.run("ALTER TABLE t DROP a, ADD id integer")
    assert session.run("SELECT * FROM t WHERE b = 'x'") == [("x", None)]


def test_all_or_nothing(session: Session) -> None:
    before = session.run("SELECT sql FROM sqlite_master")
    with pytest.raises(IntegrityError):
        session.run("ALTER TABLE book ADD x int DEFAULT 1, DROP double, ALTER made SET NOT NULL")
    assert session.run("SELECT sql FROM sqlite_master") == before
    session.run("BEGIN")
    session.run("ALTER TABLE book RENAME TO tome, DROP double")
    session.run("ROLLBACK")
    assert session.run("SELECT sql FROM sqlite_master") == before
    assert session.run("SELECT double FROM book WHERE title = 'C'") == [(Decimal("6.00"),)]
