"""Values above a few KB, which leave their row: the same results as in sqlite3, and what is written and read for them."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zodbapi
from zodbapi.large import LIMIT, PIECE

LONG = "längere " * 1000  # characters of two bytes too
BYTES = bytes(range(256)) * 64
TABLES = """
CREATE TABLE parent (id INTEGER PRIMARY KEY, title TEXT, data BLOB, anything, CHECK (length(title) < 100000));
CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent (id) ON DELETE CASCADE, note TEXT);
CREATE INDEX parent_length ON parent (length(title));
CREATE INDEX parent_partial ON parent (id) WHERE title LIKE 'l%';
"""
ROWS = [(1, LONG, BYTES, LONG), (2, "short", b"short", 5), (3, None, None, None), (4, LONG + "!", None, BYTES)]
SERVE = """
import sys
from zodbapi.storage.server import serve

path, address, blob_dir = sys.argv[1:]
serve(path, address, blob_dir=blob_dir, running=lambda shown: print(shown, flush=True))
"""
QUERIES = [
    "SELECT * FROM parent ORDER BY id",
    "SELECT id, title FROM parent ORDER BY title DESC, id",
    "SELECT id FROM parent WHERE title LIKE '%re längere !' ORDER BY id",
    "SELECT id, length(title), length(data), length(anything) FROM parent ORDER BY id",
    "SELECT id FROM parent WHERE title IS NULL OR data IS NOT NULL ORDER BY id",
    "SELECT count(title), count(DISTINCT title), max(title), min(data), count(*) FROM parent",
    "SELECT title, count(*) FROM parent GROUP BY title ORDER BY title",
    "SELECT DISTINCT substr(title, 1, 5) FROM parent ORDER BY 1",
    "SELECT a.id, b.id FROM parent a JOIN parent b ON a.title = b.title ORDER BY 1, 2",
    "SELECT a.id, b.title FROM parent a LEFT JOIN parent b ON b.id = a.id + 1 ORDER BY 1",
    "SELECT p.id, c.note FROM parent p JOIN child c ON c.parent_id = p.id WHERE c.note || '!' = p.title",
    "SELECT id FROM parent WHERE title IN (SELECT note FROM child) ORDER BY id",
    "SELECT id, (SELECT note FROM child WHERE parent_id = p.id) FROM parent p ORDER BY id",
    "SELECT title FROM parent UNION SELECT note FROM child ORDER BY 1",
    "SELECT id, typeof(anything), coalesce(data, title) FROM parent ORDER BY id",
    "WITH w AS (SELECT id, title AS t FROM parent) SELECT x.t, y.id FROM w x JOIN w y ON x.t = y.t ORDER BY y.id",
    "SELECT id, first_value(title) OVER (ORDER BY id) FROM parent ORDER BY id",
    "SELECT id FROM parent WHERE length(title) = 8001",
    "SELECT id FROM parent WHERE title LIKE 'l%' AND id > 0 ORDER BY id",
    "SELECT title FROM parent ORDER BY id LIMIT 1",
    "SELECT group_concat(length(title), ',') FROM parent",
]
CHANGES = [
    ("UPDATE parent SET id = id + 10 WHERE id = 3", ()),
    ("UPDATE parent SET anything = title WHERE data IS NOT NULL", ()),
    ("UPDATE parent SET title = title || ? WHERE id = 2", (LONG,)),
    ("UPDATE parent SET title = 'small' WHERE id = 1", ()),
    ("UPDATE parent SET data = ? WHERE title IS NOT NULL", (BYTES * 2,)),
    ("DELETE FROM parent WHERE length(title) = 8001", ()),
    ("INSERT INTO parent SELECT id + 100, title, data, anything FROM parent", ()),
    ("INSERT INTO child SELECT id + 10, id, title FROM parent", ()),
    ("INSERT OR REPLACE INTO parent (id, title) VALUES (1, ?)", (LONG * 2,)),
    (
        "INSERT INTO parent (id, title) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET anything = excluded.title || title",
        (LONG,),
    ),
    ("ALTER TABLE parent ADD COLUMN more TEXT DEFAULT 'x'", ()),
    ("ALTER TABLE parent DROP COLUMN anything", ()),
    ("CREATE TABLE copied AS SELECT * FROM parent", ()),
    ("DELETE FROM parent WHERE id > 100", ()),
]


@pytest.fixture
def database(tmp_path: Path) -> Any:
    connection = zodbapi.connect(str(tmp_path / "large.fs"), isolation_level=None)
    yield connection
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def fill(connection: Any) -> None:
    for statement in TABLES.split(";\n"):
        connection.execute(statement)
    connection.executemany("INSERT INTO parent VALUES (?, ?, ?, ?)", ROWS)
    connection.execute("INSERT INTO child (parent_id, note) VALUES (1, ?), (4, ?)", [LONG, LONG])


def large_columns(connection: Any) -> set[str]:
    with connection:
        connection.execute("BEGIN")
        tables = connection._txn.schema.tables.values()
        return {f"{table.name}.{table.columns[i].name}" for table in tables for i in table.large}


def test_queries_and_changes_give_what_sqlite_gives(database: Any) -> None:
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    oracle.execute("PRAGMA foreign_keys = ON")
    fill(oracle)
    fill(database)
    assert large_columns(database) == {"parent.title", "parent.data", "parent.anything", "child.note"}
    for query in QUERIES:
        assert database.execute(query).fetchall() == oracle.execute(query).fetchall(), query
    for statement, parameters in CHANGES:
        oracle.execute(statement, parameters)
        database.execute(statement, parameters)
        tables = [name for (name,) in oracle.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            query = f"SELECT * FROM {table} ORDER BY 1"
            assert database.execute(query).fetchall() == oracle.execute(query).fetchall(), statement


def test_a_table_without_large_values_has_programs_without_tests(database: Any) -> None:
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
    database.execute("INSERT INTO t (body) VALUES (?)", ["x" * LIMIT])
    assert large_columns(database) == set()
    assert "load_value" not in str(database.execute("EXPLAIN SELECT body FROM t WHERE body > 'a'").fetchall())
    database.execute("UPDATE t SET body = body || 'y'")
    assert large_columns(database) == {"t.body"}
    assert "load_value" in str(database.execute("EXPLAIN SELECT body FROM t WHERE body > 'a'").fetchall())


def test_short_texts_and_keys_stay_in_their_rows(database: Any) -> None:
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(100), slug TEXT UNIQUE, other TEXT)")
    database.execute("INSERT INTO t VALUES (1, ?, ?, 'x')", [LONG, LONG])
    assert large_columns(database) == set()
    database.execute("UPDATE t SET other = slug")
    assert large_columns(database) == {"t.other"}
    database.execute("CREATE INDEX t_other ON t (other)")
    database.execute("INSERT INTO t VALUES (2, 'x', 'y', ?)", [LONG * 2])
    assert database.execute("SELECT id FROM t WHERE other = ?", [LONG * 2]).fetchall() == [(2,)]
    database.execute("UPDATE t SET other = 'z' WHERE other = ?", [LONG])
    assert database.execute("SELECT id FROM t WHERE other = 'z'").fetchall() == [(1,)]


def test_a_foreign_key_may_come_to_refer_to_a_column_with_large_values(database: Any) -> None:
    database.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT)")
    database.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, name TEXT)")
    for table in ("parent", "child"):
        database.execute(f"INSERT INTO {table} VALUES (1, ?)", [LONG])
    database.execute("CREATE UNIQUE INDEX parent_name ON parent (name)")
    database.execute("ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (name) REFERENCES parent (name) ON UPDATE CASCADE")
    database.execute("UPDATE parent SET name = name || '!'")
    assert database.execute("SELECT name FROM child").fetchall() == [(LONG + "!",)]
    with pytest.raises(zodbapi.IntegrityError):
        database.execute("UPDATE child SET name = ?", [LONG])
    database.execute("ALTER TABLE child DROP CONSTRAINT f")
    database.execute("ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (name) REFERENCES parent (name) ON DELETE CASCADE")
    database.execute("DELETE FROM parent")
    assert database.execute("SELECT count(*) FROM child").fetchall() == [(0,)]


def test_triggers_see_values(database: Any) -> None:
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
    database.execute("CREATE TABLE log (body TEXT)")
    database.execute("CREATE TRIGGER watch AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (old.body || new.body); END")
    database.execute("INSERT INTO t VALUES (1, ?)", [LONG])
    database.execute("UPDATE t SET id = 2")
    assert database.execute("SELECT body FROM log").fetchall() == [(LONG + LONG,)]


def test_the_first_large_value_of_a_column_can_be_undone(database: Any) -> None:
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
    database.execute("BEGIN")
    database.execute("INSERT INTO t VALUES (1, 'a')")
    database.execute("SAVEPOINT s")
    database.execute("INSERT INTO t VALUES (2, ?) RETURNING id", [LONG]).fetchall()
    database.execute("INSERT INTO t VALUES (3, 'c')")
    assert database.execute("SELECT body FROM t ORDER BY id").fetchall() == [("a",), (LONG,), ("c",)]
    database.execute("ROLLBACK TO s")
    database.execute("INSERT INTO t VALUES (2, 'b')")
    database.execute("COMMIT")
    assert large_columns(database) == set()
    with pytest.raises(zodbapi.IntegrityError):
        database.execute("INSERT INTO t VALUES (2, ?)", [LONG])
    assert large_columns(database) == set()
    database.executemany("INSERT INTO t VALUES (?, ?)", [(10, "x"), (11, LONG), (12, "z"), (13, LONG)])
    assert database.execute("SELECT length(body) FROM t WHERE id > 9").fetchall() == [(1,), (8000,), (1,), (8000,)]


def test_other_connections_notice(tmp_path: Path) -> None:
    path = str(tmp_path / "large.fs")
    with zodbapi.connect(path) as first, zodbapi.connect(path) as second:
        first.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        first.commit()
        second.execute("INSERT INTO t VALUES (1, 'a')")
        second.commit()
        assert first.execute("SELECT body FROM t").fetchall() == [("a",)]
        first.commit()
        second.execute("INSERT INTO t VALUES (2, ?)", [LONG])
        second.commit()
        assert first.execute("SELECT body FROM t").fetchall() == [("a",), (LONG,)]
        first.execute("INSERT INTO t VALUES (3, ?)", [LONG])
        first.commit()
        assert second.execute("SELECT count(DISTINCT body) FROM t").fetchall() == [(2,)]


@pytest.mark.parametrize("value", [b"\0\1" * (25 << 20), "aé\U0001f600\n" * 2_500_000], ids=["blob", "text"])
def test_very_large_values_come_back(tmp_path: Path, value: Any) -> None:
    path = str(tmp_path / "large.fs")
    with zodbapi.connect(path) as connection:
        connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, data {'TEXT' if type(value) is str else 'BLOB'})")
        connection.execute("INSERT INTO t VALUES (1, ?), (2, ?)", [value, value[: PIECE + 1]])
        assert connection.execute("SELECT data FROM t WHERE id = 1").fetchall() == [(value,)]
    with zodbapi.connect(path) as connection:
        assert connection.execute("SELECT data FROM t WHERE id = 1").fetchall() == [(value,)]
        assert connection.execute("SELECT data FROM t WHERE id = 2").fetchall() == [(value[: PIECE + 1],)]


def test_a_neighbour_or_another_column_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "large.fs"
    value = bytes(10_000)
    with zodbapi.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB)")
        connection.executemany("INSERT INTO t (name, data) VALUES ('x', ?)", [[value]] * 200)
        connection.commit()
        before = path.stat().st_size
        connection.execute("INSERT INTO t (name, data) VALUES ('x', ?)", [value])
        connection.commit()
        assert path.stat().st_size - before < 15_000
        before = path.stat().st_size
        connection.execute("UPDATE t SET name = 'y' WHERE id = 100")
        connection.execute("ALTER TABLE t ADD COLUMN other TEXT")
        connection.commit()
        assert path.stat().st_size - before < 40_000


def test_deleted_values_go_with_a_pack(tmp_path: Path) -> None:
    path = tmp_path / "large.fs"
    connection = zodbapi.connect(str(path))
    with connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")
        connection.execute("INSERT INTO t VALUES (1, ?), (2, ?)", [bytes(3 << 20), b"x" * 10_000])
    with connection:
        connection.execute("DELETE FROM t WHERE id = 1")
    connection.execute("VACUUM")
    assert path.stat().st_size < 100_000
    assert connection.execute("SELECT data FROM t").fetchall() == [(b"x" * 10_000,)]
    connection.close()


def test_dump_backup_and_copies_have_the_values(database: Any) -> None:
    fill(database)
    script = "".join(database.iterdump())
    for target in (":memory:", "memory://copied"):
        with zodbapi.connect(target) as copied:
            if target == ":memory:":
                copied.executescript(script)
            else:
                database.backup(copied)
            assert copied.execute(QUERIES[0]).fetchall() == ROWS
            assert copied.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            copied.execute("DELETE FROM parent WHERE id = 1")
            assert copied.execute("SELECT count(*) FROM child").fetchall() == [(1,)]
    assert database.execute(QUERIES[0]).fetchall() == ROWS


def test_the_root_shows_values(database: Any) -> None:
    fill(database)
    from zodbapi.storage.browse import Root

    root = Root(database._txn)
    assert root["parent"][1] == ROWS[0]
    assert dict(root.walk())["zodbapi", "tables", "parent", "4"] == ROWS[3]


def test_reading_one_needs_little_more_memory_than_it_has(tmp_path: Path) -> None:
    import tracemalloc

    path = str(tmp_path / "large.fs")
    with zodbapi.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB)")
        connection.execute("INSERT INTO t VALUES (1, 'x', ?)", [bytes(20 << 20)])
    connection.close()
    with zodbapi.connect(path) as connection:
        tracemalloc.start()
        try:
            assert connection.execute("SELECT name, length(data) FROM t").fetchall() == [("x", 20 << 20)]
            assert tracemalloc.get_traced_memory()[1] < 5 << 20
            tracemalloc.reset_peak()
            [(data,)] = connection.execute("SELECT data FROM t")
            assert len(data) == 20 << 20
            assert tracemalloc.get_traced_memory()[1] < 30 << 20
        finally:
            tracemalloc.stop()


def test_the_integrity_check_reads_the_values(tmp_path: Path) -> None:
    with zodbapi.connect(str(tmp_path / "large.fs")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")
        connection.execute("INSERT INTO t VALUES (1, ?)", [bytes(10_000)])
        connection.commit()
        connection.execute("UPDATE t SET id = 2")
        stored = connection._txn.rows(1)[2][1][1]
        stored.data[0] = bytes(9_999)
        stored._p_changed = True
        found = connection.execute("PRAGMA integrity_check").fetchall()
        assert found == [("table t: row 2 has 9999 of 10000 characters or bytes in data",)]


def test_values_that_older_files_have_in_their_rows_are_read(tmp_path: Path) -> None:
    with zodbapi.connect(str(tmp_path / "old.fs")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data TEXT)")
        connection.execute("INSERT INTO t VALUES (1, 'x')")
        connection._txn.rows(1)[1] = (1, LONG)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO t VALUES (2, ?)", [LONG])
        assert connection.execute("SELECT data FROM t").fetchall() == [(LONG,), (LONG,)]
        connection.execute("UPDATE t SET id = id + 10")
        assert connection.execute("SELECT id, length(data) FROM t").fetchall() == [(11, 8000), (12, 8000)]


class TestBlobs:
    """Values above a megabyte of a database that has a folder for them."""

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Any:
        def connect() -> Any:
            return zodbapi.connect(str(tmp_path / "a.fs"), blob_dir=str(tmp_path / "blobs"), isolation_level=None)

        with connect() as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB, body TEXT)")
        connection.close()
        yield connect
        with connect() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()

    def files(self, folder: Path) -> list[int]:
        return sorted(path.stat().st_size for path in (folder / "blobs").rglob("*") if path.suffix == ".blob")

    def waiting(self, folder: Path) -> list[Path]:
        return [path for path in (folder / "blobs" / "tmp").iterdir() if path.name.startswith("BUC")]

    def test_round_trip(self, connect: Any, tmp_path: Path) -> None:
        data, body = bytes(range(256)) * (200 << 10), "aé\U0001f600\ud800" * (1 << 20)
        with connect() as connection:
            connection.execute("INSERT INTO t VALUES (1, ?, ?)", [data, body])
            assert connection.execute("SELECT data, body FROM t").fetchall() == [(data, body)]
            connection.execute("UPDATE t SET id = 2")
        connection.close()
        assert (tmp_path / "a.fs").stat().st_size < 20_000
        assert self.files(tmp_path) == [10 << 20, 50 << 20]
        assert self.waiting(tmp_path) == []
        with connect() as connection:
            found = connection.execute("SELECT length(data), length(body) FROM t").fetchall()
            assert found == [(50 << 20, 4 << 20)]
            assert connection.execute("SELECT data, body FROM t").fetchall() == [(data, body)]
        connection.close()

    def test_what_is_undone_leaves_no_file(self, connect: Any, tmp_path: Path) -> None:
        connection = connect()
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (1, ?, NULL)", [bytes(PIECE + 1)])
        connection.execute("ROLLBACK")
        with pytest.raises(zodbapi.IntegrityError):
            connection.execute("INSERT INTO t VALUES (1, ?, NULL), (1, ?, NULL)", [bytes(PIECE + 1)] * 2)
        connection.close()
        gc.collect()
        assert self.files(tmp_path) == [] and self.waiting(tmp_path) == []

    def test_a_pack_removes_files(self, connect: Any, tmp_path: Path) -> None:
        connection = connect()
        connection.executemany("INSERT INTO t VALUES (?, ?, NULL)", [(i, bytes(PIECE + i)) for i in range(1, 4)])
        connection.execute("DELETE FROM t WHERE id = 2")
        connection.execute("UPDATE t SET data = ? WHERE id = 3", [bytes(PIECE + 30)])
        orphan = next((tmp_path / "blobs").rglob("*.blob")).with_name("0x0123456789abcdef.blob")
        orphan.write_bytes(b"left by a writer that died")
        old = tmp_path / "blobs" / "tmp" / "BUCold"
        old.write_bytes(b"left by a writer that died")
        os.utime(old, (0, 0))
        connection.execute("VACUUM")
        assert self.files(tmp_path) == [PIECE + 1, PIECE + 30]
        assert not old.exists()
        assert connection.execute("SELECT length(data) FROM t").fetchall() == [(PIECE + 1,), (PIECE + 30,)]
        connection.close()

    def test_another_process_reads_and_writes_them(self, connect: Any, tmp_path: Path) -> None:
        connection = connect()
        connection.execute("INSERT INTO t VALUES (1, ?, NULL)", [b"x" * (2 << 20)])
        script = f"""
import zodbapi
connection = zodbapi.connect({str(tmp_path / "a.fs")!r}, blob_dir={str(tmp_path / "blobs")!r}, isolation_level=None)
connection.execute("INSERT INTO t SELECT 2, data, body FROM t")
"""
        subprocess.run([sys.executable, "-c", script], check=True)
        assert connection.execute("SELECT data FROM t WHERE id = 2").fetchall() == [(b"x" * (2 << 20),)]
        connection.close()

    def test_a_database_in_memory_and_one_with_blobs_copy_each_other(self, connect: Any) -> None:
        first, second = connect(), zodbapi.connect(":memory:")
        first.execute("INSERT INTO t VALUES (1, ?, ?)", [bytes(3 << 20), "é" * (2 << 20)])
        first.backup(second)
        expected = first.execute("SELECT * FROM t").fetchall()
        assert second.execute("SELECT * FROM t").fetchall() == expected
        second.backup(first)
        assert first.execute("SELECT * FROM t").fetchall() == expected
        first.close()
        second.close()

    def test_a_database_that_is_opened_without_its_folder_says_so(self, connect: Any, tmp_path: Path) -> None:
        with connect() as connection:
            connection.execute("INSERT INTO t VALUES (1, ?, 'x')", [bytes(2 << 20)])
        connection.close()
        with zodbapi.connect(str(tmp_path / "a.fs")) as connection:
            assert connection.execute("SELECT body, length(data) FROM t").fetchall() == [("x", 2 << 20)]
            with pytest.raises(zodbapi.OperationalError, match="blob_dir"):
                connection.execute("SELECT data FROM t").fetchall()
        connection.close()

    @pytest.mark.parametrize("shared", [True, False])
    def test_over_zeo(self, tmp_path: Path, shared: bool) -> None:
        served = tmp_path / "blobs"
        place = served if shared else tmp_path / "cache"
        command = [sys.executable, "-c", SERVE, str(tmp_path / "served.fs"), str(tmp_path / "zeo.sock"), str(served)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            dsn = f"zeo://{address}?wait_timeout=10&blob_dir={place}&shared_blob_dir={int(shared)}"
            body = "é" * (2 << 20)
            for name in ("a", "b"):
                connection = zodbapi.connect(dsn + f"&client_label={name}", isolation_level=None)
                connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, data BLOB, body TEXT)")
                connection.execute("INSERT INTO t (data, body) VALUES (?, ?)", [bytes(3 << 20), body])
                assert set(connection.execute("SELECT data, body FROM t").fetchall()) == {(bytes(3 << 20), body)}
                connection.close()
        finally:
            server.kill()
            server.communicate()
        assert len(self.files(tmp_path)) == 4
