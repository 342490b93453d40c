"""What the optimizer sees of the data: parts of indexes, and plans for the values of a statement's first call."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import zodbapi
from tests.unoptimised import answer, answer_as_bound, plan, unoptimised
from zodbapi import statement
from zodbapi.large import LIMIT
from zodbapi.storage.stats import ENOUGH, Stats, _leaves, place_of

ROWS = 4000
DAY = datetime.date(2020, 1, 1)


@pytest.fixture(scope="module")
def connection() -> Iterator[zodbapi.Connection]:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute("CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL)")
    connection.execute(
        """CREATE TABLE book (id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL REFERENCES author, pages INTEGER NOT NULL,
        weight REAL, published DATE NOT NULL, title TEXT NOT NULL COLLATE NOCASE, loose, isbn TEXT NOT NULL UNIQUE, state TEXT)"""
    )
    for column in ("author_id", "pages", "weight", "published", "title", "loose", "state, pages"):
        connection.execute(f"CREATE INDEX book_{column.replace(', ', '_')} ON book ({column})")
    authors = [(i, f"author {i}", "de" if i % 5 else "fr") for i in range(1, ROWS // 10 + 1)]
    connection.executemany("INSERT INTO author VALUES (?, ?, ?)", authors)
    connection.executemany("INSERT INTO book VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_book, range(1, ROWS + 1)))
    connection.execute("CREATE TABLE small (id INTEGER PRIMARY KEY, n INTEGER)")
    connection.execute("CREATE INDEX small_n ON small (n)")
    connection.executemany("INSERT INTO small VALUES (?, ?)", [(i, i) for i in range(ENOUGH - 1)])
    yield connection
    connection.close()


def _book(i: int) -> tuple[Any, ...]:
    mixed = (i * 1761) % ROWS  # every number once, neighbours far apart
    weight = None if i % 4 == 0 else mixed / 10
    loose = mixed if i % 2 else f"{mixed:05}"
    state = "done" if i % 100 else "open"
    day = DAY + datetime.timedelta(days=mixed)
    return i, mixed % (ROWS // 10) + 1, mixed, weight, day, f"Title {mixed:05}", loose, f"{mixed:013}", state


def expected_rows(connection: zodbapi.Connection, sql: str, params: tuple[Any, ...]) -> float:
    """The number of rows that the optimizer expects a range of book's to have, as a part of all."""
    from zodbapi.optimizer.context import Context
    from zodbapi.optimizer.cost import rows_of
    from zodbapi.plan.nodes import IndexRange, IndexSeek, RowidRange
    from zodbapi.plan.walk import descend

    found = []
    optimize = statement.optimize

    def noted(node: Any, stats: Any, **options: Any) -> Any:
        changed = optimize(node, stats, **options)
        context = Context(
            changed, stats, options["bind_index"], options["schema"], options["samples"], options["params"]
        )
        accesses = [part for part in descend(changed) if isinstance(part, (IndexRange, IndexSeek, RowidRange))]
        found.extend(rows_of(access, context) for access in accesses)
        return changed

    statement.STATEMENTS.clear()
    statement.optimize = noted
    try:
        connection.execute(sql, params).fetchall()
    finally:
        statement.optimize = optimize
    return found[0] / ROWS


@pytest.mark.parametrize(
    ("condition", "params", "part"),
    [
        ("pages < ?", (100,), 0.025),
        ("pages < ?", ("100",), 0.025),
        ("pages >= ?", (ROWS - 40,), 0.01),
        ("pages > ?", (ROWS * 2,), 0),
        ("pages < ?", (-1,), 0),
        ("pages BETWEEN ? AND ?", (1000, 1100), 0.025),
        ("pages BETWEEN ? AND ?", (1100, 1000), 0),
        ("pages > 3000 AND pages <= 3100", (), 0.025),
        ("weight < ?", (10.0,), 0.019),
        ("weight > ?", ("x",), 0),
        ("published >= ?", (DAY + datetime.timedelta(days=ROWS - 100),), 0.025),
        ("published >= ?", ((DAY + datetime.timedelta(days=ROWS - 100)).isoformat(),), 0.025),
        ("published < ?", (datetime.datetime(2020, 1, 31, 12),), 0.008),
        ("title < ?", ("TITLE 00100",), 0.025),
        ("isbn >= ?", (f"{ROWS - 100:013}",), 0.025),
        ("loose < ?", (100,), 0.0125),
        ("loose >= ?", ("03900",), 0.0125),
        ("id > ?", (ROWS - 100,), 0.025),
        ("id BETWEEN ? AND ?", (10, 29), 0.005),
        ("state = ? AND pages < ?", ("open", 2000), 0.005),
        ("state = ?", ("open",), 0.01),
    ],
)  # fmt: skip
def test_a_range_is_seen_as_large_as_it_is(
    connection: zodbapi.Connection, condition: str, params: tuple[Any, ...], part: float
) -> None:
    found = expected_rows(connection, f"SELECT title FROM book WHERE {condition}", params)
    assert part / 2 - 0.002 <= found <= part * 2 + 0.002  # leaves are half full to full


def test_a_wide_range_is_not_relied_on(connection: zodbapi.Connection) -> None:
    assert expected_rows(connection, "SELECT title FROM book WHERE pages > ?", (1,)) <= 0.1
    assert "INDEX RANGE book#0 USING book_pages (pages > ?1:integer) OR SCAN" in plan(
        connection, "SELECT title FROM book WHERE pages > ?", (1,)
    )


@pytest.mark.parametrize("condition", ["pages > 1000 AND pages <= 3000", "weight IS NULL", "state = 'done'"])
def test_literals_that_most_rows_have_are_scanned_for(connection: zodbapi.Connection, condition: str) -> None:
    sql = f"SELECT title FROM book WHERE {condition}"
    assert plan(connection, sql)[-1] == "SCAN book#0"
    assert answer(connection, sql) == answer_as_bound(connection, sql)


def test_the_table_of_the_narrow_range_comes_first(connection: zodbapi.Connection) -> None:
    sql = "SELECT b.id, a.name FROM book b JOIN author a ON a.id = b.author_id WHERE a.country = ? AND b.pages {} ?"
    few, many = ("de", ROWS - 10), ("fr", 10)
    assert plan(connection, sql.format(">"), few)[2:] == [
        "INDEX RANGE book#0 USING book_pages (pages > ?2:integer) OR SCAN",
        "FILTER country#1 = ?1:text",
        "ROWID SEEK author#1 (rowid = author_id#0)",
    ]
    for text in (sql.format(">"), sql.format("<=")):
        for params in (few, many, ("de", None), ("xx", 5)):
            assert answer(connection, text, params) == answer_as_bound(connection, text, params)


@pytest.mark.parametrize("params", [{"least": ROWS - 5}, {"least": "x"}, {"least": None}])
def test_named_parameters_are_seen(connection: zodbapi.Connection, params: dict[str, Any]) -> None:
    sql = "SELECT id FROM book WHERE pages >= :least"
    expected = [(i,) for i in range(1, ROWS + 1) if isinstance(params["least"], int) and _book(i)[2] >= params["least"]]
    statement.STATEMENTS.clear()
    assert sorted(connection.execute(sql, params)) == expected


def test_wrong_parameters_fail_as_they_did(connection: zodbapi.Connection) -> None:
    for params in ((), (1, 2), (object(),), (2**70,)):
        statement.STATEMENTS.clear()
        with pytest.raises(zodbapi.Error):
            connection.execute("SELECT id FROM book WHERE pages >= ?", params)


@pytest.mark.parametrize(
    ("condition", "params", "part"),
    [
        ("state = ?", ("done",), 0.99),
        ("state <> ?", ("done",), 0.01),
        ("state IN (?, ?)", ("done", "open"), 0.9),
        ("weight IS NULL", (), 0.25),
        ("weight IS NOT NULL", (), 0.75),
        ("? > pages", (ROWS // 2,), 0.5),
        ("published >= ?", ("2020-01-01",), 1),
        ("published < ?", (None,), 0),
        ("title LIKE ?", ("title 00%",), 0.25),
        ("title CLIKE ?", ("title 00%",), 0),
        ("title LIKE ? ESCAPE '!'", ("%0",), 0.1),
        ("title LIKE ? ESCAPE ?", ("%0", "too long"), 0.1),
        ("title LIKE ?", (None,), 0.1),
        ("title LIKE ?", (7,), 0.1),
        ("isbn = ?", ("x",), 0),
        ("loose > ?", (5,), 0.3),
    ],
)
def test_parts_of_a_sample(
    connection: zodbapi.Connection, condition: str, params: tuple[Any, ...], part: float
) -> None:
    from zodbapi.binder import bind
    from zodbapi.optimizer.context import Context
    from zodbapi.optimizer.selectivity import selectivity
    from zodbapi.parser import parse
    from zodbapi.plan.nodes import Filter
    from zodbapi.plan.walk import descend

    txn = connection._txn
    txn.begin()
    node = bind(parse(f"SELECT id FROM book WHERE {condition}")[0], txn.schema, connection._functions).node
    stats = Stats(txn)
    context = Context(node, stats, samples=stats, params=params)
    (predicate,) = (found.predicate for found in descend(node) if isinstance(found, Filter))
    assert selectivity(predicate, context) == pytest.approx(part, abs=0.12)
    txn.rollback()


def test_average_parts_of_keys(connection: zodbapi.Connection) -> None:
    txn = connection._txn
    txn.begin()
    stats = Stats(txn)
    book = txn.schema.table("book")
    parts = {index.name: stats.part_of_key(index.id, 1) for index in book.indexes}
    assert parts["book_author_id"] == pytest.approx(10 / ROWS, rel=0.6)
    assert parts["book_pages"] == pytest.approx(1 / ROWS, rel=0.6)
    assert parts["book_state_pages"] == pytest.approx(0.99, rel=0.1)
    small = txn.schema.table("small")
    assert stats.part_of_key(small.indexes[0].id, 1) is None
    assert stats.part_between(small.indexes[0].id, (1,), (5,)) is None
    assert stats.sample_rows(small.id) == []
    assert len(stats.sample_rows(book.id)) > 20
    txn.rollback()


@pytest.mark.parametrize("size", [1, 50, 1000, 20_000])
def test_places_of_keys(size: int) -> None:
    from BTrees.OOBTree import OOTreeSet

    tree = OOTreeSet((i, "") for i in range(size))
    for at in (0, size // 3, size - 1, size):
        assert place_of(tree, (at,)) == pytest.approx(at / size, abs=0.1)


def test_nothing_is_estimated_of_orders_that_are_not_tried(
    connection: zodbapi.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    part_of_key = Stats.part_of_key

    def noted(self: Stats, index_id: int, width: int) -> float | None:
        asked.append(index_id)
        return part_of_key(self, index_id, width)

    monkeypatch.setattr(Stats, "part_of_key", noted)
    join = "SELECT title FROM author JOIN book ON book.author_id = author.id"
    # One book and its author: to start with all authors costs more, however many books they have.
    assert "ROWID SEEK author" in plan(connection, f"{join} WHERE book.id = 5")[-1]
    assert asked == []
    plan(connection, join)
    assert asked


@pytest.fixture
def notes() -> Iterator[tuple[zodbapi.Connection, zodbapi.Connection]]:
    """Two connections to a table of notes, each in a transaction that has not read yet."""
    first, second = zodbapi.connect("memory://estimates"), zodbapi.connect("memory://estimates")
    first.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, pages INTEGER, body TEXT)")
    first.execute("CREATE INDEX note_pages ON note (pages)")
    bodies = ("x" * (LIMIT + 1 if i % 5 == 0 else 3) for i in range(ROWS))
    first.executemany("INSERT INTO note (pages, body) VALUES (?, ?)", [(i % 7, body) for i, body in enumerate(bodies)])
    first.commit()
    for session in (first, second):
        session.begin()
    yield first, second
    first.close()
    second.close()


def test_connections_share_what_was_found_in_a_snapshot(
    notes: tuple[zodbapi.Connection, zodbapi.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def leaves(tree: Any) -> list[Any]:
        asked.append(tree)
        return list(_leaves(tree))

    monkeypatch.setattr("zodbapi.storage.stats._leaves", leaves)
    note = notes[0]._txn.schema.table("note")
    found = []
    for session in notes:
        stats = Stats(session._txn)
        found.append((stats.part_of_key(note.indexes[0].id, 1), stats.sample_rows(note.id)))
    assert found[0] == found[1]
    assert len(asked) == 2  # an index and a table, once each
    # What is shared holds no object of a connection: large values are such.
    classes = {value.__class__ for row in found[0][1] for value in row}
    assert classes == {int, str, type(None)}


def test_changes_are_estimated_by_who_sees_them(notes: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    writer, reader = notes
    note = writer._txn.schema.table("note")

    def count(session: zodbapi.Connection) -> int:
        return Stats(session._txn).row_count(note.id)

    before = count(writer)
    assert count(reader) == before
    writer.execute("DELETE FROM note WHERE id > 100")
    assert (count(writer), count(reader)) == (100, before)
    writer.commit()
    assert count(reader) == before
    reader.rollback()
    reader.begin()
    assert count(reader) == 100
    writer.begin()
    writer.execute("DELETE FROM note WHERE id > 50")
    assert count(writer) == 50
    writer.rollback()
    writer.begin()
    assert count(writer) == 100


NOTES = "CREATE TABLE note (id INTEGER PRIMARY KEY, pages INTEGER NOT NULL, body TEXT)"


def test_entries_that_lie_together_are_read_instead_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = (
        "SELECT count(DISTINCT pages) FROM note",
        "SELECT pages, count(*) AS n FROM note GROUP BY pages ORDER BY n DESC, pages LIMIT 3",
        "SELECT count(*) FROM other WHERE NOT EXISTS (SELECT 1 FROM note WHERE pages = other.id)",
        "SELECT id FROM other WHERE NOT EXISTS (SELECT 1 FROM note WHERE pages = other.id) ORDER BY id",
    )
    with closing(zodbapi.connect(":memory:", autocommit=True)) as connection:
        connection.execute(NOTES)
        connection.execute("CREATE INDEX note_pages ON note (pages)")
        connection.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO other VALUES (?)", [(i,) for i in range(ROWS)])
        notes = [(i * 7919 % 3001, f"body {i}") for i in range(ROWS)]
        connection.executemany("INSERT INTO note (pages, body) VALUES (?, ?)", notes)
        assert not any("USING note_pages" in line for query in queries for line in plan(connection, query))
        expected = [connection.execute(query).fetchall() for query in queries]
        with unoptimised():
            assert [connection.execute(query).fetchall() for query in queries] == expected
        monkeypatch.setattr(Stats, "lie_together", lambda *_: True)
        statement.STATEMENTS.clear()
        assert all(any("USING note_pages" in line for line in plan(connection, query)) for query in queries)
        assert [connection.execute(query).fetchall() for query in queries] == expected
    statement.STATEMENTS.clear()


_WRITE_AND_READ = f"""
import shutil, sys, zodbapi
from zodbapi.storage.stats import Stats

def lie_together(connection):
    connection.begin()
    table = connection._txn.schema.table("note")
    return Stats(connection._txn).lie_together(table.id, table.indexes[0].id)

connection = zodbapi.connect(sys.argv[1], autocommit=True)
connection.execute({NOTES!r})
connection.execute("CREATE INDEX note_pages ON note (pages)")
connection.executemany("INSERT INTO note (pages, body) VALUES (?, ?)", [(i * 7919 % 3001, str(i)) for i in range({ROWS})])
print(lie_together(connection))
connection.close()
shutil.copy(sys.argv[1], sys.argv[2])
print(lie_together(zodbapi.connect(sys.argv[2])))
"""


def test_entries_lie_together_if_they_were_read_from_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITE_AND_READ, str(tmp_path / "written.fs"), str(tmp_path / "read.fs")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["False", "True"]
