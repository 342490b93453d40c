"""The lock file beside a database file: one process at a time writes.

In: the path. Out: a lock that the threads of this process share, object ids that no other process hands out, and notes of
which transactions are committed and which are on disk, for all processes to read.

It is the file that ZODB's own FileStorage locks for as long as it is open, so the two exclude each other. Ours is held for
a write transaction only, counted, so that a thread that packs and one that commits hold it together; what threads of one
process must not do at once is the business of other locks. The kernel lets go of it when a process dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from ZODB.utils import z64

from zodbapi import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from zodbapi.storage.shared_file import SharedFileStorage

_TEXT: Final = 100  # bytes: the process, as ZODB writes it, and the object ids
_NOTES_AT: Final = 128
_NEXT_AT: Final = 1 << 62  # the byte that who is next has locked, far behind all that is in the file
_NOTES: Final = Struct(">8s8sQQ")
_PACKED_AT: Final = _NOTES_AT + _NOTES.size
_ROUNDS: Final = 1 << 60  # more than there will ever be
_END_OF_ROUND: Final = Struct(">8sQ")


class Notes(NamedTuple):
    """What processes tell each other in the lock file; all too old, or zero, after someone has emptied it."""

    newest: bytes  # the newest transaction
    durable: bytes  # the newest that is known to be on disk
    over: int  # the last round of waiting for the disk that is over
    begun: int  # the last that has begun


def _pause(waited: float, is_next: bool) -> float:
    """Seconds until a process asks for the lock again, after so many.

    A commit takes a tenth of a millisecond, and to ask costs a fifth of one, with all that the processor then has to fetch
    again. So only who is next asks often. Of the others those that have waited for long do, so that nobody starves; after a
    second the holder is at something long.
    """
    if waited > 1.0:
        return 0.001 if is_next else 0.003
    if is_next:
        return 0.0001
    return 0.002 if waited < 0.02 else 0.0005


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
        self._has_noted = False

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
        is_next = False
        try:
            while True:
                try:
                    fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    now = time.monotonic()
                    if now > deadline:
                        raise errors.LockError("database is locked") from None
                    is_next = is_next or self._comes_next()
                    time.sleep(min(_pause(now - began, is_next), deadline - now))
                    continue
                if self._is_current():
                    return
                os.close(self._fd)  # someone removed the lock file: go to the one that others lock now
                is_next = False
                self._open()
        finally:
            if is_next:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _NEXT_AT)

    def _comes_next(self) -> bool:
        """Whether this process is the one that asks more often than others; it never decides who gets the lock."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _NEXT_AT)
        except OSError:
            return False
        return True

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

    def reserve(self, count: int, above: int) -> int:
        """The number before ``count`` numbers that are ours alone, all larger than ``above``; the lock must be held."""
        _, _, number = os.pread(self._fd, _TEXT, 0).decode("ascii", "replace").partition("oids ")
        start = max(above, int(number) if number.strip().isdigit() else 0)
        os.pwrite(self._fd, f" {os.getpid()}\noids {start + count}\n".ljust(_TEXT, "\n").encode(), 0)
        return start

    def note_committed(self, tid: bytes) -> None:
        """Note the newest transaction; the lock must be held.

        What an earlier process noted about the disk is forgotten first: it may be about another file of this name.
        """
        os.pwrite(self._fd, tid if self._has_noted else tid + z64, _NOTES_AT)
        self._has_noted = True

    def forget_notes(self) -> None:
        """Have the next ``note_committed`` forget what is noted: the database file is another one."""
        self._has_noted = False

    def note_round(self, number: int) -> None:
        """Note that this process waits for the disk."""
        os.pwrite(self._fd, number.to_bytes(8, "big"), _NOTES_AT + _NOTES.size - 8)

    def note_durable(self, tid: bytes, number: int) -> None:
        """Note that this transaction, and all before it, are on disk, and that the round in which it got there is over."""
        os.pwrite(self._fd, _END_OF_ROUND.pack(tid, number), _NOTES_AT + len(z64))

    def notes(self) -> Notes:
        """What is noted now; what somebody else has written there is at least a possible number."""
        found = os.pread(self._fd, _NOTES.size, _NOTES_AT).ljust(_NOTES.size, b"\0")
        newest, durable, over, begun = _NOTES.unpack(found)
        return Notes(newest, durable, over % _ROUNDS, begun % _ROUNDS)

    def note_packed(self, length: int) -> None:
        """Note how many bytes the last pack has left of the database file."""
        os.pwrite(self._fd, length.to_bytes(8, "big"), _PACKED_AT)

    def packed_length(self) -> int:
        """What ``note_packed`` has noted; 0 if nobody has."""
        return int.from_bytes(os.pread(self._fd, 8, _PACKED_AT), "big")

    def close(self) -> None:
        """Close without unlocking: after a fork the lock may be the parent's."""
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
