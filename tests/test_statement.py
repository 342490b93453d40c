"""The statement cache, and what happens to compiled statements when the world changes."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
from contextlib import suppress
from typing import Any

import pytest

import zodbapi
from zodbapi.depth import roomy
from zodbapi.generations import GenerationCache
from zodbapi.statement import STATEMENTS
from zodbapi.uncollected import UNCOLLECTED


def test_generations_forget_what_is_not_asked_for() -> None:
    cache: GenerationCache[int] = GenerationCache(2)
    for number in range(3):
        cache.add(number, number)
    assert (cache.recall(0), cache.recall(2)) == (0, 2)
    cache.add(3, 3)
    cache.add(4, 4)
    assert cache.recall(1) is None
    assert cache.recall(4) == 4
    cache.clear()
    assert cache.recall(4) is None


def test_cache_is_bounded() -> None:
    connection = zodbapi.connect(":memory:")
    STATEMENTS.clear()
    for number in range(2100):
        connection.execute(f"SELECT {number}")
    assert len(STATEMENTS.young) + len(STATEMENTS._old) <= 2000
    connection.close()


def test_connections_with_equal_schemas_share_statements() -> None:
    connections = [zodbapi.connect(":memory:") for _ in range(2)]
    for connection in connections:
        connection.execute("CREATE TABLE shared_by_two (a INTEGER PRIMARY KEY)")
        connection.commit()
    sql = "SELECT a FROM shared_by_two WHERE a = ?"
    connections[0].execute(sql, (1,))
    size = len(STATEMENTS.young)
    connections[1].execute(sql, (2,))
    assert len(STATEMENTS.young) == size
    for connection in connections:
        connection.close()


def test_compiling_leaves_the_garbage_collector_as_it_was() -> None:
    with zodbapi.connect(":memory:") as connection:
        for text in ("SELECT 41", "SELECT nothing"):
            for before in (True, False):
                (gc.enable if before else gc.disable)()
                try:
                    connection.execute(text)
                except zodbapi.OperationalError:
                    pass
                finally:
                    after = gc.isenabled()
                    gc.enable()
                assert after is before
                STATEMENTS.clear()


def test_garbage_collector_rests_until_the_last_statement_is_compiled() -> None:
    with UNCOLLECTED:
        assert not gc.isenabled()
        with UNCOLLECTED:
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_child_process_compiles_although_another_thread_was_compiling_at_the_fork() -> None:
    """What that thread held, locks and the garbage collector's rest, is held by nobody there."""
    inside, over = threading.Event(), threading.Event()

    def compile_for_long() -> None:
        def stage() -> None:
            with UNCOLLECTED:
                inside.set()
                over.wait()

        roomy(stage)()

    thread = threading.Thread(target=compile_for_long)
    thread.start()
    inside.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which is the point
        child = os.fork()
    if not child:
        signal.alarm(20)
        status = 1
        with suppress(BaseException):
            with zodbapi.connect(":memory:") as connection:
                status = connection.execute("SELECT 'compiled in a child'").fetchall() != [("compiled in a child",)]
            status |= not gc.isenabled()
        os._exit(status)
    over.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_commands_do_not_crowd_the_cache() -> None:
    connection = zodbapi.connect(":memory:")
    size = len(STATEMENTS.young)
    for number in range(5):
        connection.execute(f"SAVEPOINT s{number}")
        connection.execute(f"RELEASE s{number}")
    assert len(STATEMENTS.young) == size
    connection.close()


def test_statement_follows_the_schema(tmp_path: Any) -> None:
    path = str(tmp_path / "a.fs")
    first, second = (zodbapi.connect(path, autocommit=True) for _ in range(2))
    first.execute("CREATE TABLE t (a INTEGER, b TEXT)")
    insert, select = "INSERT INTO t VALUES (?, ?)", "SELECT * FROM t"
    first.execute(insert, (1, "x"))
    assert second.execute(select).fetchall() == [(1, "x")]
    second.execute("ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 9")
    with pytest.raises(zodbapi.OperationalError, match="table t has 3 columns but 2 values were supplied"):
        first.execute(insert, (2, "y"))
    assert first.execute(select).fetchall() == [(1, "x", 9)]
    second.begin()
    second.execute("DROP TABLE t")
    second.execute("CREATE TABLE t (z TEXT)")
    assert second.execute(select).fetchall() == []
    assert first.execute(select).fetchall() == [(1, "x", 9)]
    second.rollback()
    assert second.execute(select).fetchall() == [(1, "x", 9)]
    first.close()
    second.close()


def test_program_is_chosen_again_when_the_schema_changed_before_the_write(tmp_path: Any) -> None:
    path = str(tmp_path / "a.fs")
    first, second = (zodbapi.connect(path) for _ in range(2))
    first.execute("CREATE TABLE t (a INTEGER)")
    first.commit()
    second.begin()
    first.execute("ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 5")
    first.commit()
    second.execute("INSERT INTO t (a) VALUES (1)")
    second.commit()
    assert first.execute("SELECT * FROM t").fetchall() == [(1, 5)]
    first.close()
    second.close()


def test_function_may_run_statements_of_its_own() -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1), (2)")
    connection.create_function("rows_below", 1, lambda n: connection.execute(
        "SELECT count(*) FROM t WHERE a < ?", (n,)
    ).fetchone()[0])  # fmt: skip
    assert connection.execute("SELECT a, rows_below(a) FROM t ORDER BY a").fetchall() == [(1, 0), (2, 1)]
    connection.commit()
    assert connection.execute("SELECT rows_below(9)").fetchall() == [(2,)]
    connection.close()


def test_writing_while_iterating() -> None:
    connection = zodbapi.connect(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?, 0)", [(i,) for i in range(200)])
    for (a,) in connection.execute("SELECT a FROM t"):
        connection.execute("UPDATE t SET b = a WHERE a = ?", (a,))
        connection.execute("INSERT INTO t VALUES (?, 1)", (a + 1000,))
        if a % 3 == 0:
            connection.execute("DELETE FROM t WHERE a = ?", (a,))
    assert connection.execute("SELECT count(*), sum(b) FROM t").fetchone() == (
        333,
        sum(range(200)) - sum(range(0, 200, 3)) + 200,
    )
    connection.close()
