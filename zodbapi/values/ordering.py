"""Comparison and order: one total order over all native values.

Classes, from the smallest: NULL, numbers (int, float, Decimal, bool), texts, blobs, dates and timestamps, times,
intervals, UUIDs. Within a class Python's order holds, which is SQLite's for numbers, texts (code points) and blobs. A
date counts as its midnight, a naive timestamp as UTC, so that dates and timestamps form one class.

``comparable`` prepares a value once for many comparisons with Python's own operators: a value of a class that sorts
above or below every stored value becomes the sentinel ``ABOVE`` or ``BELOW``, NULL becomes ``NEVER``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from zodbapi.catalog import Kind
from zodbapi.values.affinity import affine
from zodbapi.values.collation import Collated
from zodbapi.values.temporal import naive_utc

NUMBER, TEXT, BLOB, MOMENT, TIME, INTERVAL, IDENTIFIER = range(1, 8)

_RANKS: dict[type, int] = {
    int: NUMBER,
    float: NUMBER,
    bool: NUMBER,
    Decimal: NUMBER,
    str: TEXT,
    Collated: TEXT,
    bytes: BLOB,
    datetime: MOMENT,
    date: MOMENT,
    time: TIME,
    timedelta: INTERVAL,
    UUID: IDENTIFIER,
}
_NUMBERS = frozenset({int, float, Decimal, bool})  # Python compares these exactly with one another
_KIND_RANKS: dict[Kind, int] = {
    Kind.INTEGER: NUMBER,
    Kind.REAL: NUMBER,
    Kind.NUMERIC: NUMBER,
    Kind.DECIMAL: NUMBER,
    Kind.BOOLEAN: NUMBER,
    Kind.TEXT: TEXT,
    Kind.JSON: TEXT,
    Kind.BLOB: BLOB,
    Kind.DATE: MOMENT,
    Kind.TIMESTAMP: MOMENT,
    Kind.TIMESTAMPTZ: MOMENT,
    Kind.TIME: TIME,
    Kind.INTERVAL: INTERVAL,
    Kind.UUID: IDENTIFIER,
}
_NULL_KEY = (0,)


def sort_key(value: Any) -> tuple[Any, ...]:
    """A key that orders any values, None first, as ``lt`` does; equal keys are equal values."""
    kind = type(value)
    if kind is int or kind is float:
        return (NUMBER, value)
    if kind is str:
        return (TEXT, value)
    if value is None:
        return _NULL_KEY
    if kind is datetime:
        return (MOMENT, value if value.tzinfo is None else naive_utc(value))
    if kind is date:
        return (MOMENT, datetime(value.year, value.month, value.day))
    return (_RANKS[kind], value)


compare_key = sort_key


def lt(a: Any, b: Any) -> bool:
    """``a < b``; neither is None."""
    kind = type(a)
    if kind is type(b):
        if kind is not datetime or (a.tzinfo is None) is (b.tzinfo is None):
            return a < b  # type: ignore[no-any-return]
    elif kind in _NUMBERS and type(b) in _NUMBERS:
        return a < b  # type: ignore[no-any-return]
    return sort_key(a) < sort_key(b)


def le(a: Any, b: Any) -> bool:
    """``a <= b``; neither is None."""
    kind = type(a)
    if kind is type(b):
        if kind is not datetime or (a.tzinfo is None) is (b.tzinfo is None):
            return a <= b  # type: ignore[no-any-return]
    elif kind in _NUMBERS and type(b) in _NUMBERS:
        return a <= b  # type: ignore[no-any-return]
    return sort_key(a) <= sort_key(b)


def gt(a: Any, b: Any) -> bool:
    """``a > b``; neither is None."""
    kind = type(a)
    if kind is type(b):
        if kind is not datetime or (a.tzinfo is None) is (b.tzinfo is None):
            return a > b  # type: ignore[no-any-return]
    elif kind in _NUMBERS and type(b) in _NUMBERS:
        return a > b  # type: ignore[no-any-return]
    return sort_key(a) > sort_key(b)


def ge(a: Any, b: Any) -> bool:
    """``a >= b``; neither is None."""
    kind = type(a)
    if kind is type(b):
        if kind is not datetime or (a.tzinfo is None) is (b.tzinfo is None):
            return a >= b  # type: ignore[no-any-return]
    elif kind in _NUMBERS and type(b) in _NUMBERS:
        return a >= b  # type: ignore[no-any-return]
    return sort_key(a) >= sort_key(b)


def eq(a: Any, b: Any) -> bool:
    """``a = b``; neither is None."""
    kind = type(a)
    if kind is type(b) and (kind is not datetime or (a.tzinfo is None) is (b.tzinfo is None)):
        return a == b  # type: ignore[no-any-return]
    return sort_key(a) == sort_key(b)


def ne(a: Any, b: Any) -> bool:
    """``a != b``; neither is None."""
    kind = type(a)
    if kind is type(b) and (kind is not datetime or (a.tzinfo is None) is (b.tzinfo is None)):
        return a != b  # type: ignore[no-any-return]
    return sort_key(a) != sort_key(b)


class _Above:
    """Greater than every value."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return False

    def __le__(self, other: object) -> bool:
        return other is self

    def __gt__(self, other: object) -> bool:
        return other is not self

    def __ge__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "ABOVE"


class _Below:
    """Less than every value."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return other is not self

    def __le__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return False

    def __ge__(self, other: object) -> bool:
        return other is self

    def __repr__(self) -> str:
        return "BELOW"


class _Never:
    """NULL as an operand: no comparison with it is true, not even ``!=``."""

    __slots__ = ()

    def _never(self, other: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _never

    def __hash__(self) -> int:
        return 0x5EED

    def __repr__(self) -> str:
        return "NEVER"


_RANKS[_Above] = IDENTIFIER + 1
_RANKS[_Below] = -1  # below NULL, too

ABOVE = _Above()
BELOW = _Below()
NEVER = _Never()


class Ordered:
    """A value that Python's operators compare with any native value in the order of ``sort_key``."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key = sort_key(value)

    def __lt__(self, other: Any) -> bool:
        return self.key < _key_of(other)

    def __le__(self, other: Any) -> bool:
        return self.key <= _key_of(other)

    def __gt__(self, other: Any) -> bool:
        return self.key > _key_of(other)

    def __ge__(self, other: Any) -> bool:
        return self.key >= _key_of(other)

    def __eq__(self, other: object) -> bool:
        return self.key == _key_of(other)

    def __ne__(self, other: object) -> bool:
        return self.key != _key_of(other)

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"Ordered({self.value!r})"


def _key_of(other: object) -> tuple[Any, ...]:
    return other.key if isinstance(other, Ordered) else sort_key(other)


def comparable(kind: Kind) -> Callable[[Any], Any]:
    """The function that readies a value for Python's ``== != < <= > >=`` against non-null values of ``kind``.

    It converts as ``affine`` does. The result may be ABOVE, BELOW or NEVER, is hashable, and no comparison raises.
    """
    return _COMPARABLE[kind]


def _comparable(kind: Kind) -> Callable[[Any], Any]:
    convert, rank = affine(kind), _KIND_RANKS[kind]

    def ready(value: Any) -> Any:
        if value is None:
            return NEVER
        value = convert(value)
        other = _RANKS[type(value)]
        if other == rank:
            return value if rank != MOMENT else _same_moment(kind, value)
        return ABOVE if other > rank else BELOW

    return ready


def _same_moment(kind: Kind, value: date) -> Any:
    """A date against timestamps and the reverse need the common order; ``affine`` has converted what it could."""
    if type(value) is datetime and kind is Kind.DATE:
        return Ordered(value)
    return value


def _comparable_any(value: Any) -> Any:
    return NEVER if value is None else Ordered(value)


_COMPARABLE: dict[Kind, Callable[[Any], Any]] = {kind: _comparable(kind) for kind in _KIND_RANKS}
_COMPARABLE[Kind.ANY] = _comparable_any
