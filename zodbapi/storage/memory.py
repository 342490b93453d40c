"""Storage of databases that live in the memory of one process.

In: what ZODB stores. Out: the same, with conflicts resolved, which ZODB's own MappingStorage does not do, and without the
revisions that no transaction can read any more, which it keeps for ever.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import zope.interface
from persistent.TimeStamp import TimeStamp
from ZODB import utils
from ZODB.BaseStorage import checkCurrentSerialInTransaction
from ZODB.interfaces import IStorage
from ZODB.POSException import POSKeyError, StorageTransactionError

from zodbapi.storage.classes import GuardedResolution
from zodbapi.storage.tids import next_tid

if TYPE_CHECKING:
    from collections.abc import Callable

Revision = tuple[bytes, bytes]  # transaction id, pickle


@zope.interface.implementer(IStorage)
class MemoryStorage(GuardedResolution):
    """Object id -> its revisions, newest last, shared by the connections of one process.

    ``oldest_snapshot`` tells the transaction id before which the oldest active transaction reads, None if there is none.
    A commit drops the revisions of its objects that were replaced before that.

    Two locks, taken in this order: ``_commit_lock`` is held from ``tpc_begin`` to the end of a commit, which has what it stores
    for itself meanwhile; ``_lock`` guards what all read, and the next object id.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.oldest_snapshot: Callable[[], bytes | None] = lambda: None
        self._revisions: dict[bytes, tuple[Revision, ...]] = {}
        self._ltid: bytes = utils.z64
        self._oid = 0
        self._lock = threading.RLock()
        self._commit_lock = threading.Lock()
        self._transaction: Any = None
        self._tid: bytes = utils.z64
        self._stored: dict[bytes, bytes] = {}
        self._resolved: list[bytes] = []

    # --- reading --------------------------------------------------------------------------------------------------------

    def _of(self, oid: bytes) -> tuple[Revision, ...]:
        try:
            return self._revisions[oid]
        except KeyError:
            raise POSKeyError(oid) from None

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:
        following = None
        for found, data in reversed(self._of(oid)):
            if found < tid:
                return data, found, following
            following = found
        return None

    def load(self, oid: bytes, version: str = "") -> tuple[bytes, bytes]:
        tid, data = self._of(oid)[-1]
        return data, tid

    def loadSerial(self, oid: bytes, serial: bytes) -> bytes:
        for tid, data in reversed(self._of(oid)):
            if tid == serial:
                return data
        raise POSKeyError(oid, serial)

    def getTid(self, oid: bytes) -> bytes:
        return self._of(oid)[-1][0]

    def history(self, oid: bytes, size: int = 1) -> list[dict[str, Any]]:
        newest_first = reversed(self._of(oid)[-size:])
        return [
            {"time": TimeStamp(tid).timeTime(), "tid": tid, "user_name": b"", "description": b"", "size": len(data)}
            for tid, data in newest_first
        ]

    def lastTransaction(self) -> bytes:
        return self._ltid

    # --- committing -----------------------------------------------------------------------------------------------------

    def new_oid(self) -> bytes:
        with self._lock:
            self._oid += 1
            return bytes(utils.p64(self._oid))

    def tpc_begin(self, transaction: Any, tid: bytes | None = None, status: str = " ") -> None:
        if transaction is self._transaction:
            raise StorageTransactionError("Duplicate tpc_begin calls for same transaction")
        self._commit_lock.acquire()
        self._transaction = transaction
        self._tid = tid or next_tid(self._ltid)
        self._stored = {}
        self._resolved = []

    def store(self, oid: bytes, serial: bytes, data: bytes, version: str, transaction: Any) -> None:
        if transaction is not self._transaction:
            raise StorageTransactionError(self, transaction)
        revisions = self._revisions.get(oid)
        if revisions and revisions[-1][0] != serial:
            data = self.tryToResolveConflict(oid, revisions[-1][0], serial, data)
            self._resolved.append(oid)
        self._stored[oid] = data

    checkCurrentSerialInTransaction = checkCurrentSerialInTransaction

    def tpc_vote(self, transaction: Any) -> list[bytes]:
        if transaction is not self._transaction:
            raise StorageTransactionError("tpc_vote called with wrong transaction")
        return self._resolved

    def tpc_finish(self, transaction: Any, f: Callable[[bytes], None] = lambda tid: None) -> bytes:
        if transaction is not self._transaction:
            raise StorageTransactionError("tpc_finish called with wrong transaction")
        with self._lock:
            tid = self._tid
            oldest = self.oldest_snapshot() or tid
            for oid, data in self._stored.items():
                self._revisions[oid] = (*needed(self._revisions.get(oid, ()), oldest), (tid, data))
            f(tid)  # readers take no lock: whoever knows of the transaction must find its records
            self._ltid = tid
            self._end()
        return tid

    def tpc_abort(self, transaction: Any) -> None:
        if transaction is self._transaction:
            self._end()

    def _end(self) -> None:
        self._transaction = None
        self._stored = {}
        self._commit_lock.release()

    def tpc_transaction(self) -> Any:
        return self._transaction

    # --- the whole ------------------------------------------------------------------------------------------------------

    def pack(self, t: float, referencesf: Callable[[bytes], list[bytes]]) -> None:
        """Drop old revisions that nobody reads, and objects that the current ones do not lead to."""
        stop = TimeStamp(*time.gmtime(t)[:5] + (t % 60,)).raw()
        with self._commit_lock, self._lock:
            oldest = min(self.oldest_snapshot() or stop, stop)
            kept: dict[bytes, tuple[Revision, ...]] = {}
            waiting = [utils.z64] if self._revisions else []
            while waiting:
                oid = waiting.pop()
                if oid in kept or oid not in self._revisions:
                    continue
                *older, newest = self._revisions[oid]
                kept[oid] = (*needed(tuple(older), oldest, newest[0]), newest)
                for _tid, data in kept[oid]:
                    waiting += referencesf(data)
            self._revisions = kept

    def copy(self, name: str) -> MemoryStorage:
        """Another storage with the same current objects; the pickles are shared, so it takes a microsecond an object."""
        other = MemoryStorage(name)
        with self._lock:
            other._revisions = {oid: revisions[-1:] for oid, revisions in self._revisions.items()}
            other._ltid, other._oid = self._ltid, self._oid
        return other

    def renew_locks(self, database: Any) -> None:
        """After a fork: other threads, which may have held locks of the storage and of its ``ZODB.DB``, are gone."""
        wrapper = database._mvcc_storage
        for owner in (self, database):
            owner._lock = threading.RLock()
        for owner in (wrapper, *wrapper._instances):
            owner._lock = threading.Lock()
        if self._transaction is None:
            self._commit_lock = threading.Lock()

    def getName(self) -> str:
        return self.__name__

    sortKey = getName

    def getSize(self) -> int:
        return sum(len(data) for revisions in list(self._revisions.values()) for _tid, data in revisions)

    def __len__(self) -> int:
        return len(self._revisions)

    def isReadOnly(self) -> bool:
        return False

    def supportsUndo(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


def needed(revisions: tuple[Revision, ...], oldest: bytes, replaced: bytes | None = None) -> tuple[Revision, ...]:
    """The revisions that a reader of what was committed before ``oldest`` or later may ask for.

    The last of them was replaced at ``replaced``, or is being replaced right now.
    """
    for place in range(len(revisions) - 1, -1, -1):
        if revisions[place][0] < oldest:
            if place == len(revisions) - 1 and replaced is not None and replaced < oldest:
                return ()
            return revisions[place:]
    return revisions
