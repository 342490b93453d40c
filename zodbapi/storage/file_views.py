"""Reading objects from a file that may be replaced while they are read.

In: object ids. Out: their records, from the file of now, or from the one that a snapshot was taken of.

A pack moves a new file over the old one, and leaves in it nothing that only older snapshots need. So a file that was
replaced stays open for as long as somebody reads a snapshot of its time. A view, the file with its index, never changes but
for what is appended.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from BTrees.fsBTree import fsBucket
from ZODB.FileStorage.format import DATA_HDR_LEN, CorruptedDataError
from ZODB.POSException import POSKeyError
from ZODB.utils import p64, u64, z64

from zodbapi import errors
from zodbapi.storage.file_log import RECORD
from zodbapi.storage.untrusted_file import UntrustedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ZODB.fsIndex import fsIndex

    Follow = Callable[[bytes, bytes, bytes], bytes | None]

_READ_AHEAD = 4096
_BLOCK = 1 << 16  # bytes to read at once where several records are wanted, which often lie side by side


class Reader:
    """A descriptor of the file whose position is nobody's; closed when the last thread that reads with it lets go."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if hasattr(self, "fd"):  # it was there to open
            close(self.fd)


class View(NamedTuple):
    """A file, and where each object is in it."""

    position: Callable[[bytes], int | None]
    fd: int
    reader: Reader

    def record(self, oid: bytes, wanted: Callable[[bytes], bool]) -> tuple[bytes, bytes, bytes | None] | None:
        """Data, transaction id and the next transaction id of the newest revision whose transaction id is ``wanted``."""
        fd, pos = self.fd, self.position(oid)
        if pos is None:
            raise POSKeyError(oid)
        following = None
        while True:
            buffer = os.pread(fd, _READ_AHEAD, pos)
            if len(buffer) < DATA_HDR_LEN:
                raise CorruptedDataError(oid, buffer, pos)
            found, tid, previous, _transaction, _version, length = RECORD.unpack_from(buffer)
            if found != oid or previous >= pos:
                raise CorruptedDataError(oid, buffer[:DATA_HDR_LEN], pos)
            if wanted(tid):
                break
            if not previous:
                return None
            following, pos = tid, previous
        if not length:
            return self._follow(oid, buffer, pos), tid, following
        end = DATA_HDR_LEN + length
        if end > len(buffer):
            buffer = os.pread(fd, end, pos)
            if len(buffer) < end:
                raise CorruptedDataError(oid, buffer[:DATA_HDR_LEN], pos)
        return buffer[DATA_HDR_LEN:end], tid, following

    def chain(self, oid: bytes, before: bytes, end: int, follow: Follow) -> None:
        """Give ``follow`` the newest revision of the object, and of those that it names one after the other.

        It stops at the first that is not there, not older than ``before``, or not below ``end``: what follows there may be the
        half of a transaction that is being written.
        """
        fd, start, block = self.fd, 0, b""
        wanted: bytes | None = oid
        while wanted is not None:
            pos = self.position(wanted)
            if pos is None or pos >= end:
                return
            place = pos - start
            if place < 0 or place + DATA_HDR_LEN > len(block):
                start, place, block = pos, 0, os.pread(fd, _BLOCK, pos)
                if len(block) < DATA_HDR_LEN:
                    return
            found, tid, _previous, _transaction, _version, length = RECORD.unpack_from(block, place)
            if found != wanted or tid >= before or not length:
                return
            place += DATA_HDR_LEN
            if place + length > len(block):
                start, place, block = pos, DATA_HDR_LEN, os.pread(fd, max(_BLOCK, DATA_HDR_LEN + length), pos)
                if place + length > len(block):
                    return
            wanted = follow(wanted, block[place : place + length], tid)

    def _follow(self, oid: bytes, buffer: bytes, pos: int) -> bytes:
        """The data of a record that only points to an older one, which undo writes."""
        while True:
            back = int.from_bytes(buffer[DATA_HDR_LEN : DATA_HDR_LEN + 8], "big")
            if not back:
                raise POSKeyError(oid)
            buffer = os.pread(self.fd, DATA_HDR_LEN + 8, back)
            if back >= pos or len(buffer) < DATA_HDR_LEN:
                raise CorruptedDataError(oid, buffer, back)
            pos, length = back, RECORD.unpack_from(buffer)[5]
            if length:
                return os.pread(self.fd, length, back + DATA_HDR_LEN)


def position_in(index: fsIndex) -> Callable[[bytes], int | None]:
    """``index.get``, in half the time."""
    bucket_of = index._data.get

    def position(oid: bytes) -> int | None:
        bucket = bucket_of(oid[:6])
        found = None if bucket is None else bucket.get(oid[6:])
        return None if found is None else int.from_bytes(found, "big")

    return position


def note_positions(index: fsIndex, positions: Mapping[bytes, int]) -> None:
    """``index.update``, in half the time."""
    data = index._data
    for oid, pos in positions.items():
        bucket = data.get(oid[:6])
        if bucket is None:
            bucket = data[oid[:6]] = fsBucket()
        bucket[oid[6:]] = pos.to_bytes(6, "big")


class FileViews(UntrustedFile):
    """The part of a shared file that reads objects."""

    # The oldest snapshot that somebody reads; the database sets it.
    oldest_snapshot: Callable[[], bytes | None] = staticmethod(lambda: None)

    _view: View
    _pos: int
    _identity: tuple[int, int]
    _ltid: bytes
    _tindex: dict[bytes, int]

    def _no_views_yet(self) -> None:
        self._replaced: bytes = z64  # snapshots up to this one may be of a file that is gone
        self._retired: list[tuple[bytes, View]] = []  # such files, each with the newest snapshot that reads there

    def _set_view(self, reader: Reader, index: fsIndex) -> None:
        """Let readers use this file with this index; both change at once for them."""
        self._initIndex(index, self._tindex)
        self._view = View(position_in(index), reader.fd, reader)
        found = os.fstat(reader.fd)
        self._identity = found.st_dev, found.st_ino

    def _retire_view(self) -> None:
        """Keep the file that is being replaced for those whose snapshot is in it: the new one may lack what they read."""
        self._replaced = bytes(p64(u64(self._ltid) + 1))
        self._retired.append((self._replaced, self._view))
        self._forget_views()

    def _forget_views(self) -> None:
        """Let go of files that nobody reads any more."""
        oldest = self.oldest_snapshot()
        self._retired = [item for item in self._retired if oldest is not None and oldest <= item[0]]

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:
        try:
            found = self._view.record(oid, tid.__gt__)
        except POSKeyError:
            if tid > self._replaced:
                raise
            found = None  # it is gone with a pack
        if found is None:
            for newest, view in self._retired:
                if tid <= newest:
                    return view.record(oid, tid.__gt__)
        return found

    def chain(self, oid: bytes, before: bytes, follow: Follow) -> None:
        """Give ``follow`` id, record and transaction id of the object, as it was before that transaction id.

        ``follow`` gives back the id of an object to go on with. It is not called again where that cannot be read as easily.
        """
        end = self._pos  # before the view: what lies below it is complete
        self._view.chain(oid, before, end, follow)

    def load(self, oid: bytes, version: str = "") -> tuple[bytes, bytes]:
        found = self._view.record(oid, lambda _tid: True)
        assert found is not None
        return found[0], found[1]

    def loadSerial(self, oid: bytes, serial: bytes) -> bytes:
        for view in (self._view, *(view for _, view in self._retired)):
            with suppress(POSKeyError):
                found = view.record(oid, serial.__ge__)
                if found is not None and found[1] == serial:
                    return found[0]
        raise POSKeyError(oid)

    def loadBlob(self, oid: bytes, serial: bytes) -> str:
        if not self.blob_dir:
            raise errors.OperationalError(
                "unable to open database file: it has large values in a folder of their own, which blob_dir names"
            )
        found: str = super().loadBlob(oid, serial)
        return found
