"""The format of a FileStorage file, as far as sharing it needs it.

In: a file descriptor. Out: what each transaction wrote and where; functions that read and write at positions, with no state
between two calls that another process could make stale.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from struct import Struct
from typing import Final

from ZODB.FileStorage.format import DATA_HDR, DATA_HDR_LEN, TRANS_HDR, TRANS_HDR_LEN, CorruptedDataError

from zodbapi import errors

MAGIC: Final = b"FS30"
STATUS_AT: Final = 16  # offset of the status byte in a transaction header
logger = logging.getLogger("zodbapi.storage")

TRANSACTION = Struct(TRANS_HDR)
RECORD = Struct(DATA_HDR)
_WINDOW = 1 << 20
_ORDINARY = frozenset({b" ", b"p"})


class Log:
    """Reads transaction records of a file from a position to its end."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._start = 0
        self._window = b""

    def _at(self, pos: int, length: int) -> tuple[bytes, int]:
        offset = pos - self._start
        if offset < 0 or offset + length > len(self._window):
            self._window = os.pread(self._fd, max(length, min(_WINDOW, self._size - pos)), pos)
            self._start, offset = pos, 0
            if len(self._window) < length:
                raise EOFError
        return self._window, offset

    def transaction(self, pos: int) -> tuple[bytes, dict[bytes, int], int] | None:
        """Transaction id, object id -> position, and the end of the transaction at ``pos``; None when it is unfinished.

        Raises ``CorruptedDataError`` for what is not a transaction.
        """
        if pos + TRANS_HDR_LEN > self._size:
            return None
        buffer, offset = self._at(pos, TRANS_HDR_LEN)
        tid, length, status, *lengths = TRANSACTION.unpack_from(buffer, offset)
        end = pos + length
        if status == b"c":
            return None
        if status not in b" up" or length < TRANS_HDR_LEN + sum(lengths):
            raise CorruptedDataError(pos=pos, buf=tid)
        if end + 8 > self._size:
            return None
        records = {} if status == b"u" else self._records(pos, pos + TRANS_HDR_LEN + sum(lengths), end)
        buffer, offset = self._at(end, 8)
        if int.from_bytes(buffer[offset : offset + 8], "big") != length:
            raise CorruptedDataError(pos=pos, buf=tid)
        return tid, records, end + 8

    def _records(self, start: int, pos: int, end: int) -> dict[bytes, int]:
        found = {}
        while pos < end:
            buffer, offset = self._at(pos, DATA_HDR_LEN)
            oid, _tid, _previous, transaction, version, length = RECORD.unpack_from(buffer, offset)
            following = pos + DATA_HDR_LEN + (length or 8)
            if transaction != start or version or following > end:
                raise CorruptedDataError(oid, pos=pos)
            found[oid] = pos
            pos = following
        return found


def read_transactions(buffer: bytes, start: int, after: bytes, found: dict[bytes, int]) -> tuple[bytes, int]:
    """What ordinary transactions wrote that follow each other in ``buffer``, which was read at ``start``.

    Adds object id -> position to ``found``. Returns the last transaction id, ``after`` if there is none, and the position where
    it stops: at the end, or at what ``Log.transaction`` has to judge. All of a transaction is in ``found`` or nothing.
    """
    at, size = 0, len(buffer)
    while at + TRANS_HDR_LEN <= size:
        tid, length, status, user, description, extension = TRANSACTION.unpack_from(buffer, at)
        end = at + length
        if (
            status not in _ORDINARY
            or tid <= after
            or end + 8 > size
            or buffer[end : end + 8] != buffer[at + 8 : at + 16]
        ):
            break
        records = {}
        place, position = at + TRANS_HDR_LEN + user + description + extension, start + at
        while place < end:
            oid, _tid, _previous, transaction, version, data = RECORD.unpack_from(buffer, place)
            if transaction != position or version:
                return after, position
            records[oid] = start + place
            place += DATA_HDR_LEN + (data or 8)
        if place != end:
            break
        found.update(records)
        after, at = tid, end + 8
    return after, start + at


def check_magic(path: str, start: bytes) -> None:
    """Refuse a file that does not begin as a FileStorage does."""
    if start != MAGIC:
        raise errors.OperationalError(f"file is not a database: {path}")


def can_write(path: str) -> bool:
    """Whether this user may write the file, and the lock file beside it."""
    directory = os.path.dirname(path) or "."
    return os.access(directory, os.W_OK) and (not os.path.exists(path) or os.access(path, os.W_OK))


def ends_with_transaction(fd: int, pos: int) -> bool:
    """Whether the file, which is bad at ``pos``, has a good transaction at its end: then it is damaged in the middle."""
    size = os.lseek(fd, 0, os.SEEK_END)
    length = int.from_bytes(os.pread(fd, 8, size - 8), "big")
    start = size - 8 - length
    if length < TRANS_HDR_LEN or start <= pos:
        return False
    try:
        return Log(fd, size).transaction(start) is not None
    except (CorruptedDataError, EOFError):
        return False


def write_at(fd: int, data: bytes, pos: int) -> int:
    """Write all of ``data`` at ``pos``; the position after it."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, pos)
        view, pos = view[written:], pos + written
    return pos


def save_tail(fd: int, name: str, pos: int, size: int) -> None:
    """Copy what lies from ``pos`` to ``size`` of the file of that name to the first free one of ``.tr0``, ``.tr1``, ..."""
    number = 0
    while os.path.exists(f"{name}.tr{number}"):
        number += 1
    logger.warning("%s: moving %s bytes that are no transaction to %s.tr%s", name, size - pos, name, number)
    with open(f"{name}.tr{number}", "wb") as copy:
        while pos < size and (data := os.pread(fd, 1 << 20, pos)):
            copy.write(data)
            pos += len(data)


def remove(path: str) -> None:
    """Delete a file that may be gone already."""
    with suppress(FileNotFoundError):
        os.remove(path)


def sync_directory(path: str) -> None:
    """Have the entry of a file in its folder on disk."""
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folders(path: str, top: str) -> None:
    """Have the entries of a folder, and of those above it up to ``top``, on disk."""
    while len(path) >= len(top):
        sync_directory(os.path.join(path, ""))
        path = os.path.dirname(path)
