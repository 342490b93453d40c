"""Pickles the values of leaves for those who will read them.

In: what a leaf holds. Out: its pickle, or NotPlain where a value is persistent.

A pickler notes every text and tuple that it writes, in case it comes again, and the unpickler notes them too: a third of
its work. Hardly any value does come again, but for the classes of dates and decimals. So nothing is noted (``fast``) except
for these, which the pickle begins with::

    PROTO   date PUT 0 POP   <values, with GET 0 for the class of each date>   STOP

Whatever unpickles finds it an ordinary pickle. The standard library's pickler makes the same opcodes of values as ZODB's, in
less time. Rows that do have a long text in common, as those that a program has made of a
constant, are pickled in the usual way.
"""

from __future__ import annotations

import copyreg
import io
import re
import threading
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pickle import Pickler
from typing import Any, Final
from uuid import UUID

from persistent.list import PersistentList
from ZODB._compat import _protocol
from ZODB.blob import Blob

from zodbapi.storage.nodes import NODES
from zodbapi.storage.record_form import PROTO

# What the values of a leaf have in common; each may need those before it.
_SHARED: Final = (date, datetime, time, timedelta, Decimal, UUID, timezone, UTC)
LONG: Final = 40  # characters of a text, from which on to note it costs less than to repeat it
_POP: Final = b"0"
_GETS: Final = re.compile(b"h[\0-\x0f]")  # opcodes that get one of these


class NotPlain(Exception):
    """A value is persistent."""


def _refuse(_value: Any) -> Any:
    raise NotPlain


def _reduced_uuid(value: UUID) -> tuple[Any, ...]:
    return copyreg.__newobj__, (UUID,), {"int": value.int}  # type: ignore[attr-defined]


_REFUSED: Final = dict.fromkeys((Blob, PersistentList, *NODES), _refuse)
# What these classes' own __reduce_ex__ gives, without the way there: that of UUID asks an Enum, in Python.
_REDUCED: Final = {UUID: _reduced_uuid} | {
    cls: vars(cls)["__reduce__"] for cls in (date, datetime, time, timedelta, Decimal)
}
_DISPATCH: Final = {**copyreg.dispatch_table, **_REFUSED, **_REDUCED}


def pickle_values(value: Any) -> bytes:
    """The pickle of a value in which nothing is persistent; NotPlain if something is."""
    if _has_in_common(value):
        file = io.BytesIO()
        _pickler(file).dump(value)
        return file.getvalue()
    try:
        return _of_thread.pickler.pickle(value)
    except BaseException:
        _of_thread.pickler = _ValuesPickler()  # it may have been left in the middle of a list
        raise


def _has_in_common(value: Any) -> bool:
    """Whether the first two rows or entries of a leaf have a long text in common: one object, not two that are alike."""
    if type(value) is not tuple or len(value) < 4:
        return False
    first, second = value[1], value[3]
    if type(first) is not tuple or type(second) is not tuple:
        return False
    return max([len(a) for a, b in zip(first, second, strict=False) if a is b and type(a) is str], default=0) >= LONG


def _pickler(file: io.BytesIO) -> Any:
    pickler = Pickler(file, _protocol)
    pickler.dispatch_table = _DISPATCH
    return pickler


class _ValuesPickler:
    """Pickles one value after the other, none of which has to do with the others."""

    __slots__ = ("_file", "_pickler", "_shared")

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._pickler = _pickler(self._file)
        # The opcode that gets it, those that make it, and those of them that get others; the last comes first.
        self._shared: list[tuple[bytes, bytes, list[bytes]]] = []
        for shared in _SHARED:
            made = self._dump(shared)
            self._shared.insert(0, (b"h" + made[-2:-1], made[len(PROTO) : -1] + _POP, _GETS.findall(made)))
        self._pickler.fast = True

    def pickle(self, value: Any) -> bytes:
        """The pickle of the value."""
        found = self._dump(value)
        used = _GETS.findall(found)  # by chance maybe, which does no harm
        if not used:
            return found
        gets, parts = set(used), [found[len(PROTO) :]]
        for get, make, needs in self._shared:
            if get in gets:
                parts.append(make)
                gets.update(needs)
        parts.append(PROTO)
        return b"".join(reversed(parts))

    def _dump(self, value: Any) -> bytes:
        self._file.seek(0)
        self._pickler.dump(value)
        self._file.truncate()
        return self._file.getvalue()


class _OfThread(threading.local):
    """A pickler cannot be used by two threads at once."""

    def __init__(self) -> None:
        self.pickler = _ValuesPickler()


_of_thread: Final = _OfThread()
