"""Who waits for the lock of a file, and for the disk: real processes, some of which are killed, stopped or interrupted."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from zc.lockfile import LockFile

import zodbapi
from zodbapi.storage import file_lock
from zodbapi.storage.file_lock import FileLock
from zodbapi.storage.shared_file import SharedFileStorage

ROOT = Path(__file__).parent.parent
LONG = 60.0


class Worker:
    """A process of ``lock_worker``."""

    def __init__(self, path: str, task: str, seconds: float) -> None:
        command = [sys.executable, "-m", "tests.lock_worker", path, task, str(seconds)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
        )
        self.send = self._process.send_signal

    def hears(self) -> str:
        """The next line."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        """Let it take the next step."""
        assert self._process.stdin is not None
        self._process.stdin.write("go on\n")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


Start = Callable[..., Worker]


@pytest.fixture
def start() -> Iterator[Start]:
    workers: list[Worker] = []

    def started(path: str, task: str, seconds: float, *expected: str) -> Worker:
        workers.append(Worker(path, task, seconds))
        assert [workers[-1].hears() for _ in expected] == list(expected)
        return workers[-1]

    yield started
    for worker in workers:
        worker.end()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "app.fs.lock")


def someone_is_next(path: str) -> bool:
    with open(path, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, file_lock._NEXT_AT)
        except OSError:
            return True
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_waiter_is_next_until_it_has_the_lock(path: str, start: Start) -> None:
    holder = start(path, "hold", 0, "asking", "held")
    assert not someone_is_next(path)
    waiter = start(path, "hold", LONG, "asking")
    wait_until(lambda: someone_is_next(path))
    holder.go_on()
    assert waiter.hears() == "held"
    assert not someone_is_next(path)


@pytest.mark.parametrize("timeout", [0.0, 0.3])
def test_who_is_next_keeps_nobody_longer_than_its_timeout(path: str, start: Start, timeout: float) -> None:
    start(path, "hold", 0, "asking", "held")
    start(path, "hold", LONG, "asking")
    wait_until(lambda: someone_is_next(path))
    lock, began = FileLock(path), time.monotonic()
    with pytest.raises(zodbapi.OperationalError, match="database is locked"):
        lock.acquire(timeout)
    assert timeout <= time.monotonic() - began < LONG / 2, "not as long as who is next would wait"
    lock.close()


def test_a_timeout_of_who_is_next(path: str, start: Start) -> None:
    start(path, "hold", 0, "asking", "held")
    waiter = start(path, "hold", 0.2, "asking")
    assert waiter.hears() == "database is locked"
    assert not someone_is_next(path)


def test_who_is_next_is_stopped(path: str, start: Start) -> None:
    holder = start(path, "hold", 0, "asking", "held")
    stopped = start(path, "hold", LONG, "asking")
    wait_until(lambda: someone_is_next(path))
    stopped.send(signal.SIGSTOP)
    holder.go_on()
    assert holder.hears() == "released"
    lock = FileLock(path)
    lock.acquire(LONG)
    lock.release()
    lock.close()
    stopped.send(signal.SIGCONT)
    assert stopped.hears() == "held"


@pytest.mark.parametrize("victim", ["holder", "next"])
def test_a_process_is_killed(path: str, start: Start, victim: str) -> None:
    holder = start(path, "hold", 0, "asking", "held")
    first = start(path, "hold", LONG, "asking")
    wait_until(lambda: someone_is_next(path))
    second = start(path, "hold", LONG, "asking")
    left = [second] if victim == "next" else [first, second]
    for process in left:
        process.go_on()  # as soon as it has the lock
    if victim == "holder":
        holder.end()
    else:
        first.end()
        wait_until(lambda: someone_is_next(path))  # now the second
        holder.go_on()
    assert [process.hears() for process in left] == ["held"] * len(left)


def test_a_waiter_is_interrupted(path: str, start: Start) -> None:
    start(path, "hold", 0, "asking", "held")
    waiter = start(path, "hold", LONG, "asking")
    wait_until(lambda: someone_is_next(path))
    waiter.send(signal.SIGINT)
    assert waiter.hears() == "interrupted"
    assert not someone_is_next(path)


def test_the_lock_file_is_removed_while_two_wait(path: str, start: Start) -> None:
    holder = start(path, "hold", 0, "asking", "held")
    waiters = [start(path, "hold", LONG, "asking") for _ in range(2)]
    wait_until(lambda: someone_is_next(path))
    os.remove(path)
    other = start(path, "hold", 0, "asking", "held")  # in the new file
    holder.go_on()
    wait_until(lambda: someone_is_next(path))
    for process in (other, *waiters):
        process.go_on()  # a waiter as soon as it has the lock
    assert [waiter.hears() for waiter in waiters] == ["held", "held"]
    assert [waiter.hears() for waiter in waiters] == ["released", "released"]


def test_a_tool_of_zodb_has_the_lock(path: str, start: Start) -> None:
    theirs = LockFile(path)
    waiter = start(path, "hold", LONG, "asking")
    wait_until(lambda: someone_is_next(path))
    theirs.close()
    assert waiter.hears() == "held"


def test_only_who_is_next_asks_often() -> None:
    waited = (0.0, 0.01, 0.1, 0.9, 2.0)
    assert all(file_lock._pause(seconds, True) < file_lock._pause(seconds, False) <= 0.003 for seconds in waited)


# --- waiting for the disk ---------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> str:
    name = str(tmp_path / "app.fs")
    with zodbapi.connect(name) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT)")
        connection.commit()
    connection.close()
    return name


def written(database: str) -> int:
    """How often somebody has waited for the disk."""
    try:
        with open(f"{database}.log") as log:
            return len(log.readlines())
    except FileNotFoundError:
        return 0


def committed(database: str) -> int:
    with zodbapi.connect(database, durable=False) as connection:
        count: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    connection.close()
    return count


def test_who_comes_during_a_round_shares_the_next(database: str, start: Start) -> None:
    workers = [start(database, "commit", 1.0, "ready") for _ in range(4)]
    workers[0].go_on()
    wait_until(lambda: written(database) == 1)
    for worker in workers[1:]:
        worker.go_on()
    assert [worker.hears() for worker in workers] == ["done"] * 4
    assert written(database) == 2
    workers[0].go_on()
    assert workers[0].hears() == "done"
    assert written(database) == 3


def test_who_conducts_a_round_is_killed(database: str, start: Start) -> None:
    slow = start(database, "commit", LONG, "ready")
    others = [start(database, "commit", 0.0, "ready") for _ in range(2)]
    slow.go_on()
    wait_until(lambda: written(database) == 1)
    for worker in others:
        worker.go_on()
    wait_until(lambda: committed(database) == 3)
    assert written(database) == 1  # they wait
    slow.end()
    assert [worker.hears() for worker in others] == ["done"] * 2
    assert written(database) in (2, 3)


def test_an_emptied_lock_file_keeps_nobody_waiting(database: str, start: Start) -> None:
    workers = [start(database, "commit", 0.3, "ready") for _ in range(3)]
    workers[0].go_on()
    wait_until(lambda: written(database) == 1)
    os.truncate(f"{database}.lock", 0)
    for worker in workers[1:]:
        worker.go_on()
    assert [worker.hears() for worker in workers] == ["done"] * 3
    assert written(database) in (2, 3)


def test_what_someone_else_has_written_into_the_lock_file_is_no_round(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(f"{database}.lock", "r+b") as file:
        file.seek(file_lock._NOTES_AT + 16)  # behind the ids of transactions, which the first commit writes
        file.write(b"\xff" * 300)
    tried: list[int] = []
    monkeypatch.setattr("zodbapi.storage.committing._write_to_disk", tried.append)
    connection = zodbapi.connect(database, isolation_level=None)
    for number in range(1, 4):
        connection.execute("INSERT INTO t (word) VALUES ('a')")
        assert len(tried) == number
    connection.close()


def test_a_disk_that_fails_is_told_to_each(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    connection = zodbapi.connect(database, isolation_level=None)
    with monkeypatch.context() as patch:
        patch.setattr("zodbapi.storage.committing._write_to_disk", failing)
        with pytest.raises(zodbapi.OperationalError):
            connection.execute("INSERT INTO t (word) VALUES ('a')")
    other = SharedFileStorage(database)
    tried: list[int] = []
    monkeypatch.setattr("zodbapi.storage.committing._write_to_disk", tried.append)
    other.make_durable(other.lastTransaction())
    assert tried
    other.close()
    connection.close()


def test_the_kernel_sees_a_deadlock_where_there_is_none(
    database: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = start(database, "commit", 0.5, "ready")
    slow.go_on()
    wait_until(lambda: written(database) == 1)
    refused: list[int] = []
    lockf = fcntl.lockf

    def refusing(file: object, command: int, *place: int) -> None:
        if command == fcntl.LOCK_SH:
            refused.append(command)
            raise OSError(errno.EDEADLK, "Resource deadlock avoided")
        lockf(file, command, *place)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "lockf", refusing)
    connection = zodbapi.connect(database, isolation_level=None)
    connection.execute("INSERT INTO t (word) VALUES ('a')")
    assert refused
    connection.close()
