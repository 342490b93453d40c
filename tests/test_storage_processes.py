"""Several real processes on one database file: nothing lost, nothing torn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ZODB
from ZODB.FileStorage import FileStorage

from tests.storage_worker import ACCOUNTS, START, TABLE, create, insert, problems, schema_of, until_done, update
from zodbapi.catalog import Table
from zodbapi.storage.database import Database
from zodbapi.storage.transaction import Transaction

ROOT = Path(__file__).parent.parent


class Workers:
    """Worker processes on one file, with the lines they wrote: what they were told is committed."""

    def __init__(self, path: Path, task: str, seconds: float, count: int = 3) -> None:
        self._arguments = (str(path), task, str(seconds))
        self._running = [self._start(number) for number in range(count)]
        self._ended: list[subprocess.Popen[bytes]] = []
        self.lines: list[tuple[int, ...]] = []

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        path, task, seconds = self._arguments
        command = [sys.executable, "-m", "tests.storage_worker", path, str(number), task, seconds]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)

    def kill_one(self) -> None:
        victim = self._running.pop(0)
        victim.send_signal(signal.SIGKILL)
        self._ended.append(victim)
        self._running.append(self._start(len(self._ended) + 100))

    def wait(self) -> int:
        """How many commits were acknowledged, after all have ended."""
        for process in (*self._running, *self._ended):
            out, err = process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGKILL), err.decode()
            complete = out.decode().rpartition("\n")[0].splitlines()
            self.lines += [tuple(map(int, line.split())) for line in complete]
        return len(self.lines)


def prepare(path: Path, rows: dict[int, object]) -> tuple[Database, Transaction, Table]:
    database = Database.open(str(path))
    txn = database.begin_session()
    table = create(txn)
    txn.begin()
    with txn.statement():
        for rowid, value in rows.items():
            txn.rows(table.id)[rowid] = (rowid, value)
    txn.commit()
    return database, txn, table


@pytest.mark.parametrize("task", ["count", "count_read_first"])
def test_no_increment_of_a_hot_counter_is_lost(tmp_path: Path, task: str) -> None:
    database, txn, table = prepare(tmp_path / "db.fs", {1: 0})
    workers = Workers(tmp_path / "db.fs", task, 1.0)
    acknowledged = workers.wait()
    txn.begin()
    assert txn.rows(table.id)[1] == (1, acknowledged)
    assert acknowledged > 50
    if task == "count":
        assert all(line[2] == 1 for line in workers.lines), "a writer that read nothing before never conflicts"
    txn.close()
    database.close()


def test_readers_see_what_other_processes_committed(tmp_path: Path) -> None:
    database, txn, table = prepare(tmp_path / "db.fs", {1: 0})
    workers = Workers(tmp_path / "db.fs", "count", 1.0, count=1)
    seen = []
    while not seen or (seen[-1] < 30 and len(seen) < 100_000):
        txn.begin()
        seen.append(txn.rows(table.id)[1][1])
        txn.rollback()
    acknowledged = workers.wait()
    txn.begin()
    assert txn.rows(table.id)[1][1] == acknowledged
    assert seen == sorted(seen)
    txn.close()
    database.close()


def test_killed_writers_leave_no_partial_transaction(tmp_path: Path) -> None:
    path = tmp_path / "db.fs"
    database, txn, table = prepare(path, dict.fromkeys(range(1, ACCOUNTS + 1), START))
    workers = Workers(path, "transfer", 2.5)
    for _ in range(5):
        time.sleep(0.4)
        workers.kill_one()
        txn.begin()
        assert sum(row[1] for row in txn.rows(table.id).values()) == ACCOUNTS * START
        txn.rollback()
    assert workers.wait() > 50
    txn.begin()
    assert sum(row[1] for row in txn.rows(table.id).values()) == ACCOUNTS * START
    txn.close()
    database.close()


def test_acknowledged_inserts_survive_kills_and_a_pack(tmp_path: Path) -> None:
    path = tmp_path / "db.fs"
    database, txn, table = prepare(path, {})
    workers = Workers(path, "insert", 2.5)
    for _ in range(4):
        time.sleep(0.5)
        workers.kill_one()
        database.pack()
        until_done(txn, lambda t: insert(t, table, f"main {time.monotonic()}"))
    acknowledged = workers.wait() + 4
    txn.begin()
    count = len(txn.rows(table.id))
    # a worker may die between its commit and the line that tells of it
    assert acknowledged <= count <= acknowledged + 4
    assert problems(txn) == []
    txn.close()
    database.close()
    storage = FileStorage(str(path))  # ZODB's own tools open the file
    stock = ZODB.DB(storage)
    with stock.transaction() as connection:
        assert len(connection.root()["zodbapi"]["rows"][table.id]) == count
    stock.close()


def test_a_file_made_by_two_processes_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from tests.storage_worker import create\n"
        "from zodbapi.storage.database import Database\n"
        "from zodbapi import errors\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "txn = Database.open(sys.argv[1]).begin_session()\n"
        "txn.begin(write=True)\n"
        "assert len(txn.schema.tables) in (0, 1)\n"
        "if not txn.schema.tables:\n"
        "    txn.rollback(); time.sleep(.01)\n"
        "    try: create(txn)\n"
        "    except errors.ConflictError: pass\n"
    )
    at = str(time.time() + 1.0)
    command = [sys.executable, "-c", script, str(tmp_path / "db.fs"), at]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT) for _ in range(4)]
    for process in processes:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err.decode()
    database = Database.open(str(tmp_path / "db.fs"))
    assert set(schema_of(database.begin_session())) == {"t"}
    database.close()


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_forked_child_and_its_parent_both_go_on(tmp_path: Path, in_transaction: bool) -> None:
    database, txn, table = prepare(tmp_path / "db.fs", {1: 0, 2: 0})
    if in_transaction:
        txn.begin()
        update(txn, table, 1, "parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if txn.active:
                with pytest.raises(Exception, match="forked"):
                    txn.commit()
            else:
                until_done(txn, lambda t: update(t, table, 1, "child"))
            other = Database.open(str(tmp_path / "db.fs")).begin_session()
            other.begin()
            assert other.rows(table.id)[1][1] == (0 if in_transaction else "child")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    if in_transaction:
        txn.commit()
    else:
        until_done(txn, lambda t: update(t, table, 2, "parent"))
    txn.begin()
    assert [row[1] for row in txn.rows(table.id).values()] == (["parent", 0] if in_transaction else ["child", "parent"])
    txn.close()
    database.close()


def test_a_pack_by_another_process_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "db.fs"
    database, txn, table = prepare(path, {1: 0})
    for value in range(30):
        until_done(txn, lambda t, value=value: update(t, table, 1, value))
    before = path.stat().st_ino
    script = (
        "import sys\nfrom zodbapi.storage.database import Database\n"
        "from tests.storage_worker import update, until_done, schema_of\n"
        "database = Database.open(sys.argv[1])\ntxn = database.begin_session()\n"
        "table = schema_of(txn)['t']\n"
        "until_done(txn, lambda t: update(t, table, 1, 'before'))\n"
        "database.pack()\n"
        "until_done(txn, lambda t: update(t, table, 1, 'after'))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, cwd=ROOT)
    assert path.stat().st_ino != before
    txn.begin()
    assert txn.rows(table.id)[1] == (1, "after")
    update(txn, table, 1, "again")
    txn.commit()
    txn.close()
    database.close()
    fresh = Database.open(str(path))
    txn = fresh.begin_session()
    txn.begin()
    assert txn.rows(TABLE.id or table.id)[1] == (1, "again")
    txn.close()
    fresh.close()
