"""A FileStorage whose file any number of processes have open at once, without a server.

In: what ZODB stores. Out: a plain FileStorage file, which ZODB's own tools read, pack and copy.

The file is a log: a commit appends one transaction record, and nothing before the end ever changes, but for one byte. That
makes sharing it simple::

    process A                      file                          process B
    ---------                      ----                          ---------
    lock, catch up                 |T1|T2|
    vote: append, status "c"       |T1|T2|T3 c|                  a begin sees the "c" and stays at T2
    finish: status " "             |T1|T2|T3  |                  the next begin reads T3's header, takes its
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
- Commits are made durable after the locks are released: others append while one process waits for the disk, and its fsync
  serves all that committed before it, in whatever process; notes in the lock file tell them. Whoever builds on a
  transaction that is not on disk yet waits for an fsync that covers both.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from struct import Struct
from typing import IO, TYPE_CHECKING, Any

from ZODB.BaseStorage import BaseStorage
from ZODB.FileStorage.FileStorage import FilePool, TempFormatter
from ZODB.FileStorage.format import DATA_HDR_LEN, TRANS_HDR_LEN, CorruptedDataError
from ZODB.fsIndex import fsIndex
from ZODB.interfaces import IBlobStorageRestoreable
from ZODB.POSException import ConflictError, ReadConflictError, ReadOnlyError, StorageTransactionError
from ZODB.utils import p64, u64, z64
from zope.interface import alsoProvides

from zodbapi import errors
from zodbapi.storage.file_lock import CommitLock, FileLock
from zodbapi.storage.file_log import (
    MAGIC,
    RECORD,
    STATUS_AT,
    TRANSACTION,
    Log,
    can_write,
    check_magic,
    ends_with_transaction,
    read_transactions,
    remove,
    save_tail,
    sync_directory,
    sync_folders,
    write_at,
)
from zodbapi.storage.file_views import Reader
from zodbapi.storage.packing import Packing
from zodbapi.storage.tids import next_tid
from zodbapi.storage.untrusted_file import save_index

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

logger = logging.getLogger("zodbapi.storage")

_IN_MEMORY = 1 << 25  # bytes of a transaction that are collected in memory
_OID_AND_TID = Struct(">8s8s")  # how a record begins
_OIDS_AT_ONCE = 128
_WORTH_SAVING = 1 << 18  # bytes of log that are worth an index file
_FEW = 1 << 16  # bytes of log
_LOOK_EVERY = 1.0  # seconds

Record = tuple[bytes, bytes, bytes]  # object id, the transaction that its changes are based on, what is stored
Appended = tuple[bytes, set[bytes]]  # transaction id, the objects whose changes were merged with those of others


class SharedFileStorage(Packing):
    """One process's view of a FileStorage file that others write to as well."""

    _transaction: Any
    _ude: Any
    _file: Any
    _index: Any
    _tid: bytes
    _resolved: list[bytes]

    def __init__(
        self,
        path: str,
        *,
        read_only: bool = False,
        blob_dir: str | None = None,
        timeout: float = 30.0,
        durable: bool = True,
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
        self._oid_lock = threading.Lock()
        self._durable_lock = threading.Lock()
        self._durable_tid: bytes = z64
        self._oids: Iterator[int] = iter(())
        self._commit_lock = CommitLock(self)
        self._commit_lock_acquire, self._commit_lock_release = self._commit_lock.acquire, self._commit_lock.release
        self._set_scratch(io.BytesIO())
        self._files = FilePool(path)  # never used: here because the superclass has it
        self._tindex: dict[bytes, int] = {}
        self._nextpos = 0
        self._saved_pos = 4
        self._file = None
        self._next_look = 0.0
        self._prepare_packs()
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
        if former is not None:
            former.close()
            self._retire_view()
        self._set_view(reader, index)
        self._pos, self._ltid, self._saved_pos = pos, ltid, saved
        self._oid = index.maxKey() if len(index._data) else z64
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
        return start > 0 and os.pread(fd, 8, start) == ltid

    def sync(self) -> None:
        """Catch up with what other processes committed; ZODB calls it when a transaction begins."""
        with self._lock:
            if self._transaction is None and self.is_behind():
                self._catch_up()

    def _catch_up(self) -> None:
        """Take what is committed behind ``_pos`` into the index; the usual case first, which is a few small transactions."""
        fd = self._view.fd
        size = os.lseek(fd, 0, os.SEEK_END)
        records: dict[bytes, int] = {}
        ltid, pos = self._ltid, self._pos
        if 0 < size - pos < _FEW:
            ltid, pos = read_transactions(os.pread(fd, size - pos, pos), pos, ltid, records)
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
        if self._wrapper is not None:
            self._wrapper.invalidate(ltid, records)  # before anyone can think that nothing happened
        self._index.update(records)
        self._oid = max(self._oid, max(records, default=z64))
        self._pos, self._ltid = pos, ltid

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
        if self._wrapper is not None:
            self._wrapper.invalidateCache()
            self._wrapper.invalidate(
                bytes(bytearray(self._ltid)), ()
            )  # a new object: tells sessions that something moved

    def registerDB(self, wrapper: Any) -> None:
        super().registerDB(wrapper)
        self._wrapper = wrapper

    def close(self) -> None:
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

    def _learn(self) -> None:
        """Learn what others committed; nobody commits any more."""
        with self._lock:
            if self._was_replaced() or self._pos != os.lseek(self._view.fd, 0, os.SEEK_END) or not self._is_same():
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
                    if (
                        self._index.get(oid) is None
                    ):  # taken only if the lock file, with what is reserved in it, was lost
                        return oid
                with self.held():
                    assert self._file_lock is not None
                    start = self._file_lock.reserve(_OIDS_AT_ONCE, u64(self._oid))
                self._oids = iter(range(start + 1, start + _OIDS_AT_ONCE + 1))

    # --- committing -------------------------------------------------------------------------------------------------------

    def _set_scratch(self, file: IO[bytes]) -> None:
        """Collect the records of transactions in this file: one in memory, or a temporary one for a large transaction."""
        self._tfile, self._tfmt = file, TempFormatter(file)

    def _clear_temp(self) -> None:
        self._tindex.clear()
        if self._tfile.tell() > _IN_MEMORY:
            self._tfile.close()
            self._set_scratch(io.BytesIO())
        self._tfile.seek(0)

    def tpc_begin(self, transaction: Any, tid: bytes | None = None, status: str = " ") -> None:
        if self._is_read_only:
            raise ReadOnlyError
        if transaction is self._transaction:
            raise StorageTransactionError("Duplicate tpc_begin calls for same transaction")
        self._commit_lock.acquire()
        with self._lock:
            self._transaction = transaction
            self._clear_temp()
            self._ude = transaction.user, transaction.description, transaction.extension_bytes
            self._tid = tid or next_tid(self._ltid)
            self._tstatus = status
            self._resolved.clear()
            self._begin(self._tid, *self._ude)

    def store(self, oid: bytes, oldserial: bytes, data: bytes, version: str, transaction: Any) -> None:
        """Keep the record of an object until the transaction is written; ZODB's way does the same with more calls."""
        if transaction is not self._transaction:
            raise StorageTransactionError(self, transaction)
        with self._lock:
            if oid > self._oid:
                self.set_max_oid(oid)
            old = self._view.position(oid) or 0
            if old and (committed := self._serial_at(oid, old)) != oldserial:
                data = self.tryToResolveConflict(oid, committed, oldserial, data)
                self._resolved.append(oid)
            written = self._tfile.tell()
            self._tindex[oid] = self._pos + written + self._thl
            self._tfile.write(RECORD.pack(oid, self._tid, old, self._pos, 0, len(data)))
            self._tfile.write(data)
            if written + len(data) > _IN_MEMORY and isinstance(self._tfile, io.BytesIO):
                rolled = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the transaction
                rolled.write(self._tfile.getbuffer()[: self._tfile.tell()])
                self._set_scratch(rolled)

    def tpc_vote(self, transaction: Any) -> list[bytes]:
        with self._lock:
            if transaction is not self._transaction:
                raise StorageTransactionError("tpc_vote called with wrong transaction")
            data_length = self._tfile.tell()
            self._tfile.seek(0)
            user, description, extension = self._ude
            length = self._thl + data_length
            header = TRANSACTION.pack(self._tid, length, b"c", len(user), len(description), len(extension))
            fd = self._file.fileno()
            if self.durable and self.blob_dir:
                for oid, _tid in self.dirty_oids:
                    sync_folders(self.fshelper.getPathForOID(oid), self.blob_dir)
            try:
                end, data = self._pos, [header, user, description, extension]
                while data_length > 0:
                    data.append(self._tfile.read(min(data_length, 1 << 24)))
                    data_length -= len(data[-1])
                    if data_length:
                        end = write_at(fd, b"".join(data), end)
                        data.clear()
                end = write_at(fd, b"".join((*data, p64(length))), end)
            except BaseException:
                os.ftruncate(fd, self._pos)
                raise
            self._nextpos = end
            return self._resolved

    def tpc_finish(self, transaction: Any, f: Callable[[bytes], None] | None = None) -> bytes:
        with self._lock:
            if transaction is not self._transaction:
                raise StorageTransactionError("tpc_finish called with wrong transaction")
            tid = self._tid
            try:
                if f is not None:
                    f(tid)
                write_at(self._file.fileno(), self._tstatus.encode(), self._pos + STATUS_AT)
                assert self._file_lock is not None
                self._file_lock.note_committed(tid)
                self._index.update(self._tindex)
                self._pos, self._ltid, self._nextpos = self._nextpos, tid, 0
                self._blob_tpc_finish()
                self._clear_temp()
            finally:
                self._ude = None
                self._transaction = None
                self._commit_lock.release()
        if not getattr(transaction, "durable_later", False):
            self.make_durable(tid)
        return tid

    def append(
        self, records: Iterable[Record], instance: Any, read: Mapping[bytes, bytes], unmerged: set[bytes]
    ) -> Appended:
        """Commit in one phase: the records of an ``instance`` of the storage, which is told nothing of its own changes.

        ``read`` maps objects to serial numbers that they must still have, unless they are among the records. Raises
        ConflictError when they have not, or when changes cannot be merged with those of others, or must not be, as those of
        ``unmerged``. Whatever is raised, the file is as it was.
        """
        self._commit_lock.acquire()
        try:
            start, tid = self._pos, next_tid(self._ltid)
            newest = instance._start > self._ltid  # nobody has committed since that snapshot
            merged, positions, parts = set(), {}, [TRANSACTION.pack(tid, 0, b"c", 0, 0, 0)]
            written, place = start, start + TRANS_HDR_LEN
            try:
                for oid, serial, data in records:
                    old = self._view.position(oid) or 0
                    if old and not newest and (committed := self._serial_at(oid, old)) != serial:
                        if oid in unmerged:
                            raise ConflictError("others changed what this transaction has read and changed", oid=oid)
                        data = self.tryToResolveConflict(oid, committed, serial, data)
                        merged.add(oid)
                    positions[oid] = place
                    parts += RECORD.pack(oid, tid, old, start, 0, len(data)), data
                    place += DATA_HDR_LEN + len(data)
                    if place - written > _IN_MEMORY:
                        written = write_at(self._file.fileno(), b"".join(parts), written)
                        parts.clear()
                if not newest:
                    self._require(read, positions)
            except BaseException:
                os.ftruncate(self._file.fileno(), start)
                raise
            with self._lock:
                end = self._end_transaction(tid, start, written, parts, place - start)
                self._wrapper._invalidate_finish(tid, positions, instance)
                self._index.update(positions)
                self._oid = max(self._oid, max(positions, default=z64))
                self._pos, self._ltid = end, tid
        finally:
            self._commit_lock.release()
        return tid, merged

    def _require(self, read: Mapping[bytes, bytes], written: Container[bytes]) -> None:
        for oid, serial in read.items():
            if oid not in written and (committed := self._serial_at(oid, self._view.position(oid) or 0)) != serial:
                raise ReadConflictError(oid=oid, serials=(committed, serial))

    def _end_transaction(self, tid: bytes, start: int, written: int, parts: list[bytes], length: int) -> int:
        """Write what is left of a transaction; the position after it.

        Whoever is interrupted in this leaves it to the next who locks the file to find out whether all of it is there.
        """
        fd, header = self._file.fileno(), TRANSACTION.pack(tid, length, b" ", 0, 0, 0)
        parts.append(p64(length))
        if written == start:
            parts[0] = header
        try:
            end = write_at(fd, b"".join(parts), written)
            if written > start:
                write_at(fd, header, start)
            assert self._file_lock is not None
            self._file_lock.note_committed(tid)
        except OSError:
            os.ftruncate(fd, start)
            raise
        return end

    def _serial_at(self, oid: bytes, pos: int) -> bytes:
        """The transaction that wrote the record at ``pos``, which is of that object."""
        found, committed = _OID_AND_TID.unpack(os.pread(self._view.fd, _OID_AND_TID.size, pos))
        if found != oid:
            raise CorruptedDataError(oid, found + committed, pos)
        return bytes(committed)

    def make_durable(self, tid: bytes) -> None:
        """Return when the transaction is on disk. One thread of one process waits for the disk on behalf of all others."""
        if not self.durable or tid <= self._durable_tid:
            return
        with self._durable_lock:
            if tid > self._durable_tid:
                fcntl.lockf(self._file, fcntl.LOCK_EX, 1)  # two that wait for the disk at once are no harm, but a waste
                try:
                    self._sync(tid)
                finally:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1)

    def _learn_durable(self) -> bytes:
        """Learn what others have waited for; the newest transaction that is committed."""
        assert self._file_lock is not None
        newest, durable = self._file_lock.notes()
        self._durable_tid = max(self._durable_tid, durable)
        return newest

    def _sync(self, tid: bytes) -> None:
        newest = self._learn_durable()
        if tid <= self._durable_tid:
            return
        if not self.is_in_place():
            newest = tid  # others commit to another file; a pack has written to disk what it moved there
        os.fsync(self._view.fd)
        self._durable_tid = max(tid, newest)
        assert self._file_lock is not None
        self._file_lock.note_durable(self._durable_tid)

    def _abort(self) -> None:
        if self._nextpos:
            os.ftruncate(self._file.fileno(), self._pos)
            self._nextpos = 0
        self._blob_tpc_abort()

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
