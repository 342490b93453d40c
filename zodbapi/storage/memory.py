"""Storage of databases that live in the memory of one process.

In: what ZODB stores. Out: the same, with conflicts resolved, which ZODB's own MappingStorage does not do.
"""

from __future__ import annotations

from typing import Any

from ZODB import POSException, utils
from ZODB.MappingStorage import MappingStorage

from zodbapi.storage.classes import GuardedResolution


class MemoryStorage(GuardedResolution, MappingStorage):  # type: ignore[misc]
    """Object id -> {transaction id -> pickle}, shared by the connections of one process."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._resolved: list[bytes] = []

    def tpc_begin(self, transaction: Any, tid: bytes | None = None) -> None:
        super().tpc_begin(transaction, tid)
        self._resolved = []

    def store(self, oid: bytes, serial: bytes, data: bytes, version: str, transaction: Any) -> None:
        with self._lock:
            if transaction is not self._transaction:
                raise POSException.StorageTransactionError(self, transaction)
            revisions = self._data.get(oid)
            if revisions:
                committed = revisions.maxKey()
                if serial != committed:
                    data = self.tryToResolveConflict(oid, committed, serial, data)
                    self._resolved.append(oid)
            self._tdata[oid] = data

    def tpc_vote(self, transaction: Any) -> list[bytes]:
        super().tpc_vote(transaction)
        return self._resolved

    def renew_locks(self, database: Any) -> None:
        """After a fork: other threads, which may have held locks of the storage and of its ``ZODB.DB``, are gone."""
        wrapper = database._mvcc_storage
        for owner in (self, database):
            owner._lock = utils.RLock()
        for owner in (wrapper, *wrapper._instances):
            owner._lock = utils.Lock()
        if self._transaction is None:
            self._commit_lock = utils.Lock()

    def copy(self, name: str) -> MemoryStorage:
        """Another storage with the same current objects; pickles are shared, so this takes about a microsecond an object."""
        other = MemoryStorage(name)
        with self._lock:
            new = type(next(iter(self._data.values()))) if self._data else dict
            for oid, revisions in self._data.items():
                tid = revisions.maxKey()
                other._data[oid] = new({tid: revisions[tid]})
            other._ltid, other._oid = self._ltid, self._oid
            if self._transactions:
                last = self._transactions.maxKey()
                other._transactions[last] = self._transactions[last]
        return other
