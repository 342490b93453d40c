"""A file that is written to for ever stays about as long as what is in it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from ZODB.FileStorage import FileStorage

import zodbapi
from zodbapi.storage import packing
from zodbapi.storage.packer import Packer
from zodbapi.storage.shared_file import SharedFileStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENOUGH = 50_000  # bytes
UPDATE = "UPDATE account SET balance = balance + 1 WHERE id = 1"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packing, "_WORTH_PACKING", ENOUGH)
    file = tmp_path / "bank.fs"
    with zodbapi.connect(file, durable=False) as connection:
        connection.execute(
            f"CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, owner TEXT DEFAULT '{'x' * 20}')"
        )
        connection.executemany("INSERT INTO account (balance) VALUES (?)", [(0,)] * 50)
    return file


@pytest.fixture
def connection(path: Path) -> Iterator[Any]:
    connection = zodbapi.connect(path, isolation_level=None, durable=False, history_days=0)
    yield connection
    connection.close()


def storage_of(connection: Any) -> SharedFileStorage:
    storage: SharedFileStorage = connection._txn.database.storage
    return storage


def settle(storage: SharedFileStorage) -> None:
    """Waits until a pack that has begun is over."""
    if storage._background is not None:
        storage._background.join(30)
        assert not storage._background.is_alive()


def write(connection: Any, times: int) -> None:
    """Commits so often."""
    for _ in range(times):
        connection.execute(UPDATE)


def balance(path: Path) -> int:
    with zodbapi.connect(path) as connection:
        found: int = connection.execute("SELECT balance FROM account WHERE id = 1").fetchone()[0]
    return found


def test_a_file_stays_short(connection: Any, path: Path) -> None:
    for _ in range(20):
        write(connection, 100)
        settle(storage_of(connection))
    write(connection, 100)
    assert os.path.getsize(path) < 3 * ENOUGH
    assert connection.execute(UPDATE + " RETURNING balance").fetchall() == [(2101,)]
    connection.close()
    assert zodbapi.check(path) == []
    storage = FileStorage(str(path), read_only=True)
    assert len(storage) > 0
    storage.close()


@pytest.mark.parametrize("days", [None, 1])
def test_history_is_kept(path: Path, days: float | None) -> None:
    connection = zodbapi.connect(path, isolation_level=None, durable=False, history_days=days)
    write(connection, 400)
    settle(storage_of(connection))
    write(connection, 1)
    connection.close()
    assert os.path.getsize(path) > 3 * ENOUGH


def test_only_what_is_older_than_the_history_goes(path: Path) -> None:
    second = 1 / 86_400
    connection = zodbapi.connect(path, isolation_level=None, durable=False, history_days=second)
    write(connection, 400)
    before = os.path.getsize(path)
    time.sleep(1.1)
    write(connection, 150)
    settle(storage_of(connection))
    kept = os.path.getsize(path)
    connection.close()
    assert kept < before
    assert kept > 100 * 400, "what was written within the last second is there"
    assert balance(path) == 550


def test_the_length_that_a_pack_left_is_what_counts(connection: Any, path: Path) -> None:
    text = "x" * 3000
    connection.execute("ALTER TABLE account ADD COLUMN note TEXT")
    connection.execute("BEGIN")
    for number in range(200):
        connection.execute("INSERT INTO account (balance, note) VALUES (0, ?)", [f"{number} {text}"])
    connection.execute("COMMIT")
    write(connection, 1)
    settle(storage_of(connection))
    storage = storage_of(connection)
    left = storage._pos
    assert left > 10 * ENOUGH
    assert storage._pack_at >= 2 * left - ENOUGH
    connection.close()
    program = f"""
        import zodbapi
        from zodbapi.storage import packing
        packing._WORTH_PACKING = {ENOUGH}
        connection = zodbapi.connect({str(path)!r})
        print(connection._txn.database.storage._pack_at)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    ).stdout
    assert int(found) == storage._pack_at, "other processes know it from the lock file"


def test_notes_of_another_file_do_not_count(connection: Any) -> None:
    storage = storage_of(connection)
    assert storage._file_lock is not None
    storage._file_lock.note_packed(1 << 40)
    storage._plan_pack()
    assert storage._pack_at == ENOUGH


def test_others_commit_while_history_is_copied(connection: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(connection, 10)
    reached, go = threading.Event(), threading.Event()
    copy = Packer.copyOne

    def slow(self: Any, position: int) -> int:
        reached.set()
        assert go.wait(30)
        found: int = copy(self, position)
        return found

    monkeypatch.setattr(Packer, "copyOne", slow)
    at = time.time() + 0.001
    time.sleep(0.002)
    write(connection, 10)
    storage = storage_of(connection)
    pack = threading.Thread(target=storage.pack, args=(at, packing.referencesf))
    pack.start()
    assert reached.wait(30)
    write(connection, 10)
    go.set()
    pack.join(30)
    assert not os.path.exists(f"{path}.pack")
    assert balance(path) == 30
    assert zodbapi.check(path) == []


def test_closing_ends_a_pack(connection: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go = threading.Event(), threading.Event()
    header = Packer._read_txn_header

    def slow(self: Any, *arguments: Any) -> Any:
        reached.set()
        assert go.wait(30)
        return header(self, *arguments)

    monkeypatch.setattr(Packer, "_read_txn_header", slow)
    write(connection, 200)
    assert reached.wait(30)
    storage, before = storage_of(connection), os.stat(path).st_ino
    threading.Timer(0.1, go.set).start()
    database = connection._txn.database
    connection.close()
    database._stop()
    assert storage._background is not None
    assert not storage._background.is_alive()
    assert os.stat(path).st_ino == before
    assert not os.path.exists(f"{path}.pack")
    assert balance(path) == 200


def test_a_pack_that_fails_is_logged_and_no_more(
    connection: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing.Packing, "_replace_file", full)
    with caplog.at_level(logging.ERROR, "zodbapi.storage"):
        write(connection, 200)
        settle(storage_of(connection))
    assert "could not be packed" in caplog.text
    assert connection.execute(UPDATE + " RETURNING balance").fetchall() == [(201,)]
    assert not storage_of(connection)._pack_is_in_progress


def test_many_processes_pack_what_they_write_to(path: Path) -> None:
    program = f"""
        import os, sys, time, zodbapi
        from zodbapi.storage import packing
        packing._WORTH_PACKING = {ENOUGH}
        connection = zodbapi.connect({str(path)!r}, isolation_level=None, durable=False, history_days=0)
        packs, count, end, file = 0, 0, time.monotonic() + 60, os.stat({str(path)!r}).st_ino
        while packs < 3 and time.monotonic() < end:
            connection.execute("UPDATE account SET balance = balance + 1 WHERE id = ?", [int(sys.argv[1])])
            assert connection.execute("SELECT count(*) FROM account").fetchone() == (50,)
            count += 1
            former, file = file, os.stat({str(path)!r}).st_ino
            packs += file != former
        print(count, packs)
    """
    workers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(1, 5)
    ]
    told = [worker.communicate(timeout=120)[0].split() for worker in workers]
    assert [packs for _, packs in told] == ["3"] * 4, "each has seen three packs, its own or others'"
    with zodbapi.connect(path) as connection:
        found = connection.execute("SELECT balance FROM account WHERE id BETWEEN 1 AND 4").fetchall()
    assert found == [(int(count),) for count, _ in told]
    assert zodbapi.check(path) == []


@pytest.mark.parametrize("days", [-1, "1", float("nan")])
def test_what_is_no_number_of_days(tmp_path: Path, days: Any) -> None:
    with pytest.raises(zodbapi.InterfaceError, match="history_days"):
        zodbapi.connect(tmp_path / "bank.fs", history_days=days)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_packer_killed_while_it_replaces_the_file(path: Path, when: str) -> None:
    """Others may know less than is in the old file then, and must not append to it."""
    program = f"""
        import os, signal, zodbapi
        from zodbapi.storage import packing
        connection = zodbapi.connect({str(path)!r}, isolation_level=None)
        connection.execute({UPDATE!r})
        replace = os.replace
        def die(source, target):
            if {when == "after"}:
                replace(source, target)
            os.kill(os.getpid(), signal.SIGKILL)
        os.replace = die
        connection.execute("VACUUM")
    """
    connection = zodbapi.connect(path, isolation_level=None)
    write(connection, 1)
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert killed.returncode == -signal.SIGKILL
    write(connection, 1)
    reader = zodbapi.connect(path, isolation_level=None)
    assert reader.execute("SELECT balance FROM account WHERE id = 1").fetchall() == [(3,)]
    reader.close()
    connection.close()
    program = (
        f"import zodbapi; print(zodbapi.connect({str(path)!r}).execute('SELECT max(balance) FROM account').fetchall())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert found == "[(3,)]\n"
    assert zodbapi.check(path) == []
    assert [name for name in os.listdir(path.parent) if ".tr" in name] == []
