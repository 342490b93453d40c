"""Packing a file that other processes have open and write to.

In: a point in time. Out: a new file under the same name, without what is older and not current, or not reachable.

A pack copies what it keeps while others go on, then what was committed meanwhile, and moves the new file over the old one
while it holds the lock. Other processes notice by the mark that it appends to the old file, or by the inode.

As each commit appends what it changes, a file grows for ever unless it is packed. So whoever commits packs it, in a thread of
its own, when it has become twice as large as the last pack left it; that is a fraction of what the commits took. What is
younger than ``history_days`` is kept.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from persistent.TimeStamp import TimeStamp
from ZODB.FileStorage.FileStorage import RedundantPackWarning
from ZODB.POSException import POSKeyError
from ZODB.serialize import referencesf
from ZODB.utils import z64

from zodbapi import errors
from zodbapi.storage.file_log import MAGIC, STATUS_AT, remove, sync_directory, write_at
from zodbapi.storage.file_views import FileViews, Reader
from zodbapi.storage.packer import Packer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ZODB.fsIndex import fsIndex

    from zodbapi.storage.file_lock import FileLock

logger = logging.getLogger("zodbapi.storage")

_PACKED: Final = b"\0" * STATUS_AT + b"# packed"  # appended to a file that a pack replaced: no status looks like this
_ABANDONED: Final = 86_400  # seconds after which nobody commits a blob any more
_WORTH_PACKING: Final = 1 << 26  # bytes of a file; smaller ones keep all of their history
_DAY: Final = 86_400.0  # seconds


class _Stopped(Exception):
    """The storage is being closed."""


class Packing(FileViews):
    """The part of a shared file that replaces it."""

    hold: Callable[[], None]
    drop: Callable[[], None]

    _file: Any
    _file_lock: FileLock | None
    _durable_lock: threading.Lock
    _pos: int
    _pack_is_in_progress: bool

    def _prepare_packs(self, history_days: float | None) -> None:
        self._pack_gc, self.pack_keep_old = True, False
        self._history_days = history_days
        self._pack_at = sys.maxsize  # the length of the file at which it is to be packed
        self._background: threading.Thread | None = None
        self._closing = False
        self._no_views_yet()

    # --- when -------------------------------------------------------------------------------------------------------------

    def _plan_pack(self) -> None:
        """See in the notes what the last pack has left, and so how long the file may become."""
        if self._history_days is None or self._file_lock is None:
            return
        left = self._file_lock.packed_length()
        self._pack_at = max(_WORTH_PACKING, 2 * left if left <= self._pos else 0)  # more than there is: of another file

    def _pack_if_long(self) -> None:
        """Begin to pack, in a thread, if the file has become longer than ``_plan_pack`` allows."""
        if self._pos <= self._pack_at:
            return
        self._pack_at = self._pos + max(_WORTH_PACKING, self._pos // 4)  # when to try again, should it come to nothing
        if self._closing or (self._background is not None and self._background.is_alive()):
            return
        self._background = threading.Thread(target=self._pack_or_log, name="zodbapi pack", daemon=True)
        try:
            self._background.start()
        except RuntimeError:
            self._background = None
            logger.warning("%s: no thread to pack it", self._file_name, exc_info=True)

    def _pack_or_log(self) -> None:
        assert self._history_days is not None
        oldest, view = time.time() - self._history_days * _DAY, self._view  # in a name, so that its file stays open
        try:
            if not z64 < os.pread(view.fd, len(z64), len(MAGIC)) < _tid_at(oldest):
                return
            self.pack(oldest, referencesf)
        except _Stopped:
            return
        except errors.OperationalError as error:
            logger.info("%s: %s", self._file_name, error)
        except Exception:
            logger.exception("%s: could not be packed", self._file_name)

    def _stop_packing(self) -> None:
        """Have the thread that packs end, for the storage is being closed."""
        self._closing = True
        if self._background is not None and self._background is not threading.current_thread():
            self._background.join()

    def _go_on(self) -> None:
        if self._closing:
            raise _Stopped

    # --- pack -------------------------------------------------------------------------------------------------------------

    def pack(self, t: float, referencesf: Any, gc: bool | None = None) -> None:
        """Write a new file without what is older than ``t`` and not current, or not reachable; others go on meanwhile."""
        with self._packing() as old:
            if len(self._index._data) == 0:
                return
            gc = self._pack_gc if gc is None else gc
            try:
                packed = Packer(self, referencesf, _tid_at(t), gc, self._go_on).run()
            except RedundantPackWarning as detail:
                logger.info("%s", detail)
                return
            if packed is None:
                self._note_packed()
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
            yield old
        finally:
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
            raise errors.OperationalError("database is locked: it is being packed by another process") from None
        finally:
            self.drop()

    def _note_packed(self) -> None:
        """Note, for all processes, that this is as short as the file can be now."""
        assert self._file_lock is not None
        self._file_lock.note_packed(self._pos)
        self._plan_pack()

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
            if not self.pack_keep_old:
                write_at(old.fileno(), _PACKED, self._pos)
            sync_directory(name)
            with self._durable_lock:  # no other thread waits for the disk to have what was written to the old file
                self._file = open(name, "r+b", buffering=0)  # noqa: SIM115
                self._retire_view()
                self._set_view(Reader(name), index)
                old.close()
            self._pos = pos
            self._note_packed()

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


def _tid_at(seconds: float) -> bytes:
    """The transaction id of that time, since 1970."""
    found: bytes = TimeStamp(*time.gmtime(seconds)[:5] + (seconds % 60,)).raw()
    return found
