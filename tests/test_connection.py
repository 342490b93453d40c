"""Connections: transactions, isolation between sessions, what sqlite3 adds to PEP 249."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import zodbapi


@pytest.fixture
def connection() -> Iterator[zodbapi.Connection]:
    made = zodbapi.connect(":memory:")
    made.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER)")
    made.commit()
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Any) -> Iterator[tuple[zodbapi.Connection, zodbapi.Connection]]:
    """Two sessions of one file, with a table of two rows."""
    first, second = (zodbapi.connect(str(tmp_path / "pair.fs"), timeout=0.2) for _ in range(2))
    first.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    first.execute("INSERT INTO t VALUES (1, 10), (2, 20)")
    first.commit()
    yield first, second
    first.close()
    second.close()


def rows(connection: zodbapi.Connection, sql: str = "SELECT * FROM t ORDER BY id") -> list[Any]:
    return connection.execute(sql).fetchall()


# --- transactions ---------------------------------------------------------------------------------------------------


def test_write_opens_transaction_and_commit_ends_it(connection: zodbapi.Connection) -> None:
    assert not connection.in_transaction
    connection.execute("SELECT * FROM t")
    assert not connection.in_transaction
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    assert connection.in_transaction
    connection.commit()
    assert not connection.in_transaction
    assert rows(connection) == [(1, "x", 1)]


def test_rollback(connection: zodbapi.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    connection.rollback()
    assert rows(connection) == []
    connection.rollback()


def test_context_manager_commits_or_rolls_back(connection: zodbapi.Connection) -> None:
    with connection:
        connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    with pytest.raises(ZeroDivisionError), connection:
        connection.execute("INSERT INTO t VALUES (2, 'y', 1)")
        1 / 0  # noqa: B018
    assert rows(connection) == [(1, "x", 1)]
    connection.execute("SELECT 1")


@pytest.mark.parametrize("options", [{"autocommit": True}, {"isolation_level": None}])
def test_autocommit(options: dict[str, Any]) -> None:
    connection = zodbapi.connect(":memory:", **options)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.autocommit
    assert not connection.in_transaction
    connection.begin()
    connection.execute("INSERT INTO t VALUES (2)")
    assert connection.in_transaction
    connection.rollback()
    assert rows(connection) == [(1,)]


def test_autocommit_on_commits_what_is_open(connection: zodbapi.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    connection.autocommit = True
    assert not connection.in_transaction
    assert rows(connection) == [(1, "x", 1)]


def test_transaction_statements(connection: zodbapi.Connection) -> None:
    connection.execute("BEGIN")
    with pytest.raises(zodbapi.OperationalError, match="cannot start a transaction within a transaction"):
        connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    connection.execute("ROLLBACK")
    with pytest.raises(zodbapi.OperationalError, match="cannot rollback - no transaction is active"):
        connection.execute("ROLLBACK")
    with pytest.raises(zodbapi.OperationalError, match="cannot commit - no transaction is active"):
        connection.execute("COMMIT")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("INSERT INTO t VALUES (2, 'y', 1)")
    connection.execute("END")
    assert rows(connection) == [(2, "y", 1)]


def test_savepoints(connection: zodbapi.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    connection.savepoint("one")
    connection.execute("UPDATE t SET n = 2")
    connection.execute("SAVEPOINT two")
    connection.execute("DELETE FROM t")
    connection.execute("ROLLBACK TO SAVEPOINT two")
    assert rows(connection) == [(1, "x", 2)]
    connection.rollback_to("one")
    assert rows(connection) == [(1, "x", 1)]
    with pytest.raises(zodbapi.OperationalError, match="no such savepoint: two"):
        connection.execute("RELEASE two")
    connection.release("one")
    connection.commit()
    assert rows(connection) == [(1, "x", 1)]


def test_savepoint_outside_transaction_opens_one_and_release_commits(connection: zodbapi.Connection) -> None:
    connection.execute("SAVEPOINT s")
    assert connection.in_transaction
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    connection.execute("RELEASE s")
    assert not connection.in_transaction
    connection.rollback()
    assert rows(connection) == [(1, "x", 1)]


def test_failed_statement_leaves_nothing(connection: zodbapi.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (5, 'e', 1)")
    with pytest.raises(zodbapi.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
        connection.execute("INSERT INTO t (a) VALUES ('a'), ('b'), ('c'), ('d'), ('e')")
    assert connection.in_transaction
    assert rows(connection) == [(5, "e", 1)]
    connection.commit()


def test_ddl_rolls_back(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE TABLE u (x)")
    connection.execute("ALTER TABLE t ADD COLUMN extra INTEGER DEFAULT 7")
    connection.execute("INSERT INTO t VALUES (1, 'x', 1, 2)")
    connection.execute("DROP TABLE t")
    connection.rollback()
    assert list(connection.schema.tables) == ["t"]
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    connection.execute("SAVEPOINT s")
    connection.execute("CREATE INDEX t_n ON t (n)")
    connection.execute("ROLLBACK TO s")
    assert connection.schema.indexes.keys() == {"sqlite_autoindex_t_1"}
    assert rows(connection, "PRAGMA integrity_check") == [("ok",)]


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_reads_outside_transactions_see_the_newest(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    assert rows(second) == [(1, 10), (2, 20)]
    first.execute("UPDATE t SET n = 11 WHERE id = 1")
    assert rows(second) == [(1, 10), (2, 20)]
    first.commit()
    assert rows(second) == [(1, 11), (2, 20)]


def test_transaction_reads_one_snapshot(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    second.begin()
    assert rows(second) == [(1, 10), (2, 20)]
    first.execute("DELETE FROM t")
    first.commit()
    assert rows(second) == [(1, 10), (2, 20)]
    second.commit()
    assert rows(second) == []


def test_stale_write_conflicts(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    second.begin()
    rows(second)
    first.execute("UPDATE t SET n = n + 1 WHERE id = 1")
    first.commit()
    with pytest.raises(zodbapi.ConflictError):
        second.execute("UPDATE t SET n = n + 5 WHERE id = 1")
        second.commit()
    second.rollback()
    assert rows(second) == [(1, 11), (2, 20)]


def test_second_writer_waits_then_fails(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    first.execute("UPDATE t SET n = 0")
    with pytest.raises(zodbapi.OperationalError, match="database is locked"):
        second.execute("UPDATE t SET n = 1")
    assert not second.in_transaction
    first.commit()
    second.execute("UPDATE t SET n = 1")
    second.commit()


def test_schema_change_of_another_session_is_seen(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    assert rows(second) == [(1, 10), (2, 20)]
    first.execute("ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'new'")
    first.commit()
    assert rows(second) == [(1, 10, "new"), (2, 20, "new")]
    second.execute("INSERT INTO t VALUES (3, 30, 'mine')")
    second.commit()
    assert rows(first)[-1] == (3, 30, "mine")


def test_threads_count_together(tmp_path: Any) -> None:
    path = str(tmp_path / "hot.fs")
    main = zodbapi.connect(path, autocommit=True)
    main.execute("CREATE TABLE c (id INTEGER PRIMARY KEY, n INTEGER)")
    main.execute("INSERT INTO c VALUES (1, 0)")

    def work() -> None:
        connection = zodbapi.connect(path, autocommit=True)
        for _ in range(25):
            connection.execute("UPDATE c SET n = n + 1 WHERE id = 1")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(main, "SELECT n FROM c") == [(100,)]
    main.close()


def test_memory_databases() -> None:
    private, other = zodbapi.connect(":memory:"), zodbapi.connect(":memory:")
    private.execute("CREATE TABLE t (a)")
    private.commit()
    assert other.schema.tables == {}
    shared, same = zodbapi.connect("memory://shared"), zodbapi.connect("memory://shared")
    shared.execute("CREATE TABLE t (a)")
    shared.commit()
    assert list(same.schema.tables) == ["t"]
    for connection in (private, other, shared, same):
        connection.close()


# --- misuse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.cursor(),
        lambda c: c.execute("SELECT 1"),
        lambda c: c.executemany("INSERT INTO t VALUES (?)", [(1,)]),
        lambda c: c.executescript("SELECT 1"),
        lambda c: c.commit(),
        lambda c: c.rollback(),
        lambda c: c.begin(),
        lambda c: c.savepoint("s"),
        lambda c: c.create_function("f", 0, lambda: 1),
        lambda c: c.iterdump(),
        lambda c: c.schema,
        lambda c: c.interrupt(),
        lambda c: c.set_trace_callback(print),
        lambda c: c.set_progress_handler(None, 1),
        lambda c: setattr(c, "isolation_level", None),
    ],
)
def test_closed_connection(use: Any) -> None:
    connection = zodbapi.connect(":memory:")
    connection.close()
    connection.close()
    with pytest.raises(zodbapi.ProgrammingError, match=r"Cannot operate on a closed database\."):
        use(connection)
    assert not connection.in_transaction


@pytest.mark.parametrize("fetch", [next, list, "fetchone", "fetchall", "fetchmany"])
def test_cursors_of_a_closed_connection(fetch: Any) -> None:
    connection = zodbapi.connect(":memory:")
    cursor = connection.execute("VALUES (1), (2), (3)")
    assert next(cursor) == (1,)
    connection.close()
    with pytest.raises(zodbapi.ProgrammingError, match=r"Cannot operate on a closed database\."):
        getattr(cursor, fetch)() if isinstance(fetch, str) else fetch(cursor)


def test_texts_are_str() -> None:
    connection = zodbapi.connect(":memory:")
    connection.text_factory = str
    assert connection.text_factory is str
    with pytest.raises(zodbapi.NotSupportedError, match="text_factory"):
        connection.text_factory = bytes  # type: ignore[assignment]
    connection.close()


def test_close_rolls_back(tmp_path: Any) -> None:
    path = str(tmp_path / "a.fs")
    connection = zodbapi.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    again = zodbapi.connect(path)
    assert rows(again, "SELECT * FROM t") == []
    again.close()


def test_forgotten_connection_lets_go_of_the_lock(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    third = zodbapi.connect(first._database.dsn)
    third.execute("UPDATE t SET n = 0")
    del third
    second.execute("UPDATE t SET n = 1")
    second.commit()
    assert rows(first) == [(1, 1), (2, 1)]


def test_other_thread_is_refused(connection: zodbapi.Connection) -> None:
    raised: list[BaseException] = []

    def use() -> None:
        try:
            connection.execute("SELECT 1")
        except zodbapi.ProgrammingError as error:
            raised.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "thread" in str(raised[0])


def test_threads_unchecked() -> None:
    connection = zodbapi.connect(":memory:", check_same_thread=False)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(connection.execute("SELECT 1")))
    thread.start()
    thread.join()
    assert found == [(1,)]
    connection.close()


def test_threads_share_a_connection() -> None:
    connection = zodbapi.connect(":memory:", check_same_thread=False, autocommit=True)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, who, n)")
    connection.execute("CREATE INDEX i ON t (who)")
    failures: list[Any] = []

    def work(who: int) -> None:
        try:
            for n in range(60):
                connection.execute("INSERT INTO t (who, n) VALUES (?, ?)", (who, n))
                assert connection.execute("SELECT count(*) FROM t WHERE who = ?", (who,)).fetchone() == (n + 1,)
                connection.execute("UPDATE t SET n = n + 1 WHERE who = ? AND n = ?", (who, n))
                assert {row[0] for row in connection.execute("SELECT who FROM t WHERE who = ?", (who,))} == {who}
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(5)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert connection.check() == []
    found = connection.execute("SELECT who, count(*), sum(n) FROM t GROUP BY who").fetchall()
    assert len(found) == 5 and len({row[1:] for row in found}) == 1
    connection.close()


def test_missing_folder_and_foreign_file(tmp_path: Any) -> None:
    with pytest.raises(zodbapi.OperationalError, match="unable to open database file"):
        zodbapi.connect(str(tmp_path / "missing" / "a.fs"))
    text = tmp_path / "text.fs"
    text.write_text("this is no database, but a text that is long enough to look like one")
    with pytest.raises(zodbapi.DatabaseError):
        zodbapi.connect(str(text)).execute("SELECT 1")
    assert text.read_text().startswith("this is no database")


# --- functions --------------------------------------------------------------------------------------------------------


def test_create_function(connection: zodbapi.Connection) -> None:
    connection.create_function("twice", 1, lambda value: value * 2, deterministic=True)
    connection.create_function("arity", -1, lambda *args: len(args))
    assert rows(connection, "SELECT twice(21), twice('ab'), arity(), arity(1, 2, NULL)") == [(42, "abab", 0, 3)]
    connection.create_function("twice", 1, None)
    with pytest.raises(zodbapi.OperationalError, match="no such function: twice"):
        rows(connection, "SELECT twice(1)")


def test_function_that_raises(connection: zodbapi.Connection) -> None:
    connection.create_function("fail", 0, lambda: 1 / 0)
    with pytest.raises(zodbapi.OperationalError, match="user-defined function raised exception") as caught:
        rows(connection, "SELECT fail()")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


class Concat:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def step(self, value: str) -> None:
        self.parts.append(value)

    def inverse(self, value: str) -> None:
        self.parts.remove(value)

    def value(self) -> str:
        return "+".join(self.parts)

    def finalize(self) -> str:
        return self.value()


def test_create_aggregate_and_window_function(connection: zodbapi.Connection) -> None:
    connection.executemany("INSERT INTO t (a, n) VALUES (?, ?)", [("a", 1), ("b", 1), ("c", 2)])
    connection.create_aggregate("concat_all", 1, Concat)
    assert rows(connection, "SELECT n, concat_all(a) FROM t GROUP BY n") == [(1, "a+b"), (2, "c")]
    connection.create_window_function("concat_near", 1, Concat)
    sql = "SELECT concat_near(a) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t ORDER BY id"
    assert rows(connection, sql) == [("a",), ("a+b",), ("b+c",)]


def test_create_collation(connection: zodbapi.Connection) -> None:
    connection.executemany("INSERT INTO t (a) VALUES (?)", [("abc",), ("b",), ("ab",)])
    connection.create_collation("by_length", lambda a, b: (len(a) > len(b)) - (len(a) < len(b)))
    assert rows(connection, "SELECT a FROM t ORDER BY a COLLATE by_length DESC") == [("abc",), ("ab",), ("b",)]
    connection.create_collation("by_length", None)
    with pytest.raises(zodbapi.OperationalError, match="no such collation sequence: by_length"):
        rows(connection, "SELECT a FROM t ORDER BY a COLLATE by_length")


def test_functions_of_one_connection_are_not_another_s(connection: zodbapi.Connection) -> None:
    connection.create_function("mine", 0, lambda: 1)
    other = zodbapi.connect(":memory:")
    with pytest.raises(zodbapi.OperationalError, match="no such function: mine"):
        other.execute("SELECT mine()")
    other.close()


# --- watching, copies -------------------------------------------------------------------------------------------------


def test_trace_callback(connection: zodbapi.Connection) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    connection.execute("SELECT 1")
    connection.executemany("INSERT INTO t (a) VALUES (?)", [("x",)])
    connection.set_trace_callback(None)
    connection.execute("SELECT 2")
    assert seen == ["SELECT 1", "INSERT INTO t (a) VALUES (?)"]


SLOW = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000000) SELECT count(*) FROM c"


def test_progress_handler(connection: zodbapi.Connection) -> None:
    calls: list[int] = []
    connection.set_progress_handler(lambda: calls.append(1) or len(calls) > 3, 100)
    with pytest.raises(zodbapi.OperationalError, match="interrupted"):
        connection.execute(SLOW)
    connection.set_progress_handler(None, 0)
    assert len(calls) == 4
    assert rows(connection, "SELECT 1") == [(1,)]


def test_interrupt(connection: zodbapi.Connection) -> None:
    running = threading.Event()
    connection.create_function("tell", 1, lambda n: running.set() or n)

    def stop() -> None:
        running.wait(60)
        connection.interrupt()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(zodbapi.OperationalError, match="interrupted"):
        connection.execute(SLOW.replace("SELECT 1", "SELECT tell(1)"))
    thread.join()
    connection.interrupt()
    assert rows(connection, "SELECT 1") == [(1,)]


def test_total_changes(connection: zodbapi.Connection) -> None:
    before = connection.total_changes
    connection.executemany("INSERT INTO t (a) VALUES (?)", [("x",), ("y",)])
    connection.execute("UPDATE t SET n = 1")
    connection.execute("DELETE FROM t WHERE a = 'x'")
    assert connection.total_changes - before == 5
    assert rows(connection, "SELECT changes(), last_insert_rowid()") == [(1, 2)]


SCRIPT = """
    CREATE TABLE author (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(20) NOT NULL COLLATE NOCASE UNIQUE);
    CREATE TABLE book (
        isbn TEXT PRIMARY KEY, author_id INTEGER NOT NULL REFERENCES author (id) ON DELETE CASCADE,
        price DECIMAL(8, 2) DEFAULT 1.50 CHECK (price > 0), sold DATE, cover BLOB,
        label TEXT GENERATED ALWAYS AS (isbn || '!') VIRTUAL, UNIQUE (author_id, isbn)
    );
    CREATE INDEX book_sold ON book (sold DESC, lower(isbn)) WHERE price > 2;
    CREATE VIEW cheap AS SELECT isbn FROM book WHERE price < 5;
    INSERT INTO author (name) VALUES ('O''Brien; no comment -- here'), ('Ana');
    INSERT INTO book (isbn, author_id, price, sold, cover)
        VALUES ('a', 1, 3.25, '2024-02-29', X'00ff'), ('b', 2, 9.99, NULL, NULL);
"""


def test_executescript_and_iterdump() -> None:
    source = zodbapi.connect(":memory:")
    source.executescript(SCRIPT)
    assert not source.in_transaction
    copy = zodbapi.connect(":memory:")
    copy.executescript("\n".join(source.iterdump()))
    for table in ("author", "book", "cheap"):
        assert rows(copy, f"SELECT * FROM {table}") == rows(source, f"SELECT * FROM {table}")
    assert list(copy.iterdump()) == list(source.iterdump())
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert rows(copy, "SELECT label FROM book") == [("a!",), ("b!",)]
    source.close()
    copy.close()


def test_executescript_commits_first_and_stops_at_errors(connection: zodbapi.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    with pytest.raises(zodbapi.IntegrityError):
        connection.executescript("INSERT INTO t VALUES (2, 'y', 1); INSERT INTO t VALUES (1, 'z', 1); SELECT 1")
    connection.rollback()
    assert rows(connection, "SELECT id FROM t") == [(1,), (2,)]


def test_backup(tmp_path: Any) -> None:
    source = zodbapi.connect(":memory:")
    source.executescript(SCRIPT)
    target = zodbapi.connect(str(tmp_path / "copy.fs"))
    target.execute("CREATE TABLE old (a)")
    target.commit()
    source.backup(target)
    assert list(target.iterdump()) == list(source.iterdump())
    target.execute("INSERT INTO author (name) VALUES ('Next')")
    assert rows(target, "SELECT max(id) FROM author") == [(3,)]
    assert rows(target, "PRAGMA integrity_check") == [("ok",)]
    target.close()
    source.close()


def test_row_factory(connection: zodbapi.Connection) -> None:
    connection.row_factory = zodbapi.Row
    connection.execute("INSERT INTO t VALUES (1, 'x', 5)")
    row = connection.execute("SELECT id, a AS Name, n FROM t").fetchone()
    assert (row["id"], row["name"], row["NAME"], row[-1], row[0:2]) == (1, "x", "x", 5, (1, "x"))
    assert row.keys() == ["id", "Name", "n"]
    assert (len(row), tuple(row), dict(row)["Name"]) == (3, (1, "x", 5), "x")
    assert row == connection.execute("SELECT id, a AS Name, n FROM t").fetchall()[0]
    assert len({row, next(connection.execute("SELECT id, a AS Name, n FROM t"))}) == 1
    with pytest.raises(IndexError, match="No item with that key"):
        row["other"]
    connection.row_factory = lambda cursor, values: dict(zip([c[0] for c in cursor.description], values, strict=True))
    assert connection.execute("SELECT n FROM t").fetchmany(5) == [{"n": 5}]


def test_exceptions_as_attributes() -> None:
    for name in (
        "Warning Error InterfaceError DatabaseError DataError OperationalError IntegrityError InternalError "
        "ProgrammingError NotSupportedError"
    ).split():
        assert getattr(zodbapi.Connection, name) is getattr(zodbapi, name)
        assert issubclass(getattr(sqlite3, name), Exception)


# --- two-phase commit -------------------------------------------------------------------------------------------------


def test_two_phases(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    xid = first.xid(1, "global", "branch")
    assert tuple(xid) == (1, "global", "branch")
    first.tpc_begin(xid)
    first.execute("UPDATE t SET n = 0 WHERE id = 1")
    first.tpc_prepare()
    assert rows(second) == [(1, 10), (2, 20)]
    first.tpc_commit()
    assert rows(second) == [(1, 0), (2, 20)]
    assert not first.in_transaction
    assert first.tpc_recover() == []


def test_two_phases_rolled_back(pair: tuple[zodbapi.Connection, zodbapi.Connection]) -> None:
    first, second = pair
    for prepared in (False, True):
        first.tpc_begin(first.xid(1, "g", "b"))
        first.execute("DELETE FROM t")
        if prepared:
            first.tpc_prepare()
        first.tpc_rollback()
        assert rows(first) == rows(second) == [(1, 10), (2, 20)]
    second.execute("UPDATE t SET n = 1")
    second.commit()


def test_two_phases_in_one_step_and_misused(connection: zodbapi.Connection) -> None:
    xid = connection.xid(0, "g", "b")
    for method in (connection.tpc_prepare, connection.tpc_commit, connection.tpc_rollback):
        with pytest.raises(zodbapi.ProgrammingError, match=r"after tpc_begin\(\)"):
            method()
    connection.tpc_begin(xid)
    connection.execute("INSERT INTO t VALUES (1, 'x', 1)")
    for use in (connection.commit, connection.rollback, lambda: connection.tpc_begin(xid)):
        with pytest.raises(zodbapi.ProgrammingError):
            use()
    with pytest.raises(zodbapi.NotSupportedError):
        connection.tpc_commit(xid)
    connection.tpc_commit()
    assert rows(connection) == [(1, "x", 1)]


def test_prepare_runs_deferred_checks(connection: zodbapi.Connection) -> None:
    connection.execute("CREATE TABLE c (t INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
    connection.commit()
    connection.tpc_begin(connection.xid(0, "g", "b"))
    connection.execute("INSERT INTO c VALUES (7)")
    with pytest.raises(zodbapi.IntegrityError, match="FOREIGN KEY constraint failed"):
        connection.tpc_prepare()
    connection.tpc_rollback()
    assert rows(connection, "SELECT * FROM c") == []


def test_serializable_prevents_write_skew(tmp_path: Any) -> None:
    path = str(tmp_path / "skew.fs")
    first, second = (zodbapi.connect(path, isolation_level="SERIALIZABLE", timeout=1) for _ in range(2))
    first.execute("CREATE TABLE d (id INTEGER PRIMARY KEY, on_call INTEGER)")
    first.execute("INSERT INTO d VALUES (1, 1), (2, 1)")
    first.commit()
    for each in (first, second):
        each.begin()
        assert rows(each, "SELECT sum(on_call) FROM d") == [(2,)]
    first.execute("UPDATE d SET on_call = 0 WHERE id = 1")
    first.commit()
    with pytest.raises(zodbapi.ConflictError):
        second.execute("UPDATE d SET on_call = 0 WHERE id = 2")
        second.commit()
    second.rollback()
    first.close()
    second.close()


def test_isolation_level(connection: zodbapi.Connection) -> None:
    assert connection.isolation_level == ""
    with pytest.raises(zodbapi.ProgrammingError, match="unknown isolation level"):
        connection.isolation_level = "CHAOS"
    connection.isolation_level = None
    assert connection.autocommit


def test_join_the_callers_transaction_manager() -> None:
    transaction = pytest.importorskip("transaction")
    manager = transaction.TransactionManager(explicit=True)
    connections = [zodbapi.connect(f"memory://joined-{i}", transaction_manager=manager) for i in range(2)]
    for connection in connections:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
    manager.commit()
    for connection in connections:
        assert rows(connection, "SELECT a FROM t") == [(1,)]
        connection.close()
