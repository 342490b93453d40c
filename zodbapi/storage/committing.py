"""Appending transactions to a file that other processes append to as well.

In: the records of a transaction. Out: one more transaction at the end of the file, and, once ``make_durable`` is back, on disk.

A connection that commits alone does it in one phase, ``append``, with one write. Whoever needs the two of ZODB goes through
``tpc_begin``, ``store``, ``tpc_vote`` and ``tpc_finish``: what is voted is in the file with the status "c", which readers stop
at, and the end is to set this byte. Both hold the commit lock, so that nobody else appends.

Each process waits for the disk itself, after it has released the locks: the kernel writes what several ask for at once in
one go. The threads of a process take turns, and one that waited for its turn may find that it has nothing left to do.

Readers take no lock, so the order counts in which they come to know of a transaction: first its records are where the index
says, then connections are told what has changed, and only then it is the last one. Whoever began to read between the second
and the first would keep what was there before, and take it for current until it changes again.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
from struct import Struct
from typing import IO, TYPE_CHECKING, Any, Final

from ZODB.FileStorage.FileStorage import TempFormatter
from ZODB.FileStorage.format import DATA_HDR_LEN, TRANS_HDR_LEN, CorruptedDataError
from ZODB.POSException import ConflictError, ReadConflictError, ReadOnlyError, StorageTransactionError
from ZODB.utils import p64, u64, z64

from zodbapi.storage.file_log import RECORD, STATUS_AT, TRANSACTION, sync_folders, write_at
from zodbapi.storage.file_views import note_positions
from zodbapi.storage.packing import Packing
from zodbapi.storage.tids import next_tid

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from zodbapi.storage.file_lock import CommitLock

_IN_MEMORY: Final = 1 << 25  # bytes of a transaction that are collected in memory
_OID_AND_TID: Final = Struct(">8s8s")  # how a record begins
_write_to_disk = getattr(os, "fdatasync", os.fsync)  # the size of the file is data, when it was last changed is not

Record = tuple[bytes, bytes, bytes]  # object id, the transaction that its changes are based on, what is stored
Appended = tuple[bytes, set[bytes]]  # transaction id, the objects whose changes were merged with those of others


class Committing(Packing):
    """The part of a shared file that commits."""

    durable: bool

    _commit_lock: CommitLock
    _transaction: Any
    _oid: bytes
    _tid: bytes
    _last: tuple[int, int]
    _ude: Any
    _index: Any
    _resolved: list[bytes]
    _wrapper: Any

    def _prepare_commits(self) -> None:
        self._durable_lock = threading.Lock()
        self._durable_tid: bytes = z64
        self._lost: tuple[bytes, OSError] | None = (
            None  # up to which transaction the disk may have lost what it was given
        )
        self._tindex: dict[bytes, int] = {}
        self._nextpos = 0
        self._set_scratch(io.BytesIO())

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
                write_at(self._file.fileno(), self._tstatus.encode(), self._pos + STATUS_AT)
                note_positions(self._index, self._tindex)
                if f is not None:
                    f(tid)
                self._pos, self._ltid, self._nextpos = self._nextpos, tid, 0
                self._blob_tpc_finish()
                self._clear_temp()
            finally:
                self._ude = None
                self._transaction = None
                self._commit_lock.release()
        if not getattr(transaction, "durable_later", False):
            self.make_durable(tid)
        self._pack_if_long()
        return tid

    def append(
        self, records: Iterable[Record], instance: Any, read: Mapping[bytes, bytes], unmerged: set[bytes]
    ) -> Appended:
        """Commit in one phase: the records of an ``instance`` of the storage, which is told nothing of its own changes.

        If nobody else has committed since the instance's snapshot, that moves on to what it has committed.

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
                note_positions(self._index, positions)
                self._wrapper._invalidate_finish(tid, positions, instance)
                self._oid = max(self._oid, max(positions, default=z64))
                self._pos, self._ltid, self._last = end, tid, (end, start)
                if newest:
                    instance._start = p64(u64(tid) + 1)
                instance._ltid = tid
        finally:
            self._commit_lock.release()
        self._pack_if_long()
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
        """Return when the transaction is on disk; one thread waits for the disk on behalf of all that came before it.

        The kernel tells of a failure once, and takes what it could not write for written: so it is told again to each whose
        transaction may be a part of that.
        """
        if not self.durable or tid <= self._durable_tid:
            return
        with self._durable_lock:
            if tid <= self._durable_tid:
                return
            if self._lost is not None and tid <= self._lost[0]:
                raise OSError(*self._lost[1].args)
            newest = max(
                tid, self._ltid
            )  # in this file, or in one that a pack has put in its place and written to disk
            try:
                _write_to_disk(self._view.fd)
            except OSError as error:
                self._lost = newest, error
                raise
            self._durable_tid = newest

    def _abort(self) -> None:
        if self._nextpos:
            os.ftruncate(self._file.fileno(), self._pos)
            self._nextpos = 0
        self._blob_tpc_abort()
