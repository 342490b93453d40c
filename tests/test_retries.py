"""Statements that are their own transaction win in the end; ids of several processes never meet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

import zodbapi
from tests.test_anomalies import RC, SER, SI, Place, place, processes, server

__all__ = ["place", "processes", "server"]  # fixtures
ROUNDS, THREADS = 15, 3


@pytest.fixture
def connections(place: Place, request: pytest.FixtureRequest) -> Iterator[list[zodbapi.Connection]]:
    """Several, at the level of the test; over ZEO each plays a process."""
    place.keeper.executescript(
        "CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO counter VALUES (1, 0), (2, 0);"
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER, word TEXT UNIQUE)"
    )
    level = request.node.callspec.params["level"]
    dsns = [place.dsn if place.local else f"{place.dsn}&wait={n + 7}" for n in range(THREADS)]
    dsns = [dsn.replace("wait_timeout=3&wait", "wait_timeout") for dsn in dsns]
    found = [zodbapi.connect(dsn, autocommit=True, isolation_level=level, check_same_thread=False) for dsn in dsns]
    yield found
    for connection in found:
        connection.close()


def in_threads(connections: list[zodbapi.Connection], work: Any) -> None:
    """Has each connection do the work at the same time; the first error is raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for step in range(ROUNDS):
                work(connections[number], number, step)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("place", ["memory", "file", "zeo"], indirect=True)
@pytest.mark.parametrize("level", [RC, SI, SER])
def test_no_increment_is_lost(place: Place, connections: list[zodbapi.Connection], level: str) -> None:
    returned: list[int] = []

    def work(connection: zodbapi.Connection, number: int, step: int) -> None:
        connection.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
        returned.extend(n for (n,) in connection.execute("UPDATE counter SET n = n + 1 WHERE id = 2 RETURNING n"))
        rows = ([f"{number} {step} {part}"] for part in range(3))
        connection.executemany("INSERT INTO t (word) VALUES (?)", rows)
        (new,) = connection.execute("INSERT INTO t (n) SELECT max(id) FROM t RETURNING id").fetchall()
        returned.append(-new[0])

    in_threads(connections, work)
    total = ROUNDS * THREADS
    assert place.keeper.execute("SELECT n FROM counter").fetchall() == [(total,), (total,)]
    assert sorted(n for n in returned if n > 0) == list(range(1, total + 1))
    assert len({n for n in returned if n < 0}) == total
    assert place.keeper.execute("SELECT count(*), count(DISTINCT word) FROM t").fetchone() == (4 * total, 3 * total)


@pytest.mark.parametrize("place", ["memory", "file", "zeo"], indirect=True)
@pytest.mark.parametrize("level", [RC, SI])
def test_ids_of_transactions_that_overlap(place: Place, connections: list[zodbapi.Connection], level: str) -> None:
    """Small, and no two the same, though each has read before it inserts; they survive a rollback and a restart."""
    conflicts: list[int] = []

    def work(connection: zodbapi.Connection, number: int, step: int) -> None:
        while True:
            try:
                connection.begin()
                connection.execute("SELECT n FROM counter").fetchall()
                connection.execute("INSERT INTO t (word) VALUES (?)", [f"{number} {step}"])
                connection.commit()
                return
            except zodbapi.ConflictError:
                connection.rollback()
                conflicts.append(step)

    in_threads(connections, work)
    total = ROUNDS * THREADS
    ids = [rowid for (rowid,) in place.keeper.execute("SELECT id FROM t ORDER BY id").fetchall()]
    assert len(ids) == total
    if place.local:
        assert ids == list(range(1, total + 1))
        assert len(conflicts) <= total // 5
    else:
        assert ids[-1] <= total + THREADS * 32
    connections[0].begin()
    lost = connections[0].execute("INSERT INTO t (n) VALUES (1) RETURNING id").fetchone()[0]
    connections[0].rollback()
    place.keeper.execute("DELETE FROM t")
    with closing(zodbapi.connect(place.dsn, autocommit=True)) as fresh:
        assert fresh.execute("INSERT INTO t (n) VALUES (1) RETURNING id").fetchone()[0] >= min(lost, ids[-1] + 1)
