"""A FileStorage whose file any number of processes have open at once, without a server.

In: what ZODB stores. Out: a plain FileStorage file, which ZODB's own tools read, pack and copy.

The file is a log: a commit appends one transaction record, and nothing before the end ever changes. That makes sharing it
simple::

    process A                      file                          process B
    ---------                      ----                          ---------
    lock, catch up                 |T1|T2|
    append                         |T1|T2|T3  |                  the next begin reads T3's header, takes its
    unlock, fsync                                                records into the index, invalidates their objects

- The lock (``FileLock``) is held from the first write of a transaction to the end of its commit, so that only one process
  appends. Readers take no lock.
- ``_pos`` is the end of the last transaction that this process knows. ``is_behind`` is one ``lseek`` when nothing happened.
- What lies behind ``_pos`` under the lock was left by a writer that died; it is cut off (a copy goes to ``.tr0``, as
  FileStorage does it, unless it is just an unfinished transaction).
- Reads use ``pread`` on an unbuffered file, so no buffer can be stale, and no thread waits for another.
- Object ids come in blocks that are reserved in the lock file.
- A pack writes a new file and moves it over the old one. Others notice by the mark that it appends to the old file, or by
  the inode, and open the new one.
- Commits are made durable after the locks are released: others append while a process waits for the disk. Whoever builds
  on a transaction that is not on disk yet waits for an fsync that covers both.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ZODB.BaseStorage import BaseStorage
from ZODB.FileStorage.FileStorage import FilePool
from ZODB.FileStorage.format import CorruptedDataError
from ZODB.fsIndex import fsIndex
from ZODB.interfaces import IBlobStorageRestoreable
from ZODB.utils import p64, u64, z64
from zope.interface import alsoProvides

from zodbapi import errors
from zodbapi.storage.committing import Committing
from zodbapi.storage.file_lock import CommitLock, FileLock
from zodbapi.storage.file_log import (
    MAGIC,
    STATUS_AT,
    Log,
    can_write,
    check_magic,
    ends_with_transaction,
    read_transactions,
    remove,
    save_tail,
    sync_directory,
)
from zodbapi.storage.file_views import Reader, note_positions
from zodbapi.storage.untrusted_file import save_index

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("zodbapi.storage")

_OIDS_AT_ONCE = 128
_WORTH_SAVING = 1 << 18  # bytes of log that are worth an index file
_FEW = 1 << 16  # bytes of log
_LOOK_EVERY = 1.0  # seconds


class SharedFileStorage(Committing):
    """One process's view of a FileStorage file that others write to as well."""

    def __init__(
        self,
        path: str,
        *,
        read_only: bool = False,
        blob_dir: str | None = None,
        timeout: float = 30.0,
        durable: bool = True,
        history_days: float | None = 1.0,
    ) -> None:
        if os.path.exists(path):
            with open(path, "rb") as file:
                check_magic(path, file.read(len(MAGIC)) or MAGIC)  # an empty file becomes a database
        BaseStorage.__init__(self, path)
        self._is_read_only = read_only or not can_write(path)
        self._file_name = path
        self._timeout = timeout
        self.durable = durable
        self._quota = None
        self._wrapper: Any = None
        self._oid_lock = threading.Lock()  # guards ``_oids``; whoever has it may take the lock of the file
        self._oids: Iterator[int] = iter(())
        self._commit_lock = CommitLock(self)
        self._commit_lock_acquire, self._commit_lock_release = self._commit_lock.acquire, self._commit_lock.release
        self._prepare_commits()
        self._files = FilePool(path)  # never used: here because the superclass has it
        self._saved_pos = 4
        self._last = (0, 0)  # the end of a transaction that was the last once, and where it starts
        self._file = None
        self._next_look = 0.0
        self._prepare_packs(history_days)
        self._garbage = (-1, -1)  # where garbage begins and ends that was found behind the last transaction
        self._file_lock = None if self._is_read_only else FileLock(path + ".lock")
        try:
            if not os.path.exists(path) or not os.path.getsize(path):
                self._create()
            self._open_file()
        except BaseException:
            self._tfile.close()
            if self._file_lock is not None:
                self._file_lock.close()
            raise
        self._set_up_blobs(blob_dir)

    # --- the file -------------------------------------------------------------------------------------------------------

    def _create(self) -> None:
        if self._file_lock is None:
            raise errors.OperationalError(
                f"unable to open database file: {self._file_name} is empty and cannot be written"
            )
        self._file_lock.acquire(self._timeout)
        try:
            with open(self._file_name, "ab", buffering=0) as new:
                if not os.fstat(new.fileno()).st_size:
                    new.write(MAGIC)
                    os.fsync(new.fileno())
            sync_directory(self._file_name)
        finally:
            self._file_lock.release()

    def _open_file(self) -> None:
        """Open the file that the name stands for now and read its index; nothing of the file changes.

        Unless it is a database, all stays as it was.
        """
        reader = Reader(self._file_name)
        check_magic(self._file_name, os.pread(reader.fd, len(MAGIC), 0))
        former = self._file
        self._file = open(self._file_name, "rb" if self._is_read_only else "r+b", buffering=0)  # noqa: SIM115
        try:
            found = os.fstat(reader.fd)
            restored = self._restore_index()
            index, pos, ltid = restored or (fsIndex(), len(MAGIC), z64)
            saved, log = pos, Log(reader.fd, found.st_size)
            while (step := self._next_transaction(log, reader.fd, pos)) is not None:
                ltid, records, pos = step
                index.update(records)
        except BaseException:
            self._file.close()
            self._file = former
            raise
        with self._durable_lock:  # nobody waits for the disk to have what was written to the former file
            if former is not None:
                former.close()
                self._retire_view()
            self._set_view(reader, index)
            self._durable_tid = z64
        self._tell_all_changed(ltid)
        self._pos, self._ltid, self._saved_pos = pos, ltid, saved
        self._oid = index.maxKey() if len(index._data) else z64
        self._plan_pack()
        if pos - saved > _WORTH_SAVING:
            self._save_index()

    def _next_transaction(self, log: Log, fd: int, pos: int) -> tuple[bytes, dict[bytes, int], int] | None:
        """The transaction at ``pos``, None at the end of what is committed; garbage counts as the end if nothing follows."""
        with suppress(CorruptedDataError, EOFError):
            return log.transaction(pos)
        try:  # again, for others may have cut off garbage and written something else between two reads
            return Log(fd, os.lseek(fd, 0, os.SEEK_END)).transaction(pos)
        except (CorruptedDataError, EOFError) as error:
            if ends_with_transaction(fd, pos):
                raise errors.OperationalError(
                    f"database disk image is malformed: {self._file_name} is damaged at byte {pos}; "
                    f"ZODB's fsrecover saves what follows"
                ) from error
            logger.warning("%s: ignoring garbage from byte %s on", self._file_name, pos)
            self._garbage = pos, os.lseek(fd, 0, os.SEEK_END)
            return None

    def is_behind(self) -> bool:
        """Whether the file has a transaction that this process has not read yet, or is not the same any more.

        The second is looked at once a second only: replacing a file under its users is rare, and no way to write to it.
        """
        now = time.monotonic()
        if now > self._next_look:
            if not (self.is_in_place() and self._is_same()):
                return True
            self._next_look = now + _LOOK_EVERY
            if self._retired:
                with self._lock:
                    self._forget_views()
        (_, fd, _reader), pos = self._view, self._pos  # kept in a name, so that the descriptor stays open
        size = os.lseek(fd, 0, os.SEEK_END)
        if size == pos:
            return False
        if size < pos:
            return True
        if size <= pos + STATUS_AT or os.pread(fd, 1, pos + STATUS_AT) == b"c":
            return False
        return (pos, size) != self._garbage

    def _is_same(self) -> bool:
        """Whether the last transaction is still where it was, which it is not after something else was copied over the file."""
        (_, fd, _reader), pos, ltid = self._view, self._pos, self._ltid
        if ltid == z64:
            return os.pread(fd, len(MAGIC), 0) == MAGIC
        start = pos - 8 - int.from_bytes(os.pread(fd, 8, pos - 8), "big")
        self._last = pos, start
        return start > 0 and os.pread(fd, 8, start) == ltid

    def _ends_as_known(self) -> bool:
        """Whether the file is what it was and nobody has appended to it; one read, if the last transaction was a small one."""
        (end, start), pos = self._last, self._pos
        if end != pos or pos - start > _FEW:
            return pos == os.lseek(self._view.fd, 0, os.SEEK_END) and self._is_same()
        found = os.pread(self._view.fd, pos - start + 1, start)
        return len(found) == pos - start and found[:8] == self._ltid and found[-8:] == p64(pos - start - 8)

    def sync(self) -> None:
        """Catch up with what other processes committed; ZODB calls it when a transaction begins."""
        if self.is_behind():
            self.catch_up()

    def catch_up(self) -> None:
        """Take note of what other processes committed; for those who have asked ``is_behind``."""
        with self._lock:
            if self._transaction is None:
                self._catch_up()

    def _catch_up(self) -> None:
        """Take what is committed behind ``_pos`` into the index; the usual case first, which is a few small transactions."""
        fd, records = self._view.fd, dict[bytes, int]()
        ltid, pos = self._ltid, self._pos
        buffer = os.pread(fd, _FEW, pos)
        if len(buffer) < _FEW:
            size = pos + len(buffer)
            ltid, pos = read_transactions(buffer, pos, ltid, records)
            if buffer and pos == size:
                self._last = pos, pos - 8 - int.from_bytes(buffer[-8:], "big")
        else:
            size = os.lseek(fd, 0, os.SEEK_END)
        if pos != size or pos == self._pos:
            if self._was_replaced() or not self._is_same():
                self._reopen()
                return
            log = Log(fd, size)
            while (step := self._next_transaction(log, fd, pos)) is not None:
                ltid, more, pos = step
                records.update(more)
        if pos == self._pos:
            return
        note_positions(self._index, records)
        if self._wrapper is not None:
            self._wrapper.invalidate(ltid, records)
        self._oid = max(self._oid, max(records, default=z64))
        self._pos, self._ltid = pos, ltid

    def lastTransaction(self) -> bytes:
        """The newest transaction that this process knows."""
        return self._ltid

    def _was_replaced(self, patience: int = 100) -> bool:
        for _ in range(patience):
            try:
                found = os.stat(self._file_name)
            except FileNotFoundError:  # ZODB's own pack renames twice
                time.sleep(0.001)
            else:
                return (found.st_dev, found.st_ino) != self._identity
        raise errors.OperationalError(f"unable to open database file: {self._file_name} was removed")

    def is_in_place(self) -> bool:
        """Whether the file that this process has open is still the one of that name."""
        try:
            return not self._was_replaced(patience=2)
        except errors.OperationalError:
            return False

    def _reopen(self) -> None:
        self._open_file()
        self._oids = iter(())

    def _tell_all_changed(self, tid: bytes) -> None:
        """Have all connections read everything again, as it was after that transaction.

        Both at once, for one that has been told half of it might be about to choose its snapshot.
        """
        if self._wrapper is None:
            return
        tid = bytes(
            bytearray(tid)
        )  # they tell by its identity that something has moved: a new object, though it is equal
        with self._wrapper._lock:
            for instance in self._wrapper._instances:
                with instance._lock:
                    instance._invalidations, instance._ltid = None, tid

    def registerDB(self, wrapper: Any) -> None:
        super().registerDB(wrapper)
        self._wrapper = wrapper

    def close(self) -> None:
        self._stop_packing()
        if self._pos - self._saved_pos > _WORTH_SAVING:
            self._save_index()
        self._file.close()
        self._tfile.close()
        if self._file_lock is not None:
            self._file_lock.close()

    def abandon(self) -> None:
        """Let go of everything after a fork; nothing is written and nobody's lock is released."""
        if self._file_lock is not None:
            self._file_lock.close()

    # --- locks ------------------------------------------------------------------------------------------------------------

    def hold(self, timeout: float | None = None) -> None:
        """Keep other processes from writing, and know what they wrote."""
        if self._file_lock is None:
            raise errors.OperationalError("attempt to write a readonly database")
        self._file_lock.acquire(self._timeout if timeout is None else timeout, self._learn)

    def hold_again(self) -> None:
        """The same, sooner done for those who do so already."""
        if self._file_lock is None or not self._file_lock.acquire_again():
            self.hold()

    def _learn(self) -> None:
        """Learn what others committed; nobody commits any more."""
        with self._lock:
            if self._was_replaced():  # whoever did it may have died before there was a mark in the old file
                self._reopen()
            elif not self._ends_as_known():
                self._catch_up()

    def drop(self) -> None:
        """Let other processes write again."""
        assert self._file_lock is not None
        self._file_lock.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """``hold`` for a block."""
        self.hold()
        try:
            yield
        finally:
            self.drop()

    def cut_tail(self) -> None:
        """Remove what a writer that died left behind; the lock is held."""
        with self._lock:
            fd = self._file.fileno()
            size = os.lseek(self._view.fd, 0, os.SEEK_END)
            if size <= self._pos:
                return
            if os.pread(fd, 1, self._pos + STATUS_AT) not in (b"c", b""):
                save_tail(fd, self._file_name, self._pos, size)
            os.ftruncate(fd, self._pos)

    def new_oid(self) -> bytes:
        with self._oid_lock:
            while True:
                for number in self._oids:
                    oid = bytes(p64(number))
                    # It is taken only if the lock file, with what is reserved in it, was lost.
                    if self._index.get(oid) is None:
                        return oid
                with self.held():
                    assert self._file_lock is not None
                    start = self._file_lock.reserve(_OIDS_AT_ONCE, u64(self._oid))
                self._oids = iter(range(start + 1, start + _OIDS_AT_ONCE + 1))

    # --- the index file -----------------------------------------------------------------------------------------------------

    def _save_index(self) -> None:
        if self._is_read_only:
            return
        name = f"{self._file_name}.index"
        mine = f"{name}.{os.getpid()}.tmp"
        try:
            with self._lock:
                if not self.is_in_place():
                    return
                save_index(self._index, self._pos, self._ltid, mine)
                os.replace(mine, name)
                self._saved_pos = self._pos
        except OSError:
            remove(mine)  # half of it, on a disk that is full
            logger.warning("%s: could not save its index", self._file_name, exc_info=True)

    def _set_up_blobs(self, blob_dir: str | None) -> None:
        if blob_dir is None:
            self.blob_dir = None
            self._blob_init_no_blobs()
        else:
            self.blob_dir = os.path.abspath(blob_dir)
            self._blob_init(self.blob_dir)
            alsoProvides(self, IBlobStorageRestoreable)
