"""What is measured: small SQL programs that run unchanged on both drivers.

In: an open connection with the tables of ``load``. Out: one callable a workload, which does one unit of work.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

Work = Callable[[], Any]

SCHEMA = (
    "CREATE TABLE author (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL, country VARCHAR(2) NOT NULL)",
    """CREATE TABLE book (
        id INTEGER PRIMARY KEY, title VARCHAR(100) NOT NULL, author_id INTEGER NOT NULL, year INTEGER NOT NULL, price REAL
    )""",
    "CREATE INDEX book_author ON book (author_id)",
    "CREATE INDEX book_year ON book (year)",
    "CREATE TABLE log (id INTEGER PRIMARY KEY, day INTEGER NOT NULL, text VARCHAR NOT NULL)",
    "CREATE INDEX log_day ON log (day)",
)


def load(connection: Any, rows: int) -> None:
    """Makes the tables: ``rows`` books, a twentieth as many authors."""
    rng = random.Random(1)
    for statement in SCHEMA:
        connection.execute(statement)
    authors = max(rows // 20, 1)
    connection.executemany(
        "INSERT INTO author VALUES (?, ?, ?)",
        [(i, f"author {i}", rng.choice(("de", "fr", "it", "jp", "us"))) for i in range(1, authors + 1)],
    )
    connection.executemany(
        "INSERT INTO book VALUES (?, ?, ?, ?, ?)",
        [
            (i, f"the {rng.choice(('old', 'new', 'red'))} book {i}", rng.randint(1, authors), rng.randint(1900, 2025),
             round(rng.uniform(5, 50), 2))
            for i in range(1, rows + 1)
        ],
    )  # fmt: skip
    connection.commit()


@dataclass(frozen=True, slots=True)
class Workload:
    """``prepare(connection, rows)`` gives the callable to time; ``repeat`` is how often one measurement calls it."""

    name: str
    prepare: Callable[[Any, int], Work]
    repeat: int = 1


def _query(sql: str) -> Callable[[Any, int], Work]:
    def prepare(connection: Any, rows: int) -> Work:
        cursor = connection.cursor()
        return lambda: cursor.execute(sql).fetchall()

    return prepare


def _with_keys(sql: str, make: Callable[[random.Random, int], tuple[Any, ...]]) -> Callable[[Any, int], Work]:
    def prepare(connection: Any, rows: int) -> Work:
        rng = random.Random(2)
        keys = [make(rng, rows) for _ in range(1000)]
        following: Iterator[int] = count()
        cursor = connection.cursor()

        def work() -> Any:
            cursor.execute(sql, keys[next(following) % 1000])
            return cursor.fetchone()

        return work

    return prepare


def _insert(connection: Any, rows: int) -> Work:
    numbers = count(1)
    cursor = connection.cursor()

    def work() -> None:
        number = next(numbers)
        cursor.execute("INSERT INTO log (day, text) VALUES (?, ?)", (number % 365, f"entry {number}"))

    return work


def _insert_many(connection: Any, rows: int) -> Work:
    data = [(i % 365, f"entry {i}") for i in range(1000)]
    cursor = connection.cursor()
    return lambda: cursor.executemany("INSERT INTO log (day, text) VALUES (?, ?)", data)


def _insert_commit(connection: Any, rows: int) -> Work:
    insert = _insert(connection, rows)

    def work() -> None:
        insert()
        connection.commit()

    return work


def _update(connection: Any, rows: int) -> Work:
    rng = random.Random(3)
    cursor = connection.cursor()
    return lambda: cursor.execute("UPDATE book SET price = ? WHERE id = ?", (rng.random(), rng.randint(1, rows)))


def _update_indexed(connection: Any, rows: int) -> Work:
    rng = random.Random(4)
    cursor = connection.cursor()
    return lambda: cursor.execute(
        "UPDATE book SET year = ? WHERE id = ?", (rng.randint(1900, 2025), rng.randint(1, rows))
    )


def _delete(connection: Any, rows: int) -> Work:
    cursor = connection.cursor()

    def work() -> None:
        cursor.execute("INSERT INTO log (id, day, text) VALUES (?, ?, ?)", (10_000_000, 1, "gone"))
        cursor.execute("DELETE FROM log WHERE id = ?", (10_000_000,))

    return work


_numbers = count()


def _cold(connection: Any, rows: int) -> Work:
    cursor = connection.cursor()
    sql = (
        "SELECT b.id, b.title, a.name FROM book b INNER JOIN author a ON a.id = b.author_id"
        " WHERE b.year = ? AND a.country = ? AND {0} = {0} ORDER BY b.title LIMIT 21"
    )
    return lambda: cursor.execute(sql.format(next(_numbers)), (1999, "de")).fetchall()


WORKLOADS = (
    Workload("select by primary key", _with_keys("SELECT id, title, author_id, year, price FROM book WHERE id = ?",
                                                 lambda rng, rows: (rng.randint(1, rows),)), 2000),
    Workload("select by index (20 rows)", _with_keys("SELECT count(title) FROM book WHERE author_id = ?",
                                                     lambda rng, rows: (rng.randint(1, rows // 20),)), 500),
    Workload("read a whole table", _query("SELECT id, title, author_id, year, price FROM book")),
    Workload("read one column", _query("SELECT title FROM book")),
    Workload("filter on an integer", _query("SELECT id, title FROM book WHERE price > 45")),
    Workload("filter on a substring", _query("SELECT id FROM book WHERE title LIKE '%red book 9%'")),
    Workload("count(*)", _query("SELECT count(*) FROM book")),
    Workload("count with a filter", _query("SELECT count(*) FROM book WHERE price < 20")),
    Workload("group by", _query("SELECT author_id, count(*), sum(price) FROM book GROUP BY author_id")),
    Workload("group by, few groups", _query("SELECT year, avg(price) FROM book GROUP BY year ORDER BY year")),
    Workload("order by, limit 10", _query("SELECT id, title, price FROM book ORDER BY price DESC LIMIT 10")),
    Workload("order by index, limit 10", _query("SELECT id, title FROM book ORDER BY year DESC, id LIMIT 10")),
    Workload("join, filtered", _query("SELECT b.title, a.name FROM book b JOIN author a ON a.id = b.author_id"
                                      " WHERE a.country = 'de'")),
    Workload("join, grouped", _query("SELECT a.country, count(*) FROM book b JOIN author a ON a.id = b.author_id"
                                     " GROUP BY a.country")),
    Workload("distinct", _query("SELECT DISTINCT author_id FROM book")),
    Workload("cold statement", _cold, 20),
    Workload("insert", _insert, 500),
    Workload("insert, 1000 rows at once", _insert_many),
    Workload("insert and commit", _insert_commit, 50),
    Workload("update", _update, 500),
    Workload("update an indexed column", _update_indexed, 500),
    Workload("insert and delete", _delete, 250),
)  # fmt: skip
