"""Appending transactions: in one write or many, on disk for whom, and what is left when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ZODB.FileStorage
from persistent.TimeStamp import TimeStamp
from ZODB.mvccadapter import MVCCAdapterInstance
from ZODB.utils import p64, u64, z64

import zodbapi
from zodbapi.storage import committing, tids
from zodbapi.storage.lone_manager import LoneManager
from zodbapi.storage.shared_file import SharedFileStorage


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "app.fs")


@pytest.fixture
def connection(path: str) -> Iterator[zodbapi.Connection]:
    with zodbapi.connect(path) as opened:
        opened.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
        opened.commit()
        yield opened
    opened.close()


def transactions(path: str) -> list[int]:
    """How many records each transaction of the file has, as ZODB's own iterator reads it."""
    iterator = ZODB.FileStorage.FileIterator(path)
    try:
        return [len(list(transaction)) for transaction in iterator]
    finally:
        iterator.close()


@pytest.mark.parametrize("in_memory", [100, 5000, 1 << 25])
def test_a_transaction_in_parts(
    path: str, connection: zodbapi.Connection, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(committing, "_IN_MEMORY", in_memory)
    before = len(transactions(path))
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"word {n}") for n in range(2000)])
    connection.commit()
    assert len(transactions(path)) == before + 1
    assert transactions(path)[-1] > 20
    other = SharedFileStorage(path)
    assert other.lastTransaction() == connection._database.storage.lastTransaction()
    other.close()
    assert zodbapi.check(connection) == []


@pytest.mark.parametrize("in_memory", [100, 1 << 25])
def test_a_commit_that_fails_leaves_the_file_as_it_was(
    path: str, connection: zodbapi.Connection, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(committing, "_IN_MEMORY", in_memory)
    found, size = transactions(path), os.path.getsize(path)
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"word {n}") for n in range(500)])
    merge = connection._txn._connection._records

    def failing(stored: list[Any]) -> Iterator[Any]:
        for number, record in enumerate(merge(stored)):
            if number == 7:
                raise OSError(28, "No space left on device")
            yield record

    connection._txn._connection._records = failing
    with pytest.raises(zodbapi.OperationalError, match="full"):
        connection.commit()
    del connection._txn._connection._records
    assert (transactions(path), os.path.getsize(path)) == (found, size)
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    connection.execute("INSERT INTO t VALUES (1, 'after')")
    connection.commit()
    assert zodbapi.check(connection) == []


def test_a_full_disk_in_the_last_write(
    path: str, connection: zodbapi.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = os.path.getsize(path)
    write_at = committing.write_at

    def half(fd: int, data: bytes, pos: int) -> int:
        write_at(fd, data[: len(data) // 2], pos)
        raise OSError(28, "No space left on device")

    connection.execute("INSERT INTO t VALUES (1, 'one')")
    monkeypatch.setattr(committing, "write_at", half)
    with pytest.raises(zodbapi.OperationalError, match="full"):
        connection.commit()
    monkeypatch.undo()
    assert os.path.getsize(path) == size
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("whole", [True, False])
def test_an_interrupt_in_the_last_write(
    path: str, connection: zodbapi.Connection, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """What was written as a whole is committed, as others may have seen it; the rest is cut off by the next writer."""
    write_at = committing.write_at

    def interrupted(fd: int, data: bytes, pos: int) -> int:
        write_at(fd, data if whole else data[:-20], pos)
        raise KeyboardInterrupt

    connection.execute("INSERT INTO t VALUES (1, 'one')")
    monkeypatch.setattr(committing, "write_at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connection.commit()
    monkeypatch.undo()
    connection.execute("INSERT INTO t VALUES (2, 'two')")
    connection.commit()
    assert connection.execute("SELECT id FROM t").fetchall() == ([(1,), (2,)] if whole else [(2,)])
    assert zodbapi.check(connection) == []
    assert transactions(path)


def test_another_file_is_not_taken_to_be_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process goes on with a file whose transactions are older than those that it has waited for."""
    written: list[int] = []
    path, older = str(tmp_path / "app.fs"), str(tmp_path / "older.fs")
    for name in (older, path):
        connection = zodbapi.connect(name)
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        connection.commit()
        connection.close()
    connection = zodbapi.connect(path)
    storage = connection._database.storage
    storage._durable_tid = b"\xff" * 8
    os.replace(older, path)
    storage.sync()
    monkeypatch.setattr(storage, "_next_look", 0.0)
    connection.execute("INSERT INTO t VALUES (1)")
    monkeypatch.setattr(committing, "_write_to_disk", written.append)
    connection.commit()
    assert written
    connection.close()


def test_a_pack_while_a_thread_waits_for_the_disk(
    path: str, connection: zodbapi.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread goes on with the new file only when nobody needs the old one any more."""
    waiting, go_on = threading.Event(), threading.Event()

    def slow(fd: int) -> None:
        waiting.set()
        assert go_on.wait(60)
        os.fdatasync(fd)

    def run(sql: str) -> list[Any]:
        with zodbapi.connect(path, isolation_level=None) as opened:
            found = opened.execute(sql).fetchall() if sql.startswith("SELECT") else opened.execute(sql).rowcount
        opened.close()
        return found

    monkeypatch.setattr(committing, "_write_to_disk", slow)
    with ThreadPoolExecutor(2) as pool:
        waits = pool.submit(run, "INSERT INTO t VALUES (1, 'one')")
        assert waiting.wait(60)
        packing = f"import zodbapi; zodbapi.connect({path!r}, durable=False).execute('VACUUM')"
        subprocess.run([sys.executable, "-c", packing], check=True)
        connection._database.storage._next_look = 0.0
        reads = pool.submit(run, "SELECT * FROM t")
        time.sleep(0.2)  # it wants to go on with the new file
        go_on.set()
        assert (waits.result(), reads.result()) == (1, [(1, "one")])
    assert zodbapi.check(connection) == []


@pytest.mark.parametrize("kind", ["memory", "one phase", "two phases", "other process"])
def test_who_is_told_of_a_transaction_finds_its_records(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    told = []

    def look(instance: MVCCAdapterInstance, tid: bytes, oids: Any, tell: Any = MVCCAdapterInstance._invalidate) -> None:
        assert instance._storage.lastTransaction() < tid
        tell(instance, tid, oids)
        told.append(tid)
        for oid in oids:
            assert instance._storage.loadBefore(oid, p64(u64(tid) + 1))[1] == tid

    blobs = str(tmp_path / "blobs") if kind == "two phases" else None
    dsn = "memory://told" if kind == "memory" else path
    with zodbapi.connect(dsn, blob_dir=blobs) as reader, zodbapi.connect(dsn, blob_dir=blobs) as writer:
        writer.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        writer.commit()
        assert reader.execute("SELECT * FROM t").fetchall() == []
        reader.rollback()
        monkeypatch.setattr(MVCCAdapterInstance, "_invalidate", look)
        if kind == "other process":
            code = "import sys, zodbapi; c = zodbapi.connect(sys.argv[1]); c.execute('INSERT INTO t VALUES (7)'); c.commit()"
            subprocess.run([sys.executable, "-c", code, path], check=True)
        else:
            writer.execute("INSERT INTO t VALUES (7)")
            writer.commit()
        assert reader.execute("SELECT * FROM t").fetchall() == [(7,)]
        assert told


def test_a_thread_that_reads_while_another_commits(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = str(tmp_path / "blobs")  # so that the commit has two phases
    elsewhere = zodbapi.connect(path, blob_dir=blobs, check_same_thread=False)
    with zodbapi.connect(path, blob_dir=blobs) as writer, elsewhere as reader:
        writer.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        writer.commit()
        query = "SELECT max(a) FROM t"

        def reading(*arguments: Any, write: Any = committing.write_at) -> int:
            with ThreadPoolExecutor(1) as other:
                other.submit(lambda: [reader.execute(query).fetchall(), reader.rollback()]).result()
            return write(*arguments)

        reader.execute(query).fetchall()
        reader.rollback()
        monkeypatch.setattr(committing, "write_at", reading)
        for number in range(1, 4):
            writer.execute("INSERT INTO t VALUES (?)", [number])
            writer.commit()
            assert reader.execute(query).fetchall() == [(number,)]
            reader.rollback()


def test_ids_grow_with_the_clock_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    last = z64
    for passed in (0, 0.5, 59, 61, 3600, 86400 * 40, 10, -86400 * 400):
        monkeypatch.setattr(tids.time, "time", lambda passed=passed: now + passed)
        tid = tids.next_tid(last)
        assert tid > last
        if passed not in (10, -86400 * 400):
            assert TimeStamp(tid).timeTime() == pytest.approx(now + passed, abs=0.001)
        last = tid


def test_a_lone_manager_takes_back_what_fails() -> None:
    steps: list[str] = []

    class Resource:
        def commit_at_once(self) -> bool:
            return False

        def __getattr__(self, name: str) -> Any:
            def step(manager: LoneManager) -> None:
                steps.append(name)
                if name == "tpc_begin":
                    manager.set_data(self, name)
                if name in ("tpc_vote", "abort"):
                    raise zodbapi.OperationalError(name)

            return step

    manager = LoneManager()
    manager.begin()
    manager.get().join(Resource())
    with pytest.raises(zodbapi.OperationalError, match="tpc_vote"):
        manager.commit()
    assert steps == ["tpc_begin", "commit", "tpc_vote", "abort", "tpc_abort"]
    manager.abort()  # nothing is left
    assert len(steps) == 5
