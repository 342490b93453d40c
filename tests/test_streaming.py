"""Results that are read as they are asked for: they never notice what happens to the trees meanwhile."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi
from zodbapi import execution
from zodbapi.storage import cache

ROWS = [(i, i % 7) for i in range(500)]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "LARGE", 50)
    monkeypatch.setattr(execution, "BLOCK", 10)


@pytest.fixture(params=["file", "memory"])
def pair(request: Any, tmp_path: Any, small_blocks: None) -> Iterator[tuple[zodbapi.Connection, zodbapi.Connection]]:
    dsn = str(tmp_path / "a.fs") if request.param == "file" else "memory://streaming"
    first, second = zodbapi.connect(dsn), zodbapi.connect(dsn)
    first.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    first.executemany("INSERT INTO t VALUES (?, ?)", ROWS)
    first.execute("CREATE INDEX t_n ON t (n)")
    first.commit()
    yield first, second
    first.close()
    second.close()


def started(connection: zodbapi.Connection, sql: str = "SELECT * FROM t") -> tuple[zodbapi.Cursor, list[Any]]:
    """A cursor of which some rows have been read, and those rows."""
    cursor = connection.execute(sql)
    assert connection._txn.streams
    return cursor, cursor.fetchmany(15)


def test_fetching_in_all_ways(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    cursor = pair[0].execute("SELECT id, n FROM t")
    assert [cursor.fetchone(), *cursor.fetchmany(37), next(cursor), *cursor.fetchall()] == ROWS
    assert cursor.fetchone() is None
    assert not pair[0]._txn.streams
    assert cursor.rownumber is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n, id + 1 FROM t",
        "SELECT id FROM t WHERE n <> 3",
        "SELECT a.id, b.n FROM t a JOIN t b ON b.id = a.n",
        "SELECT a.id, b.n FROM t a LEFT JOIN t b ON b.id = a.id + 400",
        "SELECT id FROM t ORDER BY id",
        "SELECT id FROM t ORDER BY id DESC",
        "SELECT n FROM t ORDER BY n",
        "SELECT id FROM t WHERE id BETWEEN 100 AND 400",
        "SELECT id, (SELECT count(*) FROM t AS u WHERE u.id < t.n) FROM t",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM t AS u WHERE u.id = t.n + 3)",
        "SELECT id FROM t WHERE n IN (SELECT id FROM t WHERE id < 3)",
    ],
)
def test_same_rows_as_at_once(pair: tuple[zodbapi.Connection, zodbapi.Connection], sql: str, monkeypatch: Any) -> None:
    streamed = list(pair[0].execute(sql))
    monkeypatch.setattr(execution, "LARGE", 1_000_000)
    assert streamed == list(pair[0].execute(sql))
    assert len(streamed) > 50


def test_few_rows_of_a_large_table_do_not_stream(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    cursor = pair[0].execute("SELECT id FROM t WHERE id % 100 = 0")
    assert not pair[0]._txn.streams
    assert cursor.rownumber == 0
    assert len(cursor.fetchall()) == 5


def test_own_writes(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    connection = pair[0]
    cursor, head = started(connection)
    connection.execute("DELETE FROM t WHERE id > 50")
    connection.execute("UPDATE t SET n = 99")
    assert head + cursor.fetchall() == ROWS
    connection.rollback()
    cursor, head = started(connection)
    connection.execute("DROP TABLE t")
    connection.commit()
    assert head + cursor.fetchall() == ROWS


def test_own_writes_before_and_rollback_during(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    connection = pair[0]
    connection.execute("UPDATE t SET n = 1")
    connection.savepoint("s")
    connection.execute("UPDATE t SET n = 2")
    cursor, head = started(connection)
    connection.rollback_to("s")
    second, second_head = started(connection)
    connection.rollback()
    assert {n for _, n in head + cursor.fetchall()} == {2}
    assert {n for _, n in second_head + second.fetchall()} == {1}


def test_commits_of_others(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    cursor, head = started(first)
    for number in range(3):
        second.execute("DELETE FROM t WHERE id >= ?", (300 - 100 * number,))
        second.commit()
    assert first.execute("SELECT count(*) FROM t").fetchone() == (100,)
    assert head + cursor.fetchall() == ROWS
    unrefreshed, unrefreshed_head = started(first, "SELECT id, n FROM t WHERE n + 0 > -1")
    second.execute("DELETE FROM t")
    second.commit()
    assert unrefreshed_head + unrefreshed.fetchall() == ROWS[:100]


def test_nested_reads_keep_streaming(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    connection = pair[0]
    seen = []
    for row in connection.execute("SELECT * FROM t"):
        seen.append(row)
        if row[0] == 100:
            assert connection.execute("SELECT n FROM t WHERE id = ?", (row[0],)).fetchone() == (100 % 7,)
            assert connection._txn.streams
    assert seen == ROWS


def test_transaction_ends_without_waiting_for_cursors(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    cursor, _ = started(first)
    assert not first.in_transaction
    first.execute("INSERT INTO t VALUES (1000, 1)")
    first.commit()
    second.execute("INSERT INTO t VALUES (1001, 1)")
    second.commit()
    assert len(cursor.fetchall()) == 485


def test_abandoned_and_closed_cursors_are_forgotten(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    connection = pair[0]
    started(connection)
    gc.collect()
    assert not connection._txn.streams
    cursor, _ = started(connection)
    cursor.close()
    assert not connection._txn.streams
    cursor, _ = started(connection)
    cursor.execute("SELECT 1")
    assert not connection._txn.streams
    cursor, _ = started(connection)
    connection.close()
    with pytest.raises(zodbapi.ProgrammingError):
        cursor.fetchall()


def test_error_on_the_way(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    connection = pair[0]
    connection.create_function("fail_at", 2, lambda value, place: 1 / (value - place))
    for disturb in (lambda: None, lambda: connection.execute("INSERT INTO t VALUES (2000, 0)")):
        cursor, head = started(connection, "SELECT fail_at(id, 300) FROM t")
        disturb()
        with pytest.raises(zodbapi.OperationalError, match="user-defined function raised exception"):
            cursor.fetchall()
        assert len(head) == 15
        connection.rollback()


def test_memory_stays_low(tmp_path: Any) -> None:
    script = textwrap.dedent("""
        import resource, sys, zodbapi
        connection = zodbapi.connect(sys.argv[1])
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
        for start in range(0, 300_000, 50_000):
            rows = ((i, f"text number {i}", f"more text {i} " * 5) for i in range(start, start + 50_000))
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
            connection.commit()
        connection.close()
    """)
    path = str(tmp_path / "large.fs")
    subprocess.run([sys.executable, "-c", script, path], check=True)
    script = textwrap.dedent("""
        import resource, sys, zodbapi
        connection = zodbapi.connect(sys.argv[1], cache_size_bytes=4 << 20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cursor, count = connection.execute("SELECT * FROM t"), 0
        while rows := cursor.fetchmany(1000):
            count += len(rows)
        print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """)
    found = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True)
    count, megabytes = map(int, found.stdout.split())
    assert count == 300_000
    assert megabytes < 50


def test_a_long_result_leaves_the_rest_of_the_cache_alone(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PASSING", 200_000)
    monkeypatch.setattr(execution, "LARGE", 10_000)
    path = tmp_path / "a.fs"
    with zodbapi.connect(path) as connection:
        for name in ("large", "small"):
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, a TEXT)")
        connection.executemany("INSERT INTO large VALUES (?, ?)", ((i, f"text {i}") for i in range(60_000)))
        connection.executemany("INSERT INTO small VALUES (?, ?)", ((i, f"text {i}") for i in range(3_000)))
    connection.close()
    with zodbapi.connect(path) as connection:
        objects = connection._txn._connection._cache
        objects.minimize()
        connection.execute("SELECT count(*), max(a) FROM small").fetchall()
        small = {oid for oid, item in objects.lru_items() if item._p_changed is False}
        cursor = connection.execute("SELECT * FROM large WHERE id % 2")
        assert sum(len(rows) for rows in iter(lambda: cursor.fetchmany(500), [])) == 30_000
        left = {oid for oid, item in objects.lru_items() if item._p_changed is False}
        assert small <= left
        assert len(left - small) < 200  # of 2,000 leaves
    connection.close()
