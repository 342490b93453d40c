"""Parameters: values of the caller made native.

In: whatever was passed to ``execute``. Out: a value of a native class; NaN becomes NULL, aware timestamps UTC, subclasses their
native class. DataError for numbers out of range, ProgrammingError for classes that no column can hold.
"""
# A float that differs from itself is NaN; that test is the fastest.

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from zodbapi.errors import DataError, ProgrammingError, RangeError
from zodbapi.values.conversion import MAX_EXPONENT, MAX_INTEGER, MIN_INTEGER
from zodbapi.values.temporal import aware_utc

# Classes whose values are native whatever they hold. int, float, Decimal, datetime and time need a look at the value.
NATIVE: frozenset[type] = frozenset({str, bytes, bool, type(None), date, timedelta, UUID})


def adapt(value: Any) -> Any:
    """A parameter as a native value: NaN becomes NULL, aware timestamps UTC, subclasses their native class."""
    kind = type(value)
    if kind is int:
        if MIN_INTEGER <= value <= MAX_INTEGER:
            return value
        raise RangeError("Python int too large to convert to SQLite INTEGER")
    if kind in NATIVE:
        return value
    if kind is float:
        return value if value == value else None
    if kind is datetime:
        return value if value.tzinfo is None else aware_utc(value)
    if kind is Decimal:
        return _adapt_decimal(value)
    if kind is time:
        if value.tzinfo is None:
            return value
        raise ProgrammingError("a time with a time zone is not supported")
    return _adapt_subclass(value)


def _adapt_decimal(value: Decimal) -> Decimal | None:
    if value.is_nan():
        return None
    if value.is_infinite() or abs(value.adjusted()) > MAX_EXPONENT and value:
        raise DataError("number out of range: Decimal with such an exponent")
    return value


def _adapt_subclass(value: Any) -> Any:
    match value:
        case bool():
            return bool(value)
        case int():
            return adapt(int(value))
        case float():
            return adapt(float(value))
        case str():
            return str.__str__(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case datetime():
            plain = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
            return adapt(datetime(*plain, tzinfo=value.tzinfo, fold=value.fold))
        case date():
            return date(value.year, value.month, value.day)
        case time():
            return adapt(time(value.hour, value.minute, value.second, value.microsecond, tzinfo=value.tzinfo))
        case timedelta():
            return timedelta(value.days, value.seconds, value.microseconds)
        case Decimal():
            return _adapt_decimal(Decimal(value))
        case UUID():
            return UUID(int=value.int)
        case _:
            raise ProgrammingError(f"type '{type(value).__name__}' is not supported")
