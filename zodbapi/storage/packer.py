"""Copying what a pack keeps of a file to a new one, while others append to it.

In: the storage, and a point in time. Out: the file ``.pack``, its length and index, and the commit lock, which the caller
releases when the new file is in its place.

ZODB's packer copies what is reachable at that time, and then one by one the transactions since, each under the commit lock.
Those that are in the file already never change, so here only the last few are copied under the lock; and it is asked before
each transaction that is read whether to go on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from ZODB.FileStorage.fspack import GC, FileStoragePacker

from zodbapi.storage.file_log import remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from ZODB.fsIndex import fsIndex

    from zodbapi.storage.packing import Packing

_FEW: Final = 1 << 20  # bytes that may be copied while nobody can commit
_CATCHES: Final = 10  # after so many rounds others append faster than they are copied


class _NoLock:
    """Stands for the commit lock while ZODB's packer need not have it."""

    def acquire(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


class _Reachability(GC):  # type: ignore[misc]
    """What is reachable; whoever looks for it can be stopped."""

    go_on: Callable[[], None]

    def _read_txn_header(self, pos: int, tid: bytes | None = None) -> Any:
        self.go_on()
        return super()._read_txn_header(pos, tid)


class Packer(FileStoragePacker):  # type: ignore[misc]
    """One pack. ``go_on`` raises what is to end it."""

    _commit_lock: Any

    def __init__(self, storage: Packing, references: Any, stop: bytes, gc: bool, go_on: Callable[[], None]) -> None:
        super().__init__(storage, references, stop, gc)
        self._go_on = go_on
        self.gc = _Reachability(self._file, self.file_end, stop, gc, references)
        self.gc.go_on = go_on

    def run(self) -> tuple[int, fsIndex] | None:
        """The length and the index of the new file, with the commit lock held; None if there is nothing to remove."""
        try:
            length = self.pack()
        except BaseException:
            remove(self._name + ".pack")
            raise
        finally:
            self.close()
        return None if length is None else (length, self.index)

    def _read_txn_header(self, pos: int, tid: bytes | None = None) -> Any:
        self._go_on()
        return super()._read_txn_header(pos, tid)

    def copyRest(self, ipos: int) -> None:
        """Copy the transactions since the time of the pack; called, and left, with the commit lock."""
        lock, self._commit_lock = self._commit_lock, _NoLock()
        holds = True
        try:
            lock.release()
            holds = False
            for _ in range(_CATCHES):
                self._storage.catch_up()
                end = self._storage.getSize()
                following, ipos = end - ipos, self._copy_until(ipos, end)
                if following < _FEW:
                    break
            self._tfile.flush()
            os.fsync(self._tfile.fileno())  # now, so that there is little left to wait for under the lock
            lock.acquire()
            holds = True
            self._copy_until(ipos, self._storage.getSize())
        finally:
            self._commit_lock, self.locked = lock, holds

    def _copy_until(self, ipos: int, end: int) -> int:
        while ipos < end:
            ipos = self.copyOne(ipos)
        return ipos
