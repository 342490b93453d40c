"""Loads the state of persistent objects in a fraction of the time that ZODB takes.

In: the record of an object. Out: its state, of the allowed classes only (see ``classes``).

ZODB gives its unpickler a ``BytesIO``, which cannot be peeked into, and so the unpickler asks it for one opcode at a time: six
sevenths of loading a leaf of rows are calls of ``BytesIO.read``. Behind a ``BufferedReader`` it takes the record as a whole.

Making an unpickler takes as long as it takes to unpickle a short leaf. So one for values is used again if it can be, and as
a leaf that ``record_writer`` writes says where its values begin and end, those of several leaves can be read as one pickle::

    a record        <class> STOP   PROTO <values> <reference to the next leaf> TUPLE2 STOP
    what is read    PROTO MARK <values of a leaf> <values of the next> ... TUPLE STOP
"""

from __future__ import annotations

import pickle
import threading
from contextlib import nullcontext
from io import BufferedReader, BytesIO
from typing import Any, Final

from transaction.interfaces import TransientError
from ZODB.POSException import POSError, StateLoadError
from ZODB.serialize import ObjectReader
from zodbpickle.pickle import Unpickler

from zodbapi.storage.classes import find_class
from zodbapi.storage.nodes import NODES
from zodbapi.storage.record_form import PROTO
from zodbapi.uncollected import UNCOLLECTED

_NODE: Final = PROTO + b"cBTrees."
_AT_ONCE: Final = 1 << 16  # bytes that the unpickler for values gets from a record


class _Unpickler(Unpickler):  # type: ignore[misc]
    """Knows the allowed classes."""

    def find_class(self, module: str, name: str) -> Any:
        return find_class(None, module, name)


class _ValuesUnpickler(pickle.Unpickler):
    """The standard library's, which is faster, for values alone."""

    def find_class(self, module: str, name: str) -> Any:
        return find_class(None, module, name)

    def persistent_load(self, _reference: Any) -> Any:
        raise pickle.UnpicklingError("a reference among values")


class _NodeUnpickler(pickle.Unpickler):
    """The same for nodes of trees, with their references to others."""

    persistent_load: Any

    def find_class(self, module: str, name: str) -> Any:
        return find_class(None, module, name)


class _ValuesReader:
    """Unpickles one record after the other."""

    __slots__ = ("_buffered", "_file", "_unpickler")

    def __init__(self) -> None:
        self._file = BytesIO()
        self._buffered = BufferedReader(self._file, _AT_ONCE)
        self._unpickler = _ValuesUnpickler(self._buffered)

    def read(self, record: bytes) -> Any:
        """What it makes. A reader that has raised something is in the middle of that record, and must not be used again."""
        file = self._file
        file.seek(0)
        file.truncate()
        file.write(record)
        self._buffered.seek(0)
        found = self._unpickler.load()
        if self._buffered.peek(1):
            raise pickle.UnpicklingError("a pickle that ends early: its rest would be taken for the next one")
        return found

    def is_as_new(self) -> bool:
        """Whether it has noted nothing that another record could ask for, as it does for the classes of dates."""
        return not self._unpickler.memo.copy()


class _OfThread(threading.local):
    """The reader that waits to be used again."""

    idle: _ValuesReader | None = None


_of_thread: Final = _OfThread()


def unpickle_values(pickles: list[bytes]) -> tuple[Any, ...] | None:
    """What each run of opcodes makes; None if that is not one value each.

    The collector rests meanwhile: of many rows it would look through those that have just come, again and again.
    """
    reader, _of_thread.idle = _of_thread.idle or _ValuesReader(), None
    try:
        with UNCOLLECTED if len(pickles) > 1 else nullcontext():
            found = reader.read(b"".join((PROTO, b"(", *pickles, b"t.")))
    except Exception:
        return None
    if reader.is_as_new():
        _of_thread.idle = reader
    return found if type(found) is tuple and len(found) == len(pickles) else None


class RecordReader(ObjectReader):  # type: ignore[misc]
    """ZODB's reader, with an unpickler that reads the record as a whole."""

    def _get_unpickler(self, pickle: bytes) -> Any:
        kind = _NodeUnpickler if pickle.startswith(_NODE) else _Unpickler
        unpickler = kind(BufferedReader(BytesIO(pickle), max(len(pickle), 1)))
        unpickler.persistent_load = self._persistent_load
        return unpickler

    def getState(self, pickle: bytes) -> Any:
        """The state in a record."""
        unpickler = self._get_unpickler(pickle)
        try:
            unpickler.load()  # the class
            return unpickler.load()
        except Exception as error:
            # When loading fails, the unpickler reads what it has peeked at, and that call hides why it failed.
            cause = error.__cause__ if isinstance(error, SystemError) and error.__cause__ is not None else error
            if isinstance(cause, POSError | TransientError):
                raise cause from None
            raise StateLoadError from cause

    def _persistent_load(self, reference: Any) -> Any:
        if type(reference) is tuple:
            oid, cls = reference
            found = self._cache.get(oid)
            if found is not None:
                return found
            if type(oid) is bytes and cls in NODES:
                found = cls()
                self._cache.new_ghost(oid, found)
                return found
        return super()._persistent_load(reference)

    def ghost(self, oid: bytes, cls: type) -> Any:
        """The node of that id, without its state if it is not in memory."""
        found = self._cache.get(oid)
        if found is None:
            found = cls()
            self._cache.new_ghost(oid, found)
        return found
