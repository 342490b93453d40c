"""Packing a file that other processes have open and write to.

In: a point in time. Out: a new file under the same name, without what is older and not current, or not reachable.

A pack copies what it keeps while others go on, then what was committed meanwhile, and moves the new file over the old one
while it holds the lock. Other processes notice by the mark that it appends to the old file, or by the inode.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from persistent.TimeStamp import TimeStamp
from ZODB.FileStorage.FileStorage import RedundantPackWarning
from ZODB.POSException import POSKeyError

from zodbapi import errors
from zodbapi.storage.file_log import STATUS_AT, remove, sync_directory, write_at
from zodbapi.storage.file_views import FileViews, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ZODB.fsIndex import fsIndex

logger = logging.getLogger("zodbapi.storage")

_PACKED: Final = b"\0" * STATUS_AT + b"# packed"  # appended to a file that a pack replaced: no status looks like this
_ABANDONED: Final = 86_400  # seconds after which nobody commits a blob any more


class Packing(FileViews):
    """The part of a shared file that replaces it."""

    hold: Callable[[], None]
    drop: Callable[[], None]

    _file: Any
    _pos: int
    _pack_is_in_progress: bool

    def _prepare_packs(self) -> None:
        self._pack_gc, self.pack_keep_old = True, False
        self._packer_thread = 0
        self._kept_for_pack = False
        self._no_views_yet()

    # --- pack -------------------------------------------------------------------------------------------------------------

    def pack(self, t: float, referencesf: Any, gc: bool | None = None) -> None:
        """Write a new file without what is older than ``t`` and not current, or not reachable; others go on meanwhile."""
        stop = TimeStamp(*time.gmtime(t)[:5] + (t % 60,)).raw()
        with self._packing() as old:
            if len(self._index._data) == 0:
                return
            try:
                packed = self.packer(self, referencesf, stop, self._pack_gc if gc is None else gc)
            except RedundantPackWarning as detail:
                logger.info("%s", detail)
                return
            if packed is None:
                return
            try:  # the packer has taken the commit lock
                pos, index = packed
                self._replace_file(old, pos, index)
                if self.blob_dir:
                    self._remove_blob_files_tagged_for_removal_during_pack()
                    self._remove_uncommitted_blobs()
            finally:
                self._commit_lock.release()
        self._save_index()

    @contextmanager
    def _packing(self) -> Iterator[Any]:
        """The file to pack, while nobody else packs it."""
        with self._lock:
            if self._pack_is_in_progress:
                raise errors.OperationalError("database is locked: it is being packed")
            self._pack_is_in_progress = True
        old = None
        try:
            old = self._lock_for_pack()
            self._packer_thread = threading.get_ident()
            yield old
        finally:
            self._packer_thread = 0
            if self._kept_for_pack:
                self._kept_for_pack = False
                self.drop()
            self._pack_is_in_progress = False
            if old is not None and not old.closed:
                fcntl.flock(old.fileno(), fcntl.LOCK_UN)

    def _lock_for_pack(self) -> Any:
        self.hold()  # now this process knows the file of this name, which no pack replaces at the moment
        try:
            file = self._file
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            raise errors.OperationalError("database is locked: another process is packing it") from None
        finally:
            self.drop()

    def keep_for_pack(self) -> None:
        """Once a pack has come to what was committed since it began, other processes wait until it is done.

        The packer takes the commit lock for each of these transactions; against processes that commit all the time it
        would not come to an end.
        """
        if self._packer_thread == threading.get_ident() and not self._kept_for_pack:
            self.hold()
            self._kept_for_pack = True

    def _replace_file(self, old: Any, pos: int, index: fsIndex) -> None:
        name = self._file_name
        with self._lock:
            remove(name + ".index")  # it would belong to another file
            with open(name + ".pack", "rb") as new:
                os.fsync(new.fileno())
            if self.pack_keep_old:
                remove(name + ".old")
                os.link(name, name + ".old")
            os.replace(name + ".pack", name)
            sync_directory(name)
            if not self.pack_keep_old:
                write_at(old.fileno(), _PACKED, self._pos)
            self._file = open(name, "r+b", buffering=0)  # noqa: SIM115
            self._retire_view()
            self._set_view(Reader(name), index)
            self._pos = pos
            old.close()

    def _remove_uncommitted_blobs(self) -> None:
        """Remove what writers that died left in the folder of blobs; nobody commits now."""
        for oid, folder in self.fshelper.listOIDs():
            for name in os.listdir(folder):
                _, tid = self.fshelper.splitBlobFilename(os.path.join(folder, name))
                try:
                    if tid is not None:
                        self.loadSerial(oid, tid)
                except POSKeyError:
                    remove(os.path.join(folder, name))
        for entry in os.scandir(self.fshelper.temp_dir):
            if entry.is_file() and time.time() - entry.stat().st_mtime > _ABANDONED:
                remove(entry.path)
