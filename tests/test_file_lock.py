"""Who waits for the lock of a file, and for the disk: real processes, some of which are killed, stopped or interrupted."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    lock = FileLock(path)
    try:
        return not lock._comes_next()
    finally:
        lock.close()


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


def test_who_is_next_is_woken(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not ask: who releases the lock tells it."""
    monkeypatch.setattr(file_lock, "_pause", lambda _waited, is_next: LONG if is_next else 0.001)
    holder, waiter = FileLock(path), FileLock(path)
    holder.acquire(0)
    waiting = threading.Thread(target=waiter.acquire, args=[LONG])
    waiting.start()
    wait_until(lambda: someone_is_next(path))
    holder.release()
    waiting.join(LONG / 2)
    assert not waiting.is_alive()
    waiter.release()
    waiter.close()
    holder.close()


def test_nobody_can_be_woken(path: str, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems without such names: all ask now and then."""
    monkeypatch.setattr(FileLock, "_comes_next", lambda _lock: False)
    holder = start(path, "hold", 0, "asking", "held")
    lock = FileLock(path)
    with pytest.raises(zodbapi.OperationalError, match="database is locked"):
        lock.acquire(0.1)
    holder.go_on()
    lock.acquire(LONG)
    lock.close()


def test_a_process_made_while_a_thread_waits_does_not_keep_its_turn(path: str, start: Start) -> None:
    start(path, "hold", 0, "asking", "held")
    lock = FileLock(path)
    with pytest.raises(zodbapi.OperationalError), ThreadPoolExecutor() as pool:
        waits = pool.submit(lock.acquire, 0.5)
        wait_until(lambda: someone_is_next(path))
        child = os.fork()
        if not child:
            lock.close()  # as a child does with all that it has inherited
            time.sleep(LONG)
            os._exit(0)
        waits.result()
    try:
        assert not someone_is_next(path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lock.close()


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


def test_who_waits_for_the_disk_keeps_nobody(database: str, start: Start) -> None:
    slow = start(database, "commit", LONG, "ready")
    others = [start(database, "commit", 0.0, "ready") for _ in range(2)]
    slow.go_on()
    wait_until(lambda: written(database) == 1)
    for worker in others:
        worker.go_on()
    assert [worker.hears() for worker in others] == ["done"] * 2
    assert committed(database) == written(database) == 3


def test_threads_share_what_they_wait_for(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come while one waits for the disk need it once more, all of them together."""
    begun, go_on, tried = threading.Event(), threading.Event(), list[int]()

    def slow(fd: int) -> None:
        tried.append(fd)
        begun.set()
        assert go_on.wait(LONG)

    def insert() -> None:
        with zodbapi.connect(database, isolation_level=None) as connection:
            connection.execute("INSERT INTO t (word) VALUES ('a')")
        connection.close()

    monkeypatch.setattr("zodbapi.storage.committing._write_to_disk", slow)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(insert)
        assert begun.wait(LONG)
        others = [pool.submit(insert) for _ in range(3)]
        wait_until(lambda: committed(database) == 4)
        assert len(tried) == 1
        go_on.set()
        for each in (first, *others):
            each.result()
    assert len(tried) == 2


def test_a_disk_that_fails_is_told_to_each(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    connection = zodbapi.connect(database, isolation_level=None)
    storage, other = connection._database.storage, SharedFileStorage(database)
    with monkeypatch.context() as patch:
        patch.setattr("zodbapi.storage.committing._write_to_disk", failing)
        with pytest.raises(zodbapi.OperationalError):
            connection.execute("INSERT INTO t (word) VALUES ('a')")
    tried: list[int] = []
    monkeypatch.setattr("zodbapi.storage.committing._write_to_disk", tried.append)
    with pytest.raises(OSError, match="Input/output"):  # another thread, with what was to be written at the same time
        storage.make_durable(storage.lastTransaction())
    assert not tried
    other.sync()
    other.make_durable(other.lastTransaction())  # the kernel tells each process itself
    assert len(tried) == 1
    connection.execute("INSERT INTO t (word) VALUES ('b')")
    assert len(tried) == 2
    other.close()
    connection.close()
