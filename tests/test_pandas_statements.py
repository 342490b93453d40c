"""What pandas does with a connection that it takes for sqlite3's, statement by statement: ``to_sql`` and ``read_sql``."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import closing

import pytest

import zodbapi

COLUMNS = '"k" INTEGER,\n  "i" INTEGER,\n  "f" REAL,\n  "s" TEXT,\n  "d" TIMESTAMP,\n  "b" INTEGER,\n  "t" TIME,\n  "day" DATE'
TABLE_EXISTS = """
        SELECT
            name
        FROM
            sqlite_master
        WHERE
            type IN ('table', 'view')
            AND name=?;
        """
INSERT = 'INSERT INTO "x" ("k","i","f","s","d","b","t","day") VALUES (?,?,?,?,?,?,?,?)'
# pandas hands over times as text, and everything else as Python's own types.
ROWS = [
    (0, 1, 1.5, "a", "2024-01-01 00:00:00", 1, "01:02:00.000000", datetime.date(2024, 1, 1)),
    (1, 2, None, "b", "2024-02-01 00:00:00", 0, "03:04:00.000000", datetime.date(2024, 1, 1)),
    (2, 3, 2.5, None, "2024-03-01 00:00:00", 1, None, None),
]


@pytest.fixture
def written() -> Iterator[zodbapi.Connection]:
    """A connection after ``frame.to_sql("x", connection, index_label="k")``."""
    connection = zodbapi.connect(":memory:")
    with closing(connection.cursor()) as cursor:
        assert cursor.execute(TABLE_EXISTS, ["x"]).fetchall() == []
        cursor.execute(f'CREATE TABLE "x" (\n{COLUMNS}\n)')
        cursor.execute('CREATE INDEX "ix_x_k"ON "x" ("k")')
        cursor.executemany(INSERT, ROWS)
        assert cursor.rowcount == 3
    connection.commit()
    yield connection
    connection.close()


def test_reads_what_it_wrote(written: zodbapi.Connection) -> None:
    cursor = written.cursor()
    cursor.execute("SELECT * FROM x")
    assert [item[0] for item in cursor.description or ()] == "k i f s d b t day".split()
    assert cursor.fetchall()[1] == (
        *(1, 2, None, "b", datetime.datetime(2024, 2, 1), 0, datetime.time(3, 4)),
        datetime.date(2024, 1, 1),
    )
    cursor.close()


def test_reads_in_chunks_and_with_parameters(written: zodbapi.Connection) -> None:
    cursor = written.cursor()
    cursor.execute("SELECT i FROM x ORDER BY i")
    assert [len(cursor.fetchmany(2)) for _ in range(3)] == [2, 1, 0]
    assert cursor.execute("SELECT i FROM x WHERE i > ?", (1,)).fetchall() == [(2,), (3,)]
    assert cursor.execute("SELECT i FROM x WHERE i > :low", {"low": 2}).fetchall() == [(3,)]
    assert cursor.execute("SELECT b, sum(f) AS total FROM x GROUP BY b ORDER BY b").fetchall() == [(0, None), (1, 4.0)]


def test_replaces_and_writes_many_rows_with_one_statement(written: zodbapi.Connection) -> None:
    cursor = written.cursor()
    assert cursor.execute(TABLE_EXISTS, ["x"]).fetchall() == [("x",)]
    cursor.execute('DROP TABLE "x"')
    cursor.execute(f'CREATE TABLE "x" (\n{COLUMNS}\n)')
    cursor.execute(INSERT + ",(?,?,?,?,?,?,?,?)" * 2, [value for row in ROWS for value in row])
    assert cursor.rowcount == 3
    written.commit()
    assert written.execute("SELECT count(*) FROM x").fetchone() == (3,)


def test_names_that_need_quotes(written: zodbapi.Connection) -> None:
    written.execute('CREATE TABLE "we ird" (\n"a b" INTEGER,\n  "q""x" INTEGER,\n  "order" INTEGER\n)')
    written.executemany('INSERT INTO "we ird" ("a b","q""x","order") VALUES (?,?,?)', [(1, 2, 3)])
    cursor = written.execute('SELECT * FROM "we ird"')
    assert [item[0] for item in cursor.description or ()] == ["a b", 'q"x', "order"]
    assert cursor.fetchall() == [(1, 2, 3)]


def test_a_failed_write_leaves_the_connection_usable(written: zodbapi.Connection) -> None:
    with pytest.raises(zodbapi.Error):
        written.execute("SELECT * FROM missing")
    written.rollback()
    assert written.execute("SELECT count(*) FROM x").fetchone() == (3,)
