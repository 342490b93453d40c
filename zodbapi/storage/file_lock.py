"""The lock file beside a database file: one process at a time writes.

In: the path. Out: a lock that the threads of this process share, object ids that no other process hands out, and how long
the database file was after its last pack.

It is the file that ZODB's own FileStorage locks for as long as it is open, so the two exclude each other. Ours is held for
a write transaction only, counted, so that a thread that packs and one that commits hold it together; what threads of one
process must not do at once is the business of other locks. The kernel lets go of it when a process dies.

``flock`` waits for ever or not at all, and we for some time: a process that does not get the lock asks for it again and
again. The one that is next need not: it gives a socket a name, which only one process can at a time, and is woken by a
datagram to this name from who releases the lock. That is a hint and may get lost, as it does between containers.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from zodbapi import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from zodbapi.storage.shared_file import SharedFileStorage

_TEXT: Final = 100  # bytes: the process, as ZODB writes it, and the object ids
_PACKED_AT: Final = 160  # what is between was something else in earlier versions


def _pause(waited: float, is_next: bool) -> float:
    """Seconds until a process asks for the lock again, after so many.

    A commit takes a tenth of a millisecond, and to ask costs a fifth of one, with all that the processor then has to fetch
    again. Who is next is woken, and asks for the case that the holder was killed or lives in another container. Of the
    others those that have waited for long ask often, so that nobody starves; after a second the holder is at something long.
    """
    if waited > 1.0:
        return 0.003
    return 0.001 if is_next else 0.002 if waited < 0.02 else 0.0005


class FileLock:
    """An exclusive ``flock`` on ``path``, held while its count is above zero."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0
        self._mutex = threading.Lock()
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        found = os.fstat(self._fd)
        self._identity = found.st_dev, found.st_ino
        self._address = b"\0zodbapi lock %d %d" % self._identity  # abstract: it goes with its socket
        self._bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._bell.setblocking(False)
        self._ear: socket.socket | None = None

    def acquire(self, timeout: float, first: Callable[[], None] = lambda: None) -> None:
        """Hold the lock once more; raises "database is locked" when another process keeps it for too long.

        ``first`` is called when this process did not hold it, before any of its threads goes on.
        """
        began = time.monotonic()
        if not self._mutex.acquire(timeout=timeout):
            raise errors.LockError("database is locked")
        try:
            if self._count == 0:
                self._lock(began, began + timeout)
                try:
                    first()
                except BaseException:
                    fcntl.flock(self._fd, fcntl.LOCK_UN)
                    raise
            self._count += 1
        finally:
            self._mutex.release()

    def acquire_again(self) -> bool:
        """Hold the lock once more, if this process holds it; whether it did."""
        with self._mutex:
            if self._count == 0:
                return False
            self._count += 1
            return True

    def _lock(self, began: float, deadline: float) -> None:
        try:
            while True:
                try:
                    fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    now = time.monotonic()
                    if now > deadline:
                        raise errors.LockError("database is locked") from None
                    if self._ear is not None:
                        self._listen(min(_pause(now - began, True), deadline - now))
                    elif not self._comes_next():
                        time.sleep(min(_pause(now - began, False), deadline - now))
                    continue
                if self._is_current():
                    return
                self._forget_turn()
                self.close()  # someone removed the lock file: go to the one that others lock now
                self._open()
        finally:
            self._forget_turn()

    def _comes_next(self) -> bool:
        """Whether this process is now the one that is woken, and may ask once more; it never decides who gets the lock."""
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            ear.bind(self._address)
        except OSError:
            ear.close()
            return False
        self._ear = ear
        return True

    def _listen(self, seconds: float) -> None:
        assert self._ear is not None
        self._ear.settimeout(max(seconds, 1e-6))  # 0 would not wait at all
        with suppress(TimeoutError):
            self._ear.recv(1)

    def _forget_turn(self) -> None:
        if self._ear is not None:
            self._ear.close()
            self._ear = None

    def _is_current(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == self._identity

    def release(self) -> None:
        """Hold the lock once less."""
        with self._mutex:
            assert self._count > 0, "released more often than acquired"
            self._count -= 1
            if self._count == 0:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
                with suppress(OSError):  # nobody waits
                    self._bell.sendto(b"", self._address)

    def reserve(self, count: int, above: int) -> int:
        """The number before ``count`` numbers that are ours alone, all larger than ``above``; the lock must be held."""
        _, _, number = os.pread(self._fd, _TEXT, 0).decode("ascii", "replace").partition("oids ")
        start = max(above, int(number) if number.strip().isdigit() else 0)
        os.pwrite(self._fd, f" {os.getpid()}\noids {start + count}\n".ljust(_TEXT, "\n").encode(), 0)
        return start

    def note_packed(self, length: int) -> None:
        """Note how many bytes the last pack has left of the database file."""
        os.pwrite(self._fd, length.to_bytes(8, "big"), _PACKED_AT)

    def packed_length(self) -> int:
        """What ``note_packed`` has noted; 0 if nobody has."""
        return int.from_bytes(os.pread(self._fd, 8, _PACKED_AT), "big")

    def close(self) -> None:
        """Close without unlocking: after a fork the lock may be the parent's, and the turn of a thread that is not here."""
        self._forget_turn()
        self._bell.close()
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class CommitLock:
    """What ZODB calls the commit lock: one thread of one process commits, and knows all that is committed."""

    def __init__(self, storage: SharedFileStorage) -> None:
        self._storage = storage
        self._thread = threading.Lock()

    def acquire(self) -> bool:
        self._thread.acquire()
        try:
            self._storage.hold_again()
            try:
                self._storage.cut_tail()
            except BaseException:
                self._storage.drop()
                raise
        except BaseException:
            self._thread.release()
            raise
        return True

    def release(self) -> None:
        self._storage.drop()
        self._thread.release()
