"""A FileStorage that runs no code that comes with its file.

In: a file from anywhere, with the index file beside it. Out: FileStorage, whose three uses of an unrestricted unpickler are
replaced: the index file, the extensions of transactions in the undo log and in histories, and those that an iteration
gives. The records of objects are the business of ``classes``.
"""

from __future__ import annotations

import io
import logging
import pickle
from typing import Any, NoReturn

from ZODB._compat import Unpickler
from ZODB.FileStorage.FileStorage import FileIterator, FileStorage, TransactionRecord, UndoSearch
from ZODB.fsIndex import fsBucket, fsIndex

from zodbapi.storage.classes import GuardedResolution, guarded

logger = logging.getLogger("zodbapi.storage")


def _refuse(module: str, name: str) -> NoReturn:
    raise ValueError(f"this pickle names no classes, but it names {module}.{name}")


def _plain_unpickler(file: Any) -> Any:
    """An unpickler of numbers, texts, and lists and dicts of them."""
    unpickler = Unpickler(file)
    unpickler.find_global = _refuse
    return unpickler


def load_index(path: str) -> tuple[fsIndex, int, bytes | None]:
    """The index, its position, and the transaction before that position where the file says it, as ours do."""
    with open(path, "rb") as file:
        unpickler = _plain_unpickler(file)
        pos = unpickler.load()
        index = fsIndex()
        while item := unpickler.load():
            prefix, positions = item
            index._data[bytes(prefix)] = fsBucket().fromString(bytes(positions))
        rest = file.read()
    if type(pos) is not int:
        raise ValueError("an index file begins with a position")
    tid = _plain_unpickler(io.BytesIO(rest)).load() if rest else None
    return index, pos, tid


def save_index(index: fsIndex, pos: int, tid: bytes, path: str) -> None:
    """An index file as ZODB writes it, and behind its end the last transaction, by which another file's is told apart."""
    index.save(pos, path)
    with open(path, "ab") as file:
        pickle.dump(tid, file, 3)


def read_extension(data: bytes) -> dict[str, Any]:
    """What a transaction says about itself besides user and description; nothing, if it is not plain data."""
    try:
        found = _plain_unpickler(io.BytesIO(data)).load() if data else {}
    except Exception:  # hostile or damaged: neither is worth more than a line
        logger.warning("ignoring the extension of a transaction", exc_info=True)
        return {}
    return found if isinstance(found, dict) else {}


class _Record(TransactionRecord):  # type: ignore[misc]
    """A transaction of an iteration."""

    @property
    def extension(self) -> dict[str, Any]:
        """What the transaction says about itself."""
        return read_extension(self.extension_bytes)


# ZODB's own code with other globals, for it gives no parameter for the unpickler.
_NAMES = {**FileStorage.history.__globals__, "loads": read_extension, "TransactionRecord": _Record}


class _Iterator(FileIterator):  # type: ignore[misc]
    __next__ = guarded(FileIterator.__next__, _NAMES)


class _UndoSearch(UndoSearch):  # type: ignore[misc]
    _readnext = guarded(UndoSearch._readnext, _NAMES)


_NAMES |= {"FileIterator": _Iterator, "UndoSearch": _UndoSearch}


class UntrustedFile(GuardedResolution, FileStorage):  # type: ignore[misc]
    """The file and what lies beside it are data, never code."""

    history = guarded(FileStorage.history, _NAMES)
    undoLog = guarded(FileStorage.undoLog, _NAMES)
    iterator = guarded(FileStorage.iterator, _NAMES)
    lastInvalidations = guarded(FileStorage.lastInvalidations, _NAMES)

    def _restore_index(self) -> tuple[fsIndex, int, bytes] | None:
        """Index, position and last transaction id of the index file, if it belongs to this file."""
        try:
            index, pos, said = load_index(self._file_name + ".index")
            tid = self._check_sanity(index, pos)
        except FileNotFoundError:
            return None
        except Exception:  # whatever is wrong with it, the index can be made again from the file
            logger.warning("%s: ignoring its index file", self._file_name, exc_info=True)
            return None
        if not tid or said not in (None, tid):
            logger.warning("%s: ignoring an index file that does not belong to it", self._file_name)
            return None
        return index, pos, tid
